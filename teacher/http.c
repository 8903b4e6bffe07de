/* http.c -- many requests in flight from one thread (libcurl's multi interface).
 *
 * Each slot reuses its easy handle, and with it the connection.
 * Redirects are not followed: a POST would become a GET, and the key belongs to
 * one address.  The key is overwritten in every reply.
 */
#include "teacher/http.h"
#include "core/clock.h"
#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* TCP keepalive detects a cut link within a minute, also while the server computes. */
enum { KEEP_IDLE = 20, KEEP_APART = 10, UNACKNOWLEDGED_MS = 40000, STALL_SECONDS = 60 };
enum { CONNECT_SECONDS = 10, RECEIVE_BUFFER = 256 << 10 };

typedef struct slot {
    CURL   *easy;
    int64_t tag;
    int     busy, too_large;
    size_t *held;        /* of all slots */
    double  began, last; /* last: when its latest bytes came */
    rt_buf  request, body;
    char    error[CURL_ERROR_SIZE];
} slot;

struct tc_http {
    tc_endpoint           at;
    CURLM                *multi;
    struct curl_slist    *headers;
    const tc_wait_header *wait;
    slot                 *slots[TC_MAX_IN_FLIGHT];
    int                   n, in_flight;
    size_t                held;
};

static size_t http_receive(char *data, size_t size, size_t n, void *ud)
{
    slot *s = ud;
    n *= size;
    if (*s->held + n > TC_MAX_HELD) {
        s->too_large = 1;
        return 0;
    }
    if (rt_buf_add(&s->body, data, n) != RT_OK) return 0;
    *s->held += n;
    s->last = rt_now();
    return n;
}

static rt_status add_header(tc_http *h, const char *line)
{
    struct curl_slist *l = curl_slist_append(h->headers, line);
    RT_CHECK(l, RT_ENOMEM, "no memory for an HTTP header");
    h->headers = l;
    return RT_OK;
}

static void free_headers(tc_http *h)
{
    for (struct curl_slist *l = h->headers; l; l = l->next) explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(h->headers);
    h->headers = NULL;
}

static rt_status add_key_header(tc_http *h, const char *begin)
{
    char line[TC_KEY + 128];
    if (!h->at.key[0]) return RT_OK;
    snprintf(line, sizeof line, "%s%s", begin, h->at.key);
    const rt_status st = add_header(h, line);
    explicit_bzero(line, sizeof line);
    return st;
}

rt_status tc_http_headers(tc_http *h, const tc_headers *headers)
{
    free_headers(h);
    h->wait = headers->wait;
    RT_TRY(add_header(h, "Expect:")); /* otherwise libcurl waits a second for 100-continue before it sends bodies above 1 MB */
    for (const char *const *line = headers->request; *line; line++) {
        const int takes_key = (*line)[strlen(*line) - 1] == ' ';
        RT_TRY(takes_key ? add_key_header(h, *line) : add_header(h, *line));
    }
    return RT_OK;
}

rt_status tc_http_create(tc_http **out, const tc_endpoint *e)
{
    tc_http *h = NULL;
    RT_CHECK(!curl_global_init(CURL_GLOBAL_DEFAULT), RT_ENET, "libcurl cannot be initialised");
    RT_TRY(RT_NEW(h, 1));
    h->at        = *e;
    h->multi     = curl_multi_init();
    rt_status st = h->multi ? RT_OK : rt_fail(RT_ENOMEM, __FILE__, __LINE__, "libcurl cannot create a multi handle");
    if (st != RT_OK) tc_http_destroy(&h);
    else *out = h;
    return st;
}

static void slot_free(tc_http *h, slot *s)
{
    if (s->busy) curl_multi_remove_handle(h->multi, s->easy);
    if (s->easy) curl_easy_cleanup(s->easy);
    rt_buf_free(&s->request);
    rt_buf_free(&s->body);
    free(s);
}

void tc_http_destroy(tc_http **out)
{
    tc_http *h = *out;
    if (!h) return;
    for (int i = 0; i < h->n; i++) slot_free(h, h->slots[i]);
    if (h->multi) curl_multi_cleanup(h->multi);
    free_headers(h);
    explicit_bzero(h->at.key, sizeof h->at.key);
    free(h);
    *out = NULL;
}

int tc_http_in_flight(const tc_http *h) { return h->in_flight; }

void tc_http_scrub(const tc_http *h, char *text) { tc_endpoint_scrub(&h->at, text, strlen(text)); }

static int set_up_socket(void *ud, curl_socket_t fd, curlsocktype what)
{
    const int most = UNACKNOWLEDGED_MS;
    (void)ud, (void)what;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &most, sizeof most);
    return CURL_SOCKOPT_OK;
}

static void set_up(const tc_http *h, CURL *c)
{
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(h->at.timeout * 1000));
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPIDLE, (long)KEEP_IDLE);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPINTVL, (long)KEEP_APART);
    curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, set_up_socket);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    if (h->at.loopback) curl_easy_setopt(c, CURLOPT_PROXY, ""); /* a proxy cannot reach this machine's loopback interface */
}

static void set_up_slot(const tc_http *h, slot *s)
{
    curl_easy_reset(s->easy);
    set_up(h, s->easy);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
    curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, s->error);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, http_receive);
    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
}

static size_t ignore(char *data, size_t size, size_t n, void *ud)
{
    (void)data, (void)ud;
    return size * n;
}

int tc_http_alive(const tc_http *h, const char *path)
{
    char  url[TC_URL + 64];
    CURL *c = curl_easy_init();
    if (!c) return 0;
    snprintf(url, sizeof url, "%s%s", h->at.url, path);
    set_up(h, c);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore);
    const int alive = curl_easy_perform(c) == CURLE_OK;
    curl_easy_cleanup(c);
    return alive;
}

