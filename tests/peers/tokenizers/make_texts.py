"""Hard texts for tokenizers, the same on every machine: texts() yields (name, text), broken() (name, bytes that are not UTF-8)."""
import random
import unicodedata

SYLLABLES = "ba ne ti ro su la mi ko ve da pu sha then wor ing ter est qua com pre dis al un re".split()


def word(r):
    return "".join(r.choice(SYLLABLES) for _ in range(r.randint(1, 4)))


def prose(r, n):
    out = []
    while n > 0:
        k = min(n, r.randint(4, 14)); n -= k
        ws = [word(r) for _ in range(k)]
        if r.random() < .2:
            ws[r.randrange(k)] += r.choice(["'s", "n't", "'ll", "\u2019re", "-like", "(s)"])
        if r.random() < .2:
            ws[r.randrange(k)] = str(r.randint(0, 10 ** r.randint(1, 9)))
        out.append(" ".join(ws).capitalize() + r.choice([".", ".", ".", "?", "!", ";", " \u2014"]))
        out.append(r.choice([" ", " ", " ", "  ", "\n", "\n\n"]))
    return "".join(out)


def code(r, newline, indent):
    lines, depth = [], 0
    for _ in range(60):
        kind = r.randrange(6)
        if kind == 0 and depth < 5:
            lines.append(indent * depth + f"if ({word(r)}_{r.randint(0, 99)} >= 0x{r.randrange(1 << 20):x} && !{word(r)}[i++]) {{"); depth += 1
        elif kind == 1 and depth:
            depth -= 1; lines.append(indent * depth + "}")
        elif kind == 2:
            lines.append(indent * depth + f"/* {word(r)} {word(r)} */\t// {word(r)}...")
        elif kind == 3:
            lines.append(indent * depth + f'printf("%-{r.randint(1, 20)}s\\t%5.3f\\n", {word(r)}->{word(r)}, {r.random():.6e});')
        elif kind == 4:
            lines.append("")
        else:
            lines.append(indent * depth + f"{word(r)}Of{word(r).title()} = {word(r)}<{word(r)}*>::{word(r)}(&x, -{r.randint(0, 10**6)}L);" + r.choice(["", " ", "\t"]))
    return newline.join(lines) + newline


def letters(r, low, high, words, longest=9):
    pool = [chr(c) for c in range(low, high) if unicodedata.category(chr(c))[0] in "LM"]
    return " ".join("".join(r.choice(pool) for _ in range(r.randint(1, longest))) for _ in range(words))


