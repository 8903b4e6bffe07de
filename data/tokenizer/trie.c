/* trie.c -- strings by their bytes, to find those that begin at a place of a text. */
#include "data/tokenizer/parts.h"
#include <stdlib.h>

rt_status ds_trie_reserve(ds_trie *t, int64_t bytes)
{
    t->nodes = 1;
    return ds_merges_reserve(&t->next, bytes);
}

void ds_trie_put(ds_trie *t, const char *s, size_t n, int32_t id)
{
    int32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        const ds_merge *e    = ds_merges_find(&t->next, node, (unsigned char)s[i]);
        const int32_t   to   = e ? e->id : t->nodes++;
        const int32_t   ends = i + 1 == n ? id : e ? e->rank : -1;
        if (!e || ends != e->rank) ds_merges_put(&t->next, node, (unsigned char)s[i], ends, to);
        node = to;
    }
}

int ds_trie_step(const ds_trie *t, int32_t *node, unsigned char byte, int32_t *id)
{
    const ds_merge *e = ds_merges_find(&t->next, *node, byte);
    if (!e) return 0;
    *node = e->id;
    *id   = e->rank;
    return 1;
}

void ds_trie_free(ds_trie *t) { free(t->next.slot); }
