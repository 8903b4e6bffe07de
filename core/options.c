/* options.c -- parses command lines and prints help from tables of options. */
#include "core/options.h"
#include "core/json.h"
#include "core/progress.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const rt_option *options_find(const rt_command *c, const char *name, size_t n)
{
    for (const rt_option *o = c->options; o && o->name; o++)
        if (strlen(o->name) == n && !strncmp(o->name, name, n)) return o;
    return NULL;
}

static const rt_option *find_renamed(const rt_command *c, const char *name, size_t n)
{
    for (const rt_option_renamed *r = c->renamed; r && r->was; r++)
        if (strlen(r->was) == n && !strncmp(r->was, name, n)) {
            rt_note("--%s is now called --%s; version 0.3 will no longer accept the old name", r->was, r->is);
            return options_find(c, r->is, strlen(r->is));
        }
    return NULL;
}

static rt_status options_unknown(const rt_command *c, const char *word)
{
    const char *names[64];
    int         n = 0;
    for (const rt_option *o = c->options; o && o->name && n < 64; o++) names[n++] = o->name;
    const char *near = rt_nearest(word + 2, names, n);
    if (near) RT_FAIL(RT_EINVAL, "%s has no option %s; the nearest is --%s (see 'retort %s --help')", c->name, word, near, c->name);
    RT_FAIL(RT_EINVAL, "%s has no options, found %s", c->name, word);
}

static rt_status options_take(const rt_option *o, void *into, const char *value)
{
    char *field = (char *)into + o->at, *end = NULL;
    RT_ASSERT(o->kind == RT_OPT_FLAG || (o->arg && value));
    errno = 0;
    switch (o->kind) {
    case RT_OPT_FLAG: *(int *)(void *)field = 1; break;
    case RT_OPT_INT: {
        const long long v = strtoll(value, &end, 10);
        RT_CHECK(*value && !*end && !errno, RT_EINVAL, "--%s takes an integer, found '%s'", o->name, value);
        *(int64_t *)(void *)field = v;
        break;
    }
    case RT_OPT_REAL: {
        const double v = strtod(value, &end);
        RT_CHECK(*value && !*end && !errno && isfinite(v), RT_EINVAL, "--%s takes a number, found '%s'", o->name, value);
        *(double *)(void *)field = v;
        break;
    }
    case RT_OPT_TEXT: *(const char **)(void *)field = value; break;
    case RT_OPT_LIST: {
        rt_strings *t = (rt_strings *)(void *)field;
        RT_CHECK(t->n < RT_MAX_STRINGS, RT_EINVAL, "--%s takes at most %d values", o->name, RT_MAX_STRINGS);
        t->v[t->n++] = value;
        break;
    }
    }
    return RT_OK;
}

static int is_option(const char *w) { return w[0] == '-' && w[1] == '-' && w[2]; }

static rt_status parse_one(const rt_command *c, void *into, int argc, char **argv, int *i)
{
    const char      *word = argv[*i], *eq = strchr(word, '=');
    const size_t     n = eq ? (size_t)(eq - word) - 2 : strlen(word) - 2;
    const rt_option *o = options_find(c, word + 2, n);
    if (!o) o = find_renamed(c, word + 2, n);
    if (!o) return options_unknown(c, word);
    RT_ASSERT(o->at < c->size);
    if (o->kind == RT_OPT_FLAG) {
        RT_CHECK(!eq, RT_EINVAL, "--%s takes no value", o->name);
        return options_take(o, into, NULL);
    }
    if (eq) return options_take(o, into, eq + 1);
    RT_CHECK(*i + 1 < argc, RT_EINVAL, "--%s requires a value (%s)", o->name, o->arg);
    RT_TRY(options_take(o, into, argv[++*i]));
    while (o->kind == RT_OPT_LIST && *i + 1 < argc && !is_option(argv[*i + 1]) && strcmp(argv[*i + 1], "--"))
        RT_TRY(options_take(o, into, argv[++*i]));
    return RT_OK;
}

rt_status rt_options_parse(const rt_command *c, void *into, int argc, char **argv, int *rest)
{
    int n = 0, open = 1;
    for (int i = 0; i < argc; i++) {
        if (open && !strcmp(argv[i], "--")) open = 0;
        else if (open && is_option(argv[i])) RT_TRY(parse_one(c, into, argc, argv, &i));
        else argv[n++] = argv[i];
    }
    *rest = n;
    return RT_OK;
}

static int same_text(const char *a, const char *b) { return a == b || (a && b && !strcmp(a, b)); }

static int same(const rt_option *o, const void *a, const void *b)
{
    const char *x = (const char *)a + o->at, *y = (const char *)b + o->at;
    switch (o->kind) {
    case RT_OPT_FLAG: return *(const int *)(const void *)x == *(const int *)(const void *)y;
    case RT_OPT_INT: return *(const int64_t *)(const void *)x == *(const int64_t *)(const void *)y;
    case RT_OPT_REAL: return *(const double *)(const void *)x == *(const double *)(const void *)y;
    case RT_OPT_TEXT: return same_text(*(const char *const *)(const void *)x, *(const char *const *)(const void *)y);
    case RT_OPT_LIST: return ((const rt_strings *)(const void *)x)->n == ((const rt_strings *)(const void *)y)->n;
    }
    return 0;
}

const char *rt_option_changed(const rt_command *c, const char *const *names, const void *options)
{
    for (; *names; names++) {
        const rt_option *o = options_find(c, *names, strlen(*names));
        if (!o || !same(o, options, c->defaults)) return *names;
    }
    return NULL;
}

rt_status rt_options_help(rt_buf *out, const char *program, const rt_command *c)
{
    RT_TRY(rt_buf_fmt(out, "usage: %s %s %s\n\n%s\n", program, c->name, c->usage, c->text));
    if (c->options && c->options->name) RT_TRY(rt_buf_str(out, "\noptions:\n"));
    for (const rt_option *o = c->options; o && o->name; o++) {
        if (!o->help) continue;
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        RT_TRY(rt_buf_fmt(out, "  %-24s %s%s\n", left, strlen(left) > 24 ? "\n                           " : "", o->help));
    }
    return RT_OK;
}
