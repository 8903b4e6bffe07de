#!/usr/bin/env bash
# SIGINT, SIGTERM, SIGUSR1, to a run, to one of its ranks or to mpirun, leave a complete checkpoint however long the write takes, and --resume
# goes on from it: with a disk on which it takes $DELAY seconds, and in the middle of a step that is longer than a launcher waits.
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
    grep -q "on from step $step of" out || fail "does not go on from step $step: $(cat out err)"
    [ "$(grep -c '"step":' run/metrics.jsonl)" = $((step + 2)) ] || fail "metrics: $(tail -n 3 run/metrics.jsonl)"
    [ -z "$(find run -name '*.tmp*' -o -name .lock)" ] || fail "left over: $(ls -a run)"
}

for signal in INT TERM USR1; do
    begin "${train[@]}"
    kill -$signal $run
    stops 130
    grep -q "^retort: interrupted after step $step of 10000000; a checkpoint is in run/step-0*$step, go on with --resume$" err || fail "$(cat err)"
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
grep -q "^retort: ended; process [0-9]* still writes run/step-0*$step$" err || fail "a second SIGINT: $(cat err)"
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
kill -9 "$(sed -n 's/.*interrupted: process \([0-9]*\) writes.*/\1/p' err)"
stops 130
grep -q 'was ended before it was complete (signal 9); it is written once more' err || fail "not tried again: $(cat err)"
goes_on

command -v mpirun >/dev/null || { echo "interrupt: good, without mpirun" && exit 0; }
ranks=(mpirun -n 2 "${train[@]}")
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
