/* choice.c -- which gemm backend computes a product, and why.
 *
 * A backend of reals takes every product; beside it a backend of bf16 may take the products of two bf16 operands.  RETORT_GEMM names
 * them.  Without it the candidates' rates decide, from the cache (rates.c) or measured (timing.c).  Without rates the order of the list does.
 */
#include "core/progress.h"
#include "kernels/gemm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the default order.  A later backend is chosen only if it is faster than an earlier one by the factor LEAD. */
static const kn_gemm_backend *const backends[] = {&kn_gemm_bf16, &kn_gemm_own, &kn_gemm_openblas};
enum { BACKENDS = sizeof backends / sizeof *backends };
static const double LEAD = 1.1;
_Static_assert((int)BACKENDS <= (int)KN_CANDIDATES, "every backend may be a candidate");

static const kn_gemm_backend *g_real = &kn_gemm_own, *g_bf16; /* g_bf16 is NULL: g_real takes all products */
static kn_candidate           g_candidate[BACKENDS];
static int                    g_candidates;
static int                    g_requested, g_measured;
static char                   g_why[256];

const kn_gemm_backend *kn_gemm_backend_of(kn_type a, kn_type b) { return g_bf16 && a == KN_BF16 && b == KN_BF16 ? g_bf16 : g_real; }

kn_type kn_gemm_operand(kn_type t) { return g_bf16 && t == KN_BF16 ? KN_BF16 : KN_REAL; }

const kn_gemm_kernel *kn_gemm_kernel_of(kn_type operands) { return operands == KN_BF16 ? &kn_get()->gemm_bf16 : &kn_get()->gemm; }

static const kn_gemm_backend *gemm_find(const char *name)
{
    for (int i = 0; i < BACKENDS; i++)
        if (!strcmp(backends[i]->name, name)) return backends[i];
    return NULL;
}

/* ---- a request ------------------------------------------------------------------------------------------------- */

/* Sets *name to the requested backend, or to NULL, and returns the variable that requests it.  The older name is read until version 0.3. */
static const char *requested(const char **name)
{
    const char *variable = "RETORT_GEMM";
    *name                = getenv(variable);
    if (!*name || !**name) {
        *name = getenv(variable = "RETORT_PRODUCT");
        if (*name && **name) rt_note("RETORT_PRODUCT is now called RETORT_GEMM; version 0.3 will no longer accept the old name");
    }
    if (*name && (!**name || !strcmp(*name, "auto"))) *name = NULL;
    return variable;
}

static rt_status gemm_unknown(const char *variable, const char *name)
{
    char known[128] = "auto";
    for (int i = 0; i < BACKENDS; i++) strcat(strcat(known, ", "), backends[i]->name);
    RT_FAIL(RT_EINVAL, "%s=%s: expected one of %s; unset it for the fastest on this CPU", variable, name, known);
}

/* ---- the choice ------------------------------------------------------------------------------------------------ */

/* Operations on reals that only emulate bf16 are slower than a backend of reals, so they are not a candidate. */
static int is_candidate(const kn_gemm_backend *b) { return b->ready() && !(b->operands == KN_BF16 && kn_get()->gemm_bf16.emulated); }

/* Returns the index of the fastest candidate for operands of this type; -1: there is none. */
static int fastest(kn_type operands)
{
    int at = -1;
    for (int i = 0; i < g_candidates; i++)
        if (g_candidate[i].backend->operands == operands && (at < 0 || g_candidate[i].gflops > LEAD * g_candidate[at].gflops)) at = i;
    return at;
}

static void choose_from_candidates(void)
{
    const int f32 = fastest(KN_REAL), bf16 = fastest(KN_BF16);
    g_real = g_candidate[f32].backend;
    g_bf16 = bf16 >= 0 && g_candidate[f32].gflops <= LEAD * g_candidate[bf16].gflops ? g_candidate[bf16].backend : NULL;
}

static void find_candidates(void)
{
    g_candidates = 0;
    for (int i = 0; i < BACKENDS; i++)
        if (is_candidate(backends[i])) g_candidate[g_candidates++] = (kn_candidate){backends[i], 0};
}

static void say_order(void)
{
    int n = snprintf(g_why, sizeof g_why, "not measured, the first of");
    for (int i = 0; i < g_candidates; i++)
        n += snprintf(g_why + n, sizeof g_why - (size_t)n, "%s %s", i ? "," : "", g_candidate[i].backend->name);
}

