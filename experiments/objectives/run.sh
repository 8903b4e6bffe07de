#!/usr/bin/env bash
# Every objective on the same student, batches and steps: which recovers how much of the gap to the teacher, at how many stored
# bytes. Called by ./run objectives. Resumable: what is done is left alone, a run goes on from its newest checkpoint.
# Ends with experiments/objectives/RESULTS.md and bytes.svg.
#
# OBJECTIVES_OUT=build/objectives   where everything is written
# OBJECTIVES_JOBS                   runs side by side, one thread each (default: the cores)
# OBJECTIVES_SEEDS='11 12 13'       OBJECTIVES_STEPS=752       OBJECTIVES_TEXTS='glosses manual'
# Words choose rows by name (rows.txt); without words all are run, on both teachers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C OMP_NUM_THREADS=1
here=experiments/objectives out=${OBJECTIVES_OUT:-build/objectives} steps=${OBJECTIVES_STEPS:-752}
jobs=${OBJECTIVES_JOBS:-$(getconf _NPROCESSORS_ONLN)}
read -ra seeds <<<"${OBJECTIVES_SEEDS:-11 12 13}"
wordnet=/usr/share/wordnet pydoc=/usr/share/doc/python3.11/html/_sources
mkdir -p "$out"
export here out steps
fail() {
    echo "objectives: $*" >&2
    exit 2
}

# ---- two teachers: the bundled one on WordNet's glosses, and a sharper one on Python's manual ------------------------------
# Texts that nobody learns from are split off before the teacher's and the students'.

[ -f $wordnet/data.noun ] || fail "$wordnet/data.noun is missing: apt-get install wordnet-base"
if [ ! -f "$out/glosses/shards" ]; then
    mkdir -p "$out/glosses"
    awk -f experiments/teacher/wordnet.awk $wordnet/data.{noun,verb,adj,adv} >"$out/glosses/text.txt"
    rm -f "$out"/glosses/text-*.h5
    retort data import "$out/glosses/text.txt" --tokenizer experiments/teacher/model --out "$out/glosses/text.h5" --seed 1 \
        --split valid=900,unused=2100,student=30000,teacher=rest --max-doc 128 --max-tokens student=192512
    ln -sfn "$PWD/experiments/teacher/model" "$out/glosses/teacher"
    touch "$out/glosses/shards"
fi
make_manual() {
    local dir=$out/manual
    [ -d $pydoc ] || fail "$pydoc is missing: apt-get install python3.11-doc"
    [ ! -e "$dir/teacher" ] || return 0
    mkdir -p "$dir"
    if [ ! -f "$dir/shards" ]; then
        find -L $pydoc -name '*.txt' | sort | xargs awk -f experiments/bf16/pydoc.awk >"$dir/text.txt"
        rm -rf "$dir/tokenizer" "$dir"/text-*.h5
        retort tokenizer train "$dir/text.txt" --vocab 4096 --out "$dir/tokenizer"
        retort data import "$dir/text.txt" --tokenizer "$dir/tokenizer" --out "$dir/text.h5" --seed 1 --max-doc 128 \
            --split valid=600,student=6000,teacher=rest --max-tokens valid=30000,student=192512
        touch "$dir/shards"
    fi
    retort train experiments/teacher/config.json --resume --threads "$jobs" --set model.tokenizer="$dir/tokenizer" data.train="$dir/text-teacher.h5" \
        data.valid="$dir/text-valid.h5" out="$dir/run"
    ln -sfn run/latest "$dir/teacher"
}

# ---- records and runs -----------------------------------------------------------------------------------------------------

