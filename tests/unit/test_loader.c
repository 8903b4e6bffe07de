/* test_loader.c -- batches: nothing lost or doubled, pure function of seed and number,
 * packing, weights, what cannot be served, the proof of alignment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/rng.h"
#include "data/loader.h"
#include "data/shard/columns.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V = 1 << 20, K = 4, M = 2, MOST = 400 };
static char       g_dir[64], g_path[3][96];
static rt_strings g_one, g_two;

/* Token i of document d says where it stood; 0 is left to padding. */
static int32_t token(int d, int i) { return 1 + d * MOST + i; }

static int length(int d) { return d % 50 == 7 ? 300 : 10 + (int)(rt_mix64((uint64_t)d) % 49); } /* about 34, now and then 300 */

typedef struct sample {
    int32_t ids[MOST], topk[MOST * K], tail[MOST * M];
    uint8_t prompt[MOST], valid[MOST];
    float   lp[MOST * K], one[MOST], rest[MOST];
} sample;

static ds_doc make(sample *s, int d, int soft)
{
    const int n = length(d);
    for (int i = 0; i < n; i++) {
        s->ids[i]    = token(d, i);
        s->prompt[i] = i < 2;
        s->valid[i]  = i < n - 1 && i != 5;
        s->one[i]    = 0.4f;
        s->rest[i]   = 1;
        for (int j = 0; j < K; j++) {
            s->topk[i * K + j] = (token(d, i) + j) % V;
            s->lp[i * K + j]   = logf(0.3f / (float)(1 << j));
            s->rest[i] -= 0.3f / (float)(1 << j);
        }
        for (int j = 0; j < M; j++) s->tail[i * M + j] = (token(d, i) + 10 + j) % V;
    }
    ds_doc x = {.n = n, .ids = s->ids, .prompt_mask = s->prompt, .cost = NAN};
    if (soft)
        x.rows = (ds_rows){.n              = n,
                           .k              = K,
                           .m              = M,
                           .valid          = s->valid,
                           .topk_ids       = s->topk,
                           .topk_logprob   = s->lp,
                           .actual_logprob = s->one,
                           .tail_mass      = s->rest,
                           .tail_ids       = s->tail,
                           .tail_entropy   = s->one};
    return x;
}

static void write_shard(int shard, int docs, int soft, const char *tokenizer)
{
    ds_writer *w;
    sample    *s    = malloc(sizeof *s);
    ds_info    info = {.soft = soft, .vocab = V, .k = soft ? K : 0, .m = soft ? M : 0};
    strcpy(info.tokenizer, tokenizer);
    remove(g_path[shard]);
    assert_int_equal(ds_writer_create(&w, g_path[shard], &info), RT_OK);
    for (int d = 0; d < docs; d++) {
        const ds_doc x = make(s, d, soft);
        assert_int_equal(ds_writer_add(w, &x), RT_OK);
    }
    assert_int_equal(ds_writer_finish(&w), RT_OK);
    free(s);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(g_dir, "/tmp/test_loader_XXXXXX");
    if (!mkdtemp(g_dir)) return -1;
    for (int i = 0; i < 3; i++) snprintf(g_path[i], sizeof g_path[i], "%s/%d.h5", g_dir, i);
    g_one = (rt_strings){{g_path[0]}, 1};
    g_two = (rt_strings){{g_path[0], g_path[1]}, 2};
    write_shard(0, 2000, 1, "tok");
    write_shard(1, 300, 1, "tok");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rt_dir_remove(g_dir) != RT_OK;
}

static ds_loader_opts soft_opts(const rt_strings *shards)
{
    return (ds_loader_opts){.shards = shards, .T = 128, .pack = 1, .targets = 1, .k = K, .m = M, .rows = 8, .seed = 3};
}

