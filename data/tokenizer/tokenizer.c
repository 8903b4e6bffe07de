/* tokenizer.c -- loading a tokenizer from its folder; its properties. */
#include "data/tokenizer/origin.h"
#include <stdlib.h>
#include <string.h>

/* ---- loading ----------------------------------------------------------------------- */

static rt_status check_utf8(const rt_buf *text, const char *path)
{
    RT_CHECK(rt_utf8_valid(text->p, text->len), RT_EFORMAT, "%s: expected UTF-8, found other bytes; the file is damaged", path);
    return RT_OK;
}

static rt_status read_tokenizer(ds_tokenizer *t, const char *dir)
{
    ds_origin o    = {0};
    cJSON    *root = NULL;
    rt_status st   = RT_OK;
    RT_TRY_OR(ds_origin_read(&o, dir), out);
    RT_TRY_OR(check_utf8(&o.json, o.path.p), out); /* what a normalizer puts into a text must be characters */
    /* core's check for duplicate keys is made for configurations; ds_vocab_put finds the duplicates of a vocabulary */
    RT_TRY_OR(rt_json_parse(&root, o.json.p, o.json.len, RT_JSON_DUPLICATES, o.path.p), out);
    RT_TRY_OR(ds_tokenizer_parse(t, root, o.path.p), out);
    memcpy(t->file, o.file, sizeof t->file);
    if (o.bos.len) t->bos = ds_vocab_find(&t->vocab, o.bos.p, o.bos.len);
    if (o.eos.len) t->eos = ds_vocab_find(&t->vocab, o.eos.p, o.eos.len);
    RT_TRY_OR(ds_tokenizer_identify(t), out);
    RT_TRY_OR(ds_tokenizer_read_ends(t, dir), out);
out:
    cJSON_Delete(root);
    ds_origin_free(&o);
    return st;
}

rt_status ds_tokenizer_load(ds_tokenizer **out, const char *dir)
{
    ds_tokenizer *t = NULL;
    RT_TRY(RT_NEW(t, 1));
    t->bos = t->eos    = -1;
    const rt_status st = read_tokenizer(t, dir);
    if (st != RT_OK) ds_tokenizer_destroy(&t);
    else *out = t;
    return st;
}

void ds_tokenizer_destroy(ds_tokenizer **t)
{
    ds_tokenizer *k = *t;
    if (!k) return;
    ds_vocab_free(&k->vocab);
    ds_symbols_free(&k->symbols);
    ds_unigram_free(&k->unigram);
    ds_normalizer_free(&k->normalizer);
    ds_pre_free(&k->pre);
    ds_decode_steps_free(&k->decoder);
    ds_added_free(&k->raw);
    ds_added_free(&k->normalized);
    free(k->merges.slot);
    free(k->prefix.v);
    free(k->suffix.v);
    free(k->close.v);
    free(k);
    *t = NULL;
}

int64_t        ds_tokenizer_size(const ds_tokenizer *t) { return t->vocab.n; }
int64_t        ds_tokenizer_entries(const ds_tokenizer *t) { return t->vocab.used; }
int32_t        ds_tokenizer_bos(const ds_tokenizer *t) { return t->bos; }
int32_t        ds_tokenizer_eos(const ds_tokenizer *t) { return t->eos; }
const ds_ends *ds_tokenizer_ends(const ds_tokenizer *t) { return &t->ends; }
int32_t        ds_tokenizer_id(const ds_tokenizer *t, const char *token) { return ds_vocab_find(&t->vocab, token, strlen(token)); }

rt_status ds_tokenizer_entry(const ds_tokenizer *t, int32_t id, rt_buf *out)
{
    size_t      n;
    const char *s = ds_vocab_text(&t->vocab, id, &n);
    return rt_buf_add(out, s, n);
}
