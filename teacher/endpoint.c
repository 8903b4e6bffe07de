/* endpoint.c -- the address of a server and the key for it.
 *
 * The key comes from the environment or a private file, is stored in one place, and
 * is sent only in the request header that the dialect names.
 */
#include "teacher/endpoint.h"
#include "core/file.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Returns 1 for a loopback address, not for a name that resembles one: 127.evil.example may resolve to any host.
 * libcurl itself maps "localhost", and no other name, to 127.0.0.1 and ::1 without a DNS request. */
static int is_loopback(const char *url_host)
{
    char            host[TC_URL];
    struct in_addr  v4;
    struct in6_addr v6;
    const int       six = *url_host == '[';
    snprintf(host, sizeof host, "%.*s", (int)strcspn(url_host + six, six ? "]" : ":/"), url_host + six);
    if (six) return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6) && strchr(":/", url_host[strlen(host) + 2]);
    return !strcmp(host, "localhost") || (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

static void cut_end(char *url, const char *end)
{
    const size_t n = strlen(url), m = strlen(end);
    if (n >= m && !strcmp(url + n - m, end)) url[n - m] = '\0';
}

static rt_status take_url(tc_endpoint *e, const char *url)
{
    RT_CHECK(url && *url, RT_EINVAL, "--teacher: expected the address of a server, such as http://127.0.0.1:8000");
    const char *host = !strncmp(url, "http://", 7) ? url + 7 : !strncmp(url, "https://", 8) ? url + 8 : NULL;
    RT_CHECK(!strchr(url, '@'), RT_EINVAL,
             "--teacher: the address holds '@'; pass a key in RETORT_API_KEY or --key-file, not in the address");
    RT_CHECK(host && *host && *host != '/', RT_EINVAL, "--teacher %.200s: expected http://HOST:PORT or https://HOST/PATH", url);
    RT_CHECK(strlen(url) < TC_URL - 64, RT_EINVAL, "--teacher: the address must have at most %d characters", TC_URL - 64);
    RT_CHECK(!strpbrk(url, "?# \t\r\n\""), RT_EINVAL, "--teacher %.200s: the address must not hold '?', '#', quotes or spaces", url);
    snprintf(e->url, sizeof e->url, "%s", url);
    e->loopback = is_loopback(host);
    cut_end(e->url, "/");
    cut_end(e->url, "/v1");
    cut_end(e->url, "/");
    return RT_OK;
}

static rt_status take_key(tc_endpoint *e, const char *key, const char *where)
{
    size_t n = strlen(key);
    while (n && isspace((unsigned char)key[n - 1])) n--;
    RT_CHECK(n && n < TC_KEY, RT_EINVAL, "%s: expected a key of 1 to %d characters, found %zu", where, TC_KEY - 1, n);
    for (size_t i = 0; i < n; i++)
        RT_CHECK(key[i] > ' ' && key[i] < 0x7f, RT_EINVAL, "%s: the key holds a character that is not printable ASCII (at offset %zu)",
                 where, i + 1);
    memcpy(e->key, key, n);
    e->key[n] = '\0';
    return RT_OK;
}

static rt_status read_key_file(tc_endpoint *e, const char *path)
{
    struct stat s;
    rt_buf      b = {0};
    RT_CHECK(!stat(path, &s), RT_ENOENT, "--key-file %s: no such file", path);
    RT_CHECK(!(s.st_mode & 077), RT_EINVAL, "--key-file %s: other users can read the file (mode %03o); run 'chmod 600 %s'", path,
             s.st_mode & 0777u, path);
    rt_status st = rt_file_read(&b, path, TC_KEY);
    if (st == RT_OK) st = take_key(e, b.p, path);
    if (b.p) explicit_bzero(b.p, b.len);
    rt_buf_free(&b);
    return st;
}

static const char *key_variable(const tc_options *o) { return o->key_env ? o->key_env : "RETORT_API_KEY"; }

void tc_endpoint_guard(const tc_options *o)
{
    if (o->key_file || getenv(key_variable(o))) rt_memory_keep_secret();
}

static rt_status endpoint_find_key(tc_endpoint *e, const tc_options *o)
{
    if (o->key_file) return read_key_file(e, o->key_file);
    const char *name = key_variable(o), *key = getenv(name);
    if (key && *key) return take_key(e, key, name);
    RT_CHECK(!o->key_env, RT_EINVAL, "--key-env %s: the environment variable does not exist or is empty", name);
    return RT_OK;
}

rt_status tc_endpoint_make(tc_endpoint *e, const tc_options *o)
{
    tc_endpoint x = {.timeout = o->timeout};
    RT_TRY(take_url(&x, o->teacher));
    RT_TRY(endpoint_find_key(&x, o));
    RT_CHECK(!x.key[0] || x.loopback || !strncmp(x.url, "https://", 8) || o->key_in_clear, RT_EINVAL,
             "%s: the key would be sent in clear text; use https, unset the key's variable, or allow it with --key-in-clear", x.url);
    *e = x;
    return RT_OK;
}