static uint64_t mix_batch(uint64_t h, const ds_batch *b, int64_t row)
{
    for (int64_t i = row * b->T; i < (row + 1) * b->T; i++) {
        h = rt_mix2(h, (uint64_t)b->ids[i]) ^ (uint64_t)b->loss_mask[i];
        h = rt_mix2(h, (uint64_t)b->pos[i]) ^ rt_mix2(7, (uint64_t)b->doc_start[i]) ^ rt_mix2(8, (uint64_t)b->target[i]);
        h = rt_mix2(h, (uint64_t)b->targets.topk_ids[i * b->targets.k]) ^ (uint64_t)(-1e3f * b->targets.topk_logprob[i * b->targets.k]);
    }
    return h;
}

/* One hash for each of sequences 0..n-1, read in batches of `rows`. */
static void hashes(const ds_loader_opts *o, int64_t rows, uint64_t *h, int64_t n)
{
    ds_loader *l;
    ds_batch   b;
    double     weight;
    assert_int_equal(ds_loader_create(&l, o), RT_OK);
    for (int64_t q = 0; q < n; q += rows) {
        const int64_t r = n - q < rows ? n - q : rows;
        assert_int_equal(ds_loader_read(l, q, r, &b), RT_OK);
        assert_int_equal(ds_loader_weight(l, q, r, &weight), RT_OK);
        assert_true(weight == (double)b.counted);
        for (int64_t i = 0; i < r; i++) h[q + i] = mix_batch(1, &b, i);
    }
    ds_loader_destroy(&l);
    assert_null(l);
}

static void pure_function_of_number(void **state)
{
    (void)state;
    enum { SEQ = 1500 }; /* more than two epochs */
    static uint64_t a[SEQ], b[SEQ], c[SEQ];
    ds_loader_opts  o = soft_opts(&g_two);
    hashes(&o, 8, a, SEQ);
    hashes(&o, 1, b, SEQ);
    assert_memory_equal(a, b, sizeof a);
    hashes(&o, 7, b, SEQ);
    assert_memory_equal(a, b, sizeof a);
    o.seed = 4;
    hashes(&o, 8, c, SEQ);
    int equal = 0;
    for (int i = 0; i < SEQ; i++) equal += a[i] == c[i];
    assert_int_equal(equal, 0);
    o.seed = 3; /* backwards, straight into the third epoch */
    ds_loader *l;
    ds_batch   x;
    assert_int_equal(ds_loader_create(&l, &o), RT_OK);
    assert_true(2 * ds_loader_epoch(l) < SEQ);
    for (int64_t q = SEQ - 1; q >= 0; q -= 100) {
        assert_int_equal(ds_loader_read(l, q, 1, &x), RT_OK);
        assert_true(mix_batch(1, &x, 0) == a[q]);
    }
    ds_loader_destroy(&l);
}

static void check_position(const ds_batch *b, int64_t i, int soft, int *seen)
{
    if (!b->ids[i]) { /* padding: to the end of the sequence */
        assert_true(!b->loss_mask[i] && b->target[i] == -1 && (i % b->T == b->T - 1 || !b->ids[i + 1]));
        return;
    }
    const int d = (b->ids[i] - 1) / MOST, at = (b->ids[i] - 1) % MOST;
    const int count = at + 1 < length(d) && at + 1 >= 2 && !(soft && at == 5);
    assert_int_equal(b->pos[i], at % b->T);
    assert_int_equal(b->ids[i - i % b->T + b->doc_start[i]], token(d, at - at % (int)b->T));
    assert_int_equal(b->doc_start[i] + b->pos[i], i % b->T);
    assert_int_equal(b->loss_mask[i], count);
    assert_int_equal(b->target[i], count ? token(d, at + 1) : -1);
    assert_true(b->weight[i] == (float)count);
    if (count && b->targets.k) assert_int_equal(b->targets.topk_ids[i * b->targets.k + 1], token(d, at) + 1);
    seen[d * MOST + at]++;
}

