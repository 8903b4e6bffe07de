/* bench.c -- retort bench step|gemm|optimiser: the training speed of this machine and its upper bounds. */
#include "cli/bench.h"
#include "cli/cli.h"
#include "core/clock.h"
#include <string.h>

static rt_status run(const void *options, int argc, char **argv)
{
    const bench_options *o    = options;
    const char          *what = argc ? argv[0] : "";
    RT_CHECK(argc == 1, RT_EINVAL, "bench: expected one of step, gemm, optimiser (see 'retort bench --help')");
    RT_CHECK(o->threads >= 0 && o->threads <= RT_MAX_THREADS, RT_EINVAL, "--threads must be between 1 and %d", RT_MAX_THREADS);
    RT_CHECK(o->steps >= 1 && o->warmup >= 0, RT_EINVAL, "--steps must be at least 1 and --warmup at least 0");
    if (o->threads) rt_threads_set((int)o->threads);
    RT_TRY(kn_init());
    if (!strcmp(what, "step")) return o->objective ? bench_objective(o) : bench_step(o);
    if (!strcmp(what, "products")) {
        rt_note("'bench products' is now called 'bench gemm'; version 0.3 will not know it any more");
        what = "gemm";
    }
    if (!strcmp(what, "gemm")) return bench_gemm(o);
    if (!strcmp(what, "optimiser")) return bench_optimiser(o);
    RT_FAIL(RT_EINVAL, "bench: there is no '%s'; expected step, gemm or optimiser", what);
}

static const rt_option options[] = {
    {"preset", RT_OPT_TEXT, offsetof(bench_options, preset), "NAME", "model and batch of 'step': XS, S (default) or M"},
    {"objective", RT_OPT_TEXT, offsetof(bench_options, objective), "KIND",
     "'step': steps of this objective (objective.kind) and of plain cross-entropy in turn, and the ratio of their times"},
    {"set", RT_OPT_LIST, offsetof(bench_options, set), "KEY=VALUE", "change a configuration key of 'step', as in retort train"},
    {"steps", RT_OPT_INT, offsetof(bench_options, steps), "N", "steps that count (default 8)"},
    {"warmup", RT_OPT_INT, offsetof(bench_options, warmup), "N", "steps before them (default 3)"},
    {"threads", RT_OPT_INT, offsetof(bench_options, threads), "N", "threads (default: the cores that it may use)"},
    {"json", RT_OPT_FLAG, offsetof(bench_options, json), NULL, "the result as one JSON object"},
    {0}};

static const bench_options defaults = {.preset = "S", .steps = 8, .warmup = 3};

const rt_command cli_bench = {
    .name     = "bench",
    .usage    = "step|gemm|optimiser [--preset S] [--threads N]",
    .summary  = "how fast this machine trains, and against what",
    .text     = "step        real training steps on random text and a random teacher's 16 most likely tokens: tokens/s,\n"
                "            floating-point rate, memory, where the time goes, and the figure to watch: the time that the\n"
                "            step's own matrix products take when they run alone, over the time of the step\n"
                "gemm        the rate of matrix products by each gemm backend: ours and OpenBLAS's\n"
                "optimiser   AdamW's one pass over weights, moments and gradients against copying memory\n\n"
                "XS is a toy, S has 12.6 million parameters and steps of 8 x 512 tokens, M 100 million and 4 x 512.\n\n"
                "  retort bench step --preset S --threads 2\n"
                "  retort bench step --objective kl            (a teacher of the student's size, in process)\n"
                "  retort bench step --preset S --set data.seq=2048 batch.sequences=2 recompute=true",
    .options  = options,
    .size     = sizeof(bench_options),
    .defaults = &defaults,
    .run      = run,
};
