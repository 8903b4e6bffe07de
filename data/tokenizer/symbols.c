/* symbols.c -- the symbols with which merging begins: bytes, or characters.
 *
 * A text of characters may be one piece, because SentencePiece's kind of tokenizer has no pre-tokenizer.  It is cut between two
 * symbols that no merge joins: a merge joins the last symbol of its left entry and the first of its right one.  So ids stay what they
 * are, and most parts are words.
 */
#include "core/rng.h"
#include "data/tokenizer/parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOIN_BITS = 22 };

/* ---- the entries of bytes and characters ----------------------------------------------------- */

void ds_byte_entries(const ds_vocab *v, int32_t byte[256])
{
    for (int b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)b);
        byte[b] = ds_vocab_find(v, name, 6);
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int ds_byte_entry(const char *s, size_t n)
{
    if (n != 6 || memcmp(s, "<0x", 3) || s[5] != '>') return -1;
    const int high = hex_value(s[3]), low = hex_value(s[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

rt_status ds_symbols_of_bytes(ds_symbols *s, const ds_vocab *v, const char *where)
{
    for (int b = 0; b < 256; b++) {
        char         c[2];
        const size_t n = ds_alphabet_put((unsigned char)b, c);
        s->byte[b]     = ds_vocab_find(v, c, n);
        RT_CHECK(s->byte[b] >= 0, RT_EFORMAT, "%s: the vocabulary lacks \"%.*s\", the entry of byte 0x%02x; it is not byte-level", where,
                 (int)n, c, (unsigned)b);
    }
    return RT_OK;
}

rt_status ds_symbols_of_characters(ds_symbols *s, const ds_vocab *v)
{
    ds_byte_entries(v, s->byte);
    RT_TRY(RT_NEW(s->join, (1 << JOIN_BITS) / 8));
    RT_TRY(RT_NEW(s->character, DS_CODE_POINTS));
    memset(s->character, -1, DS_CODE_POINTS * sizeof *s->character);
    for (int32_t id = 0; id < v->n; id++) {
        size_t      n;
        const char *text = ds_vocab_text(v, id, &n);
        if (v->entry[id].flags && n && rt_utf8_length(text, n) == n) s->character[ds_utf8_decode(text, n)] = id;
    }
    return RT_OK;
}

void ds_symbols_free(ds_symbols *s)
{
    free(s->character);
    free(s->join);
}

/* ---- what merges may join ------------------------------------------------------------------------ */

static uint64_t join_bit(int32_t left, int32_t right)
{
    return rt_mix64((uint64_t)(uint32_t)left << 32 | (uint32_t)right) & ((1 << JOIN_BITS) - 1);
}

static int may_join(const ds_symbols *s, int32_t left, int32_t right)
{
    const uint64_t bit = join_bit(left, right);
    return s->join[bit / 8] >> bit % 8 & 1;
}

static void allow_join(ds_symbols *s, int32_t left, int32_t right)
{
    const uint64_t bit = join_bit(left, right);
    s->join[bit / 8]   = (uint8_t)(s->join[bit / 8] | 1 << bit % 8);
}

/* The symbol of the first or the last character of an entry. */
static int32_t end_symbol(const ds_symbols *s, const ds_vocab *v, int32_t id, int last)
{
    size_t      n;
    const char *text = ds_vocab_text(v, id, &n), *at = text;
    while (last && n && ((unsigned char)text[n - 1] & 0xc0) == 0x80) n--;
    if (last && n) at = text + n - 1;
    const size_t len = n ? ds_utf8_size(*at) : 0;
    return len ? s->character[ds_utf8_decode(at, len)] : -1;
}

/* An entry may itself be a symbol: a character, or a byte such as <0x0A>. */
void ds_symbols_join(ds_symbols *s, const ds_vocab *v, int32_t left, int32_t right)
{
    if (!s->join) return;
    const int32_t a[] = {left, end_symbol(s, v, left, 1)}, b[] = {right, end_symbol(s, v, right, 0)};
    for (int i = 0; i < 4; i++) allow_join(s, a[i / 2], b[i % 2]);
}

/* ---- filling, merging ------------------------------------------------------------------------------ */

static int have_bytes(const ds_symbols *s, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s->byte[(unsigned char)text[i]] < 0) return 0;
    return s->byte_fallback;
}

/* An unknown entry is put when the next character's entry follows, so bytes come before it, as in Hugging Face's tokenizers. */
static int64_t fill_characters(const ds_symbols *s, const char *text, size_t n, int32_t *ids)
{
    int64_t put = 0;
    int     unk = 0;
    for (size_t i = 0, len; i < n; i += len) {
        len              = ds_utf8_size(text[i]);
        const int32_t id = s->character[ds_utf8_decode(text + i, len)];
        if (id >= 0) {
            if (unk) ids[put++] = s->unk, unk = 0;
            ids[put++] = id;
        } else if (have_bytes(s, text + i, len)) {
            for (size_t k = 0; k < len; k++) ids[put++] = s->byte[(unsigned char)text[i + k]];
        } else if (s->unk >= 0) {
            if (unk && !s->fuse_unk) ids[put++] = s->unk;
            unk = 1;
        }
    }
    if (unk) ids[put++] = s->unk;
    return put;
}

int64_t ds_symbols_fill(const ds_symbols *s, const char *text, size_t n, int32_t *ids)
{
    if (s->character) return fill_characters(s, text, n, ids);
    for (size_t i = 0; i < n; i++) ids[i] = s->byte[(unsigned char)text[i]];
    return (int64_t)n;
}

/* ---- words ------------------------------------------------------------------------------------------- */

/* No word begins or ends at a character without an entry, since its symbols depend on its neighbours. */
int ds_symbols_cut(const ds_symbols *s, const char *text, size_t n, size_t *at, uint32_t *end, int most)
{
    int    words = 0;
    size_t i     = *at, len;
    if (!s->join) return *at = n, *end = (uint32_t)n, 1;
    for (int32_t left = -1, right; i < n; left = right, i += len) {
        len   = ds_utf8_size(text[i]);
        right = s->character[ds_utf8_decode(text + i, len)];
        if (left < 0 || right < 0 || may_join(s, left, right)) continue;
        end[words++] = (uint32_t)i;
        if (words == most) return *at = i, words;
    }
    end[words++] = (uint32_t)n;
    return *at   = n, words;
}
