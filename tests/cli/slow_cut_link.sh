#!/usr/bin/env bash
# A link that is cut between two hosts ends what ran over it: network namespaces stand for the hosts, a third one with a
# bridge for the network between them.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
skip() { echo "skipped: $*" && exit 77; }
a=rt$$a b=rt$$b net=rt$$n
run=
remove() { # also where something below fails
    for p in $server $run; do kill "$p" 2>/dev/null || true; done
    for n in $a $b $net; do ip netns del "$n" 2>/dev/null || true; done
    rm -rf "$dir"
}
command -v ip >/dev/null || skip "no program 'ip' (package iproute2)"
trap remove EXIT
make_hosts() {
    for n in $a $b $net; do ip netns add "$n" && ip -n "$n" link set lo up || return 1; done
    ip -n $net link add name rtbr0 type bridge && ip -n $net link set rtbr0 up || return 1
    for n in $a $b; do
        ip link add v0 netns "$n" type veth peer name "p$n" netns $net && ip -n $net link set "p$n" master rtbr0 up &&
            ip -n "$n" link set v0 up || return 1
    done
    ip -n $a addr add 10.77.0.1/24 dev v0 && ip -n $b addr add 10.77.0.2/24 dev v0
}
make_hosts 2>"$dir/err" || skip "network namespaces cannot be made here: $(head -n 1 "$dir/err")"
cut() { ip -n $net link set "p$b" nomaster; }
heal() { ip -n $net link set "p$b" master rtbr0; }
# ended_within SECONDS PROCESS: it ends by itself; $code is its exit code.
ended_within() {
    for _ in $(seq $(($1 * 5))); do
        kill -0 "$2" 2>/dev/null || break
        sleep 0.2
    done
    ! kill -0 "$2" 2>/dev/null || { kill "$2" && fail "still there $1 s after the link was cut"; }
    code=0
    wait "$2" || code=$?
}

for i in $(seq 4000); do echo "text $i of the vessel and the wine"; done >"$dir/text.txt"
cat >"$dir/config.json" <<TEXT
{"model": {"C": 32, "L": 2, "H": 2, "KV": 1, "D": 16, "F": 64, "context": 64, "tokenizer": "$dir/tok"},
 "data": {"train": "$dir/text.h5", "seq": 64}, "checkpoint": {"every": 1000000}, "steps": 1}
TEXT
good "$RETORT" tokenizer train "$dir/text.txt" --vocab 300 --out "$dir/tok"
good "$RETORT" data import "$dir/text.txt" --tokenizer "$dir/tok" --out "$dir/text.h5"
good "$RETORT" train "$dir/config.json" --set out="$dir/model"

# A teacher: the run ends, says why, and what was answered is safe.
ip netns exec $b "$RETORT" serve "$dir/model/latest" --host 10.77.0.2 --port 0 --port-file "$dir/port" --threads 1 2>/dev/null &
server=$!
for _ in $(seq 100); do [ -e "$dir/port" ] || sleep 0.1; done
ip netns exec $a "$RETORT" score --teacher "http://10.77.0.2:$(cat "$dir/port")" --shards "$dir/text.h5" --out "$dir/soft.h5" \
    --retries 0 2>"$dir/err" &
run=$!
sleep 2
cut
ended_within 90 $run
[ $code = 3 ] || fail "score: exit $code: $(cat "$dir/err")"
grep -q 'responses are safe' "$dir/err" || fail "score: $(cat "$dir/err")"
heal
kill $server
wait $server || true
server=

# Ranks: with the settings that ./run and docs/hosts.md name, mpirun ends the job.
cat >"$dir/agent" <<TEXT
#!/bin/sh
shift
exec ip netns exec $b unshare -u sh -c 'hostname other; exec sh -c "\$*"' sh "\$@"
TEXT
chmod +x "$dir/agent"
# shellcheck disable=SC2016 # expanded inside
ip netns exec $a unshare -u env OMPI_MCA_oob_tcp_keepalive_time=20 OMPI_MCA_oob_tcp_keepalive_intvl=5 OMPI_MCA_oob_tcp_keepalive_probes=4 \
    sh -c 'hostname one; exec "$@"' sh mpirun -n 2 --host 10.77.0.1,10.77.0.2 --mca plm_rsh_agent "$dir/agent" --mca btl tcp,self \
    --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 -x OMP_NUM_THREADS=1 \
    "$RETORT" train "$dir/config.json" --set out="$dir/far" steps=1000000 >"$dir/log" 2>&1 &
run=$!
for _ in $(seq 100); do
    grep -q 'steps' "$dir/log" || sleep 0.2
done
sleep 2
kill -0 $run || fail "the ranks do not train: $(cat "$dir/log")"
cut
ended_within 60 $run
[ $code != 0 ] || fail "mpirun: exit 0 after the link was cut"
grep -q 'lost communication' "$dir/log" || fail "mpirun: $(cat "$dir/log")"
