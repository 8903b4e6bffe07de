/* match_words.c -- GPT-2's way to cut a text into words, and Llama 3's, of which Qwen's two are variants.
 *
 * GPT-2:   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * Llama 3: (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
#include "data/tokenizer/runs.h"

/* Returns the length of a contraction at p, which is an apostrophe; 0: it is none.  `fold`: of capitals too. */
static inline size_t contraction(const uint8_t *p, const uint8_t *end, int fold)
{
    const unsigned other = fold ? 0x20 : 0, a = end - p > 1 ? p[1] | other : 0, b = end - p > 2 ? p[2] | other : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return fold && end - p > 2 && p[1] == 0xc5 && p[2] == 0xbf ? 3 : 0; /* U+017F, a long s */
}

static inline const uint8_t *gpt2_next(const uint8_t *kind, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *q   = p + (*p == ' ' && end - p > 1);
    const size_t   two = *p == '\'' ? contraction(p, end, 0) : 0;
    size_t         len;
    const unsigned k = run_kind(kind, q, &len);
    if (two) return p + two;
    if (k & DS_LETTER) return run_letters(kind, q, end, DS_LETTER);
    if (k & DS_NUMBER) return run_of(kind, q, end, DS_NUMBER);
    if (!(k & DS_SPACE)) return run_without(kind, q, end, DS_LETTER | DS_NUMBER | DS_SPACE);
    return run_spaces(kind, p, end, 0, 0);
}

static inline const uint8_t *llama3_next(const uint8_t *kind, const uint8_t *p, const uint8_t *end, int digits, unsigned letter)
{
    size_t         len, more;
    const unsigned k   = run_kind(kind, p, &len);
    const size_t   two = *p == '\'' ? contraction(p, end, 1) : 0;
    if (two) return p + two;
    if (k & letter) return run_letters(kind, p, end, letter);
    if (k & DS_NUMBER) return run_most(kind, p, end, DS_NUMBER, digits);
    const uint8_t *next = p + len;
    const unsigned then = next < end ? run_kind(kind, next, &more) : DS_SPACE;
    if ((then & letter) && !(k & DS_NEWLINE)) return run_letters(kind, next, end, letter);
    if ((k & DS_SPACE) && (*p != ' ' || (then & (DS_SPACE | DS_NUMBER | letter)))) return run_spaces(kind, p, end, 0, 1);
    return run_of(kind, run_without(kind, next, end, DS_SPACE | DS_NUMBER | letter), end, DS_NEWLINE);
}

int ds_match_gpt2(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most)
{
    MATCH_ALL(gpt2_next(kind, p, last));
}

int ds_match_llama3(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most)
{
    MATCH_ALL(llama3_next(kind, p, last, 3, DS_LETTER));
}

int ds_match_qwen2(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most)
{
    MATCH_ALL(llama3_next(kind, p, last, 1, DS_LETTER));
}

int ds_match_qwen35(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most)
{
    MATCH_ALL(llama3_next(kind, p, last, 1, DS_LETTER | DS_MARK));
}
