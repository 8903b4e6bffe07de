/* comm_self.c -- a world of one rank. */
#include "core/comm.h"
#include <stdlib.h>

static rt_status keep_f32(rt_comm *c, float *x, int64_t n)
{
    (void)c, (void)x, (void)n;
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
static rt_status nothing(rt_comm *c)
{
    (void)c;
    return RT_OK;
}
static void leave(rt_comm *c, int code)
{
    (void)c;
    exit(code);
}

rt_comm *rt_comm_self(void)
{
    static rt_comm self = {.rank      = 0,
                           .size      = 1,
                           .local     = 1,
                           .sum_f32   = keep_f32,
                           .sum_f64   = keep_f64,
                           .sum_i64   = keep_i64,
                           .max_i64   = keep_i64,
                           .broadcast = keep_bytes,
                           .barrier   = nothing,
                           .abandon   = leave};
    return &self;
}

static rt_status g_peer = RT_EPEER; /* how another rank failed */

int rt_comm_exit(rt_status st) { return rt_status_exit(st == RT_EPEER ? g_peer : st); }

rt_status rt_comm_agree(rt_comm *c, rt_status mine)
{
    int64_t worst = mine;
    if (c->size == 1) return mine;
    const rt_status st = c->max_i64(c, &worst, 1);
    if (mine != RT_OK) return mine;
    if (st != RT_OK) return st;
    if (worst != RT_OK) g_peer = (rt_status)worst;
    RT_CHECK(worst == RT_OK, RT_EPEER, "another rank failed (%s); its message says why", rt_status_name((rt_status)worst));
    return RT_OK;
}
