#!/usr/bin/env python3
"""Fail on any warning of COMPILER for the sources of a compile_commands.json, each with its own flags.

usage: check_warnings.py COMPILER COMPILE_COMMANDS
"""
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

# gcc finds some faults (values that may be unset) only while it optimises; clang finds its own while it reads.
GCC_ALONE = ("-fno-thread-jumps",)  # flags that clang does not know
MODE = {"gcc": ["-c", "-O2", "-o", os.devnull], "clang": ["-fsyntax-only"]}


def check(compiler, entry):
    words = shlex.split(entry["command"])[1:]
    at = words.index("-o")
    words = [w for i, w in enumerate(words) if i not in (at, at + 1) and w != "-c" and not w.startswith("-O")]
    if compiler == "clang":
        words = [w for w in words if w not in GCC_ALONE]
    command = [compiler, *words, *MODE[compiler], "-Werror"]
    return subprocess.run(command, cwd=entry["directory"], capture_output=True, text=True)


def main(compiler, path):
    with open(path) as f:
        entries = json.load(f)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda entry: check(compiler, entry), entries))
    for result in results:
        if result.returncode:
            print(result.stderr, end="")
    return any(result.returncode for result in results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
