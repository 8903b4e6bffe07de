/* sentencepiece.c -- a hostile tokenizer.model: SentencePiece's, or tiktoken's if it begins like that; loaded, used on a text, copied. */
#include "core/file.h"
#include "data/tokenizer.h"
#include "tests/support/fuzz.h"
#include <stdlib.h>

static const char text[] = "Hello,  world's \t12 345\n \xe2\x96\x81 \xc3\xa9 \xf0\x9f\x98\x80 <s>a</s> \xff ab abc\0end";

rt_status fuzz_one(const uint8_t *data, size_t n)
{
    ds_tokenizer *t   = NULL;
    ds_ids        ids = {0};
    fuzz_write("tokenizer.model", data, n);
    RT_TRY(ds_tokenizer_load(&t, fuzz_dir()));
    (void)ds_encode(t, text, sizeof text, DS_DOCUMENT, &ids);
    free(ids.v);
    ds_tokenizer_destroy(&t);
    fuzz_must(rt_dir_make(fuzz_path("copy")));
    return ds_tokenizer_copy(fuzz_dir(), fuzz_path("copy"));
}
