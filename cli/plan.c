/* plan.c -- retort plan: memory and time of a training run before it is started. */
#include "cli/cli.h"
#include "cli/measure.h"
#include "core/file.h"
#include "kernels/kernels.h"
#include "train/train.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USUAL = 80 }; /* typical percentage of a step spent in gemm (experiments/speed) */

typedef struct plan_options {
    rt_strings set;
    int64_t    threads, ranks, per_node;
    int        graph, json;
} plan_options;

static rt_status tokenizer_size(const char *dir, int64_t *V)
{
    ds_tokenizer *t;
    RT_TRY(ds_tokenizer_load(&t, dir));
    *V = ds_tokenizer_size(t);
    ds_tokenizer_destroy(&t);
    return RT_OK;
}

/* Determines the model's shape, the vocabulary and the contents of a row from model.init and the shards if they can be read,
 * else from what the configuration requires. */
static rt_status look_at_inputs(const tr_config *c, md_config *shape, ds_info *info)
{
    ds_shard                *s     = NULL;
    const ag_objective_info *kind  = c->objective.kind == DI_AUTO ? NULL : &ag_objectives[c->objective.kind];
    const int                there = c->train.n && rt_file_exists(c->train.v[0]);
    if (strcmp(c->init, "new")) RT_TRY(md_config_read(shape, c->init));
    if (!shape->V && !there && c->tokenizer) RT_TRY(tokenizer_size(c->tokenizer, &shape->V));
    RT_CHECK(shape->V || c->train.n, RT_EINVAL,
             "the vocabulary size is unknown; set data.train to a shard, model.tokenizer to a tokenizer folder, or model.V");
    *info = (ds_info){.soft  = 1,
                      .vocab = shape->V,
                      .k     = c->objective.k >= 0 ? c->objective.k : 16,
                      .m     = c->objective.m >= 0     ? c->objective.m
                               : kind && kind->samples ? 16
                                                       : 0};
    if (kind && kind->needs == AG_WHOLE) info->codec_bytes = 64, info->rank = 8 * info->codec_bytes; /* upper bound of the rank */
    if (shape->V && !there) return RT_OK;
    RT_TRY(ds_shard_open(&s, c->train.v[0]));
    *info = *ds_shard_info(s);
    if (!shape->V) shape->V = info->vocab;
    ds_shard_close(&s);
    return RT_OK;
}

static rt_status say_objective(rt_buf *b, const tr_config *c, const ds_info *info)
{
    di_objective o;
    RT_TRY(di_objective_resolve(&o, &c->objective, info, c->train.v[0]));
    return di_objective_say(b, &o);
}

static rt_status plan_print_json(const tr_memory *m, const rt_buf *learnt, int fits, double gflops, double seconds)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    rt_put_object(&w, NULL);
    rt_put_int(&w, "parameters", m->parameters);
    rt_put_bytes(&w, "objective", learnt->p, learnt->len);
    rt_put_object(&w, "bytes");
    for (int i = 0; i < TR_MEMORY_CATEGORIES; i++) rt_put_int(&w, tr_memory_category_name(i), m->bytes[i]);
    rt_put_end(&w);
    rt_put_int(&w, "total", m->total);
    rt_put_int(&w, "available", rt_memory_available());
    rt_put_bool(&w, "fits", fits);
    rt_put_real(&w, "flops", m->flops, 6);
    rt_put_fixed(&w, "product_gflops", gflops, 1);
    rt_put_fixed(&w, "seconds", seconds, 4);
    rt_put_int(&w, "steps", m->plan.n_steps);
    rt_put_int(&w, "buffers", m->plan.n_buffers);
    rt_put_end(&w);
    return cli_print_line(&w);
}

static void plan_print_table(const tr_config *c, const tr_memory *m, const char *learnt, double gflops, double seconds)
{
    cli_print("%.1f million parameters, %s, %lld sequences of %lld tokens per step, %lld at a time\n%s\n\n", (double)m->parameters * 1e-6,
              kn_type_name(c->dtype), (long long)c->sequences, (long long)c->seq, (long long)m->micro, learnt);
    for (int i = 0; i < TR_MEMORY_CATEGORIES; i++)
        if (m->bytes[i]) printf("  %-24s %10.1f MB\n", tr_memory_category_name(i), (double)m->bytes[i] * 1e-6);
    printf("  %-24s %10.1f MB   (%.1f MB available)\n\n", "in all", (double)m->total * 1e-6, (double)rt_memory_available() * 1e-6);
    printf("  %-24s %10.1f MB   of the activations are kept from forward to backward\n", "kept", (double)m->plan.kept_bytes * 1e-6);
    printf("  %-24s %10.1f MB   would be used if no two buffers shared memory (%d buffers, %d steps)\n", "without sharing",
           (double)m->plan.sum_bytes * 1e-6, m->plan.n_buffers, m->plan.n_steps);
    printf("  %-24s %10.1f GFLOP per step and rank\n", "work", m->flops * 1e-9);
    printf("  %-24s %10.2f s      per step, at the %.0f GFLOP/s of gemm here if gemm takes %d %% of the step; %lld steps: %.1f h\n", "time",
           seconds, gflops, USUAL, (long long)c->steps, seconds * (double)c->steps / 3600);
}

