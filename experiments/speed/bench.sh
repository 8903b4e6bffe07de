#!/usr/bin/env bash
# Measures the training step on this machine and writes RESULTS.md beside this file (or to the path given). Called by ./run bench.
# The comparison with PyTorch is added where ./run peers speed has left it (build/peers/speed.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:-experiments/speed/RESULTS.md}
tmp=$(mktemp) && trap 'rm -f "$tmp"' EXIT
steps=${BENCH_STEPS:-6}

field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"; }
say() { echo "$*" >>"$tmp"; }
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)

# row NAME WORDS...: one run of bench step as a row of the table
row() {
    local name=$1 json
    shift
    echo "bench: $name" >&2
    json=$(retort bench step --steps "$steps" --json "$@")
    say "| $name | $(field tok_s <<<"$json") | $(field gflops <<<"$json") | $(field sgemm_gflops <<<"$json") | $(field products_share <<<"$json") | $(field rss_mb <<<"$json") | $(field minor_faults <<<"$json") |"
}
head_of_table() {
    say "| run | tokens/s | GF/s | product GF/s | gemm / step | peak MB | page faults per step |"
    say "|---|---|---|---|---|---|---|"
}

say "# The training step on one machine"
say
say "Made by \`./run bench\`: $cpu, $(nproc) cores, $(date +%F), $(retort --version | sed -n 's/^commit /commit /p'); $(retort --version | sed -n 's/^kernel /kernel /p')."
say "A row is the median of $steps steps after 3. \"gemm / step\": the time that the matrix products of the step take when they run alone, divided by the time of the step."
say
head_of_table
row "S, 2 threads" --preset S --threads 2
row "S, 1 thread" --preset S --threads 1
row "S, 2 threads, two micro-batches" --preset S --threads 2 --set batch.micro=4
row "S, 2 threads, recompute" --preset S --threads 2 --set recompute=true
row "S, 2 threads, f32" --preset S --threads 2 --set dtype=f32
row "M, 2 threads" --preset M --threads 2
row "M, 2 threads, recompute" --preset M --threads 2 --set recompute=true
say
say "Long sequences, 8,192 tokens a step, preset S: no buffer of T x T."
say
head_of_table
row "T 512, B 16" --preset S --threads 2 --set data.seq=512 batch.sequences=16
row "T 2048, B 4" --preset S --threads 2 --set data.seq=2048 batch.sequences=4
row "T 8192, B 1" --preset S --threads 2 --set data.seq=8192 batch.sequences=1
say
say "Where the time goes, preset S, 2 threads, and preset M:"
for preset in S M; do
    say
    say '```'
    retort bench step --preset $preset --threads 2 --steps "$steps" >>"$tmp"
    say '```'
done
say
say '```'
retort bench gemm --threads 2 >>"$tmp"
retort bench optimiser --threads 2 >>"$tmp"
say '```'
if [ -f build/peers/speed.md ]; then
    say
    say "## Beside PyTorch"
    say
    say "Made by \`./run peers speed\` (tests/peers/speed.py): PyTorch 2.13, f32, the trainer of tests/peers/torch_kd.py, in turn with retort (bf16"
    say "weights and activations, f32 products, masters and moments)."
    say
    cat build/peers/speed.md >>"$tmp"
fi
cp "$tmp" "$out"
echo "bench: wrote $out" >&2
