"""A tokenizer's identity (data/FORMAT.md) computed by another program, and what transformers makes of a tokenizer that Retort copied.

usage: identity.py RETORT TOKENIZER_DIR CHECKPOINT_DIR WORK_DIR

TOKENIZER_DIR is any folder with a tokenizer.json, CHECKPOINT_DIR one that Retort wrote with that tokenizer. Checks:
the identity in a shard made with either, and with what transformers saves after loading the checkpoint, is the one computed here; transformers
puts no end token behind a text; documents made with all three are the same. Exit status 1 and a line for what is not so.
"""
import base64
import hashlib
import json
import os
import struct
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
KEEP = {"Isolated": (0, 0), "Removed": (2, 1), "MergedWithPrevious": (3, 6), "MergedWithNext": (4, 7), "Contiguous": (5, 5)}


def alphabet():
    itself = [b for b in range(256) if 0x21 <= b <= 0x7e or (0xa1 <= b and b != 0xad)]
    others = [b for b in range(256) if b not in itself]
    return {chr(b): b for b in itself} | {chr(0x100 + i): b for i, b in enumerate(others)}


def steps(pre):
    prefix, found = False, []
    for p in members(pre, "pretokenizers"):
        if p["type"] == "ByteLevel":
            prefix = p.get("add_prefix_space", True)
            found += [(0, 0, GPT2)] if p.get("use_regex", True) else []
        elif p["type"] == "Digits":
            found.append((0, 0, r"\p{N}" if p.get("individual_digits") else r"\p{N}+"))
        elif p["type"] == "WhitespaceSplit":
            found.append((0, 2, r"\s"))
        else:
            keep = KEEP[p["behavior"]][p["invert"]]
            pattern = p["pattern"]
            found.append((0, keep, pattern["Regex"]) if "Regex" in pattern else (1, keep, pattern["String"]))
    return prefix, found


class Digest:
    def __init__(self, name):
        self.h = hashlib.sha256(name + b"\0")

    def number(self, *values):
        self.h.update(struct.pack(f"<{len(values)}q", *map(int, values)))

    def text(self, b):
        self.number(len(b))
        self.h.update(b)

    def splits(self, found):
        for literal, keep, pattern in found:
            self.number(literal, keep)
            self.text(pattern.encode())


def put_entries(h, t, byte_level):
    model, byte = t["model"], alphabet()
    vocab = model["vocab"] if isinstance(model["vocab"], dict) else {s: i for i, (s, _) in enumerate(model["vocab"])}
    entries = {i: (0, bytes(byte[c] for c in s) if byte_level and all(c in byte for c in s) else s.encode()) for s, i in vocab.items()}
    entries |= {a["id"]: (1, a["content"].encode()) for a in t["added_tokens"]}
    h.number(len(entries))
    for i, (is_added, s) in sorted(entries.items()):
        h.number(i, is_added)
        h.text(s)
    merges = [m.split(" ") if isinstance(m, str) else m for m in model.get("merges", [])]
    rank = {tuple(vocab[s] for s in m): r for r, m in enumerate(merges)}
    h.number(len(rank))
    for pair in sorted(rank, key=rank.get):
        h.number(*pair)


def put_added(h, t):
    for normalized in (False, True):
        mine = sorted((a for a in t["added_tokens"] if a["normalized"] == normalized), key=lambda a: a["id"])
        h.number(len(mine))
        for a in mine:
            h.number(a["id"], a["single_word"] + 2 * a["lstrip"] + 4 * a["rstrip"])


def members(part, key):
    if part is None:
        return []
    return [m for e in part[key] for m in members(e, key)] if part["type"] == "Sequence" else [part]


def put_model(h, t, byte_level):
    model = t["model"]
    h.number(model["type"] == "Unigram")
    if model["type"] == "Unigram":
        h.number(len(model["vocab"]))
        h.h.update(b"".join(struct.pack("<d", score) for _, score in model["vocab"]))
        unk = model.get("unk_id")
        h.number(model.get("byte_fallback", False), -1 if unk is None else unk)
        h.number(0, 0, 0, 0)
        return
    unk = 0 if byte_level else -1 if model.get("unk_token") is None else model["vocab"][model["unk_token"]]
    h.number(model.get("ignore_merges", False), not byte_level and model.get("byte_fallback", False), not byte_level and model.get("fuse_unk", False), unk)


