/* decode.c -- ids to text, one id at a time.
 *
 * Every id's entry goes through the decoder's steps, each of which passes chunks to the next: whole tokens, after Fuse parts of one
 * text.  A step keeps what later ids decide: ByteFallback the bytes of a run, Strip how much it may still remove.
 */
#include "data/tokenizer/parts.h"
#include <stdlib.h>
#include <string.h>

struct ds_chunk {
    const char *s;
    size_t      n;
    int         added; /* the text of an added token */
};

struct ds_decoder {
    const ds_tokenizer *t;
    int                 skip_special;
    int                 apart; /* 1: one token for itself: nothing is stripped, a byte stays a byte */
    rt_buf             *out;
    rt_buf              run;                /* bytes of byte entries */
    int64_t             seen[DS_MAX_STEPS]; /* chunks, or characters removed, by step */
    rt_buf              text[DS_MAX_STEPS];
};

static rt_status decode_push(ds_decoder *d, int i, const ds_chunk *c)
{
    const ds_decode_steps *z = &d->t->decoder;
    return i == z->n ? rt_buf_add(d->out, c->s, c->n) : z->step[i].push(d, i, c);
}

/* ---- steps -------------------------------------------------------------------------------------- */

static rt_status push_byte_level(ds_decoder *d, int i, const ds_chunk *c)
{
    rt_buf *b = &d->text[i];
    if (c->added) return decode_push(d, i + 1, c);
    rt_buf_clear(b);
    RT_TRY(ds_alphabet_decode(c->s, c->n, b));
    return decode_push(d, i + 1, &(ds_chunk){.s = b->p, .n = b->len});
}

static rt_status push_replace(ds_decoder *d, int i, const ds_chunk *c)
{
    const ds_decode_step *s = &d->t->decoder.step[i];
    rt_buf               *b = &d->text[i];
    rt_buf_clear(b);
    RT_TRY(ds_replace(&s->from, &s->to, c->s, c->n, b));
    return decode_push(d, i + 1, &(ds_chunk){b->p, b->len, c->added});
}

/* Gives the bytes of a run to step i: text, or U+FFFD for each byte if they are not UTF-8. */
static rt_status end_run(ds_decoder *d, int i)
{
    const size_t n    = d->run.len;
    const int    text = rt_utf8_valid(d->run.p, n);
    d->run.len        = 0;
    if (text && n) return decode_push(d, i, &(ds_chunk){.s = d->run.p, .n = n});
    for (size_t k = 0; k < n; k++) RT_TRY(decode_push(d, i, &(ds_chunk){.s = "\xef\xbf\xbd", .n = 3}));
    return RT_OK;
}

static rt_status push_byte_fallback(ds_decoder *d, int i, const ds_chunk *c)
{
    const int  byte = ds_byte_entry(c->s, c->n);
    const char b    = (char)byte;
    if (byte < 0) RT_TRY(end_run(d, i + 1));
    if (byte < 0) return decode_push(d, i + 1, c);
    return d->apart ? decode_push(d, i + 1, &(ds_chunk){.s = &b, .n = 1}) : rt_buf_add(&d->run, &b, 1);
}

/* What follows Fuse sees parts of one text. */
static rt_status push_fuse(ds_decoder *d, int i, const ds_chunk *c) { return decode_push(d, i + 1, c); }

static rt_status push_strip(ds_decoder *d, int i, const ds_chunk *c)
{
    const ds_decode_step *s = &d->t->decoder.step[i];
    ds_chunk              k = *c;
    if (d->apart || !k.n) return decode_push(d, i + 1, c);
    while (d->seen[i] < s->start && k.n >= s->from.len && !memcmp(k.s, s->from.p, s->from.len))
        k.s += s->from.len, k.n -= s->from.len, d->seen[i]++;
    if (k.n) d->seen[i] = s->start;
    return decode_push(d, i + 1, &k);
}

