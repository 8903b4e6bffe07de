/* statement.c -- parsing statements: {% if %}, {% for %}, {% set %}, {% macro %} and the others. */
#include "data/chat/eval.h"
#include "data/chat/tree.h"
#include <string.h>

/* Parses up to a tag that begins with one of the words, separated by spaces, which becomes the current token. */
static rt_status parse_body(ds_jparser *p, const char *ends, ds_jnode **out);

static rt_status expect_block_end(ds_jparser *p)
{
    DS_JSYNTAX(p, p->t->type == DS_JT_BLOCK_END, "expected the end of a statement, found '%.*s'", (int)(p->t->n < 40 ? p->t->n : 40),
               p->t->p);
    p->t++;
    return RT_OK;
}

/* Parses a body and the tag that ends it. */
static rt_status parse_whole_body(ds_jparser *p, const char *end, ds_jnode **out)
{
    RT_TRY(expect_block_end(p));
    RT_TRY(parse_body(p, end, out));
    p->t++;
    return RT_OK;
}

/* As parse_whole_body for a body with a scope of its own, where Jinja refuses unknown filters at once again. */
static rt_status parse_scope_body(ds_jparser *p, const char *end, ds_jnode **out)
{
    const int later = p->later, loops = p->loops;
    p->later = p->loops = 0;
    RT_TRY(parse_whole_body(p, end, out));
    p->later = later, p->loops = loops;
    return RT_OK;
}

/* ---- targets: a name, a namespace's attribute, or several names ---------------------------------------------- */

static rt_status parse_target_name(ds_jparser *p, int members, ds_jnode **out)
{
    ds_jnode *of;
    RT_TRY(ds_jnode_new(p, DS_JN_NAME, out));
    RT_TRY(ds_jexpect_name(p, &(*out)->name, &(*out)->n));
    if (!members || !ds_jskip_operator(p, ".")) return RT_OK;
    of = *out;
    RT_TRY(ds_jnode_new(p, DS_JN_MEMBER, out));
    (*out)->a = of;
    return ds_jexpect_name(p, &(*out)->name, &(*out)->n);
}

static rt_status parse_targets(ds_jparser *p, int members, ds_jnode **out);

static rt_status parse_target(ds_jparser *p, int members, ds_jnode **out)
{
    if (!ds_jis_operator(p->t, "(")) return parse_target_name(p, members, out);
    RT_TRY(ds_jnest(p));
    p->t++;
    RT_TRY(parse_targets(p, members, out));
    p->depth--;
    return ds_jexpect_operator(p, ")");
}

static rt_status parse_targets(ds_jparser *p, int members, ds_jnode **out)
{
    ds_jnode *first, *n, **end;
    RT_TRY(parse_target(p, members, &first));
    *out = first;
    if (!ds_jis_operator(p->t, ",")) return RT_OK;
    RT_TRY(ds_jnode_new(p, DS_JN_TUPLE, out));
    (*out)->list = first;
    for (end = &first->next; ds_jskip_operator(p, ","); end = &n->next) {
        if (p->t->type != DS_JT_NAME && !ds_jis_operator(p->t, "(")) break;
        RT_TRY(parse_target(p, members, &n));
        *end = n;
    }
    return RT_OK;
}

/* ---- statements -------------------------------------------------------------------------------------------------- */

static rt_status parse_if(ds_jparser *p, ds_jnode *n)
{
    const int later = p->later;
    p->later        = 1;
    for (;;) {
        RT_TRY(ds_jparse_tuple(p, 1, &n->a));
        RT_TRY(expect_block_end(p));
        RT_TRY(parse_body(p, "elif else endif", &n->body));
        if (ds_jskip_name(p, "endif")) break;
        const int more = ds_jis_name(p->t, "elif");
        RT_TRY(ds_jnode_new(p, DS_JN_IF, &n->other));
        n = n->other;
        p->t++;
        if (more) continue;
        RT_TRY(parse_whole_body(p, "endif", &n->body));
        break;
    }
    p->later = later;
    return RT_OK;
}

