/* parser.c -- what the parser of expressions and that of statements share. */
#include "data/chat/tree.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

rt_status ds_jsyntax(const char *where, int at, const char *file, int line, const char *fmt, ...)
{
    char    text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return rt_fail(RT_EFORMAT, file, line, "%s, line %d: %s", where, at, text);
}

rt_status ds_jnode_new(ds_jparser *p, ds_jnode_kind kind, ds_jnode **out)
{
    ds_jnode *n;
    RT_TRY(DS_JNEW(p->arena, n, 1));
    n->kind = kind;
    n->line = p->t->line;
    *out    = n;
    return RT_OK;
}

static int token_is(const ds_jtoken *t, ds_jtype_of_token type, const char *text)
{
    return t->type == type && t->n == strlen(text) && !memcmp(t->p, text, t->n);
}

int ds_jis_name(const ds_jtoken *t, const char *name) { return token_is(t, DS_JT_NAME, name); }
int ds_jis_operator(const ds_jtoken *t, const char *text) { return token_is(t, DS_JT_OPERATOR, text); }

int ds_jskip_name(ds_jparser *p, const char *name)
{
    const int yes = ds_jis_name(p->t, name);
    p->t += yes;
    return yes;
}

int ds_jskip_operator(ds_jparser *p, const char *text)
{
    const int yes = ds_jis_operator(p->t, text);
    p->t += yes;
    return yes;
}

rt_status ds_jexpect_operator(ds_jparser *p, const char *text)
{
    DS_JSYNTAX(p, ds_jskip_operator(p, text), "expected '%s', found '%.*s'", text, (int)(p->t->n < 40 ? p->t->n : 40), p->t->p);
    return RT_OK;
}

rt_status ds_jexpect_name(ds_jparser *p, const char **name, size_t *n)
{
    DS_JSYNTAX(p, p->t->type == DS_JT_NAME, "expected a name, found '%.*s'", (int)(p->t->n < 40 ? p->t->n : 40), p->t->p);
    *name = p->t->p;
    *n    = p->t->n;
    p->t++;
    return RT_OK;
}

rt_status ds_jnest(ds_jparser *p)
{
    DS_JSYNTAX(p, p->depth < DS_JNEST, "expressions and blocks are nested deeper than %d levels", DS_JNEST);
    p->depth++;
    return RT_OK;
}

void ds_jchain_add(ds_jchain *c, ds_jnode *n)
{
    if (!c->first) c->first = n;
    else *c->end = n;
    c->end = &n->next;
}

rt_status ds_jjoin(ds_jparser *p, ds_jnode_kind kind, ds_jnode *a, ds_jnode *b, ds_jnode **out)
{
    RT_TRY(ds_jnode_new(p, kind, out));
    (*out)->a = a;
    (*out)->b = b;
    return RT_OK;
}
