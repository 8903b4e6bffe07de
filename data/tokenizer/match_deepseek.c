/* match_deepseek.c -- DeepSeek's way to cut a text into words: three regexes, each of which cuts the pieces of the one before.
 *
 * 1. \p{N}{1,3}
 * 2. [一-龥぀-ゟ゠-ヿ]+
 * 3. [!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *
 * The third cuts what the others find too: nothing in numbers, and a run of ideographs and kana by itself.  For other text, numbers, ideographs and kana are
 * its end.  What no regex matches is a piece too.
 */
#include "data/tokenizer/runs.h"

enum { WORD = DS_LETTER | DS_MARK, CUT = DS_NUMBER | DS_CJK };

static inline int ascii_letter(uint8_t c) { return (unsigned)((c | 0x20) - 'a') < 26; }

/* Returns the end of the third regex's match at p; NULL: it does not match. */
static inline const uint8_t *deepseek_match(const uint8_t *kind, const uint8_t *p, const uint8_t *end)
{
    size_t         len, more;
    const unsigned k    = run_kind(kind, p, &len);
    const uint8_t *next = p + len;
    const unsigned then = next < end ? run_kind(kind, next, &more) : 0;
    if (k & DS_LETTER) return run_letters(kind, p, end, WORD);
    if (k & DS_PUNCT) {
        if (*p >= 0x80 || next == end || !ascii_letter(*next)) return run_of(kind, run_of(kind, next, end, DS_PUNCT), end, DS_NEWLINE);
        while (next < end && ascii_letter(*next)) next++;
        return next;
    }
    if (!(k & DS_NEWLINE) && (then & WORD)) return run_letters(kind, next, end, WORD);
    if (k & DS_MARK) return next;
    if (*p == ' ' && (then & DS_PUNCT)) return run_of(kind, run_of(kind, next, end, DS_PUNCT), end, DS_NEWLINE);
    return k & DS_SPACE ? run_spaces(kind, p, end, CUT, 1) : NULL;
}

/* Returns the end of the text at p that the third regex does not match. */
static const uint8_t *deepseek_gap(const uint8_t *kind, const uint8_t *p, const uint8_t *end)
{
    size_t len;
    do {
        run_kind(kind, p, &len);
        p += len;
    } while (p < end && !(run_kind(kind, p, &len) & CUT) && !deepseek_match(kind, p, end));
    return p;
}

static inline const uint8_t *deepseek_next(const uint8_t *kind, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *to = deepseek_match(kind, p, end);
    return to ? to : deepseek_gap(kind, p, end);
}

/* `run` is the end of the ideographs and kana at p, if there are any. */
int ds_match_deepseek(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most)
{
    const uint8_t *p = (const uint8_t *)text + *at, *const last = (const uint8_t *)text + n, *run = p;
    int pieces = 0;
    while (p < last && pieces < most) {
        size_t         len;
        const unsigned k = run_kind(kind, p, &len);
        if ((k & DS_CJK) && p >= run) run = run_of(kind, p, last, DS_CJK);
        if (k & DS_CJK) p = deepseek_next(kind + DS_CODE_POINTS, p, run);
        else p = k & DS_NUMBER ? run_most(kind, p, last, DS_NUMBER, 3) : deepseek_next(kind, p, last);
        end[pieces++] = (uint32_t)(p - (const uint8_t *)text);
    }
    *at = (size_t)(p - (const uint8_t *)text);
    return pieces;
}
