/* score.c -- scoring without a server: text shards in, one soft shard out.
 *
 * Several documents share a pass through the model.  The grouping does not affect the samples, which are seeded by a row's
 * place in the text.  The codec must be fitted before the first row is written, so the first documents are scored twice.
 */
#include "distill/score.h"
#include "core/clock.h"
#include "core/rng.h"
#include "data/shard.h"
#include "distill/codec.h"
#include "model/score.h"
#include "model/teacher_row.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PACK   = 1024, /* tokens per pass, or those of the longest document */
    SAMPLE = 8192, /* hidden states sampled for fitting a codec */
    HELD   = 256,  /* at most so many of them are held out to measure its loss */
    FEW    = 16    /* minimum of held-out states for a measurement */
};

typedef struct item { /* a document of the pass */
    int     shard;
    int64_t doc, first; /* number in its shard; first row in the pass */
} item;

typedef struct scoring {
    const md_model *model;
    ds_tokenizer   *tokenizer;
    di_score_opts   o;
    md_scorer      *scorer;
    di_encoder     *encoder;
    ds_shard       *shard[RT_MAX_STRINGS], *from; /* from: the shard codec_from */
    ds_codec       *fitted;                       /* NULL with `from`, which owns the codec */
    ds_writer      *writer;
    di_scored       done;
    int64_t         number;                /* number of the next document, counted over all shards */
    int64_t         n, max, items;         /* max: rows of a pass, enough for the longest document */
    item           *item;                  /* [max] */
    int32_t        *ids, *pos, *doc_start; /* [max] */
    int32_t        *target;                /* [max] -1: the last row of a document */
    uint64_t       *seed;                  /* [max] */
    ds_rows         rows;                  /* [max]; valid is set when a document is added */
    real           *hidden, *sample;       /* [threads, C]; [wanted, C] */
    int64_t         sampled, wanted;
} scoring;

/* ---- the input --------------------------------------------------------------------------------------- */

static rt_status check_shard(scoring *c, const ds_shard *s, const ds_tokenizer *t)
{
    const md_config *m      = &c->model->config;
    const ds_info   *i      = ds_shard_info(s);
    const int64_t   *starts = ds_shard_starts(s);
    RT_CHECK(ds_tokenizer_is(t, i->tokenizer), RT_EMISMATCH,
             "%s was made with the tokenizer %.12s..., but %s has %.12s...; import the text again with --tokenizer %s", ds_shard_path(s),
             i->tokenizer, c->model->dir, ds_tokenizer_identity(t), c->model->dir);
    for (int64_t d = 0; d < ds_shard_docs(s); d++) {
        RT_CHECK(starts[d + 1] - starts[d] <= m->context, RT_EINVAL,
                 "document %lld of %s has %lld tokens, but the model accepts at most %lld; import the text again with --max-doc %lld",
                 (long long)d, ds_shard_path(s), (long long)(starts[d + 1] - starts[d]), (long long)m->context, (long long)m->context);
        if (starts[d + 1] - starts[d] > c->max) c->max = starts[d + 1] - starts[d];
    }
    return RT_OK;
}

static rt_status offline_open_shards(scoring *c)
{
    RT_CHECK(c->o.shards->n > 0, RT_EINVAL, "--shards: expected one or more shards to score");
    RT_TRY(ds_tokenizer_load(&c->tokenizer, c->model->dir));
    for (int i = 0; i < c->o.shards->n; i++) {
        RT_TRY(ds_shard_open(&c->shard[i], c->o.shards->v[i]));
        RT_TRY(check_shard(c, c->shard[i], c->tokenizer));
    }
    return RT_OK;
}

/* The largest m and codec size are checked by the writer. */
static rt_status offline_check_sizes(const di_score_opts *o)
{
    RT_CHECK(o->k >= 0 && o->k <= MD_TEACHER_MAX_K && o->m >= 0 && o->codec_bytes >= 0, RT_EINVAL,
             "found k = %lld, m = %lld and encoded hidden states of %lld bytes; k must be from 0 to %d, and none may be negative",
             (long long)o->k, (long long)o->m, (long long)o->codec_bytes, (int)MD_TEACHER_MAX_K);
    return RT_OK;
}

