/* methods_text.c -- the methods of texts, as Python's str has them. */
#include "data/chat/characters.h"
#include "data/chat/eval.h"
#include "data/chat/strip.h"
#include <string.h>

/* ---- case ------------------------------------------------------------------------------------------ */

static rt_status method_case(ds_jrun *r, ds_jcall *c, ds_jcase to, ds_jvalue *out)
{
    ds_jout o = {0};
    RT_TRY(ds_jput_case(r, &o, c->self->p, (size_t)c->self->n, to));
    *out = ds_jbuilt(&o);
    return RT_OK;
}

static rt_status method_upper(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return method_case(r, c, DS_JUPPER, out); }
static rt_status method_lower(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return method_case(r, c, DS_JLOWER, out); }
static rt_status method_title(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return method_case(r, c, DS_JTITLE, out); }

static rt_status method_capitalize(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jout o = {0};
    RT_TRY(ds_jput_capital(r, &o, c->self->p, (size_t)c->self->n));
    *out = ds_jbuilt(&o);
    return RT_OK;
}

/* ---- stripping --------------------------------------------------------------------------------------- */

static rt_status method_sides(ds_jrun *r, ds_jcall *c, int sides, ds_jvalue *out)
{
    ds_jvalue set = ds_jnone();
    if (c->v[0].kind != DS_JNONE) RT_TRY(ds_jargument_text(r, c, 0, &set));
    *out = ds_jstrip(c->self, &set, sides);
    return ds_jwork(r, c->self->n);
}

static rt_status method_strip(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return method_sides(r, c, DS_JSTRIP_BOTH, out); }
static rt_status method_lstrip(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return method_sides(r, c, DS_JSTRIP_LEFT, out); }
static rt_status method_rstrip(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return method_sides(r, c, DS_JSTRIP_RIGHT, out); }

static int text_begins(const ds_jvalue *t, const ds_jvalue *with) { return with->n <= t->n && !memcmp(t->p, with->p, (size_t)with->n); }

static int text_ends(const ds_jvalue *t, const ds_jvalue *with)
{
    return with->n <= t->n && !memcmp(t->p + t->n - with->n, with->p, (size_t)with->n);
}

static rt_status method_removeprefix(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue with;
    RT_TRY(ds_jargument_text(r, c, 0, &with));
    const int64_t n = text_begins(c->self, &with) ? with.n : 0;
    *out            = ds_jtext(c->self->p + n, (size_t)(c->self->n - n));
    return ds_jwork(r, with.n);
}

static rt_status method_removesuffix(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue with;
    RT_TRY(ds_jargument_text(r, c, 0, &with));
    *out = ds_jtext(c->self->p, (size_t)(c->self->n - (text_ends(c->self, &with) ? with.n : 0)));
    return ds_jwork(r, with.n);
}

/* ---- looking for texts ---------------------------------------------------------------------------------- */

/* The part of the text from argument 1 to argument 2; *skipped: the characters before it.  0: it is beyond the text. */
static rt_status text_part(ds_jrun *r, ds_jcall *c, ds_jvalue *part, int64_t *skipped, int *there)
{
    int64_t   n, start = 0;
    ds_jvalue parts[3] = {c->v[1], c->v[2], {0}};
    RT_TRY(ds_jlength(r, c->self, &n));
    if (c->v[1].kind != DS_JNONE) RT_TRY(ds_jargument_int(r, c, 1, &start));
    *there   = start <= n;
    *skipped = start < 0 ? (start < -n ? 0 : start + n) : start;
    return ds_jslice(r, c->self, parts, part);
}

/* A text, or a tuple of texts one of which is enough. */
static rt_status method_edge(ds_jrun *r, ds_jcall *c, int (*edge)(const ds_jvalue *t, const ds_jvalue *with), ds_jvalue *out)
{
    const ds_jvalue *with = c->v[0].kind == DS_JTUPLE ? c->v[0].v : &c->v[0];
    const int64_t    n    = c->v[0].kind == DS_JTUPLE ? c->v[0].n : 1;
    ds_jvalue        part;
    int64_t          skipped;
    int              yes = 0, there;
    RT_TRY(text_part(r, c, &part, &skipped, &there));
    for (int64_t i = 0; i < n && !yes; i++) {
        DS_JCHECK(r, with[i].kind == DS_JTEXT, "'%s' takes a text or a tuple of texts, found a %s", c->what, ds_jtype(&with[i]));
        yes = there && edge(&part, &with[i]);
        RT_TRY(ds_jwork(r, with[i].n));
    }
    *out = ds_jbool(yes);
    return RT_OK;
}

