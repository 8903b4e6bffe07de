#!/usr/bin/env bash
# A student of at most 40 million parameters out of Gemma 3 270M, from its GGUF file: does distillation beat cross-entropy, and do the teacher's layers beat
# random ones? Three students with three seeds; the best is exported for llama.cpp. Called by ./run peers gemma, which fetches the file.
# Resumable: what is done is left alone, a run goes on from its newest checkpoint. Ends with RESULTS.md and curves.svg.
#
#   PATH=build/release:$PATH experiments/gemma/run.sh GEMMA.gguf
#   OUT=build/gemma   SEEDS='1 2 3'   STEPS=176   LLAMA=FOLDER (holds llama-completion; without it the last step is left out)
set -euo pipefail
gguf=${1:?usage: experiments/gemma/run.sh GEMMA.gguf}
gguf=$(realpath "$gguf")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C
here=experiments/gemma out=${OUT:-build/gemma} steps=${STEPS:-176}
read -ra seeds <<<"${SEEDS:-1 2 3}"
mkdir -p "$out"

# once NAME COMMAND...: runs a stage that is not done yet, and records its seconds.
once() {
    local name=$1 began=$SECONDS
    shift
    [ ! -f "$out/$name.seconds" ] || return 0
    echo "gemma: $name" >&2
    "$@"
    echo $((SECONDS - began)) >"$out/$name.seconds"
}

# ---- text, teacher, vocabulary, shards ---------------------------------------------------------------------------------------

manuals=(/usr/share/doc/debian/FAQ/debian-faq.en.txt.gz /usr/share/doc/debian-policy/policy.txt.gz
    /usr/share/debian-reference/debian-reference.en.txt.gz /usr/share/developers-reference/developers-reference.txt.gz)
make_text() {
    local file
    rm -rf "$out/text" && mkdir -p "$out/text"
    for file in "${manuals[@]}"; do
        [ -f "$file" ] || {
            echo "gemma: no $file: apt-get install debian-faq debian-policy debian-reference-en developers-reference" >&2
            exit 2
        }
        gzip -dc "$file" | awk -f $here/prose.awk >"$out/text/$(basename "$file" .gz)"
    done
}
make_teacher() { rm -rf "$out/teacher" && retort import "$gguf" --out "$out/teacher"; }
make_shards() {
    rm -f "$out"/text-*.h5
    retort data import "$out/text" --tokenizer "$out/teacher" --max-doc 256 --split train=rest,valid=60 --seed 1 --out "$out/text.h5"
}
make_soft() { rm -f "$out/soft-$1.h5" && retort score --model "$out/teacher" --shards "$out/text-$1.h5" --k 32 --m 0 --out "$out/soft-$1.h5"; }
make_vocabulary() {
    rm -rf "$out/vocabulary"
    retort tokenizer trim "$out/teacher" "$out"/text-{train,valid}.h5 --out "$out/vocabulary"
}
make_small() {
    for part in train valid; do
        rm -f "$out/$part.h5"
        retort data remap "$out/soft-$part.h5" --former "$out/teacher" --tokenizer "$out/vocabulary" --out "$out/$part.h5"
    done
}
make_start() {
    rm -rf "$out/start"
    retort init --from "$out/teacher" --tokenizer "$out/vocabulary" --layers 4 --ffn 1024 --shards "$out/train.h5" --tokens 384 --out "$out/start"
}
once text make_text
once teacher make_teacher
once shards make_shards
once score-valid make_soft valid
once score-train make_soft train
once vocabulary make_vocabulary
once remap make_small
once start make_start

# ---- students ----------------------------------------------------------------------------------------------------------------

size() { retort model inspect "$out/start" --json | sed "s/.*\"$1\":\([0-9]*\).*/\1/"; }
same_shape=(model.init=new model.family=gemma3_text model.norm_eps=1e-6 model.rope=1000000 model.context=256)
for key in V C L H KV D F; do same_shape+=("model.$key=$(size $key)"); done
train_student() { # WAY SEED
    local way=$1 seed=$2 set=()
    case $way in
    distilled) set=(model.init="$out/start" model.context=256) ;;
    text) set=(model.init="$out/start" model.context=256 objective.kind=ce) ;;
    scratch) set=("${same_shape[@]}" model.tokenizer="$out/vocabulary" optim.lr=1e-3) ;;
    esac
    retort train $here/config.json --resume --set data.train="$out/train.h5" data.valid="$out/valid.h5" out="$out/$way-$seed" \
        seed="$seed" steps="$steps" "${set[@]}"
}
for seed in "${seeds[@]}"; do
    for way in distilled text scratch; do once "$way-$seed" train_student $way "$seed"; done
done
for seed in "${seeds[@]}"; do
    for way in distilled text scratch; do
        [ -f "$out/$way-$seed.json" ] || retort eval "$out/$way-$seed/latest" --shards "$out/valid.h5" --json >"$out/$way-$seed.json"
    done
done
[ -f "$out/start.json" ] || retort eval "$out/start" --shards "$out/valid.h5" --json >"$out/start.json"
[ -f "$out/teacher.json" ] || retort eval "$out/teacher" --shards "$out/soft-valid.h5" --json >"$out/teacher.json"

# ---- table, picture, llama.cpp --------------------------------------------------------------------------------------------------

files=() labels=
for way in distilled text scratch; do
    files+=("$out/$way-${seeds[0]}/metrics.jsonl")
    labels=$labels${labels:+|}$way
done
awk -v title="students of Gemma 3 270M" -v labels="$labels" -f experiments/demo/plot.awk "${files[@]}" >"$out/curves.svg"
awk -f $here/table.awk "$out"/{teacher,start}.json "$out"/{distilled,text,scratch}-*.json "$out"/*.seconds >"$out/RESULTS.md"
cat "$out/RESULTS.md"
retort export "$out/distilled-${seeds[0]}/latest" --gguf "$out/student.gguf.part" --type q8_0 && mv "$out/student.gguf.part" "$out/student.gguf"
[ -z "${LLAMA:-}" ] || "$LLAMA/llama-completion" -m "$out/student.gguf" -p "A package that" -n 32 --temp 0 -no-cnv
