"""Writes data/tokenizer/unicode_table.c: what Hugging Face's tokenizers take each code point for.

usage: make_unicode.py data/tokenizer/unicode_table.c             write it
       make_unicode.py data/tokenizer/unicode_table.c --check     exit status 1 where the file is not what would be written

Everything is asked of the installed package (requirements.txt pins it), over all code points: no table of another program's Unicode
version comes in. Its regexes and its normaliser have different versions; that is kept as it is. Asked for are

    category    the general category of each code point, and its script: \\p{...} in the regex of a pre-tokenizer
    \\w, \\d, \\s  that they are what data/tokenizer/unicode.c makes of categories
    NFC         canonical decompositions, combining classes and compositions of the normaliser
    NFKC        its compatibility decompositions
    clusters    which characters a Precompiled normaliser takes together: the parts of grapheme clusters of fewer than 6 bytes
    added       what counts as a letter beside a `single_word` added token, and as space around an lstrip or rstrip one

A few minutes.
"""
import struct
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
TEXT = "".join(map(chr, ALL))
CATEGORIES = "Cn Cc Cf Co Cs Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp".split()
SCRIPTS = """Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Beria_Erfe Bhaiksuki Bopomofo
Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot
Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Garay Georgian Glagolitic
Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Gurung_Khema Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic
Inherited Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer
Khojki Khudawadi Kirat_Rai Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen
Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean
Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Ol_Onal Old_Hungarian Old_Italic Old_North_Arabian
Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa
Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham Sidetic SignWriting Sinhala Sogdian Sora_Sompeng
Soyombo Sundanese Sunuwar Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Tai_Yo Takri Tamil Tangsa Tangut Telugu Thaana Thai
Tibetan Tifinagh Tirhuta Todhri Tolong_Siki Toto Tulu_Tigalari Ugaritic Vai Vithkuqi Wancho Warang_Citi Yezidi Yi Zanabazar_Square""".split()
SPACE = [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
CIRCLED = [*range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A), *range(0x1F170, 0x1F18A)]
SUPER = [0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE]
JOINERS = [0x200C, 0x200D]
# Marks whose combining class no version changed, one of each class, in its order.
REFERENCES = {1: 0x334, 7: 0x93C, 8: 0x3099, 9: 0x94D, **{c: 0x5B0 + c - 10 for c in range(10, 19)}, 19: 0x5B9, 20: 0x5BB, 21: 0x5BC,
              22: 0x5BD, 23: 0x5BF, 24: 0x5C1, 25: 0x5C2, 26: 0xFB1E, 27: 0x64B, 28: 0x64C, 29: 0x64D, 30: 0x64E, 31: 0x64F, 32: 0x650,
              33: 0x651, 34: 0x652, 35: 0x670, 36: 0x711, 84: 0xC55, 91: 0xC56, 103: 0xE38, 107: 0xE48, 118: 0xEB8, 122: 0xEC8,
              129: 0xF71, 130: 0xF72, 132: 0xF74, 202: 0x327, 214: 0x1DCE, 216: 0x31B, 218: 0x302A, 220: 0x316, 222: 0x59A,
              224: 0x302E, 226: 0x1D16D, 228: 0x5AE, 230: 0x300, 232: 0x315, 233: 0x35C, 234: 0x35D, 240: 0x345}
NFC, NFD = normalizers.NFC(), normalizers.NFD()


def members(regex):
    found = set()
    for piece, _ in pre_tokenizers.Split(Regex(regex), "removed", invert=True).pre_tokenize_str(TEXT):
        found.update(map(ord, piece))
    return found


def name_of(script):
    for c in (script, script.replace("_", "")):
        try:
            return members(rf"\p{{{c}}}")
        except Exception:
            pass
    return set()


def partition(names, of):
    """names[i] of each code point; 0 where it has none. Also the names that have any."""
    value, there = [0] * 0x110000, []
    for name in names:
        found = of(name)
        if not found:
            continue
        there.append(name)
        for c in found:
            assert value[c] == 0, (name, hex(c))
            value[c] = len(there)
    return value, there


def runs(value):
    return [(c, value[c]) for c in range(0x110000) if not c or value[c] != value[c - 1]]


def combining_class(c):
    """The class whose reference mark is reordered with c in neither order; 0: c is never moved."""
    def swaps(a, b):
        return NFD.normalize_str(chr(a) + chr(b)) != NFD.normalize_str(chr(a)) + NFD.normalize_str(chr(b))
    if not swaps(c, REFERENCES[1]) and not swaps(REFERENCES[240], c):
        return 0
    for k, mark in REFERENCES.items():
        if not swaps(c, mark) and not swaps(mark, c):
            return k
    raise SystemExit(f"U+{c:04X} has a combining class of its own")


def normalization():
    hangul = set(range(0xAC00, 0xD7A4))
    parts = {c: NFD.normalize_str(chr(c)) for c in ALL if c not in hangul}
    parts = {c: d for c, d in parts.items() if d != chr(c)}
    # A mark is moved before a later one of a lower class, or another before it: asked in one text for all code points first.
    movable = [c for c in ALL if c not in hangul and c not in parts and
               (NFD.normalize_str(chr(c) + "\u0334") != chr(c) + "\u0334" or NFD.normalize_str("\u0345" + chr(c)) != "\u0345" + chr(c))]
    classes = {c: combining_class(c) for c in movable}
    pairs = {}
    for c, d in parts.items():
        whole = NFC.normalize_str(chr(c))
        if whole != chr(c):
            continue
        first = NFC.normalize_str(d[:-1])
        assert len(first) == 1 and NFC.normalize_str(first + d[-1]) == whole, hex(c)
        pairs[ord(first), ord(d[-1])] = c
    return parts, classes, pairs


