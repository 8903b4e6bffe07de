/* bench_objective.c -- the cost of an objective: its steps alternate with steps of plain cross-entropy on the same data.
 *
 * The machine's speed changes within minutes, so each pair of steps is one measurement and the result is the median of the
 * ratios.  "Head" is the time of the head with its losses, "teacher" that of a teacher in process.
 */
#include "cli/bench.h"
#include "cli/cli.h"
#include "core/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 1000 };

typedef struct side { /* one trainer */
    tr_config   c;
    tr_trainer *t;
    double      step[MAX_STEPS], head[MAX_STEPS], teacher[MAX_STEPS];
} side;

typedef struct bench {
    const bench_options *o;
    bench_place          place;
    side                 with, ce;
    double               ratio[MAX_STEPS];
} bench;

static rt_status bench_objective_one_step(side *s, int64_t step, int64_t i)
{
    double       before[TR_WORKS], after[TR_WORKS];
    tr_metrics   m;
    const double began = rt_now();
    tr_trainer_seconds(s->t, before);
    RT_TRY(tr_trainer_step(s->t, step, &m));
    s->step[i] = rt_now() - began;
    tr_trainer_seconds(s->t, after);
    s->head[i]    = after[TR_HEAD] - before[TR_HEAD];
    s->teacher[i] = after[TR_TEACHING] - before[TR_TEACHING];
    return RT_OK;
}

static rt_status bench_objective_run_steps(bench *b)
{
    for (int64_t s = 0; s < b->o->warmup + b->o->steps; s++) {
        const int64_t i = s < b->o->warmup ? 0 : s - b->o->warmup;
        RT_TRY(bench_objective_one_step(s % 2 ? &b->with : &b->ce, s, i));
        RT_TRY(bench_objective_one_step(s % 2 ? &b->ce : &b->with, s, i));
    }
    return RT_OK;
}

static double bench_objective_ratio(bench *b, const double *x, const double *y)
{
    for (int64_t i = 0; i < b->o->steps; i++) b->ratio[i] = x[i] / y[i];
    return bench_median(b->ratio, b->o->steps);
}

typedef struct figures {
    double tok_s, ms, head_ms, teacher_ms, ce_ms, ce_head_ms, step_ratio, head_ratio;
} figures;

static figures figures_of(bench *b)
{
    const int64_t n = b->o->steps;
    figures       f = {.step_ratio = bench_objective_ratio(b, b->with.step, b->ce.step),
                       .head_ratio = bench_objective_ratio(b, b->with.head, b->ce.head)};
    f.ms            = bench_median(b->with.step, n) * 1e3;
    f.head_ms       = bench_median(b->with.head, n) * 1e3;
    f.teacher_ms    = bench_median(b->with.teacher, n) * 1e3;
    f.ce_ms         = bench_median(b->ce.step, n) * 1e3;
    f.ce_head_ms    = bench_median(b->ce.head, n) * 1e3;
    f.tok_s         = (double)(b->ce.c.sequences * b->ce.c.seq) / f.ms * 1e3;
    return f;
}

static rt_status bench_objective_print_json(const bench *b, const figures *f)
{
    rt_buf         text = {0};
    rt_json_writer w    = {.out = &text};
    rt_put_object(&w, NULL);
    rt_put_text(&w, "preset", b->place.preset->name);
    rt_put_text(&w, "objective", b->o->objective);
    rt_put_int(&w, "threads", rt_threads());
    rt_put_text(&w, "dtype", kn_type_name(b->ce.c.dtype));
    rt_put_fixed(&w, "tok_s", f->tok_s, 1);
    rt_put_fixed(&w, "ms", f->ms, 2);
    rt_put_fixed(&w, "ce_ms", f->ce_ms, 2);
    rt_put_fixed(&w, "step_ratio", f->step_ratio, 4);
    rt_put_fixed(&w, "head_ms", f->head_ms, 2);
    rt_put_fixed(&w, "ce_head_ms", f->ce_head_ms, 2);
    rt_put_fixed(&w, "head_ratio", f->head_ratio, 4);
    rt_put_fixed(&w, "teacher_ms", f->teacher_ms, 2);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static rt_status bench_objective_print_table(const bench *b, const figures *f)
{
    printf(
        "preset %s, %s, %d threads, %lld alternating pairs of steps\n\n  %-18s %10s %10s %10s %10s\n  %-18s %10.1f %10.1f %10.1f %10.0f\n"
        "  %-18s %10.1f %10.1f\n  %-18s %10.3f %10.3f\n",
        b->place.preset->name, kn_type_name(b->ce.c.dtype), rt_threads(), (long long)b->o->steps, "", "step, ms", "head, ms", "teacher",
        "tokens/s", b->o->objective, f->ms, f->head_ms, f->teacher_ms, f->tok_s, "ce", f->ce_ms, f->ce_head_ms, "ratio", f->step_ratio,
        f->head_ratio);
    return RT_OK;
}

static rt_status make_side(side *s, const bench *b, const char *kind, const char *teacher)
{
    char              words[2][160];
    const char *const more[] = {words[0], words[1], strcmp(kind, "ce") ? NULL : "objective.hidden=none", NULL};
    snprintf(words[0], sizeof words[0], "objective.kind=%s", kind);
    snprintf(words[1], sizeof words[1], "teacher.model=%s", teacher ? teacher : "null");
    RT_TRY(bench_configure(&s->c, &b->place, b->o, more));
    return tr_trainer_create(&s->t, &s->c, rt_comm_self());
}

/* Objectives of whole distributions use a teacher in process, all others the stored rows. */
static rt_status bench_objective_measure(bench *b)
{
    const ag_objective_info *kind = ag_objective_find(b->o->objective);
    RT_TRY(make_side(&b->with, b, b->o->objective, kind && kind->needs == AG_WHOLE ? b->place.teacher : NULL));
    RT_TRY(make_side(&b->ce, b, "ce", NULL));
    RT_TRY(bench_objective_run_steps(b));
    const figures f = figures_of(b);
    return (b->o->json ? bench_objective_print_json : bench_objective_print_table)(b, &f);
}

static void close_side(side *s)
{
    tr_trainer_destroy(&s->t);
    tr_config_free(&s->c);
}

rt_status bench_objective(const bench_options *o)
{
    bench *b;
    RT_CHECK(o->steps <= MAX_STEPS, RT_EINVAL, "--steps must be at most %d", MAX_STEPS);
    RT_TRY(RT_NEW(b, 1));
    b->o         = o;
    rt_status st = bench_open(&b->place, o);
    if (st == RT_OK) {
        st = bench_objective_measure(b);
        close_side(&b->with), close_side(&b->ce);
        bench_close(&b->place);
    }
    free(b);
    return st;
}
