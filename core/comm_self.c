/* comm_self.c -- the rt_comm of one rank, and functions over any rt_comm. */
#include "core/comm.h"
#include <stdio.h>

static rt_status self_keep_all(rt_comm *c, void *x, int64_t n, size_t size)
{
    (void)c, (void)x, (void)n, (void)size;
    return RT_OK;
}
static rt_status keep_f64(rt_comm *c, double *x, int64_t n)
{
    (void)c, (void)x, (void)n;
    return RT_OK;
}
static rt_status keep_i64(rt_comm *c, int64_t *x, int64_t n)
{
    (void)c, (void)x, (void)n;
    return RT_OK;
}
static rt_status keep_bytes(rt_comm *c, void *b, size_t n)
{
    (void)c, (void)b, (void)n;
    return RT_OK;
}
rt_comm *rt_comm_self(void)
{
    static rt_comm self = {.rank           = 0,
                           .size           = 1,
                           .local          = 1,
                           .reduce_scatter = self_keep_all,
                           .all_gather     = self_keep_all,
                           .sum_f64        = keep_f64,
                           .max_i64        = keep_i64,
                           .broadcast      = keep_bytes};
    return &self;
}

void rt_comm_share(const rt_comm *c, int rank, int64_t n, int64_t *from, int64_t *to)
{
    RT_ASSERT(rank >= 0 && rank < c->size && n >= 0);
    *from = n * rank / c->size;
    *to   = n * (rank + 1) / c->size;
}

rt_status rt_comm_share_text(rt_comm *c, char text[RT_COMM_TEXT])
{
    int64_t       first = *text ? c->size - c->rank : 0, bytes[RT_COMM_TEXT] = {0};
    const int64_t mine = first;
    RT_TRY(c->max_i64(c, &first, 1));
    for (int i = 0; mine && mine == first && i < RT_COMM_TEXT; i++) bytes[i] = (unsigned char)text[i];
    RT_TRY(c->max_i64(c, bytes, RT_COMM_TEXT));
    for (int i = 0; i < RT_COMM_TEXT; i++) text[i] = (char)bytes[i];
    return RT_OK;
}

static rt_status g_peer = RT_EPEER; /* the status of the failed rank */
static int       g_told;            /* 1: rank 0 has the error message and this is another rank */

int rt_comm_exit(rt_status st) { return rt_status_exit(st == RT_EPEER ? g_peer : st); }
int rt_comm_told(void) { return g_told; }

/* Distributes the message of the lowest failed rank to all ranks. */
static rt_status self_share_message(rt_comm *c, rt_status mine, rt_status worst)
{
    char text[RT_COMM_TEXT] = "";
    if (mine != RT_OK) snprintf(text, sizeof text, "%s", rt_error_text());
    RT_TRY(rt_comm_share_text(c, text));
    g_told = c->rank != 0;
    g_peer = worst;
    if (mine != RT_OK) return mine;
    RT_FAIL(RT_EPEER, "%s (reported by another rank)", text);
}

rt_status rt_comm_agree(rt_comm *c, rt_status mine)
{
    int64_t worst = mine;
    if (c->size == 1) return mine;
    const rt_status st = c->max_i64(c, &worst, 1);
    if (st != RT_OK) return mine != RT_OK ? mine : st;
    return worst == RT_OK ? RT_OK : self_share_message(c, mine, (rt_status)worst);
}
