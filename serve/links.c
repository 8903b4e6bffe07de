/* links.c -- the list of open connections.  A connection beyond the limit closes the one that has been idle longest, so
 * that idle connections cannot block new clients. */
#include "serve/server.h"
#include <stdlib.h>
#include <sys/socket.h>

void sv_links_begin(sv_server *s) { s->links.before = s->links.after = &s->links; }

static void take_out(sv_link *l)
{
    l->before->after = l->after;
    l->after->before = l->before;
}

static void put_last(sv_server *s, sv_link *l)
{
    l->before        = s->links.before;
    l->after         = &s->links;
    s->links.before  = l;
    l->before->after = l;
}

/* Returns 1 if no computation is pending for the connection: it is between requests, its request is being received, or
 * its response is complete. */
static int is_idle(sv_server *s, const sv_link *l)
{
    if (l->ended) return 0;
    if (!l->job) return 1;
    pthread_mutex_lock(&s->lock);
    const sv_job_state state = l->job->state;
    pthread_mutex_unlock(&s->lock);
    return state == JOB_READING || state == JOB_DONE;
}

static void close_idlest(sv_server *s)
{
    sv_link *l = s->links.after;
    while (l != &s->links && !is_idle(s, l)) l = l->after;
    if (l == &s->links) return;
    l->ended = 1;
    shutdown(l->fd, SHUT_RDWR); /* libmicrohttpd then reads end of file and closes the connection */
}

void sv_link_notify(void *server, struct MHD_Connection *c, void **link, enum MHD_ConnectionNotificationCode what)
{
    sv_server *s = server;
    sv_link   *l = *link;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED && l) {
        take_out(l);
        free(l);
        s->open--;
        *link = NULL;
    } else if (what == MHD_CONNECTION_NOTIFY_STARTED && (l = calloc(1, sizeof *l))) {
        const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        l->fd                             = i ? i->connect_fd : -1;
        put_last(s, l);
        *link = l;
        if (++s->open > SERVE_MAX_CONNECTIONS) close_idlest(s);
    }
}

void sv_link_touch(sv_server *s, struct MHD_Connection *c, sv_job *j)
{
    const union MHD_ConnectionInfo *i = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    sv_link                        *l = i ? i->socket_context : NULL;
    if (!l) return;
    l->job = j;
    take_out(l);
    put_last(s, l);
}
