/* serve.c -- retort serve: a model as an OpenAI-compatible server. */
#include "serve/serve.h"
#include "cli/cli.h"
#include "core/file.h"
#include "core/threads.h"

struct serve_options {
    sv_serve_opts serve;
    int64_t       threads;
};

static rt_status serve_run(const void *options, int argc, char **argv)
{
    const struct serve_options *o = options;
    md_model                   *m = NULL;
    ds_tokenizer               *t = NULL;
    RT_CHECK(argc == 1, RT_EINVAL, "serve takes one word, the model's folder; found %d (see 'retort serve --help')", argc);
    RT_CHECK(o->threads >= 0 && o->threads <= RT_MAX_THREADS, RT_EINVAL, "--threads must be from 0 (all cores) to %d, found %lld",
             RT_MAX_THREADS, (long long)o->threads);
    RT_CHECK(rt_file_exists(argv[0]), RT_ENOENT, "%s: no such folder; expected a model: config.json, tokenizer.json, *.safetensors",
             argv[0]);
    if (o->threads) rt_threads_set((int)o->threads);
    RT_TRY(kn_init());
    rt_status st = ds_tokenizer_load(&t, argv[0]);
    if (st == RT_OK) st = md_load(&m, argv[0], KN_REAL);
    if (st == RT_OK) st = sv_serve(m, t, &o->serve);
    md_destroy(&m);
    ds_tokenizer_destroy(&t);
    return st;
}

#define AT(field) offsetof(struct serve_options, field)

static const rt_option serve_table[] = {
    {"host", RT_OPT_TEXT, AT(serve.host), "HOST", "the address to listen at, 127.0.0.1 by default: this machine alone"},
    {"port", RT_OPT_INT, AT(serve.port), "PORT", "the port, 8000 by default; 0 picks a free one"},
    {"port-file", RT_OPT_TEXT, AT(serve.port_file), "FILE", "write the port there when the server listens"},
    {"name", RT_OPT_TEXT, AT(serve.name), "NAME", "the model's name in requests, by default its folder's"},
    {"max-tokens", RT_OPT_INT, AT(serve.max_tokens), "N", "tokens of prompt and answer together, 0 (default): the model's context"},
    {"max-logprobs", RT_OPT_INT, AT(serve.max_logprobs), "K", "largest k that may be asked for, 64 by default, at most 256"},
    {"threads", RT_OPT_INT, AT(threads), "N", "threads, 0 (default): OMP_NUM_THREADS or all cores"},
    {"verbose", RT_OPT_FLAG, AT(serve.verbose), NULL, "a line on standard error for each request"},
    {0},
};

static const struct serve_options serve_defaults = {.serve = {.host = "127.0.0.1", .port = 8000, .max_logprobs = 64}};

const rt_command cli_serve = {
    .name     = "serve",
    .usage    = "MODEL [--port PORT] [--host HOST] [--name NAME]",
    .summary  = "a model as an OpenAI-compatible server, with prompt log-probabilities",
    .text     = "Serves the model of a folder (config.json, tokenizer.json, *.safetensors) until Ctrl-C or SIGTERM;\n"
                "what was asked by then is answered. Requests are computed one after another, and an answer is a\n"
                "function of its request alone. Paths: /v1/completions, /v1/models, /tokenize, /detokenize, /health;\n"
                "docs/serve.md has the fields. There is no password: what listens beyond 127.0.0.1 answers everybody.\n\n"
                "  retort serve @share/teacher --port 8000\n"
                "  curl http://127.0.0.1:8000/v1/completions -d '{\"prompt\":\"gravity (noun):\",\"max_tokens\":32}'",
    .options  = serve_table,
    .size     = sizeof(struct serve_options),
    .defaults = &serve_defaults,
    .run      = serve_run,
};
