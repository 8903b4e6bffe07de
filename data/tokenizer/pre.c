/* pre.c -- the pre-tokenizer: steps that cut a text into pieces, each of which the model encodes by itself. */
#include "data/tokenizer/chain.h"
#include <string.h>

/* ---- reading ---------------------------------------------------------------------------- */

static rt_status pre_add(ds_pre *p, ds_pre_kind kind, const char *type, ds_pre_step **s, const char *where)
{
    RT_CHECK(!p->byte_level, RT_EFORMAT, "%s: the pre_tokenizer \"%s\" follows ByteLevel, which must be the last", where, type);
    *s = p->n ? &p->step[p->n - 1] : NULL;
    if (*s && kind == DS_PRE_SPLIT && (*s)->kind == kind) return RT_OK;
    RT_CHECK(p->n < DS_MAX_STEPS, RT_EFORMAT, "%s: the pre_tokenizer has more than %d steps", where, DS_MAX_STEPS);
    *s         = &p->step[p->n++];
    (*s)->kind = kind;
    return RT_OK;
}

static rt_status pre_add_split(ds_pre *p, const char *type, const char *pattern, int literal, ds_split_keep keep, const char *where)
{
    ds_pre_step *s = NULL;
    RT_TRY(pre_add(p, DS_PRE_SPLIT, type, &s, where));
    return ds_splitter_add(&s->splitter, pattern, literal, keep, where);
}

static rt_status read_behavior(const cJSON *o, ds_split_keep *keep, const char *where)
{
    static const struct {
        const char   *name;
        ds_split_keep keep, inverted;
    } known[]            = {{"Isolated", DS_KEEP_BOTH, DS_KEEP_BOTH},
                            {"Removed", DS_KEEP_GAPS, DS_KEEP_MATCHES},
                            {"MergedWithPrevious", DS_JOIN_PREVIOUS, DS_INVERTED_PREVIOUS},
                            {"MergedWithNext", DS_JOIN_NEXT, DS_INVERTED_NEXT},
                            {"Contiguous", DS_JOIN_MATCHES, DS_JOIN_MATCHES}};
    const char *behavior = "";
    int         invert   = 0;
    RT_TRY(rt_json_text(o, "behavior", &behavior, where));
    RT_TRY(rt_json_bool(o, "invert", &invert, where));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(behavior, known[i].name)) return *keep = invert ? known[i].inverted : known[i].keep, RT_OK;
    return ds_component_refuse("Split behavior", behavior, "Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous", where);
}

static rt_status pre_read_split(void *into, const cJSON *o, const char *where)
{
    const char   *regex = NULL, *string = NULL;
    const cJSON  *pattern = ds_json_part(o, "pattern");
    ds_split_keep keep    = DS_KEEP_BOTH;
    RT_TRY(rt_json_text(pattern, "Regex", &regex, where));
    RT_TRY(rt_json_text(pattern, "String", &string, where));
    RT_CHECK(regex || string, RT_EFORMAT, "%s: a Split has neither a Regex nor a String as its pattern", where);
    RT_TRY(read_behavior(o, &keep, where));
    return pre_add_split(into, "Split", regex ? regex : string, !regex, keep, where);
}

static rt_status pre_read_digits(void *into, const cJSON *o, const char *where)
{
    int single = 0;
    RT_TRY(rt_json_bool(o, "individual_digits", &single, where));
    return pre_add_split(into, "Digits", single ? "\\p{N}" : "\\p{N}+", 0, DS_KEEP_BOTH, where);
}

static rt_status pre_read_white(void *into, const cJSON *o, const char *where)
{
    (void)o;
    return pre_add_split(into, "WhitespaceSplit", "\\s", 0, DS_KEEP_GAPS, where);
}

static rt_status pre_read_byte_level(void *into, const cJSON *o, const char *where)
{
    ds_pre      *p      = into;
    ds_pre_step *s      = NULL;
    int          prefix = 1, regex = 1;
    RT_TRY(rt_json_bool(o, "add_prefix_space", &prefix, where));
    RT_TRY(rt_json_bool(o, "use_regex", &regex, where));
    RT_CHECK(!prefix || !p->n, RT_EFORMAT, "%s: add_prefix_space after a Split is not supported", where);
    if (prefix) RT_TRY(pre_add(p, DS_PRE_SPACE, "ByteLevel", &s, where));
    if (prefix) RT_TRY(rt_buf_str(&s->mark, " "));
    if (regex) RT_TRY(pre_add_split(p, "ByteLevel", ds_gpt2_pattern, 0, DS_KEEP_BOTH, where));
    RT_CHECK(!p->byte_level, RT_EFORMAT, "%s: the pre_tokenizer \"ByteLevel\" follows ByteLevel, which must be the last", where);
    p->byte_level = 1;
    return RT_OK;
}

rt_status ds_scheme_read(const cJSON *o, ds_scheme *scheme, const char *where)
{
    static const char *const names[] = {"always", "first", "never"};
    const char              *name    = "always";
    int                      prefix  = 1; /* the form of older files */
    RT_TRY(rt_json_text(o, "prepend_scheme", &name, where));
    RT_TRY(rt_json_bool(o, "add_prefix_space", &prefix, where));
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, names[i])) return *scheme = prefix ? (ds_scheme)i : DS_NEVER, RT_OK;
    return ds_component_refuse("Metaspace prepend_scheme", name, "always, first or never", where);
}

