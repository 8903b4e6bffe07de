"""Compares greedy text of Retort with that of llama.cpp, which runs the GGUF file that `retort export` writes.

usage: compare_llama.py MODEL OUT [--types f32 q8_0 ...] [--tokens 64] PROMPT...     (runs retort and llama-completion, which must be in PATH)

Retort reads the same file, from the folder OUT/TYPE that also gets the tokenizer. Both compute from the same weights and stop at an end token; llama.cpp rounds activations to
8 bits before products with quantised types, so only the types of floats must agree; of the others the common prefix is printed.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys

FLOATS = ("f32", "f16", "bf16")


def run(command):
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{command[0]} fails: {done.stderr.decode(errors='replace')[-500:]}")
    return done.stdout.decode(errors="replace")


def printable(text):
    """Random models write bytes that are no text, and the programs differ in how they show them."""
    return "".join(c for c in text if " " <= c <= "~").strip()


def generate(folder, path, prompt, tokens):
    ours = json.loads(run(["retort", "generate", folder, "--prompt", prompt, "--max-tokens", str(tokens), "--temperature", "0", "--dtype", "f32",
                           "--json"]).splitlines()[-1])["text"]
    theirs = run(["llama-completion", "-m", path, "-p", prompt, "-n", str(tokens), "--temp", "0", "-no-cnv", "-t", "2", "--no-warmup",
                  "-ctk", "f32", "-ctv", "f32", "-fa", "off", "--no-display-prompt"])
    return printable(ours), printable(theirs.rstrip().removesuffix("[end of text]"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("prompts", nargs="+")
    parser.add_argument("--types", nargs="+", default=["f32", "bf16", "q8_0"])
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    failed = 0
    for kind in args.types:
        folder = os.path.join(args.out, kind)
        path = os.path.join(folder, "model.gguf")
        os.makedirs(folder, exist_ok=True)
        run(["retort", "export", args.model, "--gguf", path, "--type", kind, "--force"])
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(os.path.join(args.model, name), folder)
        for prompt in args.prompts:
            ours, theirs = generate(folder, path, prompt, args.tokens)
            same = ours == theirs
            failed |= not same and kind in FLOATS
            common = len(os.path.commonprefix([ours, theirs]))
            print(f"{kind}: {'equal' if same else f'{common} characters of {len(ours)} are equal'} after {prompt!r}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
