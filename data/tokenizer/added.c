/* added.c -- finding added tokens in a text: the leftmost match, and of matches with equal start the longest. */
#include "data/tokenizer/parts.h"
#include <stdlib.h>
#include <string.h>

rt_status ds_added_put(ds_added *a, const char *text, size_t n, int32_t id, int flags)
{
    char *copy = NULL;
    RT_TRY(rt_grow((void **)&a->token, a->n, &a->cap, sizeof *a->token));
    RT_TRY(rt_alloc((void **)&copy, (int64_t)n + 1, 1, "added token"));
    memcpy(copy, text, n);
    a->token[a->n++] = (ds_added_token){copy, n, id, flags};
    return RT_OK;
}

rt_status ds_added_ready(ds_added *a)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < a->n; i++) bytes += (int64_t)a->token[i].n;
    RT_TRY(ds_trie_reserve(&a->trie, bytes));
    a->only = a->n ? (unsigned char)a->token[0].text[0] : -1;
    for (int64_t i = 0; i < a->n; i++) {
        const unsigned char first = (unsigned char)a->token[i].text[0];
        ds_trie_put(&a->trie, a->token[i].text, a->token[i].n, (int32_t)i);
        a->begins[first] = 1;
        if (a->only != first) a->only = -1;
    }
    return RT_OK;
}

const char *ds_added_text(const ds_added *a, int32_t id, size_t *n)
{
    const ds_added_token *k = a->token;
    while (k->id != id) k++;
    *n = k->n;
    return k->text;
}

void ds_added_free(ds_added *a)
{
    for (int64_t i = 0; i < a->n; i++) free(a->token[i].text);
    free(a->token);
    ds_trie_free(&a->trie);
    *a = (ds_added){0};
}

/* Returns the character at s (-1: none) and its length (1 if it is not valid UTF-8). */
static int32_t added_character(const char *s, size_t n, size_t *len)
{
    const size_t k = n ? rt_utf8_length(s, n) : 0;
    *len           = k ? k : 1;
    return k ? (int32_t)ds_utf8_decode(s, k) : -1;
}

static int is_space(int32_t c) { return c >= 0 && ds_is_space((uint32_t)c); }
static int is_word(int32_t c) { return c >= 0 && ds_is_word((uint32_t)c); }

static int32_t character_before(const char *text, size_t at, size_t *len)
{
    size_t from = at;
    while (from > 0 && at - from < DS_MAX_UTF8) {
        from--;
        const int32_t c = added_character(text + from, at - from, len);
        if (c >= 0 && *len == at - from) return c;
    }
    *len = 1;
    return -1;
}

static int stands_alone(const char *text, size_t n, size_t start, size_t stop)
{
    size_t len;
    return !is_word(character_before(text, start, &len)) && !is_word(added_character(text + stop, n - stop, &len));
}

/* Returns the longest token at s; NULL: none. */
static const ds_added_token *token_at(const ds_added *a, const char *s, size_t n)
{
    int32_t node = 0, i, longest = -1;
    for (size_t k = 0; k < n && ds_trie_step(&a->trie, &node, (unsigned char)s[k], &i); k++) longest = i >= 0 ? i : longest;
    return longest >= 0 ? &a->token[longest] : NULL;
}

/* Returns the first place at or after `from` whose byte begins a token; n: none. */
static size_t next_begin(const ds_added *a, const char *text, size_t n, size_t from)
{
    if (a->only >= 0) {
        const char *found = from < n ? memchr(text + from, a->only, n - from) : NULL;
        return found ? (size_t)(found - text) : n;
    }
    while (from < n && !a->begins[(unsigned char)text[from]]) from++;
    return from;
}

const ds_added_token *ds_added_next(const ds_added *a, const char *text, size_t n, size_t from, size_t *start, size_t *stop)
{
    size_t len;
    for (size_t at = from; a->n && (at = next_begin(a, text, n, at)) < n; at++) {
        const ds_added_token *k = token_at(a, text + at, n - at);
        if (!k) continue;
        *start = at;
        *stop  = at + k->n;
        if ((k->flags & DS_ADDED_WORD) && !stands_alone(text, n, *start, *stop)) {
            at = *stop - 1; /* a rejected match is skipped as a whole */
            continue;
        }
        while ((k->flags & DS_ADDED_LSTRIP) && *start > from && is_space(character_before(text, *start, &len))) *start -= len;
        while ((k->flags & DS_ADDED_RSTRIP) && *stop < n && is_space(added_character(text + *stop, n - *stop, &len))) *stop += len;
        return k;
    }
    return NULL;
}
