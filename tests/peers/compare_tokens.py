"""Ids of random texts from all of Unicode, as Hugging Face's tokenizers and as retort give them.

usage: compare_tokens.py RETORT WORK_DIR [TEXTS]

The tokenizers are made here: every pair of bytes is an entry and a merge, so that ids tell where a regex cuts; the regexes and normalisers are
those of public models. Texts are drawn from all assigned code points, with those that versions of Unicode, regex engines and normalisers
take differently over-represented. Exit status 1 and the first text of each tokenizer that differs.
"""
import json
import os
import random
import subprocess
import sys
import unicodedata

from tokenizers import Tokenizer

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
            "\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]
ODD = [r"\w+|\W", r"\d+(?=\D|$)|^ +|\bx|\h{2,3}|[^\S\n]+", r"\p{Han}+|\p{Hiragana}+|\p{^L}\P{M}?|[\p{Greek}&]", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+|[\p{Han}]+|[a-z&&[^b-y]]|[]x-]",
       r" ?[^(\s|[.,!?…。，、।۔،])]+", r"a{,2}b|\x{41}B?\u00e9|.\n|(?<=1)2|(?<!3)4+?5"]
KINDS = {"gpt2": ([], None, True), "llama3": ([LLAMA3], None, False), "qwen": ([QWEN], "NFC", False), "o200k": ([O200K], None, False),
         "deepseek": (DEEPSEEK, None, False)} | {f"odd{i}": ([r], None, False) for i, r in enumerate(ODD)}


def byte_names():
    itself = [b for b in range(256) if 0x21 <= b <= 0x7e or (0xa1 <= b and b != 0xad)]
    others = [b for b in range(256) if b not in itself]
    return {b: chr(b) for b in itself} | {b: chr(0x100 + i) for i, b in enumerate(others)}


def write(folder, regexes, normalizer, gpt2):
    name = byte_names()
    vocab = {name[b]: b for b in range(256)}
    merges = []
    for a in range(256):
        for b in range(256):
            vocab.setdefault(name[a] + name[b], 256 + 256 * a + b)
            merges.append([name[a], name[b]])
    added = [dict(id=65792, content="<w>", single_word=True, lstrip=False, rstrip=False, normalized=False, special=False),
             dict(id=65793, content="<s>", single_word=False, lstrip=True, rstrip=True, normalized=True, special=False)]
    last = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=gpt2)
    splits = [dict(type="Split", pattern={"Regex": r}, behavior="Isolated", invert=False) for r in regexes]
    t = dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=normalizer and dict(type=normalizer),
             pre_tokenizer=dict(type="Sequence", pretokenizers=splits + [last]), post_processor=None, decoder=last,
             model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False,
                        byte_fallback=False, ignore_merges=False, vocab=vocab, merges=merges))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(t, f, ensure_ascii=False)


def texts(n):
    draw = random.Random(1)
    every = [c for c in range(0x20, 0x110000) if not 0xD800 <= c < 0xE000]
    assigned = [c for c in every if c < 0x20000 and unicodedata.category(chr(c)) not in ("Cn", "Co")]
    marks = [c for c in assigned if unicodedata.combining(chr(c))]
    plain = [ord(c) for c in "  \t\n\r'sSdmtlLveErRaAbBxX0123456789.,-_/!&\u017f\u212a\u200c\u200d\u0345\u180e\u2028\u00a0\u3000éÅ中가각\u1161\u11a8"]
    newer = [c for c in every if c < 0x33480 and unicodedata.category(chr(c)) == "Cn"]
    for _ in range(n):
        pools = draw.choice(([plain], [plain, assigned], [plain, marks], [plain, newer, assigned, marks], [every]))
        words = [chr(draw.choice(draw.choice(pools))) for _ in range(draw.randrange(1, 40))]
        if draw.random() < 0.2:
            words.insert(draw.randrange(len(words)), draw.choice(("<w>", " <s> ", "<s>")))
        yield "".join(words)


def main():
    retort, work, n = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 20000
    lines, wrong = list(texts(n)), 0
    given = "".join(json.dumps(dict(text=t)) + "\n" for t in lines)
    for kind, (regexes, normalizer, gpt2) in KINDS.items():
        folder = os.path.join(work, kind)
        write(folder, regexes, normalizer, gpt2)
        ours = subprocess.run([retort, "tokenizer", "encode", folder], input=given, capture_output=True, text=True, check=True).stdout
        theirs = Tokenizer.from_file(os.path.join(folder, "tokenizer.json")).encode_batch(lines)
        apart = [i for i, (a, b) in enumerate(zip(ours.splitlines(), theirs, strict=True)) if json.loads(a)["ids"] != b.ids]
        print(f"{kind}: {len(apart)} of {n} texts differ" + (f", the first {lines[apart[0]]!r}" if apart else ""))
        wrong += bool(apart)
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
