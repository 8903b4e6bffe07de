/* test_h5_read.c -- our reader of HDF5 files: all forms that HDF5's own library may give to what we read, refusal of all others, and of damage
 * whose checksums are right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"
#include "data/h5/file.h"
#include "data/shard/columns.h"
#include "tests/support/one_file.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files of one data set, as the library writes them ---------------------------------- */

typedef struct form {
    hsize_t rows, chunk, most; /* most = H5S_UNLIMITED: the first dimension may grow */
    int     filters[3];        /* in their order; 0 ends */
    hid_t   type;              /* 0: u8 */
    int     old, second_grows, hole;
} form;

static hid_t create(const char *path, int old)
{
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (!old) H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    const hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    assert_true(f >= 0);
    return f;
}

static uint8_t cell(hsize_t i, int noise) { return (uint8_t)(noise ? rt_mix64(i) : i % 251); }

static void add(hid_t f, const char *name, const form *x, int noise)
{
    const hsize_t dims[2] = {x->rows, 1}, most[2] = {x->most ? x->most : x->rows, H5S_UNLIMITED}, chunk[2] = {x->chunk, 1};
    const int     rank  = 1 + x->second_grows;
    const hid_t   space = H5Screate_simple(rank, dims, most), make = H5Pcreate(H5P_DATASET_CREATE);
    if (x->chunk) H5Pset_chunk(make, rank, chunk);
    for (int i = 0; i < 3 && x->filters[i]; i++) {
        if (x->filters[i] == H5Z_FILTER_DEFLATE) H5Pset_deflate(make, 4);
        if (x->filters[i] == H5Z_FILTER_FLETCHER32) H5Pset_fletcher32(make);
        if (x->filters[i] == H5Z_FILTER_SHUFFLE) H5Pset_shuffle(make);
    }
    const hid_t d = H5Dcreate2(f, name, x->type ? x->type : H5T_STD_U8LE, space, H5P_DEFAULT, make, H5P_DEFAULT);
    assert_true(d >= 0);
    if (!x->hole) {
        uint8_t *v = malloc(x->rows + 1);
        for (hsize_t i = 0; i < x->rows; i++) v[i] = cell(i, noise);
        if (!x->type || x->type == H5T_STD_I8LE) assert_true(H5Dwrite(d, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, v) >= 0);
        free(v);
    }
    H5Dclose(d), H5Pclose(make), H5Sclose(space);
}

static void write_form(const form *x, int noise)
{
    const hid_t f = create(g_path, x->old);
    add(f, "x", x, noise);
    H5Fclose(f);
}

static rt_status read_x(int64_t n, uint8_t *v)
{
    ds_h5    *f;
    rt_status st = ds_h5_open(&f, g_path);
    if (st != RT_OK) return st;
    st = ds_h5_get(f, "x", DS_U8, v, n);
    assert_int_equal(ds_h5_close(&f), RT_OK);
    return st;
}

#define GZIP     H5Z_FILTER_DEFLATE
#define FLETCHER H5Z_FILTER_FLETCHER32
#define GROWS    H5S_UNLIMITED

