#!/usr/bin/env python3
"""Fail on words that no committed file may hold: unfinished work, paths of one person's machine, and retired terms.

usage: check_words.py ROOT
"""
import pathlib
import re
import subprocess
import sys

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|not implemented|unimplemented)\b")
PRIVATE = re.compile(r"(?<![\w.$}-])/(home|work|Users|root)/\w+")
# Identifiers and words that were replaced by the field's terms.
RETIRED = re.compile(r"\b(?:\w*(?:sketch|skeleton|remed(?:y|ies)|publish)\w*|(?:inf|sv)_desk\w*|rt_texts|let_go|rest_(?:mass|entropy)|blend|"
                     r"pack_(?:along|across)|ag_plan_hunt|\w*widen\w*|kn_product_\w+)\b")
# What is not looked at there: names in files and on the wire.  In C and JSON they stand in quotes; scripts quote their messages
# too, so there it is a single word in quotes, a file's name, and an option (a test of an older one).
QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
NAMES = re.compile(r'"[\w/]+"|[\w./$-]+\.\w+|--[\w-]+')
DATA = (".png", ".svg", ".safetensors", ".h5", ".gguf", ".bin")
FOREIGN = ("LICENSE", "tests/lint/check_words.py", "experiments/teacher/model/")  # texts of others, and this list


def list_files(root):
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return [f for f in subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0") if f]


def find_retired(name, line):
    if name.endswith((".c", ".h")) or (name.startswith("configs/") and name.endswith(".json")):
        return RETIRED.search(QUOTED.sub('""', line))
    return RETIRED.search(NAMES.sub('""', line)) if name.endswith(".sh") else None


def main(root):
    faults = 0
    for name in list_files(root):
        if name.endswith(DATA) or name.startswith(FOREIGN) or not (root / name).is_file():
            continue
        for number, line in enumerate((root / name).read_text(errors="replace").splitlines(), 1):
            match = UNFINISHED.search(line) or PRIVATE.search(line) or find_retired(name, line)
            if match:
                faults += 1
                print(f"{name}:{number}: '{match[0]}' may not be committed")
    return faults > 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
