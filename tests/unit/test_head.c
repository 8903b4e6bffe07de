/* test_head.c -- rows through the head: which rows count, their means, teachers of other sizes, entries that are drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/rng.h"
#include "tests/support/objective.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 7, V = 19, K = 2, C = 5 };

typedef struct head {
    ag_graph  *g;
    ag_plan   *p;
    ag_targets t;
    int32_t    target[ROWS], ids[ROWS * K], tail[ROWS];
    uint8_t    loss_mask[ROWS];
    float      logp[ROWS * K], entropy[ROWS];
    real       x[ROWS * V], w[V * V], dx[ROWS * V], dw[V * V], hidden[ROWS * C], teacher[V * C];
    int        drawn[ROWS]; /* how often a row's entries were asked for */
} head;

static real   g_y[V], g_work[3 * V]; /* logits of the teacher; work space of a row */
static double g_q[V], g_p[V];
static double g_cap, g_teacher_cap; /* of the student's and the teacher's logits; 0: none */

static void fill_head(head *h)
{
    rt_rng r = {5};
    for (int n = 0; n < ROWS; n++) {
        h->target[n] = n, h->entropy[n] = 0.1f, h->tail[n] = 18 - n;
        for (int i = 0; i < K; i++) h->ids[n * K + i] = n + 1 + i, h->logp[n * K + i] = logf(0.5f / (float)(i + 1));
    }
    for (int i = 0; i < ROWS * V; i++) h->x[i] = (real)rt_rng_normal(&r), h->dx[i] = (real)NAN;
    for (int i = 0; i < V * V; i++) h->w[i] = i % (V + 1) == 0, h->dw[i] = (real)NAN;
    for (int i = 0; i < ROWS * C; i++) h->hidden[i] = (real)rt_rng_normal(&r);
    for (int i = 0; i < V * C; i++) h->teacher[i] = (real)rt_rng_normal(&r);
}

/* An identity as weights: hidden states are logits.  Gradients begin as NaN: they must be set. */
static void make_head(head *h, ag_objective o)
{
    const ag_plan_opts opts = {.poison = 1};
    memset(h, 0, sizeof *h);
    fill_head(h);
    h->t = (ag_targets){.settings = {.objective = o, .ce_weight = 0.5, .k = K, .m = 1, .beta = 0.5, .alpha = 0.1}, .rows.scale = 0.25};
    h->t.rows.target = h->target, h->t.rows.loss_mask = h->loss_mask, h->t.rows.topk_ids = h->ids, h->t.rows.topk_logprob = h->logp;
    h->t.rows.tail_ids = h->tail, h->t.rows.tail_entropy = h->entropy;
    h->t.rows.teacher = (ag_teacher){.hidden = h->hidden, .w = h->teacher, .C = C, .cap = g_teacher_cap};
    assert_int_equal(ag_graph_create(&h->g, KN_REAL), RT_OK);
    const ag_id x = ag_param(h->g, "x", KN_REAL, 2, (int64_t[]){ROWS, V}), t = ag_opaque(h->g, "targets");
    const ag_id w    = ag_param(h->g, "w", KN_REAL, 2, (int64_t[]){V, V});
    const ag_id loss = ag_head(h->g, x, w, t, &(ag_head_opts){.teacher = C, .work = 1, .cap = g_cap});
    if (ag_plan_create(&h->p, h->g, loss, &opts) != RT_OK) fail_msg("%s", rt_error_text());
    ag_plan_bind(h->p, x, h->x, h->dx), ag_plan_bind(h->p, w, h->w, h->dw), ag_plan_bind(h->p, t, &h->t, NULL);
}

static void cap_row(real *z, double cap)
{
    for (int v = 0; v < V && cap > 0; v++) z[v] = (real)(cap * tanh((double)z[v] / cap));
}

/* The gradient, in z, is that of the logits before the cap. */
static ag_row_result row_loss(head *h, int n, real *z)
{
    real capped[V];
    for (int v = 0; v < V; v++) {
        g_y[v] = 0;
        for (int c = 0; c < C; c++) g_y[v] += h->teacher[v * C + c] * h->hidden[n * C + c];
    }
    cap_row(g_y, g_teacher_cap), cap_row(z, g_cap);
    memcpy(capped, z, sizeof capped);
    const ag_row        r = {kn_get(), &h->t.settings, &h->t.rows, n, V, z, g_y, g_work};
    const ag_row_result o = ag_row_loss(&r, 1);
    for (int v = 0; v < V && g_cap > 0; v++) z[v] *= (real)(1 - (double)capped[v] * (double)capped[v] / (g_cap * g_cap));
    return o;
}

