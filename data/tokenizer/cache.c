/* cache.c -- growing and emptying the table of words. */
#include "data/tokenizer/cache.h"
#include <stdlib.h>

enum { FIRST_SLOTS = 1 << 10, MOST_SLOTS = 1 << 20, MOST_MORE = 1 << 22 /* 16 MB */ };

ds_key ds_key_of_long(const char *s, size_t n)
{
    uint64_t h = n, word;
    for (size_t i = 0; i < n; i += 8) {
        memcpy(&word, s + (n - i < 8 ? n - 8 : i), 8); /* the last 8 bytes may overlap those before them */
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return (ds_key){h, (uint64_t)(DS_SHORT_WORD + 1) << 56 | n};
}

rt_status ds_cache_ready(ds_cache *c)
{
    if (c->slots) return RT_OK;
    RT_TRY(RT_NEW(c->slot, FIRST_SLOTS));
    c->slots = FIRST_SLOTS;
    return RT_OK;
}

static void cache_place(ds_cache *c, const ds_word *w)
{
    uint64_t i = ds_key_hash(w->key);
    while (c->slot[i & (c->slots - 1)].key.high) i++;
    c->slot[i & (c->slots - 1)] = *w;
}

static rt_status cache_grow(ds_cache *c)
{
    const uint64_t before = c->slots;
    ds_word       *old = c->slot, *slot = NULL;
    RT_TRY(RT_NEW(slot, (int64_t)before * 4));
    c->slot  = slot;
    c->slots = before * 4;
    for (uint64_t i = 0; i < before; i++)
        if (old[i].key.high) cache_place(c, &old[i]);
    free(old);
    return RT_OK;
}

static rt_status cache_make_room(ds_cache *c)
{
    if (c->used * 2 < c->slots && c->more_n < MOST_MORE) return RT_OK;
    if (c->slots < MOST_SLOTS && c->more_n < MOST_MORE) return cache_grow(c);
    memset(c->slot, 0, c->slots * sizeof *c->slot);
    c->used   = 0;
    c->more_n = 0;
    return RT_OK;
}

static rt_status put_more(ds_cache *c, const void *bytes, size_t n)
{
    const int64_t need = c->more_n + (int64_t)(n + 3) / 4;
    if (need + DS_WORD_IDS > c->more_cap) { /* readers copy DS_WORD_IDS ids at once */
        const int64_t cap = 2 * need + 1024;
        int32_t      *p   = realloc(c->more, (size_t)cap * sizeof *p);
        RT_CHECK(p, RT_ENOMEM, "no memory for the ids of %lld words", (long long)c->used);
        c->more     = p;
        c->more_cap = cap;
    }
    memcpy(c->more + c->more_n, bytes, n);
    c->more_n = need;
    return RT_OK;
}

rt_status ds_cache_put(ds_cache *c, ds_key key, const char *s, size_t n, const int32_t *ids, int64_t count)
{
    ds_word w = {.key = key, .n = (int32_t)count};
    RT_TRY(cache_make_room(c));
    if (n > DS_SHORT_WORD || count > DS_WORD_IDS) {
        w.id[0] = (int32_t)c->more_n;
        if (n > DS_SHORT_WORD) RT_TRY(put_more(c, s, n));
        RT_TRY(put_more(c, ids, (size_t)count * sizeof *ids));
    } else memcpy(w.id, ids, (size_t)count * sizeof *ids);
    cache_place(c, &w);
    c->used++;
    return RT_OK;
}

void ds_cache_request(const ds_cache *c, ds_batch_keys *k, const char *text, size_t n, size_t from, const uint32_t *end, int count)
{
    for (int i = 0; i < count; from = end[i++]) {
        k->key[i]  = ds_key_of(text + from, end[i] - from, n - from);
        k->hash[i] = ds_key_hash(k->key[i]);
        __builtin_prefetch(&c->slot[k->hash[i] & (c->slots - 1)]);
    }
}

void ds_cache_free(ds_cache *c)
{
    free(c->slot);
    free(c->more);
    *c = (ds_cache){0};
}
