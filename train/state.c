/* state.c -- writing and reading the optimiser's state in parts (state.h). */
#include "train/state.h"
#include "core/file.h"
#include "data/h5.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ds_h5_type REALS = sizeof(real) == 8 ? DS_F64 : DS_F32;

/* ---- names ----------------------------------------------------------------------------------------------- */

void tr_state_name(char name[TR_STATE_NAME], int part, int parts) { snprintf(name, TR_STATE_NAME, "state-%03d-of-%03d.h5", part, parts); }

int tr_is_state(const char *name, int *part, int *parts)
{
    char again[TR_STATE_NAME];
    if (sscanf(name, "state-%3d-of-%3d.h5", part, parts) != 2 || *part < 0 || *part >= *parts) return 0;
    tr_state_name(again, *part, *parts);
    return !strcmp(again, name);
}

/* The names are sorted, so part k of n is the k-th of them. */
static rt_status check_parts(const char *dir, char **names, int n, int *parts)
{
    int  found = 0, part, of;
    char wanted[TR_STATE_NAME];
    for (int i = 0; i < n; i++) {
        if (!tr_is_state(names[i], &part, &of)) continue;
        if (!found) *parts = of;
        tr_state_name(wanted, found++, *parts);
        RT_CHECK(!strcmp(names[i], wanted), RT_EFORMAT, "%s: expected %s among the parts of the optimiser's state, found %s", dir, wanted,
                 names[i]);
    }
    tr_state_name(wanted, found, found ? *parts : 1);
    RT_CHECK(found && found == *parts, RT_EFORMAT, "%s: %s is missing, a part of the optimiser's state", dir, wanted);
    return RT_OK;
}

rt_status tr_state_parts(const char *dir, int *parts)
{
    char **names;
    int    n, found = 0;
    RT_TRY(rt_dir_list(&names, &n, dir));
    const rt_status st = check_parts(dir, names, n, &found);
    rt_names_free(&names, n);
    if (st == RT_OK) *parts = found;
    return st;
}

static rt_status part_path(rt_buf *path, const char *dir, int part, int parts)
{
    char name[TR_STATE_NAME];
    tr_state_name(name, part, parts);
    return rt_path(path, dir, name);
}