static rt_status method_startswith(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return method_edge(r, c, text_begins, out); }
static rt_status method_endswith(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return method_edge(r, c, text_ends, out); }

/* Returns the last place of a text; NULL: none. */
static const char *find_from_right(const ds_jvalue *t, const ds_jvalue *what)
{
    for (const char *p = t->p + t->n - what->n; what->n <= t->n; p--) {
        if (!memcmp(p, what->p, (size_t)what->n)) return p;
        if (p == t->p) break;
    }
    return NULL;
}

static rt_status find_place(ds_jrun *r, ds_jcall *c, int from_right, int must, ds_jvalue *out)
{
    ds_jvalue what, part;
    int64_t   skipped;
    int       there;
    RT_TRY(ds_jargument_text(r, c, 0, &what));
    RT_TRY(text_part(r, c, &part, &skipped, &there));
    RT_TRY(ds_jwork(r, part.n));
    const char *p = !there ? NULL : from_right ? find_from_right(&part, &what) : ds_jfind(part.p, (size_t)part.n, what.p, (size_t)what.n);
    DS_JCHECK(r, p || !must, "'%s': the text is not found", c->what);
    *out = ds_jint(p ? skipped + ds_jchars(part.p, (size_t)(p - part.p)) : -1);
    return RT_OK;
}

static rt_status method_find(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return find_place(r, c, 0, 0, out); }
static rt_status method_rfind(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return find_place(r, c, 1, 0, out); }
static rt_status method_index(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return find_place(r, c, 0, 1, out); }
static rt_status method_rindex(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return find_place(r, c, 1, 1, out); }

static rt_status method_count(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue what, part;
    int64_t   skipped, n = 0;
    int       there;
    RT_TRY(ds_jargument_text(r, c, 0, &what));
    RT_TRY(text_part(r, c, &part, &skipped, &there));
    RT_TRY(ds_jwork(r, part.n));
    const char *p = part.p, *end = p + part.n;
    if (!what.n) n = there ? ds_jchars(part.p, (size_t)part.n) + 1 : 0;
    else
        while ((p = ds_jfind(p, (size_t)(end - p), what.p, (size_t)what.n)) != NULL) p += what.n, n++;
    *out = ds_jint(n);
    return RT_OK;
}

/* ---- splitting, joining, replacing -------------------------------------------------------------------------- */

static rt_status split_at(ds_jrun *r, ds_jcall *c, int from_right, ds_jvalue *out)
{
    ds_jvalue at    = ds_jnone();
    int64_t   count = -1;
    if (c->v[0].kind != DS_JNONE) RT_TRY(ds_jargument_text(r, c, 0, &at));
    RT_TRY(ds_jargument_int(r, c, 1, &count));
    return ds_jsplit(r, c->self, &at, count, from_right, out);
}

static rt_status method_split(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return split_at(r, c, 0, out); }
static rt_status method_rsplit(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return split_at(r, c, 1, out); }

static rt_status method_splitlines(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    DS_JCHECK(r, !ds_jtrue(&c->v[0]), "splitlines(keepends) is not supported");
    return ds_jlines(r, c->self, 0, out);
}

/* The text before the separator, it, and the text after it; without it the whole text and two empty ones. */
static rt_status partition_at(ds_jrun *r, ds_jcall *c, int from_right, ds_jvalue *out)
{
    ds_jvalue   at, *v;
    const char *p = c->self->p, *end = p + c->self->n;
    RT_TRY(ds_jargument_text(r, c, 0, &at));
    DS_JCHECK(r, at.n, "'%s' takes a separator that is not empty", c->what);
    RT_TRY(DS_JNEW(&r->arena, v, 3));
    const char *cut = from_right ? find_from_right(c->self, &at) : ds_jfind(p, (size_t)c->self->n, at.p, (size_t)at.n);
    for (int i = 0; i < 3; i++) v[i] = ds_jtext("", 0);
    if (cut) v[0] = ds_jtext(p, (size_t)(cut - p)), v[1] = at, v[2] = ds_jtext(cut + at.n, (size_t)(end - cut - at.n));
    else v[from_right ? 2 : 0] = *c->self;
    *out = ds_jtuple(v, 3);
    return ds_jwork(r, c->self->n);
}

static rt_status method_partition(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return partition_at(r, c, 0, out); }
static rt_status method_rpartition(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return partition_at(r, c, 1, out); }

