/* gguf_vocabulary.c -- the tokenizer in the metadata of a GGUF file as the text of a tokenizer.json.
 *
 * GGUF has two kinds.  "gpt2" is byte-level BPE, with merges and the name of a pre-tokenizer that llama.cpp has built in.  "llama" is SentencePiece's BPE: pieces
 * with scores, of which the merges are made (data/vocabulary.h).
 */
#include "core/json_write.h"
#include "data/vocabulary.h"
#include "model/gguf_model.h"
#include <stdlib.h>
#include <string.h>

static const char SPACE[] = "\xe2\x96\x81"; /* U+2581, which stands for a space */

/* ---- entries ---------------------------------------------------------------------------------------- */

static int only_spaces(const ds_piece *p)
{
    size_t i = 0;
    while (i < p->n && p->text[i] == ' ') i++;
    return p->n && i == p->n;
}

/* Undoes what the file's writer did to a piece that users had defined: its score became -1000, and runs of U+2581 became spaces.  *longest: most spaces so far. */
static void restore_piece(ds_piece *p, size_t *longest)
{
    if (p->n == 5 && !memcmp(p->text, "<unk>", 5)) p->kind = DS_UNKNOWN;
    if (p->kind != DS_USER) return;
    p->score = 0;
    if (!only_spaces(p)) return;
    *longest = p->n > *longest ? p->n : *longest;
    p->text  = NULL; /* see put_marks */
}

/* Gives the pieces of n spaces, whose text is NULL, n marks, which *marks holds. */
static rt_status put_marks(ds_vocabulary *v, size_t longest, rt_buf *marks)
{
    for (size_t i = 0; i < longest; i++) RT_TRY(rt_buf_add(marks, SPACE, 3));
    for (int64_t i = 0; i < v->n; i++)
        if (!v->p[i].text) v->p[i].text = marks->p, v->p[i].n *= 3;
    return RT_OK;
}

static rt_status read_entries(ds_vocabulary *v, const md_gguf *g, rt_buf *marks)
{
    md_gguf_array texts, scores, kinds;
    size_t        longest = 0;
    RT_TRY(md_gguf_elements(g, "tokenizer.ggml.tokens", MD_GGUF_TEXT, &texts));
    RT_TRY(md_gguf_elements(g, "tokenizer.ggml.scores", MD_GGUF_F32, &scores));
    RT_TRY(md_gguf_elements(g, "tokenizer.ggml.token_type", MD_GGUF_I32, &kinds));
    const int64_t n = texts.n;
    RT_CHECK(n > 0 && (!scores.n || scores.n == n) && kinds.n == n, RT_EFORMAT,
             "%s: expected as many elements of tokenizer.ggml.tokens, scores and token_type, found %lld, %lld and %lld", md_gguf_path(g),
             (long long)n, (long long)scores.n, (long long)kinds.n);
    RT_TRY(ds_vocabulary_create(v, n));
    for (int64_t i = 0; i < n; i++) {
        ds_piece *p = &v->p[i];
        p->text     = md_gguf_take_text(&texts, &p->n);
        p->kind     = md_gguf_take_i32(&kinds);
        p->score    = scores.n ? md_gguf_take_f32(&scores) : 0;
        RT_CHECK(p->n <= DS_MAX_PIECE, RT_EFORMAT, "%s: entry %lld of tokenizer.ggml.tokens has %zu bytes; expected at most %d",
                 md_gguf_path(g), (long long)i, p->n, DS_MAX_PIECE);
        restore_piece(p, &longest);
    }
    RT_TRY(put_marks(v, longest, marks));
    return ds_vocabulary_ready(v, md_gguf_path(g));
}

/* ---- merges ---------------------------------------------------------------------------------------- */

static rt_status join_stored(ds_vocabulary *v, const md_gguf *g)
{
    md_gguf_array a;
    RT_TRY(md_gguf_elements(g, "tokenizer.ggml.merges", MD_GGUF_TEXT, &a));
    while (a.n) {
        size_t      n;
        const char *both = md_gguf_take_text(&a, &n), *space = n > 1 ? memchr(both + 1, ' ', n - 1) : NULL;
        RT_CHECK(space, RT_EFORMAT, "%s: a merge \"%.*s\" is not two texts with a space between them", md_gguf_path(g),
                 n < 60 ? (int)n : 60, both);
        const size_t left = (size_t)(space - both);
        RT_TRY(ds_vocabulary_join(v, both, left, space + 1, n - left - 1, md_gguf_path(g)));
    }
    return RT_OK;
}

