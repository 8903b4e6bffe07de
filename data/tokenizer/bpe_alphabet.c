/* bpe_alphabet.c -- the printable characters that represent bytes in a byte-level vocabulary, as defined by GPT-2's encoder.py:
 * '!'..'~', U+00A1..U+00AC and U+00AE..U+00FF represent themselves; the other 68 bytes, in order, are U+0100 upwards. */
#include "data/tokenizer/parts.h"

static int is_itself(int b) { return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad); }

/* Bytes below 0x21 are U+0100..0x0120, 0x7f..0xa0 are U+0121..0x0142, 0xad is U+0143. */
static int alphabet_character(int b) { return is_itself(b) ? b : b < 0x21 ? 0x100 + b : b < 0xad ? 0x121 + b - 0x7f : 0x143; }

static int byte_of(int c)
{
    if (c < 0x100) return is_itself(c) ? c : -1;
    return c <= 0x120 ? c - 0x100 : c <= 0x142 ? c - 0x121 + 0x7f : c == 0x143 ? 0xad : -1;
}

size_t ds_alphabet_put(unsigned char byte, char out[2])
{
    const int c = alphabet_character(byte);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xc0 | (c >> 6));
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
}

int ds_alphabet_get(const char *s, size_t n, size_t *len)
{
    *len = rt_utf8_length(s, n);
    if (*len == 1) return byte_of((unsigned char)s[0]);
    return *len == 2 ? byte_of(((s[0] & 0x1f) << 6) | (s[1] & 0x3f)) : -1;
}

int ds_alphabet_order(int i)
{
    if (i < 94) return 0x21 + i;
    if (i < 106) return 0xa1 + i - 94;
    if (i < 188) return 0xae + i - 106;
    return byte_of(0x100 + i - 188);
}

rt_status ds_alphabet_encode(const char *s, size_t n, rt_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        char         c[2];
        const size_t len = ds_alphabet_put((unsigned char)s[i], c);
        RT_TRY(rt_buf_add(out, c, len));
    }
    return RT_OK;
}

rt_status ds_alphabet_decode(const char *s, size_t n, rt_buf *out)
{
    const size_t before = out->len;
    for (size_t i = 0, len; i < n; i += len) {
        const int b = ds_alphabet_get(s + i, n - i, &len);
        if (b < 0) {
            out->len = before;
            return rt_buf_add(out, s, n);
        }
        const char c = (char)b;
        RT_TRY(rt_buf_add(out, &c, 1));
    }
    return RT_OK;
}
