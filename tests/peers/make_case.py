"""Writes data/chat/case_table.c: the case of characters as this Python's str has it.

usage: make_case.py data/chat/case_table.c             write it
       make_case.py data/chat/case_table.c --check     exit status 1 where the file is not what would be written

Everything is asked of Python over all code points: upper(), lower() and title() of one character; which characters are cased (title() gives
the letter after them in lower case), and which are ignored beside a sigma (lower() of a capital sigma).
"""
import sys
import unicodedata

ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def runs(mapping):
    """(first, last, step, delta) of a sorted {code: delta}; steps of 1 and 2."""
    out = []
    for c, delta in sorted(mapping.items()):
        if out and out[-1][3] == delta:
            first, last, step, _ = out[-1]
            if c - last <= 2 and (first == last or c - last == step):
                out[-1] = (first, c, c - last, delta)
                continue
        out.append((c, c, 1, delta))
    return separate(out)


def separate(out):
    """Runs of step 2 may enclose others: those are cut into single code points, so that the runs are sorted and apart."""
    while True:
        for i in range(len(out) - 1):
            if out[i][1] >= out[i + 1][0]:
                first, last, step, delta = out[i]
                out[i:i + 1] = [(c, c, 1, delta) for c in range(first, last + 1, step)]
                out.sort()
                break
        else:
            return out


def rows(name, kind, items, line=132):
    lines, now = [], "   "
    for item in items:
        if len(now) + len(item) + 2 > line:
            lines.append(now)
            now = "   "
        now += f" {item},"
    return f"{kind} {name}[] = {{\n" + "\n".join(lines + [now]) + "\n};\n"


def table(name, change):
    one = {c: ord(change(chr(c))) - c for c in ALL if len(change(chr(c))) == 1 and change(chr(c)) != chr(c)}
    several = {c: change(chr(c)) for c in ALL if len(change(chr(c))) > 1}
    r = runs(one)
    text = rows(f"{name}_runs", "static const ds_jcase_run", [f"{{0x{a:x}, 0x{b:x}, {s}, {d}}}" for a, b, s, d in r])
    escaped = [f'{{0x{c:x}, "{"".join(chr(92) + f"{x:03o}" for x in t.encode())}"}}' for c, t in several.items()]
    return text + rows(f"{name}_several", "static const ds_jcase_several", escaped), f"{{{name}_runs, {len(r)}, {name}_several, {len(several)}}}"


def members(name, codes):
    r = runs({c: 0 for c in codes})
    text = rows(name, "const ds_jcase_run", [f"{{0x{a:x}, 0x{b:x}, {s}, 0}}" for a, b, s, _ in r])
    return text + f"const int {name}_n = {len(r)};\n"


def source():
    cased = [c for c in ALL if (chr(c) + "b").title()[-1] == "b"]
    # A sigma is final after a cased character, and characters between them are ignored: c is, if a letter before it counts and a space too.
    final = lambda text: text.lower()[-1] == "\u03c2"
    ignorable = [c for c in ALL if final("a" + chr(c) + "\u03a3") and not final(" " + chr(c) + "\u03a3")]
    parts, entries = zip(table("upper", str.upper), table("lower", str.lower), table("title", str.title))
    return ("/* case_table.c -- the case of characters in Unicode " + unicodedata.unidata_version + ".\n *\n"
            " * Made by tests/peers/make_case.py; not to be edited.  data/chat/characters.h says what the tables hold.\n */\n"
            '/* clang-format off */\n#include "data/chat/characters.h"\n' + "".join(parts) +
            rows("ds_jcase_tables", "const ds_jcase_table", entries).replace("[]", "[3]", 1) + members("ds_jcased", cased) +
            members("ds_jignorable", ignorable))


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = source()
    if sys.argv[2:]:
        same = open(sys.argv[1], encoding="utf-8").read() == text
        print(f"{sys.argv[1]}: {'as Python ' if same else 'differs from Python '}{sys.version.split()[0]}")
        return not same
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
