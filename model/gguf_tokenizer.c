/* gguf_tokenizer.c -- a model folder's tokenizer as metadata of a GGUF file.
 *
 * llama.cpp has the code of pre-tokenizers built in, and a file names one of them.  A pre-tokenizer that it does not have by a name is refused, because it
 * would cut texts otherwise and give other ids. */
#include "core/file.h"
#include "data/chat.h"
#include "data/vocabulary.h"
#include "model/gguf_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the pre-tokenizer --------------------------------------------------------------------------- */

typedef struct chain { /* patterns in the order of their use; more than DS_MAX_PATTERNS are counted only */
    const char *pattern[DS_MAX_PATTERNS];
    int         n, byte_level;
} chain;

static const cJSON *json_at(const cJSON *o, const char *key) { return cJSON_GetObjectItemCaseSensitive(o, key); }

static void add_pattern(chain *c, const char *pattern)
{
    if (c->n < DS_MAX_PATTERNS) c->pattern[c->n] = pattern;
    c->n++;
}

/* Adds a Split, or "", which no name has, if it is no regex whose matches and gaps become pieces.  The regexes of names leave no gaps. */
static void add_split_of(chain *c, const cJSON *o)
{
    const char *regex = cJSON_GetStringValue(json_at(json_at(o, "pattern"), "Regex")), *keep = cJSON_GetStringValue(json_at(o, "behavior"));
    const int   pieces = keep && (!strcmp(keep, "Isolated") || (!strcmp(keep, "Removed") && cJSON_IsTrue(json_at(o, "invert"))));
    add_pattern(c, regex && pieces ? regex : "");
}

/* Adds the patterns of a part of the pre-tokenizer; ds_tokenizer_load has checked its form.  A part with another effect adds "". */
static void add_pre_part(chain *c, const cJSON *o)
{
    const char  *type = cJSON_GetStringValue(json_at(o, "type"));
    const cJSON *e;
    if (!type) return;
    if (!strcmp(type, "Split")) add_split_of(c, o);
    else if (!strcmp(type, "Digits")) add_pattern(c, cJSON_IsTrue(json_at(o, "individual_digits")) ? "\\p{N}" : "\\p{N}+");
    else if (!strcmp(type, "ByteLevel")) {
        c->byte_level = 1;
        if (!cJSON_IsFalse(json_at(o, "add_prefix_space"))) add_pattern(c, "");
        if (!cJSON_IsFalse(json_at(o, "use_regex"))) add_pattern(c, ds_patterns_named("gpt-2", &(int){0})[0]);
    } else if (strcmp(type, "Sequence") != 0) add_pattern(c, "");
    cJSON_ArrayForEach(e, json_at(o, "pretokenizers")) add_pre_part(c, e);
}

/* Returns 1 if a normalizer changes no text in NFC, which llama.cpp expects a text to be in. */
static int only_nfc(const cJSON *o)
{
    const char  *type = cJSON_GetStringValue(json_at(o, "type"));
    const cJSON *e;
    if (!type) return 1;
    if (strcmp(type, "Sequence") != 0) return !strcmp(type, "NFC");
    cJSON_ArrayForEach(e, json_at(o, "normalizers")) if (!only_nfc(e)) return 0;
    return 1;
}

/* ---- SentencePiece's BPE, which GGUF calls "llama" ---------------------------------------------------- */

static int text_is(const cJSON *o, const char *key, const char *want)
{
    const char *text = cJSON_GetStringValue(json_at(o, key));
    return text && !strcmp(text, want);
}

static int is_space_to_mark(const cJSON *o)
{
    return text_is(o, "type", "Replace") && text_is(json_at(o, "pattern"), "String", " ") && text_is(o, "content", "\xe2\x96\x81");
}

/* Returns 1 if the file has the form of Gemma (spaces become U+2581) or, with *prefix = 1, of Llama 2 (and one is put before a text), without a pre-tokenizer
 * that cuts: Gemma's Split on a space finds none. */
static int is_pieces(const cJSON *root, int *prefix)
{
    const cJSON *model = json_at(root, "model"), *pre = json_at(root, "pre_tokenizer"), *normalizer = json_at(root, "normalizer");
    const cJSON *steps = json_at(normalizer, "normalizers");
    const int    idle  = !pre || cJSON_IsNull(pre) || (text_is(pre, "type", "Split") && text_is(json_at(pre, "pattern"), "String", " "));
    *prefix            = cJSON_GetArraySize(steps) == 2 && text_is(steps->child, "type", "Prepend") &&
              text_is(steps->child, "prepend", "\xe2\x96\x81") && is_space_to_mark(steps->child->next);
    return idle && text_is(model, "type", "BPE") && cJSON_IsTrue(json_at(model, "byte_fallback")) &&
           !cJSON_IsTrue(json_at(model, "ignore_merges")) && (*prefix || is_space_to_mark(normalizer));
}

