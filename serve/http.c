/* http.c -- HTTP routes, request bodies and responses.  All functions run in libmicrohttpd's thread. */
#include "core/clock.h"
#include "core/progress.h"
#include "serve/server.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const sv_route routes[] = {
    {"/health", "GET", 0},
    {"/v1/models", "GET", 0},
    {"/v1/completions", "POST", SV_COMPLETE},
    {"/v1/chat/completions", "POST", SV_CHAT},
    {"/tokenize", "POST", SV_TOKENIZE},
    {"/detokenize", "POST", SV_DETOKENIZE},
};

static const sv_route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (!strcmp(routes[i].path, path)) return &routes[i];
    return NULL;
}

/* ---- sending ------------------------------------------------------------------------------------ */

static enum MHD_Result send_response(struct MHD_Connection *c, unsigned status, struct MHD_Response *r, const char *type)
{
    if (!r) return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE) MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    const enum MHD_Result ok = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return ok;
}

/* Sends the text; the response takes ownership of its memory. */
static enum MHD_Result send_text(struct MHD_Connection *c, int status, rt_buf *text)
{
    if (!text->p) return MHD_NO; /* out of memory: libmicrohttpd closes the connection */
    struct MHD_Response *r = MHD_create_response_from_buffer(text->len, text->p, MHD_RESPMEM_MUST_FREE);
    if (!r) rt_buf_free(text);
    *text = (rt_buf){0};
    return send_response(c, (unsigned)status, r, "application/json");
}

static enum MHD_Result send_copy(struct MHD_Connection *c, const char *p, size_t n)
{
    return send_response(c, MHD_HTTP_OK, MHD_create_response_from_buffer(n, (void *)p, MHD_RESPMEM_MUST_COPY), "application/json");
}

static enum MHD_Result send_error(struct MHD_Connection *c, int status, const char *message)
{
    sv_reply reply = {0};
    sv_reply_error(&reply, status, message);
    return send_text(c, status, &reply.text);
}

/* Copies the bytes of a stream from `pos` on; suspends the connection if there are none yet. */
static ssize_t read_stream(void *ud, uint64_t pos, char *to, size_t max)
{
    sv_job *j = ud;
    ssize_t n = 0;
    pthread_mutex_lock(&j->server->lock);
    if (pos < j->out.len) {
        const size_t left = j->out.len - (size_t)pos;
        n                 = (ssize_t)(left < max ? left : max);
        memcpy(to, j->out.p + pos, (size_t)n);
    } else if (j->state == JOB_DONE) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        j->asleep = 1;
        MHD_suspend_connection(j->connection);
    }
    pthread_mutex_unlock(&j->server->lock);
    return n;
}

/* Sends the whole response of the job, or starts its stream. */
static enum MHD_Result send_answer(sv_job *j)
{
    pthread_mutex_lock(&j->server->lock);
    const int stream = j->out.len > 0;
    pthread_mutex_unlock(&j->server->lock);
    if (!stream) return send_text(j->connection, j->reply.status, &j->reply.text);
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1 << 14, read_stream, j, NULL);
    if (r) MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    return send_response(j->connection, MHD_HTTP_OK, r, "text/event-stream");
}

/* ---- receiving ----------------------------------------------------------------------------------- */

static enum MHD_Result http_refuse(sv_job *j)
{
    switch (j->refused) {
    case MHD_HTTP_NOT_FOUND: return send_error(j->connection, j->refused, "there is no such path; docs/serve.md lists the paths");
    case MHD_HTTP_METHOD_NOT_ALLOWED:
        return send_error(j->connection, j->refused,
                          *j->route->method == 'G' ? "this path accepts only GET" : "this path accepts only POST");
    case MHD_HTTP_NOT_IMPLEMENTED:
        return send_error(j->connection, j->refused,
                          "the only supported transfer coding is chunked; send the body chunked or with a Content-Length");
    case MHD_HTTP_CONTENT_TOO_LARGE:
        return send_error(j->connection, j->refused, "the request's body is larger than 8 MB; send fewer or shorter prompts");
    default: return send_error(j->connection, j->refused, "the server is overloaded; try again later");
    }
}

