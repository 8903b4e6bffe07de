/* loader.c -- an endless stream of sequences, a pure function of (seed, number).
 *
 * Epoch e is a permutation of the documents seeded by (seed, e), cut into windows and packed.  Sequence numbers continue over
 * epochs.
 */
#include "core/rng.h"
#include "data/loader/state.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 20, CACHE_ALL = 512 << 20 }; /* tokens read at once when opening; bytes of cache for all shards together */

/* ---- opening ------------------------------------------------------------------------- */

static rt_status check_opts(const ds_loader_opts *o)
{
    RT_CHECK(o->shards && o->shards->n >= 1, RT_EINVAL, "the list of shards is empty; name at least one");
    RT_CHECK(o->T >= 1 && o->rows >= 1 && o->T <= INT32_MAX / o->rows, RT_EINVAL,
             "a batch must have at least 1 sequence and 1 token and fewer than 2^31 tokens in all, found %lld sequences of %lld tokens",
             (long long)o->rows, (long long)o->T);
    RT_CHECK(o->k >= 0 && o->m >= 0 && !o->targets == !(o->k || o->m || o->use_codec), RT_EINVAL,
             "k = %lld, m = %lld and %s encoded state with%s soft targets; with them there is at least one of the three, without none",
             (long long)o->k, (long long)o->m, o->use_codec ? "an" : "no", o->targets ? "" : "out");
    RT_CHECK(o->prompt_weight >= 0 && o->prompt_weight <= 1e6, RT_EINVAL, "the prompt weight must be from 0 to 1e6, found %g",
             o->prompt_weight);
    for (int i = 0; o->weights && i < o->shards->n; i++)
        RT_CHECK(o->weights[i] >= 0 && o->weights[i] <= 1e6, RT_EINVAL, "%s: the weight must be from 0 to 1e6, found %g", o->shards->v[i],
                 o->weights[i]);
    return RT_OK;
}

static rt_status check_targets(const ds_loader_opts *o, const ds_shard *s)
{
    const ds_info *i    = ds_shard_info(s);
    const char    *path = ds_shard_path(s);
    if (!o->targets) return RT_OK;
    RT_CHECK(i->soft, RT_EMISMATCH, "%s holds text without a teacher's targets; train on it with cross-entropy, or score it first", path);
    RT_CHECK(o->k <= i->k, RT_EMISMATCH, "%s holds the top %lld, but k = %lld is requested; set k to at most %lld, or score the text again",
             path, (long long)i->k, (long long)o->k, (long long)i->k);
    RT_CHECK(
        !o->m || o->m == i->m, RT_EMISMATCH,
        "%s holds %lld tail samples per row, but m = %lld is requested; they were drawn together, so use all or none, or score the text "
        "again",
        path, (long long)i->m, (long long)o->m);
    RT_CHECK(o->m == 0 || o->k == i->k, RT_EMISMATCH,
             "%s: the tail samples were drawn outside the top %lld, but k = %lld is requested; set k to %lld, or m to 0", path,
             (long long)i->k, (long long)o->k, (long long)i->k);
    return RT_OK;
}

/* Checks that shard s has the first shard's codec: one decoder decodes all rows of a batch. */
static rt_status loader_check_codec(ds_loader *l, ds_shard *s)
{
    ds_codec   *x;
    const char *path = ds_shard_path(s), *first = ds_shard_path(l->shard[0]);
    RT_CHECK(ds_shard_info(s)->codec_bytes, RT_EMISMATCH,
             "%s holds no encoded hidden states; score its text again with --codec-from %s, or omit the shard", path, first);
    if (s == l->shard[0]) return ds_shard_codec(s, &l->codec);
    RT_TRY(ds_shard_codec_read(s, &x));
    const char *what = ds_codec_differs(l->codec, x);
    ds_codec_destroy(&x);
    RT_CHECK(!what, RT_EMISMATCH, "%s and %s: the %s of their codecs differ; score the text of the second again with --codec-from %s",
             first, path, what, first);
    return RT_OK;
}

static rt_status check_fit(ds_loader *l, ds_shard *s)
{
    const ds_info *a = ds_shard_info(l->shard[0]), *b = ds_shard_info(s);
    RT_CHECK(ds_tokenizer_same(l->o.tokenizer, a->tokenizer, b->tokenizer), RT_EMISMATCH,
             "%s was made with the tokenizer %.12s..., but %s with %.12s...; use shards of one tokenizer", ds_shard_path(l->shard[0]),
             a->tokenizer, ds_shard_path(s), b->tokenizer);
    RT_TRY(check_targets(&l->o, s));
    return l->o.use_codec ? loader_check_codec(l, s) : RT_OK;
}