/* Byte-level BPE, which GGUF calls "gpt2". */
static rt_status check_byte_level(const cJSON *root, const chain *c, const char *path)
{
    const char *type = cJSON_GetStringValue(json_at(json_at(root, "model"), "type"));
    RT_CHECK(
        c->byte_level && (!type || !strcmp(type, "BPE")) && only_nfc(json_at(root, "normalizer")), RT_EINVAL,
        "%s: expected byte-level BPE without a normalizer other than NFC, or SentencePiece's BPE in the form of Llama 2 or Gemma; no other tokenizer is written into GGUF files in this version",
        path);
    return RT_OK;
}

static rt_status put_pre(md_gguf_keys *k, const cJSON *root, const char *path)
{
    const int whole = cJSON_IsTrue(json_at(json_at(root, "model"), "ignore_merges"));
    chain     c     = {.n = 0};
    add_pre_part(&c, json_at(root, "pre_tokenizer"));
    RT_TRY(check_byte_level(root, &c, path));
    const char *name = ds_patterns_name(c.pattern, c.n, whole);
    RT_CHECK(
        name, RT_EINVAL,
        "%s: llama.cpp has no name for this pre-tokenizer (%d patterns%s%.100s%s), so it would give other ids; GGUF files are written for those of GPT-2, SmolLM, "
        "Llama 3, Qwen 2 and Qwen 3.5",
        path, c.n, c.n ? ", the first \"" : "", c.n ? c.pattern[0] : "", c.n ? "\"" : "");
    md_gguf_put_text(k, "tokenizer.ggml.pre", name);
    return RT_OK;
}

/* ---- entries and merges ---------------------------------------------------------------------------- */

typedef struct gguf_entry {
    const char *text; /* NULL: no entry has this id */
    int32_t     kind;
} gguf_entry;

static rt_status gguf_take_entry(gguf_entry *e, int64_t V, const char *text, double id, int32_t kind, const char *path)
{
    RT_CHECK(text && id >= 0 && id < (double)V, RT_EINVAL, "%s: the entry \"%.60s\" has the id %.0f, but the model has %lld entries", path,
             text ? text : "", id, (long long)V);
    e[(int64_t)id] = (gguf_entry){text, kind};
    return RT_OK;
}

/* Entries of bytes and the unknown token have types of their own in a vocabulary with byte fallback. */
static int32_t kind_of_entry(const cJSON *root, const char *text)
{
    const cJSON *model = json_at(root, "model");
    if (!cJSON_IsTrue(json_at(model, "byte_fallback"))) return DS_NORMAL;
    if (text_is(model, "unk_token", text)) return DS_UNKNOWN;
    return strlen(text) == 6 && !strncmp(text, "<0x", 3) && text[5] == '>' ? DS_BYTE : DS_NORMAL;
}

static rt_status list_entries_of(gguf_entry *e, int64_t V, const cJSON *root, const char *path)
{
    const cJSON *x;
    cJSON_ArrayForEach(x, json_at(json_at(root, "model"), "vocab"))
        RT_TRY(gguf_take_entry(e, V, x->string, cJSON_GetNumberValue(x), kind_of_entry(root, x->string), path));
    cJSON_ArrayForEach(x, json_at(root, "added_tokens"))
    {
        const int special = cJSON_IsTrue(json_at(x, "special"));
        RT_TRY(gguf_take_entry(e, V, cJSON_GetStringValue(json_at(x, "content")), cJSON_GetNumberValue(json_at(x, "id")),
                               special ? DS_CONTROL : DS_USER, path));
    }
    return RT_OK;
}

static void put_entries(md_gguf_keys *k, const gguf_entry *e, int64_t V)
{
    char unused[32];
    md_gguf_put_array(k, "tokenizer.ggml.tokens", MD_GGUF_TEXT, V);
    for (int64_t i = 0; i < V; i++) {
        snprintf(unused, sizeof unused, "[PAD%lld]", (long long)i);
        const char *text = e[i].text ? e[i].text : unused;
        md_gguf_add_text(k, text, strlen(text));
    }
    md_gguf_put_array(k, "tokenizer.ggml.token_type", MD_GGUF_I32, V);
    for (int64_t i = 0; i < V; i++) md_gguf_add_int(k, e[i].text ? e[i].kind : DS_UNUSED);
}

static rt_status put_vocabulary(md_gguf_keys *k, const cJSON *root, int64_t V, const char *path)
{
    gguf_entry *e;
    RT_TRY(RT_NEW(e, V));
    const rt_status st = list_entries_of(e, V, root, path);
    if (st == RT_OK) put_entries(k, e, V);
    free(e);
    return st;
}

