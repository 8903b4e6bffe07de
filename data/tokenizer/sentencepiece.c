/* sentencepiece.c -- SentencePiece's file (tokenizer.model): a message of Protocol Buffers (sentencepiece_model.proto), read by hand.
 *
 * It holds the pieces, what the trainer was told and what the normalizer does.  Hugging Face's program is the rule where it differs from SentencePiece (experiments/decisions/0029).
 */
#include "data/tokenizer/origin.h"
#include <math.h>
#include <string.h>

/* ---- messages ----------------------------------------------------------------------------------------- */

typedef struct message {
    const char *p, *end;
    const char *where; /* the file */
} message;

/* A field: a number (VARINT, FIXED32 as its bits) or bytes. */
typedef struct field {
    int         number; /* 0: the message is at its end */
    uint64_t    value;
    const char *bytes;
    size_t      n;
} field;

enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };

static rt_status take_varint(message *m, uint64_t *v)
{
    *v = 0;
    for (int shift = 0; shift < 64 && m->p < m->end; shift += 7) {
        const unsigned char byte = (unsigned char)*m->p++;
        *v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return RT_OK;
    }
    RT_FAIL(RT_EFORMAT,
            "%s: expected a SentencePiece model, found a number that does not end; the file is truncated, damaged or of another kind",
            m->where);
}

static rt_status sentencepiece_take_bytes(message *m, field *f, uint64_t n)
{
    RT_CHECK(
        n <= (uint64_t)(m->end - m->p), RT_EFORMAT,
        "%s: expected a SentencePiece model, found a field of %llu bytes of which %lld are left; the file is truncated, damaged or of another kind",
        m->where, (unsigned long long)n, (long long)(m->end - m->p));
    f->bytes = m->p;
    f->n     = (size_t)n;
    m->p += n;
    return RT_OK;
}

static rt_status next_field(message *m, field *f)
{
    uint64_t key = 0, n = 0;
    *f = (field){.number = 0};
    if (m->p == m->end) return RT_OK;
    RT_TRY(take_varint(m, &key));
    f->number = key >> 3 < 1 << 29 ? (int)(key >> 3) : 0;
    RT_CHECK(f->number, RT_EFORMAT,
             "%s: expected a SentencePiece model, found a field with the number %llu; the file is damaged or of another kind", m->where,
             (unsigned long long)(key >> 3));
    switch (key & 7) {
    case VARINT: return take_varint(m, &f->value);
    case FIXED64: return sentencepiece_take_bytes(m, f, 8);
    case BYTES: RT_TRY(take_varint(m, &n)); return sentencepiece_take_bytes(m, f, n);
    case FIXED32: break;
    default:
        RT_FAIL(RT_EFORMAT, "%s: field %d is of the wire type %d, which is not used in such files; the file is damaged", m->where,
                f->number, (int)(key & 7));
    }
    RT_TRY(sentencepiece_take_bytes(m, f, 4));
    for (int i = 3; i >= 0; i--) f->value = f->value << 8 | (unsigned char)f->bytes[i];
    return RT_OK;
}

/* The field may be a number, which has no bytes. */
static message sentencepiece_message(const field *f, const char *where)
{
    const char *bytes = f->bytes ? f->bytes : "";
    return (message){bytes, bytes + f->n, where};
}

/* ---- pieces --------------------------------------------------------------------------------------------- */

enum { PIECES = 1, TRAINER, NORMALIZER, DENORMALIZER = 5 }; /* fields of the whole file */

static rt_status count_pieces(const message *all, int64_t *n)
{
    message m = *all;
    field   f;
    *n = 0;
    do {
        RT_TRY(next_field(&m, &f));
        *n += f.number == PIECES;
    } while (f.number);
    return RT_OK;
}

static rt_status read_piece(ds_vocabulary *v, int64_t id, const field *whole, const char *where)
{
    ds_piece *p = &v->p[id];
    message   m = sentencepiece_message(whole, where);
    field     f;
    p->kind = DS_NORMAL;
    RT_TRY(next_field(&m, &f));
    while (f.number) {
        const uint32_t bits = (uint32_t)f.value;
        if (f.number == 1 && f.bytes) p->text = f.bytes, p->n = f.n;
        else if (f.number == 2 && f.bytes) memcpy(&p->score, &bits, sizeof bits);
        else if (f.number == 3) p->kind = f.value <= DS_BYTE ? (int32_t)f.value : 0;
        RT_TRY(next_field(&m, &f));
    }
    RT_CHECK(p->n && rt_utf8_valid(p->text, p->n) && p->kind && isfinite(p->score), RT_EFORMAT,
             "%s: piece %lld has no text in UTF-8, no finite score or an unknown type; the file is damaged", where, (long long)id);
    return RT_OK;
}