def careful(parts, classes, pairs):
    """1: a character that may change with what stands before it; 2: one that NFC changes by itself."""
    second = {b for _, b in pairs} | set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3)) | set(classes)
    value = [0] * 0x110000
    for c in ALL:
        first = ord(parts[c][0]) if c in parts else c
        value[c] = (first in second or c in second) + 2 * (c in parts and NFC.normalize_str(chr(c)) != chr(c))
    return value


def compatible(parts):
    """Full decompositions of NFKD where they are not those of NFD."""
    hangul = set(range(0xAC00, 0xD7A4))
    found = {c: normalizers.NFKD().normalize_str(chr(c)) for c in ALL if c not in hangul}
    return {c: d for c, d in found.items() if d != parts.get(c, chr(c))}


def clusters():
    """1: c joins the character before it; 2: the one after it; 4: it joins none. Asked of a map of every byte to X, which takes a cluster as a whole."""
    units = [0] * 1024
    units[0] = 256 << 10
    for byte in range(1, 256):
        at = 256 ^ byte
        units[at], units[512 + byte] = byte | 1 << 8 | (at ^ (512 + byte)) << 10, 1 << 31
    one = normalizers.Precompiled(struct.pack("<1025I", 4096, *units) + b"X\0")
    joined = lambda text: one.normalize_str(text) == "X"
    value = [0] * 0x110000
    for c in ALL[1:]:
        value[c] = joined("b" + chr(c)) + 2 * joined(chr(c) + "b") + 4 * (c < 0x10000 and not joined(chr(c) + "\u0301"))
    return value


def check_words(category):
    letters = {c for c in ALL if CATEGORIES_OF[category[c]][0] in "LM" or CATEGORIES_OF[category[c]] in ("Nd", "Nl", "Pc")} | set(CIRCLED)
    assert members(r"\w") == letters | set(SUPER), "\\w"
    assert members(r"\d") == {c for c in ALL if CATEGORIES_OF[category[c]] == "Nd"}, "\\d"
    assert members(r"\s") == set(SPACE), "\\s"
    t = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[], unk_token="a"))
    t.add_tokens([AddedToken("<w>", single_word=True, normalized=False), AddedToken("<s>", lstrip=True, normalized=False)])
    alone = {c for c, e in zip(ALL, t.encode_batch([chr(c) + "<w>" for c in ALL])) if 2 in e.ids}
    assert set(ALL) - alone == letters | set(JOINERS), "single_word"
    assert {c for c, e in zip(ALL, t.encode_batch(["b" + chr(c) + "<s>" for c in ALL])) if len(e.ids) == 2} == set(SPACE), "lstrip"


def array(kind, name, values, line=132):
    lines, now = [], "   "
    for v in values:
        if len(now) + len(v) + 2 > line:
            lines.append(now)
            now = "   "
        now += " " + v + ","
    return f"const {kind} {name}[] = {{\n" + "\n".join(lines + [now]) + "\n};\n"


def source():
    category, there = partition(CATEGORIES[1:], lambda c: members(rf"\p{{{c}}}"))
    global CATEGORIES_OF
    CATEGORIES_OF = ["Cn"] + there
    for c in range(0xD800, 0xE000):
        category[c] = 0
    script, scripts = partition(SCRIPTS, name_of)
    check_words(category)
    parts, classes, pairs = normalization()
    flat, at = [], []
    more = []
    for table, into in ((parts, at), (compatible(parts), more)):
        for c, d in sorted(table.items()):
            into.append(f"{{0x{c:x}, {len(flat)}, {len(d)}}}")
            flat += [f"0x{ord(x):x}" for x in d]
    out = [f"/* unicode_table.c -- what tokenizers {tokenizers.__version__} takes each code point for.\n *\n"
           " * Made by tests/peers/make_unicode.py; not to be edited.  data/tokenizer/unicode.h says what the tables hold.\n */\n"
           '/* clang-format off */\n#include "data/tokenizer/unicode.h"\n',
           array("char *const", "ds_category_names", [f'"{c}"' for c in CATEGORIES_OF]),
           f"const int ds_category_count = {len(CATEGORIES_OF)};\n",
           array("char *const", "ds_script_names", ['""'] + [f'"{s}"' for s in scripts]),
           f"const int ds_script_count = {len(scripts) + 1};\n"]
    for name, value in (("category", category), ("script", script), ("nfc", careful(parts, classes, pairs)), ("cluster", clusters())):
        found = runs(value)
        out += [array("uint32_t", f"ds_{name}_runs", [f"0x{c << 8 | v:x}" for c, v in found]), f"const int ds_{name}_runs_n = {len(found)};\n"]
    out += [array("ds_decomposition", "ds_decompositions", at), f"const int ds_decompositions_n = {len(at)};\n",
            array("ds_decomposition", "ds_compatible", more), f"const int ds_compatible_n = {len(more)};\n",
            array("uint32_t", "ds_decomposed", flat),
            array("uint32_t", "ds_combining", [f"0x{c << 8 | k:x}" for c, k in sorted(classes.items()) if k]),
            f"const int ds_combining_n = {sum(1 for k in classes.values() if k)};\n",
            array("ds_composition", "ds_compositions", [f"{{0x{a:x}, 0x{b:x}, 0x{c:x}}}" for (a, b), c in sorted(pairs.items())]),
            f"const int ds_compositions_n = {len(pairs)};\n"]
    return "".join(out)


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = source()
    if sys.argv[2:]:
        same = open(sys.argv[1], encoding="utf-8").read() == text
        print(f"{sys.argv[1]}: {'as tokenizers ' + tokenizers.__version__ if same else 'differs from tokenizers ' + tokenizers.__version__}")
        return not same
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
