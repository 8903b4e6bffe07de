/* test_shard.c -- shards: round trip, what a writer refuses, damage, a full disk, digest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/shard/columns.h"
#include "tests/support/one_file.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { V = 100, K = 3, M = 2, LEN = 50 };

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- a soft document, a function of its number --------------------------------------------- */

typedef struct sample {
    int32_t ids[LEN], topk[LEN * K], tail[LEN * M];
    uint8_t prompt[LEN], valid[LEN];
    float   lp[LEN * K], actual[LEN], rest[LEN], entropy[LEN];
    char    topic[32];
    ds_doc  doc;
} sample;

static void make(sample *s, int number)
{
    const int n = 1 + number * 7 % LEN;
    memset(s, 0, sizeof *s);
    for (int i = 0; i < n; i++) {
        s->ids[i]     = (number * 31 + i * 7) % V;
        s->prompt[i]  = i < 3;
        s->valid[i]   = i < n - 1 && i != 4;
        s->entropy[i] = 0.5f;
        s->actual[i]  = -3.0f;
        for (int j = 0; j < K; j++) s->topk[i * K + j] = (s->ids[i] + 2 + j) % V, s->lp[i * K + j] = logf(0.4f / (float)(j + 1));
        for (int j = 0; j < M; j++) s->tail[i * M + j] = (s->ids[i] + 50 + j) % V;
        s->rest[i] = 1.0f - 0.4f * (1.0f + 0.5f + 1.0f / 3.0f);
    }
    snprintf(s->topic, sizeof s->topic, "topic %d", number);
    s->doc = (ds_doc){.n           = n,
                      .ids         = s->ids,
                      .prompt_mask = s->prompt,
                      .rows        = {.n              = n,
                                      .k              = K,
                                      .m              = M,
                                      .valid          = s->valid,
                                      .topk_ids       = s->topk,
                                      .topk_logprob   = s->lp,
                                      .actual_logprob = s->actual,
                                      .tail_mass      = s->rest,
                                      .tail_ids       = s->tail,
                                      .tail_entropy   = s->entropy},
                      .request     = "r",
                      .topic       = s->topic,
                      .finish      = "stop",
                      .seed        = 18446744073709551615u - (unsigned)number,
                      .cost        = NAN};
}

static ds_info soft_info(void)
{
    ds_info i = {.soft = 1, .vocab = V, .k = K, .m = M, .teacher = "t", .dialect = "retort", .program = "test"};
    strcpy(i.tokenizer, SHA);
    return i;
}

static rt_status write_docs(const char *path, int docs)
{
    ds_writer    *w;
    sample        s;
    const ds_info info = soft_info();
    rt_status     st   = ds_writer_create(&w, path, &info);
    if (st != RT_OK) return st;
    for (int i = 0; i < docs && st == RT_OK; i++) {
        make(&s, i);
        st = ds_writer_add(w, &s.doc);
    }
    if (st == RT_OK) return ds_writer_finish(&w);
    ds_writer_abandon(&w);
    return st;
}

