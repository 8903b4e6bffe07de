/* dialect_retort.c -- our own server: vLLM's completions plus samples and entropy of the rest. */
#include "teacher/dialect.h"

static rt_status write(rt_buf *body, const tc_request *q, const char *model)
{
    return tc_completions_write(body, q, model, tc_dialect_retort.score_tokens, 1);
}

static rt_status read(tc_response *out, const tc_request *q, const rt_buf *reply) { return tc_completions_read(out, q, reply, 1); }

const tc_dialect tc_dialect_retort = {.name = "retort", .tails = 1, .score_tokens = 0, .write = write, .read = read};