/* Every token of every document stands in epoch 0 once, with its own target. */
static void all_there(const ds_loader_opts *o, int docs, int soft)
{
    ds_loader *l;
    ds_batch   b;
    int       *seen = calloc((size_t)docs * MOST, sizeof *seen);
    assert_int_equal(ds_loader_create(&l, o), RT_OK);
    for (int64_t q = 0; q < ds_loader_epoch(l); q++) {
        assert_int_equal(ds_loader_read(l, q, 1, &b), RT_OK);
        for (int64_t i = 0; i < b.T; i++) check_position(&b, i, soft, seen);
    }
    for (int d = 0; d < docs; d++)
        for (int i = 0; i < length(d); i++) assert_int_equal(seen[d * MOST + i], 1);
    free(seen);
    ds_loader_destroy(&l);
}

static void nothing_lost_or_doubled(void **state)
{
    (void)state;
    ds_loader_opts o = soft_opts(&g_one);
    all_there(&o, 2000, 1);
    o.pack = 0;
    o.T    = 40;
    all_there(&o, 2000, 1);
    o.targets = 0;
    o.k = o.m = 0;
    o.pack    = 1;
    all_there(&o, 2000, 1);
    const rt_strings text = {{g_path[2]}, 1};
    write_shard(2, 100, 0, "tok");
    o.shards = &text;
    all_there(&o, 100, 0);
}

static void packing_uses_the_space(void **state)
{
    (void)state;
    ds_loader     *l;
    ds_loader_opts o = soft_opts(&g_one);
    assert_int_equal(ds_loader_create(&l, &o), RT_OK);
    const double used = (double)ds_loader_tokens(l) / (double)(ds_loader_epoch(l) * o.T);
    print_message("packing: %.2f %% of the positions hold tokens\n", 100 * used);
    assert_true(used > 0.98);
    ds_loader_destroy(&l);
}

static int64_t epoch_tokens(const double *weights, int64_t *sequences)
{
    ds_loader     *l;
    ds_batch       b;
    int64_t        n = 0;
    ds_loader_opts o = soft_opts(&g_two);
    o.pack           = 0;
    o.T              = MOST;
    o.weights        = weights;
    assert_int_equal(ds_loader_create(&l, &o), RT_OK);
    *sequences = ds_loader_epoch(l);
    for (int64_t q = 0; q < *sequences; q++) {
        assert_int_equal(ds_loader_read(l, q, 1, &b), RT_OK);
        n += b.counted;
    }
    ds_loader_destroy(&l);
    return n;
}

static void weights_are_passes(void **state)
{
    (void)state;
    int64_t       all, none, twice, part;
    const double  w0[] = {0, 1}, w2[] = {0, 2}, w25[] = {0.25, 2.5};
    const int64_t small = epoch_tokens(w0, &none);
    epoch_tokens(NULL, &all);
    assert_int_equal(all, 2300);
    assert_int_equal(none, 300);
    assert_int_equal(epoch_tokens(w2, &twice), 2 * small);
    epoch_tokens(w25, &part);
    assert_int_equal(part, 500 + 750);
    ds_loader     *l;
    const double   bad[] = {-1, 1}, zero[] = {0, 0};
    ds_loader_opts o = soft_opts(&g_two);
    o.weights        = bad;
    assert_int_equal(ds_loader_create(&l, &o), RT_EINVAL);
    o.weights = zero;
    assert_int_equal(ds_loader_create(&l, &o), RT_EINVAL);
}

static void what_cannot_be_served(void **state)
{
    (void)state;
    ds_loader     *l;
    ds_loader_opts o = soft_opts(&g_one);
    o.k              = K + 1;
    assert_int_equal(ds_loader_create(&l, &o), RT_EMISMATCH);
    o.k = K - 1;
    assert_int_equal(ds_loader_create(&l, &o), RT_EMISMATCH); /* the tail was drawn outside the top K */
    assert_non_null(strstr(rt_error_text(), "set k to 4, or m to 0"));
    o.k = K;
    o.m = M + 1;
    assert_int_equal(ds_loader_create(&l, &o), RT_EMISMATCH);
    write_shard(2, 5, 1, "other");
    o.m                  = M;
    const rt_strings mix = {{g_path[0], g_path[2]}, 2};
    o.shards             = &mix;
    assert_int_equal(ds_loader_create(&l, &o), RT_EMISMATCH);
    assert_non_null(strstr(rt_error_text(), "other"));
    write_shard(2, 5, 0, "tok");
    assert_int_equal(ds_loader_create(&l, &o), RT_EMISMATCH); /* text has no targets */
    o.targets = 0;
    o.k = o.m = 0;
    assert_int_equal(ds_loader_create(&l, &o), RT_OK);
    ds_batch b;
    assert_int_equal(ds_loader_read(l, 0, 9, &b), RT_EINVAL);
    assert_int_equal(ds_loader_read(l, -1, 1, &b), RT_EINVAL);
    ds_loader_destroy(&l);
    o.T = (int64_t)1 << 40;
    assert_int_equal(ds_loader_create(&l, &o), RT_EINVAL);
}

