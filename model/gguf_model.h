/* gguf_model.h -- a model in a GGUF file: what GGUF calls families and tensors, and its configuration.  Private to model/. */
#ifndef MD_GGUF_MODEL_H
#define MD_GGUF_MODEL_H
#include "model/arch.h"
#include "model/gguf.h"
#include "model/gguf_write.h"

/* Divisors of the frequencies of the rotary embedding [D / 2], F32, in files of Llama models with a scaling such as llama3. */
#define MD_GGUF_DIVISORS "rope_freqs.weight"

/* GGUF's name of a tensor, with "*" for the layer's number; NULL: GGUF files of these families have no such tensor. */
const char *md_gguf_role_name(md_role role);
/* Sets name to GGUF's name of t.  RT_EINVAL: it has none. */
rt_status md_gguf_tensor_name(char name[MD_GGUF_NAME], const md_tensor *t);

/* What GGUF files add to the elements of t: 1 to Gemma's norms, which multiply by 1 + w. */
real md_gguf_added(const md_config *c, const md_tensor *t);

/* GGUF files hold the rows of q and k of Llama, Mistral, SmolLM3 and Granite in another order, in which the two halves of a head alternate: row
 * 2 i + j of a head is row i + j D / 2 of the model.  Returns the heads of t, whose rows are so ordered; 0: it is stored as it is. */
int64_t md_gguf_turned_heads(const md_config *c, const md_tensor *t);

/* Appends to path the GGUF file that `given` names: itself, or the one *.gguf in a folder without safetensors; nothing if it names none.
 * RT_EFORMAT: the folder has several. */
rt_status md_gguf_locate(rt_buf *path, const char *given);
/* Reads and checks the configuration in the metadata.  RT_EFORMAT names the key that is missing or not supported. */
rt_status md_gguf_config(md_config *c, const md_gguf *g);
/* Puts it into metadata, without the tokens that begin and end a text and the divisors.  RT_EINVAL: GGUF files do not hold this family or its rotary
 * embedding. */
rt_status md_gguf_put_config(md_gguf_keys *k, const md_config *c);
/* Sets x[D / 2] to the values of MD_GGUF_DIVISORS and returns 1; 0: the model needs none. */
int md_gguf_divisors(float *x, const md_config *c);
/* Puts the first token of a text (-1: none) and the tokens that end one, of which GGUF files name two at most. */
void md_gguf_put_tokens(md_gguf_keys *k, int32_t bos, const ds_ends *ends);
/* Appends the tokenizer of a file as the text of a tokenizer.json and of a tokenizer_config.json (gguf_vocabulary.c).  RT_EFORMAT: it has none, or one of a kind
 * that is not read. */
rt_status md_gguf_vocabulary(rt_buf *json, rt_buf *config, const md_gguf *g);
/* Puts the tokenizer of the folder `dir`, with names for ids below V (gguf_tokenizer.c).  RT_EINVAL: llama.cpp has none that gives the same ids. */
rt_status md_gguf_put_tokenizer(md_gguf_keys *k, const md_config *c, const char *dir);
#endif
