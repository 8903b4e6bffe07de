#!/usr/bin/env bash
# retort serve: help, wrong use, and a whole life from the port file to SIGTERM.
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
fail() { echo "serve: $*" >&2 && exit 1; }
# expect CODE WORDS COMMAND...: exits with CODE; standard error is one line that holds WORDS.
expect() {
    local code=$1 words=$2 got=0
    shift 2
    timeout 60 "$@" >"$dir/out" 2>"$dir/err" || got=$?
    [ $got = "$code" ] || fail "$*: exit $got, expected $code: $(cat "$dir/err")"
    [ "$(wc -l <"$dir/err")" = 1 ] || fail "$*: expected one line: $(cat "$dir/err")"
    grep -qF -- "$words" "$dir/err" || fail "$*: '$words' is not in: $(cat "$dir/err")"
}

"$RETORT" serve --help | grep -q -- '--port-file FILE' || fail "--help does not show --port-file"
expect 2 "serve takes one word" "$RETORT" serve
expect 2 "no such folder" "$RETORT" serve "$dir/none"
expect 2 "the nearest is --port" "$RETORT" serve "$dir" --prt 1
mkdir "$dir/empty"
expect 2 "tokenizer.json" "$RETORT" serve "$dir/empty"

# A model of one step.
for i in $(seq 200); do echo "text $i of the vessel and the wine"; done >"$dir/text.txt"
echo '{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":32},"data":{"seq":32},"steps":1}' >"$dir/config.json"
"$RETORT" tokenizer train "$dir/text.txt" --vocab 300 --out "$dir/tok" >"$dir/out" 2>&1 || fail "$(cat "$dir/out")"
"$RETORT" data import "$dir/text.txt" --tokenizer "$dir/tok" --out "$dir/text.h5" >"$dir/out" 2>&1 || fail "$(cat "$dir/out")"
"$RETORT" train "$dir/config.json" --set model.tokenizer="$dir/tok" data.train="$dir/text.h5" out="$dir/run" >"$dir/out" 2>&1 || fail "$(cat "$dir/out")"
model=$dir/run/latest

expect 2 "--max-logprobs" "$RETORT" serve "$model" --port 0 --max-logprobs 257
expect 2 "--max-tokens" "$RETORT" serve "$model" --port 0 --max-tokens 100000000
expect 2 "--port must be" "$RETORT" serve "$model" --port 70000
expect 2 "--threads" "$RETORT" serve "$model" --threads 1000

"$RETORT" serve "$model" --port 0 --port-file "$dir/port" --name small 2>"$dir/log" &
server=$!
for _ in $(seq 500); do [ ! -e "$dir/port" ] || break; sleep 0.02; done
port=$(cat "$dir/port")
expect 3 "port $port is in use; choose another" "$RETORT" serve "$model" --port "$port"
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /v1/models HTTP/1.0\r\n\r\n' >&3
grep -q '"id":"small"' <&3 || fail "/v1/models does not name the model"
exec 3>&-
kill "$server"
code=0
wait "$server" || code=$?
server=
[ $code = 0 ] || fail "exit $code after SIGTERM: $(cat "$dir/log")"
grep -qx "retort: serving small at http://127.0.0.1:$port" "$dir/log" || fail "it does not say where it serves: $(cat "$dir/log")"
[ "$(wc -l <"$dir/log")" = 1 ] || fail "it is not quiet: $(cat "$dir/log")"
