"""Ids and texts of tokenizers as retort and as Hugging Face's tokenizers give them.

usage: compare.py RETORT CACHE [NAME...]

First the tokenizers of fetch.py, which are kept in CACHE, on the texts of make_texts.py, each also from the file of SentencePiece or tiktoken of which the tokenizer.json is made; then tokenizers that are made here, one for each
component and its settings, on random texts. Prints a row for each: how many texts have the same ids, the same ids with special tokens around
them, and the same text after decoding with and without special tokens; and how many byte strings that are not UTF-8 have the ids of the text with U+FFFD
for each part (byte-level tokenizers encode such bytes as they are: "raw"); and whether the identity in a shard is the one that ../identity.py computes
from the file. Exit status 1 if anything differs; the names of the first that do.
"""
import itertools
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

import fetch
import make_texts

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import identity

MARK = "\u2581"


def retort(program, words, lines):
    given = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([program, "tokenizer", *words], input=given, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def text_of(line):
    return line["text"] if "text" in line else bytes.fromhex(line["hex"]).decode(errors="replace")


def compare(program, folder, known, texts, broken):
    """The checks of one tokenizer: name, number of cases, names of those that differ. `known`: the folder of its tokenizer.json."""
    theirs = Tokenizer.from_file(str(known / "tokenizer.json"))
    theirs.no_truncation()
    theirs.no_padding()
    asked = [dict(text=text) for _, text in texts]
    for check, words, special in (("ids", [], False), ("special", ["--special"], True)):
        want = [theirs.encode(text, add_special_tokens=special).ids for _, text in texts]
        got = [line["ids"] for line in retort(program, ["encode", *words, str(folder)], asked)]
        yield check, len(texts), [name for (name, _), a, b in zip(texts, got, want, strict=True) if a != b]
    for check, words, skip in (("decode", ["--special"], False), ("skip", [], True)):
        got = [text_of(line) for line in retort(program, ["decode", *words, str(folder)], [dict(ids=ids) for ids in want])]
        back = [theirs.decode(ids, skip_special_tokens=skip) for ids in want]
        yield check, len(texts), [name for (name, _), a, b in zip(texts, got, back, strict=True) if a != b]
    if '"ByteLevel"' in json.dumps(json.loads((known / "tokenizer.json").read_text(encoding="utf-8"))["pre_tokenizer"]):
        yield "bytes", 0, []
        return
    want = [theirs.encode(data.decode(errors="replace"), add_special_tokens=False).ids for _, data in broken]
    got = [line["ids"] for line in retort(program, ["encode", str(folder)], [dict(hex=data.hex()) for _, data in broken])]
    yield "bytes", len(broken), [name for (name, _), a, b in zip(broken, got, want, strict=True) if a != b]


def row(program, name, folder, texts, broken, known=None):
    """Prints the row; returns whether all is the same. `known`: the folder of the tokenizer.json, if `folder` holds a file of another form."""
    checks = list(compare(program, folder, known or folder, texts, broken))
    with tempfile.TemporaryDirectory() as work:
        noted, _ = identity.documents(program, str(folder), work, "shard")
    checks.append(("identity", 1, [noted] if noted != identity.identity(known or folder) else []))
    cells = [f"{n - len(bad)}/{n}" if n else "raw" for _, n, bad in checks]
    wrong = [f"{check}: {', '.join(bad[:3])}" for check, _, bad in checks if bad]
    print(f"{name:28}" + "".join(f"{c:>12}" for c in cells) + ("" if not wrong else "  DIFFERS in " + "; ".join(wrong)), flush=True)
    return not wrong


# ---- tokenizers made here

def split(pattern, behavior, invert=False, kind="Regex"):
    return dict(type="Split", pattern={kind: pattern}, behavior=behavior, invert=invert)


def metaspace(scheme, cut):
    return dict(type="Metaspace", replacement=MARK, prepend_scheme=scheme, split=cut)


def sequence(key, *members):
    return {"type": "Sequence", key: list(members)}


SPACES = dict(type="Replace", pattern={"String": " "}, content=MARK)
BACK = [dict(type="Replace", pattern={"String": MARK}, content=" "), dict(type="ByteFallback"), dict(type="Fuse")]
FUSED = sequence("decoders", *BACK)
STRIPPED = sequence("decoders", *BACK, dict(type="Strip", content=" ", start=1, stop=0))
ALPHABET = ["a", "b", "c", ",", ".", "1", "2", MARK, "\n", "\u00e9", "\u4e2d"]


def pairs(**settings):
    """BPE in which every string of two or four of the alphabet merges: ids show where a text is cut."""
    entries = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if settings.get("byte_fallback") else []) + ALPHABET
    merges = [[a, b] for a, b in itertools.product(ALPHABET, repeat=2)]
    twos = [a + b for a, b in merges]
    fours = [[a, b] for a, b in itertools.product(twos, repeat=2)]
    entries += twos + [a + b for a, b in fours]
    return dict(dict(type="BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=True,
                     byte_fallback=False, ignore_merges=False, vocab={e: i for i, e in enumerate(entries)}, merges=merges + fours), **settings)


