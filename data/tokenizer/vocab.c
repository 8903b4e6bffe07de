/* vocab.c -- a vocabulary's strings and ids: one text arena and one open-addressing table. */
#include "data/tokenizer/parts.h"
#include <stdlib.h>
#include <string.h>

static uint64_t hash(const char *s, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u ^ n;
    for (; n >= 8; s += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, s, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    for (; n; s++, n--) h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ (h >> 32);
}

/* Returns the slot that holds the string, or the empty slot for it. */
static int64_t vocab_place(const ds_vocab *v, const char *s, size_t n)
{
    int64_t i = (int64_t)(hash(s, n) & (uint64_t)(v->slots - 1));
    for (; v->slot[i]; i = (i + 1) & (v->slots - 1)) {
        const ds_entry *e = &v->entry[v->slot[i] - 1];
        if ((size_t)e->n == n && !memcmp(v->text.p + e->at, s, n)) break;
    }
    return i;
}

int32_t ds_vocab_find(const ds_vocab *v, const char *s, size_t n) { return v->slots ? v->slot[vocab_place(v, s, n)] - 1 : -1; }

const char *ds_vocab_text(const ds_vocab *v, int32_t id, size_t *n)
{
    *n = (size_t)v->entry[id].n;
    return v->text.p + v->entry[id].at;
}

static rt_status vocab_grow_slots(ds_vocab *v)
{
    if (v->used * 2 < v->slots) return RT_OK;
    const int64_t slots = v->slots ? v->slots * 4 : 1024;
    int32_t      *slot  = NULL;
    RT_TRY(RT_NEW(slot, slots));
    free(v->slot);
    v->slot  = slot;
    v->slots = slots;
    for (int64_t id = 0; id < v->n; id++) {
        const ds_entry *e = &v->entry[id];
        if (e->flags & DS_ENTRY_PRESENT) v->slot[vocab_place(v, v->text.p + e->at, (size_t)e->n)] = (int32_t)id + 1;
    }
    return RT_OK;
}

rt_status ds_vocab_put(ds_vocab *v, const char *s, size_t n, int64_t id, const char *where)
{
    const int show = (int)(n < 60 ? n : 60);
    RT_CHECK(id >= 0 && id < DS_MAX_ENTRIES, RT_EFORMAT, "%s: \"%.*s\" has the id %lld, expected 0 to %d", where, show, s, (long long)id,
             DS_MAX_ENTRIES - 1);
    RT_TRY(vocab_grow_slots(v));
    while (v->n <= id) {
        RT_TRY(rt_grow((void **)&v->entry, v->n, &v->cap, sizeof *v->entry));
        v->entry[v->n++] = (ds_entry){0};
    }
    const int64_t at = vocab_place(v, s, n);
    RT_CHECK(!v->slot[at], RT_EFORMAT, "%s: \"%.*s\" has two ids, %d and %lld; remove one", where, show, s, v->slot[at] - 1, (long long)id);
    RT_CHECK(!v->entry[id].flags, RT_EFORMAT, "%s: two entries have the id %lld; the second is \"%.*s\"", where, (long long)id, show, s);
    v->entry[id] = (ds_entry){(int64_t)v->text.len, (int32_t)n, DS_ENTRY_PRESENT};
    RT_TRY(rt_buf_add(&v->text, s, n));
    v->slot[at] = (int32_t)id + 1;
    v->used++;
    return RT_OK;
}

void ds_vocab_free(ds_vocab *v)
{
    rt_buf_free(&v->text);
    free(v->entry);
    free(v->slot);
    *v = (ds_vocab){0};
}
