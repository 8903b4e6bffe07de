/* server.h -- connections, the queue and the worker, private to infer/serve*.c.
 *
 * libmicrohttpd's one thread reads and writes all connections and never waits: a request that must be computed
 * goes into a queue and its connection sleeps (is suspended) until the one worker thread has something for it.
 * `lock` guards the queue and every job; it is held for moments only.
 */
#ifndef INF_SERVE_H
#define INF_SERVE_H
#include "serve/engine.h"
#include <microhttpd.h>
#include <pthread.h>

enum {
    SERVE_MAX_BODY          = 8 << 20,
    SERVE_MAX_BODIES        = 256 << 20, /* of all requests together */
    SERVE_MAX_WAITING       = 128,
    SERVE_MAX_CONNECTIONS   = 512, /* one more closes the one that has been idle for longest */
    SERVE_SPARE_CONNECTIONS = 32,  /* for those that come before it is closed */
    SERVE_IDLE_SECONDS      = 60,  /* a connection that neither sends nor takes a byte */
    SERVE_LINGER_SECONDS    = 5    /* at the end, for readers of finished answers */
};

typedef enum sv_job_state { JOB_READING, JOB_WAITING, JOB_STREAMING, JOB_DONE } sv_job_state;

typedef struct sv_server sv_server;

typedef struct sv_route {
    const char *path, *method;
    sv_task     task; /* of POST */
} sv_route;

typedef struct sv_job { /* one request; lives until both its connection and the worker have let go */
    sv_server             *server;
    struct MHD_Connection *connection;
    const sv_route        *route;   /* NULL: none */
    int                    refused; /* the status that answers once the body has been read away; 0: none */
    rt_buf                 body;
    size_t                 received;
    sv_reply               reply;
    rt_buf                 out; /* of a stream: what is sent */
    sv_job_state           state;
    int                    whole; /* the request has been read to its end */
    int                    asleep, disconnected, holders;
    double                 began;
    struct sv_job         *next;
} sv_job;

typedef struct sv_link { /* one connection, in the order in which they last did something */
    int             fd, ended;
    sv_job         *job; /* NULL: between requests */
    struct sv_link *before, *after;
} sv_link;

struct sv_server {
    sv_engine          desk;
    const char        *host;
    int64_t            port;
    int                verbose, listener; /* listener: -1 when closed or with the daemon */
    rt_buf             models;
    struct MHD_Daemon *daemon;
    pthread_t          worker;
    pthread_mutex_t    lock;
    pthread_cond_t     more;
    sv_job            *first, *last;                           /* the queue */
    int                waiting, unanswered, stopping, working; /* working: the worker thread exists */
    size_t             bodies;
    sv_link            links; /* a ring; libmicrohttpd's thread alone touches it */
    int                open;
};

/* serve_links.c */
void sv_links_begin(sv_server *s);
void sv_link_notify(void *server, struct MHD_Connection *c, void **link, enum MHD_ConnectionNotificationCode what);
void sv_link_touch(sv_server *s, struct MHD_Connection *c, sv_job *j); /* it does something, for j */

/* serve_queue.c */
rt_status sv_queue_start(sv_server *s); /* starts the worker */
void      sv_queue_stop(sv_server *s);  /* waits until all that is queued is done */
sv_job   *sv_job_new(sv_server *s, struct MHD_Connection *c);
void      sv_job_let_go(sv_job *j);                               /* by the connection: it is over */
int       sv_job_receive(sv_job *j, const char *bytes, size_t n); /* 0: far too much, cut the connection */
int       sv_job_enqueue(sv_job *j);                              /* 0: the queue is full; else the connection sleeps */

/* serve_http.c */
rt_status sv_http_start(sv_server *s); /* on s->listener */
void      sv_http_refuse_new(sv_server *s);
void      sv_http_stop(sv_server *s);

/* serve_socket.c: a listening socket; *port gets the one that the system chose when 0. */
rt_status sv_listen(int *listener, const char *host, int64_t *port);
#endif
