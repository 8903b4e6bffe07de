/* write.c -- writing a trained tokenizer as Hugging Face's files. */
#include "core/file.h"
#include "data/tokenizer/parts.h"
#include <string.h>

static rt_status write_add_entry(rt_buf *b, const ds_vocab *v, int32_t id)
{
    size_t      n;
    const char *s = ds_vocab_text(v, id, &n);
    return rt_json_quote(b, s, n);
}

static rt_status add_vocab(rt_buf *b, const ds_vocab *v)
{
    for (int32_t id = 0; id < v->n; id++) {
        RT_TRY(rt_buf_str(b, id ? ",\n      " : "\n      "));
        RT_TRY(write_add_entry(b, v, id));
        RT_TRY(rt_buf_fmt(b, ": %d", id));
    }
    return RT_OK;
}

static rt_status write_add_merges(rt_buf *b, const ds_trained *t)
{
    for (int64_t i = 0; i < t->merges.n; i += 2) {
        RT_TRY(rt_buf_str(b, i ? ",\n      [" : "\n      ["));
        RT_TRY(write_add_entry(b, &t->vocab, t->merges.v[i]));
        RT_TRY(rt_buf_str(b, ", "));
        RT_TRY(write_add_entry(b, &t->vocab, t->merges.v[i + 1]));
        RT_TRY(rt_buf_str(b, "]"));
    }
    return RT_OK;
}

/* `end` is the end token as a JSON string.  The template puts it before a text, but not after one, because a model would not
 * continue a prompt that ends with it. */
static rt_status add_post_processor(rt_buf *b, const char *end)
{
    RT_TRY(
        rt_buf_fmt(b,
                   "  \"post_processor\": {\n    \"type\": \"TemplateProcessing\",\n"
                   "    \"single\": [{\"SpecialToken\": {\"id\": %s, \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}],\n",
                   end));
    RT_TRY(rt_buf_fmt(b,
                      "    \"pair\": [{\"SpecialToken\": {\"id\": %s, \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
                      "{\"SpecialToken\": {\"id\": %s, \"type_id\": 0}}, {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}],\n",
                      end, end));
    return rt_buf_fmt(b, "    \"special_tokens\": {%s: {\"id\": %s, \"ids\": [0], \"tokens\": [%s]}}\n  },\n", end, end, end);
}

static rt_status write_add_all(rt_buf *b, const ds_trained *t, const char *end)
{
    static const char byte_level[] = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}";
    RT_TRY(rt_buf_fmt(b,
                      "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
                      "  \"added_tokens\": [{\"id\": 0, \"content\": %s, \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                      "\"normalized\": false, \"special\": true}],\n  \"normalizer\": null,\n  \"pre_tokenizer\": %s,\n",
                      end, byte_level));
    RT_TRY(add_post_processor(b, end));
    RT_TRY(rt_buf_fmt(b,
                      "  \"decoder\": %s,\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": null,\n"
                      "    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
                      "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n    \"vocab\": {",
                      byte_level));
    RT_TRY(add_vocab(b, &t->vocab));
    RT_TRY(rt_buf_str(b, "\n    },\n    \"merges\": ["));
    RT_TRY(write_add_merges(b, t));
    return rt_buf_str(b, "\n    ]\n  }\n}\n");
}

rt_status ds_tokenizer_write_file(const char *dir, const char *name, const rt_buf *bytes)
{
    rt_buf    path = {0};
    rt_status st   = rt_path(&path, dir, name);
    if (st == RT_OK) st = rt_file_write(path.p, bytes->p, bytes->len);
    rt_buf_free(&path);
    return st;
}

rt_status ds_tokenizer_read_file(const char *dir, const char *name, rt_buf *bytes, int *there)
{
    rt_buf    path = {0};
    rt_status st   = rt_path_inside(&path, dir, name);
    *there         = st == RT_OK && rt_file_exists(path.p);
    if (*there) st = rt_file_read(bytes, path.p, DS_MAX_TOKENIZER);
    rt_buf_free(&path);
    return st;
}

/* ---- tokenizer_config.json -------------------------------------------------------------- */

static rt_status write_add_token(rt_buf *b, const char *key, const ds_vocab *v, int32_t id)
{
    if (id < 0) return RT_OK;
    RT_TRY(rt_buf_fmt(b, "  \"%s\": ", key));
    RT_TRY(write_add_entry(b, v, id));
    return rt_buf_str(b, ",\n");
}

static rt_status add_config(rt_buf *b, const ds_vocab *v, int32_t bos, int32_t eos)
{
    RT_TRY(rt_buf_str(b, "{\n"));
    RT_TRY(write_add_token(b, "bos_token", v, bos));
    RT_TRY(write_add_token(b, "eos_token", v, eos));
    return rt_buf_str(b, "  \"clean_up_tokenization_spaces\": false,\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\"");
}

rt_status ds_tokenizer_config_text(const ds_tokenizer *t, rt_buf *out)
{
    RT_TRY(add_config(out, &t->vocab, t->bos, t->eos));
    return rt_buf_str(out, "\n}\n");
}

static rt_status add_trained_config(rt_buf *b, const ds_vocab *v)
{
    RT_TRY(add_config(b, v, 0, 0));
    RT_TRY(rt_buf_str(b, ",\n  \"" DS_OURS "\": {\"document_end\": ["));
    RT_TRY(write_add_entry(b, v, 0));
    return rt_buf_str(b, "]}\n}\n");
}

rt_status ds_tokenizer_write(const ds_trained *t, const char *dir)
{
    rt_buf    json = {0}, config = {0}, end = {0};
    rt_status st = RT_OK;
    RT_TRY_OR(write_add_entry(&end, &t->vocab, 0), out);
    RT_TRY_OR(write_add_all(&json, t, end.p), out);
    RT_TRY_OR(add_trained_config(&config, &t->vocab), out);
    RT_TRY_OR(rt_dir_make(dir), out);
    RT_TRY_OR(ds_tokenizer_write_file(dir, "tokenizer.json", &json), out);
    RT_TRY_OR(ds_tokenizer_write_file(dir, "tokenizer_config.json", &config), out);
out:
    rt_buf_free(&json);
    rt_buf_free(&config);
    rt_buf_free(&end);
    return st;
}
