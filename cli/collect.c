/* collect.c -- the options and the summary shared by the commands that send requests to a teacher. */
#include "cli/collect.h"
#include "cli/cli.h"
#include "core/clock.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

rt_status cli_collect_begin(const cli_collect *c, tc_options *t, rt_progress *p)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    *t                      = tc_options_default();
    t->teacher = c->teacher, t->model = c->model, t->dialect = c->dialect;
    t->key_env = c->key_env, t->key_file = c->key_file, t->key_in_clear = c->key_in_clear;
    t->out = c->out, t->ledger = c->ledger, t->tokenizer = c->tokenizer;
    t->k = c->k == -1 ? 8 : c->k, t->m = c->m, t->vocab = c->vocab, t->seed = (uint64_t)c->seed;
    t->max_failed = c->max_failed;
    t->in_flight = c->in_flight, t->retries = c->retries, t->timeout = c->timeout;
    t->price_in = c->price_in, t->price_out = c->price_out;
    *p          = (rt_progress){0};
    t->progress = p;
    rt_quiet(c->quiet);
    sigaction(SIGPIPE, &ignore, NULL); /* a closed connection is reported as an error instead of ending the process */
    rt_interrupt_catch();
    return RT_OK;
}

void cli_put_tally(rt_json_writer *w, const char *key, const tc_tally *t)
{
    rt_put_object(w, key);
    for (int i = 0; i < t->used; i++) rt_put_int(w, t->name[i], t->n[i]);
    rt_put_end(w);
}

/* Appends the tally as text, such as: 3 "abort", 1 "none". */
static rt_status tally_text(rt_buf *b, const tc_tally *t)
{
    for (int i = 0; i < t->used; i++) RT_TRY(rt_buf_fmt(b, "%s%lld \"%s\"", i ? ", " : "", (long long)t->n[i], t->name[i]));
    return RT_OK;
}

static rt_status collect_print_json(const cli_collect *c, const tc_report *r)
{
    rt_buf         b = {0};
    rt_json_writer w = {.out = &b};
    rt_put_object(&w, NULL);
    rt_put_text(&w, "out", c->out);
    rt_put_bool(&w, "already", r->already);
    rt_put_int(&w, "asked", r->received);
    rt_put_int(&w, "known", r->known);
    rt_put_int(&w, "documents", r->documents);
    rt_put_int(&w, "tokens", r->tokens);
    rt_put_int(&w, "duplicates", r->duplicates);
    rt_put_int(&w, "short", r->short_ones);
    rt_put_int(&w, "failed", r->failed);
    cli_put_tally(&w, "failures", &r->failures);
    cli_put_tally(&w, "kept_out", &r->ends);
    rt_put_int(&w, "prompt_tokens", r->prompt_tokens);
    rt_put_int(&w, "completion_tokens", r->completion_tokens);
    rt_put_int(&w, "bytes", r->bytes);
    rt_put_fixed(&w, "seconds", r->seconds, 3);
    rt_put_fixed(&w, "cost", r->cost, 6);
    rt_put_end(&w);
    return cli_print_line(&w);
}

/* Appends what is missing from the shard, and why. */
static rt_status losses(const cli_collect *c, const tc_report *r, rt_buf *b)
{
    if (r->duplicates || r->short_ones)
        RT_TRY(rt_buf_fmt(b, " (dropped: %lld duplicates, %lld too short)", (long long)r->duplicates, (long long)r->short_ones));
    if (r->ends.used) RT_TRY(rt_buf_str(b, "; texts excluded because of their finish reason (--finish): "));
    RT_TRY(tally_text(b, &r->ends));
    if (!r->failed) return RT_OK;
    RT_TRY(rt_buf_fmt(b, "; requests without a response: %lld", (long long)r->failed));
    if (r->failures.used) RT_TRY(rt_buf_str(b, " ("));
    RT_TRY(tally_text(b, &r->failures));
    return rt_buf_fmt(b, "%s; to request them again, remove %s and run the same command", r->failures.used ? ")" : "", c->out);
}

static rt_status collect_as_text(const cli_collect *c, const char *command, const tc_report *r, rt_buf *b)
{
    if (r->already) {
        RT_TRY(rt_buf_fmt(b, "%s: already done: %s holds %lld documents, %lld tokens from these requests", command, c->out,
                          (long long)r->documents, (long long)r->tokens));
        return losses(c, r, b);
    }
    RT_TRY(rt_buf_fmt(b, "%s: %lld new responses, %lld from the ledger; %lld documents, %lld tokens", command, (long long)r->received,
                      (long long)r->known, (long long)r->documents, (long long)r->tokens));
    RT_TRY(losses(c, r, b));
    RT_TRY(rt_buf_fmt(b, "; %s: %.1f MB; %.1f s", c->out, (double)r->bytes / 1e6, r->seconds));
    return c->price_in > 0 || c->price_out > 0 ? rt_buf_fmt(b, "; cost of the new responses %.4f", r->cost) : RT_OK;
}

rt_status cli_collect_end(const cli_collect *c, const char *command, const tc_report *r)
{
    rt_buf b = {0};
    if (c->json) return collect_print_json(c, r);
    rt_status st = collect_as_text(c, command, r, &b);
    if (st == RT_OK) st = rt_buf_str(&b, "\n");
    if (st == RT_OK) cli_print_text(&b);
    rt_buf_free(&b);
    return st;
}
