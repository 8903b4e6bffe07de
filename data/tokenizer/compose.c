/* compose.c -- the text of a tokenizer.json for a vocabulary of another program's file (data/vocabulary.h): its entries, and the steps around its model. */
#include "core/json_write.h"
#include "data/tokenizer/parts.h"
#include "data/vocabulary.h"
#include <stdlib.h>
#include <string.h>

static const char SPACE[] = "\xe2\x96\x81"; /* U+2581, which stands for a space */

static void compose_put_type(rt_json_writer *w, const char *key, const char *type)
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

static void put_replace(rt_json_writer *w, const char *key, const char *kind, const char *from, const char *to)
{
    compose_put_type(w, key, "Replace");
    put_string_pattern(w, kind, from);
    rt_put_text(w, "content", to);
    rt_put_end(w);
}

static void compose_put_split(rt_json_writer *w, const char *key, const char *kind, const char *pattern, const char *behavior)
{
    compose_put_type(w, key, "Split");
    put_string_pattern(w, kind, pattern);
    rt_put_text(w, "behavior", behavior);
    rt_put_bool(w, "invert", 0);
    rt_put_end(w);
}

/* ---- SentencePiece: the normalizer ------------------------------------------------------------------- */

static void put_strip(rt_json_writer *w)
{
    compose_put_type(w, NULL, "Strip");
    rt_put_bool(w, "strip_left", 1);
    rt_put_bool(w, "strip_right", 1);
    rt_put_end(w);
}

static void put_charsmap(rt_json_writer *w, const ds_vocabulary *v)
{
    rt_buf text = {0};
    if (w->st == RT_OK) w->st = ds_base64_encode(v->charsmap, v->n_charsmap, &text);
    compose_put_type(w, NULL, "Precompiled");
    rt_put_text(w, "precompiled_charsmap", text.p ? text.p : "");
    rt_put_end(w);
    rt_buf_free(&text);
}

/* `marks`: the normalizer puts U+2581 before a text and for spaces, not the pre-tokenizer. */
static void put_normalizer(rt_json_writer *w, const ds_vocabulary *v, int marks)
{
    const int prepend = marks && v->prefix == DS_PREFIX_ALL, list = prepend || v->squeeze || v->charsmap;
    if (!list && !marks) {
        rt_put_null(w, "normalizer");
        return;
    }
    if (list) compose_put_type(w, "normalizer", "Sequence"), rt_put_array(w, "normalizers");
    if (v->charsmap) put_charsmap(w, v);
    if (v->squeeze) put_strip(w), put_replace(w, NULL, "Regex", " {2,}", " ");
    if (prepend) {
        compose_put_type(w, NULL, "Prepend");
        rt_put_text(w, "prepend", SPACE);
        rt_put_end(w);
    }
    if (marks) put_replace(w, list ? NULL : "normalizer", "String", " ", SPACE);
    if (list) rt_put_end(w), rt_put_end(w);
}

/* ---- SentencePiece: pre-tokenizer and decoder --------------------------------------------------------------- */

static void put_metaspace(rt_json_writer *w, const char *key, const char *scheme, int split)
{
    compose_put_type(w, key, "Metaspace");
    rt_put_text(w, "replacement", SPACE);
    rt_put_text(w, "prepend_scheme", scheme);
    rt_put_bool(w, "split", split);
    rt_put_end(w);
}

static void put_pieces_decoder(rt_json_writer *w, const ds_vocabulary *v)
{
    compose_put_type(w, "decoder", "Sequence");
    rt_put_array(w, "decoders");
    put_replace(w, NULL, "String", SPACE, " ");
    compose_put_type(w, NULL, "ByteFallback"), rt_put_end(w);
    compose_put_type(w, NULL, "Fuse"), rt_put_end(w);
    if (v->prefix != DS_PREFIX_NONE) {
        compose_put_type(w, NULL, "Strip");
        rt_put_text(w, "content", " ");
        rt_put_int(w, "start", 1);
        rt_put_int(w, "stop", 0);
        rt_put_end(w);
    }
    rt_put_end(w), rt_put_end(w);
}

/* The steps around SentencePiece's BPE.  The Split finds no space any more; Gemma's tokenizer.json has it, and it is a part of a tokenizer's identity. */
static void put_pieces_chain(rt_json_writer *w, const ds_vocabulary *v)
{
    put_normalizer(w, v, v->prefix != DS_PREFIX_FIRST);
    if (v->prefix == DS_PREFIX_FIRST) put_metaspace(w, "pre_tokenizer", "first", 0);
    else if (v->prefix == DS_PREFIX_NONE) compose_put_split(w, "pre_tokenizer", "String", " ", "MergedWithPrevious");
    else rt_put_null(w, "pre_tokenizer");
    put_pieces_decoder(w, v);
}

static void put_unigram_chain(rt_json_writer *w, const ds_vocabulary *v)
{
    const char *scheme = v->prefix == DS_PREFIX_NONE ? "never" : v->prefix == DS_PREFIX_FIRST ? "first" : "always";
    put_normalizer(w, v, 0);
    put_metaspace(w, "pre_tokenizer", scheme, 1);
    compose_put_type(w, "decoder", "Sequence");
    rt_put_array(w, "decoders");
    compose_put_type(w, NULL, "ByteFallback"), rt_put_end(w);
    put_metaspace(w, NULL, scheme, 1);
    rt_put_end(w), rt_put_end(w);
}

