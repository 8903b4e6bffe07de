/* pieces.c -- the entries of a vocabulary of another program's file, and the merges that follow from them (data/vocabulary.h).
 *
 * SentencePiece's pieces have scores and no merges, tiktoken's ranks are ids and no merges.
 */
#include "data/vocabulary.h"
#include <stdlib.h>
#include <string.h>

/* ---- entries ---------------------------------------------------------------------------------------- */

static int pieces_by_text(const char *a, size_t n, const ds_piece *p)
{
    const int c = memcmp(a, p->text, n < p->n ? n : p->n);
    return c ? c : (n > p->n) - (n < p->n);
}

static int by_piece(const void *a, const void *b)
{
    const ds_piece *x = *(ds_piece *const *)a;
    return pieces_by_text(x->text, x->n, *(ds_piece *const *)b);
}

/* Returns 1 if a byte continues a character of UTF-8. */
static int continues(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

rt_status ds_vocabulary_create(ds_vocabulary *v, int64_t n)
{
    RT_TRY(RT_NEW(v->p, n + DS_MAX_MORE));
    RT_TRY(RT_NEW(v->sorted, n));
    v->n = v->own = n;
    v->bos = v->eos = -1;
    return RT_OK;
}

rt_status ds_vocabulary_add(ds_vocabulary *v, int64_t id, const char *text, size_t n, int32_t kind, int normalized, const char *where)
{
    RT_CHECK(id >= 0 && id < v->own + DS_MAX_MORE, RT_EFORMAT, "%s: the added token \"%.*s\" has the id %lld; expected 0 to %lld", where,
             n < 60 ? (int)n : 60, text, (long long)id, (long long)v->own + DS_MAX_MORE - 1);
    ds_piece *p = &v->p[id];
    p->text = text, p->n = n, p->id = (int32_t)id, p->kind = kind, p->normalized = normalized;
    if (id >= v->n) v->n = id + 1;
    return RT_OK;
}

rt_status ds_vocabulary_ready(ds_vocabulary *v, const char *where)
{
    for (int64_t i = 0; i < v->own; i++) {
        ds_piece *p = &v->p[i];
        RT_CHECK(p->n <= DS_MAX_PIECE, RT_EFORMAT, "%s: entry %lld of the vocabulary has %zu bytes; expected at most %d", where,
                 (long long)i, p->n, DS_MAX_PIECE);
        p->id = (int32_t)i;
        for (size_t at = 0; at < p->n; at++) p->characters += !continues(p->text[at]);
        v->sorted[i] = p;
    }
    if (v->own) qsort(v->sorted, (size_t)v->own, sizeof *v->sorted, by_piece);
    return RT_OK;
}

const ds_piece *ds_vocabulary_find(const ds_vocabulary *v, const char *text, size_t n)
{
    int64_t low = 0, high = v->own;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        const int     c      = pieces_by_text(text, n, v->sorted[middle]);
        if (!c) return v->sorted[middle];
        if (c < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}

void ds_vocabulary_free(ds_vocabulary *v)
{
    free(v->p), free(v->sorted), free(v->joins);
    *v = (ds_vocabulary){0};
}

/* ---- merges of all splits ------------------------------------------------------------------------------ */

static rt_status add_join(ds_vocabulary *v, const ds_piece *whole, const ds_piece *left, const ds_piece *right)
{
    RT_TRY(rt_grow((void **)&v->joins, v->n_joins, &v->cap_joins, sizeof *v->joins));
    v->joins[v->n_joins++] = (ds_join){whole, left, right};
    return RT_OK;
}

static rt_status add_splits(ds_vocabulary *v, const ds_piece *p)
{
    for (size_t at = 1; at < p->n; at++) {
        if (continues(p->text[at])) continue;
        const ds_piece *left = ds_vocabulary_find(v, p->text, at), *right = left ? ds_vocabulary_find(v, p->text + at, p->n - at) : NULL;
        if (right) RT_TRY(add_join(v, p, left, right));
    }
    return RT_OK;
}

static rt_status join_all(ds_vocabulary *v, int (*order)(const void *, const void *))
{
    for (int64_t i = 0; i < v->own; i++) RT_TRY(add_splits(v, &v->p[i]));
    if (v->n_joins) qsort(v->joins, (size_t)v->n_joins, sizeof *v->joins, order);
    return RT_OK;
}

static int descending(double a, double b) { return (a < b) - (a > b); }

/* The smaller id of the whole, then of the left and of the right part is first. */
static int by_ids(const void *a, const void *b)
{
    const ds_join *x = a, *y = b;
    int            c = descending(y->whole->id, x->whole->id);
    if (!c) c = descending(y->left->id, x->left->id);
    return c ? c : descending(y->right->id, x->right->id);
}

static int by_score(const void *a, const void *b)
{
    const ds_join *x = a, *y = b;
    int            c = descending((double)x->whole->score, (double)y->whole->score);
    if (!c) c = descending((double)x->left->characters, (double)y->left->characters);
    if (!c) c = descending((double)x->right->characters, (double)y->right->characters);
    return c ? c : by_ids(a, b);
}

rt_status ds_vocabulary_join_scores(ds_vocabulary *v) { return join_all(v, by_score); }
rt_status ds_vocabulary_join_ranks(ds_vocabulary *v) { return join_all(v, by_ids); }

rt_status ds_vocabulary_join(ds_vocabulary *v, const char *left, size_t n, const char *right, size_t m, const char *where)
{
    char            both[2 * DS_MAX_PIECE];
    const ds_piece *l = ds_vocabulary_find(v, left, n), *r = ds_vocabulary_find(v, right, m), *whole = NULL;
    if (l && r) {
        memcpy(both, left, n);
        memcpy(both + n, right, m);
        whole = ds_vocabulary_find(v, both, n + m);
    }
    RT_CHECK(whole, RT_EFORMAT, "%s: the merge of \"%.*s\" and \"%.*s\" is not of two entries into one", where, n < 60 ? (int)n : 60, left,
             m < 60 ? (int)m : 60, right);
    return add_join(v, whole, l, r);
}

/* ---- the merges that were trained -------------------------------------------------------------------- */

/* The parts of an entry while those before it merge: part i is text[at[i] .. at[i + 1]]. */
typedef struct parts {
    size_t  at[DS_MAX_PIECE + 1];
    int32_t join[DS_MAX_PIECE]; /* id of parts i and i + 1 together; INT32_MAX: none */
    int     n;
} parts;

static void look_at_join(const ds_vocabulary *v, const ds_piece *p, parts *a, int i)
{
    const ds_piece *both = i + 1 < a->n ? ds_vocabulary_find(v, p->text + a->at[i], a->at[i + 2] - a->at[i]) : NULL;
    a->join[i]           = both && both->id < p->id ? both->id : INT32_MAX;
}

static void begin_parts(const ds_vocabulary *v, const ds_piece *p, parts *a)
{
    a->n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (!continues(p->text[i])) a->at[a->n++] = i;
    a->at[a->n] = p->n;
    for (int i = 0; i < a->n; i++) look_at_join(v, p, a, i);
}

/* Merges the two parts whose join has the lowest id.  Returns 0 if there are none. */
static int merge_parts(const ds_vocabulary *v, const ds_piece *p, parts *a)
{
    int best = 0;
    for (int i = 1; i < a->n; i++)
        if (a->join[i] < a->join[best]) best = i;
    if (a->join[best] == INT32_MAX) return 0;
    memmove(a->at + best + 1, a->at + best + 2, (size_t)(a->n - best - 1) * sizeof *a->at);
    memmove(a->join + best, a->join + best + 1, (size_t)(a->n - best - 1) * sizeof *a->join);
    a->n--;
    look_at_join(v, p, a, best);
    if (best) look_at_join(v, p, a, best - 1);
    return 1;
}

/* An entry that no two parts make is reached by no merge. */
rt_status ds_vocabulary_join_trained(ds_vocabulary *v)
{
    for (int64_t i = 0; i < v->own; i++) {
        const ds_piece *p = &v->p[i];
        parts           a;
        if (p->characters < 2 || p->kind != DS_NORMAL) continue;
        begin_parts(v, p, &a);
        while (a.n > 2 && merge_parts(v, p, &a))
            ;
        if (a.n != 2) continue;
        const ds_piece *left = ds_vocabulary_find(v, p->text, a.at[1]), *right = ds_vocabulary_find(v, p->text + a.at[1], p->n - a.at[1]);
        if (left && right) RT_TRY(add_join(v, p, left, right));
    }
    return RT_OK;
}