/* ---- what the trainer and the normalizer were told ------------------------------------------------------- */

typedef struct told {
    int64_t type, bytes, suffix, bos, eos; /* trainer; type: UNIGRAM, ... */
    int64_t prefix, squeeze, escape;       /* normalizer */
    field   charsmap, back;                /* of the normalizer and of the denormalizer */
} told;

enum { UNIGRAM = 1, BPE };

static rt_status read_told(told *t, const field *whole, int part, const char *where)
{
    const struct {
        int      part, number;
        int64_t *to;
    } known[] = {{TRAINER, 3, &t->type}, {TRAINER, 24, &t->suffix},   {TRAINER, 35, &t->bytes},     {TRAINER, 41, &t->bos},
                 {TRAINER, 42, &t->eos}, {NORMALIZER, 3, &t->prefix}, {NORMALIZER, 4, &t->squeeze}, {NORMALIZER, 5, &t->escape}};
    message m = sentencepiece_message(whole, where);
    field   f;
    RT_TRY(next_field(&m, &f));
    while (f.number) {
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (known[i].part == part && known[i].number == f.number) *known[i].to = (int32_t)(uint32_t)f.value;
        if (f.number == 2 && part == NORMALIZER) t->charsmap = f;
        if (f.number == 2 && part == DENORMALIZER) t->back = f;
        RT_TRY(next_field(&m, &f));
    }
    return RT_OK;
}

static rt_status check_told(const told *t, const char *where)
{
    static const char *const types[] = {"0", "Unigram", "BPE", "words", "characters"};
    RT_CHECK(t->type == UNIGRAM || t->type == BPE, RT_EFORMAT, "%s: a SentencePiece model of %s is not supported; expected BPE or Unigram",
             where, t->type >= 0 && t->type <= 4 ? types[t->type] : "an unknown type");
    RT_CHECK(
        !t->suffix && t->escape && !t->back.n, RT_EFORMAT,
        "%s: a SentencePiece model with treat_whitespace_as_suffix, without escape_whitespaces or with a denormalizer is not supported",
        where);
    return RT_OK;
}

static int32_t control_token(const ds_vocabulary *v, int64_t id)
{
    return id >= 0 && id < v->own && v->p[id].kind == DS_CONTROL ? (int32_t)id : -1;
}

static void apply_told(ds_vocabulary *v, const told *t)
{
    v->kind       = t->type == BPE ? DS_OF_PIECES : DS_OF_UNIGRAM;
    v->prefix     = t->prefix ? DS_PREFIX_ALL : DS_PREFIX_NONE;
    v->squeeze    = t->squeeze != 0;
    v->no_bytes   = !t->bytes;
    v->charsmap   = t->charsmap.n ? t->charsmap.bytes : NULL;
    v->n_charsmap = t->charsmap.n;
    v->bos        = control_token(v, t->bos);
    v->eos        = control_token(v, t->eos);
    v->begin      = t->type == BPE;
}

/* ---- the file ------------------------------------------------------------------------------------------- */

rt_status ds_sentencepiece_read(ds_vocabulary *v, const rt_buf *file, const char *where)
{
    message m = {file->p, file->p + file->len, where};
    told    t = {.type = UNIGRAM, .bos = 1, .eos = 2, .prefix = 1, .squeeze = 1, .escape = 1}; /* values of fields that are left out */
    int64_t n = 0, id = 0;
    field   f;
    RT_TRY(count_pieces(&m, &n));
    RT_CHECK(n > 0 && n < DS_MAX_ENTRIES, RT_EFORMAT, "%s: expected a SentencePiece model, found %lld pieces", where, (long long)n);
    RT_TRY(ds_vocabulary_create(v, n));
    RT_TRY(next_field(&m, &f));
    while (f.number) {
        if (f.number == PIECES) RT_TRY(read_piece(v, id++, &f, where));
        else if (f.number == TRAINER || f.number == NORMALIZER || f.number == DENORMALIZER) RT_TRY(read_told(&t, &f, f.number, where));
        RT_TRY(next_field(&m, &f));
    }
    RT_TRY(check_told(&t, where));
    apply_told(v, &t);
    RT_TRY(ds_vocabulary_ready(v, where));
    return v->kind == DS_OF_PIECES ? ds_vocabulary_join_scores(v) : RT_OK;
}