/* ---- byte-level BPE ---------------------------------------------------------------------------------------- */

static void put_byte_level(rt_json_writer *w, const char *key, int last)
{
    compose_put_type(w, key, "ByteLevel");
    rt_put_bool(w, "add_prefix_space", 0);
    rt_put_bool(w, "trim_offsets", 0);
    rt_put_bool(w, "use_regex", !last);
    rt_put_end(w);
}

static void put_bytes_chain(rt_json_writer *w, const ds_vocabulary *v)
{
    if (v->nfc) compose_put_type(w, "normalizer", "NFC"), rt_put_end(w);
    else rt_put_null(w, "normalizer");
    compose_put_type(w, "pre_tokenizer", "Sequence");
    rt_put_array(w, "pretokenizers");
    for (int i = 0; i < DS_MAX_PATTERNS && v->patterns[i]; i++) compose_put_split(w, NULL, "Regex", v->patterns[i], "Isolated");
    put_byte_level(w, NULL, 1);
    rt_put_end(w), rt_put_end(w);
    put_byte_level(w, "decoder", 0);
}

/* ---- the model ------------------------------------------------------------------------------------------------ */

static const ds_piece *unknown_of(const ds_vocabulary *v)
{
    for (int64_t i = 0; i < v->own; i++)
        if (v->p[i].kind == DS_UNKNOWN) return &v->p[i];
    return NULL;
}

static void put_bpe(rt_json_writer *w, const ds_vocabulary *v)
{
    const int       pieces  = v->kind == DS_OF_PIECES;
    const ds_piece *unknown = pieces ? unknown_of(v) : NULL;
    compose_put_type(w, "model", "BPE");
    if (unknown) rt_put_bytes(w, "unk_token", unknown->text, unknown->n);
    rt_put_bool(w, "fuse_unk", pieces);
    rt_put_bool(w, "byte_fallback", pieces && !v->no_bytes);
    rt_put_bool(w, "ignore_merges", v->whole);
    rt_put_object(w, "vocab");
    for (int64_t i = 0; i < v->own; i++) {
        if (v->p[i].kind == DS_UNUSED && !pieces) continue; /* padding */
        rt_put_key(w, v->p[i].text, v->p[i].n);
        rt_put_int(w, NULL, i);
    }
    rt_put_end(w);
    rt_put_array(w, "merges");
    for (int64_t i = 0; i < v->n_joins; i++) {
        const ds_join *j = &v->joins[i];
        rt_put_array(w, NULL);
        rt_put_bytes(w, NULL, j->left->text, j->left->n);
        rt_put_bytes(w, NULL, j->right->text, j->right->n);
        rt_put_end(w);
    }
    rt_put_end(w), rt_put_end(w);
}

static void put_unigram(rt_json_writer *w, const ds_vocabulary *v)
{
    const ds_piece *unknown = unknown_of(v);
    compose_put_type(w, "model", "Unigram");
    if (unknown) rt_put_int(w, "unk_id", unknown->id);
    rt_put_bool(w, "byte_fallback", !v->no_bytes);
    rt_put_array(w, "vocab");
    for (int64_t i = 0; i < v->own; i++) {
        rt_put_array(w, NULL);
        rt_put_bytes(w, NULL, v->p[i].text, v->p[i].n);
        rt_put_real(w, NULL, (double)v->p[i].score, 17);
        rt_put_end(w);
    }
    rt_put_end(w), rt_put_end(w);
}

/* ---- added tokens, the token before a text ---------------------------------------------------------------------- */

static void compose_put_added(rt_json_writer *w, const ds_vocabulary *v)
{
    rt_put_array(w, "added_tokens");
    for (int64_t i = 0; i < v->n; i++) {
        const ds_piece *p = &v->p[i];
        if (p->kind != DS_UNKNOWN && p->kind != DS_CONTROL && p->kind != DS_USER) continue;
        rt_put_object(w, NULL);
        rt_put_int(w, "id", i);
        rt_put_bytes(w, "content", p->text, p->n);
        static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
        for (int f = 0; f < 3; f++) rt_put_bool(w, flags[f], 0);
        rt_put_bool(w, "normalized", p->normalized);
        rt_put_bool(w, "special", p->kind != DS_USER);
        rt_put_end(w);
    }
    rt_put_end(w);
}

/* Puts the template of one or two texts, each after the token that begins it.  Hugging Face's tokenizers require both. */
static void put_texts(rt_json_writer *w, const char *key, const ds_piece *bos, const char *texts)
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

static void put_begin(rt_json_writer *w, const ds_piece *bos)
{
    compose_put_type(w, "post_processor", "TemplateProcessing");
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

rt_status ds_vocabulary_write(rt_buf *json, const ds_vocabulary *v)
{
    rt_json_writer w = {.out = json};
    rt_put_object(&w, NULL);
    rt_put_text(&w, "version", "1.0");
    compose_put_added(&w, v);
    if (v->kind == DS_OF_BYTES) put_bytes_chain(&w, v);
    else if (v->kind == DS_OF_PIECES) put_pieces_chain(&w, v);
    else put_unigram_chain(&w, v);
    if (v->begin && v->bos >= 0) put_begin(&w, &v->p[v->bos]);
    if (v->kind == DS_OF_UNIGRAM) put_unigram(&w, v);
    else put_bpe(&w, v);
    rt_put_end(&w);
    return w.st;
}
