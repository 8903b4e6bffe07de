"""Blocks of every GGUF type that Retort reads or writes, with the values that ggml's Python package reads from them.

usage: make_gguf_blocks.py OUT.safetensors [LIBGGML_BASE.so]

For each type T of TYPES the file holds T.blocks (U8 [2, bytes]: random bytes, but for the scales in half precision, which are numbers of
either sign and one denormal) and T.values (F32 [2, elements]). For each type that Retort writes it holds T.written (U8): the blocks that ggml makes
of the values `source` (F32 [rows, 256]: usual weights, outliers, constants, zeros, one sign). ggml's Python package makes Q8_0 and Q4_0; the
K types are made by the C library of llama.cpp that is named, and are taken from OUT if none is.
"""
import ctypes
import os
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file, save_file

# Type: byte offsets of half-precision scales in a block.
TYPES = {"F32": [], "F16": [0], "BF16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
         "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0]}
WRITTEN = ["Q8_0", "Q4_0", "Q4_K", "Q6_K"]


def make_blocks(rng, name):
    kind = GGMLQuantizationType[name]
    elements, size = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (2, size), dtype=np.uint8)
    if name == "F32":
        blocks = rng.normal(size=(2, 1)).astype(np.float32).view(np.uint8)
    if name == "BF16":
        blocks = (rng.normal(size=(2, 1)).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    for at in TYPES[name]:
        scales = np.array([rng.normal(), -2.0**-20 if at else -rng.random()], dtype=np.float16)
        blocks[:, at:at + 2] = scales.reshape(2, 1).view(np.uint8)
    return blocks, dequantize(blocks, kind).reshape(2, elements).astype(np.float32)


def make_source(rng):
    rows = [rng.normal(size=256) * 0.05 for _ in range(4)] + [rng.normal(size=256) * 20, rng.standard_t(2, size=256), np.zeros(256),
            np.full(256, 0.375), np.full(256, -0.375), rng.random(256), -rng.random(256), rng.normal(size=256) * 1e-6]
    mixed = np.concatenate([np.zeros(64), rng.normal(size=64) * 1e-3, np.full(64, 2.0), rng.normal(size=64)])
    few = np.zeros(256)
    few[[3, 100, 255]] = [1, -2, 0.5]
    return np.stack([*rows, mixed, few]).astype(np.float32)


def quantise_in_c(library, name, source):
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    out = np.zeros((len(source), source.shape[1] // elements * size), np.uint8)
    function = getattr(library, f"quantize_row_{name[0].lower() + name[1:]}_ref")
    function(source.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(source.size))
    return out


def main(path, library=None):
    rng = np.random.default_rng(1)
    former = load_file(path) if os.path.exists(path) else {}
    tensors = {"source": make_source(rng)}
    for name in TYPES:
        tensors[f"{name}.blocks"], tensors[f"{name}.values"] = make_blocks(rng, name)
    for name in WRITTEN:
        if library:
            tensors[f"{name}.written"] = quantise_in_c(ctypes.CDLL(library), name, tensors["source"])
        elif name.endswith("_K"):
            tensors[f"{name}.written"] = former[f"{name}.written"]
        if not name.endswith("_K"):
            python = quantize(tensors["source"], GGMLQuantizationType[name])
            assert f"{name}.written" not in tensors or np.array_equal(python, tensors[f"{name}.written"]), name
            tensors[f"{name}.written"] = python
    save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
