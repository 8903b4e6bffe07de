"""Chat templates as retort and as transformers render them.

usage: chat.py RETORT CACHE

First the templates of one construct each of chat_snippets.py, against Jinja as transformers sets it up. Then whole templates, against
apply_chat_template: those that pip packages carry ("file": taken out of the package as it is; "generated": by the package's own generator) and those in
templates/ ("written": with the constructs of a family, for this comparison). Each renders every conversation below with and without the generation
prompt and with its own variables; where transformers fails, retort must fail too. The ids of one tokenizer are compared as well. Exit status 1 if anything differs.
"""
import copy
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template

import chat_snippets
import fetch

HERE = pathlib.Path(__file__).resolve().parent


def turns(*contents, system=None):
    roles = ["user", "assistant"]
    first = [] if system is None else [dict(role="system", content=system)]
    return first + [dict(role=roles[i % 2], content=c) for i, c in enumerate(contents)]


PARTS = [dict(type="text", text=" What is it? "), dict(type="image"), dict(type="text", text="tell")]
CALL = dict(type="function", function=dict(name="look", arguments=dict(place="K\u00f6ln", n=[1, 2.0, None])))
CONVERSATIONS = {
    "one": turns("Hello"),
    "system": turns("Hello", system="Be brief."),
    "three": turns("Hello", "Hi!", "How are you?"),
    "system, three": turns("a", "b", "c", system="s"),
    "ends with assistant": turns("Hello", "Hi!"),
    "five": turns("1", "2", "3", "4", "5", system="count"),
    "empty": turns(""),
    "empty system": turns("x", "", "y", system=""),
    "spaces": turns("  leading", "trailing \n\n", "\n\tboth\u00a0\n", system="  s  "),
    "unicode": turns("Gr\u00fc\u00dfe \u4e2d\u6587 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u0627\u0644\u0639\u0631\u0628\u064a\u0629", "\u00e9 \u200b\u2028", "e\u0301"),
    "quotes": turns("it's \"quoted\" \\n {{ x }} {% y %} <b>&amp;</b>", "'", '"'),
    "special tokens": turns("<|im_end|> <eos> </s> <|eot_id|> [INST]", "<bos>", "ok"),
    "thoughts": turns("q", "<think>\nbecause\n</think>\n\nanswer", "q2", "<think>\n\n</think>\n\nshort", "q3"),
    "thoughts last": turns("q", "<think>\nbecause\n</think>\n\nanswer"),
    "reasoning": [*turns("q"), dict(role="assistant", content="a", reasoning_content="because")],
    "reasoning by another name": [*turns("q"), dict(role="assistant", content="a", thinking="because", reasoning=None)],
    "switch": turns("q", system="Be kind. /no_think"),
    "override": turns("q", system="Only this. /system_override"),
    "parts": [dict(role="user", content=PARTS)],
    "parts, system": [dict(role="system", content=[dict(type="text", text="s")]), dict(role="user", content=PARTS), dict(role="assistant", content="a")],
    "tool": [*turns("q"), dict(role="assistant", content="", tool_calls=[CALL]), dict(role="tool", content="7", name="look"), dict(role="tool", content="8"), dict(role="assistant", content="7")],
    "call, null content": [*turns("q"), dict(role="assistant", content=None, tool_calls=[CALL])],
    "two users": [dict(role="user", content="a"), dict(role="user", content="b")],
    "only system": [dict(role="system", content="s")],
    "only assistant": [dict(role="assistant", content="s")],
    "strange role": [dict(role="poet", content="s")],
    "no content": [dict(role="user")],
    "null content": [dict(role="user", content=None)],
    "number": [dict(role="user", content=5)],
    "no messages": [],
    "lines": turns("a\r\nb\rc\n", "\x0b\x0c", "d"),
    "long": turns(*[f"turn {i} " + "word " * i for i in range(41)]),
}
VARIABLES = {
    "plain": {}, "no thinking": dict(enable_thinking=False),
    "all": dict(enable_thinking=True, thinking=True, date_string="1 Jan 2030", controls=dict(length="long"), documents=[dict(doc_id=1, text="d")], bos_token="<B>"),
}
TOKENS = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


# ---- the templates

TRL = "trl==1.16.0"


def of_trl(cache):
    """The templates of models that trl carries, by name."""
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", tmp, TRL], check=True)
        with zipfile.ZipFile(next(pathlib.Path(tmp).iterdir())) as z:
            for name in z.namelist():
                if name.endswith(".jinja"):
                    (cache / pathlib.Path(name).name).write_bytes(z.read(name))


def of_mistral(cache):
    """mistral-common writes the templates of its tokenizers' versions."""
    program = ("import sys, json; sys.path.insert(0, sys.argv[1])\n"
               "from mistral_common.integrations.chat_templates.template_generator import TemplateConfig, build_chat_template\n"
               "from mistral_common.tokens.tokenizers.base import TokenizerVersion\n"
               "print(build_chat_template(TemplateConfig(version=TokenizerVersion(sys.argv[2]), **json.loads(sys.argv[3]))), end='')")
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", tmp, fetch.MISTRAL_PACKAGE], check=True)
        for name, (version, settings) in MISTRAL.items():
            made = subprocess.run([sys.executable, "-c", program, tmp, version, json.dumps(settings)], check=True, capture_output=True)
            (cache / f"{name}.jinja").write_bytes(made.stdout)