static enum MHD_Result http_begin(sv_server *s, struct MHD_Connection *c, const char *path, const char *method, void **job)
{
    const sv_route *r    = find_route(path);
    const char     *text = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    sv_job         *j    = sv_job_new(s, c);
    if (!j) return MHD_NO;
    *job     = j;
    j->began = rt_now();
    j->route = r;
    if (!r) j->refused = MHD_HTTP_NOT_FOUND;
    else if (strcmp(r->method, method) && !(!strcmp(method, "HEAD") && !strcmp(r->method, "GET"))) j->refused = MHD_HTTP_METHOD_NOT_ALLOWED;
    /* The end of a body in another transfer coding cannot be determined, so the body is not read. */
    const char *coding = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    if (coding && strcasecmp(coding, "chunked") != 0) {
        j->refused = MHD_HTTP_NOT_IMPLEMENTED;
        return http_refuse(j);
    }
    /* A body of more than 4 SERVE_MAX_BODY bytes is not read. */
    if (text && strtoull(text, NULL, 10) > 4 * (size_t)SERVE_MAX_BODY) {
        j->refused = MHD_HTTP_CONTENT_TOO_LARGE;
        return http_refuse(j);
    }
    return MHD_YES;
}

static enum MHD_Result received(sv_job *j, const char *method)
{
    const sv_server *s = j->server;
    if (j->refused) return http_refuse(j);
    if (!strcmp(method, "POST")) {
        /* libmicrohttpd continues to read from a connection suspended in this first call, and drops it if the client has
         * shut down its sending side.  At the next call it has stopped reading, so the connection is suspended there. */
        if (!j->whole) {
            j->whole = 1;
            return MHD_YES;
        }
        if (sv_job_enqueue(j)) return MHD_YES;
        return send_error(j->connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                          "the queue of the server is full, or the server is stopping; try again later");
    }
    if (!strcmp(j->route->path, "/v1/models")) return send_copy(j->connection, s->models.p, s->models.len);
    return send_copy(j->connection, "{\"status\":\"ok\"}", 15);
}

static enum MHD_Result on_request(void *ud, struct MHD_Connection *c, const char *path, const char *method, const char *version,
                                  const char *bytes, size_t *n, void **job)
{
    sv_job *j = *job;
    (void)version;
    sv_link_touch(ud, c, j);
    if (!j) return http_begin(ud, c, path, method, job);
    if (*n) {
        const int fine = sv_job_receive(j, bytes, *n);
        *n             = 0;
        return fine ? MHD_YES : MHD_NO;
    }
    return j->state == JOB_READING ? received(j, method) : send_answer(j);
}

static void on_end(void *ud, struct MHD_Connection *c, void **job, enum MHD_RequestTerminationCode why)
{
    (void)why;
    sv_link_touch(ud, c, NULL);
    if (*job) sv_job_unref(*job);
    *job = NULL;
}

rt_status sv_http_start(sv_server *s)
{
    s->daemon =
        MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET,
                         s->listener, MHD_OPTION_NOTIFY_COMPLETED, on_end, s, MHD_OPTION_NOTIFY_CONNECTION, sv_link_notify, s,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)(SERVE_MAX_CONNECTIONS + SERVE_SPARE_CONNECTIONS),
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVE_IDLE_SECONDS, MHD_OPTION_END);
    RT_CHECK(s->daemon, RT_ENET, "the HTTP server cannot be started on port %lld", (long long)s->port);
    return RT_OK;
}

void sv_http_refuse_new(sv_server *s)
{
    if (s->daemon && MHD_quiesce_daemon(s->daemon) == s->listener) {
        close(s->listener);
        s->listener = -1;
    }
}

void sv_http_stop(sv_server *s)
{
    if (s->daemon) MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
}
