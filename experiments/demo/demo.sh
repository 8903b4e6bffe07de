#!/usr/bin/env bash
# The demo: distils the bundled teacher into a student a quarter of its size, and shows what the teacher was worth.
# Called by ./run demo. Every retort command is printed before it runs; each stage leaves a mark in DEMO_OUT/done, so
# that a second call says what is done and a stopped one goes on.
#
# DEMO_SIZE=full|small   small: a tenth of it, for continuous integration
# DEMO_OUT=demo-out      where everything is written
# DEMO_STEPS, DEMO_TOKENS, DEMO_TEXTS, DEMO_SEED, DEMO_DTYPE, DEMO_RANKS override single settings
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

case ${DEMO_SIZE:-full} in
full) steps=752 tokens=192512 texts=2000 ;;
small) steps=80 tokens=24576 texts=200 ;;
*) echo "demo: DEMO_SIZE is full or small, not $DEMO_SIZE" >&2 && exit 2 ;;
esac
steps=${DEMO_STEPS:-$steps} tokens=${DEMO_TOKENS:-$tokens} texts=${DEMO_TEXTS:-$texts}
seed=${DEMO_SEED:-1} dtype=${DEMO_DTYPE:-bf16} ranks=${DEMO_RANKS:-2}
out=${DEMO_OUT:-demo-out} teacher=experiments/teacher/model wordnet=/usr/share/wordnet server=
mkdir -p "$out/done"

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
say() { printf '%s\n' "$@"; }
fail() {
    echo "demo: $*" >&2
    exit 2
}

stop_server() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
leave() {
    local code=$?
    stop_server
    [ $code = 0 ] || say "demo: stopped (exit $code); ./run demo goes on from here, rm -r $out begins again" >&2
}
trap leave EXIT
trap 'exit 130' INT TERM

# Prints a command as one would type it, wherever its own output goes, then runs it.
exec 3>&1
show() {
    local word line=
    for word in "$@"; do
        case $word in *[!A-Za-z0-9_./:=,+-]*) line+=" '$word'" ;; *) line+=" $word" ;; esac
    done
    printf '%s$%s%s\n' "$dim" "$line" "$plain" >&3
    "$@"
}

# Bytes of what a stage left: files and folders, as patterns that are expanded now.
size_of() {
    local pattern
    for pattern in "$@"; do compgen -G "$pattern" || true; done | xargs -d '\n' -r du -scb | tail -n 1 | cut -f1
}

