"""Writes tests/golden/chat.json: templates of one construct each, with what Jinja makes of them as transformers sets it up.

usage: make_chat_cases.py tests/golden/chat.json

The templates are those of tokenizers/chat_snippets.py and tokenizers/templates/, all written for these comparisons. A case is [template, text], or [template,
null] where rendering must fail. Left out is what depends on the day. The conversations of whole templates are in "chats".
"""
import copy
import json
import pathlib
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = pathlib.Path(__file__).resolve().parent / "tokenizers"
sys.path.insert(0, str(HERE))
import chat_snippets

CHAT = [dict(role="system", content=" Be brief. "), dict(role="user", content="Hi \"you\" \u00e9\n"), dict(role="assistant", content="<think>\nso\n</think>\n\nYes"),
        dict(role="user", content="And?")]


def rendered(template, messages, values):
    plain = [{k: v for k, v in m.items() if v is not None} for m in copy.deepcopy(messages)]
    try:
        return _compile_jinja_template(template).render(messages=plain, tools=None, documents=None, add_generation_prompt=True, **copy.deepcopy(values))
    except Exception:
        return None


def cases():
    for name, template in chat_snippets.snippets():
        if not name.startswith(("expression", "statement")) or "strftime" in template:
            continue
        yield template, None if chat_snippets.refused(template) else rendered(template, chat_snippets.MESSAGES, chat_snippets.VALUES)


def main(path):
    tokens = dict(bos_token="<s>", eos_token="</s>")
    chats = [[file.read_text(encoding="utf-8"), rendered(file.read_text(encoding="utf-8"), CHAT, tokens)] for file in sorted((HERE / "templates").glob("*.jinja"))]
    made = dict(messages=chat_snippets.MESSAGES, values=chat_snippets.VALUES, cases=list(cases()), chat=CHAT, tokens=tokens, chats=chats)
    text = json.dumps(made, ensure_ascii=True, indent=0, separators=(",", ":"))
    pathlib.Path(path).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
