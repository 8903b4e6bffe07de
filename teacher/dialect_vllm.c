/* dialect_vllm.c -- vLLM's OpenAI server (and whatever answers in its shape).
 *
 * Source of the shape: vLLM's protocol definitions of completions, prompt_logprobs and
 * return_token_ids.  Scoring needs max_tokens >= 1; the one token is ignored.
 */
#include "teacher/dialect.h"

static rt_status write(rt_buf *body, const tc_request *q, const char *model)
{
    return tc_completions_write(body, q, model, tc_dialect_vllm.score_tokens, 0);
}

static rt_status read(tc_response *out, const tc_request *q, const rt_buf *reply) { return tc_completions_read(out, q, reply, 0); }

const tc_dialect tc_dialect_vllm = {.name = "vllm", .tails = 0, .score_tokens = 1, .write = write, .read = read};
