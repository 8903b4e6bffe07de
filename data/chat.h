/* chat.h -- chat templates: the messages of a chat to the text that a model reads.
 *
 * A model that answers in chats has a template in Jinja's language next to its tokenizer, which writes the messages with the tokens that the
 * model was trained on.  It is rendered here as transformers' apply_chat_template renders it, byte for byte.  A part of the language that
 * is not supported is an error that names it and the template's line; docs/chat.md lists what is.  Templates may come from strangers: their
 * steps, memory, output and nesting are limited.
 */
#ifndef DS_CHAT_H
#define DS_CHAT_H
#include "data/tokenizer.h"

typedef struct ds_chat ds_chat; /* read-only after loading: threads may share it */

/* Loads the template of a model folder: chat_template.jinja or else "chat_template" of tokenizer_config.json, a text or a list of named texts,
 * of which the one named "default" counts.  Also takes the special tokens' texts that templates use (bos_token, ...) from
 * tokenizer_config.json and special_tokens_map.json.  *out = NULL: the folder has no template.  RT_EFORMAT: the template has an error. */
rt_status ds_chat_load(ds_chat **out, const char *dir);
/* Appends the template of a model folder, unchanged; *there = 0: the folder has none. */
rt_status ds_chat_source(rt_buf *out, const char *dir, int *there);
/* Parses a template of n bytes.  `where` names it in errors.  It has no special tokens.  RT_EFORMAT: "WHERE, line N: what". */
rt_status ds_chat_parse(ds_chat **out, const char *template, size_t n, const char *where);
void      ds_chat_destroy(ds_chat **c);

/* Appends the text of a chat.  `messages` is a JSON array of at least one object, such as {"role": "user", "content": "Hello"}; keys whose
 * value is null are left out.  `values` is an object of further variables for the template, such as {"enable_thinking": false}, or NULL.
 * `prompt` is the template's add_generation_prompt: 1 lets the text end where the model's answer begins.
 * RT_EINVAL: the template refuses these messages, or needs what is not supported. */
rt_status ds_chat_render(const ds_chat *c, const cJSON *messages, const cJSON *values, int prompt, rt_buf *out);
/* Appends the ids of a chat's text: added tokens in it are recognised, and nothing is added, because the template writes the token that
 * begins a text. */
rt_status ds_chat_ids(const ds_chat *c, const ds_tokenizer *t, const cJSON *messages, const cJSON *values, int prompt, ds_ids *out);
#endif
