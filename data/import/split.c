/* split.c -- parsing --split and --max-tokens, and the parts' sizes. */
#include "data/import/split.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parses the next item of "a,NAME=b,...": its name (empty: none) and value.  Returns 0 at the end. */
static int next_item(const char **at, char name[32], char value[32])
{
    const size_t n = strcspn(*at, ","), eq = strcspn(*at, ",=");
    if (!**at) return 0;
    const int named = eq < n;
    snprintf(name, 32, "%.*s", named ? (int)(eq < 31 ? eq : 31) : 0, *at);
    const char *v = named ? *at + eq + 1 : *at;
    snprintf(value, 32, "%.*s", (int)(n - (size_t)(v - *at) < 31 ? n - (size_t)(v - *at) : 31), v);
    *at += n + ((*at)[n] == ',');
    return 1;
}

static int good_name(const char *s)
{
    for (const char *c = s; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-') return 0;
    return *s != '\0';
}

static rt_status add_part(ds_split *s, const char *name, const char *value)
{
    char     *end;
    const int i = s->n;
    RT_CHECK(i < DS_MAX_PARTS, RT_EINVAL, "--split: expected at most %d parts", DS_MAX_PARTS);
    if (*name) snprintf(s->part[i].name, sizeof s->part[i].name, "%s", name);
    else snprintf(s->part[i].name, sizeof s->part[i].name, "%d", i);
    RT_CHECK(good_name(s->part[i].name), RT_EINVAL, "--split: '%s' must be a name of letters, digits, '-' and '_'", name);
    for (int j = 0; j < i; j++)
        RT_CHECK(strcmp(s->part[j].name, s->part[i].name), RT_EINVAL, "--split: the part '%s' occurs twice", s->part[i].name);
    s->size[i] = !strcmp(value, "rest") ? -1 : strtod(value, &end);
    RT_CHECK(s->size[i] == -1 || (*value && !*end && s->size[i] > 0 && s->size[i] < 1e15), RT_EINVAL,
             "--split: '%s' must be a share below 1, a number of documents or 'rest'", value);
    RT_CHECK(s->size[i] < 1 || floor(s->size[i]) == s->size[i], RT_EINVAL,
             "--split: '%s' must be an integer, because a value of 1 or more is a number of documents", value);
    s->n++;
    return RT_OK;
}

static rt_status parse_sizes(ds_split *s, const char *text)
{
    char   name[32], value[32];
    double shares = 0;
    int    rests  = 0;
    while (next_item(&text, name, value)) RT_TRY(add_part(s, name, value));
    for (int i = 0; i < s->n; i++) {
        if (s->size[i] < 0) rests++;
        else if (s->size[i] < 1) shares += s->size[i];
    }
    RT_CHECK(s->n > 0, RT_EINVAL, "--split: expected parts, for example train=0.9,valid=0.1; found none");
    RT_CHECK(shares <= 1 + 1e-9, RT_EINVAL, "--split: the shares add up to %g, more than 1", shares);
    RT_CHECK(rests <= 1, RT_EINVAL, "--split: 'rest' may occur once, found %d times", rests);
    return RT_OK;
}

static rt_status parse_limits(ds_split *s, const char *text)
{
    char name[32], value[32], *end;
    while (next_item(&text, name, value)) {
        errno         = 0;
        long long v   = strtoll(value, &end, 10);
        int       hit = 0;
        RT_CHECK(*value && !*end && !errno && v >= 1, RT_EINVAL, "--max-tokens: '%s' must be a positive integer", value);
        for (int i = 0; i < s->n; i++)
            if (!*name || !strcmp(name, s->part[i].name)) s->limit[i] = v, hit = 1;
        RT_CHECK(hit, RT_EINVAL, "--max-tokens: no part is named '%s'", name);
    }
    return RT_OK;
}

static rt_status make_paths(ds_split *s, const char *out, int parts)
{
    const size_t n = strlen(out), stem = n > 3 && !strcmp(out + n - 3, ".h5") ? n - 3 : n;
    RT_CHECK(stem < n, RT_EINVAL, "--out %s: expected a name that ends with .h5", out);
    for (int i = 0; i < s->n; i++) {
        rt_buf b = {0};
        RT_TRY(rt_buf_fmt(&b, parts ? "%.*s-%s.h5" : "%.*s%s.h5", (int)stem, out, s->part[i].name));
        s->part[i].path = rt_buf_detach(&b);
    }
    return RT_OK;
}

rt_status ds_split_parse(ds_split *s, const ds_import_opts *o)
{
    *s = (ds_split){.n = 0};
    if (o->split) RT_TRY(parse_sizes(s, o->split));
    else s->size[0] = -1, s->n = 1;
    if (o->max_tokens) RT_TRY(parse_limits(s, o->max_tokens));
    return make_paths(s, o->out, o->split != NULL);
}

rt_status ds_split_assign(ds_split *s, int64_t docs)
{
    int64_t used = 0, at = 0;
    double  share = 0;
    for (int i = 0; i < s->n; i++) { /* the running sum is rounded, so that no document is lost */
        const double before = floor(share * (double)docs + 0.5);
        if (s->size[i] > 0 && s->size[i] < 1) share += s->size[i];
        s->docs[i] = s->size[i] >= 1 ? (int64_t)s->size[i] : s->size[i] < 0 ? 0 : (int64_t)(floor(share * (double)docs + 0.5) - before);
        used += s->docs[i];
    }
    RT_CHECK(used <= docs, RT_EINVAL, "--split needs %lld documents, but the files hold %lld", (long long)used, (long long)docs);
    for (int i = 0; i < s->n; i++) {
        if (s->size[i] < 0) s->docs[i] = docs - used;
        RT_CHECK(s->docs[i] > 0, RT_EINVAL, "%s would be empty, because the files hold only %lld documents; change --split",
                 s->part[i].path, (long long)docs);
        s->first[i] = at;
        at += s->docs[i];
    }
    return RT_OK;
}
