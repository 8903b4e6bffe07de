/* map.c -- the same entries in two tokenizers. */
#include "data/tokenizer/parts.h"
#include <stdlib.h>

/* Appends what identifies an entry: whether it is an added token, and its form or its text. */
static rt_status map_key(const ds_tokenizer *t, int32_t id, int by_text, rt_buf *key)
{
    const int added = (t->vocab.entry[id].flags & DS_ENTRY_ADDED) != 0;
    rt_buf_clear(key);
    RT_TRY(rt_buf_str(key, added ? "a" : "e"));
    return by_text ? ds_token_text(t, id, key) : ds_tokenizer_entry(t, id, key);
}

/* Lists the entries of t by their keys; of entries with one text the first counts. */
static rt_status map_list(ds_vocab *v, const ds_tokenizer *t, int by_text, rt_buf *key, int32_t *id_of)
{
    for (int32_t id = 0; id < t->vocab.n; id++) {
        if (!(t->vocab.entry[id].flags & DS_ENTRY_PRESENT)) continue;
        RT_TRY(map_key(t, id, by_text, key));
        if (ds_vocab_find(v, key->p, key->len) >= 0) continue;
        id_of[v->n] = id;
        RT_TRY(ds_vocab_put(v, key->p, key->len, v->n, "a tokenizer"));
    }
    return RT_OK;
}

static rt_status map_fill(const ds_tokenizer *from, const ds_vocab *v, const int32_t *id_of, int by_text, rt_buf *key, int32_t *map)
{
    for (int32_t id = 0; id < from->vocab.n; id++) {
        map[id] = -1;
        if (!(from->vocab.entry[id].flags & DS_ENTRY_PRESENT)) continue;
        RT_TRY(map_key(from, id, by_text, key));
        const int32_t at = ds_vocab_find(v, key->p, key->len);
        if (at >= 0) map[id] = id_of[at];
    }
    return RT_OK;
}

rt_status ds_tokenizer_map(const ds_tokenizer *from, const ds_tokenizer *to, int32_t *map)
{
    const int by_text = from->pre.byte_level != to->pre.byte_level;
    ds_vocab  v       = {0};
    rt_buf    key     = {0};
    int32_t  *id_of   = NULL;
    rt_status st      = RT_NEW(id_of, to->vocab.n);
    if (st == RT_OK) st = map_list(&v, to, by_text, &key, id_of);
    if (st == RT_OK) st = map_fill(from, &v, id_of, by_text, &key, map);
    free(id_of);
    rt_buf_free(&key);
    ds_vocab_free(&v);
    return st;
}
