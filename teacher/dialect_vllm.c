/* dialect_vllm.c -- vLLM's OpenAI server and compatible servers.
 *
 * Source of the shape: vLLM's protocol definitions of completions, prompt_logprobs and
 * return_token_ids.  Scoring needs max_tokens >= 1; the one token is ignored.
 */
#include "teacher/dialect.h"

/* The dialect of every server that no other dialect recognises. */
static int recognise(const cJSON *models, const char *wanted)
{
    (void)models, (void)wanted;
    return 1;
}

const tc_dialect tc_dialect_vllm = {.name         = "vllm",
                                    .max_k        = TC_MAX_K, /* the server's own limit (--max-logprobs) is not reported */
                                    .scores       = 1,
                                    .tails        = 0,
                                    .score_tokens = 1,
                                    .finish       = tc_openai_finish,
                                    .headers      = &tc_openai_headers,
                                    .models_path  = TC_OPENAI_MODELS,
                                    .recognise    = recognise,
                                    .describe     = tc_openai_describe,
                                    .path         = tc_openai_path,
                                    .write        = tc_completions_write,
                                    .classify     = tc_classify,
                                    .read         = tc_completions_read};
