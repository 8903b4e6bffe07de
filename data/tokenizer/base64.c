/* base64.c -- bytes as text (RFC 4648). */
#include "data/tokenizer/chain.h"
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

rt_status ds_base64_encode(const char *bytes, size_t n, rt_buf *out)
{
    for (size_t i = 0; i < n; i += 3) {
        uint32_t three   = 0;
        char     four[4] = "===";
        for (size_t k = 0; k < 3; k++) three = three << 8 | (i + k < n ? (unsigned char)bytes[i + k] : 0);
        for (size_t k = 0; k < 4; k++) four[k] = k <= n - i ? digits[three >> (18 - 6 * k) & 63] : '=';
        RT_TRY(rt_buf_add(out, four, 4));
    }
    return RT_OK;
}

rt_status ds_base64_decode(const char *s, size_t n, rt_buf *out)
{
    uint32_t bits  = 0;
    int      ready = 0;
    for (size_t i = 0; i < n && s[i] != '='; i++) {
        const char *at = s[i] ? strchr(digits, s[i]) : NULL;
        RT_CHECK(at, RT_EFORMAT, "expected base64, found the byte 0x%02x", (unsigned char)s[i]);
        bits = bits << 6 | (uint32_t)(at - digits);
        ready += 6;
        if (ready < 8) continue;
        ready -= 8;
        const char byte = (char)(bits >> ready);
        RT_TRY(rt_buf_add(out, &byte, 1));
    }
    return RT_OK;
}
