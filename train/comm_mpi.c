/* comm_mpi.c -- communication between ranks over MPI.  A program that mpirun did not start never calls MPI_Init.
 *
 * Gradients: each rank receives the other ranks' parts of its own share, adds them in rank order, and sends the sums to all
 * ranks.  Each byte is sent once in each direction, and the result does not depend on the algorithm that MPI chooses.  Sums of
 * a few numbers are reduced on rank 0 and broadcast. */
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

enum { CHUNK = 1 << 28 };      /* elements per call, because MPI's counts are ints */
enum { PART_BYTES = 4 << 20 }; /* bytes that all ranks together send to one rank at a time */

static char        *g_parts; /* [PART_BYTES] */
static MPI_Request *g_wait;  /* [2 size] */

/* ---- gradients ------------------------------------------------------------------------------------------- */

/* Advances *x to the elements at .. at+chunk of a rank's share of x[n] and returns their number. */
static int piece(const rt_comm *c, int rank, int64_t n, int64_t at, int64_t chunk, size_t size, char **x)
{
    int64_t from, to;
    rt_comm_share(c, rank, n, &from, &to);
    *x += (size_t)(from + at) * size;
    return (int)(to - from - at < 0 ? 0 : to - from - at < chunk ? to - from - at : chunk);
}

static int64_t longest_share(const rt_comm *c, int64_t n) { return (n + c->size - 1) / c->size; }

/* x += y, floats of `size` bytes. */
static void mpi_add(void *x, const void *y, int64_t n, size_t size)
{
    if (size == 8)
        for (int64_t i = 0; i < n; i++) ((double *)x)[i] += ((const double *)y)[i];
    else
        for (int64_t i = 0; i < n; i++) ((float *)x)[i] += ((const float *)y)[i];
}

/* Sends elements at .. at+chunk of each share to its owner, which adds them. */
static rt_status reduce_piece(rt_comm *c, void *x, int64_t n, int64_t at, int64_t chunk, size_t size)
{
    const MPI_Datatype t    = size == 8 ? MPI_DOUBLE : MPI_FLOAT;
    char              *mine = x;
    const int          m    = piece(c, c->rank, n, at, chunk, size, &mine);
    for (int r = 0; r < c->size; r++) {
        char     *theirs = x;
        const int k      = piece(c, r, n, at, chunk, size, &theirs);
        MPI_TRY(MPI_Irecv(g_parts + (size_t)(r * chunk) * size, m, t, r, 0, MPI_COMM_WORLD, &g_wait[2 * r]));
        MPI_TRY(MPI_Isend(theirs, k, t, r, 0, MPI_COMM_WORLD, &g_wait[2 * r + 1]));
    }
    MPI_TRY(MPI_Waitall(2 * c->size, g_wait, MPI_STATUSES_IGNORE));
    memcpy(mine, g_parts, (size_t)m * size);
    for (int r = 1; r < c->size; r++) mpi_add(mine, g_parts + (size_t)(r * chunk) * size, m, size);
    return RT_OK;
}

static rt_status reduce_scatter(rt_comm *c, void *x, int64_t n, size_t size)
{
    const int64_t chunk = PART_BYTES / (int64_t)size / c->size;
    for (int64_t at = 0; at < longest_share(c, n); at += chunk) RT_TRY(reduce_piece(c, x, n, at, chunk, size));
    return RT_OK;
}

/* Sends elements at .. at+chunk of each share to all ranks. */
static rt_status gather_piece(rt_comm *c, void *x, int64_t n, int64_t at, int64_t chunk, size_t size)
{
    char     *mine = x;
    const int m    = piece(c, c->rank, n, at, chunk, size, &mine) * (int)size;
    int       k    = 0;
    for (int r = 0; r < c->size; r++) {
        char     *theirs = x;
        const int bytes  = piece(c, r, n, at, chunk, size, &theirs) * (int)size;
        if (r == c->rank) continue;
        MPI_TRY(MPI_Irecv(theirs, bytes, MPI_BYTE, r, 0, MPI_COMM_WORLD, &g_wait[k++]));
        MPI_TRY(MPI_Isend(mine, m, MPI_BYTE, r, 0, MPI_COMM_WORLD, &g_wait[k++]));
    }
    MPI_TRY(MPI_Waitall(k, g_wait, MPI_STATUSES_IGNORE));
    return RT_OK;
}

static rt_status all_gather(rt_comm *c, void *x, int64_t n, size_t size)
{
    const int64_t chunk = PART_BYTES / (int64_t)size;
    for (int64_t at = 0; at < longest_share(c, n); at += chunk) RT_TRY(gather_piece(c, x, n, at, chunk, size));
    return RT_OK;
}

/* ---- small sums ------------------------------------------------------------------------------------------ */

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

static rt_status sum_f64(rt_comm *c, double *x, int64_t n) { return reduce(c, x, n, MPI_DOUBLE, sizeof *x, MPI_SUM); }
static rt_status max_i64(rt_comm *c, int64_t *x, int64_t n) { return reduce(c, x, n, MPI_INT64_T, sizeof *x, MPI_MAX); }

static rt_status broadcast(rt_comm *c, void *bytes, size_t n)
{
    (void)c;
    RT_CHECK(n <= INT_MAX, RT_EINVAL, "a broadcast can have at most 2^31 - 1 bytes, found %zu", n);
    MPI_TRY(MPI_Bcast(bytes, (int)n, MPI_BYTE, 0, MPI_COMM_WORLD));
    return RT_OK;
}

static void finalize(void)
{
    MPI_Finalize();
    free(g_parts), free(g_wait);
}

rt_status tr_comm_open(rt_comm **out)
{
    static rt_comm world = {
        .reduce_scatter = reduce_scatter, .all_gather = all_gather, .sum_f64 = sum_f64, .max_i64 = max_i64, .broadcast = broadcast};
    *out = rt_comm_self();
    if (!getenv("OMPI_COMM_WORLD_SIZE") && !getenv("PMI_SIZE") && !getenv("PMIX_RANK")) return RT_OK;
    MPI_TRY(MPI_Init(NULL, NULL));
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_TRY(MPI_Comm_rank(MPI_COMM_WORLD, &world.rank));
    MPI_TRY(MPI_Comm_size(MPI_COMM_WORLD, &world.size));
    MPI_Comm here;
    MPI_TRY(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here));
    MPI_TRY(MPI_Comm_size(here, &world.local));
    MPI_Comm_free(&here);
    RT_TRY(rt_alloc((void **)&g_parts, PART_BYTES, 1, "parts of the ranks' gradients"));
    RT_TRY(RT_NEW(g_wait, 2 * world.size));
    RT_CHECK(!atexit(finalize), RT_ENOMEM, "MPI: no memory to register the exit function");
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
             "mpirun started several ranks, but this program was built without MPI; install libopenmpi-dev and build again");
    return RT_OK;
}
rt_status tr_library_versions(rt_buf *out) { return rt_buf_str(out, "no MPI"); }
#endif
