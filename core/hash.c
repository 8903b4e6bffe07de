/* hash.c -- SHA-256 through libcrypto. */
#include "core/hash.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

rt_status rt_sha_begin(rt_sha **out)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    RT_CHECK(c && EVP_DigestInit_ex(c, EVP_sha256(), NULL), RT_ENOMEM, "no memory for a SHA-256 context");
    *out = (rt_sha *)(void *)c;
    return RT_OK;
}

void rt_sha_add(rt_sha *s, const void *bytes, size_t n) { EVP_DigestUpdate((EVP_MD_CTX *)(void *)s, bytes, n); }

void rt_sha_end(rt_sha **s, char hex[RT_SHA_HEX])
{
    unsigned char d[32] = {0};
    if (!*s) return;
    EVP_DigestFinal_ex((EVP_MD_CTX *)(void *)*s, d, NULL);
    EVP_MD_CTX_free((EVP_MD_CTX *)(void *)*s);
    *s = NULL;
    for (int i = 0; hex && i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", d[i]);
}

rt_status rt_sha_bytes(const void *bytes, size_t n, char hex[RT_SHA_HEX])
{
    rt_sha *s = NULL;
    RT_TRY(rt_sha_begin(&s));
    rt_sha_add(s, bytes, n);
    rt_sha_end(&s, hex);
    return RT_OK;
}

rt_status rt_sha_file(const char *path, char hex[RT_SHA_HEX])
{
    char    block[1 << 14];
    size_t  n;
    rt_sha *s = NULL;
    FILE   *f = fopen(path, "rb");
    RT_CHECK(f, rt_status_of_errno(errno), "%s: cannot be read: %s", path, strerror(errno));
    rt_status st = rt_sha_begin(&s);
    while (st == RT_OK && (n = fread(block, 1, sizeof block, f)) > 0) rt_sha_add(s, block, n);
    if (st == RT_OK && ferror(f)) st = rt_fail(RT_EIO, __FILE__, __LINE__, "%s: reading failed: %s", path, strerror(errno));
    if (st == RT_OK) rt_sha_end(&s, hex);
    fclose(f);
    return st;
}
