/* comm_mpi.c -- ranks over MPI.  A program that mpirun did not start never calls MPI_Init.
 *
 * Sums go to rank 0 and come back: every rank gets the same bits. */
#include "train/train.h"
#include <stdlib.h>
#include <string.h>
#ifdef RT_HAVE_MPI
#include <limits.h>
#include <mpi.h>

static rt_status failed(const char *what, int code)
{
    char text[MPI_MAX_ERROR_STRING];
    int  n = 0;
    MPI_Error_string(code, text, &n);
    RT_FAIL(RT_EPEER, "MPI: %s failed: %.*s", what, n, text);
}

#define MPI_TRY(call)                                          \
    do {                                                       \
        const int code_ = (call);                              \
        if (code_ != MPI_SUCCESS) return failed(#call, code_); \
    } while (0)

enum { CHUNK = 1 << 28 }; /* elements a call: counts are ints */

static rt_status reduce(rt_comm *c, void *x, int64_t n, MPI_Datatype t, size_t size, MPI_Op op)
{
    for (int64_t at = 0; at < n; at += CHUNK) {
        const int m = (int)(n - at < CHUNK ? n - at : CHUNK);
        char     *p = (char *)x + (size_t)at * size;
        MPI_TRY(MPI_Reduce(c->rank ? p : MPI_IN_PLACE, p, m, t, op, 0, MPI_COMM_WORLD));
        MPI_TRY(MPI_Bcast(p, m, t, 0, MPI_COMM_WORLD));
    }
    return RT_OK;
}

static rt_status sum_f32(rt_comm *c, float *x, int64_t n) { return reduce(c, x, n, MPI_FLOAT, sizeof *x, MPI_SUM); }
static rt_status sum_f64(rt_comm *c, double *x, int64_t n) { return reduce(c, x, n, MPI_DOUBLE, sizeof *x, MPI_SUM); }
static rt_status sum_i64(rt_comm *c, int64_t *x, int64_t n) { return reduce(c, x, n, MPI_INT64_T, sizeof *x, MPI_SUM); }
static rt_status max_i64(rt_comm *c, int64_t *x, int64_t n) { return reduce(c, x, n, MPI_INT64_T, sizeof *x, MPI_MAX); }

static rt_status broadcast(rt_comm *c, void *bytes, size_t n)
{
    (void)c;
    RT_CHECK(n <= INT_MAX, RT_EINVAL, "a broadcast of %zu bytes", n);
    MPI_TRY(MPI_Bcast(bytes, (int)n, MPI_BYTE, 0, MPI_COMM_WORLD));
    return RT_OK;
}

static rt_status barrier(rt_comm *c)
{
    (void)c;
    MPI_TRY(MPI_Barrier(MPI_COMM_WORLD));
    return RT_OK;
}

static void abandon(rt_comm *c, int code)
{
    (void)c;
    MPI_Abort(MPI_COMM_WORLD, code);
}

static void finalize(void) { MPI_Finalize(); }

rt_status tr_comm_open(rt_comm **out)
{
    static rt_comm world = {.sum_f32   = sum_f32,
                            .sum_f64   = sum_f64,
                            .sum_i64   = sum_i64,
                            .max_i64   = max_i64,
                            .broadcast = broadcast,
                            .barrier   = barrier,
                            .abandon   = abandon};
    *out                 = rt_comm_self();
    if (!getenv("OMPI_COMM_WORLD_SIZE") && !getenv("PMI_SIZE") && !getenv("PMIX_RANK")) return RT_OK;
    MPI_TRY(MPI_Init(NULL, NULL));
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_TRY(MPI_Comm_rank(MPI_COMM_WORLD, &world.rank));
    MPI_TRY(MPI_Comm_size(MPI_COMM_WORLD, &world.size));
    MPI_Comm here;
    MPI_TRY(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here));
    MPI_TRY(MPI_Comm_size(here, &world.local));
    MPI_Comm_free(&here);
    RT_CHECK(!atexit(finalize), RT_ENOMEM, "MPI: no room for what is done at the process's end");
    *out = &world;
    return RT_OK;
}

rt_status tr_library_versions(rt_buf *out)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int  n = 0;
    MPI_Get_library_version(text, &n);
    char *comma = memchr(text, ',', (size_t)n);
    return rt_buf_fmt(out, "%.*s", comma ? (int)(comma - text) : n, text);
}
#else
rt_status tr_comm_open(rt_comm **out)
{
    *out = rt_comm_self();
    RT_CHECK(!getenv("OMPI_COMM_WORLD_SIZE") || !strcmp(getenv("OMPI_COMM_WORLD_SIZE"), "1"), RT_EINVAL,
             "started by mpirun, but this program was built without MPI; install libopenmpi-dev and build again");
    return RT_OK;
}
rt_status tr_library_versions(rt_buf *out) { return rt_buf_str(out, "no MPI"); }
#endif
