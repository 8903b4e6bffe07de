/* queue.c -- jobs, the queue, and the worker that processes the requests in order. */
#include "core/clock.h"
#include "core/progress.h"
#include "serve/server.h"
#include <poll.h>
#include <stdlib.h>

/* ---- jobs ------------------------------------------------------------------------------------ */

static void job_free(sv_job *j)
{
    rt_buf_free(&j->body);
    rt_buf_free(&j->reply.text);
    rt_buf_free(&j->out);
    free(j);
}

sv_job *sv_job_new(sv_server *s, struct MHD_Connection *c)
{
    sv_job *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    j->server     = s;
    j->connection = c;
    j->holders    = 1;
    return j;
}

static void drop_body(sv_job *j)
{
    j->server->bodies -= j->body.len;
    rt_buf_free(&j->body);
}

/* Drops one reference and frees the job with the last one.  The caller holds the lock. */
static void unref(sv_job *j)
{
    if (--j->holders) return;
    drop_body(j);
    job_free(j);
}

void sv_job_unref(sv_job *j)
{
    sv_server *s = j->server;
    pthread_mutex_lock(&s->lock);
    j->disconnected = 1;
    s->unanswered -= j->state != JOB_READING;
    unref(j);
    pthread_mutex_unlock(&s->lock);
}

int sv_job_receive(sv_job *j, const char *bytes, size_t n)
{
    sv_server *s = j->server;
    pthread_mutex_lock(&s->lock);
    j->received += n;
    if (!j->refused && j->received > SERVE_MAX_BODY) j->refused = MHD_HTTP_CONTENT_TOO_LARGE;
    if (!j->refused && s->bodies + n > SERVE_MAX_BODIES) j->refused = MHD_HTTP_SERVICE_UNAVAILABLE;
    if (!j->refused) {
        if (rt_buf_add(&j->body, bytes, n) == RT_OK) s->bodies += n;
        else j->refused = MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    if (j->refused) drop_body(j); /* the rest of the body is discarded, so that the client can read the response */
    pthread_mutex_unlock(&s->lock);
    return j->received <= 4 * (size_t)SERVE_MAX_BODY;
}

static void sleep_until_woken(sv_job *j)
{
    j->asleep = 1;
    MHD_suspend_connection(j->connection);
}

static void wake(sv_job *j)
{
    if (!j->asleep) return;
    j->asleep = 0;
    MHD_resume_connection(j->connection);
}

int sv_job_enqueue(sv_job *j)
{
    sv_server *s = j->server;
    pthread_mutex_lock(&s->lock);
    const int fits = !s->stopping && s->waiting < SERVE_MAX_WAITING;
    if (fits) {
        j->state = JOB_WAITING;
        j->holders++;
        j->next = NULL;
        if (s->last) s->last->next = j;
        else s->first = j;
        s->last = j;
        s->waiting++;
        s->unanswered++;
        sleep_until_woken(j);
        pthread_cond_signal(&s->more);
    }
    pthread_mutex_unlock(&s->lock);
    return fits;
}

/* ---- the worker -------------------------------------------------------------------------------- */

/* Waits for the next job and removes it from the queue.  Returns NULL if the server stops and the queue is empty. */
static sv_job *next_job(sv_server *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->stopping) pthread_cond_wait(&s->more, &s->lock);
    sv_job *j = s->first;
    if (j) {
        s->first = j->next;
        if (!s->first) s->last = NULL;
        s->waiting--;
    }
    pthread_mutex_unlock(&s->lock);
    return j;
}

/* Returns 1 if the connection is broken.  A client that has only shut down its sending side still waits for the response;
 * it cannot be distinguished from a disconnected client until bytes are sent. */
static int client_disconnected(sv_job *j)
{
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(j->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd                   p = {.fd = i ? i->connect_fd : -1};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* Appends the next piece of a stream and wakes the connection, which sends the available bytes. */
static int queue_push(void *ud, sv_reply *r)
{
    sv_job *j = ud;
    pthread_mutex_lock(&j->server->lock);
    const int here = !j->disconnected && rt_buf_add(&j->out, r->text.p, r->text.len) == RT_OK;
    j->state       = JOB_STREAMING;
    wake(j);
    pthread_mutex_unlock(&j->server->lock);
    rt_buf_clear(&r->text);
    return here;
}

static void note(const sv_job *j)
{
    rt_note("POST %s %d, %zu bytes in, %zu out, %lld tokens, %.0f ms", j->route->path, j->reply.status, j->received,
            j->reply.text.len + j->out.len, (long long)j->reply.tokens, 1e3 * (rt_now() - j->began));
}

static void queue_finish(sv_job *j)
{
    sv_server *s = j->server;
    if (s->verbose) note(j);
    pthread_mutex_lock(&s->lock);
    drop_body(j);
    j->state = JOB_DONE;
    wake(j);
    unref(j);
    pthread_mutex_unlock(&s->lock);
}

static void *work(void *ud)
{
    sv_server *s = ud;
    for (sv_job *j; (j = next_job(s));) {
        j->reply.push = queue_push;
        j->reply.ud   = j;
        if (client_disconnected(j))
            sv_reply_error(&j->reply, MHD_HTTP_SERVICE_UNAVAILABLE, "the client closed the connection while the request was in the queue");
        else sv_engine_respond(&s->engine, j->route->task, j->body.p, j->body.len, &j->reply);
        queue_finish(j);
    }
    return NULL;
}

rt_status sv_queue_start(sv_server *s)
{
    RT_CHECK(!pthread_create(&s->worker, NULL, work, s), RT_ENOMEM, "the system cannot start a thread for the server's worker");
    s->working = 1;
    return RT_OK;
}

void sv_queue_stop(sv_server *s)
{
    if (!s->working) return;
    pthread_mutex_lock(&s->lock);
    s->stopping = 1;
    pthread_cond_broadcast(&s->more);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->worker, NULL);
    s->working = 0;
}
