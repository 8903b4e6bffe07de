/* serve.c -- retort serve: a model as an OpenAI-compatible server. */
#include "serve/serve.h"
#include "cli/cli.h"
#include "cli/dtype.h"
#include "core/file.h"
#include "core/threads.h"

struct serve_options {
    sv_serve_opts serve;
    const char   *dtype;
    int64_t       threads;
};

static rt_status serve_run(const void *options, int argc, char **argv)
{
    const struct serve_options *o = options;
    md_model                   *m = NULL;
    ds_tokenizer               *t = NULL;
    kn_type                     type;
    RT_CHECK(argc == 1, RT_EINVAL, "serve takes one model folder, found %d arguments (see 'retort serve --help')", argc);
    RT_CHECK(o->threads >= 0 && o->threads <= RT_MAX_THREADS, RT_EINVAL, "--threads must be from 0 (the default) to %d, found %lld",
             RT_MAX_THREADS, (long long)o->threads);
    RT_TRY(cli_dtype(&type, o->dtype));
    RT_CHECK(rt_file_exists(argv[0]), RT_ENOENT,
             "%s: no such folder; expected a model folder with config.json, tokenizer.json and *.safetensors", argv[0]);
    if (o->threads) rt_threads_set((int)o->threads);
    RT_TRY(kn_init_measured());
    rt_status st = ds_tokenizer_load(&t, argv[0]);
    if (st == RT_OK) st = md_load(&m, argv[0], type);
    if (st == RT_OK) st = sv_serve(m, t, &o->serve);
    md_destroy(&m);
    ds_tokenizer_destroy(&t);
    return st;
}

#define AT(field) offsetof(struct serve_options, field)

static const rt_option serve_table[] = {
    {"host", RT_OPT_TEXT, AT(serve.host), "HOST", "address to listen on (default 127.0.0.1: only this machine can connect)"},
    {"port", RT_OPT_INT, AT(serve.port), "PORT", "TCP port to listen on; 0 picks a free one (default 8000)"},
    {"port-file", RT_OPT_TEXT, AT(serve.port_file), "FILE", "write the port to this file when the server listens"},
    {"name", RT_OPT_TEXT, AT(serve.name), "NAME", "name of the model in requests (default: the name of its folder)"},
    {"max-tokens", RT_OPT_INT, AT(serve.max_tokens), "N",
     "largest number of tokens of prompt and completion together; 0: the model's context (default 0)"},
    {"max-logprobs", RT_OPT_INT, AT(serve.max_logprobs), "K",
     "largest number of log-probabilities that a request may ask for, at most 256 (default 64)"},
    CLI_DTYPE_OPTION(struct serve_options, dtype, "f32"),
    {"threads", RT_OPT_INT, AT(threads), "N", "number of threads (default: OMP_NUM_THREADS, or one per core that the process may use)"},
    {"verbose", RT_OPT_FLAG, AT(serve.verbose), NULL, "write one line per request to standard error"},
    {0},
};

static const struct serve_options serve_defaults = {.serve = {.host = "127.0.0.1", .port = 8000, .max_logprobs = 64}, .dtype = "f32"};

const rt_command cli_serve = {
    .name     = "serve",
    .usage    = "MODEL [--port PORT] [--host HOST] [--name NAME]",
    .summary  = "serve a model over an OpenAI-compatible API, with prompt log-probabilities",
    .text     = "Serves a model folder (config.json, tokenizer.json, *.safetensors) over HTTP until Ctrl-C or\n"
                "SIGTERM; accepted requests are completed first. Requests are computed one after another, so a\n"
                "response depends only on its request. The paths are /v1/completions, /v1/chat/completions (models\n"
                "with a chat template), /v1/models, /tokenize, /detokenize and /health; docs/serve.md lists their\n"
                "fields. The server has no authentication: if it listens beyond 127.0.0.1, everyone who can\n"
                "connect can use it.\n\n"
                "  retort serve @share/teacher --port 8000\n"
                "  curl http://127.0.0.1:8000/v1/completions -d '{\"prompt\":\"gravity (noun):\",\"max_tokens\":32}'",
    .options  = serve_table,
    .size     = sizeof(struct serve_options),
    .defaults = &serve_defaults,
    .run      = serve_run,
};