static rt_status pre_read_metaspace(void *into, const cJSON *o, const char *where)
{
    ds_pre_step *s = NULL;
    RT_TRY(pre_add(into, DS_PRE_METASPACE, "Metaspace", &s, where));
    s->cut = 1;
    RT_TRY(rt_json_bool(o, "split", &s->cut, where));
    RT_TRY(ds_scheme_read(o, &s->scheme, where));
    RT_TRY(rt_buf_str(&s->blank, " "));
    RT_TRY(rt_buf_str(&s->mark, "\xe2\x96\x81"));
    return ds_json_bytes(o, "replacement", &s->mark, where);
}

rt_status ds_pre_read(ds_pre *p, const cJSON *root, const char *where)
{
    static const ds_component  known[] = {{"ByteLevel", pre_read_byte_level}, {"Split", pre_read_split},
                                          {"Digits", pre_read_digits},        {"WhitespaceSplit", pre_read_white},
                                          {"Metaspace", pre_read_metaspace},  {0}};
    static const ds_components all     = {"pre_tokenizer", "pretokenizers", known};
    RT_TRY(ds_components_read(&all, root, p, where));
    for (int i = 0; i < p->n; i++) RT_TRY(ds_splitter_ready(&p->step[i].splitter, where));
    return RT_OK;
}

void ds_pre_free(ds_pre *p)
{
    for (int i = 0; i < p->n; i++) ds_splitter_free(&p->step[i].splitter), rt_buf_free(&p->step[i].blank), rt_buf_free(&p->step[i].mark);
    p->n = 0;
}

/* ---- running -------------------------------------------------------------------------------- */

typedef struct pre_run { /* one step at work on one text */
    const ds_pre *p;
    ds_pre_work  *w;
    int           i, first; /* first: `text` is the beginning of the whole text */
    const char   *text;
    ds_piece_fn   piece;
    void         *ud;
} pre_run;

static rt_status pre_step(const pre_run *r, const char *s, size_t n);

/* Gives a piece of r's text to the next step. */
static rt_status pre_next(void *ud, const char *s, size_t n)
{
    const pre_run *r = ud;
    if (r->i + 1 == r->p->n) return r->piece(r->ud, s, n);
    const pre_run next = {r->p, r->w, r->i + 1, r->first && s == r->text, s, r->piece, r->ud};
    return pre_step(&next, s, n);
}

static int starts_with(const char *s, size_t n, const rt_buf *x) { return n >= x->len && !memcmp(s, x->p, x->len); }

static rt_status pre_space(pre_run *r, const ds_pre_step *step, const char *s, size_t n)
{
    rt_buf *b = &r->w->text[r->i];
    if (starts_with(s, n, &step->mark)) return pre_next(r, s, n);
    rt_buf_clear(b);
    RT_TRY(rt_buf_add(b, step->mark.p, step->mark.len));
    RT_TRY(rt_buf_add(b, s, n));
    r->text = b->p;
    return pre_next(r, b->p, b->len);
}

/* Every mark begins a piece. */
static rt_status pre_cut_at_marks(pre_run *r, const rt_buf *mark, const rt_buf *b)
{
    size_t from = 0;
    for (size_t at = 1; at + mark->len <= b->len; at++) {
        if (b->p[at] != mark->p[0] || !starts_with(b->p + at, b->len - at, mark)) continue;
        RT_TRY(pre_next(r, b->p + from, at - from));
        from = at;
    }
    return pre_next(r, b->p + from, b->len - from);
}

static rt_status pre_metaspace(pre_run *r, const ds_pre_step *step, const char *s, size_t n)
{
    rt_buf   *b      = &r->w->text[r->i];
    const int marked = starts_with(s, n, &step->mark) || starts_with(s, n, &step->blank);
    rt_buf_clear(b);
    if (!marked && (step->scheme == DS_ALWAYS || (step->scheme == DS_FIRST && r->first)))
        RT_TRY(rt_buf_add(b, step->mark.p, step->mark.len));
    RT_TRY(ds_replace(&step->blank, &step->mark, s, n, b));
    r->text = b->p;
    return step->cut ? pre_cut_at_marks(r, &step->mark, b) : pre_next(r, b->p, b->len);
}

static rt_status pre_step(const pre_run *given, const char *s, size_t n)
{
    pre_run            r    = *given;
    const ds_pre_step *step = &r.p->step[r.i];
    switch (step->kind) {
    case DS_PRE_SPACE: return pre_space(&r, step, s, n);
    case DS_PRE_METASPACE: return pre_metaspace(&r, step, s, n);
    default: return ds_split(&step->splitter, &r.w->split[r.i], s, n, pre_next, &r);
    }
}

rt_status ds_pre_run(const ds_pre *p, ds_pre_work *w, const char *text, size_t n, int first, ds_piece_fn piece, void *ud)
{
    const pre_run r = {p, w, 0, first, text, piece, ud};
    if (!n) return RT_OK;
    return p->n ? pre_step(&r, text, n) : piece(ud, text, n);
}

void ds_pre_work_free(ds_pre_work *w)
{
    for (int i = 0; i < DS_MAX_STEPS; i++) ds_split_work_free(&w->split[i]), rt_buf_free(&w->text[i]);
}
