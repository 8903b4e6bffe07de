#!/usr/bin/env bash
# retort serve: help, wrong use, and a whole life from the port file to SIGTERM.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"

"$RETORT" serve --help | grep -q -- '--port-file FILE' || fail "--help does not show --port-file"
expect 2 "serve takes one model folder" "$RETORT" serve
expect 2 "no such folder" "$RETORT" serve "$dir/none"
expect 2 "the nearest is --port" "$RETORT" serve "$dir" --prt 1
mkdir "$dir/empty"
expect 2 "tokenizer.json" "$RETORT" serve "$dir/empty"

# A model of one step.
for i in $(seq 200); do echo "text $i of the vessel and the wine"; done >"$dir/text.txt"
echo '{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":32},"data":{"seq":32},"steps":1}' >"$dir/config.json"
good "$RETORT" tokenizer train "$dir/text.txt" --vocab 300 --out "$dir/tok"
good "$RETORT" data import "$dir/text.txt" --tokenizer "$dir/tok" --out "$dir/text.h5"
good "$RETORT" train "$dir/config.json" --set model.tokenizer="$dir/tok" data.train="$dir/text.h5" out="$dir/run"
model=$dir/run/latest

expect 2 "--max-logprobs" "$RETORT" serve "$model" --port 0 --max-logprobs 257
expect 2 "--max-tokens" "$RETORT" serve "$model" --port 0 --max-tokens 100000000
expect 2 "--port must be" "$RETORT" serve "$model" --port 70000
expect 2 "--threads" "$RETORT" serve "$model" --threads 1000
expect 2 "--dtype must be f32 or bf16, found 'f16'" "$RETORT" serve "$model" --port 0 --dtype f16

begin_server "$RETORT" serve "$model" --port 0 --port-file "$dir/port" --name small
port=$(cat "$dir/port")
expect 3 "port $port is in use; choose another" "$RETORT" serve "$model" --port "$port"
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /v1/models HTTP/1.0\r\n\r\n' >&3
cat <&3 >"$dir/models"
exec 3>&-
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'POST /v1/chat/completions HTTP/1.0\r\nContent-Length: 48\r\n\r\n{"messages":[{"role":"user","content":"hello"}]}' >&3
cat <&3 >"$dir/chat"
exec 3>&-
grep -q 'this model has no chat template; use /v1/completions' "$dir/chat" || fail "a chat without a template: $(cat "$dir/chat")"
grep -q '"id":"small"' "$dir/models" || fail "/v1/models does not name the model"
[ "$(field dtype <"$dir/models")" = f32 ] || fail "/v1/models does not say that the model computes in f32: $(cat "$dir/models")"
end_server
grep -qx "retort: serving small at http://127.0.0.1:$port" "$dir/log" || fail "it does not say where it serves: $(cat "$dir/log")"
[ "$(wc -l <"$dir/log")" = 1 ] || fail "it is not quiet: $(cat "$dir/log")"

# In bf16, if asked.
begin_server "$RETORT" serve "$model" --port 0 --port-file "$dir/port" --dtype bf16
exec 3<>"/dev/tcp/127.0.0.1/$(cat "$dir/port")"
printf 'GET /v1/models HTTP/1.0\r\n\r\n' >&3
[ "$(field dtype <&3)" = bf16 ] || fail "/v1/models of serve --dtype bf16 does not say so"
exec 3>&-
end_server