static void every_index_is_read(void **state)
{
    (void)state;
    static const form forms[] = {
        {100, 100, 0, {FLETCHER}, 0, 0, 0, 0},          /* one chunk */
        {100, 64, 0, {GZIP, FLETCHER}, 0, 0, 0, 0},     /* fixed array */
        {140000, 64, 0, {GZIP, FLETCHER}, 0, 0, 0, 0},  /* in pages */
        {3, 1, GROWS, {FLETCHER}, 0, 0, 0, 0},          /* extensible array: its first entries */
        {3000, 2, GROWS, {GZIP, FLETCHER}, 0, 0, 0, 0}, /* data blocks, secondary blocks */
        {139000, 1, GROWS, {FLETCHER}, 0, 0, 0, 0},     /* pages of data blocks */
        {10000, 2048, GROWS, {GZIP, FLETCHER}, 0, 0, 0, 0},
        {0, 2048, GROWS, {GZIP, FLETCHER}, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (int noise = 0; noise < (forms[i].rows < 100000 ? 2 : 1); noise++) { /* what gzip would not shrink is stored as it is */
            const int64_t n = (int64_t)forms[i].rows;
            uint8_t      *v = malloc((size_t)n + 1);
            write_form(&forms[i], noise);
            assert_int_equal(read_x(n, v), RT_OK);
            for (int64_t j = 0; j < n; j++) assert_int_equal(v[j], cell((hsize_t)j, noise));
            free(v);
        }
}

/* So many names lie in a heap of several blocks, listed by a tree of several levels. */
static void many_names_are_read(void **state)
{
    (void)state;
    enum { SETS = 1200 };
    ds_h5  *f;
    int32_t v;
    int64_t n;
    char    name[32];
    assert_int_equal(ds_h5_create(&f, g_path), RT_OK);
    for (int i = 0; i < SETS; i++) {
        snprintf(name, sizeof name, i % 2 ? "g/%d.name" : "%d.name", i);
        assert_int_equal(ds_h5_put(f, name, DS_I32, &i, 1), RT_OK);
    }
    for (int i = 0; i < 40; i++) snprintf(name, sizeof name, "attribute %d", i), assert_int_equal(ds_h5_put_int(f, name, -i), RT_OK);
    assert_int_equal(ds_h5_close(&f), RT_OK);
    assert_int_equal(ds_h5_open(&f, g_path), RT_OK);
    for (int i = 0; i < SETS; i++) {
        snprintf(name, sizeof name, i % 2 ? "/g/%d.name" : "%d.name", i);
        assert_int_equal(ds_h5_get(f, name, DS_I32, &v, 1), RT_OK);
        assert_int_equal(v, i);
    }
    assert_false(ds_h5_has(f, "0.nam"));
    assert_false(ds_h5_has(f, "0.name.longer"));
    assert_false(ds_h5_has(f, "g/0.name"));
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "attribute %d", i);
        assert_int_equal(ds_h5_get_int(f, name, &n), RT_OK);
        assert_int_equal(n, -i);
    }
    assert_int_equal(ds_h5_close(&f), RT_OK);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void refused(const char *word)
{
    uint8_t v[64];
    assert_int_equal(read_x(64, v), RT_EFORMAT);
    if (!strstr(rt_error_text(), word)) fail_msg("expected '%s' in: %s", word, rt_error_text());
    assert_null(strchr(rt_error_text(), '\n'));
}

#define REFUSED(word, ...)             \
    do {                               \
        const form x_ = {__VA_ARGS__}; \
        write_form(&x_, 0);            \
        refused(word);                 \
    } while (0)

static void other_forms_are_refused(void **state)
{
    (void)state;
    REFUSED("superblock has version 0", .rows = 64, .chunk = 8, .filters = {FLETCHER}, .old = 1);
    REFUSED("not stored in chunks", .rows = 64);
    REFUSED("no fletcher32", .rows = 64, .chunk = 8);
    REFUSED("no fletcher32", .rows = 64, .chunk = 8, .filters = {GZIP});
    REFUSED("as its last filter", .rows = 64, .chunk = 8, .filters = {FLETCHER, GZIP});
    REFUSED("other filters", .rows = 64, .chunk = 8, .filters = {H5Z_FILTER_SHUFFLE, FLETCHER});
    REFUSED("other filters", .rows = 64, .chunk = 8, .filters = {H5Z_FILTER_SHUFFLE, GZIP, FLETCHER});
    REFUSED("an index of chunks of an unexpected kind", .rows = 64, .chunk = 8, .filters = {FLETCHER}, .most = GROWS, .second_grows = 1);
    REFUSED("more than 2048 rows and 1 MiB", .rows = 64, .chunk = (1 << 20) + 1, .filters = {FLETCHER}, .most = GROWS);
    REFUSED("little-endian", .rows = 64, .chunk = 8, .filters = {FLETCHER}, .type = H5T_STD_I32BE);
    REFUSED("little-endian", .rows = 64, .chunk = 8, .filters = {FLETCHER}, .type = H5T_IEEE_F32BE);
    REFUSED("neither a number nor a string", .rows = 64, .chunk = 8, .filters = {FLETCHER}, .type = H5T_STD_REF_OBJ);
    REFUSED("must be of type u8", .rows = 64, .chunk = 8, .filters = {FLETCHER}, .type = H5T_STD_I8LE);
    REFUSED("never stored", .rows = 64, .chunk = 8, .filters = {FLETCHER}, .most = GROWS, .hole = 1);
    REFUSED("a file of this size", .rows = (hsize_t)1 << 42, .chunk = 2048, .filters = {FLETCHER}, .most = GROWS, .hole = 1);
    REFUSED("holds 65 entries", .rows = 65, .chunk = 8, .filters = {FLETCHER});
}

static void wide_rows_make_small_chunks(void **state)
{
    (void)state;
    const hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, 40000);
    REFUSED("more than 64 MiB", .rows = 8, .chunk = 2048, .filters = {FLETCHER}, .most = GROWS, .type = t, .hole = 1);
    REFUSED("never stored", .rows = 8, .chunk = 1600, .filters = {FLETCHER}, .most = GROWS, .type = t, .hole = 1);
    H5Tclose(t);
}

