"""Runs `retort bench step` and torch_kd.py in turn, some rounds, and prints medians and their ratios as a table.

usage: speed.py [--presets S M] [--threads 2 1] [--modes compile compile-bf16 eager plain] [--rounds 3] [--steps 5] [--out FILE.md]

Both train the same shape with the same loss and optimiser on random data. Within a round each program runs once, so that a change of
the machine's speed meets all of them; a ratio is that of medians over the rounds. "-bf16" runs PyTorch with autocast to bf16, by default only on
a CPU that multiplies bf16 (on AVX2 seven such steps of S took more than six minutes); the last line of a block gives the ratio to PyTorch's fastest mode. "share" is the time that retort's own products take
alone over its step's time; for PyTorch it is its rate over its best sgemm (see torch_kd.py).
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def multiplies_bf16():
    """Whether a line of /proc/cpuinfo names AVX512_BF16, AMX or Arm's BF16."""
    flags = {word for line in open("/proc/cpuinfo") if line.startswith(("flags", "Features")) for word in line.split()}
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def retort(preset, threads, steps):
    out = subprocess.run(["retort", "bench", "step", "--preset", preset, "--threads", str(threads), "--steps", str(steps), "--json"],
                         capture_output=True, text=True, check=True)
    result = json.loads(out.stdout)
    return dict(tok_s=result["tok_s"], share=result["products_share"], rss=result["rss_mb"])


def torch(preset, threads, steps, mode):
    mode, _, dtype = mode.partition("-")
    how = ["--mode", "eager", "--head", "plain"] if mode == "plain" else ["--mode", mode]
    how += ["--dtype", dtype or "f32"]
    out = subprocess.run([sys.executable, HERE / "torch_kd.py", "--preset", preset, "--threads", str(threads), "--steps", str(steps + 3),
                          "--warmup", "3", *how], capture_output=True, text=True, check=True)
    result = json.loads(out.stdout.splitlines()[-1])["summary"]
    return dict(tok_s=result["tok_s"], share=result["fraction"], rss=result["peak_rss_mb"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["S", "M"])
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    parser.add_argument("--modes", nargs="+", default=["compile"] + ["compile-bf16"] * multiplies_bf16() + ["eager", "plain"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out")
    args = parser.parse_args()
    lines = ["| preset | threads | program | tokens/s, median (range) | retort is faster by | share | peak MB |", "|---|---|---|---|---|---|---|"]
    for preset in args.presets:
        for threads in args.threads:
            found = {name: [] for name in ["retort"] + args.modes}
            for turn in range(args.rounds):
                for name in found:
                    run = retort(preset, threads, args.steps) if name == "retort" else torch(preset, threads, args.steps, name)
                    found[name].append(run)
                    print(f"{preset}, {threads} threads, round {turn + 1}: {name} {run}", file=sys.stderr, flush=True)
            middle = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in found.items()}
            for name, m in middle.items():
                rates = [run["tok_s"] for run in found[name]]
                lines.append(f"| {preset} | {threads} | {name if name == 'retort' else 'PyTorch, ' + name} | {m['tok_s']:.0f} "
                             f"({min(rates):.0f}-{max(rates):.0f}) | {middle['retort']['tok_s'] / m['tok_s']:.2f} | {m['share']:.2f} | {m['rss']:.0f} |")
            best = max(args.modes, key=lambda name: middle[name]["tok_s"])
            lines.append(f"| {preset} | {threads} | **fastest of PyTorch: {best}** | {middle[best]['tok_s']:.0f} | "
                         f"**{middle['retort']['tok_s'] / middle[best]['tok_s']:.2f}** | | |")
    print("\n".join(lines))
    if args.out:
        pathlib.Path(args.out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
