#!/usr/bin/env python3
"""Fail where a folder sees what it may not: a folder above it, another folder's private header, another folder's library.

usage: check_layers.py ROOT
"""
import pathlib
import re
import sys

# What each folder may include directly; arrows are transitive.
BELOW = {
    "core": [], "kernels": ["core"], "autograd": ["kernels"], "optim": ["kernels"], "data": ["core"], "teacher": ["data"],
    "model": ["autograd", "data"], "distill": ["model"], "quant": ["model"], "train": ["distill", "optim"], "infer": ["model"],
    "serve": ["infer"], "eval": ["infer"], "cli": ["train", "eval", "quant", "serve", "teacher"],
}
# The public headers of folders that have others than FOLDER/FOLDER.h; all of core's are public.
HEADERS = {
    "data": "chat codec h5 import loader remap rows shard text tokenizer versions vocabulary wire",
    "distill": "codec first objective prune score teacher",
    "model": "export graph import licence model observe safetensors score select size teacher_row",
}
PUBLIC = {f"{folder}/{name}.h" for folder in BELOW for name in HEADERS.get(folder, folder).split()}

# Which files may include a library's header.
LIBRARIES = [
    (r"zlib\.h", "data/"), (r"hdf5|H5\w*\.h", "data/"), (r"pcre2", "data/"), (r"curl/|sqlite3|zstd", "teacher/"), (r"mpi\.h", "train/comm_mpi.c"),
    (r"cblas|openblas", "kernels/blas.c"), (r"omp\.h", "core/threads.c"), (r"microhttpd", "serve/"), (r"openssl/", "core/"),
    (r"cjson/", "core/"),
]
INCLUDE = re.compile(r'\s*#\s*include\s+(["<])([^">]+)[">]')


def everything_below(folder):
    found = set()
    for below in BELOW[folder]:
        found |= {below} | everything_below(below)
    return found


def find_fault(path, here, quoted, name):
    """Why `path` of folder `here` may not include `name`; None when it may."""
    for pattern, owner in LIBRARIES:
        if re.match(pattern, name) and not path.startswith(owner):
            return f"{name} belongs to {owner}"
    folder = name.split("/")[0]
    if not quoted or folder not in BELOW or folder == here:
        return None
    if folder not in everything_below(here):
        return f"{here}/ may not include {name}: it stands on {', '.join(BELOW[here]) or 'nothing'}"
    if folder != "core" and name not in PUBLIC:
        return f"{name} is private to {folder}/: include one of its public headers, {HEADERS.get(folder, folder)}"
    return None


def main(root):
    faults = 0
    for here in BELOW:
        for path in sorted((root / here).rglob("*.[ch]")):
            relative = str(path.relative_to(root))
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                fault = match and find_fault(relative, here, match[1] == '"', match[2])
                if fault:
                    faults += 1
                    print(f"{relative}:{number}: {fault}")
    return faults > 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
