/* collect.c -- see collect.h. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "tests/support/collect.h"
#include "core/file.h"
#include "data/text.h"
#include "tests/support/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char          ct_dir[64], ct_url[64], ct_in[96];
replay       *ct_server;
ds_tokenizer *ct_words;

int ct_open(void **state)
{
    const replay_options o = {0};
    (void)state;
    rt_quiet(1);
    snprintf(ct_dir, sizeof ct_dir, "/tmp/retort_collect.XXXXXX");
    if (!mkdtemp(ct_dir)) return -1;
    ct_path(ct_in, "in.h5");
    ct_server = replay_start(&o);
    if (!ct_server) return -1;
    snprintf(ct_url, sizeof ct_url, "http://127.0.0.1:%d", replay_port(ct_server));
    return 0;
}

int ct_close(void **state)
{
    (void)state;
    replay_stop(&ct_server);
    ds_tokenizer_destroy(&ct_words);
    return rt_dir_remove(ct_dir) == RT_OK ? 0 : -1;
}

int ct_learn(void)
{
    rt_progress       p      = {0};
    const char *const text[] = {ct_write("text.txt", "the water is cold and the fire is hot, the stone is hard and the wood is soft\n")};
    char              tok[96];
    ct_path(tok, "tok");
    if (ds_tokenizer_train(&(ds_input){.names = text, .n = 1}, 280, "<|end|>", tok, &p) != RT_OK) return -1;
    return ds_tokenizer_load(&ct_words, tok) == RT_OK ? 0 : -1;
}

void ct_path(char to[96], const char *name) { snprintf(to, 96, "%s/%s", ct_dir, name); }

const char *ct_write(const char *name, const char *text)
{
    static char path[96];
    ct_path(path, name);
    ok(rt_file_write(path, text, strlen(text)));
    return path;
}

rt_status ct_input(ds_writer **w)
{
    ds_info info = {.vocab = REPLAY_VOCAB};
    snprintf(info.tokenizer, sizeof info.tokenizer, "%s", replay_tokenizer);
    return ds_writer_create(w, ct_in, &info);
}

tc_options ct_options(const char *out)
{
    tc_options o = tc_options_default();
    o.teacher = ct_url, o.out = out, o.k = 5, o.m = 4, o.in_flight = 4, o.retries = 2, o.retry_base = 0.01, o.seed = 11;
    return o;
}

rt_status ct_score(const tc_options *o, tc_report *r)
{
    const rt_strings shards = {{ct_in}, 1};
    return tc_score(o, &shards, r);
}

rt_status ct_book(const char *name, const char *recipe, tc_textbook_options t, const replay_options *server_is, tc_report *r)
{
    char out[96], tok[96];
    ct_path(out, name);
    ct_path(tok, "tok");
    tc_options o = ct_options(out);
    t.recipe     = ct_write("recipe.json", recipe);
    o.tokenizer = tok, o.m = -1, o.vocab = REPLAY_VOCAB;
    replay_set(ct_server, server_is);
    return tc_textbook(&o, &t, r);
}
