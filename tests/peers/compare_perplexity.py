"""Compares probabilities of Retort with those of llama.cpp on real text: perplexity and the mean divergence per token, from one GGUF file.

usage: compare_perplexity.py FILE.gguf TEXT [--ctx 512] [--chunks 4] [--retort FILE_OR_FOLDER] [--reference FOLDER] [--perplexity 0.001] [--kl 0.001]

llama-perplexity (in PATH) writes the log-probabilities of the second half of each chunk of TEXT; retort eval computes the same rows of the same ids, from
FILE.gguf or what --retort names. With --reference, a model of plain weights, the divergence of both from that model is printed too: llama.cpp rounds activations to
8 bits before products with quantised weights. Fails if the perplexities differ by more than --perplexity (relative) or the mean KL exceeds --kl, unless Retort
is nearer to the reference than llama.cpp is.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file, save_file


def run(command):
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{command[0]} fails: {done.stderr.decode(errors='replace')[-500:]}")


def log_softmax(z):
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


class Theirs:
    """The file of --save-all-logits: "_logits_", context, vocabulary, chunks, ids, then per row scale, least log-probability and one uint16 per id."""

    def __init__(self, path):
        with open(path, "rb") as f:
            assert f.read(8) == b"_logits_"
            self.ctx, self.V, self.chunks = (int(v) for v in np.fromfile(f, np.int32, 3))
            self.ids = np.fromfile(f, np.int32, self.ctx * self.chunks).reshape(self.chunks, self.ctx)
            self.at = f.tell()
        self.path, self.first, self.width = path, self.ctx // 2, 2 * ((self.V + 1) // 2) + 4

    def rows(self, chunk):
        n = self.ctx - 1 - self.first
        raw = np.fromfile(self.path, np.uint16, n * self.width, offset=self.at + 2 * chunk * n * self.width).reshape(n, self.width)
        head = np.ascontiguousarray(raw[:, :4]).view(np.float32)
        known = raw[:, 4 : 4 + self.V]  # 0: at least 16 nats below the most likely id, and no more is known
        return np.where(known > 0, head[:, 1:2].astype(np.float64) + head[:, :1] * known.astype(np.float64), -np.inf)


def ours(model, ids, first, work):
    save_file({"ids": ids[None].astype(np.int64)}, work / "ids.safetensors")
    run(["retort", "eval", str(model), "--tokens", str(work / "ids.safetensors"), "--logits", str(work / "logits.safetensors"), "--force", "--dtype", "f32"])
    z = load_file(work / "logits.safetensors")["logits"].reshape(len(ids), -1)
    return log_softmax(z[first:-1].astype(np.float64))


def kl(p, q):
    """The divergence over the ids of which both are known; what is left out is below 1e-6 in all."""
    known = np.isfinite(p) & np.isfinite(q)
    return np.where(known, np.exp(p) * np.where(known, p - q, 0), 0).sum(-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("text")
    parser.add_argument("--ctx", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=4)
    parser.add_argument("--retort")
    parser.add_argument("--reference")
    parser.add_argument("--perplexity", type=float, default=0.001)
    parser.add_argument("--kl", type=float, default=0.001)
    parser.add_argument("--bos", type=int, default=2, help="id that llama.cpp puts in place of the first of each chunk; -1: none")
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        run(["llama-perplexity", "-m", o.file, "-f", o.text, "-c", str(o.ctx), "-b", str(o.ctx), "--chunks", str(o.chunks), "--save-all-logits", str(work / "theirs"),
             "-t", "2", "-ctk", "f32", "-ctv", "f32", "-fa", "off"])
        theirs = Theirs(work / "theirs")
        sums, n = np.zeros(6), 0
        for chunk in range(theirs.chunks):
            ids = theirs.ids[chunk].copy()
            if o.bos >= 0:
                ids[0] = o.bos
            p, q = theirs.rows(chunk), ours(o.retort or o.file, ids, theirs.first, work)
            at = np.arange(len(p)), ids[theirs.first + 1 :]
            sums[:4] += -p[at].sum(), -q[at].sum(), kl(p, q).sum(), kl(q, p).sum()
            if o.reference:
                r = ours(o.reference, ids, theirs.first, work)
                sums[4:] += kl(r, p).sum(), kl(r, q).sum()
            n += len(p)
    mean = sums / n
    off = abs(np.exp(mean[1] - mean[0]) - 1)
    print(f"{n} rows: perplexity {np.exp(mean[0]):.4f} of llama.cpp, {np.exp(mean[1]):.4f} of retort ({off:.5%} apart); mean KL {mean[2]:.2e}, reverse {mean[3]:.2e}"
          + (f"; from the reference: llama.cpp {mean[4]:.2e}, retort {mean[5]:.2e}" if o.reference else ""))
    if (off > o.perplexity or mean[2] > o.kl) and not (o.reference and mean[5] < mean[4]):
        sys.exit("too far apart")


if __name__ == "__main__":
    main()
