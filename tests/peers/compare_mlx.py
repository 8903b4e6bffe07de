"""Compares logits of a folder that `retort export --mlx` wrote: mlx-lm's, and Retort's on the weights of its arithmetic in numpy.

usage: compare_mlx.py MLX_FOLDER PLAIN_FOLDER [--tokens 48]        (retort in PATH; mlx[cpu] and mlx-lm installed)

PLAIN_FOLDER is written: the model with the dequantised weights, scale * level + bias in f32, computed here from the packed levels. Retort computes its logits. Fails if
they differ from mlx-lm's by more than 2e-3 of their scale.
"""
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from safetensors.numpy import load_file, save_file


def dequantise(stored, bits, group):
    """{name: tensor} with packed matrices replaced by plain ones."""
    plain = {}
    for name, x in stored.items():
        base = name.removesuffix(".weight")
        if name.endswith((".scales", ".biases")):
            continue
        if x.dtype != np.uint32:
            plain[name] = x
            continue
        levels = (x[..., None] >> np.arange(0, 32, bits, dtype=np.uint32)) & np.uint32((1 << bits) - 1)
        levels = levels.reshape(len(x), -1, group).astype(np.float32)
        scale, bias = (stored[base + part][..., None] for part in (".scales", ".biases"))
        plain[name] = (scale * levels + bias).reshape(len(x), -1)
    return plain


def main():
    folder, out = (pathlib.Path(v) for v in sys.argv[1:3])
    n = int(sys.argv[4]) if len(sys.argv) > 4 else 48
    config = json.loads((folder / "config.json").read_text())
    q = config.pop("quantization")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    save_file(dequantise(load_file(folder / "model.safetensors"), q["bits"], q["group_size"]), out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config))
    ids = (np.arange(n, dtype=np.int64) * 7919 + 11) % config["vocab_size"]
    save_file({"ids": ids[None]}, out / "ids.safetensors")
    subprocess.run(["retort", "eval", str(out), "--tokens", str(out / "ids.safetensors"), "--logits", str(out / "logits.safetensors"), "--force", "--dtype", "f32"],
                   check=True, stdout=subprocess.DEVNULL)
    ours = load_file(out / "logits.safetensors")["logits"].reshape(n, -1)

    import mlx.core as mx
    from mlx_lm.utils import load_model
    model, _ = load_model(folder)
    theirs = np.array(model(mx.array(ids[None].astype(np.int32)))[0].astype(mx.float32))
    scale = ours.std()
    off = np.abs(ours - theirs).max() / scale
    print(f"mlx: {config['model_type']}, {q['bits']} bits: logits at most {off:.1e} of their standard deviation ({scale:.2f}) apart; "
          f"{(ours.argmax(-1) == theirs.argmax(-1)).mean():.1%} of the most likely ids equal")
    if not off <= 2e-3:
        sys.exit("mlx: too far apart")


if __name__ == "__main__":
    main()
