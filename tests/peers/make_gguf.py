"""Write a model folder of Hugging Face as a GGUF file, with ggml's own Python package.

usage: make_gguf.py FOLDER FILE.gguf [TYPE]

Tensors get the names of the package's table. The rows of Llama's q and k are put into GGUF's order, as llama.cpp's converter does: the two halves of a
head alternate. TYPE is F32 (default), or a type that the package quantises; vectors stay F32. There is no tokenizer.
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


def put_config(writer, config):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    if config.get("head_dim"):
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
        writer.add_rope_dimension_count(config["head_dim"])


def main(folder, path, kind="F32"):
    config = json.load(open(os.path.join(folder, "config.json")))
    family = config["model_type"]
    kind = gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(path, family)
    put_config(writer, config)
    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == family)
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    for name, tensor in load_file(os.path.join(folder, "model.safetensors")).items():
        values = tensor.to(torch.float32).numpy()
        if family == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            values = alternate_halves(values, config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"])
        stored = kind if values.ndim > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), gguf.quantize(np.ascontiguousarray(values), stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
