#!/usr/bin/env python3
"""Make the seeds of tests/fuzz: small files of each kind, good_* and bad_*.

usage: make_seeds.py [FOLDER]     (default: seeds, beside this file; files there that this program does not make stay)
"""
import base64
import json
import pathlib
import struct
import sys

MARK = "\u2581"


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# ---- tokenizer.json ----------------------------------------------------------------------------------------------------


def byte_characters():
    """Byte-level BPE's characters of the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) if b in plain else chr(256 + sum(c not in plain for c in range(b))) for b in range(256)]


def special(i, content, **flags):
    return {"id": i, "content": content, "special": True, **flags}


def begins_with(token, i):
    return {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {token: {"id": token, "ids": [i], "tokens": [token]}}}


def byte_level(**more):
    words = [*byte_characters(), "ab", "\u0120a", "abc", "he", "ll"]
    split = {"type": "Split", "pattern": {"Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+|."}, "behavior": "Isolated", "invert": False}
    return {"added_tokens": [special(261, "<s>"), {"id": 262, "content": "Caf\u00e9", "normalized": True, "lstrip": True, "single_word": True}],
            "normalizer": {"type": "NFC"}, "post_processor": begins_with("<s>", 261),
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]},
            "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": {w: i for i, w in enumerate(words)}, "merges": ["a b", "\u0120 a", ["ab", "c"], "h e", "l l"]}} | more


def pieces(**more):
    words = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), MARK, "a", "b", "c", "ab", MARK + "ab", "12", "1", "2"]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": MARK}
    decoders = [{"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    return {"added_tokens": [special(1, "<s>"), special(2, "</s>")], "post_processor": begins_with("<s>", 1), "pre_tokenizer": None,
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, replace]},
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "vocab": {w: i for i, w in enumerate(words)},
                      "merges": ["a b", MARK + " ab", "1 2"]}} | more


def unigram(**more):
    words = [["<unk>", 0], ["<s>", 0], [MARK, -2], ["a", -3], ["b", -3.5], ["ab", -4], [MARK + "a", -4.25], ["e", -5]]
    metaspace = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "first", "split": True}
    return {"added_tokens": [special(1, "<s>")], "normalizer": {"type": "NFKC"}, "pre_tokenizer": metaspace, "decoder": metaspace,
            "model": {"type": "Unigram", "unk_id": 0, "vocab": words}} | more


def charsmap(texts, e=None):
    """A map with the replacements `texts`; of the string "e" to that at byte `e`."""
    units = [1 << 10] + 100 * [0]
    if e is not None:
        units[1 ^ ord("e")] = ord("e") | 1 << 8 | 1 << 10
        units += [e | 1 << 31]
    data = struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + texts
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(data).decode()}


def tokenizers():
    yield "good_bytes.json", text(byte_level())
    yield "good_pieces.json", text(pieces())
    yield "good_unigram.json", text(unigram())
    yield "good_steps.json", text(pieces(normalizer={"type": "Sequence", "normalizers": [
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "NFKD"}, {"type": "Replace", "pattern": {"Regex": "(\\s|x)+"}, "content": MARK}]},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, {"type": "WhitespaceSplit"}]}))
    yield "bad_empty.json", b""
    yield "bad_cut.json", text(byte_level())[:2000]
    yield "bad_deep.json", b'{"model":' + b"[" * 2000
    model = byte_level()["model"]
    yield "bad_merge.json", text(byte_level(model={**model, "merges": ["q zz"]}))
    yield "bad_id.json", text(byte_level(model={**model, "vocab": {"a": 1 << 40}}))
    yield "bad_added_id.json", text(byte_level(added_tokens=[special(-1, "<s>")]))
    yield "bad_template.json", text(byte_level(post_processor=begins_with("<s>", 1 << 30)))
    yield "bad_charsmap.json", text(pieces(normalizer={"type": "Precompiled", "precompiled_charsmap": "/////w=="}))
    yield "bad_escape.json", text(byte_level(pre_tokenizer={"type": "Split", "pattern": {"Regex": "a\\@"}, "behavior": "Isolated"})).replace(b"@", b"\xbf")
    yield "bad_replacement.json", text(unigram(pre_tokenizer={"type": "Metaspace", "replacement": "@"})).replace(b"@", b"\xe2")
    yield "bad_charsmap_text.json", text(unigram(normalizer=charsmap(b"a\0\xf0\0")))
    yield "good_charsmap.json", text(unigram(normalizer=charsmap("a\0\U0001f600\0".encode(), 2)))
    yield "good_charsmap_inside.json", text(unigram(normalizer=charsmap("\U0001f600\0".encode(), 3)))
    yield "bad_regex.json", text(byte_level(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(" * 300}, "behavior": "Isolated"}))


# ---- tokenizer.model ----------------------------------------------------------------------------------------------------


def varint(v):
    out = b""
    while v > 127:
        out, v = out + bytes([v & 127 | 128]), v >> 7
    return out + bytes([v])


def numbered(field, v):
    return varint(field << 3) + varint(v)


def message(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def sentencepiece(kind, charsmap_bytes=b"", **told):
    """Pieces with falling scores; `told`: other fields of the trainer (t24=1) and the normalizer (n5=0)."""
    words = [("<unk>", 2), ("<s>", 3), ("</s>", 3), *((f"<0x{b:02X}>", 6) for b in range(256)), (MARK, 1), ("a", 1), ("b", 1), ("e", 1), ("ab", 1), (MARK + "a", 1),
             ("<turn>", 4)]
    out = b"".join(message(1, message(1, w.encode()) + varint(2 << 3 | 5) + struct.pack("<f", -i / 8) + numbered(3, k)) for i, (w, k) in enumerate(words))
    trainer = numbered(3, kind) + numbered(35, 1) + numbered(43, (1 << 64) - 1)
    normalizer = message(2, charsmap_bytes) if charsmap_bytes else b""
    for key, v in told.items():
        trainer += numbered(int(key[1:]), v) if key[0] == "t" else b""
        normalizer += numbered(int(key[1:]), v) if key[0] == "n" else b""
    return out + message(2, trainer) + message(3, normalizer)


def sentencepieces():
    good = sentencepiece(2, n3=1, n4=0)
    yield "good_bpe.model", good
    yield "good_plain.model", sentencepiece(2, n3=0, n4=0)
    yield "good_unigram.model", sentencepiece(1, base64.b64decode(charsmap("a\0\U0001f600\0".encode(), 2)["precompiled_charsmap"]))
    yield "bad_cut.model", good[:-3]
    yield "bad_length.model", b"\x0a" + b"\xff" * 9 + b"\x01"
    yield "bad_varint.model", b"\xff" * 12
    yield "bad_charsmap.model", sentencepiece(1, b"\xff\xff\xff\xff")
    yield "bad_words.model", sentencepiece(3)
    yield "bad_suffix.model", sentencepiece(1, t24=1)
    yield "bad_number.model", numbered(1, 5) + good
    yield "bad_empty.model", b""
    yield "bad_twice.model", good + good
    yield "bad_tiktoken.model", b"YQ== 0\nYg== 1\n"


# ---- chat templates --------------------------------------------------------------------------------------------------------


def chats():
    yield "good_loop.jinja", b"{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m.content if m.content is string else m.content[0].text | trim }}\n{% endfor %}{% if add_generation_prompt %}<|a|>{% endif %}"
    yield "good_macro.jinja", b"{%- macro f(x, y=2) -%}{{ x ~ y }}{%- endmacro -%}{% set ns = namespace(n=0) %}{% for m in messages[::-1] %}{% set ns.n = ns.n + loop.index0 %}{{ f(ns.n, m.role[1:3]) }}{% endfor %}"
    yield "good_filters.jinja", b"{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages[1] | tojson(indent=2) }} {{ 'a,b'.split(',') | join('+') | upper }} {{ -7 // 2 }} {{ 7 % -3 }} {{ 1.5e300 * 10 }}"
    yield "bad_open.jinja", b"{% for m in messages %}"
    yield "bad_deep.jinja", b"{{ " + b"(" * 3000
    yield "bad_endless.jinja", b"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
    yield "bad_raise.jinja", b"{{ raise_exception('no') }}"
    yield "bad_divide.jinja", b"{{ 1 // 0 }}"
    yield "bad_long.jinja", b"{{ 'x' * 10000000000 }}"


# ---- safetensors ---------------------------------------------------------------------------------------------------------


def safetensors(header, data=b""):
    header = header if isinstance(header, bytes) else text(header)
    return struct.pack("<Q", len(header)) + header + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_files():
    good = {"__metadata__": {"format": "pt"}, "a": tensor("F32", [2], 0, 8), "b": tensor("BF16", [1, 2], 8, 12), "c": tensor("I64", [1], 12, 20),
            "d": tensor("F8_E4M3", [3], 20, 23), "e": tensor("F16", [], 23, 25), "f": tensor("I32", [0, 4], 25, 25)}
    yield "good_all", safetensors(good, bytes(range(25)))
    yield "bad_cut", safetensors(good, bytes(20))
    yield "bad_long", safetensors(good, bytes(26))
    yield "bad_length", struct.pack("<Q", 1 << 63) + b"{}"
    yield "bad_overlap", safetensors({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, bytes(3))
    yield "bad_hole", safetensors({"a": tensor("F32", [1], 4, 8)}, bytes(8))
    yield "bad_product", safetensors({"a": tensor("F32", [1 << 32, 1 << 32], 0, 0)})
    yield "bad_unknown_type", safetensors({"a": tensor("F28", [1, 1 << 32], 0, 0)})
    yield "bad_negative", safetensors({"a": tensor("F32", [-1], 0, 4)}, bytes(4))
    yield "bad_dimensions", safetensors({"a": tensor("F32", [1] * 9, 0, 4)}, bytes(4))
    yield "bad_name", safetensors({"a" * 300: tensor("F32", [1], 0, 4)}, bytes(4))
    yield "bad_twice", safetensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', bytes(8))


def indices():
    yield "good_two", text({"metadata": {"total_size": 16}, "weight_map": {"x": "a.safetensors", "y": "b.safetensors"}})
    yield "bad_missing", text({"weight_map": {"x": "c.safetensors"}})
    yield "bad_swapped", text({"weight_map": {"x": "b.safetensors"}})
    yield "bad_parent", text({"weight_map": {"x": "../a.safetensors"}})
    yield "bad_absolute", text({"weight_map": {"x": "/etc/passwd"}})
    yield "bad_dots", text({"weight_map": {"x": ".."}})
    yield "bad_type", text({"weight_map": {"x": 1}})
    yield "bad_map", text({"weight_map": []})


# ---- GGUF ------------------------------------------------------------------------------------------------------------------


def string(value):
    value = value.encode()
    return struct.pack("<Q", len(value)) + value


def gguf_value(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + string(value)
    kind, form = (8, None) if isinstance(value[0], str) else (6, "<f") if isinstance(value[0], float) else (5, "<i")
    return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(string(v) if kind == 8 else struct.pack(form, v) for v in value)


def gguf(keys, tensors, tensor_count=None, key_count=None):
    """tensors: name -> (shape with rows first, number of the type, bytes)."""
    data, table = b"", b""
    for name, (shape, kind, content) in tensors.items():
        table += string(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in reversed(shape)) + struct.pack("<IQ", kind, len(data))
        data += content + bytes(-len(content) % 32)
    count = [len(tensors) if tensor_count is None else tensor_count, len(keys) if key_count is None else key_count]
    head = b"GGUF" + struct.pack("<IQQ", 3, *count) + b"".join(string(k) + gguf_value(v) for k, v in keys.items()) + table
    return head + bytes(-len(head) % 32) + data


def floats(*shape):
    n = 1
    for size in shape:
        n *= size
    return shape, 0, struct.pack(f"<{n}f", *((i % 7 - 3) / 8 for i in range(n)))


def gguf_model(V, kind=floats):
    C, F, D = 8, 8, 4
    block = {"attn_norm": floats(C), "attn_q": kind(2 * D, C), "attn_k": kind(D, C), "attn_v": kind(D, C), "attn_output": kind(C, 2 * D),
             "ffn_norm": floats(C), "ffn_gate": kind(F, C), "ffn_up": kind(F, C), "ffn_down": kind(C, F)}
    return {"token_embd.weight": kind(V, C), "output_norm.weight": floats(C)} | {f"blk.0.{name}.weight": t for name, t in block.items()}


def gguf_keys(vocabulary, **more):
    sizes = {"block_count": 1, "context_length": 16, "embedding_length": 8, "feed_forward_length": 8, "attention.head_count": 2,
             "attention.head_count_kv": 1, "attention.key_length": 4, "attention.value_length": 4, "rope.dimension_count": 4,
             "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 1e4}
    return {"general.architecture": "llama"} | {f"llama.{key}": value for key, value in sizes.items()} | vocabulary | more


def gguf_files():
    words = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), MARK, "a", "b", "ab", MARK + "ab"]
    llama = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": words, "tokenizer.ggml.scores": [-float(i) for i in range(len(words))],
             "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256, *[1] * 5], "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2}
    letters = [*byte_characters(), "ab", "<s>"]
    gpt2 = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2", "tokenizer.ggml.tokens": letters, "tokenizer.ggml.merges": ["a b"],
            "tokenizer.ggml.token_type": [1] * 257 + [3], "tokenizer.ggml.bos_token_id": 257, "tokenizer.chat_template": "{{ x }}"}
    model = gguf_model(len(words))
    yield "good_llama", gguf(gguf_keys(llama), model)
    yield "good_gpt2", gguf(gguf_keys(gpt2), gguf_model(len(letters)))
    yield "bad_cut", gguf(gguf_keys(llama), model)[:9000]
    yield "bad_counts", gguf(gguf_keys(llama), model, tensor_count=1 << 60)
    yield "bad_keys", gguf(gguf_keys(llama), model, key_count=1 << 40)
    yield "bad_layers", gguf(gguf_keys(llama, **{"llama.block_count": 1000}), model)
    yield "bad_heads", gguf(gguf_keys(llama, **{"llama.attention.head_count_kv": 0}), model)
    yield "bad_tokens", gguf(gguf_keys(llama, **{"tokenizer.ggml.token_type": [1]}), model)
    yield "bad_missing", gguf(gguf_keys(llama), {k: v for k, v in model.items() if "ffn_up" not in k})
    yield "bad_shape", gguf(gguf_keys(llama), model | {"blk.0.ffn_up.weight": floats(8, 9)})
    yield "bad_type", gguf(gguf_keys(llama), model | {"blk.0.ffn_up.weight": ((8, 8), 99, bytes(256))})


# ---- config.json -------------------------------------------------------------------------------------------------------------

SIZES = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4,
         "intermediate_size": 24, "max_position_embeddings": 64, "rms_norm_eps": 1e-6}


def config(family, **more):
    return text({"model_type": family} | SIZES | more)


def configs():
    yield "good_llama.json", config("llama", rope_theta=5e5, attention_bias=True, eos_token_id=[1, 2], bos_token_id=0, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32})
    yield "good_yarn.json", config("llama", rope_parameters={"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 16})
    yield "good_phi3.json", config("phi3", sliding_window=16, original_max_position_embeddings=32, partial_rotary_factor=1.0, rope_scaling={
        "type": "longrope", "short_factor": [1, 1.5], "long_factor": [2, 4.5]})
    yield "good_part.json", config("phi3", head_dim=44, partial_rotary_factor=0.7)
    yield "good_qwen2.json", config("qwen2", use_sliding_window=True, sliding_window=16, max_window_layers=1)
    yield "good_gemma2.json", config("gemma2", hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=16, attn_logit_softcapping=50.0, sliding_window=16)
    yield "good_gemma3.json", config("gemma3_text", sliding_window=16, rope_local_base_freq=1e4, layer_types=["sliding_attention", "full_attention"])
    yield "good_smollm3.json", config("smollm3", no_rope_layers=[1, 0])
    yield "good_granite.json", config("granite", embedding_multiplier=12.0, residual_multiplier=0.2, attention_multiplier=0.1, logits_scaling=8.0)
    yield "good_quantised.json", config("retort_quantized", quantization_config={"quant_method": "retort", "base_model_type": "llama", "bits": 4, "group_size": 8})
    yield "bad_family.json", config("mamba")
    yield "bad_layers.json", config("llama", num_hidden_layers=1 << 40)
    yield "bad_heads.json", config("llama", num_key_value_heads=3)
    yield "bad_negative.json", config("llama", hidden_size=-16)
    yield "bad_list.json", config("phi3", original_max_position_embeddings=32, rope_scaling={"type": "longrope", "short_factor": [1], "long_factor": [2]})
    yield "bad_theta.json", config("llama", head_dim=2, rope_theta=0.0)
    yield "bad_token.json", config("llama", eos_token_id=[1e300])
    yield "bad_method.json", config("llama", quantization_config={"quant_method": "gptq", "bits": 4})


def main(folder):
    for target, files in dict(tokenizer=tokenizers, sentencepiece=sentencepieces, chat=chats, safetensors=safetensors_files, index=indices, gguf=gguf_files, config=configs).items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, content in files():
            (folder / target / name).write_bytes(content)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "seeds")
