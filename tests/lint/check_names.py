#!/usr/bin/env python3
"""Fail where two source files define static functions of one name: in a backtrace, a profile and a search it stands for both.

usage: check_names.py ROOT
"""
import collections
import pathlib
import re
import sys

FOLDERS = "core kernels autograd optim data teacher model distill quant train infer serve eval cli".split()
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
STATIC = re.compile(r"^static (?:[\w*]+[\s*]+)+?(\w+)\(", re.MULTILINE)


def main(root):
    places = collections.defaultdict(set)
    for folder in FOLDERS:
        for path in (root / folder).rglob("*.c"):
            for name in STATIC.findall(COMMENT.sub("", path.read_text())):
                places[name].add(str(path.relative_to(root)))
    faults = {name: files for name, files in places.items() if len(files) > 1}
    for name, files in sorted(faults.items()):
        print(f"{name}: a static function of {', '.join(sorted(files))}; give each the prefix of its file")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
