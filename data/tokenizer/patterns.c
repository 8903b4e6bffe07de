/* patterns.c -- pre-tokenizers of byte-level BPE that are known by a name: llama.cpp's, which GGUF files hold (data/vocabulary.h). */
#include "data/vocabulary.h"
#include <string.h>

#define GPT2  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define SHORT "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORDS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define REST  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* The patterns in the order of their use.  `whole`: a piece that is an entry is taken as it is, which tokenizer.json calls ignore_merges. */
static const struct named {
    const char *name;
    int         whole;
    const char *pattern[DS_MAX_PATTERNS];
} known[] = {{"gpt-2", 0, {GPT2}},
             {"smollm", 0, {"\\p{N}", GPT2}},
             {"llama-bpe", 1, {SHORT "|" WORDS "|\\p{N}{1,3}" REST}},
             {"smaug-bpe", 0, {SHORT "|" WORDS "|\\p{N}{1,3}" REST}},
             {"qwen2", 0, {SHORT "|" WORDS "|\\p{N}" REST}},
             {"qwen35",
              0,
              {SHORT "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}}};
enum { KNOWN = sizeof known / sizeof *known };

const char *const *ds_patterns_named(const char *name, int *whole)
{
    for (int i = 0; i < KNOWN; i++) {
        *whole = known[i].whole;
        if (!strcmp(known[i].name, name)) return known[i].pattern;
    }
    return NULL;
}

static int same_patterns(const struct named *k, const char *const *patterns, int n)
{
    for (int i = 0; i < DS_MAX_PATTERNS; i++) {
        if (i >= n) return !k->pattern[i];
        if (!k->pattern[i] || strcmp(k->pattern[i], patterns[i]) != 0) return 0;
    }
    return n == DS_MAX_PATTERNS;
}

const char *ds_patterns_name(const char *const *patterns, int n, int whole)
{
    for (int i = 0; i < KNOWN; i++)
        if (known[i].whole == whole && same_patterns(&known[i], patterns, n)) return known[i].name;
    return NULL;
}
