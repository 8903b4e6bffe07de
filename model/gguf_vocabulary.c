/* gguf_vocabulary.c -- the tokenizer in the metadata of a GGUF file as the text of a tokenizer.json.
 *
 * GGUF has two kinds.  "gpt2" is byte-level BPE, with merges and the name of a pre-tokenizer that llama.cpp has built in.  "llama" is SentencePiece's BPE: pieces
 * with scores, of which the merges are made (gguf_pieces.h).
 */
#include "core/json_write.h"
#include "model/gguf_pieces.h"
#include <stdlib.h>
#include <string.h>

static const char SPACE[] = "\xe2\x96\x81"; /* U+2581, which stands for a space */

/* ---- merges ---------------------------------------------------------------------------------------- */

static void vocabulary_put_merge(rt_json_writer *w, const char *left, size_t n, const char *right, size_t m)
{
    rt_put_array(w, NULL);
    rt_put_bytes(w, NULL, left, n);
    rt_put_bytes(w, NULL, right, m);
    rt_put_end(w);
}

static rt_status put_made_merges(rt_json_writer *w, const md_vocabulary *v)
{
    md_merge *m  = NULL;
    int64_t   n  = 0;
    rt_status st = md_vocabulary_merges(v, &m, &n);
    rt_put_array(w, "merges");
    for (int64_t i = 0; st == RT_OK && i < n; i++) vocabulary_put_merge(w, m[i].left->text, m[i].left->n, m[i].right->text, m[i].right->n);
    rt_put_end(w);
    free(m);
    return st;
}

static rt_status put_stored_merges(rt_json_writer *w, const md_gguf *g)
{
    md_gguf_array a;
    RT_TRY(md_gguf_elements(g, "tokenizer.ggml.merges", MD_GGUF_TEXT, &a));
    rt_put_array(w, "merges");
    while (a.n) {
        size_t      n;
        const char *both = md_gguf_take_text(&a, &n), *space = n > 1 ? memchr(both + 1, ' ', n - 1) : NULL;
        RT_CHECK(space, RT_EFORMAT, "%s: a merge \"%.*s\" is not two texts with a space between them", md_gguf_path(g),
                 n < 60 ? (int)n : 60, both);
        vocabulary_put_merge(w, both, (size_t)(space - both), space + 1, n - (size_t)(space - both) - 1);
    }
    rt_put_end(w);
    return RT_OK;
}

/* ---- tokenizer.json ------------------------------------------------------------------------------------- */

static void vocabulary_put_type(rt_json_writer *w, const char *key, const char *type)
{
    rt_put_object(w, key);
    rt_put_text(w, "type", type);
}

static void put_string_pattern(rt_json_writer *w, const char *kind, const char *text)
{
    rt_put_object(w, "pattern");
    rt_put_text(w, kind, text);
    rt_put_end(w);
}

static void put_replace(rt_json_writer *w, const char *key, const char *from, const char *to)
{
    vocabulary_put_type(w, key, "Replace");
    put_string_pattern(w, "String", from);
    rt_put_text(w, "content", to);
    rt_put_end(w);
}

static void put_split(rt_json_writer *w, const char *key, const char *kind, const char *pattern, const char *behavior)
{
    vocabulary_put_type(w, key, "Split");
    put_string_pattern(w, kind, pattern);
    rt_put_text(w, "behavior", behavior);
    rt_put_bool(w, "invert", 0);
    rt_put_end(w);
}

/* The steps around SentencePiece's BPE.  `prefix`: a space is put before a text. */
static void put_pieces_chain(rt_json_writer *w, int prefix)
{
    if (prefix) {
        vocabulary_put_type(w, "normalizer", "Sequence");
        rt_put_array(w, "normalizers");
        vocabulary_put_type(w, NULL, "Prepend");
        rt_put_text(w, "prepend", SPACE);
        rt_put_end(w);
        put_replace(w, NULL, " ", SPACE);
        rt_put_end(w), rt_put_end(w);
    } else put_replace(w, "normalizer", " ", SPACE);
    rt_put_null(w, "pre_tokenizer");
    vocabulary_put_type(w, "decoder", "Sequence");
    rt_put_array(w, "decoders");
    put_replace(w, NULL, SPACE, " ");
    vocabulary_put_type(w, NULL, "ByteFallback"), rt_put_end(w);
    vocabulary_put_type(w, NULL, "Fuse"), rt_put_end(w);
    if (prefix) {
        vocabulary_put_type(w, NULL, "Strip");
        rt_put_text(w, "content", " ");
        rt_put_int(w, "start", 1);
        rt_put_int(w, "stop", 0);
        rt_put_end(w);
    }
    rt_put_end(w), rt_put_end(w);
}