static void check_rows(head *h)
{
    double loss = 0, kl = 0, ce = 0;
    real   dz[ROWS * V];
    memcpy(dz, h->x, sizeof dz);
    for (int n = 0; n < ROWS; n++) {
        if (!h->loss_mask[n]) {
            memset(dz + n * V, 0, V * sizeof *dz);
            continue;
        }
        const ag_row_result r = row_loss(h, n, dz + n * V);
        loss += h->t.rows.scale * r.loss, kl += h->t.rows.scale * r.kl, ce += h->t.rows.scale * r.ce;
    }
    close_to("loss", h->t.result.loss, loss), close_to("kl", h->t.result.kl, kl), close_to("ce", h->t.result.ce, ce);
    for (int i = 0; i < ROWS * V; i++) close_to("dx", (double)h->dx[i], (double)dz[i]);
    for (int v = 0; v < V; v++)
        for (int c = 0; c < V; c++) {
            double want = 0;
            for (int n = 0; n < ROWS; n++) want += (double)dz[n * V + v] * (double)h->x[n * V + c];
            close_to("dw", (double)h->dw[v * V + c], want);
        }
}

static void rows_without_target_get_no_gradient(void **state)
{
    static const uint8_t masks[] = {0x7f, 0x01, 0x40, 0x2a, 0x00}; /* all, first, last, every other, none */
    static head          h;
    (void)state;
    for (int o = AG_SAMPLED; o < AG_OBJECTIVES; o++)
        for (size_t k = 0; k < sizeof masks; k++) {
            make_head(&h, (ag_objective)o);
            int64_t rows = 0;
            for (int n = 0; n < ROWS; n++) rows += h.loss_mask[n] = masks[k] >> n & 1;
            const double loss = ag_step(h.p, 0);
            assert_int_equal(h.t.result.rows, rows);
            close_to("the step's loss", loss, h.t.result.loss);
            close_to("the forward pass's loss", ag_forward(h.p), loss);
            if (!rows) assert_true(loss == 0 && h.t.result.kl == 0 && h.t.result.ce == 0);
            check_rows(&h);
            ag_plan_destroy(&h.p), ag_graph_destroy(&h.g);
        }
}

static void caps_are_those_of_student_and_teacher(void **state)
{
    static const double caps[][2] = {{1.5, 0}, {0, 0.7}, {1.5, 0.7}};
    static head         h;
    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (int o = AG_SAMPLED; o < AG_OBJECTIVES; o++) {
            g_cap = caps[i][0], g_teacher_cap = caps[i][1];
            make_head(&h, (ag_objective)o);
            memset(h.loss_mask, 1, sizeof h.loss_mask);
            ag_step(h.p, 0);
            check_rows(&h);
            ag_plan_destroy(&h.p), ag_graph_destroy(&h.g);
        }
    g_cap = g_teacher_cap = 0;
}

/* kl is the mean over the rows of which an exact entry is known, by their weights; the mean of none is NaN. */
static void rows_without_an_entry_have_no_divergence(void **state)
{
    static const float weight[ROWS] = {1, 2, 0.5F, 1, 3, 1, 0.25F};
    static head        h;
    (void)state;
    for (int o = 0; o < AG_OBJECTIVES; o++)
        for (int missing = 0; needs(o) == AG_ENTRIES && missing <= ROWS; missing++) {
            double kl = 0, known = 0, all = 0;
            make_head(&h, (ag_objective)o);
            h.t.rows.weight = weight;
            memset(h.loss_mask, 1, sizeof h.loss_mask);
            for (int i = 0; i < missing * K; i++) h.ids[i] = -1;
            for (int n = 0; n < ROWS; n++) all += (double)weight[n];
            h.t.rows.scale = 1 / all;
            ag_step(h.p, 0);
            for (int n = missing; n < ROWS; n++) {
                real z[V];
                memcpy(z, h.x + n * V, sizeof z);
                kl += row_loss(&h, n, z).kl;
                known += (double)weight[n];
            }
            const double got = ag_mean_kl(h.t.result.kl, h.t.result.kl_missing);
            close_to("kl_missing", h.t.result.kl_missing, 1 - known / all);
            if (missing == ROWS) assert_true(isnan(got));
            else close_to("mean kl", got, kl / known);
            ag_plan_destroy(&h.p), ag_graph_destroy(&h.g);
        }
}