static void smaller_k(void **state)
{
    (void)state;
    ds_loader     *l;
    ds_batch       b;
    ds_loader_opts o = soft_opts(&g_one);
    o.k              = 2;
    o.m              = 0;
    assert_int_equal(ds_loader_create(&l, &o), RT_OK);
    assert_int_equal(ds_loader_read(l, 0, 8, &b), RT_OK);
    assert_true(b.targets.k == 2 && !b.targets.tail_ids && b.counted > 0);
    const double p2 = 0.3 / 4, p3 = 0.3 / 8, want = (double)0.4f - p2 * log(p2) - p3 * log(p3);
    for (int64_t i = 0; i < 8 * b.T; i++) {
        if (!b.loss_mask[i]) continue;
        assert_true(fabs((double)b.targets.tail_entropy[i] - want) < 1e-5);
    }
    ds_loader_destroy(&l);
}

/* ---- weights, samples alone, encoded states --------------------------------------------------------- */

enum { S = 4, R = 4 };

static ds_codec *decoder(void)
{
    ds_codec *x;
    assert_int_equal(ds_codec_create(&x, R, V, S), RT_OK);
    for (int i = 0; i < R; i++) x->bits[i] = (uint8_t)(8 - i), x->scale[i] = (float)(i + 1);
    return x;
}

static float weight_of(int i) { return (float)((i + 1) % 4) * 0.25f; }

/* 60 documents of samples of the whole distribution, weights, and encoded states that hold the row's own number. */
static void write_encoded(int shard, const ds_codec *x)
{
    static float   weight[MOST], rest[MOST];
    static uint8_t codec[MOST * S];
    ds_writer     *w;
    sample        *s    = malloc(sizeof *s);
    ds_info        info = {.soft = 1, .vocab = V, .m = M, .codec_bytes = S, .tokenizer = "tok"};
    remove(g_path[shard]);
    assert_int_equal(ds_writer_create(&w, g_path[shard], &info), RT_OK);
    for (int d = 0; d < 60; d++) {
        ds_doc doc = make(s, d, 1);
        for (int i = 0; i < doc.n; i++) {
            rest[i]          = 1;
            weight[i]        = weight_of(i);
            codec[i * S]     = (uint8_t)d;
            codec[i * S + 1] = (uint8_t)i;
            codec[i * S + 2] = 0;
        }
        doc.rows.k = 0, doc.rows.bytes = S, doc.rows.tail_mass = rest, doc.weight = weight, doc.rows.encoded = codec;
        assert_int_equal(ds_writer_add(w, &doc), RT_OK);
    }
    assert_int_equal(ds_writer_codec(w, x), RT_OK);
    assert_int_equal(ds_writer_finish(&w), RT_OK);
    free(s);
}