/* ---- the tokenizer ----------------------------------------------------------------------------------- */

/* Sets *id to a token of the file; -1: none. */
static rt_status token_of(int32_t *id, const ds_vocabulary *v, const md_gguf *g, const char *key)
{
    int64_t found = -1;
    RT_TRY(md_gguf_int(g, key, &found));
    *id = found >= 0 && found < v->n ? (int32_t)found : -1;
    return RT_OK;
}

/* The tokenizers whose pre-tokenizers llama.cpp names after Qwen normalise a text to NFC. */
static rt_status read_pre(ds_vocabulary *v, const md_gguf *g)
{
    char name[MD_GGUF_WORD] = "";
    RT_TRY(md_gguf_word(g, "tokenizer.ggml.pre", name));
    v->patterns = ds_patterns_named(name, &v->whole);
    v->nfc      = !strncmp(name, "qwen", 4);
    RT_CHECK(v->patterns, RT_EFORMAT, "%s: the pre-tokenizer \"%s\" (tokenizer.ggml.pre) is not supported in this version", md_gguf_path(g),
             name);
    return join_stored(v, g);
}

static rt_status read_vocabulary(ds_vocabulary *v, const md_gguf *g, rt_buf *marks)
{
    char    model[MD_GGUF_WORD] = "none";
    int64_t prefix              = 1;
    RT_TRY(md_gguf_word(g, "tokenizer.ggml.model", model));
    const int pieces = !strcmp(model, "llama");
    RT_CHECK(pieces || !strcmp(model, "gpt2"), RT_EFORMAT,
             "%s: the tokenizer \"%s\" (tokenizer.ggml.model) is not supported; expected llama or gpt2", md_gguf_path(g), model);
    RT_TRY(read_entries(v, g, marks));
    v->kind       = pieces ? DS_OF_PIECES : DS_OF_BYTES;
    int64_t begin = pieces;
    RT_TRY(md_gguf_truth(g, "tokenizer.ggml.add_space_prefix", &prefix));
    RT_TRY(md_gguf_truth(g, "tokenizer.ggml.add_bos_token", &begin));
    v->prefix = prefix ? DS_PREFIX_ALL : DS_PREFIX_NONE;
    v->begin  = begin != 0;
    RT_TRY(token_of(&v->bos, v, g, "tokenizer.ggml.bos_token_id"));
    RT_TRY(token_of(&v->eos, v, g, "tokenizer.ggml.eos_token_id"));
    return pieces ? ds_vocabulary_join_scores(v) : read_pre(v, g);
}

static rt_status put_tokenizer_config(rt_buf *config, const ds_vocabulary *v, const md_gguf *g)
{
    rt_json_writer w = {.out = config};
    md_gguf_array  chat;
    RT_TRY(md_gguf_elements(g, "tokenizer.chat_template", MD_GGUF_TEXT, &chat));
    rt_put_object(&w, NULL);
    rt_put_text(&w, "tokenizer_class", "PreTrainedTokenizerFast");
    if (v->bos >= 0) rt_put_bytes(&w, "bos_token", v->p[v->bos].text, v->p[v->bos].n);
    if (v->eos >= 0) rt_put_bytes(&w, "eos_token", v->p[v->eos].text, v->p[v->eos].n);
    if (chat.n) {
        size_t      n;
        const char *text = md_gguf_take_text(&chat, &n);
        rt_put_bytes(&w, "chat_template", text, n);
    }
    rt_put_end(&w);
    rt_put_line_end(&w);
    return w.st;
}

rt_status md_gguf_vocabulary(rt_buf *json, rt_buf *config, const md_gguf *g)
{
    ds_vocabulary v     = {0};
    rt_buf        marks = {0};
    rt_status     st    = read_vocabulary(&v, g, &marks);
    if (st == RT_OK) st = ds_vocabulary_write(json, &v);
    if (st == RT_OK) st = put_tokenizer_config(config, &v, g);
    ds_vocabulary_free(&v);
    rt_buf_free(&marks);
    return st;
}
