#!/usr/bin/env bash
# kill -9 at random moments, of collectors, of the server and of ranks: whatever was killed, the same command
# goes on and ends with what an undisturbed run gives; no reader ever finds half a file; nothing piles up.
# A failure can be repeated: SEED=... bash slow_kills.sh
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
command -v mpirun >/dev/null || { echo "skipped: no mpirun" && exit 77; }
RANDOM=${SEED:=$$}
echo "kills: SEED=$SEED"
kills=${KILLS:-20}
victim=
trap 'kill -9 $server $victim 2>/dev/null || true; rm -rf "$dir"' EXIT
export OMP_NUM_THREADS=1
cd "$dir"
fail() { echo "kills: $* (SEED=$SEED)" >&2 && exit 1; }
moment() { sleep "$(awk -v r="$RANDOM" -v most="$1" 'BEGIN { printf "%.3f", 0.05 + (most - 0.05) * r / 32767 }')"; }
alive() { kill -0 "$1" 2>/dev/null; }
stop() { # PID: killed and gone; the shell's line about it is not for the log
    kill -9 "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}
serve() { begin_server "$RETORT" serve run/latest --port "$1" --port-file port --name small; }
# A reader finds a whole shard or none.
whole_or_none() {
    [ ! -e "$1" ] || "$RETORT" data verify "$1" >/dev/null || fail "$1 is not sound after a kill"
}
temporary() { find . -name "$1.tmp.*" | wc -l; }

words=(vessel wine ember coil glass neck flame ash salt spirit lead copper)
for i in $(seq 1500); do echo "text $i of the ${words[RANDOM % 12]} and the ${words[RANDOM % 12]} with the ${words[RANDOM % 12]}"; done >text.txt
echo '{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":32},"data":{"seq":32},"batch":{"sequences":64},
 "optim":{"lr":1e-2},"checkpoint":{"every":3},"steps":1}' >config.json
good "$RETORT" tokenizer train text.txt --vocab 300 --out tok
good "$RETORT" data import text.txt --tokenizer tok --out text.h5
train=(--set model.tokenizer=tok data.train=text.h5)
good "$RETORT" train config.json "${train[@]}" out=run

# The collector is killed.
serve 0
port=$(cat port)
score=("$RETORT" score --teacher "http://127.0.0.1:$port" --shards text.h5 --k 8 --m 4 --seed 7 --quiet)
good "${score[@]}" --out whole.h5
n=0
while [ $n -lt "$kills" ]; do
    "${score[@]}" --out soft.h5 >out 2>err &
    victim=$!
    moment 1.0
    if alive $victim; then n=$((n + 1)); fi
    stop $victim
    whole_or_none soft.h5
    [ "$(temporary soft.h5)" -le 1 ] || fail "temporary files pile up: $(ls)"
    rm -f soft.h5 # done in between: the shard is to be written again, from the ledger
done
good "${score[@]}" --out soft.h5
[ "$(digest soft.h5)" = "$(digest whole.h5)" ] || fail "another digest after $n kills of score"
[ "$(temporary soft.h5)" = 0 ] || fail "left over: $(ls)"
echo "kills: $n of the collector"

# The server is killed.
ask() {
    "${score[@]}" --out other.h5 --retries 100 --in-flight 2 >out 2>err &
    victim=$!
}
# The run in the background is over: from nothing again, or, where it began while no server listened (3), once more.
again() {
    local code=0
    wait $victim || code=$?
    if [ $code = 0 ]; then
        [ "$(digest other.h5)" = "$(digest whole.h5)" ] || fail "another digest after $n kills of the server"
        rm -f other.h5*
        runs=$((runs + 1))
    elif [ $code != 3 ] || grep -q 'responses are safe' err; then # one that was under way waits for the server
        fail "score did not outlive the server: exit $code: $(cat err)"
    fi
    ask
}
n=0 runs=0
ask
for _ in $(seq "$kills"); do
    moment 0.4
    alive $victim || again
    stop $server
    n=$((n + 1))
    whole_or_none other.h5
    serve "$port"
done
until [ -e other.h5 ]; do
    if alive $victim; then sleep 0.1; else again; fi
done
good wait $victim
[ "$(digest other.h5)" = "$(digest whole.h5)" ] || fail "another digest after $n kills of the server"
victim=''
stop $server
server=''
echo "kills: $n of the server, $runs runs ended between them"

# A rank is killed; what is left of its mpirun follows.
distil=(mpirun -n 2 "$RETORT" train config.json "${train[@]}" data.train=whole.h5 steps=40)
began=$(date +%s.%N)
good "${distil[@]}" out=calm --resume --threads 1
whole=$(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN { print b - a }') # seconds that a run takes here
n=0 resumed=0
while [ $n -lt "$kills" ]; do
    "${distil[@]}" out=wild --resume --threads 1 >out 2>err &
    victim=$!
    moment "$whole"
    mapfile -t ranks < <(ps -o pid= --ppid $victim)
    if [ ${#ranks[@]} -gt 0 ]; then
        n=$((n + 1))
        kill -9 "${ranks[RANDOM % ${#ranks[@]}]}" 2>/dev/null || true
        stop $victim
        kill -9 "${ranks[@]}" 2>/dev/null || true
    else
        stop $victim
    fi
    while [ ${#ranks[@]} -gt 0 ] && ps -p "$(IFS=, && echo "${ranks[*]}")" >/dev/null; do sleep 0.02; done
    [ ! -e wild/latest ] || good "$RETORT" generate wild/latest --prompt text --max-tokens 2
    [ "$(find . -path './wild/step-*.tmp' -prune -print | wc -l)" -le 1 ] || fail "half checkpoints pile up: $(ls wild)"
    [ ! -e wild/latest ] || resumed=$((resumed + 1))
    if [ -e wild/step-00000040 ]; then # over: begin again, so that the kills meet a run
        cmp wild/latest/model.safetensors calm/latest/model.safetensors || fail "another model after $n kills of ranks"
        rm -rf wild
    fi
done
good "${distil[@]}" out=wild --resume --threads 1
[ "$(sha256sum <wild/latest/model.safetensors)" = "$(sha256sum <calm/latest/model.safetensors)" ] || fail "another model after $n kills of ranks"
lines() { sed 's/,"tok_s":[^,}]*//' "$1/metrics.jsonl"; }
lines calm | cmp - <(lines wild) || fail "other metrics after $n kills of ranks: $(tail -n 1 wild/metrics.jsonl)"
[ -z "$(find wild -name '*tmp*')" ] || fail "left over: $(find wild -name '*tmp*')"
echo "kills: $n of ranks, $resumed times with a checkpoint to go on from"
