/* keep.c -- which entries a tokenizer needs to give some texts the ids that it gives now.
 *
 * BPE merges the pair of the lowest rank first.  Within one final entry it therefore takes the same merges in any text, and as many as
 * when the entry's own text is encoded alone: no pair across the entry's ends was ever the lowest.  If all entries on that way stay, and
 * of the merges those between entries that stay, in their order, then every pair that was merged is still there and none is new.
 * A Unigram model takes the path of the highest score; a path over entries that stay is still the highest.
 */
#include "data/tokenizer/parts.h"
#include <stdlib.h>

/* Merges ids[0..n) as ds_bpe_merge does and marks each entry on the way. */
static void keep_merged(const ds_merges *m, int32_t *ids, int64_t n, uint8_t *keep)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] >= 0) keep[ids[i]] = 1;
    for (;;) {
        const ds_merge *best = NULL;
        int64_t         at   = 0;
        for (int64_t i = 0; i + 1 < n; i++) {
            const ds_merge *pair = ds_merges_find(m, ids[i], ids[i + 1]);
            if (pair && (!best || pair->rank < best->rank)) best = pair, at = i;
        }
        if (!best) return;
        keep[ids[at] = best->id] = 1;
        for (int64_t i = at + 1; i + 1 < n; i++) ids[i] = ids[i + 1];
        n--;
    }
}

/* Marks the symbols and entries from which an entry is merged. */
static rt_status keep_way(const ds_tokenizer *t, int32_t id, rt_buf *text, uint8_t *keep)
{
    int32_t    *ids = NULL;
    size_t      n;
    const char *s = ds_vocab_text(&t->vocab, id, &n);
    rt_buf_clear(text);
    RT_TRY(t->pre.byte_level ? ds_alphabet_decode(s, n, text) : rt_buf_add(text, s, n));
    if (!text->len) return RT_OK;
    RT_TRY(RT_NEW(ids, (int64_t)text->len));
    keep_merged(&t->merges, ids, ds_symbols_fill(&t->symbols, text->p, text->len, ids), keep);
    free(ids);
    return RT_OK;
}

static void keep_ids(const ds_ids *ids, uint8_t *keep)
{
    for (int64_t i = 0; i < ids->n; i++) keep[ids->v[i]] = 1;
}

static void keep_one(int32_t id, uint8_t *keep)
{
    if (id >= 0) keep[id] = 1;
}

/* The score of an unknown character depends on the lowest score of all. */
static void keep_lowest(const ds_tokenizer *t, uint8_t *keep)
{
    int64_t lowest = 0;
    for (int64_t id = 1; id < t->unigram.n; id++)
        if (t->unigram.score[id] < t->unigram.score[lowest]) lowest = id;
    keep_one((int32_t)lowest, keep);
}

/* Marks what every text may need: bytes, the unknown token, special tokens, those around a text. */
static void keep_always(const ds_tokenizer *t, uint8_t *keep)
{
    int32_t byte[256];
    for (int32_t id = 0; id < t->vocab.n; id++)
        if (t->vocab.entry[id].flags & DS_ENTRY_SPECIAL) keep[id] = 1;
    ds_byte_entries(&t->vocab, byte);
    for (int b = 0; b < 256; b++) keep_one(t->pre.byte_level && !t->is_unigram ? t->symbols.byte[b] : byte[b], keep);
    keep_one(t->is_unigram ? t->unigram.unk : t->pre.byte_level ? -1 : t->symbols.unk, keep);
    keep_ids(&t->prefix, keep);
    keep_ids(&t->suffix, keep);
    keep_ids(&t->close, keep);
    keep_one(t->bos, keep);
    keep_one(t->eos, keep);
    for (int i = 0; i < t->ends.n; i++)
        if (t->ends.id[i] < t->vocab.n) keep_one(t->ends.id[i], keep);
    if (t->is_unigram) keep_lowest(t, keep);
}

rt_status ds_tokenizer_keep(const ds_tokenizer *t, uint8_t *keep)
{
    rt_buf    text = {0};
    rt_status st   = RT_OK;
    keep_always(t, keep);
    for (int32_t id = 0; st == RT_OK && !t->is_unigram && id < t->vocab.n; id++) {
        const int flags = t->vocab.entry[id].flags;
        if (keep[id] && flags & DS_ENTRY_PRESENT && !(flags & DS_ENTRY_ADDED)) st = keep_way(t, id, &text, keep);
    }
    rt_buf_free(&text);
    return st;
}