/* A mark is a space, but none in the first token. */
static rt_status push_metaspace(ds_decoder *d, int i, const ds_chunk *c)
{
    static const rt_buf   none = {0};
    const ds_decode_step *s    = &d->t->decoder.step[i];
    const int             drop = !d->seen[i]++ && s->scheme != DS_NEVER && !d->apart;
    rt_buf               *b    = &d->text[i];
    rt_buf_clear(b);
    RT_TRY(ds_replace(&s->from, drop ? &none : &s->to, c->s, c->n, b));
    return decode_push(d, i + 1, &(ds_chunk){b->p, b->len, c->added});
}

/* ---- reading -------------------------------------------------------------------------------------- */

typedef rt_status (*push_fn)(ds_decoder *d, int i, const ds_chunk *c);

static rt_status decode_add_step(ds_decode_steps *z, const char *type, push_fn push, ds_decode_step **s, const char *where)
{
    RT_CHECK(z->n < DS_MAX_STEPS, RT_EFORMAT, "%s: the decoder has more than %d steps", where, DS_MAX_STEPS);
    const int strip = !strcmp(type, "Strip"), fused = ds_decode_steps_have(z, "Fuse");
    RT_CHECK(strip == fused, RT_EFORMAT, "%s: the decoder %s %s Fuse is not supported; expected Strip, and nothing else, after Fuse", where,
             type, strip ? "without" : "after");
    *s  = &z->step[z->n++];
    **s = (ds_decode_step){.type = type, .push = push};
    return RT_OK;
}

static rt_status decode_read_byte_level(void *into, const cJSON *o, const char *where)
{
    ds_decode_step *s = NULL;
    (void)o;
    return ds_decode_steps_have(into, "ByteLevel") ? RT_OK : decode_add_step(into, "ByteLevel", push_byte_level, &s, where);
}

static rt_status decode_read_replace(void *into, const cJSON *o, const char *where)
{
    ds_decode_step *s = NULL;
    RT_TRY(decode_add_step(into, "Replace", push_replace, &s, where));
    RT_TRY(ds_json_bytes(ds_json_part(o, "pattern"), "String", &s->from, where));
    RT_CHECK(s->from.len, RT_EFORMAT, "%s: the decoder's Replace has no String as its pattern", where);
    return ds_json_bytes(o, "content", &s->to, where);
}

static rt_status decode_read_byte_fallback(void *into, const cJSON *o, const char *where)
{
    ds_decode_step *s = NULL;
    (void)o;
    return decode_add_step(into, "ByteFallback", push_byte_fallback, &s, where);
}

static rt_status decode_read_fuse(void *into, const cJSON *o, const char *where)
{
    ds_decode_step *s = NULL;
    (void)o;
    return decode_add_step(into, "Fuse", push_fuse, &s, where);
}

static rt_status decode_read_strip(void *into, const cJSON *o, const char *where)
{
    ds_decode_step *s    = NULL;
    int64_t         stop = 0;
    RT_TRY(decode_add_step(into, "Strip", push_strip, &s, where));
    RT_TRY(ds_json_bytes(o, "content", &s->from, where));
    RT_TRY(rt_json_int(o, "start", &s->start, where));
    RT_TRY(rt_json_int(o, "stop", &stop, where));
    RT_CHECK(s->from.len && s->start >= 0 && !stop, RT_EFORMAT,
             "%s: the decoder's Strip must have a \"content\", a \"start\" of at least 0 and 0 as its \"stop\"", where);
    return RT_OK;
}

static rt_status decode_read_metaspace(void *into, const cJSON *o, const char *where)
{
    ds_decode_step *s = NULL;
    RT_TRY(decode_add_step(into, "Metaspace", push_metaspace, &s, where));
    RT_TRY(ds_scheme_read(o, &s->scheme, where));
    RT_TRY(rt_buf_str(&s->to, " "));
    RT_TRY(rt_buf_str(&s->from, "\xe2\x96\x81"));
    return ds_json_bytes(o, "replacement", &s->from, where);
}

