/* runs.h -- runs of characters of one kind, from which the matchers are made (private to data/).
 *
 * p points into valid UTF-8 that ends at `end`.  Letters of ASCII, most of all text, are found eight at a time.
 */
#ifndef DS_TOKENIZER_RUNS_H
#define DS_TOKENIZER_RUNS_H
#include "data/tokenizer/match.h"
#include "data/tokenizer/unicode.h"
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first of 8 bytes is the lowest of a word");

/* The kind of a character beyond ASCII; *len gets its length. */
static inline unsigned run_wide(const uint8_t *kind, const uint8_t *p, size_t *len)
{
    *len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (*len == 2) return kind[(p[0] & 0x1f) << 6 | (p[1] & 0x3f)];
    if (*len == 3) return kind[(p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f)];
    return kind[(p[0] & 0x07) << 18 | (p[1] & 0x3f) << 12 | (p[2] & 0x3f) << 6 | (p[3] & 0x3f)];
}

static inline unsigned run_kind(const uint8_t *kind, const uint8_t *p, size_t *len)
{
    *len = 1;
    return *p < 0x80 ? kind[*p] : run_wide(kind, p, len);
}

/* Returns the first character that has none of the kinds, at most `most` characters away. */
static inline const uint8_t *run_most(const uint8_t *kind, const uint8_t *p, const uint8_t *end, unsigned kinds, int most)
{
    for (size_t len; most && p < end && (run_kind(kind, p, &len) & kinds); most--) p += len;
    return p;
}

/* Returns the first character that has none of the kinds. */
static inline const uint8_t *run_of(const uint8_t *kind, const uint8_t *p, const uint8_t *end, unsigned kinds)
{
    for (size_t len; p < end && (run_kind(kind, p, &len) & kinds);) p += len;
    return p;
}

/* Returns the first character that has one of the kinds. */
static inline const uint8_t *run_without(const uint8_t *kind, const uint8_t *p, const uint8_t *end, unsigned kinds)
{
    for (size_t len; p < end && !(run_kind(kind, p, &len) & kinds);) p += len;
    return p;
}

/* The number of ASCII letters, 0 to 8, at the beginning of 8 bytes.  Each byte of `letter` has its highest bit set if the byte, as a small
 * letter, is at least 'a' and not more than 'z'. */
static inline size_t run_letters_of_8(const uint8_t *p)
{
    const uint64_t each = 0x0101010101010101u, high = 0x80 * each;
    uint64_t       x;
    memcpy(&x, p, sizeof x);
    const uint64_t small  = (x | 0x20 * each) & ~high;
    const uint64_t letter = (small + (0x80 - 'a') * each) & ~(small + (0x7f - 'z') * each) & ~x & high, other = letter ^ high;
    return other ? (size_t)__builtin_ctzll(other) / 8 : 8;
}

/* Returns the end of the letters (and, if `kinds` has DS_MARK, marks) at p. */
static inline const uint8_t *run_letters(const uint8_t *kind, const uint8_t *p, const uint8_t *end, unsigned kinds)
{
    for (size_t len;;) {
        while (end - p >= 8) {
            len = run_letters_of_8(p);
            p += len;
            if (len < 8) break;
        }
        while (p < end && *p < 0x80 && (kind[*p] & kinds)) p++;
        if (p == end || *p < 0x80) return p;
        while (p < end && *p >= 0x80) {
            if (!(run_wide(kind, p, &len) & kinds)) return p;
            p += len;
        }
    }
}

/* \s+(?!\S)|\s+: all the spaces at p, but the last only if it is the only one or what follows is the end or has one of the kinds `ends`.
 * With `newlines` \s*[\r\n]+ comes first: the spaces up to the last newline among them. */
static inline const uint8_t *run_spaces(const uint8_t *kind, const uint8_t *p, const uint8_t *end, unsigned ends, int newlines)
{
    const uint8_t *last = p, *q = p, *after = NULL;
    unsigned       k = 0;
    for (size_t len; q < end && ((k = run_kind(kind, q, &len)) & DS_SPACE); q += len) {
        last = q;
        if (k & DS_NEWLINE) after = q + len;
    }
    if (newlines && after) return after;
    return q == end || last == p || (k & ends) ? q : last;
}

/* The body of a ds_match_fn; `next` finds the end of the piece that begins at p, before `last`. */
#define MATCH_ALL(next)                                                                      \
    const uint8_t *p = (const uint8_t *)text + *at, *const last = (const uint8_t *)text + n; \
    int pieces = 0;                                                                          \
    while (p < last && pieces < most) {                                                      \
        p             = (next);                                                              \
        end[pieces++] = (uint32_t)(p - (const uint8_t *)text);                               \
    }                                                                                        \
    *at = (size_t)(p - (const uint8_t *)text);                                               \
    return pieces
#endif
