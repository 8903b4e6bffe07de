/* normalize.c -- the normalizer: steps that change a text before it is cut into pieces. */
#include "data/tokenizer/chain.h"
#include <stdlib.h>
#include <string.h>

/* ---- steps ------------------------------------------------------------------------------ */

static rt_status apply_form(const ds_norm_step *s, const char *text, size_t n, rt_buf *out)
{
    return ds_normal_form(s->form, text, n, out);
}

static rt_status apply_precompiled(const ds_norm_step *s, const char *text, size_t n, rt_buf *out)
{
    return ds_charsmap_apply(&s->from, text, n, out);
}

static rt_status apply_prepend(const ds_norm_step *s, const char *text, size_t n, rt_buf *out)
{
    if (n) RT_TRY(rt_buf_add(out, s->to.p, s->to.len));
    return rt_buf_add(out, text, n);
}

static rt_status apply_replace(const ds_norm_step *s, const char *text, size_t n, rt_buf *out)
{
    return s->regex.n ? ds_split_replace(&s->regex, text, n, &s->to, out) : ds_replace(&s->from, &s->to, text, n, out);
}

static int is_blank_at(const char *s, size_t n)
{
    const size_t len = rt_utf8_length(s, n);
    return len && ds_is_space(ds_utf8_decode(s, len));
}

static rt_status apply_strip(const ds_norm_step *s, const char *text, size_t n, rt_buf *out)
{
    size_t from = 0, to = n;
    while (s->left && from < n && is_blank_at(text + from, n - from)) from += ds_utf8_size(text[from]);
    for (size_t at = to; s->right && at-- > from;) {
        if (((unsigned char)text[at] & 0xc0) == 0x80) continue; /* inside a character */
        if (!is_blank_at(text + at, to - at)) break;
        to = at;
    }
    return rt_buf_add(out, text + from, to - from);
}

/* Returns the first place of x in s[0 .. n-1]; NULL: none. */
static const char *find_bytes(const char *s, size_t n, const rt_buf *x)
{
    for (const char *at = s, *end = s + n; n >= x->len && at <= end - x->len; at++) {
        at = memchr(at, x->p[0], (size_t)(end - at) - x->len + 1);
        if (!at || !memcmp(at, x->p, x->len)) return at;
    }
    return NULL;
}

rt_status ds_replace(const rt_buf *from, const rt_buf *to, const char *text, size_t n, rt_buf *out)
{
    const char *end = text + n;
    for (const char *at; (at = find_bytes(text, (size_t)(end - text), from)); text = at + from->len) {
        RT_TRY(rt_buf_add(out, text, (size_t)(at - text)));
        RT_TRY(rt_buf_add(out, to->p, to->len));
    }
    return rt_buf_add(out, text, (size_t)(end - text));
}

/* ---- reading ---------------------------------------------------------------------------------- */

static rt_status norm_add(ds_normalizer *z, const char *type, ds_norm_fn apply, ds_norm_step **s, const char *where)
{
    RT_CHECK(z->n < DS_MAX_STEPS, RT_EFORMAT, "%s: the normalizer has more than %d steps", where, DS_MAX_STEPS);
    *s          = &z->step[z->n++];
    (*s)->type  = type;
    (*s)->apply = apply;
    return RT_OK;
}

static rt_status norm_add_form(ds_normalizer *z, const char *type, int form, const char *where)
{
    ds_norm_step *s = NULL;
    RT_TRY(norm_add(z, type, apply_form, &s, where));
    s->form = form;
    return RT_OK;
}

static rt_status norm_read_nfc(void *into, const cJSON *o, const char *where) { return (void)o, norm_add_form(into, "NFC", 0, where); }

static rt_status norm_read_nfd(void *into, const cJSON *o, const char *where)
{
    return (void)o, norm_add_form(into, "NFD", DS_DECOMPOSED, where);
}

static rt_status norm_read_nfkc(void *into, const cJSON *o, const char *where)
{
    return (void)o, norm_add_form(into, "NFKC", DS_COMPATIBLE, where);
}

static rt_status norm_read_nfkd(void *into, const cJSON *o, const char *where)
{
    return (void)o, norm_add_form(into, "NFKD", DS_COMPATIBLE | DS_DECOMPOSED, where);
}