static void say_rates(void)
{
    int n = snprintf(g_why, sizeof g_why, "measured");
    for (int i = 0; i < g_candidates; i++)
        n +=
            snprintf(g_why + n, sizeof g_why - (size_t)n, "%s %s %.0f", i ? "," : ":", g_candidate[i].backend->name, g_candidate[i].gflops);
    snprintf(g_why + n, sizeof g_why - (size_t)n, " GFLOP/s on one thread");
}

/* The rates decide or, if they are unknown, the order. */
static void choose_backends(int measured)
{
    g_measured = measured;
    if (measured) say_rates();
    else say_order();
    choose_from_candidates();
}

rt_status kn_gemm_choose(const kn_table *table)
{
    const char            *name, *variable = requested(&name);
    const kn_gemm_backend *chosen = name ? gemm_find(name) : &kn_gemm_own;
    if (!chosen) return gemm_unknown(variable, name);
    for (int i = 0; i < BACKENDS; i++) {
        const rt_status st = backends[i]->load(table);
        if (backends[i] == chosen) RT_TRY(st); /* the other backends are optional */
    }
    g_requested = name != NULL;
    find_candidates();
    if (!g_requested) return choose_backends(g_candidates > 1 && kn_rates_read(g_candidate, g_candidates)), RT_OK;
    snprintf(g_why, sizeof g_why, "set by %s", variable);
    return kn_gemm_use(chosen->name, kn_gemm_own.name);
}

void kn_gemm_measure(void)
{
    if (g_requested || g_measured || g_candidates < 2 || !kn_rates_may_write()) return;
    const int kept = kn_time_candidates(g_candidate, g_candidates) && kn_rates_write(g_candidate, g_candidates);
    if (!kept) find_candidates(); /* forgets rates that the next run would not find */
    choose_backends(kept);
}

rt_status kn_gemm_use(const char *backend, const char *of_reals)
{
    const kn_gemm_backend *b = gemm_find(backend), *r = gemm_find(of_reals);
    RT_CHECK(b && b->ready(), RT_EINVAL, "the gemm backend \"%s\" cannot run on this machine", backend);
    RT_CHECK(r && r->ready() && r->operands == KN_REAL, RT_EINVAL, "the gemm backend \"%s\" cannot multiply reals on this machine",
             of_reals);
    g_real = b->operands == KN_REAL ? b : r;
    g_bf16 = b->operands == KN_BF16 ? b : NULL;
    return RT_OK;
}

rt_status kn_gemm_take(const char *backend, const char *of_reals, const char *why)
{
    RT_TRY(kn_gemm_use(backend, of_reals));
    snprintf(g_why, sizeof g_why, "%s", why);
    return RT_OK;
}

/* ---- what was chosen ------------------------------------------------------------------------------------------- */

const char *kn_gemm_name(void) { return g_bf16 ? g_bf16->name : g_real->name; }
const char *kn_gemm_name_of_reals(void) { return g_real->name; }
const char *kn_gemm_why(void) { return g_why; }
int         kn_gemm_requested(void) { return g_requested; }

const char *kn_gemm_describe(void)
{
    static char text[320];
    if (!g_bf16) return g_real->describe();
    snprintf(text, sizeof text, "%s, of reals %s", g_bf16->describe(), g_real->describe());
    return text;
}

const char *kn_gemm_name_at(int i)
{
    for (int b = 0; b < BACKENDS; b++)
        if (backends[b]->ready() && !i--) return backends[b]->name;
    return NULL;
}

void kn_gemm_put(rt_json_writer *w, const char *key)
{
    const kn_gemm_kernel *g = kn_gemm_kernel_of(g_bf16 ? KN_BF16 : KN_REAL);
    rt_put_object(w, key);
    rt_put_text(w, "backend", kn_gemm_name());
    rt_put_text(w, "of_reals", g_real->name);
    rt_put_text(w, "kernel", kn_get()->isa);
    rt_put_text(w, "instruction", g->name);
    rt_put_format(w, "tile", "%lldx%lld", (long long)g->mr, (long long)g->nr);
    if (g_real == &kn_gemm_openblas) rt_put_text(w, "openblas", kn_blas_kernel());
    rt_put_end(w);
}
