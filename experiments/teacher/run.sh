#!/usr/bin/env bash
# Trains the bundled teacher from WordNet's glosses: text, tokenizer, shards, training, copy into experiments/teacher/model.
# Called by ./run teacher. Each stage that is done is left alone; training goes on from its newest checkpoint.
#
# TEACHER_OUT=build/teacher   where everything is written; words given here go to --set of `retort train`: steps=100
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${TEACHER_OUT:-build/teacher} here=experiments/teacher wordnet=/usr/share/wordnet
mkdir -p "$out"

# missing NAME FILE: is the file that a stage makes still to be made?  Says so either way.
missing() {
    if [ -e "$2" ]; then echo "teacher: $1: done before ($2)" && return 1; fi
    echo "teacher: $1"
}

if missing "text of WordNet" "$out/glosses.txt"; then
    [ -f $wordnet/data.noun ] || { echo "teacher: $wordnet/data.noun is missing: apt-get install wordnet-base" >&2 && exit 2; }
    awk -f $here/wordnet.awk $wordnet/data.{noun,verb,adj,adv} >"$out/glosses.part"
    mv "$out/glosses.part" "$out/glosses.txt"
fi
if missing "tokenizer of 4,096 entries" "$out/tokenizer"; then
    rm -rf "$out/tokenizer.part"
    retort tokenizer train "$out/glosses.txt" --vocab 4096 --out "$out/tokenizer.part"
    mv "$out/tokenizer.part" "$out/tokenizer"
fi
if missing "shards: 3,000 texts held out, 30,000 for students, the rest for the teacher" "$out/shards"; then
    rm -f "$out"/text-*.h5
    retort data import "$out/glosses.txt" --tokenizer "$out/tokenizer" --out "$out/text.h5" --seed 1 \
        --split valid=3000,student=30000,teacher=rest
    touch "$out/shards"
fi
if missing "training" "$out/trained"; then
    retort train $here/config.json --resume --set model.tokenizer="$out/tokenizer" data.train="$out/text-teacher.h5" \
        data.valid="$out/text-valid.h5" out="$out/run" "$@"
    touch "$out/trained"
fi
echo "teacher: held-out loss"
retort eval "$out/run/latest" --shards "$out/text-valid.h5"
mkdir -p $here/model
for file in model.safetensors config.json generation_config.json tokenizer.json tokenizer_config.json; do
    cp "$out/run/latest/$file" $here/model/
done
cp NOTICE $here/model/NOTICE # WordNet's licence asks for its notice on every copy of what was made from it
echo "teacher: copied into $here/model"