static void put_byte_level(rt_json_writer *w, const char *key, int last)
{
    vocabulary_put_type(w, key, "ByteLevel");
    rt_put_bool(w, "add_prefix_space", 0);
    rt_put_bool(w, "trim_offsets", 0);
    rt_put_bool(w, "use_regex", !last);
    rt_put_end(w);
}

/* The steps around byte-level BPE.  The tokenizers whose pre-tokenizers llama.cpp names after Qwen normalise a text to NFC. */
static void put_bytes_chain(rt_json_writer *w, const char *name, const char *const *patterns)
{
    if (!strncmp(name, "qwen", 4)) vocabulary_put_type(w, "normalizer", "NFC"), rt_put_end(w);
    else rt_put_null(w, "normalizer");
    vocabulary_put_type(w, "pre_tokenizer", "Sequence");
    rt_put_array(w, "pretokenizers");
    for (int i = 0; i < MD_GGUF_SPLITS && patterns[i]; i++) put_split(w, NULL, "Regex", patterns[i], "Isolated");
    put_byte_level(w, NULL, 1);
    rt_put_end(w), rt_put_end(w);
    put_byte_level(w, "decoder", 0);
}

static void put_model(rt_json_writer *w, const md_vocabulary *v, int pieces, int whole)
{
    vocabulary_put_type(w, "model", "BPE");
    if (pieces) rt_put_text(w, "unk_token", "<unk>");
    rt_put_bool(w, "fuse_unk", pieces);
    rt_put_bool(w, "byte_fallback", pieces);
    rt_put_bool(w, "ignore_merges", whole);
    rt_put_object(w, "vocab");
    for (int64_t i = 0; i < v->n; i++) {
        if (v->p[i].kind == UNUSED_TOKEN && !pieces) continue; /* padding */
        rt_put_key(w, v->p[i].text, v->p[i].n);
        rt_put_int(w, NULL, i);
    }
    rt_put_end(w);
}

static void vocabulary_put_added(rt_json_writer *w, const md_vocabulary *v)
{
    rt_put_array(w, "added_tokens");
    for (int64_t i = 0; i < v->n; i++) {
        const md_piece *p = &v->p[i];
        if (p->kind != UNKNOWN_TOKEN && p->kind != CONTROL_TOKEN && p->kind != USER_TOKEN) continue;
        rt_put_object(w, NULL);
        rt_put_int(w, "id", i);
        rt_put_bytes(w, "content", p->text, p->n);
        static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized"};
        for (int f = 0; f < 4; f++) rt_put_bool(w, flags[f], 0);
        rt_put_bool(w, "special", p->kind != USER_TOKEN);
        rt_put_end(w);
    }
    rt_put_end(w);
}

static const md_piece *token_of(const md_vocabulary *v, const char *key, rt_status *st)
{
    int64_t id = -1;
    if (*st == RT_OK) *st = md_gguf_int(v->g, key, &id);
    return *st == RT_OK && id >= 0 && id < v->n ? &v->p[id] : NULL;
}

/* Puts the template of one or two texts, each after the token that begins it.  Hugging Face's tokenizers require both. */
static void put_texts(rt_json_writer *w, const char *key, const md_piece *bos, const char *texts)
{
    rt_put_array(w, key);
    for (int type = 0; texts[type]; type++) {
        for (int i = 0; i < 2; i++) {
            rt_put_object(w, NULL);
            rt_put_object(w, i ? "Sequence" : "SpecialToken");
            rt_put_bytes(w, "id", i ? &texts[type] : bos->text, i ? 1 : bos->n);
            rt_put_int(w, "type_id", type);
            rt_put_end(w), rt_put_end(w);
        }
    }
    rt_put_end(w);
}

