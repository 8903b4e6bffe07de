"""A tokenizer's identity (data/FORMAT.md) computed by another program, and what transformers makes of a tokenizer that Retort copied.

usage: identity.py RETORT TOKENIZER_DIR CHECKPOINT_DIR WORK_DIR

TOKENIZER_DIR is any folder with a byte-level BPE tokenizer.json, CHECKPOINT_DIR one that Retort wrote with that tokenizer. Checks:
the identity in a shard made with either, and with what transformers saves after loading the checkpoint, is the one computed here; transformers
puts no end token behind a text; documents made with all three are the same. Exit status 1 and a line for what is not so.
"""
import hashlib
import json
import os
import struct
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def alphabet():
    itself = [b for b in range(256) if 0x21 <= b <= 0x7e or (0xa1 <= b and b != 0xad)]
    others = [b for b in range(256) if b not in itself]
    return {chr(b): b for b in itself} | {chr(0x100 + i): b for i, b in enumerate(others)}


def parts(pre):
    if pre is None:
        return []
    return [p for e in pre["pretokenizers"] for p in parts(e)] if pre["type"] == "Sequence" else [pre]


def steps(pre):
    prefix, found = False, []
    for p in parts(pre):
        if p["type"] == "ByteLevel":
            prefix = p.get("add_prefix_space", True)
            found += [(0, 0, GPT2)] if p.get("use_regex", True) else []
        elif p["type"] == "Digits":
            found.append((0, 0, r"\p{N}" if p.get("individual_digits") else r"\p{N}+"))
        else:
            keep = 0 if p["behavior"] == "Isolated" else 1 if p["invert"] else 2
            pattern = p["pattern"]
            found.append((0, keep, pattern["Regex"]) if "Regex" in pattern else (1, keep, pattern["String"]))
    return prefix, found


def has_nfc(normalizer):
    if normalizer is None:
        return False
    return normalizer["type"] == "NFC" or any(map(has_nfc, normalizer.get("normalizers", [])))


def identity(folder):
    t = json.load(open(os.path.join(folder, "tokenizer.json"), encoding="utf-8"))
    h, byte, model = hashlib.sha256(b"retort tokenizer 1\0"), alphabet(), t["model"]

    def number(*values):
        h.update(struct.pack(f"<{len(values)}q", *map(int, values)))

    def text(b):
        number(len(b))
        h.update(b)

    added = {a["id"]: a for a in t["added_tokens"]}
    entries = {i: (0, bytes(byte[c] for c in s) if all(c in byte for c in s) else s.encode()) for s, i in model["vocab"].items()}
    entries |= {i: (1, a["content"].encode()) for i, a in added.items()}
    number(len(entries))
    for i, (is_added, s) in sorted(entries.items()):
        number(i, is_added)
        text(s)
    merges = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
    rank = {tuple(model["vocab"][s] for s in m): r for r, m in enumerate(merges)}
    number(len(rank))
    for pair in sorted(rank, key=rank.get):
        number(*pair)
    prefix, found = steps(t["pre_tokenizer"])
    number(model.get("ignore_merges", False), has_nfc(t["normalizer"]), prefix, len(found))
    for literal, keep, pattern in found:
        number(literal, keep)
        text(pattern.encode())
    for normalized in (False, True):
        mine = sorted((a for a in t["added_tokens"] if a["normalized"] == normalized), key=lambda a: a["id"])
        number(len(mine))
        for a in mine:
            number(a["id"], a["single_word"] + 2 * a["lstrip"] + 4 * a["rstrip"])
    return h.hexdigest()


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
