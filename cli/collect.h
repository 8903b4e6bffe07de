/* collect.h -- the options and the summary shared by the commands that send requests to a teacher. */
#ifndef CLI_COLLECT_H
#define CLI_COLLECT_H
#include "cli/cli.h"
#include "teacher/teacher.h"

typedef struct cli_collect {
    const char *teacher, *model, *dialect, *key_env, *key_file, *out, *ledger, *tokenizer, *max_failed;
    int64_t     k, m, vocab, in_flight, retries, seed;
    double      timeout, price_in, price_out;
    int         key_in_clear, json, quiet;
} cli_collect;

#define CLI_COLLECT_DEFAULTS                                                               \
    {                                                                                      \
        .dialect = "auto", .k = -1, .m = -1, .in_flight = 16, .retries = 8, .timeout = 600 \
    }

#define CLI_COLLECT_OPTIONS(T, f)                                                                                                         \
    {"teacher", RT_OPT_TEXT, offsetof(T, f.teacher), "URL", "address of the server, such as http://127.0.0.1:8000"},                      \
        {"out", RT_OPT_TEXT, offsetof(T, f.out), "FILE", "shard to write"},                                                               \
        {"tokenizer", RT_OPT_TEXT, offsetof(T, f.tokenizer), "DIR", "folder of the teacher's tokenizer"},                                 \
        {"k", RT_OPT_INT, offsetof(T, f.k), "N", "number of most likely tokens to store per position (default 8)"},                       \
        {"m", RT_OPT_INT, offsetof(T, f.m), "N", "number of tail samples per position (default 8 if the teacher can draw them, else 0)"}, \
        {"seed", RT_OPT_INT, offsetof(T, f.seed), "N", "seed of the run (default 0)"},                                                    \
        {"dialect", RT_OPT_TEXT, offsetof(T, f.dialect), "NAME", "API of the server: " TC_DIALECT_NAMES " (default auto)"},               \
        {"vocab", RT_OPT_INT, offsetof(T, f.vocab), "N", "size of the teacher's vocabulary, if the server does not report it"},           \
        {"ledger", RT_OPT_TEXT, offsetof(T, f.ledger), "FILE", "file that stores the responses (default OUT.ledger)"},                    \
        {"in-flight", RT_OPT_INT, offsetof(T, f.in_flight), "N", "largest number of requests in flight (default 16)"},                    \
        {"retries", RT_OPT_INT, offsetof(T, f.retries), "N", "number of retries of a request before it counts as failed (default 8)"},    \
        {"max-failed", RT_OPT_TEXT, offsetof(T, f.max_failed), "N|P%",                                                                    \
         "number or share of failed requests above which the run stops (default 5%, at least 10)"},                                       \
        {"timeout", RT_OPT_REAL, offsetof(T, f.timeout), "SECONDS", "timeout of a request in seconds (default 600)"},                     \
        {"key-env", RT_OPT_TEXT, offsetof(T, f.key_env), "NAME", "environment variable that holds the API key (default RETORT_API_KEY)"}, \
        {"key-file", RT_OPT_TEXT, offsetof(T, f.key_file), "FILE", "file of mode 0600 that holds the API key"},                           \
        {"key-in-clear", RT_OPT_FLAG, offsetof(T, f.key_in_clear), NULL,                                                                  \
         "allow sending the API key to another machine over http without TLS"},                                                           \
        {"price-in", RT_OPT_REAL, offsetof(T, f.price_in), "MONEY",                                                                       \
         "price per million prompt tokens, for the cost in the summary (default 0)"},                                                     \
        {"price-out", RT_OPT_REAL, offsetof(T, f.price_out), "MONEY",                                                                     \
         "price per million generated tokens, for the cost in the summary (default 0)"},                                                  \
        {"json", RT_OPT_FLAG, offsetof(T, f.json), NULL, "print the summary as JSON"},                                                    \
    {                                                                                                                                     \
        "quiet", RT_OPT_FLAG, offsetof(T, f.quiet), NULL, "print no progress"                                                             \
    }

#define CLI_COLLECT_MODEL "name of the server's model (default: the first that it lists)"

/* Fills t from the command line and installs the handler that lets Ctrl-C stop the command cleanly. */
rt_status cli_collect_begin(const cli_collect *c, tc_options *t, rt_progress *p);
/* Writes "KEY":{"word":3,...}. */
void cli_put_tally(rt_json_writer *w, const char *key, const tc_tally *t);
/* Prints the summary line. */
rt_status cli_collect_end(const cli_collect *c, const char *command, const tc_report *r);
#endif
