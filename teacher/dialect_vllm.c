/* dialect_vllm.c -- vLLM's OpenAI server and compatible servers.
 *
 * Source of the shape: vLLM's protocol definitions of completions, prompt_logprobs and
 * return_token_ids.  Scoring needs max_tokens >= 1; the one token is ignored.
 */
#include "teacher/dialect.h"

/* The dialect of every server that no other dialect recognises. */
static int dialect_vllm_recognise(const cJSON *models, const char *wanted)
{
    (void)models, (void)wanted;
    return 1;
}

/* max_k is ours: the server's own limit (--max-logprobs) is not reported. */
const tc_dialect tc_dialect_vllm = {TC_COMPLETIONS, .name = "vllm", .tails = 0, .score_tokens = 1, .recognise = dialect_vllm_recognise};