/* The last chunk alone is stored. */
static void holes_are_refused(void **state)
{
    (void)state;
    const hsize_t at = 60, one = 1;
    const uint8_t v = 3;
    const form    x = {.rows = 64, .chunk = 8, .filters = {FLETCHER}, .most = GROWS, .hole = 1};
    const hid_t   f = create(g_path, 0);
    add(f, "x", &x, 0);
    const hid_t d = H5Dopen2(f, "x", H5P_DEFAULT), file = H5Dget_space(d), memory = H5Screate_simple(1, &one, NULL);
    H5Sselect_hyperslab(file, H5S_SELECT_SET, &at, NULL, &one, NULL);
    assert_true(H5Dwrite(d, H5T_NATIVE_UINT8, memory, file, H5P_DEFAULT, &v) >= 0);
    H5Sclose(memory), H5Sclose(file), H5Dclose(d), H5Fclose(f);
    refused("never stored");
}

static void whole_numbers_are_i64(void **state)
{
    (void)state;
    const struct {
        const char *name;
        hid_t       type;
        rt_status   want;
    } each[]        = {{"i64", H5T_STD_I64LE, RT_OK}, {"u64", H5T_STD_U64LE, RT_EFORMAT}, {"i32", H5T_STD_I32LE, RT_EFORMAT}};
    const int64_t v = 9;
    const hid_t   f = create(g_path, 0), space = H5Screate(H5S_SCALAR);
    ds_h5        *in;
    int64_t       got = 0;
    for (size_t i = 0; i < 3; i++) {
        const hid_t a = H5Acreate2(f, each[i].name, each[i].type, space, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(H5Awrite(a, H5T_NATIVE_INT64, &v) >= 0);
        H5Aclose(a);
    }
    H5Sclose(space), H5Fclose(f);
    assert_int_equal(ds_h5_open(&in, g_path), RT_OK);
    for (size_t i = 0; i < 3; i++) assert_int_equal(ds_h5_get_int(in, each[i].name, &got), each[i].want);
    assert_int_equal(got, 9);
    assert_int_equal(ds_h5_close(&in), RT_OK);
}

static void texts_of_any_length_are_refused(void **state)
{
    (void)state;
    ds_h5      *f;
    ds_h5_set  *s;
    const hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, H5T_VARIABLE);
    const form x = {.rows = 4, .chunk = 4, .type = t}; /* the library knows no checksum for them */
    write_form(&x, 0);
    H5Tclose(t);
    assert_int_equal(ds_h5_open(&f, g_path), RT_OK);
    assert_int_equal(ds_h5_set_open(&s, f, &(ds_h5_spec){.name = "x", .text = 1}, 0), RT_EFORMAT);
    assert_non_null(strstr(rt_error_text(), "variable length"));
    assert_int_equal(ds_h5_close(&f), RT_OK);
}

