/* server.c -- the server: open, listen, wait for a signal, complete the queued requests, close. */
#include "serve/server.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/progress.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* RT_EINVAL: the file exists and is not a port file, so it must not be overwritten. */
static rt_status check_port_file(const char *path)
{
    rt_buf b = {0};
    if (!path || !rt_file_exists(path)) return RT_OK;
    const rt_status st = rt_file_read(&b, path, 24);
    const int       ok = st == RT_OK && strspn(b.p, "0123456789\n") == b.len;
    rt_buf_free(&b);
    RT_CHECK(ok, RT_EINVAL, "--port-file %s exists and does not hold a port; remove it or choose another name", path);
    return RT_OK;
}

static rt_status write_port(const char *path, int64_t port)
{
    char text[24];
    if (!path) return RT_OK;
    snprintf(text, sizeof text, "%lld\n", (long long)port);
    return rt_file_write(path, text, strlen(text));
}

static rt_status open_server(sv_server *s, const md_model *m, const ds_tokenizer *t, const sv_serve_opts *o)
{
    RT_TRY(check_port_file(o->port_file));
    RT_TRY(sv_listen(&s->listener, s->host, &s->port)); /* first, so that a port in use is reported at once */
    RT_TRY(sv_engine_open(&s->engine, m, t, o));
    RT_TRY(sv_engine_models(&s->engine, &s->models));
    RT_TRY(sv_queue_start(s));
    RT_TRY(sv_http_start(s));
    return write_port(o->port_file, s->port);
}

/* Waits up to SERVE_LINGER_SECONDS until clients have read the finished responses. */
static void linger(sv_server *s)
{
    const double until = rt_now() + SERVE_LINGER_SECONDS;
    for (int left = 1; left && rt_now() < until;) {
        pthread_mutex_lock(&s->lock);
        left = s->unanswered;
        pthread_mutex_unlock(&s->lock);
        if (left) rt_sleep(0.01);
    }
}

static void close_server(sv_server *s)
{
    sv_http_refuse_new(s);
    sv_queue_stop(s);
    linger(s);
    sv_http_stop(s);
    if (s->listener >= 0) close(s->listener);
    sv_engine_close(&s->engine);
    rt_buf_free(&s->models);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
}

rt_status sv_serve(const md_model *m, const ds_tokenizer *t, const sv_serve_opts *o)
{
    sv_server s = {.host = o->host ? o->host : "127.0.0.1", .port = o->port, .verbose = o->verbose, .listener = -1};
    RT_CHECK(!pthread_mutex_init(&s.lock, NULL) && !pthread_cond_init(&s.more, NULL), RT_ENOMEM, "no memory for the server's lock");
    sv_links_begin(&s);
    signal(SIGPIPE, SIG_IGN);
    rt_interrupt_catch();
    const rt_status st = open_server(&s, m, t, o);
    if (st == RT_OK) {
        rt_note(strchr(s.host, ':') ? "serving %s at http://[%s]:%lld" : "serving %s at http://%s:%lld", s.engine.name, s.host,
                (long long)s.port);
        while (!rt_interrupted()) rt_sleep(0.1);
    }
    close_server(&s);
    return st;
}
