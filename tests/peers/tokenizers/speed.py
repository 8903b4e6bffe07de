"""MB/s of retort, gigatoken and tiktoken on the same documents, in turn.

usage: speed.py RETORT CACHE [--mb 50] [--rounds 5] [--threads 1] [NAME...]

The documents are those of corpus.py. In each round every program encodes them in a process of its own; loading is not in the time. "cold" is a first
pass, with an empty cache of words, "warm" the best of two more. A rate is MB (10^6 bytes of UTF-8) by second of CPU time, which other work on the
machine disturbs less than the wall clock; with more threads it is by the wall clock. Prints for each tokenizer and kind of text the
medians, and the median of the rounds' ratios retort / gigatoken. Without NAME all tokenizers that gigatoken reads.
"""
import argparse
import base64
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import corpus
import fetch

NAMES = ("gpt2", "llama3", "qwen", "qwen35", "deepseek", "mistral-v1", "mistral-v3", "gemma3")


def rates(run, docs, threads):
    """The rates of a first pass and of the better of two more."""
    clock = time.perf_counter if threads > 1 else time.process_time
    size, seconds = sum(map(len, docs)) / 1e6, []
    for _ in range(3):
        began = clock()
        run(docs)
        seconds.append(clock() - began)
    return size / seconds[0], size / min(seconds[1:])


def other(engine, folder, docs, threads):
    if engine == "gigatoken":
        import gigatoken
        theirs = gigatoken.Tokenizer(str(folder / "tokenizer.json"))
        return rates(lambda d: theirs.encode_batch(d, parallel=threads > 1), docs, threads)
    import tiktoken
    t = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    splits = [p for p in t["pre_tokenizer"].get("pretokenizers", []) if p["type"] == "Split"]
    if len(splits) != 1:
        raise SystemExit("not of tiktoken's form")
    byte = {chr(c): b for b, c in alphabet().items()}
    ranks = {bytes(byte[c] for c in entry): i for entry, i in t["model"]["vocab"].items()}
    theirs = tiktoken.Encoding("x", pat_str=splits[0]["pattern"]["Regex"], mergeable_ranks=ranks, special_tokens={})
    texts = [d.decode() for d in docs]
    size = sum(map(len, docs)) / sum(map(len, texts))
    cold, warm = rates(lambda d: theirs.encode_ordinary_batch(d, num_threads=threads), texts, threads)
    return cold * size, warm * size


def alphabet():
    """GPT-2's printable character of each byte."""
    keep = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return {b: b if b in keep else 0x100 + [x for x in range(256) if x not in keep].index(b) for b in range(256)}


def measure(engine, a, folder, file):
    """(cold, warm) or None, in a process of its own."""
    if engine == "retort":
        done = subprocess.run([a.retort, "bench", "tokenizer", str(folder), file, "--threads", str(a.threads), "--json"], capture_output=True, text=True)
        o = json.loads(done.stdout)
        unit = "mb_s" if a.threads > 1 else "mb_cpu_s"
        return o[f"cold_{unit}"], o[f"warm_{unit}"]
    env = dict(os.environ, RAYON_NUM_THREADS=str(a.threads))
    done = subprocess.run([sys.executable, __file__, a.retort, str(a.cache), "--threads", str(a.threads), "--one", engine, str(folder), file],
                          capture_output=True, text=True, env=env)
    return json.loads(done.stdout) if done.returncode == 0 else None


def row(a, name, kind, file):
    seen = {engine: [] for engine in ("retort", "gigatoken", "tiktoken")}
    for _ in range(a.rounds):
        for engine, pairs in seen.items():
            pair = measure(engine, a, fetch.fetch(a.cache, name), file)
            pairs.extend([pair] if pair else [])
    cells = [f"{statistics.median(p[i] for p in pairs):>10.1f}" if pairs else f"{'-':>10}" for pairs in seen.values() for i in (0, 1)]
    ratios = [statistics.median(r[i] / g[i] for r, g in zip(seen["retort"], seen["gigatoken"])) for i in (0, 1)] if seen["gigatoken"] else []
    print(f"{name:12}{kind:11}" + "".join(cells) + "".join(f"{r:>8.2f}" for r in ratios), flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("retort")
    ap.add_argument("cache", type=pathlib.Path)
    ap.add_argument("--mb", type=float, default=50)
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    ap.add_argument("names", nargs="*")
    a = ap.parse_intermixed_args()
    if a.one:
        engine, folder, file = a.one
        docs = [d.encode() for d in corpus.documents(pathlib.Path(file).read_bytes())]
        print(json.dumps(other(engine, pathlib.Path(folder), docs, a.threads)))
        return
    print(f"{'':23}{'retort':>20}{'gigatoken':>20}{'tiktoken':>20}{'ratio':>16}")
    print(f"{'tokenizer':12}{'text':11}" + "".join(f"{c:>10}" for c in ("cold", "warm") * 3) + f"{'cold':>8}{'warm':>8}")
    with tempfile.TemporaryDirectory() as work:
        for kind, _ in corpus.KINDS:
            file = pathlib.Path(work) / kind
            file.write_bytes(corpus.make(kind, int(a.mb * 1e6)))
        for name in a.names or NAMES:
            for kind, _ in corpus.KINDS:
                row(a, name, kind, str(pathlib.Path(work) / kind))


if __name__ == "__main__":
    main()