/* A teacher with rows that the student lacks is its first rows; one that lacks the student's last rows gives these ids nothing. */
static void matrices_may_be_padded_to_different_sizes(void **state)
{
    enum { LACKS = 4 };
    static head h;
    double      kl = 0, loss[2];
    (void)state;
    for (int padded = 0; padded < 2; padded++) {
        make_head(&h, AG_KL);
        h.t.rows.teacher.V = padded ? V + 3 : 0;
        memset(h.loss_mask, 1, sizeof h.loss_mask);
        loss[padded] = ag_step(h.p, 0);
        ag_plan_destroy(&h.p), ag_graph_destroy(&h.g);
    }
    assert_true(loss[0] == loss[1]);
    for (int o = 0; o < AG_OBJECTIVES; o++) {
        if (needs(o) != AG_WHOLE) continue;
        make_head(&h, (ag_objective)o);
        h.t.rows.teacher.V       = V - LACKS;
        h.t.settings.temperature = o % 2 ? 2 : 1;
        memset(h.loss_mask, 1, sizeof h.loss_mask);
        assert_true(isfinite(ag_step(h.p, 0)));
        for (int i = 0; i < ROWS * V; i++) assert_true(isfinite(h.dx[i]));
        for (int n = 0; o == AG_KL && n < ROWS; n++) {
            real y[V] = {0};
            for (int i = 0; i < (V - LACKS) * C; i++) y[i / C] += h.teacher[i] * h.hidden[n * C + i % C];
            softmax(g_p, y, V - LACKS, o % 2 ? 2 : 1);
            softmax(g_q, h.x + n * V, V, o % 2 ? 2 : 1);
            for (int v = 0; v < V - LACKS; v++) kl += h.t.rows.scale * g_p[v] * log(g_p[v] / g_q[v]);
        }
        if (o == AG_KL) close_to("kl", h.t.result.kl, kl);
        ag_plan_destroy(&h.p), ag_graph_destroy(&h.g);
    }
}

/* Entries are drawn from the teacher's logits just before a row's loss; here always the same ones. */
static void draw_row(void *ud, int64_t n, const real *logits, int64_t size)
{
    head  *h = ud;
    double y = 0;
    for (int c = 0; c < C; c++) y += (double)h->teacher[(size - 1) * C + c] * (double)h->hidden[n * C + c];
    close_to("the teacher's last logit", (double)logits[size - 1], y);
    h->drawn[n]++;
    h->logp[n * K] = logf(0.5f);
}

static void entries_are_drawn_from_the_teacher(void **state)
{
    static head h;
    double      loss[2];
    (void)state;
    for (int drawn = 0; drawn < 2; drawn++) {
        make_head(&h, AG_SAMPLED);
        if (drawn) h.t.rows.teacher.draw = draw_row, h.t.rows.teacher.draw_ud = &h;
        for (int n = 0; n < ROWS; n++) {
            h.loss_mask[n] = n != 3;
            if (drawn) h.logp[n * K] = (float)NAN; /* to be filled */
        }
        loss[drawn] = ag_step(h.p, 0);
        for (int n = 0; n < ROWS; n++) assert_int_equal(h.drawn[n], drawn && n != 3);
        ag_plan_destroy(&h.p), ag_graph_destroy(&h.g);
    }
    close_to("loss", loss[1], loss[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_without_target_get_no_gradient),       cmocka_unit_test(caps_are_those_of_student_and_teacher),
        cmocka_unit_test(entries_are_drawn_from_the_teacher),        cmocka_unit_test(rows_without_an_entry_have_no_divergence),
        cmocka_unit_test(matrices_may_be_padded_to_different_sizes),
    };
    if (kn_init() != RT_OK) return fprintf(stderr, "%s\n", rt_error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