static rt_status loader_open_shards(ds_loader *l)
{
    const int    n     = l->o.shards->n;
    const size_t cache = CACHE_ALL / (size_t)n / DS_COLS;
    for (l->n = 0; l->n < n; l->n++) {
        ds_shard **s = &l->shard[l->n];
        RT_TRY(ds_shard_open_cached(s, l->o.shards->v[l->n], cache < DS_CACHE ? cache : DS_CACHE));
        l->weight[l->n]        = l->o.weights ? l->o.weights[l->n] : 1.0;
        l->first_doc[l->n + 1] = l->first_doc[l->n] + ds_shard_docs(*s);
        const rt_status st     = check_fit(l, *s);
        if (st != RT_OK) ds_shard_close(s);
        RT_TRY(st);
    }
    return RT_OK;
}

/* ---- windows: one pass over /valid, /prompt_mask and /weight --------------------------------- */

/* The columns that determine which rows count, for consecutive documents; NULL if a shard has none. */
typedef struct columns {
    uint8_t *valid, *prompt;
    float   *weight;
} columns;

static double window_weight(const ds_loader *l, const columns *c, int64_t doc, int64_t from, int64_t n, int64_t len)
{
    double sum = 0;
    for (int64_t i = from; i < from + n && i + 1 < len; i++) {
        const int64_t at = doc + i;
        sum += (double)ds_row_weight(c->weight ? c->weight[at] : 1, !c->valid || c->valid[at], c->prompt[at + 1], l->o.prompt_weight);
    }
    return sum;
}

/* Creates the windows of documents a..b-1 of shard s; the columns begin with document a. */
static void loader_cut(ds_loader *l, int s, int64_t a, int64_t b, const columns *c)
{
    const int64_t *starts = ds_shard_starts(l->shard[s]), T = l->o.T;
    for (int64_t i = a; i < b; i++) {
        const int64_t at = starts[i] - starts[a], len = starts[i + 1] - starts[i], doc = l->first_doc[s] + i;
        ds_window    *w = l->window + l->doc_window[doc];
        for (int64_t from = 0; from < len; from += T, w++) {
            *w        = (ds_window){.doc = doc, .from = from, .n = (int32_t)(len - from < T ? len - from : T)};
            w->weight = window_weight(l, c, at, from, w->n, len);
        }
    }
}

static rt_status read_weights(ds_shard *s, int64_t first, int64_t n, columns *c)
{
    if (!ds_shard_has_weight(s)) return RT_OK;
    RT_TRY(RT_NEW(c->weight, n));
    return ds_shard_column(s, COL_WEIGHT, first, n, c->weight);
}

static rt_status read_columns(ds_shard *s, int64_t first, int64_t n, columns *c)
{
    RT_TRY(RT_NEW(c->prompt, n));
    RT_TRY(ds_shard_column(s, COL_PROMPT, first, n, c->prompt));
    if (!ds_shard_info(s)->soft) return RT_OK;
    RT_TRY(RT_NEW(c->valid, n));
    RT_TRY(ds_shard_column(s, COL_VALID, first, n, c->valid));
    return read_weights(s, first, n, c);
}

/* Checks these columns of documents a..b-1 before the first batch. */
static rt_status check_columns(ds_shard *s, int64_t a, int64_t b, const columns *c)
{
    const int64_t *starts = ds_shard_starts(s);
    for (int64_t i = a; i < b; i++) {
        const int64_t at = starts[i] - starts[a];
        const ds_doc  d  = {.n           = starts[i + 1] - starts[i],
                            .prompt_mask = c->prompt + at,
                            .rows.valid  = c->valid ? c->valid + at : NULL,
                            .weight      = c->weight ? c->weight + at : NULL};
        RT_TRY(ds_shard_check_rows(s, i, 0, &d));
    }
    return RT_OK;
}

static rt_status cut_shard(ds_loader *l, int s)
{
    const int64_t *starts = ds_shard_starts(l->shard[s]), docs = ds_shard_docs(l->shard[s]);
    for (int64_t a = 0, b; a < docs; a = b) {
        columns c = {0};
        for (b = a + 1; b < docs && starts[b + 1] - starts[a] <= BLOCK;) b++;
        rt_status st = read_columns(l->shard[s], starts[a], starts[b] - starts[a], &c);
        if (st == RT_OK) st = check_columns(l->shard[s], a, b, &c);
        if (st == RT_OK) loader_cut(l, s, a, b, &c);
        free(c.valid), free(c.prompt), free(c.weight);
        RT_TRY(st);
    }
    return RT_OK;
}

