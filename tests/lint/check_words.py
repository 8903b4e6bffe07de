#!/usr/bin/env python3
"""Fail on words that no committed file may hold: unfinished work, and paths of one person's machine.

usage: check_words.py ROOT
"""
import pathlib
import re
import subprocess
import sys

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|not implemented|unimplemented)\b")
PRIVATE = re.compile(r"(?<![\w.$}-])/(home|work|Users|root)/\w+")
DATA = (".png", ".svg", ".safetensors", ".h5", ".gguf", ".bin")
FOREIGN = ("LICENSE", "tests/lint/check_words.py", "experiments/teacher/model/")  # texts of others, and this list


def list_files(root):
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return [f for f in subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0") if f]


def main(root):
    faults = 0
    for name in list_files(root):
        if name.endswith(DATA) or name.startswith(FOREIGN) or not (root / name).is_file():
            continue
        for number, line in enumerate((root / name).read_text(errors="replace").splitlines(), 1):
            match = UNFINISHED.search(line) or PRIVATE.search(line)
            if match:
                faults += 1
                print(f"{name}:{number}: '{match[0]}' may not be committed")
    return faults > 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