MISTRAL = {
    "mistral-v1": ("v1", dict(spm=True, use_special_token_variables=True)), "mistral-v3": ("v3", dict(spm=True)),
    "mistral-v7": ("v7", dict(image_support=True)), "mistral-v11": ("v11", dict(plain_thinking_support=True)),
    "mistral-v13": ("v13", dict(thinking_support=True)),
}


def templates(cache):
    for part, make in (("file", of_trl), ("generated", of_mistral)):
        folder = cache / "chat" / part
        if not folder.exists():
            made = cache / "chat" / "made"
            made.mkdir(parents=True, exist_ok=True)
            make(made)
            made.rename(folder)
        for file in sorted(folder.glob("*.jinja")):
            yield file.stem, part, file.read_text(encoding="utf-8")
    for file in sorted((HERE / "templates").glob("*.jinja")):
        yield file.stem, "written", file.read_text(encoding="utf-8")


# ---- both programs

def retort(program, folder, lines, *words):
    """The answer to each line; None where the command fails for the template."""
    out = []
    while len(out) < len(lines):
        given = "".join(json.dumps(line) + "\n" for line in lines[len(out):])
        done = subprocess.run([program, "tokenizer", "chat", *words, str(folder)], input=given, capture_output=True, text=True, encoding="utf-8")
        if done.returncode not in (0, 2):
            raise SystemExit(f"{folder}: exit status {done.returncode}: {done.stderr.strip()}")
        out += [json.loads(line) for line in done.stdout.split("\n")[:-1]]
        out += [None] if done.returncode else []
    return out


def jinja(template):
    messages = [{k: v for k, v in m.items() if v is not None} for m in chat_snippets.MESSAGES]
    try:
        return _compile_jinja_template(template).render(messages=messages, tools=None, documents=None, add_generation_prompt=True,
                                                        **copy.deepcopy(chat_snippets.VALUES))
    except Exception:
        return None


def compare_snippets(program, work):
    bad, n, failing = [], 0, 0
    line = dict(messages=chat_snippets.MESSAGES, chat_template_kwargs=chat_snippets.VALUES)
    for name, template in chat_snippets.snippets():
        (work / "chat_template.jinja").write_bytes(template.encode())
        want = None if chat_snippets.refused(template) else jinja(template)
        got = retort(program, work, [line])[0]
        n += 1
        failing += want is None
        if want != (got and got["text"]):
            bad.append(f"{name}: {template!r}: {want!r}, retort {got!r}")
    print(f"{n} templates of one construct, {failing} of which must fail: {n - len(bad)} same" + "".join("\n  DIFFERS " + b for b in bad[:20]), flush=True)
    return not bad


def applied(tokenizer, messages, prompt, variables, ids):
    try:
        made = tokenizer.apply_chat_template(copy.deepcopy(messages), add_generation_prompt=prompt, tokenize=ids, **copy.deepcopy(variables))
    except (jinja2.exceptions.TemplateError, TypeError, ValueError, AttributeError, KeyError, IndexError):
        return None
    return list(made["input_ids"]) if ids else made


def compare_template(program, folder, ids):
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    cases = list(itertools.product(CONVERSATIONS, (False, True), VARIABLES))
    lines = [dict(messages=CONVERSATIONS[name], add_generation_prompt=prompt, chat_template_kwargs=VARIABLES[given]) for name, prompt, given in cases]
    answers = retort(program, folder, lines, *(["--ids"] if ids else []))
    for (name, prompt, given), got in zip(cases, answers, strict=True):
        yield f"{name}, {given}, prompt {prompt}", applied(tokenizer, CONVERSATIONS[name], prompt, VARIABLES[given], ids), got and got["ids" if ids else "text"]


def prepare(folder, tokenizer, template):
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_bytes((tokenizer / "tokenizer.json").read_bytes())
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="PreTrainedTokenizerFast", **TOKENS)))
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8", newline="")


def row(program, work, name, kind, template, tokenizer, ids=False):
    prepare(work / name, tokenizer, template)
    cases = list(compare_template(program, work / name, ids))
    bad = [f"{case}: {want!r}, retort {got!r}" for case, want, got in cases if want != got]
    failing = sum(want is None for _, want, _ in cases)
    print(f"{name:34}{kind:12}{'ids' if ids else 'text':6}{len(cases) - len(bad):5}/{len(cases)}{failing:6} fail" + "".join("\n  DIFFERS " + b[:600] for b in bad[:3]), flush=True)
    return not bad


def main():
    program, cache, good = sys.argv[1], pathlib.Path(sys.argv[2]), True
    small = fetch.fetch(cache, "mistral-v3")
    with tempfile.TemporaryDirectory() as tmp:
        work = pathlib.Path(tmp)
        good &= compare_snippets(program, work)
        for name, kind, template in templates(cache):
            good &= row(program, work, name, kind, template, small)
        good &= row(program, work, "chatml", "written", (HERE / "templates" / "chatml.jinja").read_text(), fetch.fetch(cache, "qwen"), ids=True)
        good &= row(program, work, "mistral", "written", (HERE / "templates" / "mistral.jinja").read_text(), small, ids=True)
    return not good


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main())
