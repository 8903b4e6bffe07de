/* safetensors.c -- a hostile safetensors file: every tensor is read. */
#include "model/safetensors.h"
#include "tests/support/fuzz.h"
#include <stdlib.h>

static rt_status read_tensor(md_st *f, const md_st_tensor *t)
{
    real     *x;
    int64_t  *whole;
    rt_status st;
    RT_TRY(RT_NEW(x, md_st_count(t)));
    st = md_st_read_real(f, t, x);
    free(x);
    if (st == RT_OK) return RT_OK;
    RT_TRY(RT_NEW(whole, md_st_count(t)));
    st = md_st_read_i64(f, t, whole);
    free(whole);
    return st;
}

rt_status fuzz_one(const uint8_t *data, size_t n)
{
    md_st              *f  = NULL;
    rt_status           st = RT_OK;
    const md_st_tensor *t;
    RT_TRY(md_st_open(&f, fuzz_write("model.safetensors", data, n)));
    for (int64_t i = 0; st == RT_OK && (t = md_st_at(f, i)); i++) st = read_tensor(f, t);
    md_st_close(&f);
    return st;
}