static double check_weighed(const ds_batch *b, const ds_codec *x, double prompt_weight)
{
    double sum = 0;
    for (int64_t i = 0; i < b->rows * b->T; i++) {
        const int     d = (b->ids[i] - 1) / MOST, at = (b->ids[i] - 1) % MOST;
        const int     valid    = b->ids[i] && at + 1 < length(d) && at != 5;
        const float   want     = valid ? weight_of(at) * (at + 1 < 2 ? (float)prompt_weight : 1) : 0;
        const uint8_t row[S]   = {(uint8_t)d, (uint8_t)at, 0};
        float         y[R + 1] = {0};
        assert_true(b->weight[i] == want && b->loss_mask[i] == (want > 0) && (b->target[i] >= 0) == (want > 0));
        if (want > 0) ds_codec_decode(x, row, y);
        assert_memory_equal(b->decoded + i * (R + 1), y, sizeof y);
        assert_int_equal(b->targets.tail_ids[i * M + 1], want > 0 ? token(d, at) + 11 : 0);
        assert_true(b->targets.tail_entropy[i] == (want > 0 ? 0.4f : 0));
        sum += (double)b->weight[i];
    }
    return sum;
}

static void weights_samples_and_codecs(void **state)
{
    (void)state;
    ds_codec           *x        = decoder();
    const rt_strings    three    = {{g_path[2]}, 1};
    static const double prompt[] = {0, 1, 0.5};
    write_encoded(2, x);
    for (int p = 0; p < 3; p++) {
        ds_loader     *l;
        ds_batch       b;
        double         weight;
        ds_loader_opts o = soft_opts(&three);
        o.k              = 0;
        o.use_codec      = 1;
        o.prompt_weight  = prompt[p];
        assert_int_equal(ds_loader_create(&l, &o), RT_OK);
        assert_null(ds_codec_differs(ds_loader_codec(l), x));
        for (int64_t q = 0; q + 4 < ds_loader_epoch(l); q += 4) {
            assert_int_equal(ds_loader_read(l, q, 4, &b), RT_OK);
            assert_true(!b.targets.topk_ids && !b.targets.topk_logprob);
            assert_int_equal(ds_loader_weight(l, q, 4, &weight), RT_OK);
            assert_true(weight == check_weighed(&b, x, prompt[p])); /* quarters add up exactly */
        }
        ds_loader_destroy(&l);
    }
    ds_codec_destroy(&x);
}

static void one_decoder_for_all(void **state)
{
    (void)state;
    ds_loader       *l;
    ds_codec        *x       = decoder();
    const rt_strings encoded = {{g_path[2]}, 1}, same = {{g_path[2], g_path[2]}, 2}, two = {{g_path[2], g_path[1]}, 2};
    ds_loader_opts   o = soft_opts(&g_one);
    o.k = o.m = 0;
    assert_int_equal(ds_loader_create(&l, &o), RT_EINVAL); /* no target at all */
    assert_non_null(strstr(rt_error_text(), "m = 0 and no encoded state with soft targets"));
    o.use_codec = 1, o.targets = 0;
    assert_int_equal(ds_loader_create(&l, &o), RT_EINVAL);
    assert_non_null(strstr(rt_error_text(), "m = 0 and an encoded state without soft targets"));
    o.targets = 1;
    assert_int_equal(ds_loader_create(&l, &o), RT_EMISMATCH);
    assert_non_null(strstr(rt_error_text(), "holds no encoded hidden states; score its text again with --codec-from "));
    write_encoded(2, x);
    o.shards = &same;
    assert_int_equal(ds_loader_create(&l, &o), RT_OK);
    ds_loader_destroy(&l);
    x->scale[1]++;
    write_encoded(1, x);
    o.shards = &two;
    assert_int_equal(ds_loader_create(&l, &o), RT_EMISMATCH);
    assert_non_null(strstr(rt_error_text(), "the scale of their codecs differ; score the text of the second again with --codec-from "));
    assert_true(strstr(rt_error_text(), g_path[1]) && strstr(rt_error_text(), g_path[2]));
    o.shards        = &encoded;
    o.prompt_weight = -1;
    assert_int_equal(ds_loader_create(&l, &o), RT_EINVAL);
    o.prompt_weight = NAN;
    assert_int_equal(ds_loader_create(&l, &o), RT_EINVAL);
    write_shard(1, 300, 1, "tok");
    ds_codec_destroy(&x);
}

/* ---- alignment ------------------------------------------------------------------------------- */

