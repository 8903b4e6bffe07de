/* rates.c -- the measured rates of gemm backends, kept in ${XDG_CACHE_HOME:-$HOME/.cache}/retort/gemm.txt.
 *
 * A line per machine, newest first: the key, then a tab, a name, a blank and a rate for each backend.  The key holds all that the rates
 * depend on besides the number of threads (timing.c).  A line that cannot be read counts as missing, and no failure is an error:
 * the rates are then measured again, or the default order decides.
 */
#include "core/cpu.h"
#include "core/file.h"
#include "kernels/gemm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES = 16, MOST = 64 << 10 }; /* lines kept; bytes of a file that is read */

static rt_status rates_folder(rt_buf *out)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/') return rt_buf_fmt(out, "%s/retort", cache);
    RT_CHECK(home && *home == '/', RT_ENOENT, "neither XDG_CACHE_HOME nor HOME names a folder");
    return rt_buf_fmt(out, "%s/.cache/retort", home);
}

static rt_status rates_path(rt_buf *out)
{
    RT_TRY(rates_folder(out));
    return rt_buf_str(out, "/gemm.txt");
}

static rt_status rates_key(rt_buf *out)
{
    RT_TRY(rt_buf_str(out, "retort " KN_PROGRAM_VERSION "; "));
    RT_TRY(rt_cpu_name(out));
    RT_TRY(rt_buf_fmt(out, "; %s %s; %s; %s", kn_get()->isa, kn_type_name(KN_REAL), kn_blas_config(), kn_blas_kernel()));
    for (char *c = out->p; *c; c++)
        if (*c == '\t' || *c == '\n') *c = ' ';
    return RT_OK;
}

/* Reads the rate of a backend from the rest of a line; 0: it is missing or impossible. */
static double rate_of(const char *rest, const char *name)
{
    char         field[32], *end;
    const int    n  = snprintf(field, sizeof field, "\t%s ", name);
    const char  *at = strstr(rest, field), *line_end = strchr(rest, '\n');
    const double v = at && line_end && at < line_end ? strtod(at + n, &end) : 0;
    return v > 0 && v < 1e9 && (*end == '\t' || *end == '\n') ? v : 0;
}

static int rates_parse(const char *text, const char *key, kn_candidate *c, int n)
{
    const size_t length = strlen(key);
    int          found  = 0;
    for (const char *line = text; line && *line && !found; line = strchr(line, '\n'), line += line != NULL) {
        if (strncmp(line, key, length) || line[length] != '\t') continue;
        found = 1;
        for (int i = 0; i < n; i++) found &= (c[i].gflops = rate_of(line + length, c[i].backend->name)) > 0;
    }
    for (int i = 0; i < n && !found; i++) c[i].gflops = 0;
    return found;
}

int kn_rates_read(kn_candidate *c, int n)
{
    rt_buf    path = {0}, key = {0}, text = {0};
    rt_status st = rates_path(&path);
    if (st == RT_OK) st = rates_key(&key);
    if (st == RT_OK) st = rt_file_read(&text, path.p, MOST);
    const int found = st == RT_OK && rates_parse(text.p, key.p, c, n);
    rt_buf_free(&path), rt_buf_free(&key), rt_buf_free(&text);
    return found;
}

int kn_rates_may_write(void)
{
    rt_buf    folder = {0};
    rt_status st     = rates_folder(&folder);
    if (st == RT_OK) st = rt_dir_make(folder.p);
    const int may = st == RT_OK && !access(folder.p, W_OK);
    rt_buf_free(&folder);
    return may;
}

/* Appends the lines of other keys, at most LINES. */
static rt_status keep_others(rt_buf *out, const char *text, const char *key)
{
    const size_t length = strlen(key);
    int          kept   = 0;
    for (const char *line = text, *end; line && kept < LINES && (end = strchr(line, '\n')); line = end + 1) {
        if (!strncmp(line, key, length) && line[length] == '\t') continue;
        if (!memchr(line, '\t', (size_t)(end - line))) continue;
        RT_TRY(rt_buf_add(out, line, (size_t)(end - line) + 1));
        kept++;
    }
    return RT_OK;
}

static rt_status rates_text(rt_buf *out, const char *key, const rt_buf *before, const kn_candidate *c, int n)
{
    RT_TRY(rt_buf_str(out, key));
    for (int i = 0; i < n; i++) RT_TRY(rt_buf_fmt(out, "\t%s %.1f", c[i].backend->name, c[i].gflops));
    RT_TRY(rt_buf_str(out, "\n"));
    return before->p ? keep_others(out, before->p, key) : RT_OK;
}

int kn_rates_write(const kn_candidate *c, int n)
{
    rt_buf    path = {0}, key = {0}, before = {0}, text = {0};
    rt_status st = rates_path(&path);
    if (st == RT_OK) st = rates_key(&key);
    if (st == RT_OK && rt_file_read(&before, path.p, MOST) != RT_OK) rt_buf_free(&before);
    if (st == RT_OK) st = rates_text(&text, key.p, &before, c, n);
    if (st == RT_OK) st = rt_file_write(path.p, text.p, text.len);
    rt_buf_free(&path), rt_buf_free(&key), rt_buf_free(&before), rt_buf_free(&text);
    return st == RT_OK;
}
