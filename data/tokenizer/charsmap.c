/* charsmap.c -- the normalizer Precompiled: SentencePiece's map from strings to their replacements.
 *
 * The map is a number of bytes (u32), a double-array trie of so many bytes, and the replacements, each ended by a NUL.  As Hugging Face's
 * tokenizers do, a grapheme cluster of fewer than 6 bytes is looked up as a whole, and the shortest string of the map that begins it
 * replaces all of it; otherwise each of its characters is looked up by itself.  Only clusters of so few bytes matter here, so the rules for
 * Hangul, flags and sequences of emoji are left out.
 */
#include "data/tokenizer/chain.h"
#include <string.h>

enum { WHOLE = 6, EXTENDS = 1, PREPENDS = 2, CONTROL = 4 }; /* values of ds_cluster_runs: joins what is before it; after it; nothing */

/* ---- the trie ----------------------------------------------------------------------------- */

static uint32_t charsmap_u32(const rt_buf *map, size_t at)
{
    const unsigned char *p = (const unsigned char *)map->p + at;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t units(const rt_buf *map) { return charsmap_u32(map, 0) / 4; }

/* A unit outside the array reads as 0, whose label is that of no byte but NUL. */
static uint32_t unit(const rt_buf *map, size_t i) { return i < units(map) ? charsmap_u32(map, 4 + 4 * i) : 0; }

static size_t offset_of(uint32_t u) { return (size_t)(u >> 10) << ((u & 1 << 9) >> 6); }

/* Returns the replacement of the shortest string of the map with which s begins; NULL: there is none, or it begins inside a character. */
static const char *charsmap_find(const rt_buf *map, const char *s, size_t n)
{
    size_t at = offset_of(unit(map, 0));
    for (size_t i = 0; i < n && s[i]; i++) {
        const unsigned char c = (unsigned char)s[i];
        const uint32_t      u = unit(map, at ^= c);
        if ((u & (1u << 31 | 0xff)) != c) return NULL;
        at ^= offset_of(u);
        if (!(u & 1 << 8)) continue;
        const size_t text = 4 + 4 * units(map) + (unit(map, at) & ((1u << 31) - 1));
        return text < map->len && ((unsigned char)map->p[text] & 0xc0) != 0x80 ? map->p + text : NULL;
    }
    return NULL;
}

/* ---- clusters ------------------------------------------------------------------------------- */

/* Returns the length of the character at s, 1 for a byte that is not UTF-8; *flags gets its value of ds_cluster_runs. */
static size_t charsmap_character(const char *s, size_t n, int *flags)
{
    const size_t   len = rt_utf8_length(s, n);
    const uint32_t c   = len ? ds_utf8_decode(s, len) : 0;
    *flags             = c >= 0x20 && c < 0x7f ? 0 : len ? ds_run_of(ds_cluster_runs, ds_cluster_runs_n, c) : CONTROL;
    return len ? len : 1;
}

static size_t cluster_length(const char *s, size_t n)
{
    int    flags, next;
    size_t len = charsmap_character(s, n, &flags), more;
    if (n > 1 && s[0] == '\r' && s[1] == '\n') return 2;
    for (; len < n; len += more, flags = next) {
        more = charsmap_character(s + len, n - len, &next);
        if ((flags | next) & CONTROL || !(next & EXTENDS || flags & PREPENDS)) break;
    }
    return len;
}

static rt_status charsmap_put(const rt_buf *map, const char *s, size_t n, rt_buf *out, int *found)
{
    const char *to = charsmap_find(map, s, n);
    *found         = to != NULL;
    return to ? rt_buf_str(out, to) : RT_OK;
}

static rt_status charsmap_put_cluster(const rt_buf *map, const char *s, size_t n, rt_buf *out)
{
    int found = 0, flags;
    if (n < WHOLE) RT_TRY(charsmap_put(map, s, n, out, &found));
    for (size_t i = 0, len; !found && i < n; i += len) {
        int one;
        len = charsmap_character(s + i, n - i, &flags);
        RT_TRY(charsmap_put(map, s + i, len, out, &one));
        if (!one) RT_TRY(rt_buf_add(out, s + i, len));
    }
    return RT_OK;
}

rt_status ds_charsmap_apply(const rt_buf *map, const char *text, size_t n, rt_buf *out)
{
    for (size_t i = 0, len; i < n; i += len) {
        len = cluster_length(text + i, n - i);
        RT_TRY(charsmap_put_cluster(map, text + i, len, out));
    }
    return RT_OK;
}

/* ---- reading ---------------------------------------------------------------------------------- */

rt_status ds_charsmap_read(rt_buf *map, const char *base64, const char *where)
{
    RT_CHECK(ds_base64_decode(base64, strlen(base64), map) == RT_OK, RT_EFORMAT, "%s: the precompiled_charsmap: %s", where,
             rt_error_text());
    RT_CHECK(map->len >= 4 && charsmap_u32(map, 0) <= map->len - 4, RT_EFORMAT,
             "%s: the precompiled_charsmap is cut: it has %zu bytes, fewer than its trie", where, map->len);
    const size_t texts = 4 + 4 * units(map);
    RT_CHECK(rt_utf8_valid(map->p + texts, map->len - texts), RT_EFORMAT, "%s: the replacements of the precompiled_charsmap are not UTF-8",
             where);
    return RT_OK;
}
