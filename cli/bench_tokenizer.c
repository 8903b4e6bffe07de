/* bench_tokenizer.c -- the speed of encoding text that is in memory. */
#include "cli/bench.h"
#include "cli/cli.h"
#include "core/clock.h"
#include "core/file.h"
#include "data/tokenizer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DOCUMENT = 64 << 10, ROUNDS = 5 };
enum { COLD, WARM, PASSES };
static const int64_t MOST_TEXT = (int64_t)4 << 30;

typedef struct text_bench {
    ds_tokenizer *t;
    rt_buf        text;
    ds_raw       *doc;
    int64_t       docs, cap, tokens;
    double        wall[PASSES][ROUNDS], cpu[PASSES][ROUNDS]; /* seconds; of all threads together */
} text_bench;

/* Cuts the text of a file, text.p + from to the end, at line ends into documents of 64 KB or a little more. */
static rt_status cut_documents(text_bench *b, size_t from)
{
    while (from < b->text.len) {
        const size_t left = b->text.len - from;
        const char  *p = b->text.p + from, *line = left > DOCUMENT ? memchr(p + DOCUMENT, '\n', left - DOCUMENT) : NULL;
        RT_TRY(rt_grow((void **)&b->doc, b->docs, &b->cap, sizeof *b->doc));
        b->doc[b->docs] = (ds_raw){NULL, line ? (size_t)(line + 1 - p) : left}; /* the text may still move */
        from += b->doc[b->docs++].n;
    }
    return RT_OK;
}

static rt_status read_documents(text_bench *b, int files, char **file)
{
    for (int i = 0; i < files; i++) {
        rt_buf       one  = {0};
        const size_t from = b->text.len;
        rt_status    st   = rt_file_read(&one, file[i], MOST_TEXT);
        if (st == RT_OK) st = rt_buf_add(&b->text, one.p, one.len);
        rt_buf_free(&one);
        RT_TRY(st);
        RT_TRY(cut_documents(b, from));
    }
    RT_CHECK(b->docs, RT_EINVAL, "bench tokenizer: the files hold no text");
    for (int64_t i = 0, at = 0; i < b->docs; at += (int64_t)b->doc[i++].n) b->doc[i].p = b->text.p + at;
    return RT_OK;
}

/* Encodes all documents once into new lists. */
static rt_status encode_documents(text_bench *b, ds_batch *batch, int pass, int round)
{
    ds_ids *ids = NULL;
    RT_TRY(RT_NEW(ids, b->docs));
    const double    wall = rt_now(), cpu = (double)clock();
    const rt_status st   = ds_batch_encode(batch, b->doc, b->docs, DS_ADDED, ids);
    b->wall[pass][round] = rt_now() - wall;
    b->cpu[pass][round]  = ((double)clock() - cpu) / CLOCKS_PER_SEC;
    b->tokens            = 0;
    for (int64_t i = 0; i < b->docs; i++) b->tokens += ids[i].n, free(ids[i].v);
    free(ids);
    return st;
}

static rt_status measure_round(text_bench *b, int round)
{
    ds_batch *batch = NULL;
    RT_TRY(ds_batch_create(&batch, b->t));
    rt_status st = RT_OK;
    for (int pass = COLD; st == RT_OK && pass < PASSES; pass++) st = encode_documents(b, batch, pass, round);
    ds_batch_destroy(&batch);
    return st;
}

static rt_status print_text_json(const text_bench *b, const double *wall, const double *cpu)
{
    rt_buf         out = {0};
    rt_json_writer w   = {.out = &out};
    rt_put_object(&w, NULL);
    rt_put_int(&w, "threads", rt_threads());
    rt_put_int(&w, "documents", b->docs);
    rt_put_int(&w, "bytes", (int64_t)b->text.len);
    rt_put_int(&w, "tokens", b->tokens);
    rt_put_fixed(&w, "cold_mb_s", wall[COLD], 1);
    rt_put_fixed(&w, "warm_mb_s", wall[WARM], 1);
    rt_put_fixed(&w, "cold_mb_cpu_s", cpu[COLD], 1);
    rt_put_fixed(&w, "warm_mb_cpu_s", cpu[WARM], 1);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status print_text_bench(text_bench *b, int json)
{
    const double mb = (double)b->text.len / 1e6;
    double       wall[PASSES], cpu[PASSES];
    for (int pass = COLD; pass < PASSES; pass++) {
        wall[pass] = mb / bench_median(b->wall[pass], ROUNDS);
        cpu[pass]  = mb / bench_median(b->cpu[pass], ROUNDS);
    }
    if (json) return print_text_json(b, wall, cpu);
    printf("%lld documents, %.1f MB, %.2f bytes per token; %d thread%s, median of %d\n", (long long)b->docs, mb,
           (double)b->text.len / (double)b->tokens, rt_threads(), rt_threads() > 1 ? "s" : "", ROUNDS);
    printf("  cold %7.1f MB/s  (%.1f MB per second of CPU time)\n", wall[COLD], cpu[COLD]);
    printf("  warm %7.1f MB/s  (%.1f)\n", wall[WARM], cpu[WARM]);
    return RT_OK;
}

rt_status bench_tokenizer(const bench_options *o, int words, char **word)
{
    text_bench b = {0};
    RT_CHECK(words >= 2, RT_EINVAL,
             "bench tokenizer requires a folder with tokenizer.json and text files: retort bench tokenizer DIR FILE...");
    if (!o->threads) rt_threads_set(1);
    rt_status st = ds_tokenizer_load(&b.t, word[0]);
    if (st == RT_OK) st = read_documents(&b, words - 1, word + 1);
    for (int i = 0; st == RT_OK && i < ROUNDS; i++) st = measure_round(&b, i);
    if (st == RT_OK) st = print_text_bench(&b, o->json);
    rt_buf_free(&b.text);
    free(b.doc);
    ds_tokenizer_destroy(&b.t);
    return st;
}
