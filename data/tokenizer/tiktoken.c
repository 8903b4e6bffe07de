/* tiktoken.c -- tiktoken's file: a line "BASE64 RANK" for each entry of a byte-level vocabulary.
 *
 * The pattern and the special tokens are in the program that uses the file, so only files whose programs are known here are read: they are told by the number of their entries.
 */
#include "data/tokenizer/origin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QWEN_TOKENS                                                                                                                 \
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",    \
        "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", \
        "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>",        \
        "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>"

enum { MOST_TOKENS = 40 };
/* A known vocabulary: its entries, its pre-tokenizer, its tokens from id `entries` on, of which those from plain[0] to before plain[1] are not special; `all`: so many tokens, the
 * others are reserved ones that are numbered. */
static const struct known {
    int64_t     entries;
    const char *name, *pre, *bos, *eos;
    int         begin, nfc, normalized, plain[2], all;
    const char *token[MOST_TOKENS];
} known[] = {
    {.entries = 128000,
     .name    = "Llama 3",
     .pre     = "llama-bpe",
     .bos     = "<|begin_of_text|>",
     .eos     = "<|end_of_text|>",
     .begin   = 1,
     .all     = 256,
     .token   = {"<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
                 "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
                 "<|eot_id|>", "<|python_tag|>"}},
    {.entries = 151643,
     .name    = "Qwen 2 and 3",
     .pre     = "qwen2",
     .eos     = "<|endoftext|>",
     .nfc     = 1,
     .plain   = {14, 26},
     .token   = {QWEN_TOKENS}},
    {.entries = 248044,
     .name    = "Qwen 3.5",
     .pre     = "qwen35",
     .eos     = "<|endoftext|>",
     .nfc     = 1,
     .plain   = {14, 26},
     .token   = {QWEN_TOKENS, "<|audio_start|>", "<|audio_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>", "<tts_text_bos_single>",
                 "<|audio_pad|>"}},
    {.entries    = 50256,
     .name       = "GPT-2",
     .pre        = "gpt-2",
     .bos        = "<|endoftext|>",
     .eos        = "<|endoftext|>",
     .normalized = 1,
     .token      = {"<|endoftext|>"}},
};
enum {
    KNOWN     = sizeof known / sizeof *known,
    RESERVED  = 8 /* tokens of Llama 3 before that with the number 0 in the numbered rest */,
    MOST_NAME = 40
};

static rt_status known_of(const struct known **k, int64_t entries, const char *where)
{
    char list[KNOWN * 40] = "";
    for (int i = 0; i < KNOWN; i++) {
        *k = &known[i];
        if (known[i].entries == entries) return RT_OK;
        const size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s (%lld)", i ? ", " : "", known[i].name, (long long)known[i].entries);
    }
    RT_FAIL(
        RT_EFORMAT,
        "%s: a tiktoken file of %lld entries is not known, so neither are its pattern and its special tokens; expected that of %s; put a tokenizer.json beside it",
        where, (long long)entries, list);
}

/* ---- entries ------------------------------------------------------------------------------------------ */

int ds_tiktoken_is(const rt_buf *file)
{
    const char *end = memchr(file->p, '\n', file->len), *space = end ? memchr(file->p, ' ', (size_t)(end - file->p)) : NULL;
    rt_buf      bytes = {0};
    const int   is    = space && space > file->p && ds_base64_decode(file->p, (size_t)(space - file->p), &bytes) == RT_OK;
    rt_buf_free(&bytes);
    return is;
}

static int64_t count_lines(const rt_buf *file)
{
    int64_t n = 0;
    for (size_t i = 0; i < file->len; i++) n += file->p[i] != '\n' && (i + 1 == file->len || file->p[i + 1] == '\n');
    return n;
}

