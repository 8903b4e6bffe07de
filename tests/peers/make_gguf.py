"""Write a model folder of Hugging Face as a GGUF file, with ggml's own Python package.

usage: make_gguf.py FOLDER FILE.gguf [TYPE]

Tensors get the names of the package's table. As llama.cpp's converter does, the rows of q and k of Llama, Mistral, SmolLM3 and Granite are put into GGUF's order, in which the
two halves of a head alternate, and 1 is added to Gemma's norms. TYPE is F32 (default), or a type that the package quantises; vectors stay F32. There is no tokenizer.
"""
import json
import os
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import load_file


def alternate_halves(matrix, heads):
    return matrix.reshape(heads, 2, matrix.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(matrix.shape)


def llama3_divisors(config):
    """What transformers divides the frequencies of the rotary embedding by."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](LlamaConfig(**config), "cpu")
    dims = 2 * len(scaled)
    return (config["rope_parameters"]["rope_theta"] ** (-np.arange(0, dims, 2) / dims) / scaled.numpy()).astype(np.float32)


def put_config(writer, config):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = config["rope_parameters"]
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    if config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    for key in "attn_logit_softcapping", "final_logit_softcapping":
        if config.get(key):
            writer.add_float32(f"{writer.arch}.{key}", config[key])
    if config["model_type"] == "granite":
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
        writer.add_rope_dimension_count(config["head_dim"])


def main(folder, path, kind="F32"):
    config = json.load(open(os.path.join(folder, "config.json")))
    family = config["model_type"].removesuffix("_text").replace("mistral", "llama")
    kind = gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(path, family)
    put_config(writer, config)
    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == family)
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    if config["rope_parameters"].get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(config))
    for name, tensor in load_file(os.path.join(folder, "model.safetensors")).items():
        values = tensor.to(torch.float32).numpy()
        if family.startswith("gemma") and values.ndim == 1:
            values = values + 1
        if family in ("llama", "smollm3", "granite") and name.endswith(("q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias")):
            values = alternate_halves(values, config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"])
        stored = kind if values.ndim > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), gguf.quantize(np.ascontiguousarray(values), stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