/* Closes *f after `st`, unless it was not opened; the first error counts. */
static rt_status close_part(ds_h5 **f, rt_buf *path, rt_status st)
{
    const rt_status closed = ds_h5_close(f);
    rt_buf_free(path);
    return st == RT_OK ? closed : st;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static const char *state_set_name(char name[64], int i, const char *what)
{
    snprintf(name, 64, "%d.%s", i, what);
    return name;
}

static rt_status put_counts(ds_h5 *f, const tr_counts *c)
{
    RT_TRY(ds_h5_put(f, "step", DS_I64, &c->step, 1));
    if (c->skipped) RT_TRY(ds_h5_put(f, "skipped", DS_I64, &c->skipped, 1));
    if (c->empty) RT_TRY(ds_h5_put(f, "empty", DS_I64, &c->empty, 1));
    if (c->best_step) RT_TRY(ds_h5_put(f, "best_step", DS_I64, &c->best_step, 1));
    if (c->best_step) RT_TRY(ds_h5_put(f, "best_ce", DS_F64, &c->best_ce, 1));
    return RT_OK;
}

static rt_status put_view(ds_h5 *f, int i, const opt_view *v)
{
    const int64_t range[] = {v->at, v->n};
    char          name[64];
    if (!v->n) return RT_OK;
    if (v->n < v->size) RT_TRY(ds_h5_put(f, state_set_name(name, i, "range"), DS_I64, range, 2));
    RT_TRY(ds_h5_put(f, state_set_name(name, i, "master"), REALS, v->master, v->n));
    RT_TRY(ds_h5_put(f, state_set_name(name, i, "m"), REALS, v->m, v->n));
    return ds_h5_put(f, state_set_name(name, i, "v"), REALS, v->v, v->n);
}

rt_status tr_state_write(const char *dir, opt_state *s, const tr_counts *c, int part, int parts)
{
    rt_buf path = {0};
    ds_h5 *f    = NULL;
    RT_CHECK(parts >= 1 && parts <= TR_STATE_PARTS && part >= 0 && part < parts, RT_EINVAL,
             "part %d of %d of the optimiser's state; there can be 1 to %d parts", part, parts, (int)TR_STATE_PARTS);
    rt_status st = part_path(&path, dir, part, parts);
    if (st == RT_OK) st = ds_h5_create(&f, path.p);
    if (st == RT_OK) st = put_counts(f, c);
    for (int i = 0; st == RT_OK && i < opt_params(s); i++) {
        const opt_view v = opt_at(s, i);
        st               = put_view(f, i, &v);
    }
    return close_part(&f, &path, st);
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

typedef struct range {
    int64_t at, n; /* n 0: no element */
} range;

/* Gets the range of parameter i, which has `size` elements, in a part. */
static rt_status get_range(ds_h5 *f, const char *path, int i, int64_t size, range *r)
{
    char    name[64];
    int64_t x[2] = {0, size};
    *r           = (range){0, 0};
    if (!ds_h5_has(f, state_set_name(name, i, "master"))) return RT_OK;
    if (ds_h5_has(f, state_set_name(name, i, "range"))) RT_TRY(ds_h5_get(f, name, DS_I64, x, 2));
    RT_CHECK(x[0] >= 0 && x[1] >= 1 && x[1] <= size && x[0] <= size - x[1], RT_EFORMAT,
             "%s: %s is %lld elements from %lld on, parameter %d has %lld", path, name, (long long)x[1], (long long)x[0], i,
             (long long)size);
    *r = (range){x[0], x[1]};
    return RT_OK;
}

/* Reads the elements of a data set that are in the view into x, the view's array.  r: the range of the data set. */
static rt_status get_reals(ds_h5 *f, int i, const char *what, real *x, const opt_view *v, range r)
{
    char          name[64];
    const int64_t from = r.at > v->at ? r.at : v->at, to = r.at + r.n < v->at + v->n ? r.at + r.n : v->at + v->n;
    real         *all;
    if (from >= to) return RT_OK;
    state_set_name(name, i, what);
    if (to - from == r.n) return ds_h5_get(f, name, REALS, x + (from - v->at), r.n);
    RT_TRY(RT_NEW(all, r.n));
    const rt_status st = ds_h5_get(f, name, REALS, all, r.n);
    if (st == RT_OK) memcpy(x + (from - v->at), all + (from - r.at), (size_t)(to - from) * sizeof *x);
    free(all);
    return st;
}

static rt_status get_counts(ds_h5 *f, tr_counts *c)
{
    *c = (tr_counts){0};
    RT_TRY(ds_h5_get(f, "step", DS_I64, &c->step, 1));
    if (ds_h5_has(f, "skipped")) RT_TRY(ds_h5_get(f, "skipped", DS_I64, &c->skipped, 1));
    if (ds_h5_has(f, "empty")) RT_TRY(ds_h5_get(f, "empty", DS_I64, &c->empty, 1));
    if (ds_h5_has(f, "best_step")) RT_TRY(ds_h5_get(f, "best_step", DS_I64, &c->best_step, 1));
    if (c->best_step) RT_TRY(ds_h5_get(f, "best_ce", DS_F64, &c->best_ce, 1));
    return RT_OK;
}

typedef struct reading {
    const char *dir;
    opt_state  *s;
    int         parts;
    range      *ranges; /* [parameters, parts] */
    tr_counts   counts; /* of part 0 */
} reading;

static rt_status get_part(reading *o, ds_h5 *f, const char *path, int part)
{
    tr_counts c;
    RT_TRY(get_counts(f, &c));
    if (!part) o->counts = c;
    RT_CHECK(c.step == o->counts.step, RT_EFORMAT, "%s is of step %lld, part 0 of step %lld: all parts must be of one checkpoint", path,
             (long long)c.step, (long long)o->counts.step);
    for (int i = 0; i < opt_params(o->s); i++) {
        const opt_view v = opt_at(o->s, i);
        range         *r = &o->ranges[i * o->parts + part];
        RT_TRY(get_range(f, path, i, v.size, r));
        RT_TRY(get_reals(f, i, "master", v.master, &v, *r));
        RT_TRY(get_reals(f, i, "m", v.m, &v, *r));
        RT_TRY(get_reals(f, i, "v", v.v, &v, *r));
    }
    return RT_OK;
}

static rt_status state_read_part(reading *o, int part)
{
    rt_buf    path = {0};
    ds_h5    *f    = NULL;
    rt_status st   = part_path(&path, o->dir, part, o->parts);
    if (st == RT_OK) st = ds_h5_open(&f, path.p);
    if (st == RT_OK) st = get_part(o, f, path.p, part);
    return close_part(&f, &path, st);
}

static int by_offset(const void *a, const void *b)
{
    const range *x = a, *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : (x->n > y->n) - (x->n < y->n);
}

/* RT_EFORMAT: an element of parameter i is in no part, or in two.  Sorts the ranges. */
static rt_status check_cover(const char *dir, int i, int64_t size, range *r, int n)
{
    int64_t at = 0;
    qsort(r, (size_t)n, sizeof *r, by_offset);
    for (int k = 0; k <= n; k++) {
        const int64_t next = k < n ? r[k].at : size;
        if (k < n && !r[k].n) continue;
        RT_CHECK(next <= at, RT_EFORMAT, "%s: elements %lld to %lld of parameter %d are in no part of the optimiser's state", dir,
                 (long long)at, (long long)next - 1, i);
        RT_CHECK(next >= at, RT_EFORMAT, "%s: element %lld of parameter %d is in two parts of the optimiser's state", dir, (long long)next,
                 i);
        if (k < n) at += r[k].n;
    }
    return RT_OK;
}

static rt_status read_parts(reading *o)
{
    RT_TRY(tr_state_parts(o->dir, &o->parts));
    RT_TRY(RT_NEW(o->ranges, opt_params(o->s) * o->parts));
    for (int k = 0; k < o->parts; k++) RT_TRY(state_read_part(o, k));
    for (int i = 0; i < opt_params(o->s); i++) RT_TRY(check_cover(o->dir, i, opt_at(o->s, i).size, &o->ranges[i * o->parts], o->parts));
    opt_sync_weights(o->s);
    return RT_OK;
}

rt_status tr_state_read(const char *dir, opt_state *s, tr_counts *c)
{
    reading         o  = {.dir = dir, .s = s};
    const rt_status st = read_parts(&o);
    free(o.ranges);
    if (st == RT_OK) *c = o.counts;
    return st;
}

rt_status tr_state_step(const char *dir, int part, int parts, int64_t *step)
{
    rt_buf    path = {0};
    ds_h5    *f    = NULL;
    rt_status st   = part_path(&path, dir, part, parts);
    if (st == RT_OK) st = ds_h5_open(&f, path.p);
    if (st == RT_OK) st = ds_h5_get(f, "step", DS_I64, step, 1);
    return close_part(&f, &path, st);
}
