/* gguf_model.h -- a model in a GGUF file: what GGUF calls families and tensors, and its configuration.  Private to model/. */
#ifndef MD_GGUF_MODEL_H
#define MD_GGUF_MODEL_H
#include "model/arch.h"
#include "model/gguf.h"

/* GGUF's name of a tensor, with "*" for the layer's number; NULL: GGUF files of these families have no such tensor. */
const char *md_gguf_role_name(md_role role);
/* Sets name to GGUF's name of t.  RT_EINVAL: it has none. */
rt_status md_gguf_tensor_name(char name[MD_GGUF_NAME], const md_tensor *t);

/* GGUF files hold the rows of Llama's q and k in another order, in which the two halves of a head alternate: row 2 i + j of a head is row
 * i + j D / 2 of the model.  Returns the heads of t, whose rows are so ordered; 0: it is stored as it is. */
int64_t md_gguf_turned_heads(const md_config *c, const md_tensor *t);

/* Appends to path the GGUF file that `given` names: itself, or the one *.gguf in a folder without safetensors; nothing if it names none.
 * RT_EFORMAT: the folder has several. */
rt_status md_gguf_locate(rt_buf *path, const char *given);
/* Reads and checks the configuration in the metadata.  RT_EFORMAT names the key that is missing or not supported. */
rt_status md_gguf_config(md_config *c, const md_gguf *g);
#endif