/* Appends the text of a merge's two halves, with `between` between them.  Merges are "a b" or ["a", "b"] in tokenizer.json. */
static rt_status add_halves(rt_buf *b, const cJSON *merge, const char *between)
{
    if (cJSON_IsArray(merge)) return rt_buf_fmt(b, "%s%s%s", merge->child->valuestring, between, merge->child->next->valuestring);
    const char *s = merge->valuestring, *space = strchr(s, ' ');
    RT_TRY(rt_buf_add(b, s, (size_t)(space - s)));
    return rt_buf_fmt(b, "%s%s", between, space + 1);
}

static rt_status put_merges(md_gguf_keys *k, const cJSON *root)
{
    const cJSON *merges = json_at(json_at(root, "model"), "merges"), *x;
    rt_buf       both   = {0};
    rt_status    st     = RT_OK;
    md_gguf_put_array(k, "tokenizer.ggml.merges", MD_GGUF_TEXT, cJSON_GetArraySize(merges));
    cJSON_ArrayForEach(x, merges)
    {
        rt_buf_clear(&both);
        RT_TRY_OR(add_halves(&both, x, " "), out);
        md_gguf_add_text(k, both.p, both.len);
    }
out:
    rt_buf_free(&both);
    return st;
}

/* ---- scores of pieces ----------------------------------------------------------------------------------- */

/* Returns 1 if a text is one character repeated. */
static int is_run(const char *s)
{
    const size_t n   = strlen(s);
    size_t       one = n > 0;
    while (one < n && ((unsigned char)s[one] & 0xc0) == 0x80) one++;
    for (size_t i = one; i < n; i++)
        if (s[i] != s[i - one]) return 0;
    return one && n % one == 0;
}

/* Gives id and all pieces that came after it the score of id, if all of them are runs of a character: their merges are mixed in files made of scores, because runs
 * have one score, and each order of merging them gives the longest run first.  Returns 0 if one is no run. */
static int join_runs(float *score, int64_t V, int32_t id, const ds_tokenizer *t, rt_buf *text)
{
    for (int32_t v = 0; v < V; v++) {
        if (score[v] > score[id] || score[v] == 0) continue;
        rt_buf_clear(text);
        if (ds_token_text(t, v, text) != RT_OK || !is_run(text->p)) return 0;
        score[v] = score[id];
    }
    return 1;
}

/* llama.cpp merges to the piece of the highest score, tokenizer.json by the order of merges.  Both are the same if all merges to a piece stand together, as in
 * files that were made of scores: the score is then the negative place of the first of them. */
static rt_status list_scores(float *score, int32_t *merges, int64_t V, const cJSON *root, const ds_tokenizer *t, const char *path)
{
    const cJSON *x;
    rt_buf       both = {0}, text = {0};
    rt_status    st    = RT_OK;
    int64_t      place = 0;
    int32_t      last  = -1;
    cJSON_ArrayForEach(x, json_at(json_at(root, "model"), "merges"))
    {
        rt_buf_clear(&both);
        RT_TRY_OR(add_halves(&both, x, ""), out);
        const int32_t id = ds_tokenizer_id(t, both.p);
        RT_CHECK_OR(id >= 0 && id < V && (id == last || score[id] == 0 || join_runs(score, V, id, t, &text)), out, RT_EINVAL,
                    "%s: the merges to \"%.60s\" do not stand together, so scores cannot say their order; llama.cpp would give other ids",
                    path, both.p);
        if (score[id] == 0) score[id] = (float)-(++place);
        merges[id]++;
        last = id;
    }
out:
    rt_buf_free(&both);
    rt_buf_free(&text);
    return st;
}

/* Returns the number of ways to cut a piece into two pieces. */
static int32_t count_cuts(const ds_tokenizer *t, const char *piece, rt_buf *left)
{
    int32_t n = 0;
    for (size_t i = 1; piece[i]; i++) {
        if (((unsigned char)piece[i] & 0xc0) == 0x80) continue;
        rt_buf_clear(left);
        if (rt_buf_add(left, piece, i) == RT_OK) n += ds_tokenizer_id(t, left->p) >= 0 && ds_tokenizer_id(t, piece + i) >= 0;
    }
    return n;
}

/* llama.cpp merges any two pieces whose union is a piece, so each such merge must be in the list. */
static rt_status check_all_merges(const int32_t *merges, const cJSON *root, const ds_tokenizer *t, const char *path)
{
    rt_buf       left = {0};
    const cJSON *x;
    rt_status    st = RT_OK;
    cJSON_ArrayForEach(x, json_at(json_at(root, "model"), "vocab"))
    {
        const int32_t listed = merges[(int64_t)cJSON_GetNumberValue(x)];
        if (kind_of_entry(root, x->string) != DS_NORMAL) continue;
        RT_CHECK_OR(
            listed == count_cuts(t, x->string, &left), out, RT_EINVAL,
            "%s: \"%.60s\" has %d merges, but it can be cut into two entries in %d ways; llama.cpp would merge each and give other ids",
            path, x->string, listed, count_cuts(t, x->string, &left));
    }
out:
    rt_buf_free(&left);
    return st;
}

