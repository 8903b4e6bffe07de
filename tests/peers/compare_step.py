"""Compares the steps that `retort train --json` printed with the golden steps of make_kd_case.py.

usage: compare_step.py CASE_DIR STUDENT VARIANT METRICS.jsonl [--tolerance 1e-4]

Losses, learning rates and gradient norms of all steps; the tolerance is relative: AdamW divides its first gradients by their own size, so
where one is near rounding its sign decides, and float32 stays within 3e-5 of float64 whichever kernels run (the f64 build: 1e-9). Cross-entropy alone has no divergence (kl).
Gradients and weights are compared by tests/unit/test_golden.c, on a smaller case.
"""
import argparse
import json
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("case", "student", "variant", "metrics"):
        parser.add_argument(name)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    with open(f"{args.case}/case.json") as file:
        golden = json.load(file)["students"][args.student][args.variant]["f64"]
    with open(args.metrics) as file:
        found = [line for line in map(json.loads, file) if "loss" in line]
    if len(found) != len(golden["loss"]):
        sys.exit(f"{len(found)} steps, expected {len(golden['loss'])}")
    good = True
    for name in ("loss", "ce", "lr", "grad_norm") + (("kl",) if any(golden["kl"]) else ()):
        apart = max(abs(step[name] - wanted) / max(1e-12, abs(wanted)) for step, wanted in zip(found, golden[name]))
        good = good and apart <= args.tolerance
        print(f"{args.student} {args.variant}: {name} at most {apart:.1e} apart, {found[-1][name]:.7f} at the end")
    return not good


if __name__ == "__main__":
    sys.exit(main())
