/* match.h -- pre-tokenizers written by hand: they cut a text where the regexes of well-known tokenizers do, without PCRE2 (private to data/).
 *
 * A matcher is chosen by the text of the patterns.  Patterns that no matcher knows are left to PCRE2, with which the tests compare every matcher.
 * To write another: a rule in match_*.c and a row of `known` in match.c.
 */
#ifndef DS_TOKENIZER_MATCH_H
#define DS_TOKENIZER_MATCH_H
#include "core/status.h"
#include <stddef.h>
#include <stdint.h>

/* Kinds of characters, as bits. */
enum {
    DS_LETTER  = 1,
    DS_MARK    = 2,
    DS_NUMBER  = 4,
    DS_SPACE   = 8,
    DS_NEWLINE = 16, /* \r and \n, which are spaces too */
    DS_PUNCT   = 32, /* \p{P} and \p{S} */
    DS_CJK     = 64  /* DeepSeek's ideographs and kana, whose other kinds are in a second table */
};

/* Writes into end[] the ends of the pieces from text + *at on, relative to text, until `most` are found or n is reached; returns their number
 * and moves *at behind them.  The text is valid UTF-8. */
typedef int (*ds_match_fn)(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most);

typedef struct ds_matcher { /* {0}: the patterns are unknown */
    ds_match_fn match;
    uint8_t    *kind; /* [DS_CODE_POINTS], DeepSeek's [2 DS_CODE_POINTS] */
} ds_matcher;

struct ds_splitter;
/* Sets *m if a matcher knows the splitter's steps; otherwise *m stays {0}. */
rt_status ds_matcher_choose(ds_matcher *m, const struct ds_splitter *s);
void      ds_matcher_free(ds_matcher *m);

int ds_match_gpt2(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most);
int ds_match_llama3(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most);
int ds_match_qwen2(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most);
int ds_match_qwen35(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most);
int ds_match_deepseek(const uint8_t *kind, const char *text, size_t n, size_t *at, uint32_t *end, int most);
#endif
