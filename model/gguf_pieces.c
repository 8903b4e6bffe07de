/* gguf_pieces.c -- the entries of a GGUF file's vocabulary, and the merges of SentencePiece's BPE (gguf_pieces.h).
 *
 * SentencePiece's pieces have scores and no merges.  The program that wrote the file changed the pieces that users had defined: their score became -1000, and
 * runs of U+2581 became spaces.
 */
#include "model/gguf_pieces.h"
#include <stdlib.h>
#include <string.h>

static const char SPACE[] = "\xe2\x96\x81"; /* U+2581, which stands for a space */

enum { MOST_BYTES = 1 << 12 }; /* of a piece: bounds the splits that are looked up */

/* ---- pieces ---------------------------------------------------------------------------------------- */

static int by_text(const char *a, size_t n, const md_piece *p)
{
    const int c = memcmp(a, p->text, n < p->n ? n : p->n);
    return c ? c : (n > p->n) - (n < p->n);
}

static int by_piece(const void *a, const void *b)
{
    const md_piece *x = *(md_piece *const *)a;
    return by_text(x->text, x->n, *(md_piece *const *)b);
}

static const md_piece *find_piece(const md_vocabulary *v, const char *text, size_t n)
{
    int64_t low = 0, high = v->n;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        const int     c      = by_text(text, n, v->sorted[middle]);
        if (!c) return v->sorted[middle];
        if (c < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}

/* Returns 1 if a byte continues a character of UTF-8. */
static int continues(char c) { return ((unsigned char)c & 0xc0) == 0x80; }

static size_t characters_of(const md_piece *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) n += !continues(p->text[i]);
    return n;
}

static int only_spaces(const md_piece *p)
{
    size_t i = 0;
    while (i < p->n && p->text[i] == ' ') i++;
    return p->n && i == p->n;
}

/* Undoes what the file's writer did to a piece that users had defined. */
static rt_status restore_piece(md_vocabulary *v, md_piece *p)
{
    if (p->n == 5 && !memcmp(p->text, "<unk>", 5)) p->kind = UNKNOWN_TOKEN;
    if (p->kind != USER_TOKEN) return RT_OK;
    p->score = 0;
    if (!only_spaces(p)) return RT_OK;
    const size_t at = v->spaces.len, spaces = p->n;
    for (size_t i = 0; i < spaces; i++) RT_TRY(rt_buf_add(&v->spaces, SPACE, 3));
    p->text = NULL; /* at `at` in v->spaces, which may still move */
    p->n    = 3 * spaces;
    p->id   = (int32_t)at;
    return RT_OK;
}

rt_status md_vocabulary_read(md_vocabulary *v)
{
    md_gguf_array texts, scores, kinds;
    RT_TRY(md_gguf_elements(v->g, "tokenizer.ggml.tokens", MD_GGUF_TEXT, &texts));
    RT_TRY(md_gguf_elements(v->g, "tokenizer.ggml.scores", MD_GGUF_F32, &scores));
    RT_TRY(md_gguf_elements(v->g, "tokenizer.ggml.token_type", MD_GGUF_I32, &kinds));
    v->n = texts.n;
    RT_CHECK(v->n > 0 && (!scores.n || scores.n == v->n) && kinds.n == v->n, RT_EFORMAT,
             "%s: expected as many elements of tokenizer.ggml.tokens, scores and token_type, found %lld, %lld and %lld", md_gguf_path(v->g),
             (long long)v->n, (long long)scores.n, (long long)kinds.n);
    RT_TRY(RT_NEW(v->p, v->n));
    RT_TRY(RT_NEW(v->sorted, v->n));
    for (int64_t i = 0; i < v->n; i++) {
        md_piece *p = &v->p[i];
        p->text     = md_gguf_take_text(&texts, &p->n);
        p->kind     = md_gguf_take_i32(&kinds);
        p->score    = scores.n ? md_gguf_take_f32(&scores) : 0;
        RT_CHECK(p->n <= MOST_BYTES, RT_EFORMAT, "%s: entry %lld of tokenizer.ggml.tokens has %zu bytes; expected at most %d",
                 md_gguf_path(v->g), (long long)i, p->n, MOST_BYTES);
        RT_TRY(restore_piece(v, p));
        v->sorted[i] = p;
    }
    for (int64_t i = 0; i < v->n; i++) {
        if (!v->p[i].text) v->p[i].text = v->spaces.p + v->p[i].id; /* see restore_piece */
        v->p[i].id         = (int32_t)i;
        v->p[i].characters = characters_of(&v->p[i]);
    }
    qsort(v->sorted, (size_t)v->n, sizeof *v->sorted, by_piece);
    return RT_OK;
}

/* ---- merges ---------------------------------------------------------------------------------------- */

static int descending(double a, double b) { return (a < b) - (a > b); }

/* Of equal merges the one whose piece has the smaller id is first, then the smaller left and right id. */
static int by_rank(const void *a, const void *b)
{
    const md_merge *x = a, *y = b;
    int             c = descending((double)x->whole->score, (double)y->whole->score);
    if (!c) c = descending((double)x->left->characters, (double)y->left->characters);
    if (!c) c = descending((double)x->right->characters, (double)y->right->characters);
    if (!c) c = descending(y->whole->id, x->whole->id);
    if (!c) c = descending(y->left->id, x->left->id);
    return c ? c : descending(y->right->id, x->right->id);
}

rt_status md_vocabulary_merges(const md_vocabulary *v, md_merge **m, int64_t *n)
{
    int64_t cap = 0;
    for (int64_t i = 0; i < v->n; i++) {
        const md_piece *p = &v->p[i];
        for (size_t at = 1; at < p->n; at++) {
            if (continues(p->text[at])) continue;
            const md_piece *left = find_piece(v, p->text, at), *right = left ? find_piece(v, p->text + at, p->n - at) : NULL;
            if (!right) continue;
            RT_TRY(rt_grow((void **)m, *n, &cap, sizeof **m));
            (*m)[(*n)++] = (md_merge){p, left, right};
        }
    }
    if (*n) qsort(*m, (size_t)*n, sizeof **m, by_rank);
    return RT_OK;
}

void md_vocabulary_free(md_vocabulary *v)
{
    free(v->p), free(v->sorted);
    rt_buf_free(&v->spaces);
}
