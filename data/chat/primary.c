/* primary.c -- parsing what operators join: names, constants, literals, and the calls, attributes, filters and tests that follow them. */
#include "data/chat/eval.h"
#include "data/chat/tree.h"
#include <string.h>

/* ---- primary expressions ---------------------------------------------------------------------------- */

static rt_status parse_name(ds_jparser *p, ds_jnode **out)
{
    static const struct {
        const char *name;
        ds_jvalue   value;
    } words[] = {{"true", {.kind = DS_JBOOL, .i = 1}}, {"True", {.kind = DS_JBOOL, .i = 1}}, {"false", {.kind = DS_JBOOL}},
                 {"False", {.kind = DS_JBOOL}},        {"none", {.kind = DS_JNONE}},         {"None", {.kind = DS_JNONE}}};
    static const char *const special[] = {"varargs", "kwargs", "caller"};
    RT_TRY(ds_jnode_new(p, DS_JN_NAME, out));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ds_jis_name(p->t, words[i].name)) (*out)->kind = DS_JN_CONST, (*out)->value = words[i].value;
    for (int i = 0; i < 3; i++)
        if (ds_jis_name(p->t, special[i])) p->uses |= 1 << i;
    return ds_jexpect_name(p, &(*out)->name, &(*out)->n);
}

/* Elements separated by commas up to `close`; in a dict each is a key, a colon and a value. */
static rt_status parse_elements(ds_jparser *p, const char *close, int pairs, ds_jnode **out)
{
    ds_jchain c = {0};
    ds_jnode *e;
    while (!ds_jis_operator(p->t, close)) {
        if (c.first) RT_TRY(ds_jexpect_operator(p, ","));
        if (ds_jis_operator(p->t, close)) break;
        RT_TRY(ds_jparse_expression(p, &e));
        ds_jchain_add(&c, e);
        if (!pairs) continue;
        RT_TRY(ds_jexpect_operator(p, ":"));
        RT_TRY(ds_jparse_expression(p, &e));
        ds_jchain_add(&c, e);
    }
    *out = c.first;
    return ds_jexpect_operator(p, close);
}

static rt_status parse_parentheses(ds_jparser *p, ds_jnode **out)
{
    p->t++;
    if (ds_jis_operator(p->t, ")")) RT_TRY(ds_jnode_new(p, DS_JN_TUPLE, out));
    else RT_TRY(ds_jparse_tuple(p, 0, out));
    return ds_jexpect_operator(p, ")");
}

static rt_status parse_literal(ds_jparser *p, ds_jnode_kind kind, const char *close, ds_jnode **out)
{
    RT_TRY(ds_jnode_new(p, kind, out));
    p->t++;
    return parse_elements(p, close, kind == DS_JN_DICT, &(*out)->list);
}

rt_status ds_jparse_primary(ds_jparser *p, ds_jnode **out)
{
    if (p->t->type == DS_JT_NAME) return parse_name(p, out);
    if (p->t->type == DS_JT_STRING || p->t->type == DS_JT_INT || p->t->type == DS_JT_FLOAT) {
        RT_TRY(ds_jnode_new(p, DS_JN_CONST, out));
        return ds_jparse_constant(p, &(*out)->value);
    }
    if (ds_jis_operator(p->t, "(")) return parse_parentheses(p, out);
    if (ds_jis_operator(p->t, "[")) return parse_literal(p, DS_JN_LIST, "]", out);
    if (ds_jis_operator(p->t, "{")) return parse_literal(p, DS_JN_DICT, "}", out);
    DS_JSYNTAX(p, 0, "expected an expression, found '%.*s'", (int)(p->t->n < 40 ? p->t->n : 40), p->t->p);
}

/* ---- what follows a primary expression ------------------------------------------------------------------ */

static rt_status parse_argument(ds_jparser *p, ds_jnode **out)
{
    DS_JSYNTAX(p, !ds_jis_operator(p->t, "*") && !ds_jis_operator(p->t, "**"), "arguments of the form *list and **dict are not supported");
    if (p->t->type != DS_JT_NAME || !ds_jis_operator(p->t + 1, "=")) return ds_jparse_expression(p, out);
    RT_TRY(ds_jnode_new(p, DS_JN_KEYWORD, out));
    RT_TRY(ds_jexpect_name(p, &(*out)->name, &(*out)->n));
    p->t++;
    return ds_jparse_expression(p, &(*out)->a);
}

rt_status ds_jparse_arguments(ds_jparser *p, ds_jnode **out)
{
    ds_jchain c = {0};
    ds_jnode *e;
    int       keywords = 0;
    RT_TRY(ds_jexpect_operator(p, "("));
    while (!ds_jis_operator(p->t, ")")) {
        if (c.first) RT_TRY(ds_jexpect_operator(p, ","));
        if (ds_jis_operator(p->t, ")")) break;
        RT_TRY(parse_argument(p, &e));
        DS_JSYNTAX(p, e->kind == DS_JN_KEYWORD || !keywords, "an argument without a name follows one with a name");
        keywords |= e->kind == DS_JN_KEYWORD;
        ds_jchain_add(&c, e);
    }
    *out = c.first;
    return ds_jexpect_operator(p, ")");
}

static int ends_part(const ds_jparser *p) { return ds_jis_operator(p->t, "]") || ds_jis_operator(p->t, ":") || ds_jis_operator(p->t, ","); }

