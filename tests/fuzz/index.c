/* index.c -- a hostile model.safetensors.index.json beside two files, a.safetensors and b.safetensors, that hold the tensors x and y. */
#include "model/safetensors.h"
#include "model/source.h"
#include "tests/support/fuzz.h"
#include <stdlib.h>

static void write_part(const char *file, const char *name)
{
    md_st       *f    = NULL;
    md_st_tensor t    = {.dtype = "F32", .nd = 1, .shape = {2}};
    const float  x[2] = {1, 2};
    t.name[0]         = *name;
    fuzz_must(md_st_begin(&f, fuzz_write(file, "", 0), &t, 1));
    fuzz_must(md_st_write(f, x, sizeof x));
    fuzz_must(md_st_end(&f));
}

rt_status fuzz_one(const uint8_t *data, size_t n)
{
    static int written;
    md_source *s = NULL;
    if (!written++) write_part("a.safetensors", "x"), write_part("b.safetensors", "y");
    fuzz_write("model.safetensors.index.json", data, n);
    RT_TRY(md_source_open(&s, fuzz_dir()));
    rt_status st = RT_OK;
    for (int64_t i = 0; st == RT_OK && i < s->n; i++) {
        real x[2];
        if (s->t[i].bytes != 8) abort(); /* not a tensor of the two files */
        st = md_source_read_real(s, &s->t[i], x);
    }
    md_source_close(&s);
    return st;
}