static void put_begin(rt_json_writer *w, const md_piece *bos)
{
    vocabulary_put_type(w, "post_processor", "TemplateProcessing");
    put_texts(w, "single", bos, "A");
    put_texts(w, "pair", bos, "AB");
    rt_put_object(w, "special_tokens");
    rt_put_key(w, bos->text, bos->n);
    rt_put_object(w, NULL);
    rt_put_bytes(w, "id", bos->text, bos->n);
    rt_put_array(w, "ids"), rt_put_int(w, NULL, bos->id), rt_put_end(w);
    rt_put_array(w, "tokens"), rt_put_bytes(w, NULL, bos->text, bos->n), rt_put_end(w);
    rt_put_end(w), rt_put_end(w), rt_put_end(w);
}

static rt_status put_tokenizer(rt_json_writer *w, const md_vocabulary *v, const char *model)
{
    const int          pieces             = !strcmp(model, "llama");
    char               name[MD_GGUF_WORD] = "";
    int64_t            prefix = 1, begin = pieces;
    int                whole    = 0;
    rt_status          st       = md_gguf_word(v->g, "tokenizer.ggml.pre", name);
    const char *const *patterns = md_gguf_pre(name, &whole);
    RT_TRY(st);
    RT_CHECK(pieces || patterns, RT_EFORMAT, "%s: the pre-tokenizer \"%s\" (tokenizer.ggml.pre) is not supported in this version",
             md_gguf_path(v->g), name);
    RT_TRY(md_gguf_truth(v->g, "tokenizer.ggml.add_space_prefix", &prefix));
    RT_TRY(md_gguf_truth(v->g, "tokenizer.ggml.add_bos_token", &begin));
    const md_piece *bos = token_of(v, "tokenizer.ggml.bos_token_id", &st);
    rt_put_object(w, NULL);
    rt_put_text(w, "version", "1.0");
    vocabulary_put_added(w, v);
    if (pieces) put_pieces_chain(w, prefix != 0);
    else put_bytes_chain(w, name, patterns);
    if (begin && bos) put_begin(w, bos);
    put_model(w, v, pieces, !pieces && whole);
    if (st == RT_OK) st = pieces ? put_made_merges(w, v) : put_stored_merges(w, v->g);
    rt_put_end(w), rt_put_end(w);
    return st == RT_OK ? w->st : st;
}

static rt_status put_tokenizer_config(rt_json_writer *w, const md_vocabulary *v)
{
    rt_status       st  = RT_OK;
    const md_piece *bos = token_of(v, "tokenizer.ggml.bos_token_id", &st), *eos = token_of(v, "tokenizer.ggml.eos_token_id", &st);
    md_gguf_array   chat;
    RT_TRY(st);
    RT_TRY(md_gguf_elements(v->g, "tokenizer.chat_template", MD_GGUF_TEXT, &chat));
    rt_put_object(w, NULL);
    rt_put_text(w, "tokenizer_class", "PreTrainedTokenizerFast");
    if (bos) rt_put_bytes(w, "bos_token", bos->text, bos->n);
    if (eos) rt_put_bytes(w, "eos_token", eos->text, eos->n);
    if (chat.n) {
        size_t      n;
        const char *text = md_gguf_take_text(&chat, &n);
        rt_put_bytes(w, "chat_template", text, n);
    }
    rt_put_end(w);
    rt_put_line_end(w);
    return w->st;
}

rt_status md_gguf_vocabulary(rt_buf *json, rt_buf *config, const md_gguf *g)
{
    char           model[MD_GGUF_WORD] = "none";
    md_vocabulary  v                   = {.g = g};
    rt_json_writer w = {.out = json}, c = {.out = config};
    RT_TRY(md_gguf_word(g, "tokenizer.ggml.model", model));
    RT_CHECK(!strcmp(model, "llama") || !strcmp(model, "gpt2"), RT_EFORMAT,
             "%s: the tokenizer \"%s\" (tokenizer.ggml.model) is not supported; expected llama or gpt2", md_gguf_path(g), model);
    rt_status st = md_vocabulary_read(&v);
    if (st == RT_OK) st = put_tokenizer(&w, &v, model);
    if (st == RT_OK) st = put_tokenizer_config(&c, &v);
    md_vocabulary_free(&v);
    return st;
}
