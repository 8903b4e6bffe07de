/* tokenizer.c -- a hostile tokenizer.json: loaded, used on a text, copied. */
#include "data/tokenizer.h"
#include "core/file.h"
#include "tests/support/fuzz.h"
#include <stdlib.h>

static const char text[] = "Hello,  world's \t12 345\n \xe2\x96\x81 \xc3\xa9\x65\xcc\x81 \xf0\x9f\x98\x80 <s>a</s> \xff ab abc\0end";

static void use(const ds_tokenizer *t)
{
    ds_ids ids  = {0};
    rt_buf back = {0};
    if (ds_encode(t, text, sizeof text, DS_DOCUMENT, &ids) == RT_OK) (void)ds_decode(t, ids.v, ids.n, 0, &back);
    for (int32_t id = 0; id < ds_tokenizer_size(t) && id < 300; id++) (void)ds_token_text(t, id, &back);
    rt_buf_free(&back);
    free(ids.v);
}

rt_status fuzz_one(const uint8_t *data, size_t n)
{
    ds_tokenizer *t = NULL;
    fuzz_write("tokenizer.json", data, n);
    RT_TRY(ds_tokenizer_load(&t, fuzz_dir()));
    use(t);
    ds_tokenizer_destroy(&t);
    fuzz_must(rt_dir_make(fuzz_path("copy")));
    return ds_tokenizer_copy(fuzz_dir(), fuzz_path("copy"));
}
