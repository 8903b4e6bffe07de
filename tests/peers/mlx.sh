#!/usr/bin/env bash
# Compares logits of mlx-lm with Retort's on the same quantised weights, for a random model of every family and the bundled teacher. Called by ./run peers mlx;
# uses a virtual environment of its own below PEERS_OUT (build/peers).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${PEERS_OUT:-build/peers}/mlx here=tests/peers teacher=experiments/teacher/model failed=0
mkdir -p "$out"
if ! cmp -s $here/requirements-mlx.txt "$out/installed"; then
    echo "peers: installing $here/requirements-mlx.txt into $out/venv" >&2
    python3 -m venv "$out/venv"
    "$out/venv/bin/pip" install --quiet --requirement $here/requirements-mlx.txt
    cp $here/requirements-mlx.txt "$out/installed"
fi

compare() { # MODEL BITS
    rm -rf "$out/exported"
    retort export "$1" --mlx "$out/exported" --bits "$2" >/dev/null && "$out/venv/bin/python" $here/compare_mlx.py "$out/exported" "$out/plain"
}
# mlx-lm's Gemma 2 needs the caps that a new model does not have.
for family in llama mistral phi3 qwen2 qwen3 gemma3_text smollm3 olmo2 granite; do
    rm -rf "${out:?}/model"
    retort init --params 2M --tokenizer $teacher --family $family --context 128 --out "$out/model" >/dev/null
    for bits in 4 8; do compare "$out/model" $bits || failed=1; done
done
for bits in 4 8; do compare $teacher $bits || failed=1; done
exit $failed
