/* bench_data.c -- the data of training benches in a temporary folder: presets, random text with the rows of a random teacher,
 * and a teacher's weights.
 *
 * Rows hold 16 random ids with 0.95 of the mass and 16 samples of the tail.  All else is as in retort train.
 */
#include "cli/bench.h"
#include "core/file.h"
#include "core/rng.h"
#include "data/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K = 16, M = 16, BATCHES = 2 };

static const bench_preset presets[] = {
    {"XS", 64, 2, 4, 2, 16, 192, 512, 4, 64}, {"S", 384, 6, 6, 2, 64, 1024, 8192, 8, 512}, {"M", 768, 12, 12, 4, 64, 2048, 32000, 4, 512}};

static rt_status find_preset(const bench_preset **out, const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (!strcmp(presets[i].name, name)) return *out = &presets[i], RT_OK;
    RT_FAIL(RT_EINVAL, "--preset %s: expected XS, S or M", name);
}

/* ---- rows ------------------------------------------------------------------------------------------------- */

/* Fills a row with K ids, one from each K-th part of the vocabulary; their masses are 0.95 softmax(2 x), x standard normal. */
static void random_row(rt_rng *r, int64_t V, int32_t *ids, float *logp, float *rest)
{
    double e[K], sum = 0, mass = 0;
    for (int i = 0; i < K; i++) {
        ids[i]      = (int32_t)((int64_t)rt_rng_below(r, (uint32_t)(V / K)) * K + i);
        sum += e[i] = exp(2 * rt_rng_normal(r));
    }
    for (int i = 0; i < K; i++) {
        logp[i] = (float)log(0.95 * e[i] / sum);
        mass += exp((double)logp[i]);
    }
    for (int i = 1; i < K; i++) /* sort by decreasing mass */
        for (int j = i; j > 0 && logp[j] > logp[j - 1]; j--) {
            const float   l  = logp[j];
            const int32_t id = ids[j];
            logp[j] = logp[j - 1], ids[j] = ids[j - 1], logp[j - 1] = l, ids[j - 1] = id;
        }
    *rest = (float)fmax(0, 1 - mass);
}

/* Returns a random id that is not one of the K. */
static int32_t random_tail(rt_rng *r, int64_t V, const int32_t *topk)
{
    for (;;) {
        const int32_t id = (int32_t)rt_rng_below(r, (uint32_t)V);
        int           k  = 0;
        while (k < K && topk[k] != id) k++;
        if (k == K) return id;
    }
}

static rt_status add_document(ds_writer *w, int32_t *ids, ds_rows *d, rt_rng *r, int64_t V)
{
    for (int64_t i = 0; i < d->n; i++) {
        ids[i]               = (int32_t)rt_rng_below(r, (uint32_t)V);
        d->valid[i]          = i + 1 < d->n;
        d->actual_logprob[i] = -10;
        random_row(r, V, d->topk_ids + i * K, d->topk_logprob + i * K, d->tail_mass + i);
        d->tail_entropy[i] = 0.3f;
        for (int j = 0; j < M; j++) d->tail_ids[i * M + j] = random_tail(r, V, d->topk_ids + i * K);
    }
    for (int64_t i = 0; i + 1 < d->n; i++)
        for (int k = 0; k < K; k++)
            if (d->topk_ids[i * K + k] == ids[i + 1]) d->actual_logprob[i] = d->topk_logprob[i * K + k];
    return ds_writer_add(w, &(ds_doc){.n = d->n, .ids = ids, .rows = *d});
}

static rt_status write_shard(const bench_place *b, const tr_config *c)
{
    ds_info       info = {.soft = 1, .vocab = c->shape.V, .k = K, .m = M};
    const int64_t T    = c->seq;
    ds_rows       d    = {.n = T, .k = K, .m = M};
    int32_t      *ids  = NULL;
    ds_writer    *w    = NULL;
    rt_rng        r    = {1};
    memcpy(info.tokenizer, b->tokenizer, sizeof info.tokenizer);
    rt_status st = RT_NEW(ids, T);
    if (st == RT_OK) st = ds_rows_alloc(&d, DS_ALL_COLUMNS);
    if (st == RT_OK) st = ds_writer_create(&w, b->shard, &info);
    for (int64_t i = 0; st == RT_OK && i < BATCHES * c->sequences; i++) st = add_document(w, ids, &d, &r, info.vocab);
    if (st == RT_OK) st = ds_writer_finish(&w);
    ds_rows_free(&d);
    free(ids);
    return st;
}