static rt_status cut_all(ds_loader *l)
{
    const int64_t T = l->o.T;
    int64_t       n = 0;
    RT_TRY(RT_NEW(l->doc_window, l->first_doc[l->n] + 1));
    for (int s = 0; s < l->n; s++) {
        const int64_t *starts = ds_shard_starts(l->shard[s]);
        for (int64_t i = 0; i < ds_shard_docs(l->shard[s]); i++) {
            l->doc_window[l->first_doc[s] + i] = n;
            n += (starts[i + 1] - starts[i] + T - 1) / T;
        }
    }
    l->doc_window[l->first_doc[l->n]] = n;
    RT_TRY(RT_NEW(l->window, n));
    for (int s = 0; s < l->n; s++) RT_TRY(cut_shard(l, s));
    return RT_OK;
}

/* ---- epochs ------------------------------------------------------------------------------- */

/* Number of documents of shard s beyond its whole passes: weight 1.25 adds a random quarter, chosen by the seed. */
static int64_t extra_docs(const ds_loader *l, int s)
{
    const double docs = (double)ds_shard_docs(l->shard[s]);
    return (int64_t)floor((l->weight[s] - floor(l->weight[s])) * docs + 0.5);
}

static int64_t epoch_docs(const ds_loader *l)
{
    int64_t n = 0;
    for (int s = 0; s < l->n; s++) n += (int64_t)floor(l->weight[s]) * ds_shard_docs(l->shard[s]) + extra_docs(l, s);
    return n;
}

/* doc has epoch_docs entries plus the documents of the largest shard; the entries after epoch_docs are scratch. */
static void choose_docs(const ds_loader *l, int64_t e, int64_t *doc, int64_t n)
{
    rt_rng  r  = {rt_mix2(l->o.seed, (uint64_t)e)};
    int64_t at = 0;
    for (int s = 0; s < l->n; s++) {
        const int64_t first = l->first_doc[s], docs = ds_shard_docs(l->shard[s]), extra = extra_docs(l, s);
        for (int64_t pass = 0; pass < (int64_t)floor(l->weight[s]); pass++)
            for (int64_t i = 0; i < docs; i++) doc[at++] = first + i;
        for (int64_t i = 0; extra && i < docs; i++) doc[at + i] = first + i;
        if (extra) rt_rng_shuffle(&r, doc + at, docs);
        at += extra;
    }
    if (!l->o.ordered) rt_rng_shuffle(&r, doc, n);
}

static int64_t largest_shard(const ds_loader *l)
{
    int64_t most = 0;
    for (int s = 0; s < l->n; s++)
        if (ds_shard_docs(l->shard[s]) > most) most = ds_shard_docs(l->shard[s]);
    return most;
}

static rt_status pack_epoch(const ds_loader *l, int64_t e, ds_packing *p)
{
    const int64_t n   = epoch_docs(l);
    int64_t      *doc = NULL, *order = NULL, windows = 0;
    rt_status     st = RT_NEW(doc, n + largest_shard(l));
    if (st != RT_OK) return st;
    choose_docs(l, e, doc, n);
    for (int64_t i = 0; i < n; i++) windows += l->doc_window[doc[i] + 1] - l->doc_window[doc[i]];
    st      = RT_NEW(order, windows);
    windows = 0;
    for (int64_t i = 0; st == RT_OK && i < n; i++)
        for (int64_t w = l->doc_window[doc[i]]; w < l->doc_window[doc[i] + 1]; w++) order[windows++] = w;
    if (st == RT_OK) st = ds_pack(p, l->window, order, windows, l->o.T, l->o.pack);
    free(order);
    free(doc);
    return st;
}

static rt_status epoch_get(ds_loader *l, int64_t e, const ds_packing **p)
{
    ds_epoch *slot = &l->epoch[e % 2];
    if (slot->number != e) {
        ds_packing_free(&slot->p);
        slot->number = -1;
        RT_TRY(pack_epoch(l, e, &slot->p));
        slot->number = e;
    }
    *p = &slot->p;
    return RT_OK;
}

/* Finds the packing that holds sequence q; *at: its index there.  The length of an epoch is known only after packing, so each
 * epoch up to that of q is packed once. */