/* Links and storage that lead out of the file. */
static void nothing_outside_is_read(void **state)
{
    (void)state;
    const form    good = {.rows = 64, .chunk = 64, .filters = {FLETCHER}};
    const hsize_t n    = 64;
    hid_t         f, make, space = H5Screate_simple(1, &n, NULL);
    f = create(g_path, 0);
    H5Lcreate_external("/etc/passwd", "y", f, "x", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(f);
    refused("a link to another file");
    f = create(g_path, 0);
    add(f, "y", &good, 0);
    H5Lcreate_soft("y", f, "x", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(f);
    refused("a link to another name");
    f    = create(g_path, 0);
    make = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(make, "/etc/passwd", 0, 64);
    H5Dclose(H5Dcreate2(f, "x", H5T_STD_U8LE, space, H5P_DEFAULT, make, H5P_DEFAULT));
    H5Pclose(make), H5Fclose(f);
    refused("external storage");
    f    = create(g_path, 0);
    make = H5Pcreate(H5P_DATASET_CREATE);
    add(f, "y", &good, 0);
    H5Pset_virtual(make, space, "/etc/passwd", "y", space);
    H5Dclose(H5Dcreate2(f, "x", H5T_STD_U8LE, space, H5P_DEFAULT, make, H5P_DEFAULT));
    H5Pclose(make), H5Fclose(f);
    refused("a virtual data set");
    f                = create(g_path, 0);
    const hid_t type = H5Tcopy(H5T_STD_U8LE);
    H5Tcommit2(f, "type", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    form shared = good;
    shared.type = type;
    add(f, "x", &shared, 0);
    H5Tclose(type), H5Fclose(f);
    refused("shared with another object");
    H5Sclose(space);
}

/* Raw chunks of one data set put into another, whose chunks are smaller. */
static void put_raw(const form *from, const form *to, uint32_t skipped)
{
    uint8_t     raw[1 << 16];
    hsize_t     size = 0, at = 0;
    uint32_t    mask;
    const hid_t f = create(g_path, 0);
    add(f, "big", from, 0);
    add(f, "x", to, 0);
    const hid_t big = H5Dopen2(f, "big", H5P_DEFAULT), x = H5Dopen2(f, "x", H5P_DEFAULT);
    assert_true(H5Dflush(big) >= 0 && H5Dget_chunk_storage_size(big, &at, &size) >= 0 && size <= sizeof raw);
    assert_true(H5Dread_chunk(big, H5P_DEFAULT, &at, &mask, raw) >= 0);
    assert_true(H5Dwrite_chunk(x, H5P_DEFAULT, skipped, &at, (size_t)size, raw) >= 0);
    H5Dclose(big), H5Dclose(x), H5Fclose(f);
}

static void chunks_that_lie_are_refused(void **state)
{
    (void)state;
    const form small = {.rows = 64, .chunk = 64, .filters = {GZIP, FLETCHER}, .most = GROWS};
    form       big   = small;
    big.rows = big.chunk = 1 << 20;
    put_raw(&big, &small, 0);
    refused("inflates to more or less than its rows");
    big.rows = big.chunk = 63;
    put_raw(&big, &small, 0);
    refused("inflates to more or less than its rows");
    big = (form){.rows = 64, .chunk = 64, .filters = {FLETCHER}, .most = GROWS};
    put_raw(&big, &small, 0);
    refused("cannot be inflated");
    big = (form){.rows = 64, .chunk = 64, .most = GROWS};
    put_raw(&big, &small, 3);
    refused("a chunk without a checksum");
    put_raw(&big, &small, 1);
    refused("a chunk with a wrong checksum");
}

static void the_file_itself(void **state)
{
    (void)state;
    uint8_t    v[64];
    const form good = {.rows = 64, .chunk = 64, .filters = {FLETCHER}};
    write_form(&good, 0);
    assert_int_equal(read_x(64, v), RT_OK);
    FILE *f = fopen(g_path, "ab");
    fputc(0, f);
    fclose(f);
    refused("bytes after its end");
    unlink(g_path);
    assert_int_equal(mkfifo(g_path, 0600), 0);
    refused("a pipe");
    unlink(g_path);
    assert_int_equal(mkdir(g_path, 0700), 0);
    refused("a folder");
    rmdir(g_path);
}

/* ---- damage with right checksums ------------------------------------------------------------ */

static void write_shard(void)
{
    const ds_info info = {.soft = 1, .vocab = 50, .k = 2, .m = 1};
    int32_t       ids[40], topk[80], tail[40];
    uint8_t       valid[40];
    float         lp[80], rest[40], none[40];
    ds_writer    *w;
    for (int i = 0; i < 40; i++) {
        ids[i] = i, valid[i] = i < 39, tail[i] = 5, rest[i] = 0.5f, none[i] = NAN;
        topk[2 * i] = 7, topk[2 * i + 1] = 8, lp[2 * i] = lp[2 * i + 1] = logf(0.25f);
    }
    const ds_rows rows = {.n              = 40,
                          .k              = 2,
                          .m              = 1,
                          .valid          = valid,
                          .topk_ids       = topk,
                          .topk_logprob   = lp,
                          .actual_logprob = none,
                          .tail_mass      = rest,
                          .tail_ids       = tail,
                          .tail_entropy   = rest};
    unlink(g_path);
    assert_int_equal(ds_writer_create(&w, g_path, &info), RT_OK);
    for (int i = 0; i < 9; i++)
        assert_int_equal(ds_writer_add(w, &(ds_doc){.n = 40, .ids = ids, .rows = rows, .topic = "t", .cost = NAN}), RT_OK);
    assert_int_equal(ds_writer_finish(&w), RT_OK);
}

typedef struct block {
    size_t at, size, sum; /* sum: where its checksum is */
} block;

/* A block's size is where its checksum is right; that of a heap's block lies at its beginning. */
static int find_block(const uint8_t *p, size_t n, size_t at, block *b)
{
    static const char *const letters[] = {"OHDR", "OCHK", "FRHP", "FHIB", "BTHD", "BTLF", "BTIN", "EAHD", "EAIB", "EADB", "EASB"};
    int                      known     = 0;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) known |= !memcmp(p + at, letters[i], 4);
    for (size_t size = 12; known && at + size <= n && size < 2000; size++) {
        ds_h5_cursor c = {p + at + size - 4, 4, 0};
        *b             = (block){at, size, at + size - 4};
        if (ds_h5_lookup3(p + at, size - 4) == ds_h5_take(&c, 4)) return 1;
    }
    return 0;
}

static void mend(uint8_t *p, const block *b)
{
    const uint32_t sum = ds_h5_lookup3(p + b->at, b->size - 4);
    for (int i = 0; i < 4; i++) p[b->sum + (size_t)i] = (uint8_t)(sum >> 8 * i);
}

static void put_file(const uint8_t *p, size_t n)
{
    FILE *f = fopen(g_path, "wb");
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

static void look(void)
{
    ds_shard *s;
    char      hex[RT_SHA_HEX];
    if (ds_shard_open(&s, g_path) != RT_OK) return;
    if (ds_shard_verify(s) == RT_OK) ds_shard_digest(s, hex);
    ds_shard_close(&s);
}

/* Whatever a block claims, reading ends, and touches nothing that is not there (which the sanitizers see). */
static void damage_with_right_checksums(void **state)
{
    (void)state;
    static const uint8_t values[] = {0, 1, 2, 4, 8, 0x7f, 0x80, 0xff};
    rt_buf               b        = {0};
    block                x;
    int                  blocks = 0;
    rt_rng               r      = {1};
    write_shard();
    assert_int_equal(rt_file_read(&b, g_path, 1 << 20), RT_OK);
    uint8_t *p = malloc(b.len);
    for (size_t at = 48; at + 12 < b.len; at++) {
        if (!find_block((uint8_t *)b.p, b.len, at, &x)) continue;
        blocks++;
        for (int i = 0; i < 10; i++) {
            memcpy(p, b.p, b.len);
            for (int j = 0; j <= i % 3; j++) p[x.at + 4 + rt_rng_u64(&r) % (x.size - 8)] = values[rt_rng_u64(&r) % sizeof values];
            mend(p, &x);
            put_file(p, b.len);
            look();
        }
    }
    assert_true(blocks > 40);
    free(p);
    rt_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_is_read),         cmocka_unit_test(many_names_are_read),
        cmocka_unit_test(other_forms_are_refused),     cmocka_unit_test(wide_rows_make_small_chunks),
        cmocka_unit_test(holes_are_refused),           cmocka_unit_test(texts_of_any_length_are_refused),
        cmocka_unit_test(whole_numbers_are_i64),       cmocka_unit_test(nothing_outside_is_read),
        cmocka_unit_test(chunks_that_lie_are_refused), cmocka_unit_test(the_file_itself),
        cmocka_unit_test(damage_with_right_checksums),
    };
    return cmocka_run_group_tests_name("h5_read", tests, set_up, tear_down);
}
