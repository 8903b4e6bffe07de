/* bench.c -- retort bench step|gemm|optimiser|tokenizer: the speed of this machine and its upper bounds. */
#include "cli/bench.h"
#include "cli/cli.h"
#include "core/clock.h"
#include <string.h>

static rt_status bench_run(const void *options, int argc, char **argv)
{
    const bench_options *o    = options;
    const char          *what = argc ? argv[0] : "";
    const int            text = !strcmp(what, "tokenizer");
    RT_CHECK(argc == 1 || text, RT_EINVAL,
             "bench takes one of step, gemm, optimiser and tokenizer; found %d words (see 'retort bench --help')", argc);
    RT_CHECK(o->threads >= 0 && o->threads <= RT_MAX_THREADS, RT_EINVAL, "--threads must be between 1 and %d", RT_MAX_THREADS);
    RT_CHECK(o->steps >= 1 && o->warmup >= 0, RT_EINVAL, "--steps must be at least 1 and --warmup at least 0");
    if (o->threads) rt_threads_set((int)o->threads);
    if (text) return bench_tokenizer(o, argc - 1, argv + 1);
    RT_TRY(kn_init_measured());
    if (!strcmp(what, "step")) return o->objective ? bench_objective(o) : bench_step(o);
    if (!strcmp(what, "products")) {
        rt_note("'bench products' is now called 'bench gemm'; version 0.3 will no longer accept the old name");
        what = "gemm";
    }
    if (!strcmp(what, "gemm")) return bench_gemm(o);
    if (!strcmp(what, "optimiser")) return bench_optimiser(o);
    RT_FAIL(RT_EINVAL, "bench: expected step, gemm, optimiser or tokenizer, found '%s'", what);
}

static const rt_option options[] = {
    {"preset", RT_OPT_TEXT, offsetof(bench_options, preset), "NAME", "step: size of model and batch, XS, S or M (default S)"},
    {"objective", RT_OPT_TEXT, offsetof(bench_options, objective), "KIND",
     "step: alternate steps of this objective (objective.kind) with steps of cross-entropy and report the ratio of their times"},
    {"set", RT_OPT_LIST, offsetof(bench_options, set), "KEY=VALUE", "step: change a configuration key, as in retort train"},
    {"steps", RT_OPT_INT, offsetof(bench_options, steps), "N", "number of steps that are timed (default 8)"},
    {"warmup", RT_OPT_INT, offsetof(bench_options, warmup), "N", "number of steps before them that are not timed (default 3)"},
    {"threads", RT_OPT_INT, offsetof(bench_options, threads), "N",
     "number of threads (default: OMP_NUM_THREADS, or one per core that the process may use; tokenizer: 1)"},
    {"json", RT_OPT_FLAG, offsetof(bench_options, json), NULL, "print the result as one JSON object"},
    {0}};

static const bench_options defaults = {.preset = "S", .steps = 8, .warmup = 3};

const rt_command cli_bench = {
    .name     = "bench",
    .usage    = "step|gemm|optimiser|tokenizer DIR FILE... [--preset S] [--threads N]",
    .summary  = "measure how fast this machine trains and encodes text",
    .text     = "Measures speed on this machine. The training benches make their data in a temporary folder that\n"
                "is removed afterwards.\n\n"
                "step        runs training steps on random text with the 16 most likely tokens of a random teacher.\n"
                "            It reports tokens/s, the floating-point rate, memory and the time of each part of the\n"
                "            step. The main figure is 'gemm / step': the time that the step's matrix products take\n"
                "            when they run alone, divided by the time of the whole step.\n"
                "gemm        measures the rate of square matrix products with each gemm backend: Retort's own and\n"
                "            OpenBLAS.\n"
                "optimiser   compares the memory bandwidth of AdamW's pass over weights, moments and gradients with\n"
                "            that of memcpy.\n"
                "tokenizer   encodes text files with the tokenizer in DIR, in memory: the files are cut at line ends\n"
                "            into documents of 64 KB. 'cold' is the rate of a first pass, which learns the words of the\n"
                "            text; 'warm' that of a second pass, which knows them. A long text is encoded at a rate\n"
                "            between them. A MB is 10^6 bytes of UTF-8; without --threads one thread is used. The rate\n"
                "            by CPU time hardly depends on what else runs on the machine.\n\n"
                "Presets of 'step': XS has a toy model; S has 12.6 million parameters and steps of 8 x 512 tokens;\n"
                "M has 100 million parameters and steps of 4 x 512 tokens.\n\n"
                "  retort bench step --preset S --threads 2\n"
                "  retort bench step --objective kl            (an in-process teacher of the student's size)\n"
                "  retort bench tokenizer models/student corpus.txt --threads 2\n"
                "  retort bench step --preset S --set data.seq=2048 batch.sequences=2 recompute=true",
    .options  = options,
    .size     = sizeof(bench_options),
    .defaults = &defaults,
    .run      = bench_run,
};