static void write_new(int docs)
{
    unlink(g_path);
    assert_int_equal(write_docs(g_path, docs), RT_OK);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void compare(const ds_doc *d, const sample *s)
{
    assert_int_equal(d->n, s->doc.n);
    for (int64_t i = 0; i < d->n; i++) {
        assert_int_equal(d->ids[i], s->ids[i]);
        assert_int_equal(d->prompt_mask[i], s->prompt[i]);
        assert_int_equal(d->rows.valid[i], s->valid[i]);
        assert_int_equal(d->target_id[i], i + 1 < d->n ? s->ids[i + 1] : -1);
        assert_true(s->valid[i] ? d->rows.tail_mass[i] == s->rest[i] : isnan(d->rows.tail_mass[i]));
        assert_true(s->valid[i] ? d->rows.tail_entropy[i] == 0.5f : isnan(d->rows.tail_entropy[i]));
        for (int j = 0; j < K; j++) {
            assert_int_equal(d->rows.topk_ids[i * K + j], s->valid[i] ? s->topk[i * K + j] : 0);
            assert_true(s->valid[i] ? d->rows.topk_logprob[i * K + j] == s->lp[i * K + j] : isnan(d->rows.topk_logprob[i * K + j]));
        }
        for (int j = 0; j < M; j++) assert_int_equal(d->rows.tail_ids[i * M + j], s->valid[i] ? s->tail[i * M + j] : 0);
    }
    assert_string_equal(d->topic, s->topic);
    assert_string_equal(d->recipe, "");
    assert_string_equal(d->finish, "stop");
    assert_true(d->seed == s->doc.seed && isnan(d->cost));
}

static void round_trip(void **state)
{
    (void)state;
    enum { DOCS = 500 };
    ds_shard *s;
    ds_doc    d;
    sample    x;
    char      one[RT_SHA_HEX], two[RT_SHA_HEX];
    write_new(DOCS);
    assert_int_equal(ds_shard_open(&s, g_path), RT_OK);
    assert_int_equal(ds_shard_docs(s), DOCS);
    assert_int_equal(ds_shard_info(s)->k, K);
    assert_string_equal(ds_shard_info(s)->tokenizer, SHA);
    assert_true(ds_shard_has_entropy(s));
    for (int i = 0; i < DOCS; i++) {
        make(&x, i * 77 % DOCS);
        assert_int_equal(ds_shard_doc(s, i * 77 % DOCS, &d), RT_OK);
        compare(&d, &x);
    }
    assert_int_equal(ds_shard_doc(s, DOCS, &d), RT_EINVAL);
    assert_int_equal(ds_shard_verify(s), RT_OK);
    assert_int_equal(ds_shard_digest(s, one), RT_OK);
    ds_shard_close(&s);
    assert_int_equal(write_docs(g_path, 1), RT_EINVAL); /* never overwritten */
    sleep(1);                                           /* another time of writing */
    write_new(DOCS);
    assert_int_equal(ds_shard_open(&s, g_path), RT_OK);
    assert_int_equal(ds_shard_digest(s, two), RT_OK);
    assert_string_equal(one, two);
    ds_shard_close(&s);
    write_new(DOCS - 1);
    assert_int_equal(ds_shard_open(&s, g_path), RT_OK);
    assert_int_equal(ds_shard_digest(s, two), RT_OK);
    assert_string_not_equal(one, two);
    ds_shard_close(&s);
}

static void text_shard(void **state)
{
    (void)state;
    const int32_t ids[] = {5, 6, 7};
    const ds_info info  = {.vocab = V, .tokenizer = SHA};
    ds_writer    *w;
    ds_shard     *s;
    ds_doc        d;
    unlink(g_path);
    assert_int_equal(ds_writer_create(&w, g_path, &info), RT_OK);
    assert_int_equal(ds_writer_add(w, &(ds_doc){.n = 3, .ids = ids, .cost = 0.25}), RT_OK);
    assert_int_equal(ds_writer_finish(&w), RT_OK);
    assert_int_equal(ds_shard_open(&s, g_path), RT_OK);
    assert_int_equal(ds_shard_doc(s, 0, &d), RT_OK);
    assert_true(d.n == 3 && d.ids[2] == 7 && !d.rows.valid && !d.rows.topk_ids && d.cost == 0.25 && d.prompt_mask[0] == 0);
    assert_int_equal(ds_shard_verify(s), RT_OK);
    ds_shard_close(&s);
}

/* Digest of one document of `soft` kind in which one thing is changed. */
static void digest_of(int soft, int change, char hex[RT_SHA_HEX])
{
    sample     s;
    ds_writer *w;
    ds_shard  *shard;
    ds_info    info = soft_info();
    make(&s, 5);
    if (!soft) info.soft = 0, info.k = info.m = 0;
    switch (change) {
    case 1: s.ids[0]++; break;
    case 2: s.prompt[0] ^= 1; break;
    case 3: s.doc.finish = "length"; break;
    case 4: s.doc.seed++; break;
    case 5: s.doc.cost = 1; break;
    case 6: info.vocab++; break;
    case 7: s.topk[1] += 10; break;
    case 8: s.lp[1] -= 0.001f; break;
    case 9: s.actual[1]--; break;
    case 10: s.rest[1] += 0.0005f; break;
    case 11: s.tail[1]++; break;
    case 12: s.entropy[1]++; break;
    case 13: s.valid[1] = 0; break;
    case 14: s.doc.weight = s.entropy; break;
    default: break;
    }
    unlink(g_path);
    assert_int_equal(ds_writer_create(&w, g_path, &info), RT_OK);
    assert_int_equal(ds_writer_add(w, &s.doc), RT_OK);
    assert_int_equal(ds_writer_finish(&w), RT_OK);
    assert_int_equal(ds_shard_open(&shard, g_path), RT_OK);
    assert_int_equal(ds_shard_digest(shard, hex), RT_OK);
    ds_shard_close(&shard);
}

static void digest_sees_everything(void **state)
{
    (void)state;
    char hex[15][RT_SHA_HEX];
    for (int soft = 0; soft < 2; soft++) {
        const int changes = soft ? 15 : 7;
        for (int i = 0; i < changes; i++) {
            digest_of(soft, i, hex[i]);
            for (int j = 0; j < i; j++) assert_string_not_equal(hex[i], hex[j]);
        }
    }
}

static void writer_refuses(void **state)
{
    (void)state;
    ds_writer *w;
    sample     s;
    ds_info    info = soft_info();
    unlink(g_path);
    info.k = V + 1;
    assert_int_equal(ds_writer_create(&w, g_path, &info), RT_EINVAL);
    info.k = K;
    assert_int_equal(ds_writer_create(&w, g_path, &info), RT_OK);
    make(&s, 5);
    s.ids[2] = V;
    assert_int_equal(ds_writer_add(w, &s.doc), RT_EINVAL);
    make(&s, 5);
    s.valid[s.doc.n - 1] = 1;
    assert_int_equal(ds_writer_add(w, &s.doc), RT_EINVAL);
    make(&s, 5);
    s.lp[4] = NAN;
    assert_int_equal(ds_writer_add(w, &s.doc), RT_EINVAL);
    make(&s, 5);
    s.doc.target_id = s.ids; /* about token i: one off */
    assert_int_equal(ds_writer_add(w, &s.doc), RT_EMISMATCH);
    make(&s, 5);
    s.doc.n = 0;
    assert_int_equal(ds_writer_add(w, &s.doc), RT_EINVAL);
    ds_writer_abandon(&w);
    assert_null(w);
    char **names;
    int    n;
    assert_int_equal(rt_dir_list(&names, &n, g_dir), RT_OK);
    assert_int_equal(n, 0); /* no temporary file is left */
    rt_names_free(&names, n);
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    ds_shard *s;
    write_new(200);
    const int64_t size = rt_file_size(g_path);
    for (int i = 15; i >= 0; i--) {
        assert_int_equal(truncate(g_path, size * i / 16), 0);
        assert_int_equal(ds_shard_open(&s, g_path), RT_EFORMAT);
        assert_non_null(strstr(rt_error_text(), g_path));
        assert_null(strchr(rt_error_text(), '\n'));
    }
    unlink(g_path);
    assert_int_equal(ds_shard_open(&s, g_path), RT_ENOENT);
}

/* A flipped bit is found, or it stood where nothing is stored: the content is the same. */
static void flipped_bits_are_found(void **state)
{
    (void)state;
    char      good[RT_SHA_HEX], now[RT_SHA_HEX];
    ds_shard *s;
    int       found = 0;
    write_new(60);
    assert_int_equal(ds_shard_open(&s, g_path), RT_OK);
    assert_int_equal(ds_shard_digest(s, good), RT_OK);
    ds_shard_close(&s);
    const int64_t size = rt_file_size(g_path);
    for (int i = 0; i < 200; i++) {
        const long at = (long)(size * i / 200);
        FILE      *f  = fopen(g_path, "r+b");
        fseek(f, at, SEEK_SET);
        const int c = fgetc(f);
        fseek(f, at, SEEK_SET);
        fputc(c ^ (1 << i % 8), f);
        fclose(f);
        rt_status st = ds_shard_open(&s, g_path);
        if (st == RT_OK) {
            st = ds_shard_verify(s);
            if (st == RT_OK) assert_int_equal(ds_shard_digest(s, now), RT_OK);
            if (st == RT_OK) assert_string_equal(now, good);
            ds_shard_close(&s);
        }
        found += st != RT_OK;
        f = fopen(g_path, "r+b");
        fseek(f, at, SEEK_SET);
        fputc(c, f);
        fclose(f);
    }
    assert_true(found > 20);
}

/* ---- k = 0, weights, encoded states ---------------------------------------------------------------- */

enum { S = 2, R = 3, WIDTH = 4 };

static ds_codec *decoder(void)
{
    ds_codec *x;
    assert_int_equal(ds_codec_create(&x, R, V, S), RT_OK);
    for (int i = 0; i < R; i++) x->bits[i] = (uint8_t)(6 - i), x->scale[i] = 0.5f * (float)(i + 1);
    for (int i = 0; i < V * (R + 1); i++) x->head[i] = (uint16_t)(0x3f80 + i % 100);
    assert_int_equal(ds_codec_add_map(x, WIDTH), RT_OK);
    for (int i = 0; i < R * (WIDTH + 1); i++) x->map[i] = (float)i / 7;
    x->loss = 0.125;
    return x;
}

typedef struct extra { /* what is not in `sample` */
    sample  s;
    float   weight[LEN];
    uint8_t codec[LEN * S];
} extra;

/* A row of m samples of the whole distribution, a weight, an encoded state; parts are left out by setting them NULL. */
static void make_extra(extra *e, int number, const ds_info *info)
{
    make(&e->s, number);
    for (int i = 0; i < LEN; i++) {
        e->s.rest[i] = 1;
        e->weight[i] = (float)(i % 3);
        for (int j = 0; j < S; j++) e->codec[i * S + j] = (uint8_t)((number * 16 + i + j) & (j + 1 < S ? 255 : 127)); /* 15 bits are used */
    }
    e->s.doc.rows.k       = info->k;
    e->s.doc.rows.m       = info->m;
    e->s.doc.rows.bytes   = info->codec_bytes;
    e->s.doc.rows.encoded = e->codec;
    e->s.doc.weight       = number % 2 ? e->weight : NULL;
}

static void write_extra(const ds_info *info, const ds_codec *x, int docs)
{
    ds_writer *w;
    extra      e;
    unlink(g_path);
    assert_int_equal(ds_writer_create(&w, g_path, info), RT_OK);
    for (int i = 0; i < docs; i++) {
        make_extra(&e, i, info);
        assert_int_equal(ds_writer_add(w, &e.s.doc), RT_OK);
    }
    if (info->codec_bytes) assert_int_equal(ds_writer_codec(w, x), RT_OK);
    assert_int_equal(ds_writer_finish(&w), RT_OK);
}

static void compare_extra(const ds_doc *d, const extra *e)
{
    const sample *s = &e->s;
    assert_true(d->n == s->doc.n && !d->rows.topk_ids && !d->rows.topk_logprob);
    for (int64_t i = 0; i < d->n; i++) {
        assert_true(s->valid[i] ? d->rows.tail_mass[i] == 1 : isnan(d->rows.tail_mass[i]));
        assert_true(d->weight[i] == (s->valid[i] && s->doc.weight ? e->weight[i] : 1));
        for (int j = 0; j < M; j++) assert_int_equal(d->rows.tail_ids[i * M + j], s->valid[i] ? s->tail[i * M + j] : 0);
        for (int j = 0; j < S; j++) assert_int_equal(d->rows.encoded[i * S + j], s->valid[i] ? e->codec[i * S + j] : 0);
    }
}

static void samples_weights_and_codecs_round(void **state)
{
    (void)state;
    ds_info         info = soft_info();
    ds_codec       *x    = decoder();
    const ds_codec *read, *again;
    ds_shard       *s;
    ds_doc          d;
    extra           e;
    info.k           = 0;
    info.codec_bytes = S;
    write_extra(&info, x, 20);
    assert_int_equal(ds_shard_open(&s, g_path), RT_OK);
    assert_true(ds_shard_info(s)->k == 0 && ds_shard_info(s)->codec_bytes == S && ds_shard_has_weight(s));
    for (int i = 0; i < 20; i++) {
        make_extra(&e, i, &info);
        assert_int_equal(ds_shard_doc(s, i, &d), RT_OK);
        compare_extra(&d, &e);
    }
    assert_int_equal(ds_shard_verify(s), RT_OK);
    assert_int_equal(ds_shard_codec(s, &read), RT_OK);
    assert_int_equal(ds_shard_codec(s, &again), RT_OK);
    assert_ptr_equal(read, again);
    assert_null(ds_codec_differs(x, read));
    assert_true(read->C == WIDTH && read->loss == 0.125);
    assert_memory_equal(read->map, x->map, sizeof(float) * R * (WIDTH + 1));
    ds_shard_close(&s);
    info.m = 0; /* an encoded state alone */
    write_extra(&info, x, 2);
    assert_int_equal(ds_shard_open(&s, g_path), RT_OK);
    assert_int_equal(ds_shard_doc(s, 1, &d), RT_OK);
    assert_true(!d.rows.tail_ids && d.rows.encoded);
    assert_int_equal(ds_shard_verify(s), RT_OK);
    ds_shard_close(&s);
    write_new(3); /* neither */
    assert_int_equal(ds_shard_open(&s, g_path), RT_OK);
    assert_int_equal(ds_shard_codec(s, &read), RT_OK);
    assert_true(!read && !ds_shard_has_weight(s));
    ds_shard_close(&s);
    ds_codec_destroy(&x);
}

static void digest_extra(int change, char hex[RT_SHA_HEX])
{
    ds_info    info = soft_info();
    ds_codec  *x    = decoder();
    ds_shard  *s;
    ds_writer *w;
    extra      e;
    info.k           = 0;
    info.codec_bytes = S;
    make_extra(&e, 5, &info);
    switch (change) {
    case 1: e.weight[1] += 0.5f; break;
    case 2: e.codec[S]++; break;
    case 3: x->bits[2]++; break;
    case 4: x->scale[2]++; break;
    case 5: x->head[V * (R + 1) - 1]++; break;
    case 6: x->map[R * (WIDTH + 1) - 1]++; break;
    default: break;
    }
    unlink(g_path);
    assert_int_equal(ds_writer_create(&w, g_path, &info), RT_OK);
    assert_int_equal(ds_writer_add(w, &e.s.doc), RT_OK);
    assert_int_equal(ds_writer_codec(w, x), RT_OK);
    assert_int_equal(ds_writer_finish(&w), RT_OK);
    assert_int_equal(ds_shard_open(&s, g_path), RT_OK);
    assert_int_equal(ds_shard_digest(s, hex), RT_OK);
    ds_shard_close(&s);
    ds_codec_destroy(&x);
}

static void digest_sees_weights_and_codecs(void **state)
{
    (void)state;
    char hex[7][RT_SHA_HEX];
    for (int i = 0; i < 7; i++) {
        digest_extra(i, hex[i]);
        for (int j = 0; j < i; j++) assert_string_not_equal(hex[i], hex[j]);
    }
}

static void writer_refuses_half_a_codec(void **state)
{
    (void)state;
    ds_info    info = soft_info();
    ds_codec  *x    = decoder(), *wide;
    ds_writer *w;
    extra      e;
    unlink(g_path);
    info.k = info.m = 0;
    assert_int_equal(ds_writer_create(&w, g_path, &info), RT_EINVAL); /* nothing to say about a row */
    info.codec_bytes = DS_MAX_SKETCH + 1;
    assert_int_equal(ds_writer_create(&w, g_path, &info), RT_EINVAL);
    info.codec_bytes = S;
    assert_int_equal(ds_writer_create(&w, g_path, &info), RT_OK);
    make_extra(&e, 5, &info);
    e.s.doc.rows.encoded = NULL;
    assert_int_equal(ds_writer_add(w, &e.s.doc), RT_EINVAL);
    make_extra(&e, 5, &info);
    e.s.doc.rows.bytes++; /* rows of another width would be read as other rows */
    assert_int_equal(ds_writer_add(w, &e.s.doc), RT_EINVAL);
    make_extra(&e, 5, &info);
    e.weight[1] = -1;
    assert_int_equal(ds_writer_add(w, &e.s.doc), RT_EINVAL);
    e.weight[1] = INFINITY;
    assert_int_equal(ds_writer_add(w, &e.s.doc), RT_EINVAL);
    e.weight[1] = 1;
    assert_int_equal(ds_writer_add(w, &e.s.doc), RT_OK);
    assert_int_equal(ds_codec_create(&wide, 1, V, S + 1), RT_OK);
    assert_int_equal(ds_writer_codec(w, wide), RT_EINVAL);
    x->bits[0] = 9;
    assert_int_equal(ds_writer_codec(w, x), RT_EINVAL);
    x->bits[0] = 6;
    assert_int_equal(ds_writer_codec(w, x), RT_OK);
    assert_int_equal(ds_writer_codec(w, x), RT_EINVAL);
    ds_writer_abandon(&w);
    assert_int_equal(ds_writer_create(&w, g_path, &info), RT_OK);
    assert_int_equal(ds_writer_add(w, &e.s.doc), RT_OK);
    assert_int_equal(ds_writer_finish(&w), RT_EINVAL); /* no decoder */
    assert_true(!rt_file_exists(g_path));
    ds_codec_destroy(&x);
    ds_codec_destroy(&wide);
}

/* ---- a full disk ------------------------------------------------------------------------------ */

static void full_disk(void **state)
{
    (void)state;
    struct rlimit old;
    char        **names;
    int           n, full = 0;
    write_new(400);
    const rlim_t size = (rlim_t)rt_file_size(g_path);
    unlink(g_path);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    for (rlim_t i = 0; i < 16; i++) {
        const struct rlimit small = {size * i / 16, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        const rt_status st = write_docs(g_path, 400);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_int_equal(st, RT_ENOSPC);
        assert_int_equal(rt_dir_list(&names, &n, g_dir), RT_OK);
        assert_int_equal(n, 0);
        rt_names_free(&names, n);
        full++;
    }
    assert_int_equal(full, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(text_shard),
        cmocka_unit_test(digest_sees_everything),
        cmocka_unit_test(writer_refuses),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(flipped_bits_are_found),
        cmocka_unit_test(samples_weights_and_codecs_round),
        cmocka_unit_test(digest_sees_weights_and_codecs),
        cmocka_unit_test(writer_refuses_half_a_codec),
        cmocka_unit_test(full_disk),
    };
    return cmocka_run_group_tests_name("shard", tests, set_up, tear_down);
}
