/* dialect_retort.c -- our own server: vLLM's completions plus samples and entropy of the rest. */
#include "teacher/dialect.h"

static rt_status ask(rt_buf *body, const tc_ask *a, const char *model)
{
    return tc_completions_ask(body, a, model, tc_dialect_retort.score_tokens, 1);
}

static rt_status read(tc_answer *out, const tc_ask *a, const rt_buf *reply) { return tc_completions_read(out, a, reply, 1); }

const tc_dialect tc_dialect_retort = {.name = "retort", .tails = 1, .score_tokens = 0, .ask = ask, .read = read};