static rt_status plan_show(const plan_options *o, const tr_config *c)
{
    rt_buf    learnt = {0};
    md_config shape  = c->shape;
    tr_memory m;
    ds_info   info;
    double    gflops;
    rt_buf    graph = {0};
    rt_comm   world = *rt_comm_self();
    RT_TRY(look_at_inputs(c, &shape, &info));
    RT_TRY(md_config_check(&shape));
    world.size   = (int)o->ranks;
    world.local  = (int)(o->per_node && o->per_node < o->ranks ? o->per_node : o->ranks);
    rt_status st = tr_estimate(&m, c, &shape, (int)o->ranks, &info, o->graph ? &graph : NULL);
    if (st == RT_OK) st = say_objective(&learnt, c, &info);
    if (st == RT_OK) st = cli_measure_gemm(&gflops, c->dtype, 960, 0.3);
    if (st == RT_OK) {
        const double    seconds = m.flops * 1e-9 / gflops * 100 / USUAL;
        const rt_status fit     = tr_check_fit(c, &shape, &world, &info);
        if (o->json) st = plan_print_json(&m, &learnt, fit == RT_OK, gflops, seconds);
        else plan_print_table(c, &m, learnt.p, gflops, seconds);
        if (o->graph) printf("\n%s", graph.p);
        if (st == RT_OK) st = fit;
    }
    rt_buf_free(&graph);
    rt_buf_free(&learnt);
    return st;
}

static rt_status plan_run(const void *options, int argc, char **argv)
{
    const plan_options *o = options;
    tr_config           c;
    RT_CHECK(argc == 1, RT_EINVAL, "plan takes one CONFIG.json, found %d arguments (see 'retort plan --help')", argc);
    RT_CHECK(o->threads >= 0 && o->threads <= RT_MAX_THREADS, RT_EINVAL, "--threads must be between 1 and %d", RT_MAX_THREADS);
    RT_CHECK(o->ranks >= 1 && o->ranks <= 1 << 20, RT_EINVAL, "--ranks must be between 1 and %d", 1 << 20);
    RT_CHECK(o->per_node >= 0, RT_EINVAL, "--per-node must be at least 1 (or 0: all ranks)");
    RT_TRY(tr_config_read(&c, argv[0], &o->set));
    if (o->threads) rt_threads_set((int)o->threads);
    rt_status st = kn_init();
    if (st == RT_OK) st = plan_show(o, &c);
    tr_config_free(&c);
    return st;
}

static const rt_option options[] = {
    {"set", RT_OPT_LIST, offsetof(plan_options, set), "KEY=VALUE", "change a configuration key, as in retort train"},
    {"ranks", RT_OPT_INT, offsetof(plan_options, ranks), "N", "number of MPI ranks that share the batch (default 1)"},
    {"per-node", RT_OPT_INT, offsetof(plan_options, per_node), "N", "number of ranks that share the memory of one machine (default: all)"},
    {"threads", RT_OPT_INT, offsetof(plan_options, threads), "N",
     "number of threads of a rank (default: OMP_NUM_THREADS, or one per core that the process may use)"},
    {"graph", RT_OPT_FLAG, offsetof(plan_options, graph), NULL,
     "also print the schedule of a step: each operator, the buffers that it writes, their addresses and lifetimes"},
    {"json", RT_OPT_FLAG, offsetof(plan_options, json), NULL, "print the numbers as one JSON object"},
    {0}};

static const plan_options defaults = {.ranks = 1};

const rt_command cli_plan = {
    .name     = "plan",
    .usage    = "CONFIG.json [--set KEY=VALUE]... [--graph]",
    .summary  = "estimate what a training run needs: memory by category, work, time",
    .text     = "Plans a training step without running it. The memory is what retort train uses on each rank; the\n"
                "time is estimated from the measured gemm rate of this machine. Use --set to try other models and\n"
                "batches. The shards need not exist if model.V or model.tokenizer gives the vocabulary size. Exits\n"
                "with 4 if the run does not fit into the memory of this machine, and names a setting that fits.\n\n"
                "  retort plan @share/configs/student-distil.json\n"
                "  retort plan @share/configs/student-distil.json --set model.V=32000 model.C=768 model.L=12 recompute=true\n"
                "  retort plan @share/configs/student-distil.json --ranks 64 --per-node 2",
    .options  = options,
    .size     = sizeof(plan_options),
    .defaults = &defaults,
    .run      = plan_run,
};
