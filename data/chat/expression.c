/* expression.c -- parsing expressions, with Jinja's precedence: if, or, and, not, comparisons, + -, ~, * / // %, **, signs, filters. */
#include "data/chat/tree.h"
#include <string.h>

/* ---- operators ------------------------------------------------------------------------------------------------- */

/* A sign binds more closely than filters, which apply to the signed value. */
static rt_status parse_sign(ds_jparser *p, int filters, ds_jnode **out)
{
    const int minus = ds_jis_operator(p->t, "-"), plus = ds_jis_operator(p->t, "+");
    ds_jnode *of;
    RT_TRY(ds_jnest(p));
    if (minus || plus) {
        RT_TRY(ds_jnode_new(p, minus ? DS_JN_NEGATIVE : DS_JN_POSITIVE, &of));
        p->t++;
        RT_TRY(parse_sign(p, 0, &of->a));
    } else RT_TRY(ds_jparse_primary(p, &of));
    RT_TRY(ds_jparse_postfix(p, of, &of));
    p->depth--;
    *out = of;
    return filters ? ds_jparse_applied(p, of, out) : RT_OK;
}

static rt_status parse_signed(ds_jparser *p, ds_jnode **out) { return parse_sign(p, 1, out); }

typedef rt_status (*parse_operand)(ds_jparser *p, ds_jnode **out);

/* Operators of one precedence, from left to right. */
static rt_status parse_binary(ds_jparser *p, parse_operand operand, const char *const *operators, ds_jnode **out)
{
    ds_jnode *n;
    RT_TRY(operand(p, out));
    for (int i = 0; operators[i];) {
        if (!ds_jis_operator(p->t, operators[i])) {
            i++;
            continue;
        }
        RT_TRY(ds_jjoin(p, DS_JN_BINARY, *out, NULL, &n));
        n->name = p->t->p, n->n = p->t->n;
        p->t++;
        RT_TRY(operand(p, &n->b));
        *out = n;
        i    = 0;
    }
    return RT_OK;
}

static rt_status parse_power(ds_jparser *p, ds_jnode **out)
{
    static const char *const power[] = {"**", NULL};
    return parse_binary(p, parse_signed, power, out);
}

static rt_status parse_product(ds_jparser *p, ds_jnode **out)
{
    static const char *const products[] = {"*", "/", "//", "%", NULL};
    return parse_binary(p, parse_power, products, out);
}

static rt_status parse_concat(ds_jparser *p, ds_jnode **out)
{
    ds_jchain c = {0};
    ds_jnode *e, *n;
    RT_TRY(parse_product(p, &e));
    *out = e;
    if (!ds_jis_operator(p->t, "~")) return RT_OK;
    RT_TRY(ds_jnode_new(p, DS_JN_CONCAT, &n));
    ds_jchain_add(&c, e);
    while (ds_jskip_operator(p, "~")) {
        RT_TRY(parse_product(p, &e));
        ds_jchain_add(&c, e);
    }
    n->list = c.first;
    *out    = n;
    return RT_OK;
}

static rt_status parse_sum(ds_jparser *p, ds_jnode **out)
{
    static const char *const sums[] = {"+", "-", NULL};
    return parse_binary(p, parse_concat, sums, out);
}

/* Returns 1 if the current token compares; *words: how many tokens the operator has. */
static int begins_comparison(const ds_jparser *p, int *words)
{
    static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">="};
    *words                               = 1;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (ds_jis_operator(p->t, operators[i])) return 1;
    if (ds_jis_name(p->t, "in")) return 1;
    *words = 2;
    return ds_jis_name(p->t, "not") && ds_jis_name(p->t + 1, "in");
}

static rt_status parse_comparison(ds_jparser *p, ds_jnode **out)
{
    ds_jchain c = {0};
    ds_jnode *n, *e;
    int       words;
    RT_TRY(parse_sum(p, out));
    if (!begins_comparison(p, &words)) return RT_OK;
    RT_TRY(ds_jjoin(p, DS_JN_COMPARE, *out, NULL, &n));
    while (begins_comparison(p, &words)) {
        RT_TRY(ds_jnode_new(p, DS_JN_OPERAND, &e));
        e->name = p->t->p, e->n = p->t->n; /* "not" stands for "not in" */
        p->t += words;
        RT_TRY(parse_sum(p, &e->a));
        ds_jchain_add(&c, e);
    }
    n->list = c.first;
    *out    = n;
    return RT_OK;
}

static rt_status parse_not(ds_jparser *p, ds_jnode **out)
{
    if (!ds_jis_name(p->t, "not")) return parse_comparison(p, out);
    RT_TRY(ds_jnest(p));
    RT_TRY(ds_jnode_new(p, DS_JN_NOT, out));
    p->t++;
    RT_TRY(parse_not(p, &(*out)->a));
    p->depth--;
    return RT_OK;
}

static rt_status parse_and(ds_jparser *p, ds_jnode **out)
{
    RT_TRY(parse_not(p, out));
    while (ds_jskip_name(p, "and")) {
        RT_TRY(ds_jjoin(p, DS_JN_AND, *out, NULL, out));
        RT_TRY(parse_not(p, &(*out)->b));
    }
    return RT_OK;
}

rt_status ds_jparse_simple(ds_jparser *p, ds_jnode **out)
{
    RT_TRY(ds_jnest(p));
    RT_TRY(parse_and(p, out));
    while (ds_jskip_name(p, "or")) {
        RT_TRY(ds_jjoin(p, DS_JN_OR, *out, NULL, out));
        RT_TRY(parse_and(p, &(*out)->b));
    }
    p->depth--;
    return RT_OK;
}

rt_status ds_jparse_expression(ds_jparser *p, ds_jnode **out)
{
    const int       later  = p->later;
    const ds_jnode *before = p->unknown;
    RT_TRY(ds_jnest(p));
    RT_TRY(ds_jparse_simple(p, out));
    while (ds_jskip_name(p, "if")) {
        p->later   = 1;
        p->unknown = before;
        RT_TRY(ds_jjoin(p, DS_JN_CHOICE, NULL, *out, out));
        RT_TRY(ds_jparse_simple(p, &(*out)->a));
        if (ds_jskip_name(p, "else")) RT_TRY(ds_jparse_expression(p, &(*out)->c));
    }
    p->later = later;
    p->depth--;
    return RT_OK;
}

rt_status ds_jparse_tuple(ds_jparser *p, int simple, ds_jnode **out)
{
    ds_jchain c     = {0};
    ds_jnode *first = NULL, *e;
    RT_TRY(simple ? ds_jparse_simple(p, &first) : ds_jparse_expression(p, &first));
    *out = first;
    if (!ds_jis_operator(p->t, ",")) return RT_OK;
    ds_jchain_add(&c, first);
    while (ds_jskip_operator(p, ",")) {
        if (p->t->type == DS_JT_PRINT_END || p->t->type == DS_JT_BLOCK_END || ds_jis_operator(p->t, ")")) break;
        RT_TRY(simple ? ds_jparse_simple(p, &e) : ds_jparse_expression(p, &e));
        ds_jchain_add(&c, e);
    }
    RT_TRY(ds_jnode_new(p, DS_JN_TUPLE, out));
    (*out)->list = c.first;
    return RT_OK;
}
