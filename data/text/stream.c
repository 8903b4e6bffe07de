/* stream.c -- reading lines of a file or of standard input, with or without gzip.  Lines that are not UTF-8 are refused. */
#include "data/text/stream.h"
#include "core/utf8.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { MAX_LINE = 1 << 28, BLOCK = 1 << 16 };

struct ds_stream {
    char         *name;              /* for errors */
    int           fd, gzip, between; /* between: 1 after a member of a gzip file */
    z_stream      z;                 /* next_in: bytes of raw not yet used */
    int64_t       line, offset;
    size_t        at, n; /* in `block` */
    char          block[BLOCK];
    unsigned char raw[BLOCK];
    char          where[4352];
};

/* Reads more bytes of the file; z.avail_in = 0 at its end. */
static rt_status read_raw(ds_stream *s)
{
    size_t  n = 0;
    ssize_t got;
    do { /* a pipe may return few bytes at a time, so read until the buffer is full */
        got = read(s->fd, s->raw + n, BLOCK - n);
        if (got > 0) n += (size_t)got;
    } while ((got > 0 && n < BLOCK) || (got < 0 && errno == EINTR));
    RT_CHECK(got >= 0, rt_status_of_errno(errno), "%s: reading failed: %s", s->name, strerror(errno));
    s->z.next_in  = s->raw;
    s->z.avail_in = (unsigned)n;
    s->offset += (int64_t)n;
    return RT_OK;
}

/* After a member of a gzip file there may be another member, padding zeros, or the end of the file. */
static rt_status next_member(ds_stream *s)
{
    for (;;) {
        if (!s->z.avail_in) RT_TRY(read_raw(s));
        if (!s->z.avail_in || *s->z.next_in) break;
        s->z.next_in++, s->z.avail_in--;
    }
    RT_CHECK(!s->z.avail_in || *s->z.next_in == 0x1f, RT_EFORMAT,
             "%s: bytes follow the end of the gzip data; the file is damaged or was appended to", s->name);
    inflateReset(&s->z);
    s->between = 1;
    return RT_OK;
}

static rt_status inflate_some(ds_stream *s)
{
    s->z.next_out  = (unsigned char *)s->block;
    s->z.avail_out = BLOCK;
    while (s->z.avail_out == BLOCK) {
        if (!s->z.avail_in) RT_TRY(read_raw(s));
        if (!s->z.avail_in && s->between) break;
        RT_CHECK(s->z.avail_in, RT_EFORMAT, "%s: the gzip file is truncated", s->name);
        s->between     = 0;
        const int code = inflate(&s->z, Z_NO_FLUSH);
        RT_CHECK(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, RT_EFORMAT,
                 "%s: cannot be decompressed (%s); the file is damaged or truncated", s->name, s->z.msg ? s->z.msg : "no reason");
        if (code == Z_STREAM_END) RT_TRY(next_member(s));
    }
    s->n = BLOCK - s->z.avail_out;
    return RT_OK;
}

static rt_status stream_fill(ds_stream *s)
{
    s->at = s->n = 0;
    if (s->gzip) return inflate_some(s);
    if (!s->z.avail_in) RT_TRY(read_raw(s));
    memcpy(s->block, s->z.next_in, s->z.avail_in);
    s->n          = s->z.avail_in;
    s->z.avail_in = 0;
    return RT_OK;
}

static rt_status look_at_begin(ds_stream *s)
{
    RT_TRY(read_raw(s));
    s->gzip = s->z.avail_in >= 2 && s->raw[0] == 0x1f && s->raw[1] == 0x8b;
    if (s->gzip) RT_CHECK(inflateInit2(&s->z, 15 + 16) == Z_OK, RT_ENOMEM, "%s: no memory for zlib", s->name);
    return RT_OK;
}

/* ---- encodings ----------------------------------------------------------------------------- */

/* Guesses UTF-32 without a byte order mark: the highest byte of each character is 0, and the next one is the plane, of which only
 * a few have characters. */
static const char *guess_widest(const char *p, size_t n)
{
    size_t little = n >= 4, big = n >= 4;
    if (n > 256) n = 256;
    for (size_t i = 0; i + 4 <= n; i += 4) {
        little &= !p[i + 3] && (unsigned char)p[i + 2] <= 3;
        big &= !p[i] && (unsigned char)p[i + 1] <= 3;
    }
    return little ? "UTF-32LE" : big ? "UTF-32BE" : NULL;
}

/* Guesses UTF-16 without a byte order mark: every other byte of Latin letters is 0. */
static const char *guess_wide(const char *p, size_t n)
{
    size_t zero[2] = {0};
    if (n > 256) n = 256;
    for (size_t i = 0; i < n; i++) zero[i % 2] += !p[i];
    if (zero[1] > n / 4 && zero[0] <= n / 32) return "UTF-16LE";
    if (zero[0] > n / 4 && zero[1] <= n / 32) return "UTF-16BE";
    return NULL;
}