def scored(draw, bytes_too):
    """Unigram whose scores have ties."""
    entries = ALPHABET + ["".join(draw.choices(ALPHABET, k=draw.randint(2, 6))) for _ in range(400)]
    vocab = [["<unk>", 0], ["<s>", 0], ["</s>", 0]] + [[e, -draw.randint(2, 12) * len(e) / 2] for e in dict.fromkeys(entries)]
    vocab += [[f"<0x{b:02X}>", -9] for b in range(256)] if bytes_too else []
    return dict(type="Unigram", unk_id=0, vocab=vocab, byte_fallback=bytes_too)


def made():
    """(name, normalizer, pre_tokenizer, decoder, model) of every component that decides ids."""
    spm = pairs(byte_fallback=True)
    yield "prepend", sequence("normalizers", dict(type="Prepend", prepend=MARK), SPACES), None, STRIPPED, spm
    yield "unk fused", SPACES, None, FUSED, pairs()
    yield "unk apart", SPACES, None, FUSED, pairs(fuse_unk=False)
    yield "no unk", SPACES, None, FUSED, pairs(unk_token=None)
    yield "ignore_merges", SPACES, None, FUSED, pairs(ignore_merges=True, merges=[["a", "b"]])
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        yield form, sequence("normalizers", dict(type=form), SPACES), None, FUSED, spm
    yield "strip", dict(type="Strip", strip_left=True, strip_right=False), None, FUSED, spm
    yield "replace regex", sequence("normalizers", dict(type="Replace", pattern={"Regex": r"\s{2,}|b(?=c)"}, content=".1"), SPACES), None, FUSED, spm
    for scheme, cut in itertools.product(("always", "first", "never"), (True, False)):
        yield f"metaspace {scheme} {cut}", None, metaspace(scheme, cut), dict(metaspace(scheme, cut)), spm
    for behavior, invert in itertools.product(("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"), (False, True)):
        yield f"{behavior} {invert}", SPACES, split(r"[,.1]|c+", behavior, invert), FUSED, spm
    yield "empty matches", SPACES, split("c?", "MergedWithNext"), FUSED, spm
    yield "string", SPACES, split(".", "MergedWithPrevious", kind="String"), FUSED, spm
    yield "digits", SPACES, dict(type="Digits", individual_digits=True), FUSED, spm
    yield "sequence", None, sequence("pretokenizers", dict(type="WhitespaceSplit"), split(",", "Isolated"), metaspace("first", True)), FUSED, spm
    draw = random.Random(2)
    for i in range(3):
        yield f"unigram {i}", None, metaspace("always", True), metaspace("always", True), scored(draw, False)
        yield f"unigram bytes {i}", SPACES, None, sequence("decoders", dict(type="ByteFallback"), metaspace("always", True)), scored(draw, True)


def write_made(folder, normalizer, pre, decoder, model):
    added = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=i == 2, normalized=i == 2, special=i == 1) for i, t in ((1, "<s>"), (2, "</s>"))]
    post = fetch.bos_template("<s>", 1)
    t = dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=normalizer, pre_tokenizer=pre, post_processor=post,
             decoder=decoder, model=model)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(t, ensure_ascii=False), encoding="utf-8")


def random_texts(n):
    draw = random.Random(1)
    words = ALPHABET * 3 + [" "] * 12 + ["<s>", "</s>", "\t", "\0", "x", "\u0301", "\ufb01", "\u1e9b\u0323", "\u3000", "\U0001f600"]
    return [(f"random {i}", "".join(draw.choices(words, k=draw.randrange(1, 30)))) for i in range(n)]


def main():
    program, cache, names = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    texts, broken, good = list(make_texts.texts()), list(make_texts.broken()), True
    print(f"{'tokenizer':28}" + "".join(f"{c:>12}" for c in ("ids", "special", "decode", "skip", "bytes", "identity")))
    for name in names or fetch.SOURCES:
        known = fetch.fetch(cache, name)
        good &= row(program, name, known, texts, broken)
        if name in fetch.FILES:
            good &= row(program, f"{name}, {fetch.FILES[name][2]}", fetch.fetch_source(cache, name), texts, broken, known)
    if names:
        return not good
    texts = random_texts(2000)
    for name, *parts in made():
        folder = cache / "made" / name.replace(" ", "-")
        write_made(folder, *parts)
        good &= row(program, name, folder, texts, broken)
    return not good


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main())
