/* verify.c -- the check of a shard against data/FORMAT.md.
 *
 * Opening and reading already check the file's structure, its checksums and the rows with targets (check.c).  This file
 * checks the rows without a target, attributes and texts.  Documents are read some rows at a time, because a document's claimed
 * length is not trusted for an allocation.
 */
#include "core/utf8.h"
#include "data/shard/columns.h"
#include "data/text.h"
#include <math.h>
#include <string.h>

#define SAY(cond, ...) RT_CHECK(cond, RT_ECHECK, __VA_ARGS__)
#define AT(c)          (c)->path, (long long)(c)->doc, (long long)((c)->first + (c)->row)
#define ROW            "%s: document %lld, row %lld: "

typedef struct check {
    ds_shard       *s;
    const char     *path;
    const ds_info  *info;
    const ds_codec *decoder;
    int64_t         doc, first, row; /* row: index within the part that begins at `first` */
    ds_doc          d;               /* the part; ids hold one more entry unless the document ends there */
    int             ends;            /* 1: the document's last part */
} check;

/* ---- rows with a target: checks that ds_shard_rows does not make -------------------------- */

static rt_status verify_check_codec(const check *c)
{
    const ds_codec *x    = c->decoder;
    int64_t         bits = 0;
    if (!x) return RT_OK;
    const uint8_t *row = c->d.rows.encoded + c->row * x->bytes;
    for (int64_t i = 0; i < x->r; i++) bits += x->bits[i];
    for (int64_t b = bits; b < 8 * x->bytes; b++)
        SAY(!(row[b / 8] >> b % 8 & 1), ROW "the encoded hidden state has bits set that no coordinate uses", AT(c));
    return RT_OK;
}

/* ---- rows without a target -------------------------------------------------------------------- */

static int all_zero(const void *p, size_t n)
{
    const uint8_t *v = p;
    for (size_t i = 0; v && i < n; i++)
        if (v[i]) return 0;
    return 1;
}

static int all_nan(const float *v, int64_t n)
{
    for (int64_t i = 0; v && i < n; i++)
        if (!isnan(v[i])) return 0;
    return 1;
}

#define ROW_OF(v, width) ((v) ? (v) + c->row * (width) : NULL)

static rt_status check_empty(const check *c)
{
    const ds_doc *d = &c->d;
    const int64_t i = c->row, k = c->info->k, m = c->info->m, s = c->info->codec_bytes;
    const int     last = c->ends && i == d->n - 1;
    SAY(d->target_id[i] == (last ? -1 : d->ids[i + 1]), ROW "is not valid and has the target id %d, expected %d", AT(c),
        (int)d->target_id[i], (int)(last ? -1 : d->ids[i + 1]));
    const int ids = all_zero(ROW_OF(d->rows.topk_ids, k), (size_t)k * 4) && all_zero(ROW_OF(d->rows.tail_ids, m), (size_t)m * 4) &&
                    all_zero(ROW_OF(d->rows.encoded, s), (size_t)s);
    const int numbers = all_nan(ROW_OF(d->rows.topk_logprob, k), k) && all_nan(d->rows.actual_logprob + i, 1) &&
                        all_nan(d->rows.tail_mass + i, 1) && all_nan(ROW_OF(d->rows.tail_entropy, 1), 1) &&
                        (!d->weight || d->weight[i] == 1);
    SAY(ids && numbers, ROW "is not valid but holds %s", AT(c),
        ids ? "numbers other than NaN (or a weight other than 1)" : "ids or bytes other than 0");
    return RT_OK;
}

static int is_json(const char *text)
{
    cJSON *o    = NULL;
    rt_buf b    = {0};
    int    good = rt_buf_str(&b, text) == RT_OK && rt_json_parse(&o, b.p, b.len, RT_JSON_ANY, "attribute") == RT_OK;
    cJSON_Delete(o);
    rt_buf_free(&b);
    return good;
}

/* ---- documents ------------------------------------------------------------------------------ */

/* Turns the error by which a reader refuses a file into RT_ECHECK. */
static rt_status found(rt_status st)
{
    if (st == RT_EFORMAT || st == RT_EMISMATCH) RT_FAIL(RT_ECHECK, "%s", rt_error_text());
    return st;
}

static rt_status check_rows(check *c)
{
    const ds_doc *d = &c->d;
    for (c->row = 0; c->row < d->n; c->row++) {
        if (c->info->soft) RT_TRY(d->rows.valid[c->row] ? verify_check_codec(c) : check_empty(c));
    }
    return RT_OK;
}

static rt_status verify_check_doc(check *c)
{
    const int64_t *starts = ds_shard_starts(c->s), n = starts[c->doc + 1] - starts[c->doc], most = ds_rows_a_part(c->info);
    ds_doc         texts;
    for (c->first = 0; c->first < n; c->first += most) {
        const int64_t part = n - c->first < most ? n - c->first : most;
        RT_TRY(found(ds_shard_rows(c->s, c->doc, c->first, part, (1u << DS_COLS) - 1, &c->d)));
        c->ends = c->first + part == n;
        RT_TRY(check_rows(c));
    }
    RT_TRY(found(ds_shard_texts(c->s, c->doc, &texts)));
    SAY(!*texts.meta || (*texts.meta == '{' && is_json(texts.meta)), "%s: document %lld: /doc/meta is not a JSON object", c->path,
        (long long)c->doc);
    const char *const text[] = {texts.request, texts.recipe, texts.topic, texts.finish};
    for (int t = 0; t < 4; t++)
        SAY(rt_utf8_valid(text[t], strlen(text[t])), "%s: document %lld: %s is not UTF-8", c->path, (long long)c->doc, ds_text_names[t]);
    SAY(isnan(texts.cost) || (isfinite(texts.cost) && texts.cost >= 0), "%s: document %lld: the cost is %g, expected a non-negative number",
        c->path, (long long)c->doc, texts.cost);
    return RT_OK;
}

/* ---- the whole shard -------------------------------------------------------------------------- */

static rt_status check_attributes(const check *c)
{
    const ds_info *i = c->info;
    SAY(strlen(i->tokenizer) == 64 && strspn(i->tokenizer, "0123456789abcdef") == 64,
        "%s: the attribute 'tokenizer_sha256' is '%.70s', expected 64 hexadecimal digits", c->path, i->tokenizer);
    for (int a = 0; a < DS_ATTRIBUTES; a++) {
        const char *text = (const char *)i + ds_attributes[a].at;
        SAY(rt_utf8_valid(text, strlen(text)), "%s: the attribute '%s' is not UTF-8", c->path, ds_attributes[a].name);
    }
    const char *const json[][2] = {{"sampling", i->sampling}, {"probe", i->probe}, {"prices", i->prices}, {"gemm", i->gemm}};
    for (size_t j = 0; j < sizeof json / sizeof *json; j++)
        SAY(!*json[j][1] || is_json(json[j][1]), "%s: the attribute '%s' is not JSON", c->path, json[j][0]);
    return RT_OK;
}

static rt_status verify_check_all(check *c)
{
    RT_TRY(found(ds_shard_names(c->s)));
    RT_TRY(check_attributes(c));
    RT_TRY(found(ds_shard_codec(c->s, &c->decoder)));
    for (c->doc = 0; c->doc < ds_shard_docs(c->s); c->doc++) RT_TRY(verify_check_doc(c));
    return RT_OK;
}

rt_status ds_shard_verify(ds_shard *s)
{
    check c = {.s = s, .path = ds_shard_path(s), .info = ds_shard_info(s)};
    return verify_check_all(&c);
}