/* Appends the entry's text, in the alphabet of bytes, to *texts; its place there becomes its text later. */
static rt_status read_line(ds_piece *p, const char *line, size_t n, int64_t id, rt_buf *texts, const char *where)
{
    const char  *space = memchr(line, ' ', n);
    char        *end   = NULL;
    rt_buf       bytes = {0};
    const size_t at    = texts->len;
    const long   rank  = space ? strtol(space + 1, &end, 10) : -1;
    rt_status    st    = space ? ds_base64_decode(line, (size_t)(space - line), &bytes) : RT_OK;
    if (st == RT_OK && bytes.len) st = ds_alphabet_encode(bytes.p, bytes.len, texts);
    const int bad = st != RT_OK || !bytes.len || rank != id || end != line + n;
    rt_buf_free(&bytes);
    RT_CHECK(!bad, RT_EFORMAT, "%s:%lld: expected an entry in base64, a space and the rank %lld", where, (long long)id + 1, (long long)id);
    p->n    = texts->len - at;
    p->kind = DS_NORMAL;
    return RT_OK;
}

static rt_status tiktoken_read_entries(ds_vocabulary *v, const rt_buf *file, rt_buf *texts, const char *where)
{
    const char *line = file->p, *stop = file->p + file->len;
    for (int64_t id = 0; id < v->own; id++) {
        while (*line == '\n') line++;
        const char  *end = memchr(line, '\n', (size_t)(stop - line));
        const size_t n   = (size_t)((end ? end : stop) - line);
        RT_TRY(read_line(&v->p[id], line, n, id, texts, where));
        line += n;
    }
    size_t at = 0;
    for (int64_t id = 0; id < v->own; at += v->p[id++].n) v->p[id].text = texts->p + at;
    return RT_OK;
}

/* ---- special tokens --------------------------------------------------------------------------------------- */

/* Appends the names of the numbered tokens to *texts, which has room for them. */
static rt_status add_numbered(ds_vocabulary *v, const struct known *k, int first, rt_buf *texts, const char *where)
{
    for (int n = first; n < k->all; n++) {
        const size_t at = texts->len;
        RT_TRY(rt_buf_fmt(texts, "<|reserved_special_token_%d|>", n - RESERVED));
        RT_TRY(ds_vocabulary_add(v, k->entries + n, texts->p + at, texts->len - at, DS_CONTROL, 0, where));
    }
    return RT_OK;
}

static rt_status add_known_tokens(ds_vocabulary *v, const struct known *k, rt_buf *texts, const char *where)
{
    int n = 0;
    for (; n < MOST_TOKENS && k->token[n]; n++) {
        const int plain = n >= k->plain[0] && n < k->plain[1];
        RT_TRY(ds_vocabulary_add(v, k->entries + n, k->token[n], strlen(k->token[n]), plain ? DS_USER : DS_CONTROL, k->normalized, where));
    }
    return add_numbered(v, k, n, texts, where);
}

static int32_t tiktoken_token(const ds_vocabulary *v, const char *text)
{
    for (int64_t id = v->own; text && id < v->n; id++)
        if (v->p[id].kind && v->p[id].n == strlen(text) && !memcmp(v->p[id].text, text, v->p[id].n)) return (int32_t)id;
    return -1;
}

rt_status ds_tiktoken_read(ds_vocabulary *v, rt_buf *texts, const rt_buf *file, const char *where)
{
    const struct known *k = NULL;
    RT_TRY(known_of(&k, count_lines(file), where));
    RT_TRY(ds_vocabulary_create(v, k->entries));
    RT_TRY(rt_buf_room(texts, 2 * file->len + MOST_NAME * (size_t)k->all)); /* of the whole text, which then does not move */
    RT_TRY(tiktoken_read_entries(v, file, texts, where));
    RT_TRY(ds_vocabulary_ready(v, where));
    v->kind     = DS_OF_BYTES;
    v->patterns = ds_patterns_named(k->pre, &v->whole);
    v->nfc      = k->nfc;
    v->begin    = k->begin;
    RT_TRY(add_known_tokens(v, k, texts, where));
    v->bos = tiktoken_token(v, k->bos);
    v->eos = tiktoken_token(v, k->eos);
    return v->whole ? ds_vocabulary_join_ranks(v) : ds_vocabulary_join_trained(v);
}
