"""Writes the data of all steps of make_kd_case.py as a shard, a document a sequence, with h5py alone, as data/FORMAT.md says.

usage: make_shard.py CASE_DIR SHARD.h5

Rows about prompt tokens have targets too: prompt_mask alone says that they do not count.
"""
import hashlib
import json
import sys

import h5py
import numpy as np
from safetensors.numpy import load_file


def fixed(text):
    """A UTF-8 string of fixed length, with room for the NUL at its end."""
    return np.array(text.encode(), dtype=h5py.string_dtype("utf-8", len(text.encode()) + 1))


def main(case, path):
    data = {name: value.reshape((-1,) + value.shape[2:]) for name, value in load_file(f"{case}/data.safetensors").items()}
    batch, length = data["ids"].shape
    with open(f"{case}/case.json") as file:
        vocab = json.load(file)["vocab"]
    k, m = data["topk_ids"].shape[-1], data["tail_ids"].shape[-1]
    valid = np.broadcast_to(np.arange(1, length + 1) < length, (batch, length))
    target = np.roll(data["ids"], -1, 1)
    target[:, -1] = -1
    mass = np.exp(data["topk_logprobs"].astype(np.float64)).sum(-1)
    hide = lambda x, by=np.nan: np.where(valid.reshape(valid.shape + (1,) * (x.ndim - 2)), x, by)
    with open(f"{case}/teacher/tokenizer.json", "rb") as file:
        tokenizer = hashlib.sha256(file.read()).hexdigest()
    with h5py.File(path, "w", libver=("v110", "v110")) as shard:
        shard.attrs.update(format=1, vocab_size=vocab, k=k, m=m, time=0)
        texts = dict(kind="soft", codec="raw", tokenizer_sha256=tokenizer, teacher="golden", dialect="", sampling="", endpoint="",
                     probe="", prices="", program="make_shard.py")
        shard.attrs.update({name: fixed(text) for name, text in texts.items()})
        flat = lambda x: x.reshape((batch * length,) + x.shape[2:])
        put = lambda name, x: shard.create_dataset(name, data=x, chunks=(min(len(x), 2048),) + x.shape[1:], compression="gzip", fletcher32=True)
        put("doc_start", np.arange(0, batch * length + 1, length, dtype=np.int64))
        put("ids", flat(data["ids"]).astype(np.int32))
        put("prompt_mask", flat(data["prompt_mask"]).astype(np.uint8))
        put("target_id", flat(target).astype(np.int32))
        put("valid", flat(valid).astype(np.uint8))
        put("topk_ids", flat(hide(data["topk_ids"], 0)).astype(np.int32))
        put("tail_ids", flat(hide(data["tail_ids"], 0)).astype(np.int32))
        put("topk_logprob", flat(hide(data["topk_logprobs"])).astype(np.float32))
        put("actual_logprob", flat(hide(data["actual_logprob"])).astype(np.float32))
        put("rest_mass", flat(hide(np.maximum(0, 1 - mass))).astype(np.float32))
        for name in ("request", "recipe", "topic", "finish", "seed"):
            put(f"doc/{name}", np.repeat(fixed("0" if name == "seed" else ""), batch))
        put("doc/cost", np.full(batch, np.nan))


if __name__ == "__main__":
    main(*sys.argv[1:])