def put_normalizer(h, t):
    found = members(t["normalizer"], "normalizers")
    h.number(len(found))
    for s in found:
        pattern = s.get("pattern", {})
        from_ = base64.b64decode(s["precompiled_charsmap"]) if s["type"] == "Precompiled" else pattern.get("String", "").encode()
        h.text(s["type"].encode())
        h.text(from_)
        h.text(s.get("prepend", s.get("content", "")).encode())
        regex = [(0, 0, pattern["Regex"])] if "Regex" in pattern else []
        h.number(s.get("strip_left", False), s.get("strip_right", False), len(regex))
        h.splits(regex)


def put_pre(h, t, byte_level):
    """Neighbouring regexes are one step."""
    found = []
    for p in members(t["pre_tokenizer"], "pretokenizers"):
        if p["type"] == "Metaspace":
            found.append((2, p["replacement"], ("always", "first", "never").index(p["prepend_scheme"]), p.get("split", True), []))
            continue
        prefix, regexes = steps(p)
        if prefix:
            found.append((1, " ", 0, 0, []))
        if regexes and found and found[-1][0] == 0:
            found[-1][4].extend(regexes)
        elif regexes:
            found.append((0, "", 0, 0, regexes))
    h.number(byte_level, len(found))
    for kind, mark, scheme, cut, regexes in found:
        h.number(kind)
        h.text(mark.encode())
        h.number(scheme, cut, len(regexes))
        h.splits(regexes)


def identity(folder):
    t = json.load(open(os.path.join(folder, "tokenizer.json"), encoding="utf-8"))
    pre = members(t["pre_tokenizer"], "pretokenizers")
    byte_level = any(p["type"] == "ByteLevel" for p in pre)
    first = byte_level and not any(p["type"] == "Metaspace" for p in pre) and all(
        s["type"] == "NFC" for s in members(t["normalizer"], "normalizers"))
    h = Digest(b"retort tokenizer " + (b"1" if first else b"2"))
    put_entries(h, t, byte_level)
    if first:
        prefix, found = steps(t["pre_tokenizer"])
        h.number(t["model"].get("ignore_merges", False), len(members(t["normalizer"], "normalizers")) > 0, prefix, len(found))
        h.splits(found)
    else:
        put_model(h, t, byte_level)
        put_normalizer(h, t)
        put_pre(h, t, byte_level)
    put_added(h, t)
    return h.h.hexdigest()


def documents(retort, folder, work, name):
    """The identity noted in a shard that is made with the folder's tokenizer, and the digest of its content."""
    text, shard = os.path.join(work, "text.txt"), os.path.join(work, name + ".h5")
    with open(text, "w", encoding="utf-8") as f:
        f.write("a vessel (noun): a ship\nnaïve 蒸留 <|end|> 12\n")
    if os.path.exists(shard):
        os.remove(shard)
    run = lambda *words: subprocess.run([retort, "data", *words], check=True, capture_output=True, text=True).stdout
    run("import", text, "--tokenizer", folder, "--out", shard)
    return json.loads(run("inspect", shard, "--json"))["tokenizer_sha256"], run("verify", shard, "--digest").split()[0]


def main():
    retort, original, checkpoint, work = sys.argv[1:]
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    ids = tokenizer("a vessel")["input_ids"]
    saved = os.path.join(work, "saved")
    tokenizer.save_pretrained(saved)
    wanted, wrong = identity(original), []
    if ids[-1] == tokenizer.eos_token_id:
        wrong.append(f"{checkpoint}: transformers ends a text: {ids}")
    digests = set()
    for i, folder in enumerate((original, checkpoint, saved)):
        noted, digest = documents(retort, folder, work, str(i))
        digests.add(digest)
        if noted != wanted or identity(folder) != wanted:
            wrong.append(f"{folder}: the shard says {noted}, its file comes to {identity(folder)}, {original}'s to {wanted}")
    if len(digests) > 1:
        wrong.append("documents of one tokenizer differ")
    print("\n".join(wrong) or f"identity {wanted}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
