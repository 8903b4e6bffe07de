"""Compares the logits that `retort eval --logits` wrote with a model's golden ones, and greedy tokens with `retort generate`.

usage: compare_logits.py GOLDEN.safetensors LOGITS.safetensors [--tolerance 1e-4]
       compare_logits.py GOLDEN.safetensors --greedy MODEL_DIR     (runs retort, which must be in PATH)
"""
import argparse
import json
import subprocess
import sys

from safetensors.numpy import load_file

PROMPT = 8  # make_models.py continues the first 8 ids


def compare_greedy(golden, model):
    for prompt, wanted in zip(golden["ids"][:, :PROMPT].tolist(), golden["greedy"].tolist()):
        command = ["retort", "generate", model, "--ids", ",".join(map(str, prompt)), "--max-tokens", str(len(wanted)),
                   "--temperature", "0", "--dtype", "f32", "--ignore-eos", "--json"]
        answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        if answer["ids"][-len(wanted):] != wanted:
            print(f"greedy tokens differ: expected {wanted}, found {answer['ids']}")
            return 1
    print("greedy tokens: equal")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("golden")
    parser.add_argument("logits", nargs="?")
    parser.add_argument("--greedy")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    golden = load_file(args.golden)
    if args.greedy:
        return compare_greedy(golden, args.greedy)
    found = load_file(args.logits)
    if not (found["ids"] == golden["ids"]).all() or found["logits"].shape != golden["logits"].shape:
        print(f"other ids or shapes: {golden['logits'].shape} and {found['logits'].shape}")
        return 1
    apart = float(abs(found["logits"] - golden["logits"]).max())
    print(f"logits: {apart:.2e} apart at most, {args.tolerance:.0e} allowed")
    return not apart <= args.tolerance


if __name__ == "__main__":
    sys.exit(main())
