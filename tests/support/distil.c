/* distil.c -- see distil.h. */
#include "tests/support/distil.h"
#include "core/file.h"
#include "core/rng.h"
#include "data/text.h"
#include "model/score.h"
#include "model/teacher_row.h"
#include <stdio.h>
#include <stdlib.h>

char dt_dir[64] = "/tmp/retort-train-XXXXXX", dt_shard[96];

int dt_open(void)
{
    if (!mkdtemp(dt_dir)) return 0;
    snprintf(dt_shard, sizeof dt_shard, "%s/soft.h5", dt_dir);
    if (dt_make_shard(dt_shard) == RT_OK) return 1;
    fprintf(stderr, "%s\n", rt_error_text());
    return 0;
}

int dt_close(void **state)
{
    (void)state;
    return rt_dir_remove(dt_dir) != RT_OK;
}

/* ---- a soft shard from a random teacher ---------------------------------------------------------- */

typedef struct document {
    int32_t ids[DT_LONGEST];
    int64_t n;
    ds_rows rows;
} document;

static void take(void *ud, int64_t t, real *z, int thread)
{
    document *d = ud;
    (void)thread;
    if (t + 1 < d->n) md_teacher_fill(&d->rows, t, z, DT_V, d->ids[t + 1], (uint64_t)t);
}

static rt_status add_doc(ds_writer *w, md_scorer *s, rt_rng *rng)
{
    document d = {.n = 2 + (int64_t)rt_rng_below(rng, DT_LONGEST - 1)};
    d.rows     = (ds_rows){.n = d.n, .k = DT_K, .m = DT_M};
    for (int64_t i = 0; i < d.n; i++) d.ids[i] = (int32_t)rt_rng_below(rng, DT_V);
    rt_status st = ds_rows_alloc(&d.rows, DS_ALL_COLUMNS);
    if (st == RT_OK) st = md_score(s, d.ids, d.n, take, &d);
    if (st == RT_OK) st = ds_writer_add(w, &(ds_doc){.n = d.n, .ids = d.ids, .rows = d.rows});
    ds_rows_free(&d.rows);
    return st;
}

/* Writes the teacher's folder with a tokenizer, whose hash the shard records. */
static rt_status save_teacher(const md_model *m, char tokenizer[RT_SHA_HEX])
{
    char dir[96], text[128];
    snprintf(dir, sizeof dir, "%s/teacher", dt_dir);
    snprintf(text, sizeof text, "%s/text.txt", dt_dir);
    RT_TRY(md_save(m, dir, KN_REAL));
    RT_TRY(rt_file_write(text, "a few words\n", 12));
    RT_TRY(ds_tokenizer_train(&(ds_input){.names = (const char *[]){text}, .n = 1}, 257, "<|end|>", dir, NULL));
    snprintf(text, sizeof text, "%s/tokenizer.json", dir);
    return rt_sha_file(text, tokenizer);
}

rt_status dt_make_shard(const char *path)
{
    const md_config c    = {.family     = MD_LLAMA,
                            .V          = DT_V,
                            .C          = 16,
                            .L          = 1,
                            .H          = 2,
                            .KV         = 1,
                            .D          = 8,
                            .F          = 32,
                            .context    = 48, /* data.seq below */
                            .rope.theta = 10000,
                            .norm_eps   = 1e-5,
                            .tied       = 1,
                            .bos        = -1};
    ds_info         info = {.soft = 1, .vocab = DT_V, .k = DT_K, .m = DT_M};
    md_model       *m    = NULL;
    md_scorer      *s    = NULL;
    ds_writer      *w    = NULL;
    rt_rng          r    = {5};
    RT_TRY(md_create(&m, &c, KN_REAL));
    md_init(m, 3);
    for (int64_t i = 0; i < DT_V * 16; i++) ((real *)m->t[0].data)[i] *= 30; /* larger embeddings give peaked distributions */
    RT_TRY(save_teacher(m, info.tokenizer));
    RT_TRY(md_scorer_create(&s, m, DT_LONGEST));
    RT_TRY(ds_writer_create(&w, path, &info));
    for (int i = 0; i < DT_DOCS; i++) RT_TRY(add_doc(w, s, &r));
    md_scorer_destroy(&s);
    md_destroy(&m);
    return ds_writer_finish(&w);
}

/* ---- runs ------------------------------------------------------------------------------------ */

rt_status dt_config(tr_config *c, const char *name, const char *const *more)
{
    static char text[2][160];
    rt_strings  set = {.n = 0};
    char        path[96];
    snprintf(path, sizeof path, "%s/empty.json", dt_dir);
    RT_TRY(rt_file_write(path, "{}", 2));
    snprintf(text[0], sizeof text[0], "data.train=[\"%s\"]", dt_shard);
    snprintf(text[1], sizeof text[1], "out=%s/%s", dt_dir, name);
    const char *const base[] = {text[0],      text[1],    "data.seq=48",       "model.context=48", "model.C=32",        "model.D=8",
                                "model.F=40", "steps=20", "batch.sequences=4", "optim.lr=0.01",    "schedule.warmup=3", "dtype=f32"};
    for (size_t i = 0; i < sizeof base / sizeof *base; i++) set.v[set.n++] = base[i];
    for (; more && *more; more++) set.v[set.n++] = *more;
    return tr_config_read(c, path, &set);
}

static rt_status run(tr_trainer *t, const char *dir, int64_t steps, char digest[RT_SHA_HEX], double *loss)
{
    tr_metrics m = {0};
    char       path[160];
    for (int64_t s = 0; s < steps; s++) RT_TRY(tr_trainer_step(t, s, &m));
    RT_TRY(rt_dir_make(dir));
    RT_TRY(tr_checkpoint_write(t, steps));
    snprintf(path, sizeof path, "%s/latest/model.safetensors", dir);
    *loss = m.loss;
    return rt_sha_file(path, digest);
}

rt_status dt_train(const char *name, const char *const *more, int64_t steps, char digest[RT_SHA_HEX], double *loss)
{
    tr_config   c;
    tr_trainer *t = NULL;
    RT_TRY(dt_config(&c, name, more));
    rt_status st = tr_trainer_create(&t, &c, rt_comm_self());
    if (st == RT_OK) st = run(t, c.out, steps, digest, loss);
    tr_trainer_destroy(&t);
    tr_config_free(&c);
    return st;
}
