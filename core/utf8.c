/* utf8.c -- validation of UTF-8 characters and their ends. */
#include "core/utf8.h"
#include "core/status.h"
#include <stdint.h>
#include <string.h>

size_t rt_utf8_length(const char *text, size_t n)
{
    RT_ASSERT(n >= 1);
    const unsigned char *s = (const unsigned char *)text, c = s[0];
    const size_t         len = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (!len || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f)) return 0;
    return len;
}

/* The ranges of the second byte are those of RFC 3629. */
size_t rt_utf8_broken(const char *text, size_t n)
{
    RT_ASSERT(n >= 1);
    const unsigned char *s = (const unsigned char *)text, c = s[0];
    const unsigned char  low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    const size_t         need = c < 0xc2 || c > 0xf4 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (need == 1 || n < 2 || s[1] < low || s[1] > high) return 1;
    size_t len = 2;
    while (len < need && len < n && (s[len] & 0xc0) == 0x80) len++;
    return len;
}

/* Returns 1 if 8 bytes are ASCII. */
static int ascii_word(const char *s)
{
    uint64_t word;
    memcpy(&word, s, sizeof word);
    return !(word & 0x8080808080808080u);
}

size_t rt_utf8_prefix(const char *s, size_t n)
{
    size_t i = 0;
    for (size_t len; i < n; i += len) {
        while (n - i >= 8 && ascii_word(s + i)) i += 8;
        if (i == n || !(len = rt_utf8_length(s + i, n - i))) break;
    }
    return i;
}

int rt_utf8_valid(const char *s, size_t n) { return rt_utf8_prefix(s, n) == n; }

size_t rt_utf8_whole(const char *s, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char c    = (unsigned char)s[n - back];
        const size_t        need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
        if (c >= 0x80 && c < 0xc0) continue; /* the first byte of the character is before this one */
        return need > back ? n - back : n;
    }
    return n;
}
