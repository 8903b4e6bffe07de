/* cache.h -- the ids of words that have occurred before (private to data/).
 *
 * Text repeats its words, so most are found here and not merged.  A word of up to 15 bytes is its own key: its bytes and its length make 128
 * bits, which are compared at once.  A longer word's key is a hash and its length; its bytes are kept and compared.  The table has open
 * addressing.  It grows up to a limit and is then emptied.  One thread uses a cache.
 */
#ifndef DS_TOKENIZER_CACHE_H
#define DS_TOKENIZER_CACHE_H
#include "core/memory.h"
#include <string.h>

enum { DS_SHORT_WORD = 15, DS_LONGEST_WORD = 255, DS_WORD_IDS = 3 };

typedef struct ds_key { /* the first 8 bytes of a word, the next 7 and its length */
    uint64_t low, high;
} ds_key;

typedef struct ds_word {
    ds_key  key;             /* high = 0: an empty place */
    int32_t n;               /* number of ids */
    int32_t id[DS_WORD_IDS]; /* if n is larger, or the word is long: id[0] is the offset of the word in `more` */
} ds_word;

typedef struct ds_cache { /* {0} is empty */
    ds_word *slot;
    uint64_t slots, used;
    int32_t *more; /* of each word whose ids do not fit in its place: its bytes if it is long, its ids */
    int64_t  more_n, more_cap;
} ds_cache;

rt_status ds_cache_ready(ds_cache *c); /* call it before the first use */
void      ds_cache_free(ds_cache *c);
/* Adds a word that is not there.  n <= DS_LONGEST_WORD. */
rt_status ds_cache_put(ds_cache *c, ds_key key, const char *s, size_t n, const int32_t *ids, int64_t count);

/* The key of n <= 15 bytes.  `readable`: how many bytes at s may be read. */
static inline ds_key ds_key_of_short(const char *s, size_t n, size_t readable)
{
    static const uint64_t keep[9] = {
        0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff, 0xffffffffffffffff};
    ds_key k = {0, 0};
    if (readable >= sizeof k) {
        memcpy(&k, s, sizeof k);
        k.low &= keep[n < 8 ? n : 8];
        k.high &= keep[n < 8 ? 0 : n - 8];
    } else memcpy(&k, s, n);
    k.high |= (uint64_t)n << 56;
    return k;
}

/* The key of 16 bytes or more. */
ds_key ds_key_of_long(const char *s, size_t n);

static inline ds_key ds_key_of(const char *s, size_t n, size_t readable)
{
    return n <= DS_SHORT_WORD ? ds_key_of_short(s, n, readable) : ds_key_of_long(s, n);
}

static inline uint64_t ds_key_hash(ds_key k)
{
    const uint64_t h = (k.low ^ (k.high << 29 | k.high >> 35)) * 0x9e3779b97f4a7c15u;
    return (h ^ h >> 32) * 0xd6e8feb86659fd93u >> 20;
}

static inline const int32_t *ds_cache_ids(const ds_cache *c, const ds_word *w, size_t bytes)
{
    if (bytes <= DS_SHORT_WORD) return w->n <= DS_WORD_IDS ? w->id : c->more + w->id[0];
    return c->more + w->id[0] + (bytes + 3) / 4;
}

/* Returns the word, or NULL. */
static inline const ds_word *ds_cache_find(const ds_cache *c, ds_key key, uint64_t hash, const char *s, size_t n)
{
    for (uint64_t i = hash;; i++) {
        const ds_word *w = &c->slot[i & (c->slots - 1)];
        if (!w->key.high) return NULL;
        if (w->key.low == key.low && w->key.high == key.high && (n <= DS_SHORT_WORD || !memcmp(c->more + w->id[0], s, n))) return w;
    }
}

enum { DS_BATCH = 256 };
typedef struct ds_batch_keys { /* of words that are looked up together */
    ds_key   key[DS_BATCH];
    uint64_t hash[DS_BATCH];
} ds_batch_keys;
/* Makes the keys of the words text[from..end[0]), text[end[0]..end[1]), ... of a text of n bytes, and requests their places.  Waiting for memory
 * costs more than the rest, so all places are requested before the first is read. */
void ds_cache_request(const ds_cache *c, ds_batch_keys *k, const char *text, size_t n, size_t from, const uint32_t *end, int count);
#endif