static rt_status put_scores(md_gguf_keys *k, const cJSON *root, const ds_tokenizer *t, int64_t V, const char *path)
{
    float    *score  = NULL;
    int32_t  *merges = NULL;
    rt_status st     = RT_NEW(score, V);
    if (st == RT_OK) st = RT_NEW(merges, V);
    if (st == RT_OK) st = list_scores(score, merges, V, root, t, path);
    if (st == RT_OK) st = check_all_merges(merges, root, t, path);
    md_gguf_put_array(k, "tokenizer.ggml.scores", MD_GGUF_F32, V);
    for (int64_t i = 0; st == RT_OK && i < V; i++) {
        int32_t bits;
        memcpy(&bits, &score[i], sizeof bits);
        md_gguf_add_int(k, bits);
    }
    free(score), free(merges);
    return st;
}

/* ---- the tokens around a text, the chat template ------------------------------------------------------- */

static rt_status put_ends(md_gguf_keys *k, const ds_tokenizer *t, const md_config *c, const ds_ids *open)
{
    ds_ends   ends = {.n = 0};
    const int bos  = open->n ? open->v[0] : ds_tokenizer_bos(t) >= 0 ? ds_tokenizer_bos(t) : c->bos;
    RT_CHECK(open->n <= 1, RT_EINVAL, "the tokenizer puts %lld tokens before a text; llama.cpp can put one", (long long)open->n);
    RT_TRY(ds_ends_add(&ends, ds_tokenizer_eos(t)));
    RT_TRY(ds_ends_join(&ends, &c->ends));
    RT_TRY(ds_ends_join(&ends, ds_tokenizer_ends(t)));
    md_gguf_put_tokens(k, bos, &ends);
    md_gguf_put_bool(k, "tokenizer.ggml.add_bos_token", open->n == 1);
    md_gguf_put_bool(k, "tokenizer.ggml.add_eos_token", 0);
    return RT_OK;
}

static rt_status put_around(md_gguf_keys *k, const ds_tokenizer *t, const md_config *c)
{
    ds_ids    open = {0};
    rt_status st   = ds_encode(t, "", 0, DS_OPEN, &open);
    if (st == RT_OK) st = put_ends(k, t, c, &open);
    free(open.v);
    return st;
}

static rt_status put_template(md_gguf_keys *k, const char *dir)
{
    rt_buf    text = {0};
    int       there;
    rt_status st = ds_chat_source(&text, dir, &there);
    if (st == RT_OK && there) md_gguf_put_text(k, "tokenizer.chat_template", text.len ? text.p : "");
    rt_buf_free(&text);
    return st;
}

/* ---- the tokenizer -------------------------------------------------------------------------------------- */

static rt_status read_root(cJSON **root, rt_buf *path, const char *dir)
{
    rt_buf    text = {0};
    rt_status st   = ds_tokenizer_json(&text, path, dir);
    if (st == RT_OK) st = rt_json_parse(root, text.p, text.len, RT_JSON_DUPLICATES, path->p);
    rt_buf_free(&text);
    return st;
}

rt_status md_gguf_put_tokenizer(md_gguf_keys *k, const md_config *c, const char *dir)
{
    ds_tokenizer *t      = NULL;
    cJSON        *root   = NULL;
    rt_buf        path   = {0};
    int           prefix = 0;
    rt_status     st     = ds_tokenizer_load(&t, dir); /* checks the file */
    if (st == RT_OK) st = read_root(&root, &path, dir);
    const int pieces = st == RT_OK && is_pieces(root, &prefix);
    md_gguf_put_text(k, "tokenizer.ggml.model", pieces ? "llama" : "gpt2");
    if (st == RT_OK && !pieces) st = put_pre(k, root, path.p);
    if (st == RT_OK) st = put_vocabulary(k, root, c->V, path.p);
    if (st == RT_OK) st = pieces ? put_scores(k, root, t, c->V, path.p) : put_merges(k, root);
    if (pieces) md_gguf_put_bool(k, "tokenizer.ggml.add_space_prefix", prefix);
    if (st == RT_OK) st = put_around(k, t, c);
    if (st == RT_OK) st = put_template(k, dir);
    ds_tokenizer_destroy(&t);
    cJSON_Delete(root);
    rt_buf_free(&path);
    return st;
}
