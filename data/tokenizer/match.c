/* match.c -- choosing a matcher by the text of the patterns; the kinds of characters. */
#include "data/tokenizer/chain.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_PATTERNS = 3 };

#define CONTRACTIONS      "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES            "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_OF(digits) CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACES
#define QWEN35            CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACES
/* its regexes have the characters \r and \n themselves */
#define DEEPSEEK3                                                                                                               \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|" \
    "\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
#define KANA_AND_IDEOGRAPHS "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"

static const struct known {
    ds_match_fn match;
    const char *pattern[MOST_PATTERNS]; /* in the order of their use */
} known[] = {{ds_match_gpt2, {ds_gpt2_pattern}},
             {ds_match_llama3, {LLAMA3_OF("\\p{N}{1,3}")}},
             {ds_match_qwen2, {LLAMA3_OF("\\p{N}")}},
             {ds_match_qwen35, {QWEN35}},
             {ds_match_deepseek, {"\\p{N}{1,3}", KANA_AND_IDEOGRAPHS, DEEPSEEK3}}};

/* ---- kinds --------------------------------------------------------------------------------------- */

static void mark_range(uint8_t *kind, uint32_t from, uint32_t to, int bit)
{
    for (uint32_t c = from; c <= to; c++) kind[c] = (uint8_t)(kind[c] | bit);
}

static rt_status mark_property(uint8_t *kind, const char *property, int bit)
{
    ds_set          s = {0};
    int             known_name;
    const rt_status st = ds_set_property(&s, property, strlen(property), &known_name);
    for (int64_t i = 0; i < s.n; i++) mark_range(kind, s.range[i].from, s.range[i].to, bit);
    ds_set_free(&s);
    return st;
}

static rt_status mark_spaces(uint8_t *kind)
{
    ds_set          s  = {0};
    const rt_status st = ds_set_space(&s);
    for (int64_t i = 0; i < s.n; i++) mark_range(kind, s.range[i].from, s.range[i].to, DS_SPACE);
    ds_set_free(&s);
    return st;
}

static rt_status fill_kinds(uint8_t *kind)
{
    RT_TRY(mark_property(kind, "L", DS_LETTER));
    RT_TRY(mark_property(kind, "M", DS_MARK));
    RT_TRY(mark_property(kind, "N", DS_NUMBER));
    RT_TRY(mark_property(kind, "P", DS_PUNCT));
    RT_TRY(mark_property(kind, "S", DS_PUNCT));
    RT_TRY(mark_spaces(kind));
    kind['\r'] = kind['\n'] = DS_SPACE | DS_NEWLINE;
    return RT_OK;
}

/* Moves the true kinds into the second table. */
static void hide_cjk(uint8_t *kind)
{
    memcpy(kind + DS_CODE_POINTS, kind, DS_CODE_POINTS);
    memset(kind + 0x4e00, DS_CJK, 0x9fa5 + 1 - 0x4e00);
    memset(kind + 0x3040, DS_CJK, 0x30ff + 1 - 0x3040);
}

/* ---- choosing ------------------------------------------------------------------------------------- */

static int is_matched(const struct known *k, const ds_splitter *s)
{
    for (int i = 0; i < s->n || (i < MOST_PATTERNS && k->pattern[i]); i++)
        if (i >= s->n || i >= MOST_PATTERNS || !k->pattern[i] || s->step[i].literal || s->step[i].keep != DS_KEEP_BOTH ||
            strcmp(s->step[i].pattern, k->pattern[i]))
            return 0;
    return 1;
}

rt_status ds_matcher_choose(ds_matcher *m, const ds_splitter *s)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!is_matched(&known[i], s)) continue;
        const int cjk = known[i].match == ds_match_deepseek;
        m->match      = known[i].match;
        RT_TRY(rt_alloc((void **)&m->kind, (1 + cjk) * DS_CODE_POINTS, 1, "kinds of characters"));
        RT_TRY(fill_kinds(m->kind));
        if (cjk) hide_cjk(m->kind);
        return RT_OK;
    }
    return RT_OK;
}

void ds_matcher_free(ds_matcher *m)
{
    free(m->kind);
    *m = (ds_matcher){0};
}