static rt_status parse_for_body(ds_jparser *p, ds_jnode *n)
{
    const int later = p->later;
    p->later        = 0;
    if (ds_jskip_name(p, "if")) RT_TRY(ds_jparse_expression(p, &n->c));
    DS_JSYNTAX(p, !ds_jis_name(p->t, "recursive"), "recursive loops are not supported");
    RT_TRY(expect_block_end(p));
    p->loops++;
    RT_TRY(parse_body(p, "else endfor", &n->body));
    p->loops--;
    if (ds_jskip_name(p, "else")) RT_TRY(parse_whole_body(p, "endfor", &n->other));
    else p->t++;
    p->later = later;
    return RT_OK;
}

static rt_status parse_for(ds_jparser *p, ds_jnode *n)
{
    RT_TRY(parse_targets(p, 0, &n->a));
    DS_JSYNTAX(p, !ds_jis_name(p->t - 1, "loop"), "a loop cannot set 'loop'");
    DS_JSYNTAX(p, ds_jskip_name(p, "in"), "expected 'in' in a for statement");
    RT_TRY(ds_jparse_tuple(p, 1, &n->b));
    return parse_for_body(p, n);
}

static rt_status parse_set(ds_jparser *p, ds_jnode *n)
{
    RT_TRY(parse_targets(p, 1, &n->a));
    if (ds_jskip_operator(p, "=")) return ds_jparse_tuple(p, 0, &n->b);
    n->kind = DS_JN_SET_BLOCK;
    RT_TRY(ds_jparse_filters(p, NULL, 0, &n->b));
    return parse_scope_body(p, "endset", &n->body);
}

/* The parameters of a macro: names, some with a default. */
static rt_status parse_parameters(ds_jparser *p, ds_jnode **out)
{
    ds_jnode **end      = out, *n;
    int        defaults = 0;
    RT_TRY(ds_jexpect_operator(p, "("));
    while (!ds_jis_operator(p->t, ")")) {
        if (*out) RT_TRY(ds_jexpect_operator(p, ","));
        RT_TRY(parse_target_name(p, 0, &n));
        if (ds_jskip_operator(p, "=")) RT_TRY(ds_jparse_expression(p, &n->a));
        DS_JSYNTAX(p, n->a || !defaults, "a parameter without a default follows one with a default");
        defaults = n->a != NULL;
        *end     = n;
        end      = &n->next;
    }
    return ds_jexpect_operator(p, ")");
}

static rt_status parse_macro_body(ds_jparser *p, ds_jnode *n, const char *end)
{
    const int before = p->uses;
    p->uses          = 0;
    RT_TRY(parse_scope_body(p, end, &n->body));
    n->uses = p->uses;
    p->uses |= before;
    return RT_OK;
}

static rt_status parse_macro(ds_jparser *p, ds_jnode *n)
{
    RT_TRY(ds_jexpect_name(p, &n->name, &n->n));
    RT_TRY(parse_parameters(p, &n->list));
    return parse_macro_body(p, n, "endmacro");
}

static rt_status parse_call_block(ds_jparser *p, ds_jnode *n)
{
    RT_TRY(ds_jnode_new(p, DS_JN_MACRO, &n->other));
    n->other->name = "caller", n->other->n = strlen("caller");
    if (ds_jis_operator(p->t, "(")) RT_TRY(parse_parameters(p, &n->other->list));
    RT_TRY(ds_jparse_expression(p, &n->a));
    DS_JSYNTAX(p, n->a->kind == DS_JN_CALL, "a call statement takes a call");
    return parse_macro_body(p, n->other, "endcall");
}

static rt_status parse_filter_block(ds_jparser *p, ds_jnode *n)
{
    RT_TRY(ds_jparse_filters(p, NULL, 1, &n->b));
    return parse_scope_body(p, "endfilter", &n->body);
}

static rt_status parse_with(ds_jparser *p, ds_jnode *n)
{
    ds_jnode **end = &n->list;
    while (p->t->type != DS_JT_BLOCK_END) {
        if (n->list) RT_TRY(ds_jexpect_operator(p, ","));
        RT_TRY(ds_jnode_new(p, DS_JN_SET, end));
        RT_TRY(parse_target(p, 0, &(*end)->a));
        RT_TRY(ds_jexpect_operator(p, "="));
        RT_TRY(ds_jparse_expression(p, &(*end)->b));
        end = &(*end)->next;
    }
    return parse_scope_body(p, "endwith", &n->body);
}