# record TEXT K-M-CODEC, or WAY-K-N (draws.c): the student's text with what the teacher says about it.
record() {
    local dir=$out/$1 k m codec
    [ "$2" != text ] && [ ! -f "$dir/$2.h5" ] || return 0
    IFS=- read -r k m codec <<<"$2"
    if [[ $k != [0-9]* ]]; then
        command -v retort-draws >/dev/null ||
            { echo "objectives: $2 needs retort-draws: cmake --build build/release --target retort-draws" >&2 && return 1; }
        retort-draws "$dir/teacher" "$dir/text-student.h5" "$dir/$2.h5" "$k" "$m" "$codec"
        return
    fi
    retort score --model "$dir/teacher" --shards "$dir/text-student.h5" --out "$dir/$2.h5" --k "$k" --m "$m" --codec "$codec" 2>"$dir/$2.log" ||
        { cat "$dir/$2.log" >&2 && return 1; }
}

# train_one TEXT NAME RECORD SEED WORDS...: leaves one line of JSON in runs/TEXT-NAME-SEED.json.
train_one() {
    local text=$1 name=$2 record=$3 seed=$4 dir=$out/$1 run=$out/runs/$1-$2-$4 shard
    shift 4
    [ ! -f "$run.json" ] || return 0
    shard=$dir/text-student.h5
    [ "$record" = text ] || shard=$dir/$record.h5
    mkdir -p "$out/runs"
    retort train configs/student-distil.json --resume --threads 1 --set model.tokenizer="$dir/teacher" data.train="$shard" 'data.valid=[]' \
        out="$run" steps="$steps" seed="$seed" schedule.warmup=$((steps / 20)) schedule.decay=$((steps / 2)) eval.every=0 \
        checkpoint.every=200 checkpoint.keep=1 "${@//TEACHER/$dir/teacher}" >"$run.log" 2>&1 || { cat "$run.log" >&2 && return 1; }
    retort eval "$run/latest" --threads 1 --shards "$dir/text-valid.h5" --teacher "$dir/teacher" --json 2>/dev/null >"$run.part"
    awk -v text="$text" -v name="$name" -v seed="$seed" -v tok_s="$(sed -n '$s/.*"tok_s":\([0-9.]*\).*/\1/p' "$run/metrics.jsonl")" \
        -v bytes="$(stat -Lc %s "$shard")" -v plain="$(stat -Lc %s "$dir/text-student.h5")" '{
            sub(/^\{/, sprintf("{\"text\":\"%s\",\"name\":\"%s\",\"seed\":%d,\"bytes\":%.1f,\"tok_s\":%.0f,", text, name, seed, (bytes - plain) / 192512, tok_s))
            print }' "$run.part" >"$run.json"
    rm -r "$run.part" "$run"
    echo "objectives: $text, $name, seed $seed: $(sed 's/.*"ce":\([0-9.]*\).*"kl":\([0-9.]*\).*/CE \1, KL \2/' "$run.json")" >&2
}
export -f record train_one

# list TEXT SEED ROWS...: the runs of this seed as words of train_one.
list() {
    local text=$1 seed=$2 name record words
    shift 2
    while read -r name record words; do
        case $name in '' | '#'*) continue ;; +*) name=${name#+} ;; *) [ "$text" = glosses ] || continue ;; esac
        [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
        echo "$text $name $record $seed $words"
    done <$here/rows.txt
}

run_text() {
    local text=$1 seed
    shift
    for seed in "${seeds[@]}"; do
        list "$text" "$seed" "$@" >"$out/$text.list"
        cut -d' ' -f3 "$out/$text.list" | sort -u | xargs -P "$jobs" -I{} bash -c "record $text {}"
        xargs -P "$jobs" -d '\n' -I{} bash -c 'train_one {}' <"$out/$text.list"
    done
    [ -f "$out/$text/teacher.json" ] ||
        retort eval "$out/$text/teacher" --shards "$out/$text/text-valid.h5" --teacher "$out/$text/teacher" --json 2>/dev/null >"$out/$text/teacher.json"
}

for text in ${OBJECTIVES_TEXTS:-glosses manual}; do
    [ "$text" != manual ] || make_manual
    run_text "$text" "$@"
done
$here/table.sh "$out" >$here/RESULTS.part
mv $here/RESULTS.part $here/RESULTS.md
awk -f $here/bytes.awk $here/RESULTS.md >$here/bytes.svg
echo "objectives: $here/RESULTS.md, $here/bytes.svg" >&2