static rt_status loader_find(ds_loader *l, int64_t q, const ds_packing **p, int64_t *at)
{
    while (l->epochs == 0 || l->begin[l->epochs] <= q) {
        RT_TRY(rt_grow((void **)&l->begin, l->epochs + 1, &l->begin_cap, sizeof *l->begin));
        if (l->epochs == 0) l->begin[0] = 0;
        RT_TRY(epoch_get(l, l->epochs, p));
        l->begin[l->epochs + 1] = l->begin[l->epochs] + (*p)->sequences;
        l->epochs++;
    }
    int64_t low = 0, high = l->epochs; /* begin[low] <= q < begin[high] */
    while (high - low > 1) {
        const int64_t mid = low + (high - low) / 2;
        if (l->begin[mid] <= q) low = mid;
        else high = mid;
    }
    *at = q - l->begin[low];
    return epoch_get(l, low, p);
}

/* ---- the public functions -------------------------------------------------------------------- */

static rt_status loader_open_all(ds_loader *l)
{
    const ds_packing *p;
    int64_t           at;
    RT_TRY(loader_open_shards(l));
    RT_TRY(cut_all(l));
    RT_CHECK(epoch_docs(l) > 0, RT_EINVAL, "%s%s: expected at least one document to train on%s, found none", ds_shard_path(l->shard[0]),
             l->n > 1 ? " and the others" : "", l->o.weights ? " with these weights" : "");
    RT_TRY(loader_find(l, 0, &p, &at));
    return ds_batch_alloc(l);
}

rt_status ds_loader_create(ds_loader **out, const ds_loader_opts *o)
{
    ds_loader *l;
    RT_TRY(check_opts(o));
    RT_TRY(RT_NEW(l, 1));
    l->o               = *o;
    l->epoch[0].number = l->epoch[1].number = -1;
    const rt_status st                      = loader_open_all(l);
    if (st != RT_OK) {
        ds_loader_destroy(&l);
        return st;
    }
    l->o.tokenizer = NULL; /* owned by the caller, used only for the comparison above */
    *out           = l;
    return RT_OK;
}

void ds_loader_destroy(ds_loader **loader)
{
    ds_loader *l = *loader;
    if (!l) return;
    for (int s = 0; s < l->n; s++) ds_shard_close(&l->shard[s]);
    for (int e = 0; e < 2; e++) ds_packing_free(&l->epoch[e].p);
    ds_batch_free(l);
    free(l->window);
    free(l->doc_window);
    free(l->begin);
    free(l);
    *loader = NULL;
}

const ds_info *ds_loader_info(const ds_loader *l) { return ds_shard_info(l->shard[0]); }
int64_t        ds_loader_epoch(const ds_loader *l) { return l->begin[1]; }

int64_t ds_loader_tokens(const ds_loader *l)
{
    int64_t n = 0;
    for (int s = 0; s < l->n; s++) n += ds_shard_tokens(l->shard[s]);
    return n;
}

int ds_loader_has_entropy(const ds_loader *l)
{
    for (int s = 0; s < l->n; s++)
        if (!ds_shard_has_entropy(l->shard[s])) return 0;
    return 1;
}

const ds_codec *ds_loader_codec(const ds_loader *l) { return l->codec; }

rt_status ds_loader_read(ds_loader *l, int64_t first, int64_t rows, ds_batch *b)
{
    const ds_packing *p;
    int64_t           at;
    RT_CHECK(first >= 0 && rows >= 1 && rows <= l->o.rows, RT_EINVAL,
             "cannot read a batch from sequence %lld on with %lld sequences; expected 1 to %lld sequences", (long long)first,
             (long long)rows, (long long)l->o.rows);
    ds_batch_clear(l, rows);
    for (int64_t r = 0; r < rows; r++) {
        RT_TRY(loader_find(l, first + r, &p, &at));
        RT_TRY(ds_batch_fill(l, r, p->item + p->begin[at], p->begin[at + 1] - p->begin[at]));
    }
    *b = l->batch;
    return RT_OK;
}

rt_status ds_loader_weight(ds_loader *l, int64_t first, int64_t rows, double *weight)
{
    const ds_packing *p;
    int64_t           at;
    double            sum = 0;
    RT_CHECK(first >= 0 && rows >= 0, RT_EINVAL, "cannot weigh %lld + %lld sequences; expected non-negative numbers", (long long)first,
             (long long)rows);
    for (int64_t r = 0; r < rows; r++) {
        RT_TRY(loader_find(l, first + r, &p, &at));
        for (int64_t i = p->begin[at]; i < p->begin[at + 1]; i++) sum += l->window[p->item[i]].weight;
    }
    *weight = sum;
    return RT_OK;
}
