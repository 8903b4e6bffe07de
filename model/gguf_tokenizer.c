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

/* Byte-level BPE, which GGUF calls "gpt2". */
static rt_status check_byte_level(const cJSON *root, const chain *c, const char *path)
{
    const char *type = cJSON_GetStringValue(json_at(json_at(root, "model"), "type"));
    RT_CHECK(
        c->byte_level && (!type || !strcmp(type, "BPE")) && only_nfc(json_at(root, "normalizer")), RT_EINVAL,
        "%s: expected byte-level BPE without a normalizer other than NFC; no other tokenizer is written into GGUF files in this version",
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

static rt_status list_entries_of(gguf_entry *e, int64_t V, const cJSON *root, const char *path)
{
    const cJSON *x;
    cJSON_ArrayForEach(x, json_at(json_at(root, "model"), "vocab"))
        RT_TRY(gguf_take_entry(e, V, x->string, cJSON_GetNumberValue(x), DS_NORMAL, path));
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

/* Merges are "a b" or ["a", "b"] in tokenizer.json. */
static rt_status put_merges(md_gguf_keys *k, const cJSON *root)
{
    const cJSON *merges = json_at(json_at(root, "model"), "merges"), *x;
    rt_buf       both   = {0};
    rt_status    st     = RT_OK;
    md_gguf_put_array(k, "tokenizer.ggml.merges", MD_GGUF_TEXT, cJSON_GetArraySize(merges));
    cJSON_ArrayForEach(x, merges)
    {
        rt_buf_clear(&both);
        if (cJSON_IsArray(x)) RT_TRY_OR(rt_buf_fmt(&both, "%s %s", x->child->valuestring, x->child->next->valuestring), out);
        else RT_TRY_OR(rt_buf_str(&both, x->valuestring), out);
        md_gguf_add_text(k, both.p, both.len);
    }
out:
    rt_buf_free(&both);
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
    ds_tokenizer *t    = NULL;
    cJSON        *root = NULL;
    rt_buf        path = {0};
    rt_status     st   = ds_tokenizer_load(&t, dir); /* checks the file */
    if (st == RT_OK) st = read_root(&root, &path, dir);
    md_gguf_put_text(k, "tokenizer.ggml.model", "gpt2");
    if (st == RT_OK) st = put_pre(k, root, path.p);
    if (st == RT_OK) st = put_vocabulary(k, root, c->V, path.p);
    if (st == RT_OK) st = put_merges(k, root);
    if (st == RT_OK) st = put_around(k, t, c);
    if (st == RT_OK) st = put_template(k, dir);
    ds_tokenizer_destroy(&t);
    cJSON_Delete(root);
    rt_buf_free(&path);
    return st;
}