static void put(ds_h5 *f, const ds_info *info, int c, const void *v, int64_t n)
{
    ds_h5_set       *s;
    const ds_h5_spec spec = ds_column_spec(info, c);
    assert_int_equal(ds_h5_set_create(&s, f, &spec), RT_OK);
    assert_int_equal(ds_h5_set_append(s, v, n), RT_OK);
    assert_int_equal(ds_h5_set_finish(&s), RT_OK);
}

static void put_doc(ds_h5 *f, const char *name, int64_t text, const void *v, int64_t n)
{
    ds_h5_set *s;
    assert_int_equal(ds_h5_set_create(&s, f,
                                      &(ds_h5_spec){.name  = name,
                                                    .type  = text    ? DS_U8
                                                             : n > 1 ? DS_I64
                                                                     : DS_F64,
                                                    .text  = text,
                                                    .chunk = 8}),
                     RT_OK);
    assert_int_equal(ds_h5_set_append(s, v, n), RT_OK);
    assert_int_equal(ds_h5_set_finish(&s), RT_OK);
}

/* One document 1 2 3 4 5 whose row 2 is about `about`. */
static void write_aligned(int32_t about)
{
    const ds_info info  = {.soft = 1, .vocab = V, .k = 1};
    const int32_t ids[] = {1, 2, 3, 4, 5}, target[] = {2, 3, about, 5, -1};
    const uint8_t prompt[5] = {0}, valid[] = {1, 1, 1, 1, 0};
    const float   zero[5]  = {0};
    const double  cost     = 0;
    const int64_t starts[] = {0, 5};
    ds_h5        *f;
    assert_int_equal(ds_h5_create(&f, g_path[2]), RT_OK);
    ds_h5_put_int(f, "format", 1), ds_h5_put_int(f, "vocab_size", V), ds_h5_put_int(f, "k", 1), ds_h5_put_int(f, "m", 0);
    ds_h5_put_int(f, "time", 0), ds_h5_put_text(f, "kind", "soft"), ds_h5_put_text(f, "codec", "raw");
    for (int a = 0; a < DS_ATTRIBUTES; a++) ds_h5_put_text(f, ds_attributes[a].name, "");
    const void *const v[] = {ids, prompt, target, valid, ids, zero, zero, zero};
    for (int c = COL_IDS; c <= COL_REST; c++) put(f, &info, c, v[c], 5);
    put_doc(f, DS_STARTS, 0, starts, 2);
    put_doc(f, DS_COST, 0, &cost, 1);
    for (int t = 0; t < TEXT_META; t++) put_doc(f, ds_text_names[t], 1, "0", 1);
    assert_int_equal(ds_h5_close(&f), RT_OK);
}

static void alignment_is_proved(void **state)
{
    (void)state;
    ds_loader           *l;
    ds_batch             b;
    const rt_strings     three = {{g_path[2]}, 1};
    const ds_loader_opts o     = {.shards = &three, .T = 3, .targets = 1, .k = 1, .rows = 2};
    write_aligned(4);
    assert_int_equal(ds_loader_create(&l, &o), RT_OK);
    assert_int_equal(ds_loader_read(l, 0, 2, &b), RT_OK);
    assert_int_equal(b.counted, 4); /* the last row of a window keeps its target */
    ds_loader_destroy(&l);
    write_aligned(3);
    assert_int_equal(ds_loader_create(&l, &o), RT_OK);
    assert_int_equal(ds_loader_read(l, 0, 2, &b), RT_EMISMATCH);
    assert_non_null(strstr(rt_error_text(), "document 0, row 2 has the target id 3, but the next token has id 4"));
    ds_loader_destroy(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pure_function_of_number), cmocka_unit_test(nothing_lost_or_doubled),    cmocka_unit_test(packing_uses_the_space),
        cmocka_unit_test(weights_are_passes),      cmocka_unit_test(what_cannot_be_served),      cmocka_unit_test(smaller_k),
        cmocka_unit_test(alignment_is_proved),     cmocka_unit_test(weights_samples_and_codecs), cmocka_unit_test(one_decoder_for_all),
    };
    return cmocka_run_group_tests_name("loader", tests, set_up, tear_down);
}
