#!/usr/bin/env bash
# Does training in bf16 follow f32?  The same 2,000 steps in both; RUNS='f32-1 bf16-1 f32-2' adds another seed.
# Resumable: what is done is left alone, training goes on from its newest checkpoint. Ends with the table that stands in
# README.md and draws curves.svg; exit 1 when bf16 is further than 1 % from f32 at any evaluation.
#
#   PATH=build/release:$PATH experiments/bf16/run.sh        OUT=build/bf16  RUNS='f32-1 bf16-1' (DTYPE-SEED)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C OMP_NUM_THREADS=1 # one order of files; two runs side by side
out=${OUT:-build/bf16} runs=${RUNS:-f32-1 bf16-1} here=experiments/bf16
wordnet=/usr/share/wordnet pydoc=/usr/share/doc/python3.11/html/_sources
mkdir -p "$out"

if [ ! -f "$out/text.txt" ]; then
    [ -f $wordnet/data.noun ] && [ -d $pydoc ] ||
        { echo "bf16: no $wordnet or no $pydoc: apt-get install wordnet-base python3.11-doc" >&2 && exit 2; }
    awk -f experiments/teacher/wordnet.awk $wordnet/data.{noun,verb,adj,adv} >"$out/text.part"
    find -L $pydoc -name '*.txt' | sort | xargs awk -f $here/pydoc.awk >>"$out/text.part"
    mv "$out/text.part" "$out/text.txt"
fi
if [ ! -d "$out/tokenizer" ]; then
    rm -rf "$out/tokenizer.part"
    retort tokenizer train "$out/text.txt" --vocab 8192 --out "$out/tokenizer.part"
    mv "$out/tokenizer.part" "$out/tokenizer"
fi
if [ ! -f "$out/shards" ]; then
    rm -f "$out"/text-*.h5
    retort data import "$out/text.txt" --tokenizer "$out/tokenizer" --out "$out/text.h5" --seed 1 --max-doc 256 \
        --split valid=1500,train=rest --max-tokens valid=51200
    touch "$out/shards"
fi

train_one() { # DTYPE-SEED
    local dir=$out/$1
    [ ! -f "$dir.done" ] || return 0
    retort train $here/config.json --resume --threads 1 --set model.tokenizer="$out/tokenizer" data.train="$out/text-train.h5" \
        data.valid="$out/text-valid.h5" out="$dir" dtype="${1%-*}" seed="${1#*-}" 2>"$dir.log" &&
        touch "$dir.done"
}
export -f train_one
export out here
for run in $runs; do echo "$run"; done | xargs -P 2 -I{} bash -c 'train_one {} && echo "bf16: trained {}" >&2'

files=() labels=
for run in $runs; do
    files+=("$out/$run/metrics.jsonl")
    labels=$labels${labels:+|}"${run%-*} seed ${run#*-}"
done
awk -v title="bf16 and f32: 12.6 million parameters, 2,000 steps of 512 tokens" -v labels="$labels" \
    -f experiments/demo/plot.awk "${files[@]}" >"$out/curves.svg"
awk -v labels="$labels" -f $here/table.awk "${files[@]}"