static rt_status parse_generation(ds_jparser *p, ds_jnode *n) { return parse_scope_body(p, "endgeneration", &n->body); }

static rt_status parse_leave(ds_jparser *p, ds_jnode *n)
{
    DS_JSYNTAX(p, p->loops, "'%s' stands outside a loop", n->kind == DS_JN_BREAK ? "break" : "continue");
    return RT_OK;
}

static const struct {
    const char   *word;
    ds_jnode_kind kind;
    rt_status (*parse)(ds_jparser *p, ds_jnode *n);
} statements[] = {{"if", DS_JN_IF, parse_if},
                  {"for", DS_JN_FOR, parse_for},
                  {"set", DS_JN_SET, parse_set},
                  {"macro", DS_JN_MACRO, parse_macro},
                  {"call", DS_JN_CALL_BLOCK, parse_call_block},
                  {"filter", DS_JN_FILTER_BLOCK, parse_filter_block},
                  {"with", DS_JN_WITH, parse_with},
                  {"generation", DS_JN_SCOPE, parse_generation},
                  {"break", DS_JN_BREAK, parse_leave},
                  {"continue", DS_JN_CONTINUE, parse_leave}};

static rt_status parse_statement(ds_jparser *p, ds_jnode **out)
{
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (!ds_jis_name(p->t, statements[i].word)) continue;
        RT_TRY(ds_jnode_new(p, statements[i].kind, out));
        RT_TRY(ds_jnest(p));
        p->t++;
        RT_TRY(statements[i].parse(p, *out));
        p->depth--;
        return expect_block_end(p);
    }
    DS_JSYNTAX(p, 0, "the statement '%.*s' is not supported or has no place here", (int)(p->t->n < 40 ? p->t->n : 40), p->t->p);
}

/* ---- bodies ----------------------------------------------------------------------------------------------------------- */

/* Returns 1 if the token is one of the words. */
static int is_one_of(const ds_jtoken *t, const char *words)
{
    for (size_t n; *words; words += n + (words[n] == ' ')) {
        n = strcspn(words, " ");
        if (t->type == DS_JT_NAME && t->n == n && !memcmp(t->p, words, n)) return 1;
    }
    return 0;
}

static rt_status parse_print(ds_jparser *p, ds_jnode **out)
{
    RT_TRY(ds_jnode_new(p, DS_JN_PRINT, out));
    p->t++;
    RT_TRY(ds_jparse_tuple(p, 0, &(*out)->a));
    DS_JSYNTAX(p, p->t->type == DS_JT_PRINT_END, "expected '}}', found '%.*s'", (int)(p->t->n < 40 ? p->t->n : 40), p->t->p);
    p->t++;
    return RT_OK;
}

static rt_status parse_text(ds_jparser *p, ds_jnode **out)
{
    RT_TRY(ds_jnode_new(p, DS_JN_TEXT, out));
    (*out)->name = p->t->p;
    (*out)->n    = p->t->n;
    p->t++;
    return RT_OK;
}

static rt_status parse_body(ds_jparser *p, const char *ends, ds_jnode **out)
{
    for (ds_jnode **end = out; p->t->type != DS_JT_END; end = &(*end)->next) {
        if (p->t->type == DS_JT_DATA) RT_TRY(parse_text(p, end));
        else if (p->t->type == DS_JT_PRINT) RT_TRY(parse_print(p, end));
        else {
            p->t++;
            if (is_one_of(p->t, ends)) return RT_OK;
            RT_TRY(parse_statement(p, end));
        }
    }
    DS_JSYNTAX(p, !*ends, "the template ends before '%s'", ends);
    return RT_OK;
}

rt_status ds_jparse(ds_jarena *a, const char *source, size_t n, const char *where, ds_jnode **out)
{
    ds_jparser p = {.arena = a, .where = where};
    RT_TRY(ds_jlex(a, source, n, where, &p.t));
    *out = NULL;
    RT_TRY(parse_body(&p, "", out));
    if (!p.unknown) return RT_OK;
    return ds_jsyntax(where, p.unknown->line, __FILE__, __LINE__, "the %s '%.*s' is not supported",
                      p.unknown->kind == DS_JN_FILTER ? "filter" : "test", (int)(p.unknown->n < 40 ? p.unknown->n : 40), p.unknown->name);
}