static rt_status norm_read_precompiled(void *into, const cJSON *o, const char *where)
{
    ds_norm_step *s   = NULL;
    const char   *map = NULL;
    RT_TRY(rt_json_text(o, "precompiled_charsmap", &map, where));
    if (!map) return RT_OK; /* no map changes nothing */
    RT_TRY(norm_add(into, "Precompiled", apply_precompiled, &s, where));
    return ds_charsmap_read(&s->from, map, where);
}

static rt_status norm_read_prepend(void *into, const cJSON *o, const char *where)
{
    ds_norm_step *s = NULL;
    RT_TRY(norm_add(into, "Prepend", apply_prepend, &s, where));
    return ds_json_bytes(o, "prepend", &s->to, where);
}

/* An empty match would put the content between any two characters. */
static rt_status norm_read_regex(ds_splitter *regex, const char *pattern, const char *where)
{
    uint32_t empty = 0;
    RT_TRY(ds_splitter_add(regex, pattern, 0, DS_KEEP_BOTH, where));
    RT_TRY(ds_splitter_ready(regex, where));
    pcre2_pattern_info(regex->step[0].code, PCRE2_INFO_MATCHEMPTY, &empty);
    RT_CHECK(!empty, RT_EFORMAT, "%s: the Replace regex \"%.80s\" matches the empty text, which is not supported", where, pattern);
    return RT_OK;
}

static rt_status norm_read_replace(void *into, const cJSON *o, const char *where)
{
    ds_norm_step *s       = NULL;
    const char   *regex   = NULL;
    const cJSON  *pattern = ds_json_part(o, "pattern");
    RT_TRY(norm_add(into, "Replace", apply_replace, &s, where));
    RT_TRY(rt_json_text(pattern, "Regex", &regex, where));
    RT_TRY(ds_json_bytes(pattern, "String", &s->from, where));
    RT_TRY(ds_json_bytes(o, "content", &s->to, where));
    if (regex) return norm_read_regex(&s->regex, regex, where);
    RT_CHECK(s->from.len, RT_EFORMAT, "%s: a Replace has neither a Regex nor a String as its pattern", where);
    return RT_OK;
}

static rt_status norm_read_strip(void *into, const cJSON *o, const char *where)
{
    ds_norm_step *s = NULL;
    RT_TRY(norm_add(into, "Strip", apply_strip, &s, where));
    RT_TRY(rt_json_bool(o, "strip_left", &s->left, where));
    return rt_json_bool(o, "strip_right", &s->right, where);
}

rt_status ds_normalizer_read(ds_normalizer *z, const cJSON *root, const char *where)
{
    static const ds_component  known[] = {{"NFC", norm_read_nfc},
                                          {"NFD", norm_read_nfd},
                                          {"NFKC", norm_read_nfkc},
                                          {"NFKD", norm_read_nfkd},
                                          {"Prepend", norm_read_prepend},
                                          {"Replace", norm_read_replace},
                                          {"Strip", norm_read_strip},
                                          {"Precompiled", norm_read_precompiled},
                                          {0}};
    static const ds_components all     = {"normalizer", "normalizers", known};
    return ds_components_read(&all, root, z, where);
}

void ds_normalizer_free(ds_normalizer *z)
{
    for (int i = 0; i < z->n; i++) rt_buf_free(&z->step[i].from), rt_buf_free(&z->step[i].to), ds_splitter_free(&z->step[i].regex);
    z->n = 0;
}

int ds_normalizer_has(const ds_normalizer *z, const char *type)
{
    for (int i = 0; i < z->n; i++)
        if (!strcmp(z->step[i].type, type)) return 1;
    return 0;
}

/* ---- applying --------------------------------------------------------------------------------- */

rt_status ds_normalize(const ds_normalizer *z, ds_norm_work *w, const char **text, size_t *n)
{
    for (int i = 0; i < z->n; i++) {
        rt_buf *out = &w->text[i % 2];
        rt_buf_clear(out);
        RT_TRY(rt_buf_room(out, *n));
        RT_TRY(z->step[i].apply(&z->step[i], *text, *n, out));
        *text = out->p;
        *n    = out->len;
    }
    return RT_OK;
}

void ds_norm_work_free(ds_norm_work *w)
{
    rt_buf_free(&w->text[0]);
    rt_buf_free(&w->text[1]);
}
