/* server.h -- connections, the queue and the worker, private to serve/.
 *
 * One libmicrohttpd thread reads and writes all connections and never blocks on a computation: a request that must be
 * computed enters a queue, and its connection is suspended until the single worker thread has output for it.
 * `lock` guards the queue and all jobs; it is never held during a computation.
 */
#ifndef SV_SERVER_H
#define SV_SERVER_H
#include "serve/engine.h"
#include <microhttpd.h>
#include <pthread.h>

enum {
    SERVE_MAX_BODY          = 8 << 20,
    SERVE_MAX_BODIES        = 256 << 20, /* bytes of all requests together */
    SERVE_MAX_WAITING       = 128,
    SERVE_MAX_CONNECTIONS   = 512, /* a further connection closes the one that has been idle longest */
    SERVE_SPARE_CONNECTIONS = 32,  /* accepted beyond the maximum until that connection is closed */
    SERVE_IDLE_SECONDS      = 60,  /* limit on the time in which a connection transfers no byte */
    SERVE_LINGER_SECONDS    = 5    /* time at shutdown for clients to read finished responses */
};

typedef enum sv_job_state { JOB_READING, JOB_WAITING, JOB_STREAMING, JOB_DONE } sv_job_state;

typedef struct sv_server sv_server;

typedef struct sv_route {
    const char *path, *method;
    sv_task     task; /* for POST */
} sv_route;

typedef struct sv_job { /* one request; it is freed when neither its connection nor the worker refers to it */
    sv_server             *server;
    struct MHD_Connection *connection;
    const sv_route        *route;   /* NULL: unknown path */
    int                    refused; /* the HTTP error status to send once the body has been read and discarded; 0: none */
    rt_buf                 body;
    size_t                 received;
    sv_reply               reply;
    rt_buf                 out; /* the bytes of a stream so far */
    sv_job_state           state;
    int                    whole; /* 1: the request has been read completely */
    int                    asleep, disconnected, holders;
    double                 began;
    struct sv_job         *next;
} sv_job;

typedef struct sv_link { /* one connection; the list is ordered by last activity */
    int             fd, ended;
    sv_job         *job; /* NULL: between requests */
    struct sv_link *before, *after;
} sv_link;

struct sv_server {
    sv_engine          engine;
    const char        *host;
    int64_t            port;
    int                verbose, listener; /* listener: file descriptor of the listening socket; -1 when closed */
    rt_buf             models;
    struct MHD_Daemon *daemon;
    pthread_t          worker;
    pthread_mutex_t    lock;
    pthread_cond_t     more;
    sv_job            *first, *last;                           /* head and tail of the queue */
    int                waiting, unanswered, stopping, working; /* working: the worker thread exists */
    size_t             bodies;
    sv_link            links; /* head of a circular list; only libmicrohttpd's thread accesses it */
    int                open;
};

/* links.c */
void sv_links_begin(sv_server *s);
void sv_link_notify(void *server, struct MHD_Connection *c, void **link, enum MHD_ConnectionNotificationCode what);
void sv_link_touch(sv_server *s, struct MHD_Connection *c, sv_job *j); /* records activity of connection c for job j (NULL: none) */

/* queue.c */
rt_status sv_queue_start(sv_server *s); /* starts the worker */
void      sv_queue_stop(sv_server *s);  /* waits until all queued jobs are done */
sv_job   *sv_job_new(sv_server *s, struct MHD_Connection *c);
void      sv_job_unref(sv_job *j); /* called when the request's connection ends */
int       sv_job_receive(sv_job *j, const char *bytes,
                         size_t n);  /* returns 0 if the body exceeds 4 SERVE_MAX_BODY: the caller closes the connection */
int       sv_job_enqueue(sv_job *j); /* returns 1 and suspends the connection, or 0 if the queue is full or stopping */

/* http.c */
rt_status sv_http_start(sv_server *s); /* on s->listener */
void      sv_http_refuse_new(sv_server *s);
void      sv_http_stop(sv_server *s);

/* socket.c: opens a listening socket.  *port receives the actual port, which the system chooses if *port is 0.
 * RT_EINVAL: the port is out of range; RT_ENET: the socket cannot be opened. */
rt_status sv_listen(int *listener, const char *host, int64_t *port);
#endif