/* [key], [from:to] or [from:to:step] */
static rt_status parse_subscript(ds_jparser *p, ds_jnode *of, ds_jnode **out)
{
    ds_jnode *part[3] = {0};
    int       colons  = 0;
    p->t++;
    for (;;) {
        if (!ends_part(p)) RT_TRY(ds_jparse_expression(p, &part[colons]));
        if (colons == 2 || !ds_jskip_operator(p, ":")) break;
        colons++;
    }
    DS_JSYNTAX(p, !ds_jis_operator(p->t, ","), "several subscripts in one pair of brackets are not supported");
    DS_JSYNTAX(p, colons || part[0], "expected a subscript, found ']'");
    RT_TRY(ds_jjoin(p, colons ? DS_JN_SLICE : DS_JN_ITEM, of, part[0], out));
    (*out)->c = part[1];
    (*out)->d = part[2];
    return ds_jexpect_operator(p, "]");
}

static rt_status parse_attribute(ds_jparser *p, ds_jnode *of, ds_jnode **out)
{
    p->t++;
    if (p->t->type == DS_JT_INT) {
        RT_TRY(ds_jjoin(p, DS_JN_ITEM, of, NULL, out));
        return ds_jparse_primary(p, &(*out)->b);
    }
    RT_TRY(ds_jjoin(p, DS_JN_ATTRIBUTE, of, NULL, out));
    return ds_jexpect_name(p, &(*out)->name, &(*out)->n);
}

static rt_status parse_call(ds_jparser *p, ds_jnode *of, ds_jnode **out)
{
    RT_TRY(ds_jjoin(p, DS_JN_CALL, of, NULL, out));
    return ds_jparse_arguments(p, &(*out)->list);
}

rt_status ds_jparse_postfix(ds_jparser *p, ds_jnode *of, ds_jnode **out)
{
    for (;;) {
        if (ds_jis_operator(p->t, ".")) RT_TRY(parse_attribute(p, of, &of));
        else if (ds_jis_operator(p->t, "[")) RT_TRY(parse_subscript(p, of, &of));
        else if (ds_jis_operator(p->t, "(")) RT_TRY(parse_call(p, of, &of));
        else break;
    }
    *out = of;
    return RT_OK;
}

/* ---- filters and tests -------------------------------------------------------------------------------------- */

/* The template is refused for an unknown filter or test, but not for one that stands in a condition, which may never be reached. */
static void note_unknown(ds_jparser *p, const ds_jnode *n, int known)
{
    if (!known && !p->later && !p->unknown) p->unknown = n;
}

static rt_status parse_filter(ds_jparser *p, ds_jnode *of, ds_jnode **out)
{
    RT_TRY(ds_jjoin(p, DS_JN_FILTER, of, NULL, out));
    RT_TRY(ds_jexpect_name(p, &(*out)->name, &(*out)->n));
    note_unknown(p, *out, ds_jfilter_named((*out)->name, (*out)->n) != NULL);
    return ds_jis_operator(p->t, "(") ? ds_jparse_arguments(p, &(*out)->list) : RT_OK;
}

rt_status ds_jparse_filters(ds_jparser *p, ds_jnode *of, int begun, ds_jnode **out)
{
    for (; begun || ds_jskip_operator(p, "|"); begun = 0) RT_TRY(parse_filter(p, of, &of));
    *out = of;
    return RT_OK;
}

/* A test's argument may stand without parentheses: `x is divisibleby 3`. */
static int begins_argument(const ds_jparser *p)
{
    static const char *const ends[] = {"else", "or", "and"};
    for (int i = 0; i < 3; i++)
        if (ds_jis_name(p->t, ends[i])) return 0;
    if (ds_jis_operator(p->t, "[") || ds_jis_operator(p->t, "{")) return 1;
    return p->t->type == DS_JT_NAME || p->t->type == DS_JT_STRING || p->t->type == DS_JT_INT || p->t->type == DS_JT_FLOAT;
}

static rt_status parse_test_argument(ds_jparser *p, ds_jnode **out)
{
    if (ds_jis_operator(p->t, "(")) return ds_jparse_arguments(p, out);
    if (!begins_argument(p)) return RT_OK;
    DS_JSYNTAX(p, !ds_jis_name(p->t, "is"), "tests cannot follow each other; put the first in parentheses");
    RT_TRY(ds_jparse_primary(p, out));
    return ds_jparse_postfix(p, *out, out);
}

static rt_status parse_test(ds_jparser *p, ds_jnode *of, ds_jnode **out)
{
    ds_jnode *test;
    p->t++;
    const int not = ds_jskip_name(p, "not");
    RT_TRY(ds_jjoin(p, DS_JN_TEST, of, NULL, &test));
    RT_TRY(ds_jexpect_name(p, &test->name, &test->n));
    note_unknown(p, test, ds_jtest_named(test->name, test->n) != NULL);
    RT_TRY(parse_test_argument(p, &test->list));
    *out = test;
    return not ? ds_jjoin(p, DS_JN_NOT, test, NULL, out) : RT_OK;
}

rt_status ds_jparse_applied(ds_jparser *p, ds_jnode *of, ds_jnode **out)
{
    for (;;) {
        if (ds_jis_operator(p->t, "|")) RT_TRY(ds_jparse_filters(p, of, 0, &of));
        else if (ds_jis_name(p->t, "is")) RT_TRY(parse_test(p, of, &of));
        else if (ds_jis_operator(p->t, "(")) RT_TRY(parse_call(p, of, &of));
        else break;
    }
    *out = of;
    return RT_OK;
}
