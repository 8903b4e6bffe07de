/* dialect_retort.c -- `retort serve`: vLLM's completions plus tail samples and tail entropy. */
#include "data/wire.h"
#include "teacher/dialect.h"

/* Only `retort serve` reports both a tokenizer identity and a vocabulary size. */
static int recognise(const cJSON *models, const char *wanted)
{
    const cJSON *model = tc_openai_model(models, wanted);
    const char  *sha   = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(model, WIRE_TOKENIZER_SHA256));
    const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(model, WIRE_VOCAB_SIZE);
    return sha && *sha && cJSON_IsNumber(vocab) && vocab->valuedouble > 0;
}

const tc_dialect tc_dialect_retort = {.name         = "retort",
                                      .max_k        = TC_MAX_K,
                                      .scores       = 1,
                                      .tails        = 1,
                                      .score_tokens = 0,
                                      .finish       = tc_openai_finish,
                                      .headers      = &tc_openai_headers,
                                      .models_path  = TC_OPENAI_MODELS,
                                      .recognise    = recognise,
                                      .describe     = tc_openai_describe,
                                      .path         = tc_openai_path,
                                      .write        = tc_completions_write,
                                      .classify     = tc_classify,
                                      .read         = tc_completions_read};
