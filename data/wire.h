/* wire.h -- field names of the HTTP API of retort serve, used by the server (serve/) and the client (teacher/).
 *
 * They are vLLM's completions fields and ours: request "retort": {"tail_samples": m, "seed": "u64"}; response
 * choices[0].prompt_tail_ids, tail_ids ([T][m]; null where there is no row) and "prompt_rest_entropy", "rest_entropy" ([T]).  Entry t
 * of a prompt_* list is about token t, so entry 0 is null; a dialect shifts it once, into row t-1.
 */
#ifndef DS_WIRE_H
#define DS_WIRE_H
#define WIRE_PROMPT_LOGPROBS     "prompt_logprobs"
#define WIRE_LOGPROBS            "logprobs"
#define WIRE_LOGPROB             "logprob"
#define WIRE_RANK                "rank"
#define WIRE_DECODED_TOKEN       "decoded_token"
#define WIRE_RETURN_TOKEN_IDS    "return_token_ids"
#define WIRE_TOKENS_AS_IDS       "return_tokens_as_token_ids"
#define WIRE_TOKEN_IDS           "token_ids"        /* choices[0]: generated ids */
#define WIRE_PROMPT_TOKEN_IDS    "prompt_token_ids" /* choices[0]: the prompt's ids */
#define WIRE_RETORT              "retort"
#define WIRE_TAIL_SAMPLES        "tail_samples"
#define WIRE_SEED                "seed"
#define WIRE_PROMPT_TAIL_IDS     "prompt_tail_ids"
#define WIRE_TAIL_IDS            "tail_ids"
#define WIRE_PROMPT_REST_ENTROPY "prompt_rest_entropy"
#define WIRE_REST_ENTROPY        "rest_entropy"
#define WIRE_TOKENIZER_SHA256    "tokenizer_sha256" /* the tokenizer's identity; older servers send the file's SHA-256 */
#define WIRE_TOKENIZER_FILES     "tokenizer_files"  /* SHA-256 of tokenizer.json and of the file from which it was made */
#define WIRE_VOCAB_SIZE          "vocab_size"
#define WIRE_MAX_MODEL_LEN       "max_model_len"
#define WIRE_MAX_LOGPROBS        "max_logprobs"
#define WIRE_DTYPE               "dtype"   /* /v1/models: type of the model's activations */
#define WIRE_GEMM                "gemm"    /* /v1/models: the gemm backend in use */
#define WIRE_MINUS_INFINITY      (-9999.0) /* a log-probability of -inf is sent as this number */
#endif
