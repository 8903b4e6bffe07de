/* dialect_retort.c -- `retort serve`: vLLM's completions plus tail samples and tail entropy. */
#include "data/wire.h"
#include "teacher/dialect.h"

/* Only `retort serve` reports both a tokenizer identity and a vocabulary size. */
static int dialect_retort_recognise(const cJSON *models, const char *wanted)
{
    const cJSON *model = tc_openai_model(models, wanted);
    const char  *sha   = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(model, WIRE_TOKENIZER_SHA256));
    const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(model, WIRE_VOCAB_SIZE);
    return sha && *sha && cJSON_IsNumber(vocab) && vocab->valuedouble > 0;
}

const tc_dialect tc_dialect_retort = {TC_COMPLETIONS, .name = "retort", .tails = 1, .score_tokens = 0,
                                      .recognise = dialect_retort_recognise};