static rt_status free_slot(slot **out, tc_http *h)
{
    slot *s = NULL;
    for (int i = 0; i < h->n && !s; i++)
        if (!h->slots[i]->busy) s = h->slots[i];
    if (!s) {
        RT_CHECK(h->n < TC_MAX_IN_FLIGHT, RT_EINVAL, "there are already %d requests in flight, the limit", TC_MAX_IN_FLIGHT);
        RT_TRY(RT_NEW(s, 1));
        h->slots[h->n++] = s;
        s->held          = &h->held;
        s->easy          = curl_easy_init();
        RT_CHECK(s->easy, RT_ENOMEM, "libcurl cannot create an easy handle");
    }
    *out = s;
    return RT_OK;
}

rt_status tc_http_send(tc_http *h, const char *path, rt_buf *body, int64_t tag)
{
    char  url[TC_URL + 64];
    slot *s = NULL;
    RT_TRY(free_slot(&s, h));
    rt_buf_free(&s->request);
    s->tag       = tag;
    s->too_large = 0;
    s->error[0]  = '\0';
    s->began     = rt_now();
    snprintf(url, sizeof url, "%s%s", h->at.url, path);
    set_up_slot(h, s);
    curl_easy_setopt(s->easy, CURLOPT_URL, url);
    if (body) {
        s->request = *body;
        *body      = (rt_buf){0};
        curl_easy_setopt(s->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->request.len);
        curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, s->request.p);
    }
    RT_CHECK(!curl_multi_add_handle(h->multi, s->easy), RT_ENET, "%s: libcurl cannot start another request", url);
    s->busy = 1;
    h->in_flight++;
    return RT_OK;
}

static double wait_of(const tc_wait_header *w, CURL *c)
{
    for (; w->name; w++) {
        struct curl_header *x = NULL;
        char               *end;
        if (curl_easy_header(c, w->name, 0, CURLH_HEADER, -1, &x)) continue;
        const double v = strtod(x->value, &end);
        if (end != x->value && !*end && v >= 0) return v * w->unit;
        const time_t now = (time_t)rt_unix_time(), t = curl_getdate(x->value, NULL);
        if (t >= 0) return t > now ? (double)(t - now) : 0;
    }
    return -1;
}

static void http_finish(tc_http *h, slot *s, CURLcode code, tc_reply *r)
{
    *r = (tc_reply){.tag = s->tag, .wait = -1, .seconds = rt_now() - s->began};
    if (code == CURLE_OK) {
        curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &r->status);
        r->wait = wait_of(h->wait, s->easy);
    } else if (s->too_large) {
        r->crowded = s->body.len < h->held;
        snprintf(r->error, sizeof r->error, "the %s larger than %d MB", r->crowded ? "responses in flight together are" : "response is",
                 TC_MAX_HELD >> 20);
    } else {
        snprintf(r->error, sizeof r->error, "%s", s->error[0] ? s->error : curl_easy_strerror(code));
    }
    h->held -= s->body.len;
    r->body = s->body;
    s->body = (rt_buf){0};
    if (r->body.p) tc_endpoint_scrub(&h->at, r->body.p, r->body.len);
    tc_endpoint_scrub(&h->at, r->error, strlen(r->error));
    curl_multi_remove_handle(h->multi, s->easy);
    s->busy = 0;
    h->in_flight--;
}

static void collect(tc_http *h, tc_reply *replies, int cap, int *n)
{
    CURLMsg *m;
    int      left;
    while (*n < cap && (m = curl_multi_info_read(h->multi, &left))) {
        slot *s = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&s);
        http_finish(h, s, m->data.result, &replies[(*n)++]);
    }
}

/* Ends responses that have begun but stalled.  (libcurl's speed limit would also count the time that a server computes before
 * it answers.) */
static void collect_stalled(tc_http *h, tc_reply *replies, int cap, int *n)
{
    const double now = rt_now();
    for (int i = 0; i < h->n && *n < cap; i++) {
        slot *s = h->slots[i];
        if (!s->busy || !s->body.len || now - s->last < STALL_SECONDS) continue;
        snprintf(s->error, sizeof s->error, "the response stopped after %zu bytes: no byte was received for %d s", s->body.len,
                 STALL_SECONDS);
        http_finish(h, s, CURLE_OPERATION_TIMEDOUT, &replies[(*n)++]);
    }
}

rt_status tc_http_wait(tc_http *h, double seconds, tc_reply *replies, int cap, int *n)
{
    int       running = 0, got = 0;
    CURLMcode code = curl_multi_perform(h->multi, &running);
    if (!code) collect(h, replies, cap, &got);
    if (!code && !got && seconds > 0) {
        code = curl_multi_poll(h->multi, NULL, 0, (int)(seconds * 1000) + 1, NULL);
        if (!code) code = curl_multi_perform(h->multi, &running);
        if (!code) collect(h, replies, cap, &got);
    }
    RT_CHECK(!code, RT_ENET, "%s: libcurl: %s", h->at.url, curl_multi_strerror(code));
    if (!got) collect_stalled(h, replies, cap, &got);
    *n = got;
    return RT_OK;
}

rt_status tc_http_one(tc_http *h, const char *path, rt_buf *body, tc_reply *reply)
{
    int n = 0;
    RT_TRY(tc_http_send(h, path, body, 0));
    while (!n) {
        RT_CHECK(!rt_interrupted(), RT_EINTR, "interrupted while waiting for %s%s", h->at.url, path);
        RT_TRY(tc_http_wait(h, 0.2, reply, 1, &n));
    }
    return RT_OK;
}