static const char *wide_encoding(const char *p, size_t n)
{
    if (n >= 4 && (!memcmp(p, "\xff\xfe\0\0", 4) || !memcmp(p, "\0\0\xfe\xff", 4))) return "UTF-32";
    if (n >= 2 && (!memcmp(p, "\xff\xfe", 2) || !memcmp(p, "\xfe\xff", 2))) return "UTF-16";
    const char *widest = guess_widest(p, n);
    return widest ? widest : guess_wide(p, n);
}

static rt_status check_begin(ds_stream *s)
{
    RT_TRY(stream_fill(s));
    const char *wide = wide_encoding(s->block, s->n);
    RT_CHECK(!wide, RT_EFORMAT, "%s: the text is %s, expected UTF-8; convert it: iconv -f %s -t UTF-8 FILE > NEW", s->name, wide, wide);
    if (s->n >= 3 && !memcmp(s->block, "\xef\xbb\xbf", 3)) s->at = 3;
    return RT_OK;
}

/* Bytes from 0x80 to 0x9f are letters and punctuation in Windows-1252, but control characters in Latin-1. */
static rt_status check_line(ds_stream *s, const rt_buf *line)
{
    size_t      i     = 0, len;
    const char *guess = "LATIN1";
    if (rt_utf8_valid(line->p, line->len)) return RT_OK;
    while ((len = rt_utf8_length(line->p + i, line->len - i)) > 0) i += len;
    const unsigned bad = (unsigned char)line->p[i];
    if (bad >= 0x80 && bad < 0xa0) guess = "WINDOWS-1252";
    RT_FAIL(RT_EFORMAT,
            "%s: byte 0x%02x is not UTF-8; if the file is %s, convert it: iconv -f %s -t UTF-8 FILE > NEW (if it is damaged, iconv -c -f "
            "UTF-8 removes invalid bytes)",
            ds_stream_where(s), bad, guess, guess);
}

/* ---- the stream ------------------------------------------------------------------------------ */

static rt_status open_stream(ds_stream *s, const char *path)
{
    const int standard = !strcmp(path, "-");
    RT_TRY(rt_strdup(&s->name, standard ? "standard input" : path));
    const int fd = standard ? dup(0) : open(path, O_RDONLY | O_CLOEXEC);
    RT_CHECK(fd >= 0, rt_status_of_errno(errno), "%s: cannot be opened for reading: %s", s->name, strerror(errno));
    s->fd = fd;
    RT_TRY(look_at_begin(s));
    return check_begin(s);
}

rt_status ds_stream_open(ds_stream **out, const char *path)
{
    ds_stream *s;
    RT_TRY(RT_NEW(s, 1));
    s->fd              = -1;
    const rt_status st = open_stream(s, path);
    if (st == RT_OK) *out = s;
    else ds_stream_close(&s);
    return st;
}

void ds_stream_close(ds_stream **stream)
{
    ds_stream *s = *stream;
    if (!s) return;
    if (s->gzip) inflateEnd(&s->z);
    if (s->fd >= 0) close(s->fd);
    free(s->name);
    free(s);
    *stream = NULL;
}

/* Appends the rest of the block up to a line end, which is skipped; *ended = 1 if there was one. */
static rt_status take_part(ds_stream *s, rt_buf *line, int *ended)
{
    const char  *from = s->block + s->at, *stop = memchr(from, '\n', s->n - s->at);
    const size_t n = stop ? (size_t)(stop - from) : s->n - s->at;
    RT_TRY(rt_buf_add(line, from, n));
    RT_CHECK(line->len <= MAX_LINE, RT_EFORMAT, "%s: the line is longer than %d bytes", ds_stream_where(s), (int)MAX_LINE);
    s->at += n + (stop != NULL);
    *ended = stop != NULL;
    return RT_OK;
}

rt_status ds_stream_line(ds_stream *s, rt_buf *line, int *got)
{
    int ended = 0;
    rt_buf_clear(line);
    *got = 0;
    s->line++;
    while (!ended) {
        if (s->at == s->n) RT_TRY(stream_fill(s));
        if (!s->n) break;
        RT_TRY(take_part(s, line, &ended));
        *got = 1;
    }
    if (ended && line->len && line->p[line->len - 1] == '\r') line->p[--line->len] = '\0';
    return *got ? check_line(s, line) : RT_OK;
}

const char *ds_stream_where(ds_stream *s)
{
    snprintf(s->where, sizeof s->where, "%s, line %lld", s->name, (long long)s->line);
    return s->where;
}

int64_t ds_stream_offset(const ds_stream *s) { return s->offset - (int64_t)s->z.avail_in; }

int ds_is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\v\f", s[i]) || !s[i]) return 0;
    return 1;
}