/* ---- a teacher of the student's size ---------------------------------------------------------------------- */

static rt_status write_weights(const bench_place *b, const tr_config *c)
{
    md_model *m     = NULL;
    md_config shape = c->shape;
    RT_TRY(md_create(&m, &shape, KN_REAL));
    md_init(m, 2);
    const rt_status st = md_save(m, b->teacher, KN_BF16);
    md_destroy(&m);
    return st;
}

/* Writes the teacher: a tokenizer trained on a few words, and the weights if requested.  Stores the SHA-256 of tokenizer.json, which
 * the rows' shard names. */
static rt_status write_teacher(bench_place *b, const tr_config *c, int weights)
{
    char text[128];
    snprintf(text, sizeof text, "%s/text.txt", b->dir);
    RT_TRY(rt_file_write(text, "a few words\n", 12));
    RT_TRY(ds_tokenizer_train(&(ds_input){.names = (const char *[]){text}, .n = 1}, 257, "<|end|>", b->teacher, NULL));
    snprintf(text, sizeof text, "%s/tokenizer.json", b->teacher);
    RT_TRY(rt_sha_file(text, b->tokenizer));
    return weights ? write_weights(b, c) : RT_OK;
}

/* ---- the folder -------------------------------------------------------------------------------------------- */

rt_status bench_configure(tr_config *c, const bench_place *b, const bench_options *o, const char *const *more)
{
    const bench_preset *p    = b->preset;
    rt_buf              text = {0};
    rt_strings          set  = {.n = 0};
    char                path[96];
    for (int i = 0; i < o->set.n && set.n < RT_MAX_STRINGS / 2; i++) set.v[set.n++] = o->set.v[i];
    for (; more && *more; more++) set.v[set.n++] = *more;
    snprintf(path, sizeof path, "%s/config.json", b->dir);
    rt_status st = rt_buf_fmt(&text,
                              "{\"model\":{\"C\":%lld,\"L\":%lld,\"H\":%lld,\"KV\":%lld,\"D\":%lld,\"F\":%lld,\"V\":%lld,\"context\":%lld},"
                              "\"data\":{\"train\":[\"%s\"],\"seq\":%lld,\"pack\":false},\"batch\":{\"sequences\":%lld},"
                              "\"objective\":{\"kind\":\"tail\"},\"schedule\":{\"kind\":\"constant\"},\"out\":\"%s/out\"}",
                              (long long)p->C, (long long)p->L, (long long)p->H, (long long)p->KV, (long long)p->D, (long long)p->F,
                              (long long)p->V, (long long)1 << 14, b->shard, (long long)p->T, (long long)p->B, b->dir);
    if (st == RT_OK) st = rt_file_write(path, text.p, text.len);
    if (st == RT_OK) st = tr_config_read(c, path, &set);
    rt_buf_free(&text);
    return st;
}

static rt_status bench_data_fill(bench_place *b, const bench_options *o)
{
    tr_config c;
    RT_TRY(bench_configure(&c, b, o, NULL));
    rt_status st = write_teacher(b, &c, o->objective != NULL);
    if (st == RT_OK) st = write_shard(b, &c);
    tr_config_free(&c);
    return st;
}

rt_status bench_open(bench_place *out, const bench_options *o)
{
    bench_place b = {.dir = "/tmp/retort-bench-XXXXXX"};
    RT_TRY(find_preset(&b.preset, o->preset));
    RT_CHECK(mkdtemp(b.dir), RT_EIO, "%s: the temporary folder cannot be created", b.dir);
    snprintf(b.shard, sizeof b.shard, "%s/random.h5", b.dir);
    snprintf(b.teacher, sizeof b.teacher, "%s/teacher", b.dir);
    const rt_status st = bench_data_fill(&b, o);
    if (st != RT_OK) bench_close(&b);
    else *out = b;
    return st;
}

void bench_close(bench_place *b) { (void)rt_dir_remove(b->dir); /* errors are ignored: the folder is temporary */ }
