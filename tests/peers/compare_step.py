"""Compares the first step that `retort train --json` printed with a golden step of make_kd_case.py.

usage: compare_step.py CASE_DIR STUDENT VARIANT METRICS.jsonl [--tolerance 1e-5]
"""
import argparse
import json
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("case", "student", "variant", "metrics"):
        parser.add_argument(name)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    args = parser.parse_args()
    with open(f"{args.case}/case.json") as file:
        golden = json.load(file)["students"][args.student][args.variant]["f64"]
    with open(args.metrics) as file:
        found = next(line for line in map(json.loads, file) if "loss" in line)
    worst = 0.0
    for name in ("loss", "ce", "grad_norm", "lr"):
        apart = abs(found[name] - golden[name][0]) / max(1e-12, abs(golden[name][0]))
        worst = max(worst, apart)
        print(f"{args.student} {args.variant}: {name} {found[name]:.7f}, golden {golden[name][0]:.7f}")
    return not worst <= args.tolerance


if __name__ == "__main__":
    sys.exit(main())
