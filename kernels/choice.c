/* choice.c -- which gemm backend computes a product.
 *
 * A backend of reals takes every product; beside it a backend of bf16 may take the products of two bf16 operands.
 * RETORT_GEMM=own|bf16|openblas chooses.  Without it the kernel table says which is faster on this CPU.
 */
#include "core/progress.h"
#include "kernels/gemm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const kn_gemm_backend *const backends[] = {&kn_gemm_bf16, &kn_gemm_own, &kn_gemm_openblas};
enum { BACKENDS = sizeof backends / sizeof *backends };

static const kn_gemm_backend *g_real = &kn_gemm_own, *g_bf16; /* g_bf16 is NULL: g_real takes all products */

const kn_gemm_backend *kn_gemm_backend_of(kn_type a, kn_type b) { return g_bf16 && a == KN_BF16 && b == KN_BF16 ? g_bf16 : g_real; }

kn_type kn_gemm_operand(kn_type t) { return g_bf16 && t == KN_BF16 ? KN_BF16 : KN_REAL; }

const kn_gemm_kernel *kn_gemm_kernel_of(kn_type operands) { return operands == KN_BF16 ? &kn_get()->gemm_bf16 : &kn_get()->gemm; }

static void take(const kn_gemm_backend *b, const kn_gemm_backend *of_reals)
{
    g_real = b->operands == KN_REAL ? b : of_reals;
    g_bf16 = b->operands == KN_BF16 ? b : NULL;
}

static const kn_gemm_backend *gemm_find(const char *name)
{
    for (int i = 0; i < BACKENDS; i++)
        if (!strcmp(backends[i]->name, name)) return backends[i];
    return NULL;
}

/* Sets *name to the requested backend, or leaves it, and returns the variable that requests it.  The older name is read until version 0.3. */
static const char *requested(const char **name)
{
    const char *now = getenv("RETORT_GEMM"), *old = getenv("RETORT_PRODUCT");
    if (now && *now) {
        *name = now;
        return "RETORT_GEMM";
    }
    if (!old || !*old) return NULL;
    rt_note("RETORT_PRODUCT is now called RETORT_GEMM; version 0.3 will no longer accept the old name");
    *name = old;
    return "RETORT_PRODUCT";
}

static rt_status gemm_unknown(const char *variable, const char *name)
{
    char known[128] = "";
    for (int i = 0; i < BACKENDS; i++) strcat(strcat(known, i ? ", " : ""), backends[i]->name);
    RT_FAIL(RT_EINVAL, "%s=%s: expected one of %s; unset it for the default of this CPU", variable, name, known);
}

/* Without a request: bf16 where the CPU has an instruction for it, else the table's backend. */
static const char *default_of(const kn_table *t) { return t->gemm_bf16.step && !t->gemm_bf16.emulated ? kn_gemm_bf16.name : t->backend; }

rt_status kn_gemm_choose(const kn_table *table)
{
    const char            *name = default_of(table), *variable = requested(&name);
    const kn_gemm_backend *chosen = gemm_find(name);
    if (!chosen) return gemm_unknown(variable, name);
    for (int i = 0; i < BACKENDS; i++) {
        const rt_status st = backends[i]->load(table);
        if (backends[i] == chosen) RT_TRY(st); /* the other backends are optional */
    }
    take(chosen, gemm_find(table->backend)->ready() ? gemm_find(table->backend) : &kn_gemm_own);
    return RT_OK;
}

const char *kn_gemm_name(void) { return g_bf16 ? g_bf16->name : g_real->name; }

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

rt_status kn_gemm_use(const char *backend)
{
    const kn_gemm_backend *b = gemm_find(backend);
    RT_CHECK(b && b->ready(), RT_EINVAL, "the gemm backend \"%s\" cannot run on this machine", backend);
    take(b, &kn_gemm_own);
    return RT_OK;
}
