/* disk.c -- the file driver that HDF5 uses for writing.
 *
 * If the disk is full, HDF5's own driver reports an error that HDF5 does not handle: it keeps the data that it could not write,
 * tries again at every close and crashes at the end of the process.  This driver records the first error for us and ignores all
 * later writes, so that HDF5 closes normally.  file.c looks at the recorded error after each call.
 */
#include "data/h5/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 14, 0)
#include <H5FDdevelop.h>
#endif

typedef struct disk {
    H5FD_t  base; /* HDF5's part, must be first */
    int     fd, *note;
    haddr_t eoa, eof;
} disk;

static disk       *of(H5FD_t *f) { return (disk *)(void *)f; }
static const disk *of_const(const H5FD_t *f) { return (const disk *)(const void *)f; }

static H5FD_t *disk_open(const char *name, unsigned flags, hid_t fapl, haddr_t max)
{
    int *const *note = H5Pget_driver_info(fapl);
    const int   how  = O_RDWR | O_CLOEXEC | (flags & H5F_ACC_CREAT ? O_CREAT : 0) | (flags & H5F_ACC_TRUNC ? O_TRUNC : 0);
    const int   fd   = open(name, how, 0666);
    struct stat s;
    (void)max;
    if (fd < 0) **note = errno;
    disk *d = fd < 0 || fstat(fd, &s) ? NULL : calloc(1, sizeof *d);
    if (!d) {
        if (fd >= 0) close(fd);
        return NULL;
    }
    **note  = 0; /* HDF5 first tries to open a file that it then creates */
    d->fd   = fd;
    d->note = *note;
    d->eof  = (haddr_t)s.st_size;
    return &d->base;
}

static herr_t disk_close(H5FD_t *f)
{
    disk *d = of(f);
    if (close(d->fd) && !*d->note) *d->note = errno;
    free(d);
    return 0;
}

static herr_t disk_query(const H5FD_t *f, unsigned long *flags)
{
    (void)f;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t disk_eoa(const H5FD_t *f, H5FD_mem_t type)
{
    (void)type;
    return of_const(f)->eoa;
}

static herr_t disk_set_eoa(H5FD_t *f, H5FD_mem_t type, haddr_t at)
{
    (void)type;
    of(f)->eoa = at;
    return 0;
}

static haddr_t disk_eof(const H5FD_t *f, H5FD_mem_t type)
{
    (void)type;
    return of_const(f)->eof;
}

static herr_t disk_read(H5FD_t *f, H5FD_mem_t type, hid_t how, haddr_t at, size_t n, void *to)
{
    disk *d = of(f);
    char *p = to;
    (void)type, (void)how;
    while (n > 0) {
        const ssize_t got = pread(d->fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && !*d->note) *d->note = errno;
        if (got <= 0) break;
        p += got;
        at += (haddr_t)got;
        n -= (size_t)got;
    }
    memset(p, 0, n); /* bytes beyond the end are zero, as HDF5 expects */
    return 0;
}

static herr_t disk_write(H5FD_t *f, H5FD_mem_t type, hid_t how, haddr_t at, size_t n, const void *from)
{
    disk       *d = of(f);
    const char *p = from;
    (void)type, (void)how;
    while (n > 0 && !*d->note) {
        const ssize_t put = pwrite(d->fd, p, n, (off_t)at);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) *d->note = put < 0 ? errno : EIO;
        if (put <= 0) break;
        p += put;
        at += (haddr_t)put;
        n -= (size_t)put;
    }
    if (at + n > d->eof) d->eof = at + n;
    return 0;
}

static herr_t disk_truncate(H5FD_t *f, hid_t how, hbool_t closing)
{
    disk *d = of(f);
    (void)how, (void)closing;
    if (d->eoa != d->eof && !*d->note && ftruncate(d->fd, (off_t)d->eoa)) *d->note = errno;
    d->eof = d->eoa;
    return 0;
}

static const H5FD_class_t g_class = {
#if H5_VERSION_GE(1, 14, 0)
    .version = H5FD_CLASS_VERSION,
    .value   = (H5FD_class_value_t)600, /* values from 512 on are for drivers outside HDF5 */
#endif
    .name      = "retort",
    .maxaddr   = ((haddr_t)1 << 62) - 1,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(int *),
    .open      = disk_open,
    .close     = disk_close,
    .query     = disk_query,
    .get_eoa   = disk_eoa,
    .set_eoa   = disk_set_eoa,
    .get_eof   = disk_eof,
    .read      = disk_read,
    .write     = disk_write,
    .truncate  = disk_truncate,
    .fl_map    = H5FD_FLMAP_DICHOTOMY,
};

herr_t ds_h5_disk(hid_t access, int *note)
{
    /* The driver is registered once and never unregistered, because HDF5 1.10 still reads the class after a file has released the
     * last reference to its driver. */
    static hid_t driver = H5I_INVALID_HID;
    if (driver < 0) driver = H5FDregister(&g_class);
    return driver < 0 ? -1 : H5Pset_driver(access, driver, &note);
}
