#!/usr/bin/env bash
# Is the teacher worth it?  The demo's student, four ways to learn, three seeds, two types, same batches at one seed.
# Resumable: a run that is done is left alone. Ends with the table that stands in README.md; exit 1 when a bar is missed.
#
#   PATH=build/release:$PATH experiments/demo/quality.sh        QUALITY_OUT=build/quality  SEEDS='11 12 13'  DTYPES='f32 bf16'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${QUALITY_OUT:-build/quality} seeds=${SEEDS:-11 12 13} dtypes=${DTYPES:-f32 bf16} teacher=experiments/teacher/model server=
mkdir -p "$out"
export OMP_NUM_THREADS=1 # two runs side by side
trap '[ -z "$server" ] || kill $server' EXIT

if [ ! -f "$out/text-valid.h5" ]; then
    awk -f experiments/teacher/wordnet.awk /usr/share/wordnet/data.{noun,verb,adj,adv} >"$out/glosses.txt"
    rm -f "$out"/text-*.h5
    retort data import "$out/glosses.txt" --tokenizer $teacher --out "$out/text.h5" --seed 1 \
        --split valid=3000,student=30000,teacher=rest --max-doc 128 --max-tokens student=192512
fi
# 8 exact entries and 8 samples for one's own teacher; the top 16 alone as an API would give them
if [ ! -f "$out/top16.h5" ] || [ ! -f "$out/own.h5" ]; then
    rm -f "$out/port"
    retort serve $teacher --port 0 --port-file "$out/port" &
    server=$!
    while [ ! -s "$out/port" ]; do sleep 0.1; done
    url=http://127.0.0.1:$(cat "$out/port")
    [ -f "$out/own.h5" ] || retort score --teacher "$url" --shards "$out/text-student.h5" --k 8 --m 8 --out "$out/own.h5"
    [ -f "$out/top16.h5" ] || retort score --teacher "$url" --shards "$out/text-student.h5" --k 16 --m 0 --out "$out/top16.h5"
    kill $server && server=
fi

run_one() { # DTYPE SEED NAME: trains and evaluates one student
    local dtype=$1 seed=$2 name=$3 dir=$out/$1-$2-$3 shard=own kind=ce weight=null
    case $name in sampled) kind=sampled weight=0 ;; tail) kind=tail weight=0.5 shard=top16 ;; renorm) kind=renorm shard=top16 ;; esac
    [ ! -f "$dir.json" ] || return 0
    retort train configs/student-distil.json --resume --set model.tokenizer=$teacher data.train="$out/$shard.h5" 'data.valid=[]' out="$dir" \
        seed="$seed" dtype="$dtype" objective.kind=$kind objective.ce_weight=$weight checkpoint.every=200 2>/dev/null
    retort eval "$dir/latest" --shards "$out/text-valid.h5" --teacher $teacher --json >"$dir.part" 2>/dev/null
    mv "$dir.part" "$dir.json"
}
export -f run_one
export out teacher
for dtype in $dtypes; do for seed in $seeds; do for name in ce sampled tail renorm; do echo "$dtype $seed $name"; done; done; done |
    xargs -P 2 -L 1 bash -c 'run_one "$@" && echo "done: $*"' _

[ -f "$out/teacher.json" ] || retort eval $teacher --shards "$out/text-valid.h5" --teacher $teacher --json >"$out/teacher.json"
field() { sed -n "s/.*\"$1\": *\\([0-9.eE+-]*\\).*/\\1/p" "$2"; }
for dtype in $dtypes; do
    for seed in $seeds; do
        for name in ce sampled tail renorm; do
            file=$out/$dtype-$seed-$name.json
            echo "$dtype $seed $name $(field ce "$file") $(field kl "$file") $(field ece "$file") $(field agree "$file") $(field acc "$file")"
        done
    done
done | awk -v teacher="$(field ce "$out/teacher.json")" '
    function bar(good, what) { if (!good) { print "MISSED: " what > "/dev/stderr"; bad = 1 } }
    BEGIN { printf "Teacher: CE %.4f. Gap recovered = (CE alone - student) / (CE alone - teacher), same seed.\n\n", teacher
            print "| dtype | seed | learns from | CE | gap recovered | KL to teacher | KL / KL alone | ECE | agreement | accuracy |"
            print "|---|---|---|---|---|---|---|---|---|---|" }
    $3 == "ce" { ce = $4; kl = $5 }
    { gap = (ce - $4) / (ce - teacher); ratio = $5 / kl
      printf "| %s | %s | %s | %.4f | %.0f %% | %.4f | %.3f | %.4f | %.3f | %.3f |\n", $1, $2, $3, $4, 100 * gap, $5, ratio, $6, $7, $8 }
    $3 == "sampled" { bar(gap >= 0.50 && ratio <= 0.33, $1 " seed " $2 ": 8 + 8 records") }
    $3 == "tail" { bar(gap >= 0.30, $1 " seed " $2 ": tail bucket") }
    $3 == "renorm" { bar($4 > ce, $1 " seed " $2 ": the control should be worse than no teacher") }
    END { exit bad }'
