"""Compare a GGUF file that Retort wrote with one that ggml's Python package made of the same model (make_gguf.py), and read its tokenizer.

usage: check_gguf.py RETORT.gguf GGML.gguf TOKENIZER.json

Tensors must have the same names, types, shapes and bytes (rope_freqs, which transformers computes in floats, the same values but for rounding); keys that both files have the same values; the entries of the tokenizer their ids.
"""
import json
import sys

import numpy as np
from gguf import GGUFReader


def main(ours, theirs, tokenizer):
    a, b = GGUFReader(ours), GGUFReader(theirs)
    other = {t.name: t for t in b.tensors}
    assert {t.name for t in a.tensors} == set(other), "other tensors"
    for t in a.tensors:
        o = other[t.name]
        same = np.allclose(t.data, o.data, rtol=1e-5) if t.name == "rope_freqs.weight" else np.array_equal(t.data, o.data)
        assert (t.tensor_type, list(t.shape)) == (o.tensor_type, list(o.shape)) and same, f"{t.name} differs"
    shared = [key for key in a.fields if key in b.fields and "." in key and not key.startswith(("GGUF.", "general.quantization"))]
    for key in shared:
        assert a.fields[key].contents() == b.fields[key].contents(), f"{key}: {a.fields[key].contents()}, ggml {b.fields[key].contents()}"
    vocab = json.load(open(tokenizer))["model"]["vocab"]
    tokens = a.fields["tokenizer.ggml.tokens"].contents()
    assert all(tokens[i] == text for text, i in vocab.items()), "an entry has another id"
    print(f"{len(a.tensors)} tensors, {len(shared)} keys and {len(vocab)} entries: equal")


if __name__ == "__main__":
    main(*sys.argv[1:])
