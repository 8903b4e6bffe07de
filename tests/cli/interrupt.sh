#!/usr/bin/env bash
# SIGINT, SIGTERM, SIGUSR1, to a run, to one of its ranks or to mpirun, leave a complete checkpoint however long the write takes, and --resume
# goes on from it: with a disk on which it takes $DELAY seconds, in the middle of a step that is longer than a launcher waits, and in a validation.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
[ "$(nm -D "$RETORT" | grep -c __asan_init)" = 0 ] || { echo "skipped: nothing can be preloaded before the address sanitizer" && exit 77; }
export OMP_NUM_THREADS=1
: "${DELAY:=4}"
cd "$dir"
for i in $(seq 400); do echo "text $i of the vessel and the wine"; done >text.txt
echo '{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":32},"data":{"seq":32},"steps":10000000,"schedule":{"kind":"constant"}}' >config.json
good "$RETORT" tokenizer train text.txt --vocab 300 --out tok
good "$RETORT" data import text.txt --tokenizer tok --out text.h5
train=("$RETORT" train config.json --threads 1 --set model.tokenizer=tok data.train=text.h5 out=run)
now() { date +%s.%N; }
wait_for() { # SECONDS COMMAND...
    local tries=$(($1 * 20))
    shift
    for _ in $(seq $tries); do
        ! "$@" || return 0
        sleep 0.05
    done
    return 1
}
ended() { [ -z "$(ps -o stat= -p "$1" | grep -v Z)" ]; }
has_lines() { [ -s run/metrics.jsonl ]; }

# begin COMMAND...: in the background, until it has done a step. $run: its process.
begin() {
    rm -rf run
    SLOW_DISK=$DELAY LD_PRELOAD=$SLOW_DISK_LIB "$@" >out 2>err &
    run=$!
    wait_for 60 has_lines || fail "no step of $*: $(cat err)"
    sleep 0.2
}
# stops CODE: the run ends so, and says where the checkpoint is.
stops() {
    local got=0
    wait_for $((DELAY + 60)) ended $run || fail "does not end"
    wait $run 2>/dev/null || got=$?
    [ $got = "$1" ] || fail "exit $got, expected $1: $(cat err)"
    step=$(sed -n 's/^retort: interrupted.* run\/step-0*\([0-9]*\), .*/\1/p' err | tail -n 1)
    [ -n "$step" ] || fail "it is not said where the checkpoint is: $(cat err)"
}
# goes_on: the checkpoint is waited for where it is not complete, verified and gone on from.
goes_on() {
    good timeout 120 "${train[@]}" steps=$((step + 2)) --resume
    grep -q "continuing from step $step of" out || fail "does not go on from step $step: $(cat out err)"
    [ "$(grep -c '"step":' run/metrics.jsonl)" = $((step + 2)) ] || fail "metrics: $(tail -n 3 run/metrics.jsonl)"
    [ -z "$(find run -name '*.tmp*' -o -name .lock)" ] || fail "left over: $(ls -a run)"
}

for signal in INT TERM USR1; do
    begin "${train[@]}"
    kill -$signal $run
    stops 130
    grep -q "^retort: interrupted after step $step of 10000000; a checkpoint is in run/step-0*$step, continue with --resume$" err || fail "$(cat err)"
    goes_on
done

# A second Ctrl-C ends the run at once; the checkpoint is completed all the same.
begin "${train[@]}"
kill -INT $run
wait_for 10 grep -q interrupted err || fail "nothing is said after SIGINT"
kill -INT $run # within a tenth of a second it might be an echo
sleep 0.3
kill -INT $run 2>/dev/null || true
asked=$(now)
stops 130
grep -q "^retort: ended; process [0-9]* is still writing run/step-0*$step$" err || fail "a second SIGINT: $(cat err)"
awk -v a="$asked" -v b="$(now)" 'BEGIN { exit !(b - a < 2) }' || fail "a second SIGINT did not end the run at once"
goes_on

# kill -9 while a checkpoint is written.
begin "${train[@]}"
kill -TERM $run
wait_for 10 grep -q interrupted err || fail "nothing is said after SIGTERM"
kill -9 $run
stops 137
goes_on

# The writer is killed: it is started once more.
begin "${train[@]}"
kill -TERM $run
wait_for 10 grep -q 'interrupted: process' err || fail "nothing is said after SIGTERM"
kill -9 "$(sed -n 's/.*interrupted: process \([0-9]*\) is writing.*/\1/p' err)"
stops 130
grep -q 'was terminated before it was complete (signal 9); it is written again' err || fail "not tried again: $(cat err)"
goes_on