rt_status ds_decode_steps_read(ds_decode_steps *z, const cJSON *root, const char *where)
{
    static const ds_component  known[] = {{"ByteLevel", decode_read_byte_level},
                                          {"Replace", decode_read_replace},
                                          {"ByteFallback", decode_read_byte_fallback},
                                          {"Fuse", decode_read_fuse},
                                          {"Strip", decode_read_strip},
                                          {"Metaspace", decode_read_metaspace},
                                          {0}};
    static const ds_components all     = {"decoder", "decoders", known};
    return ds_components_read(&all, root, z, where);
}

void ds_decode_steps_free(ds_decode_steps *z)
{
    for (int i = 0; i < z->n; i++) rt_buf_free(&z->step[i].from), rt_buf_free(&z->step[i].to);
}

int ds_decode_steps_have(const ds_decode_steps *z, const char *type)
{
    for (int i = 0; i < z->n; i++)
        if (!strcmp(z->step[i].type, type)) return 1;
    return 0;
}

/* ---- decoding ---------------------------------------------------------------------------------------- */

rt_status ds_decoder_create(ds_decoder **out, const ds_tokenizer *t, int skip_special)
{
    ds_decoder *d = NULL;
    RT_TRY(RT_NEW(d, 1));
    d->t            = t;
    d->skip_special = skip_special;
    *out            = d;
    return RT_OK;
}

void ds_decoder_destroy(ds_decoder **d)
{
    if (!*d) return;
    rt_buf_free(&(*d)->run);
    for (int i = 0; i < DS_MAX_STEPS; i++) rt_buf_free(&(*d)->text[i]);
    free(*d);
    *d = NULL;
}

rt_status ds_decoder_add(ds_decoder *d, int32_t id, rt_buf *out)
{
    const ds_vocab *v = &d->t->vocab;
    ds_chunk        c;
    if (id < 0 || id >= v->n) return RT_OK; /* ids above the tokenizer's entries (padding of a model's vocabulary) have no text */
    const int flags = v->entry[id].flags;
    if (!flags || (d->skip_special && (flags & DS_ENTRY_SPECIAL))) return RT_OK;
    c.s     = flags & DS_ENTRY_CHANGED ? ds_added_text(&d->t->normalized, id, &c.n) : ds_vocab_text(v, id, &c.n);
    c.added = (flags & DS_ENTRY_ADDED) != 0;
    d->out  = out;
    return decode_push(d, 0, &c);
}

rt_status ds_decoder_end(ds_decoder *d, rt_buf *out)
{
    rt_status st = RT_OK;
    d->out       = out;
    for (int i = 0; d->run.len && st == RT_OK && i < d->t->decoder.n; i++)
        if (d->t->decoder.step[i].push == push_byte_fallback) st = end_run(d, i + 1);
    memset(d->seen, 0, sizeof d->seen);
    return st;
}

static rt_status decode_all(ds_decoder *d, const int32_t *ids, int64_t n, rt_buf *out)
{
    RT_TRY(rt_buf_add(out, "", 0)); /* no ids give "", not NULL */
    for (int64_t i = 0; i < n; i++) RT_TRY(ds_decoder_add(d, ids[i], out));
    return ds_decoder_end(d, out);
}

static rt_status decode_once(const ds_tokenizer *t, const int32_t *ids, int64_t n, int skip_special, int apart, rt_buf *out)
{
    const size_t before = out->len;
    ds_decoder  *d      = NULL;
    RT_TRY(ds_decoder_create(&d, t, skip_special));
    d->apart           = apart;
    const rt_status st = decode_all(d, ids, n, out);
    if (st != RT_OK) out->len = before;
    ds_decoder_destroy(&d);
    return st;
}

rt_status ds_decode(const ds_tokenizer *t, const int32_t *ids, int64_t n, int skip_special, rt_buf *out)
{
    return decode_once(t, ids, n, skip_special, 0, out);
}

rt_status ds_token_text(const ds_tokenizer *t, int32_t id, rt_buf *out) { return decode_once(t, &id, 1, 0, 1, out); }
