/* unigram.c -- the Unigram model (Kudo 2018): the segmentation of a piece whose entries have the highest sum of scores.
 *
 * One pass from left to right keeps for each end the best segmentation up to it.  The order of comparisons and the arithmetic are
 * those of Hugging Face's tokenizers, so that ties fall alike: of equal sums the one whose last entry is longer wins.  A character
 * that is no entry is `unk`, with a score 10 below the lowest.
 */
#include "data/tokenizer/parts.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { UNK_PENALTY = 10, MOST_DIGITS = 19, MOST_POWER = 40 };

typedef struct ds_unigram_best { /* the best segmentation that ends at a place */
    double  score;
    int64_t from; /* where its last entry begins; -1: none ends here */
    int32_t id;
} best;

/* Returns a score as Hugging Face's tokenizers read it: their parser of JSON rounds twice, once the digits and once their quotient by a power of ten (serde_json
 * without float_roundtrip).  A fifth of the scores differ in the last bit, which decides between segmentations of equal score.  The digits are the
 * fewest that give the number, as programs write them. */
static double score_as_read(double score)
{
    char     text[40];
    uint64_t digits = 0;
    int      power = 0, seen = 0, n = 0;
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, score);
        if (strtod(text, NULL) == score) break;
    }
    for (const char *p = text + (*text == '-'); *p; p++) {
        if (*p == '.') seen = 1;
        else if (*p < '0' || *p > '9' || ++n > MOST_DIGITS) return score; /* an exponent: a score that no trained model has */
        else digits = 10 * digits + (uint64_t)(*p - '0'), power += seen;
    }
    double ten = 1;
    for (int i = 0; i < power && i < MOST_POWER; i++) ten *= 10; /* exact up to 10^22 */
    const double v = (double)digits / ten;
    return *text == '-' ? -v : v;
}

rt_status ds_unigram_ready(ds_unigram *u, const ds_vocab *v)
{
    double least = INFINITY;
    RT_TRY(ds_trie_reserve(&u->trie, (int64_t)v->text.len));
    RT_TRY(RT_NEW(u->weight, u->n));
    for (int32_t id = 0; id < u->n; id++) {
        size_t      n;
        const char *s = ds_vocab_text(v, id, &n);
        ds_trie_put(&u->trie, s, n, id);
        u->weight[id] = score_as_read(u->score[id]);
        least         = u->weight[id] < least ? u->weight[id] : least;
    }
    u->unk_score = least - UNK_PENALTY;
    ds_byte_entries(v, u->byte);
    return RT_OK;
}

static void offer(best *to, double score, int64_t from, int32_t id)
{
    if (to->from < 0 || score > to->score) *to = (best){score, from, id};
}

static rt_status unigram_forward(const ds_unigram *u, best *b, const char *s, size_t n)
{
    for (size_t i = 0; i <= n; i++) b[i] = (best){.from = -1};
    for (size_t i = 0, len; i < n; i += len) {
        int32_t node  = 0, id;
        int     whole = 0; /* the character is an entry */
        len           = ds_utf8_size(s[i]);
        for (size_t k = i; k < n && ds_trie_step(&u->trie, &node, (unsigned char)s[k], &id); k++) {
            if (id < 0) continue;
            offer(&b[k + 1], u->weight[id] + b[i].score, (int64_t)i, id);
            whole |= k + 1 == i + len;
        }
        if (whole) continue;
        RT_CHECK(u->unk >= 0, RT_EINVAL, "the text holds \"%.*s\", which is no entry of the tokenizer, and its model has no unk_id",
                 (int)len, s + i);
        offer(&b[i + len], u->unk_score + b[i].score, (int64_t)i, u->unk);
    }
    return RT_OK;
}

/* Adds the ids of characters without an entry: their bytes, if all are entries; else `unk`.  Joined they may be an entry. */
static rt_status unigram_add_unknown(const ds_unigram *u, const ds_vocab *v, const char *s, size_t n, ds_ids *out)
{
    const int32_t id    = ds_vocab_find(v, s, n);
    int           bytes = u->byte_fallback;
    if (id >= 0 && id < u->n) return ds_ids_add(out, id);
    for (size_t i = 0; bytes && i < n; i++) bytes = u->byte[(unsigned char)s[i]] >= 0;
    if (!bytes) return ds_ids_add(out, u->unk);
    for (size_t i = 0; i < n; i++) RT_TRY(ds_ids_add(out, u->byte[(unsigned char)s[i]]));
    return RT_OK;
}

/* Turns the chain that ends at n around: b[i].from becomes the end of the entry that begins at i. */
static void unigram_turn(best *b, int64_t n)
{
    int32_t id = -1;
    for (int64_t at = n, next = -1; at >= 0;) {
        const best here = b[at];
        b[at].from      = next;
        b[at].id        = id;
        id              = here.id;
        next            = at;
        at              = here.from;
    }
}

/* Neighbouring characters without an entry are one string. */
static rt_status unigram_collect(const ds_unigram *u, const ds_vocab *v, const best *b, const char *s, int64_t n, ds_ids *out)
{
    for (int64_t i = 0, end; i < n; i = end) {
        const int known = b[i].id != u->unk;
        end             = b[i].from;
        while (!known && end < n && b[end].id == u->unk) end = b[end].from;
        RT_TRY(known ? ds_ids_add(out, b[i].id) : unigram_add_unknown(u, v, s + i, (size_t)(end - i), out));
    }
    return RT_OK;
}

rt_status ds_unigram_encode(const ds_unigram *u, const ds_vocab *v, ds_unigram_work *w, const char *s, size_t n, ds_ids *out)
{
    if ((int64_t)n >= w->cap) {
        ds_unigram_work_free(w);
        RT_TRY(RT_NEW(w->best, 2 * (int64_t)n + 1));
        w->cap = 2 * (int64_t)n + 1;
    }
    RT_TRY(unigram_forward(u, w->best, s, n));
    unigram_turn(w->best, (int64_t)n);
    return unigram_collect(u, v, w->best, s, (int64_t)n, out);
}

void ds_unigram_work_free(ds_unigram_work *w)
{
    free(w->best);
    *w = (ds_unigram_work){0};
}

void ds_unigram_free(ds_unigram *u)
{
    ds_trie_free(&u->trie);
    free(u->score), free(u->weight);
}