# stage NAME TITLE FUNCTION PATTERN...: runs the function unless it is done; keeps its seconds and the bytes of its files.
stage() {
    local name=$1 title=$2 work=$3 began seconds bytes
    shift 3
    if [ -f "$out/done/$name" ]; then
        read -r seconds bytes <"$out/done/$name"
        say "${bold}$title${plain}: done before, $seconds s"
        return
    fi
    say "" "${bold}$title${plain}"
    began=$(date +%s.%N)
    "$work"
    bytes=$(size_of "$@")
    seconds=$(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
    echo "$seconds ${bytes:-0}" >"$out/done/$name"
}

# A run with other settings would mix two experiments.
settings="steps=$steps tokens=$tokens texts=$texts seed=$seed dtype=$dtype ranks=$ranks"
if [ -f "$out/settings" ] && [ "$(cat "$out/settings")" != "$settings" ]; then
    fail "$out was begun with $(cat "$out/settings"), now asked for $settings: remove it or set DEMO_OUT"
fi
echo "$settings" >"$out/settings"
[ -f "$wordnet/data.noun" ] || fail "$wordnet/data.noun is missing: apt-get install wordnet-base"
[ -f $teacher/config.json ] || fail "$teacher is missing: ./run teacher makes it"

# The teacher's server runs while a stage needs it.
serve() {
    [ -z "$server" ] || return 0
    rm -f "$out/port"
    printf '%s$ %s &%s\n' "$dim" "retort serve $teacher --port 0 --port-file $out/port" "$plain"
    retort serve $teacher --port 0 --port-file "$out/port" 2>"$out/serve.log" &
    server=$!
    for _ in $(seq 200); do
        [ ! -s "$out/port" ] || return 0
        kill -0 $server 2>/dev/null || break
        sleep 0.1
    done
    fail "the teacher's server did not start: $(tail -n 1 "$out/serve.log")"
}
url() { echo "http://127.0.0.1:$(cat "$out/port")"; }

# The 3,000 texts that nobody learns from: probe, a tenth of them, draws the curves; both together make the table.
write_text() {
    say "${dim}\$ awk -f experiments/teacher/wordnet.awk $wordnet/data.{noun,verb,adj,adv} > $out/glosses.txt${plain}"
    awk -f experiments/teacher/wordnet.awk $wordnet/data.{noun,verb,adj,adv} >"$out/glosses.txt"
    rm -f "$out"/text-*.h5
    show retort data import "$out/glosses.txt" --tokenizer $teacher --out "$out/text.h5" --seed 1 \
        --split probe=300,valid=2700,student=30000,teacher=rest --max-doc 128 --max-tokens "student=$tokens"
}

score() {
    serve
    show retort score --teacher "$(url)" --shards "$out/text-student.h5" --k 8 --m 8 --out "$out/soft.h5"
}

write_book() {
    serve
    show retort textbook configs/recipes/glossary.json --teacher "$(url)" --tokenizer $teacher --k 8 --m 8 --count "$texts" \
        --seed "$seed" --out "$out/book.h5" --json | tee "$out/book.json"
}

# train NAME SHARD [KEY=VALUE...]: goes on from the newest checkpoint where there is one.
train() {
    local name=$1 shard=$2
    shift 2
    show mpirun -n "$ranks" retort train configs/student-distil.json --resume \
        --set data.train="$shard" data.valid="$out/text-probe.h5" out="$out/$name" steps="$steps" seed="$seed" dtype="$dtype" \
        schedule.warmup=$((steps / 20)) schedule.decay=$((steps / 2)) eval.every=$((steps / 8)) checkpoint.every=$((steps / 8)) "$@"
}
train_distil() { train distil "$out/soft.h5"; }
train_ce() { train ce "$out/soft.h5" objective.kind=ce; }
train_book() { train book "$out/book.h5"; }

# evaluate MODEL NAME [SHARD...]: on all held-out text (the small demo: on the probe) unless shards are named.
held_out=("$out/text-probe.h5" "$out/text-valid.h5")
[ "${DEMO_SIZE:-full}" = full ] || held_out=("$out/text-probe.h5")
evaluate() {
    local model=$1 name=$2
    shift 2
    [ $# -gt 0 ] || set -- "${held_out[@]}"
    show retort eval "$model" --shards "$@" --teacher $teacher --json >"$out/eval-$name.part"
    tail -n 1 "$out/eval-$name.part" | tee "$out/eval-$name.json"
    rm "$out/eval-$name.part"
}
evaluate_all() {
    evaluate $teacher probe "$out/text-probe.h5"
    evaluate $teacher teacher
    evaluate "$out/distil/latest" distil
    evaluate "$out/ce/latest" ce
    evaluate "$out/book/latest" book
}

quantise() {
    local bits
    for bits in 8 4; do
        rm -rf "$out/distil-int$bits"
        show retort quantize "$out/distil/latest" --out "$out/distil-int$bits" --bits $bits
        evaluate "$out/distil-int$bits" "int$bits"
    done
}

# The text goes to the screen and to a file, the note on the speed to another file.
generate_one() {
    show retort generate "$1" --prompt 'volcano (noun):' --max-tokens 60 --temperature 0.7 --seed 1 --ignore-eos 2>"$out/generate-$2.log" |
        tee "$out/generate-$2.txt" || fail "$(cat "$out/generate-$2.log")"
}
generate() {
    generate_one "$out/distil/latest" distil
    generate_one "$out/distil-int8" int8
    generate_one "$out/distil-int4" int4
}

# field NAME FILE: a number of a JSON line.
field() { sed -n "s/.*\"$1\": *\\(-\\{0,1\\}[0-9.][0-9.eE+-]*\\).*/\\1/p" "$2" | tail -n 1; }

show_row() {
    local title=$1 name=$2 model=$3 rate=-
    [ ! -f "$out/generate-$name.log" ] || rate=$(sed -n 's/.*tokens, \([0-9]*\) tokens.s$/\1/p' "$out/generate-$name.log")
    awk -v title="$title" -v ce="$(field ce "$out/eval-$name.json")" -v ppl="$(field ppl "$out/eval-$name.json")" \
        -v kl="$(field kl "$out/eval-$name.json")" -v ece="$(field ece "$out/eval-$name.json")" \
        -v bytes="$(stat -Lc %s "$model/model.safetensors")" -v rate="$rate" \
        'BEGIN { printf "%-40s %7.3f %10.1f %14.3f %7.3f %10.2f %9s\n", title, ce, ppl, kl, ece, bytes / 1e6, rate == "-" ? rate : sprintf("%.0f", rate) }'
}

show_models() {
    say "" "${bold}On $(field tokens "$out/eval-ce.json") tokens of held-out text${plain} (CE and KL in nats per token; less is better)"
    printf '%-40s %7s %10s %14s %7s %10s %9s\n' model CE perplexity 'KL to teacher' ECE MB 'tokens/s'
    show_row "teacher" teacher $teacher
    show_row "student, without the teacher" ce "$out/ce/latest"
    show_row "student, distilled" distil "$out/distil/latest"
    show_row "  in 8 bits" int8 "$out/distil-int8"
    show_row "  in 4 bits" int4 "$out/distil-int4"
    show_row "student, on text the teacher wrote" book "$out/book/latest"
    awk -v t="$(field ce "$out/eval-teacher.json")" -v c="$(field ce "$out/eval-ce.json")" -v d="$(field ce "$out/eval-distil.json")" \
        'BEGIN { if (c > t) printf "\nOf the gap between the student without a teacher and the teacher, distilling closed %.0f %%.\n", 100 * (c - d) / (c - t) }'
    say "The last row learnt from $(field tokens "$out/book.json") tokens that the teacher made up, not from the $tokens tokens of real text above."
}

show_stages() {
    local name seconds bytes
    say ""
    printf '%-28s %9s %12s\n' stage seconds MB
    for name in text score book train-distil train-ce train-book eval quantise generate; do
        read -r seconds bytes <"$out/done/$name"
        awk -v n=$name -v s="$seconds" -v b="$bytes" 'BEGIN { printf "%-28s %9.1f %12.2f\n", n, s, b / 1e6 }'
    done
    awk '{ s += $1; b += $2 } END { printf "%-28s %9.1f %12.2f\n", "all", s, b / 1e6 }' "$out"/done/*
}

draw() {
    awk -v title="The same student on the same batches, with and without its teacher" -v teacher="$(field ce "$out/eval-probe.json")" \
        -v labels="distilled|cross-entropy alone" -f experiments/demo/plot.awk "$out/distil/metrics.jsonl" "$out/ce/metrics.jsonl" >"$out/curves.svg"
}

stage text "Text: WordNet's glosses into shards of token ids" write_text "$out/text-*.h5"
stage score "Teacher: its probabilities for $tokens tokens, over HTTP" score "$out/soft.h5"
stage book "Teacher: $texts texts of its own, with probabilities" write_book "$out/book.h5"
stop_server
stage train-distil "Student: learns from the teacher's probabilities, $ranks ranks" train_distil "$out/distil"
stage train-ce "Student: the same batches without the teacher" train_ce "$out/ce"
stage train-book "Student: learns from what the teacher wrote" train_book "$out/book"
stage eval "Held-out text" evaluate_all "$out/eval-*.json"
stage quantise "Quantise to 8 and 4 bits" quantise "$out/distil-int8" "$out/distil-int4"
stage generate "Generate: how each goes on from 'volcano (noun):'" generate "$out/generate-*.txt"
draw
show_models
show_stages
say "" "Curves: $out/curves.svg      Models: $out/distil/latest, $out/distil-int4      What else: retort --help"