static rt_status offline_make(scoring *c)
{
    const di_score_opts *o = &c->o;
    RT_TRY(RT_NEW(c->item, c->max));
    RT_TRY(RT_NEW(c->ids, c->max));
    RT_TRY(RT_NEW(c->pos, c->max));
    RT_TRY(RT_NEW(c->doc_start, c->max));
    RT_TRY(RT_NEW(c->target, c->max));
    RT_TRY(RT_NEW(c->seed, c->max));
    c->rows = (ds_rows){.n = c->max, .k = o->k, .m = o->m, .bytes = o->codec_bytes};
    RT_TRY(ds_rows_alloc(&c->rows, DS_ALL_COLUMNS));
    RT_TRY(RT_NEW(c->hidden, rt_threads() * c->model->config.C));
    return md_scorer_create(&c->scorer, c->model, c->max);
}

static void scoring_free(scoring *c)
{
    ds_writer_abandon(&c->writer);
    ds_tokenizer_destroy(&c->tokenizer);
    md_scorer_destroy(&c->scorer);
    di_encoder_destroy(&c->encoder);
    ds_codec_destroy(&c->fitted);
    ds_shard_close(&c->from);
    for (int i = 0; i < c->o.shards->n; i++) ds_shard_close(&c->shard[i]);
    free(c->item), free(c->ids), free(c->pos), free(c->doc_start), free(c->target), free(c->seed);
    ds_rows_free(&c->rows);
    free(c->hidden), free(c->sample);
}

/* ---- passes ------------------------------------------------------------------------------------------ */

typedef rt_status (*pass_fn)(scoring *c, const md_packed *b);

static rt_status offline_flush(scoring *c, pass_fn pass)
{
    const md_packed b = {c->ids, c->pos, c->doc_start, c->n};
    RT_CHECK(!rt_interrupted(), RT_EINTR, "interrupted; nothing was written");
    if (c->n) RT_TRY(pass(c, &b));
    c->n = c->items = 0;
    return RT_OK;
}

static void offline_add_doc(scoring *c, int shard, int64_t doc, const ds_doc *d)
{
    const uint64_t seed = rt_mix2(c->o.seed, (uint64_t)c->number++);
    c->item[c->items++] = (item){shard, doc, c->n};
    for (int64_t i = 0; i < d->n; i++) {
        const int64_t to  = c->n + i;
        c->ids[to]        = d->ids[i];
        c->pos[to]        = (int32_t)i;
        c->doc_start[to]  = (int32_t)c->n;
        c->target[to]     = i + 1 < d->n ? d->ids[i + 1] : -1;
        c->rows.valid[to] = i + 1 < d->n;
        c->seed[to]       = rt_mix2(seed, (uint64_t)(i + 1)); /* the server seeds the row that predicts token i + 1 in the same way */
    }
    c->n += d->n;
}

/* Runs `pass` over all documents in order, or over the first ones until `wanted` hidden states are sampled. */
static rt_status walk(scoring *c, pass_fn pass, int all)
{
    ds_doc d;
    c->number = 0;
    for (int s = 0; s < c->o.shards->n; s++)
        for (int64_t i = 0; i < ds_shard_docs(c->shard[s]) && (all || c->sampled < c->wanted); i++) {
            const int64_t *starts = ds_shard_starts(c->shard[s]);
            if (c->n + starts[i + 1] - starts[i] > c->max) RT_TRY(offline_flush(c, pass));
            RT_TRY(ds_shard_doc(c->shard[s], i, &d));
            RT_TRY(ds_ids_check(c->shard[s], i, 0, d.ids, d.n, c->model->config.V));
            offline_add_doc(c, s, i, &d);
        }
    return offline_flush(c, pass);
}

static rt_status take_sample(scoring *c, const md_packed *b)
{
    RT_TRY(md_score_packed(c->scorer, b, NULL, NULL));
    for (int64_t t = 0; t < c->n && c->sampled < c->wanted; t++)
        if (c->rows.valid[t]) md_scorer_hidden(c->scorer, t, c->sample + c->sampled++ * c->model->config.C);
    return RT_OK;
}

