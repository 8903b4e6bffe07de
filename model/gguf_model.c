/* gguf_model.c -- the names of tensors in GGUF files, and which file a path names (gguf_model.h). */
#include "model/gguf_model.h"
#include "core/file.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- names ------------------------------------------------------------------------------------- */

/* A role without a row is one of a family that is neither read nor written. */
static const char *const role_names[MD_ROLES] = {
    [MD_EMBEDDING]       = "token_embd.weight",
    [MD_ATTENTION_NORM]  = "blk.*.attn_norm.weight",
    [MD_Q]               = "blk.*.attn_q.weight",
    [MD_K]               = "blk.*.attn_k.weight",
    [MD_V]               = "blk.*.attn_v.weight",
    [MD_Q_BIAS]          = "blk.*.attn_q.bias",
    [MD_K_BIAS]          = "blk.*.attn_k.bias",
    [MD_V_BIAS]          = "blk.*.attn_v.bias",
    [MD_Q_NORM]          = "blk.*.attn_q_norm.weight",
    [MD_K_NORM]          = "blk.*.attn_k_norm.weight",
    [MD_WIDE_Q_NORM]     = "blk.*.attn_q_norm.weight",
    [MD_WIDE_K_NORM]     = "blk.*.attn_k_norm.weight",
    [MD_O]               = "blk.*.attn_output.weight",
    [MD_O_BIAS_VECTOR]   = "blk.*.attn_output.bias",
    [MD_AFTER_ATTENTION] = "blk.*.post_attention_norm.weight",
    [MD_MLP_NORM]        = "blk.*.ffn_norm.weight",
    [MD_BEFORE_MLP]      = "blk.*.ffn_norm.weight",
    [MD_GATE]            = "blk.*.ffn_gate.weight",
    [MD_UP]              = "blk.*.ffn_up.weight",
    [MD_GATE_BIAS]       = "blk.*.ffn_gate.bias",
    [MD_UP_BIAS]         = "blk.*.ffn_up.bias",
    [MD_DOWN]            = "blk.*.ffn_down.weight",
    [MD_DOWN_BIAS]       = "blk.*.ffn_down.bias",
    [MD_AFTER_MLP]       = "blk.*.post_ffw_norm.weight",
    [MD_FINAL_NORM]      = "output_norm.weight",
    [MD_HEAD]            = "output.weight",
};

const char *md_gguf_role_name(md_role role) { return role_names[role]; }

rt_status md_gguf_tensor_name(char name[MD_GGUF_NAME], const md_tensor *t)
{
    const char *form = role_names[t->role], *star = form ? strchr(form, '*') : NULL;
    RT_CHECK(form, RT_EINVAL, "GGUF files have no tensor for %s", t->name);
    if (star) snprintf(name, MD_GGUF_NAME, "%.*s%lld%s", (int)(star - form), form, (long long)t->layer, star + 1);
    else snprintf(name, MD_GGUF_NAME, "%s", form);
    return RT_OK;
}

real md_gguf_added(const md_config *c, const md_tensor *t) { return md_has(c, MD_GEMMA) && t->is_vector ? 1 : 0; }

int64_t md_gguf_turned_heads(const md_config *c, const md_tensor *t)
{
    if (c->family != MD_LLAMA && c->family != MD_MISTRAL && c->family != MD_SMOLLM3 && c->family != MD_GRANITE) return 0;
    return t->role == MD_Q || t->role == MD_Q_BIAS ? c->H : t->role == MD_K || t->role == MD_K_BIAS ? c->KV : 0;
}

/* ---- the file ------------------------------------------------------------------------------------- */

static int gguf_is_name(const char *name)
{
    const size_t n = strlen(name);
    return n > 5 && !strcmp(name + n - 5, ".gguf");
}

static int holds_safetensors(char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (!strncmp(names[i], "model.safetensors", 17)) return 1;
    return 0;
}

static rt_status choose_file(rt_buf *path, const char *dir, char *const *names, int n)
{
    const char *one = NULL;
    if (holds_safetensors(names, n)) return RT_OK;
    for (int i = 0; i < n; i++) {
        if (!gguf_is_name(names[i])) continue;
        RT_CHECK(!one, RT_EFORMAT, "%s: the folder holds %s and %s; name one of the files instead", dir, one ? one : "", names[i]);
        one = names[i];
    }
    return one ? rt_path_inside(path, dir, one) : RT_OK;
}

rt_status md_gguf_locate(rt_buf *path, const char *given)
{
    struct stat info;
    const int   folder = !stat(given, &info) && S_ISDIR(info.st_mode);
    char      **names;
    int         n;
    if (!folder) return gguf_is_name(given) ? rt_buf_str(path, given) : RT_OK;
    RT_TRY(rt_dir_list(&names, &n, given));
    const rt_status st = choose_file(path, given, names, n);
    rt_names_free(&names, n);
    return st;
}