# A validation is interrupted, and so is the one that makes up for it: the run ends with the metrics, best and summary of a calm one.
for i in $(seq 100000); do echo "text $i of the vessel and the oil"; done >long.txt
good "$RETORT" data import long.txt --tokenizer tok --out long.h5
again() { # COMMAND...: in the background, until it begins
    "$@" --resume >out 2>err &
    run=$!
    wait_for 60 grep -q "continuing from step 2 of 2" out || fail "does not go on: $(cat err)"
}
below() { # PID: the processes that it started, and those that they did
    for child in $(ps -o pid= --ppid "$1"); do echo "$child" && below "$child"; done
}
lines() { sed 's/,"tok_s":[^,}]*//' "$1/metrics.jsonl"; }
# validation_interrupted COMMAND...: in the validation after step 2, its last.
validation_interrupted() {
    local DELAY=0 tries=0
    set -- "$@" data.valid=long.h5 eval.every=1 steps=2
    rm -rf run && good "$@" && rm -rf calm && mv run calm
    until [ -e run ] && [ "$step" = 2 ] && ! grep -q '"step":2,.*valid_ce' run/metrics.jsonl; do # a slow machine may not have come to it
        [ $((tries += 1)) -le 5 ] || fail "no validation was interrupted: $(cat run/metrics.jsonl err)"
        begin "$@"
        kill -USR1 $run
        stops 130
    done
    again "$@"
    sleep 0.2
    kill -USR1 $run
    stops 130
    grep -q "interrupted before a step after step 2 of 2 was completed; the checkpoint is still run/step-00000002, continue" err || fail "$(cat err)"
    SLOW_DISK=60 LD_PRELOAD=$SLOW_DISK_LIB again "$@" # kill -9 where the checkpoint gets another best
    wait_for 60 [ -d run/step-00000002.tmp ] || fail "the checkpoint is not written again: $(ls run) $(cat err)"
    mapfile -t ours < <(below $run)
    kill -9 $run "${ours[@]}"
    wait $run 2>/dev/null || true
    wait_for 10 eval "! ps -p $(IFS=, && echo "${ours[*]}") >/dev/null" || fail "cannot be killed"
    [ -e run/step-00000002/manifest.json ] && [ "$(wc -l <run/metrics.jsonl)" = 2 ] || fail "lost: $(ls run) $(cat run/metrics.jsonl)"
    good "$@" --resume
    lines calm | cmp - <(lines run) || fail "other metrics: $(cat run/metrics.jsonl)"
    [ "$(readlink run/best)" = step-00000002 ] && [ -z "$(find run -name '*.tmp*' -o -name .lock)" ] || fail "$(ls -l run)"
    tail -n 1 out | grep -q "^train: run: 2 steps; .*; validation loss [0-9.]*" || fail "no summary: $(cat out err)"
}
validation_interrupted "${train[@]}"

command -v mpirun >/dev/null || { echo "interrupt: good, without mpirun" && exit 0; }
ranks=(mpirun -n 2 "${train[@]}")
validation_interrupted "${ranks[@]}"
# The checkpoint is written while rank 0, done with its share of the validation, waits for the other, which stands still.
DELAY=0 begin "${ranks[@]}" data.valid=long.h5 eval.every=1 steps=2
mapfile -t ours < <(ps -o pid= --ppid $run)
kill -STOP "${ours[1]}"
sleep 3
kill -USR1 "${ours[0]}"
wait_for 60 [ -d run/step-00000002 ] || fail "no checkpoint while a rank stands still: $(ls run) $(cat err)"
kill -CONT "${ours[1]}"
stops 130
good "${ranks[@]}" data.valid=long.h5 eval.every=1 steps=2 --resume
lines calm | cmp - <(lines run) || fail "other metrics: $(cat run/metrics.jsonl)"
for signal in INT TERM USR1; do
    code=1 # Open MPI's own, after a signal that it does not pass on
    [ $signal != USR1 ] || code=130
    begin "${ranks[@]}"
    kill -$signal $run
    stops $code
    goes_on
    begin "${ranks[@]}"
    mapfile -t ours < <(ps -o pid= --ppid $run)
    kill -$signal "${ours[${#ours[@]} - 1]}"
    stops 130
    goes_on
done

# A step that takes longer than the two seconds that Open MPI gives: what it began from is saved in its middle.
DELAY=1
begin "${ranks[@]}" batch.sequences=1000 batch.micro=8 # large steps, for the rate of a larger one
rate=$(sed -n 's/.*"tok_s":\([0-9]*\).*/\1/p' run/metrics.jsonl | tail -n 1)
kill -USR1 $run
stops 130
begin "${ranks[@]}" batch.sequences=$((rate * 8 / 32)) batch.micro=8
kill -INT $run
stops 1
[ "$step" = "$(grep -c '"step":' run/metrics.jsonl)" ] || fail "step $step was saved, the metrics have $(grep -c '"step":' run/metrics.jsonl)"
"$RETORT" train config.json --threads 1 --set model.tokenizer=tok data.train=text.h5 out=run batch.sequences=$((rate * 8 / 32)) batch.micro=8 steps="$step" --resume >out 2>err || fail "$(cat err)"
[ -d "run/step-$(printf %08d "$step")" ] || fail "the checkpoint of a long step: $(ls run)"
echo "interrupt: good"