static rt_status method_join(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jout   o = {0};
    ds_jvalue l;
    RT_TRY(ds_jelements(r, &c->v[0], &l));
    for (int64_t i = 0; i < l.n; i++) {
        DS_JCHECK(r, l.v[i].kind == DS_JTEXT, "'join' takes texts, found a %s", ds_jtype(&l.v[i]));
        if (i) RT_TRY(ds_jput(r, &o, c->self->p, (size_t)c->self->n));
        RT_TRY(ds_jput(r, &o, l.v[i].p, (size_t)l.v[i].n));
    }
    *out = ds_jbuilt(&o);
    return RT_OK;
}

static rt_status method_replace(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    ds_jvalue from, to;
    int64_t   count = -1;
    RT_TRY(ds_jargument_text(r, c, 0, &from));
    RT_TRY(ds_jargument_text(r, c, 1, &to));
    RT_TRY(ds_jargument_int(r, c, 2, &count));
    return ds_jreplace(r, c->self, &from, &to, count, out);
}

/* ---- what a text consists of ----------------------------------------------------------------------------------- */

static rt_status method_isspace(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    const ds_jvalue none = ds_jnone(), rest = ds_jstrip(c->self, &none, DS_JSTRIP_LEFT);
    *out = ds_jbool(c->self->n && !rest.n);
    return ds_jwork(r, c->self->n);
}

static rt_status method_islower(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    *out = ds_jbool(ds_jall_case(c->self->p, (size_t)c->self->n, 0));
    return ds_jwork(r, c->self->n);
}

static rt_status method_isupper(ds_jrun *r, ds_jcall *c, ds_jvalue *out)
{
    *out = ds_jbool(ds_jall_case(c->self->p, (size_t)c->self->n, 1));
    return ds_jwork(r, c->self->n);
}

/* Letters and digits are those of ASCII; which others Python counts is not known here. */
static rt_status all_ascii(ds_jrun *r, ds_jcall *c, const char *set, ds_jvalue *out)
{
    for (int64_t i = 0; i < c->self->n; i++)
        DS_JCHECK(r, !(c->self->p[i] & 0x80), "'%s' of a text with other characters than ASCII is not supported", c->what);
    int64_t n = 0;
    while (n < c->self->n && c->self->p[n] && strchr(set, c->self->p[n])) n++;
    *out = ds_jbool(c->self->n && n == c->self->n);
    return ds_jwork(r, c->self->n);
}

#define DIGITS  "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
static rt_status method_isdigit(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return all_ascii(r, c, DIGITS, out); }
static rt_status method_isalpha(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return all_ascii(r, c, LETTERS, out); }
static rt_status method_isalnum(ds_jrun *r, ds_jcall *c, ds_jvalue *out) { return all_ascii(r, c, DIGITS LETTERS, out); }

const ds_jrow ds_jtext_methods[] = {{"upper", "/", method_upper},
                                    {"lower", "/", method_lower},
                                    {"title", "/", method_title},
                                    {"capitalize", "/", method_capitalize},
                                    {"strip", "/chars?", method_strip},
                                    {"lstrip", "/chars?", method_lstrip},
                                    {"rstrip", "/chars?", method_rstrip},
                                    {"removeprefix", "/prefix", method_removeprefix},
                                    {"removesuffix", "/suffix", method_removesuffix},
                                    {"startswith", "/prefix start? end?", method_startswith},
                                    {"endswith", "/suffix start? end?", method_endswith},
                                    {"find", "/sub start? end?", method_find},
                                    {"rfind", "/sub start? end?", method_rfind},
                                    {"index", "/sub start? end?", method_index},
                                    {"rindex", "/sub start? end?", method_rindex},
                                    {"count", "/sub start? end?", method_count},
                                    {"split", "sep? maxsplit?", method_split},
                                    {"rsplit", "sep? maxsplit?", method_rsplit},
                                    {"splitlines", "keepends?", method_splitlines},
                                    {"partition", "/sep", method_partition},
                                    {"rpartition", "/sep", method_rpartition},
                                    {"join", "/iterable", method_join},
                                    {"replace", "/old new count?", method_replace},
                                    {"isspace", "/", method_isspace},
                                    {"islower", "/", method_islower},
                                    {"isupper", "/", method_isupper},
                                    {"isdigit", "/", method_isdigit},
                                    {"isdecimal", "/", method_isdigit},
                                    {"isnumeric", "/", method_isdigit},
                                    {"isalpha", "/", method_isalpha},
                                    {"isalnum", "/", method_isalnum},
                                    {0}};