def texts():
    r = random.Random(20240711)
    yield "empty", ""
    for name, t in [("space", " "), ("space-2", "  "), ("space-3", "   "), ("newline", "\n"), ("crlf", "\r\n"), ("tab", "\t"), ("nul", "\0"),
                    ("nul-inside", "a\0b \0 c\0\0"), ("a", "a"), ("a-leading", " a"), ("a-trailing", "a "), ("a-both", "  a  "),
                    ("bom", "\ufeffabc \ufeff x"), ("lone-cr", "one\rtwo\r\rthree\r"), ("only-punct", "!?.,;:-_#'\"()[]{}<>|\\/@$%^&*~`+=")]:
        yield name, t
    for i in range(6):
        yield f"prose-{i}", prose(r, 60 * (i + 1))
    yield "code-tabs", code(r, "\n", "\t")
    yield "code-crlf", code(r, "\r\n", "    ")
    yield "code-mixed", code(r, "\n", "  \t")
    yield "make-rule", "all:\n\tcc -O2 \\\n\t\t-o x x.c\n\n\n\n.PHONY: all\n\t \n \t\n"
    yield "diff", "@@ -1,7 +1,8 @@\n-\tint a = 1;\n+\tint  a = 11;\n \n--- a/x\n+++ b/x\n====\n<<<<<<< HEAD\n>>>>>>> 12ab\n"
    yield "url-email", "See https://example.org/a_b-c/%7Eu?q=1&r=2#frag, mailto:someone+tag@example.org or C:\\dir\\file.TXT; 10.0.0.1:8080"
    yield "json", '{"key": [1, -2.5e+10, true, null, "\\u00e9\\n"], "nested": {"a":{"b":{}}}}'
    yield "markup", "<p class=\"x\">A &amp; B</p><br/>\n<!-- c --><table><tr><td>1</td></tr></table> **bold** _it_ `code` $x^2$ \\frac{1}{2}"
    # numbers
    yield "digits-run", " ".join("1234567890"[:n] for n in range(1, 11))
    yield "digits-long", "".join(r.choice("0123456789") for _ in range(300))
    yield "digits-mixed", "3.14159 1,000,000 1e-9 0x1F 007 1/2 50% $9.99 12:34:56 2024-07-11 v1.2.3-rc4 1st 2nd a1b2c3"
    yield "digits-scripts", "\u0661\u0662\u0663\u0664 \u0967\u0968\u0969\u096a \u0e51\u0e52\u0e53 \uff11\uff12\uff13\uff14 \u00bd\u00b2\u00b3\u2084\u2085 \u2160\u2163\u216b \u2460\u2461 \U0001d7d8\U0001d7d9\U0001d7da \u3007\u4e00\u4e8c"
    # contractions
    for name, q in (("ascii", "'"), ("curly", "\u2019")):
        yield "contractions-" + name, " ".join(w.replace("'", q) for w in (
            "I'm you're he's we've they'll I'd can't CAN'T I'M WE'VE She'S it'Ll 'tis 'twas rock'n'roll o'clock d'accord l'eau 's 't 're 've 'm 'll 'd "
            "x'sy x'rey ''s '' ' s 'S 'RE 'vE don''t").split(" "))
    yield "contraction-long-s", "it'\u017f they'\u017f 'L\u217c k'\u212a 'D\u0130"  # (?i:'s) also matches U+017F
    # scripts
    yield "latin-accents", "Caf\u00e9 na\u00efve \u00dcber gar\u00e7on \u0141\u00f3d\u017a \u015etefan \u1e9e STRASSE stra\u00dfe \u00c6\u0152\u00f8 \u0111\u1ea3m b\u1ea3o ti\u1ebfng Vi\u1ec7t"
    yield "greek", letters(r, 0x391, 0x3CA, 60)
    yield "cyrillic", letters(r, 0x410, 0x460, 60)
    yield "cjk", "".join(chr(r.randrange(0x4E00, 0x9FA6)) for _ in range(150))
    yield "cjk-frequent", "\u7684\u4e00\u662f\u4e0d\u4e86\u4eba\u6211\u5728\u6709\u4ed6\u8fd9\u4e2d\u5927\u6765\u4e0a\u4e2a\u56fd\u5230\u8bf4\u5011 \u4e2d\u56fd\u4eba\u6c11\u3002\u300c\u4f60\u597d\u300d\uff0cabc\u4e2d123\u6587\uff01"
    yield "cjk-rare", "\u9fa5\u9fa6\u9fff\u3400\u4dbf\uf900\ufa0e\U00020000\U0002a6d6\U00030000\u3006\u3005\u303b"
    yield "kana", "".join(chr(r.randrange(0x3041, 0x3097)) for _ in range(60)) + "\u30fc" + "".join(chr(r.randrange(0x30A1, 0x30FB)) for _ in range(60)) + "\uff76\uff9e \u309b\u30a0\u30fb\u3099"
    yield "hangul", " ".join("".join(chr(r.randrange(0xAC00, 0xD7A4)) for _ in range(r.randint(1, 5))) for _ in range(40))
    yield "thai", letters(r, 0xE01, 0xE4F, 40, 14)
    yield "arabic", letters(r, 0x621, 0x653, 60) + " \u0627\u0644\u0633\u0644\u0627\u0645\u060c \u0640\u0640\u0640 \u061f \ufdfa \ufefb"
    yield "devanagari", letters(r, 0x904, 0x950, 60) + " \u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u094d\u200d\u0937 \u0915\u094d\u200c\u0937 \u0964"
    yield "tamil-khmer", letters(r, 0xB85, 0xBCE, 20) + " " + letters(r, 0x1780, 0x17D4, 20)
    yield "mixed-scripts", "abc\u0434\u0435\u0444\u03b3\u03b7\u03b9\u05d0\u05d1\u4e2d\u6587\u30ab\u30caABC123\u0661\u0662\u0663 \u00e9\u0301x"
    # marks and normal forms
    base = "\u00e9\u00e0\u00fc\u00f1\u00e5\u1ec7\u01d6\u0958\uac01\u212b\ufb01\u2126"
    yield "nfc", " ".join(unicodedata.normalize("NFC", base)) + " r\u00e9sum\u00e9"
    yield "nfd", " ".join(unicodedata.normalize("NFD", base)) + " re\u0301sume\u0301"
    yield "nfkc-candidates", "\ufb01\ufb02\u2460\u00b5\u2122\uff21\uff42\u3300\u33a5\u00a8\u2026\u00bc\u1d2c \uff0c\uff01\u3000\u00a0x"
    yield "marks-order", "a\u0323\u0307 a\u0307\u0323 q\u0307\u0323 \u0301a \u0301 \u0915\u093c o\u0302\u0301 e\u20dd x\u0338"
    yield "zalgo", "".join(c + "".join(chr(r.randrange(0x300, 0x370)) for _ in range(12)) for c in "normal text 123")
    # emoji
    yield "emoji", "\U0001f600\U0001f602\u2764\ufe0f\U0001f44d\U0001f3fd\U0001f680 \U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea 1\ufe0f\u20e3 #\ufe0f\u20e3"
    yield "emoji-zwj", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f9d1\U0001f3ff\u200d\U0001f680 \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    yield "emoji-in-words", "go\U0001f680fast\u2728now \U0001f62d\U0001f62d\U0001f62d!!!\n\U0001f44d"
    # white space and control characters
    yield "spaces-unicode", "a\u00a0b\u1680c\u2000d\u2003e\u2009f\u200ag\u2028h\u2029i\u202fj\u205fk\u3000l\u180em\u200bn\u0085o"
    yield "u2028", "line\u2028line\u2028\u2028line \u2028 \u2029\n\u2028\n"
    yield "control", "".join(map(chr, range(1, 32))) + "\x7f" + "".join(map(chr, range(0x80, 0xA0)))
    yield "control-in-words", "a\x01b\x02 c\x1b[31mred\x1b[0m \x07bell\x08 \x0bvt\x0cff\x1cfs\x1fus"
    yield "white-runs", "a b  c   d    e     f\n\n\ng \n h\n i\t\tj \t k\r\n\r\nl \r\n m\u00a0\u00a0n \u3000 o\u3000\u3000p   "
    yield "white-then-newline", "x   \n   y \t\n\t z\n   \n   \n  \n"
    for n in (2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 79, 80, 81, 128):
        yield f"spaces-{n}", "x" + " " * n + "y" + " " * n
        yield f"newlines-{n}", "x" + "\n" * n + "y" + "\t" * n
    yield "noncharacters", "\ufffe\uffff\ufdd0\U0001fffe\U0010ffff \ufffd \ue000\U000f0000 \u0378\U000e0001"
    yield "bidi", "abc \u202e\u05d0\u05d1\u05d2 123\u202c \u200f\u200e \u2067x\u2069"
    yield "math", "\u2200x\u2208\u211d: \u221a(x\u00b2+1)\u2260\u222b\u2080\u221e \U0001d400\U0001d41a\U0001d7cf \u2212\u00d7\u00f7\u00b1 \u2192\u21d2 \u03b1\u2081\u2090"
    yield "box", "\u250c\u2500\u2500\u252c\u2500\u2510\n\u2502a \u2502b\u2502\n\u2514\u2500\u2500\u2534\u2500\u2518 \u2588\u2593\u2592\u2591"
    yield "meta-symbol", "a\u2581b \u2581\u2581c \u2581 \u0120x\u010a \u0120"  # the characters that tokenizers use for a space
    # special-token strings
    yield "special-gpt", "a<|endoftext|>b <|endoftext|> <|endoftext|><|endoftext|>\n<|endoftext|"
    yield "special-llama3", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi <|eot_id|> <|eot_id |> <|reserved_special_token_7|>"
    yield "special-qwen", "<|im_start|>system\nYou<|im_end|>\n<|im_start|> <think>\nx\n</think>\n\n<tool_call>{}</tool_call><|fim_prefix|>a<|fim_middle|>"
    yield "special-deepseek", "<\uff5cbegin\u2581of\u2581sentence\uff5c><\uff5cUser\uff5c>hi<\uff5cAssistant\uff5c></think> <\uff5cend\u2581of\u2581sentence\uff5c> <|User|>"
    yield "special-spm", "<s>x</s> <unk> <s></s>[INST] y [/INST] <pad> <0x0A> <0xE2><0x96>"
    yield "special-gemma", "<bos><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n<eos><unused3>[multimodal]<table></table>\n\n\n<start_of_image>"
    yield "special-tekken", "<s>[INST]a[/INST]b</s><SPECIAL_20><SPECIAL_21> <SPECIAL_999><SPECIAL_1000>x<SPECIAL_7>"
    yield "special-spaces", " <s> x  </s>  <|endoftext|>  <|im_end|> \n <|eot_id|>\t<eos> "
    # long
    for n in (1000, 100000):
        for name, t in (("a", "a"), ("space", " "), ("newline", "\n"), ("digit", "7"), ("dash", "-"), ("e-acute", "\u00e9"), ("cjk", "\u4e2d"), ("nul", "\0")):
            yield f"run-{name}-{n}", t * n
        yield f"run-ab-{n}", "ab" * (n // 2)
        yield f"run-random-letters-{n}", "".join(r.choice("etaoinshrdlu") for _ in range(n))
        yield f"run-a-space-{n}", "a " * (n // 2)
    yield "all-bmp-sample", "".join(chr(c) for c in range(0x20, 0xFFFF, 37) if not 0xD800 <= c < 0xE000)
    for i in range(40):
        pool = [0x20, 0x20, 0x0A, 0x09, 0x0D, 0x27, 0x2E, 0x31, 0x41, 0x61, 0x73, 0xA0, 0x85, 0xE9, 0x301, 0x17F, 0x180E, 0x200D, 0x2028, 0x212A, 0x3000, 0x4E2D, 0x1F600]
        yield f"soup-{i}", "".join(chr(r.choice(pool) if r.random() < .8 else r.choice([r.randrange(0x20, 0x250), r.randrange(0x300, 0xD7FF), r.randrange(0xE000, 0x20000)])) for _ in range(120))


def broken():
    for name, h in [
            ("lone-continuation", "61 80 62"), ("continuations", "80 bf 80 bf"), ("truncated-2", "61 c3"), ("truncated-3", "e4 b8 61"), ("truncated-4", "f0 9f 98 20 61"),
            ("overlong-slash", "c0 af 2f"), ("overlong-nul", "c0 80"), ("overlong-3", "e0 80 af"), ("overlong-4", "f0 80 80 af"), ("surrogate", "ed a0 80 61"),
            ("surrogate-pair", "ed a0 bd ed b8 80"), ("above-10ffff", "f4 90 80 80"), ("f5-ff", "f5 80 80 80 fe ff"), ("latin1", "63 61 66 e9 20 fc 62 65 72"),
            ("utf16-bom", "ff fe 61 00 62 00"), ("in-word", "77 6f c3 28 72 64"), ("at-end-of-run", "20 20 20 e2 80"), ("split-emoji", "f0 9f 98 80 f0 9f 98"),
            ("mixed", "e4 b8 ad ff e6 96 87 c3 a9 c3")]:
        yield name, bytes.fromhex(h)
    r = random.Random(5)
    for i in range(20):
        yield f"random-{i}", bytes(r.choice([r.randrange(256), 0x20, 0x61, 0xC3, 0xE2, 0x80, 0xA9]) for _ in range(64))
    yield "all-bytes", bytes(range(256))
