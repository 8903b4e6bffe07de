/* gguf.c -- a hostile GGUF file: its model is loaded, and its tokenizer made and loaded. */
#include "model/gguf_model.h"
#include "tests/support/fuzz.h"

static rt_status load_vocabulary(const char *path)
{
    md_gguf      *g    = NULL;
    ds_tokenizer *t    = NULL;
    rt_buf        json = {0}, config = {0};
    RT_TRY(md_gguf_open(&g, path));
    rt_status st = md_gguf_vocabulary(&json, &config, g);
    md_gguf_close(&g);
    if (st == RT_OK) {
        fuzz_write("tokenizer.json", json.p, json.len);
        fuzz_write("tokenizer_config.json", config.p, config.len);
        st = ds_tokenizer_load(&t, fuzz_dir());
    }
    rt_buf_free(&json), rt_buf_free(&config);
    ds_tokenizer_destroy(&t);
    return st;
}

rt_status fuzz_one(const uint8_t *data, size_t n)
{
    const char     *path       = fuzz_write("model.gguf", data, n);
    md_model       *m          = NULL;
    const rt_status model      = md_load(&m, path, KN_REAL);
    const rt_status vocabulary = load_vocabulary(path);
    md_destroy(&m);
    return model == RT_OK ? vocabulary : model;
}