/* ---- encoded states ---------------------------------------------------------------------------------------- */

/* Takes k, m and the codec from the shard codec_from. */
static rt_status take_codec(scoring *c)
{
    const ds_codec *s;
    const char     *path = c->o.codec_from;
    RT_TRY(ds_shard_open(&c->from, path));
    const ds_info *i = ds_shard_info(c->from);
    RT_CHECK(
        i->soft && ds_tokenizer_is(c->tokenizer, i->tokenizer) && i->vocab == c->model->config.V, RT_EMISMATCH,
        "--codec-from %s is a %s shard of tokenizer %.12s... with %lld entries; expected a soft shard of %.12s... with %lld entries, like "
        "%s",
        path, i->soft ? "soft" : "text", i->tokenizer, (long long)i->vocab, ds_tokenizer_identity(c->tokenizer),
        (long long)c->model->config.V, c->model->dir);
    c->o.k = i->k, c->o.m = i->m, c->o.codec_bytes = i->codec_bytes;
    RT_CHECK(i->k <= MD_TEACHER_MAX_K, RT_EINVAL, "--codec-from %s has k = %lld, expected at most %d", path, (long long)i->k,
             (int)MD_TEACHER_MAX_K);
    RT_TRY(ds_shard_codec(c->from, &s));
    RT_CHECK(
        !s || s->map, RT_EMISMATCH,
        "--codec-from %s does not hold its encoder (/sketch_map is missing); score its text again, then the other texts with --codec-from "
        "that shard",
        path);
    RT_CHECK(!s || s->C == c->model->config.C, RT_EMISMATCH,
             "--codec-from %s encodes hidden states of %lld numbers, but %s has %lld; use the model from which they were made", path,
             (long long)s->C, c->model->dir, (long long)c->model->config.C);
    return RT_OK;
}

/* RT_EMISMATCH: the codec of `from` loses much more on this model than on its own teacher, so it is of another model. */
static rt_status check_loss(const scoring *c, const ds_codec *s, double now)
{
    RT_CHECK(isfinite(now), RT_ECHECK, "a codec cannot be fitted: the model's hidden states are not finite; its weights are damaged");
    RT_CHECK(
        !c->from || isnan(s->loss) || now <= 2 * s->loss + 0.1, RT_EMISMATCH,
        "--codec-from %s: the codec loses %.3f nats per token on its own teacher but %.3f on %s, which is another model or scores very "
        "different text; omit --codec-from and train on these shards separately",
        c->o.codec_from, s->loss, now, c->model->dir);
    return RT_OK;
}

/* Measures the codec's loss on the last n rows of the sample. */
static rt_status measure_loss(scoring *c, const ds_codec *s, int64_t n)
{
    c->done.codec_loss = NAN;
    if (n < FEW) return RT_OK;
    RT_TRY(di_encoder_loss(&c->done.codec_loss, c->encoder, c->model, c->sample + (c->sampled - n) * c->model->config.C, n));
    return check_loss(c, s, c->done.codec_loss);
}

static rt_status choose_codec(scoring *c, const ds_codec **s, int64_t fitted)
{
    if (c->from) return ds_shard_codec(c->from, s);
    RT_TRY(di_codec_fit(&c->fitted, c->model, c->sample, fitted, c->o.codec_bytes));
    *s = c->fitted;
    return RT_OK;
}

/* Selects or fits the codec before the first row is written, and measures its loss on held-out hidden states. */
static rt_status prepare_codec(scoring *c)
{
    const ds_codec *s;
    c->wanted = c->from ? HELD : SAMPLE;
    RT_TRY(RT_NEW(c->sample, c->wanted * c->model->config.C));
    RT_TRY(walk(c, take_sample, 0));
    const int64_t held = c->from ? c->sampled : c->sampled / 8 < HELD ? c->sampled / 8 : HELD;
    RT_TRY(choose_codec(c, &s, c->sampled - held));
    RT_TRY(di_encoder_create(&c->encoder, s));
    RT_TRY(measure_loss(c, s, held));
    if (c->fitted) c->fitted->loss = c->done.codec_loss;
    return ds_writer_codec(c->writer, s);
}

