/* nfc.c -- Unicode normalisation form C by utf8proc, of any bytes.
 *
 * The tables are those of the installed utf8proc; Hugging Face's stop at Unicode 9,
 * so texts with combining marks newer than that may differ.
 */
#include "data/tokenizer.h"
#include <stdlib.h>
#include <utf8proc.h>

static rt_status add_valid(const char *s, size_t n, rt_buf *out)
{
    utf8proc_uint8_t      *p   = NULL;
    const utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &p, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    RT_CHECK(len >= 0, RT_ENOMEM, "NFC of %zu bytes: %s", n, utf8proc_errmsg(len));
    const rt_status st = rt_buf_add(out, p, (size_t)len);
    free(p);
    return st;
}

rt_status ds_nfc(const char *text, size_t n, rt_buf *out)
{
    for (size_t i = 0; i < n;) {
        size_t end   = i, len;
        int    ascii = 1;
        for (; end < n && (len = ds_utf8_length(text + end, n - end)); end += len) ascii &= len == 1;
        if (end > i) RT_TRY(ascii ? rt_buf_add(out, text + i, end - i) : add_valid(text + i, end - i, out));
        if (end < n) RT_TRY(rt_buf_add(out, text + end++, 1));
        i = end;
    }
    return RT_OK;
}
