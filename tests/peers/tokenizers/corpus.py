"""Ids of real text, whole documents of 64 KB, as retort and as Hugging Face's tokenizers give them.

usage: corpus.py RETORT CACHE [--mb 50] [NAME...]

The text is what this machine has: Python sources, the documentation in /usr/share and the translations in message catalogues, a third each, each
file once, in the order of its SHA-256. Prints a row for each tokenizer of fetch.py (all, or NAME...): how many documents have the same ids, tokens, bytes
per token. Exit status 1 if a document differs; its number and the place of the first id that does. 50 MB take one to five minutes a tokenizer.
"""
import argparse
import gettext
import gzip
import hashlib
import pathlib
import sys
import sysconfig

from tokenizers import Tokenizer

import compare
import fetch

KINDS = ("code", (".py",)), ("prose", (".txt", ".md", ".rst", ".html", ".pod", ".gz")), ("languages", (".mo",))
DOCUMENT = 64 << 10


def read(path):
    if path.suffix == ".mo":
        with open(path, "rb") as f:
            catalogue = gettext.GNUTranslations(f)._catalog
        return "\n".join(v for k, v in sorted(catalogue.items(), key=str) if k and isinstance(v, str)).encode()
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def texts(folder, ends):
    """The files' contents by SHA-256; what cannot be read or is not UTF-8 is left out."""
    found = {}
    for path in folder.rglob("*"):
        if path.suffix in ends and path.is_file() and not path.is_symlink():
            try:
                data = read(path)
                data.decode()
            except Exception:
                continue
            found[hashlib.sha256(data).digest()] = data.rstrip(b"\n") + b"\n"
    return found


def make(kind, size):
    """About `size` bytes of one kind of text."""
    ends = dict(KINDS)[kind]
    folder = pathlib.Path(sysconfig.get_paths()["stdlib"] if kind == "code" else "/usr/share")
    found = texts(folder, ends)
    out = bytearray()
    for key in sorted(found):
        if len(out) + len(found[key]) <= size:
            out += found[key]
    return bytes(out)


def documents(data):
    at = 0
    while at < len(data):
        end = data.find(b"\n", at + DOCUMENT)
        end = len(data) if end < 0 else end + 1
        yield data[at:end].decode()
        at = end


def row(program, name, folder, docs):
    """Prints the row; returns whether all is the same."""
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs.no_truncation()
    theirs.no_padding()
    same = tokens = 0
    wrong = ""
    for at in range(0, len(docs), 64):
        part = docs[at:at + 64]
        want = theirs.encode_batch_fast(part, add_special_tokens=False)
        got = compare.retort(program, ["encode", str(folder)], [dict(text=text) for text in part])
        for i, (a, b) in enumerate(zip(got, want, strict=True)):
            same += a["ids"] == b.ids
            tokens += len(b.ids)
            if a["ids"] != b.ids and not wrong:
                place = next((k for k, (x, y) in enumerate(zip(a["ids"], b.ids)) if x != y), min(len(a["ids"]), len(b.ids)))
                wrong = f"  DIFFERS in document {at + i} from id {place} on"
    size = sum(len(text.encode()) for text in docs)
    print(f"{name:28}{same:>8}/{len(docs)}{tokens:>12}{size / tokens:>12.3f}{wrong}", flush=True)
    return not wrong


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("retort")
    ap.add_argument("cache", type=pathlib.Path)
    ap.add_argument("--mb", type=float, default=50)
    ap.add_argument("names", nargs="*")
    a = ap.parse_intermixed_args()
    docs = [text for kind, _ in KINDS for text in documents(make(kind, int(a.mb * 1e6 / len(KINDS))))]
    print(f"{'tokenizer':28}{'documents':>12}{'tokens':>12}{'bytes/token':>12}", flush=True)
    return not all([row(a.retort, name, fetch.fetch(a.cache, name), docs) for name in a.names or fetch.SOURCES])


if __name__ == "__main__":
    sys.exit(main())