/* ---- rows -------------------------------------------------------------------------------------------- */

static void offline_fill(void *ud, int64_t t, real *z, int thread)
{
    scoring             *c = ud;
    const di_score_opts *o = &c->o;
    if (!c->rows.valid[t]) return;
    md_teacher_fill(&c->rows, t, z, c->model->config.V, c->target[t], c->seed[t]);
    if (!o->codec_bytes) return;
    real *h = c->hidden + thread * c->model->config.C;
    md_scorer_hidden(c->scorer, t, h);
    di_encoder_row(c->encoder, h, c->rows.encoded + t * o->codec_bytes, thread);
}

/* Writes document x.  Tokens and text are read from the input again, because a pass holds only the computed values. */
static rt_status offline_write_doc(scoring *c, const item *x)
{
    ds_doc d;
    RT_TRY(ds_shard_doc(c->shard[x->shard], x->doc, &d));
    d.target_id = NULL;
    d.weight    = NULL;
    d.rows      = ds_rows_slice(&c->rows, x->first, d.n);
    RT_TRY(ds_writer_add(c->writer, &d));
    c->done.documents++;
    c->done.tokens += d.n;
    return RT_OK;
}

static rt_status take_rows(scoring *c, const md_packed *b)
{
    RT_TRY(md_score_packed(c->scorer, b, offline_fill, c));
    for (int64_t i = 0; i < c->items; i++) RT_TRY(offline_write_doc(c, &c->item[i]));
    if (c->o.progress) rt_progress_at(c->o.progress, c->done.tokens, NULL);
    return RT_OK;
}

/* ---- the output -------------------------------------------------------------------------------------- */

/* Sets the attributes that say how the teacher's numbers were computed. */
static rt_status offline_say_how(ds_info *info, const md_model *m)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    kn_gemm_put(&w, NULL);
    snprintf(info->dtype, sizeof info->dtype, "%s", kn_type_name(md_activations(m)));
    if (w.st == RT_OK) snprintf(info->gemm, sizeof info->gemm, "%s", b.p);
    rt_buf_free(&b);
    return w.st;
}

static ds_info info_of(const scoring *c)
{
    const di_score_opts *o = &c->o;
    ds_info     info = {.soft = 1, .vocab = c->model->config.V, .k = o->k, .m = o->m, .codec_bytes = o->codec_bytes, .dialect = "model"};
    const char *name = strrchr(c->model->dir, '/');
    memcpy(info.tokenizer, ds_tokenizer_identity(c->tokenizer), RT_SHA_HEX);
    snprintf(info.teacher, sizeof info.teacher, "%s", name && name[1] ? name + 1 : c->model->dir);
    snprintf(info.endpoint, sizeof info.endpoint, "%s", c->model->dir);
    snprintf(info.sampling, sizeof info.sampling, "{\"command\":\"score\",\"seed\":\"%llu\"}", (unsigned long long)o->seed);
    snprintf(info.program, sizeof info.program, "%s", o->program);
    return info;
}

static rt_status offline_run(scoring *c)
{
    RT_TRY(offline_open_shards(c));
    if (c->o.codec_from) RT_TRY(take_codec(c));
    RT_TRY(offline_check_sizes(&c->o));
    ds_info info = info_of(c);
    RT_TRY(offline_say_how(&info, c->model));
    RT_TRY(ds_writer_create(&c->writer, c->o.out, &info)); /* refuses sizes that are too large before memory is taken for them */
    RT_TRY(offline_make(c));
    if (c->o.codec_bytes) RT_TRY(prepare_codec(c));
    RT_TRY(walk(c, take_rows, 1));
    return ds_writer_finish(&c->writer);
}

rt_status di_score(const md_model *m, const di_score_opts *o, di_scored *r)
{
    scoring         c  = {.model = m, .o = *o, .max = PACK, .done.codec_loss = NAN};
    const rt_status st = offline_run(&c);
    if (st == RT_OK) *r = c.done;
    scoring_free(&c);
    return st;
}
