#!/usr/bin/env bash
# retort score --model: the same rows as from the model served, encoded states, wrong use.
# label: numeric
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"

# A model of one step.
for i in $(seq 200); do echo "text $i of the vessel and the wine"; done >"$dir/text.txt"
echo '{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":40},"data":{"seq":32},"steps":1}' >"$dir/config.json"
good "$RETORT" tokenizer train "$dir/text.txt" --vocab 300 --out "$dir/tok"
good "$RETORT" data import "$dir/text.txt" --tokenizer "$dir/tok" --out "$dir/text.h5"
good "$RETORT" train "$dir/config.json" --set model.tokenizer="$dir/tok" data.train="$dir/text.h5" out="$dir/run"
model=$dir/run/latest

# Served and in process: ids, log-probabilities, tail mass and samples, as far as `inspect` and `stats` print them.
good "$RETORT" score --model "$model" --shards "$dir/text.h5" --out "$dir/model.h5" --k 4 --m 8 --seed 3
grep -q '200 documents' "$dir/out" || fail "summary: $(cat "$dir/out")"
said=$(sed -n "s/.*own cross-entropy on this text is \\([0-9.]*\\) nats.*/\\1/p" "$dir/err")
good "$RETORT" eval "$model" --shards "$dir/text.h5" --json --dtype f32
awk -v a="${said:-none}" -v b="$(field ce <"$dir/out")" 'BEGIN { exit !(a - b < 0.001 && b - a < 0.001) }' || fail "score says $said of the teacher, eval $(cat "$dir/out")"
begin_server "$RETORT" serve "$model" --port 0 --port-file "$dir/port" --name latest
good "$RETORT" score --teacher "$url" --model latest --shards "$dir/text.h5" --out "$dir/served.h5" --k 4 --m 8 --seed 3
end_server
for kind in model served; do
    good "$RETORT" data verify "$dir/$kind.h5"
    for doc in 0 7 199; do "$RETORT" data inspect "$dir/$kind.h5" --doc $doc | sed '1,/^document/d;/^  request/d;/^  cost/d'; done >"$dir/$kind.rows"
    "$RETORT" data stats "$dir/$kind.h5" --json | grep -o '"\(covered\|entropy\|ce\)":[0-9.]*' >"$dir/$kind.stats"
done
[ "$(wc -l <"$dir/model.rows")" -gt 30 ] || fail "inspect shows no rows"
# same TOLERANCE FILE FILE: word by word; numbers may differ by so much in the last digit that is printed.
same() {
    paste -d '\n' "$2" "$3" | sed 's/[%:]/ /g' | awk -v e="$1" 'NR % 2 { n = split($0, a); next }
        { if (split($0, b) != n) exit 1; for (i = 1; i <= n; i++) if (a[i] != b[i] && !(a[i] + 0 && (a[i] - b[i]) ^ 2 <= e ^ 2)) exit 1 }' ||
        fail "served and in process differ: $(diff "$2" "$3" | head -n 4)"
}
same 0.1001 "$dir/model.rows" "$dir/served.rows"
same 0.00001 "$dir/model.stats" "$dir/served.stats"

# Encoded states; samples of the whole distribution alone.
good "$RETORT" score --model "$model" --shards "$dir/text.h5" --out "$dir/coded.h5" --k 0 --m 0 --codec 12 --json
grep -q '"documents":200,.*"sketch_loss":0\.' "$dir/out" || fail "--json: $(cat "$dir/out")"
good "$RETORT" data verify "$dir/coded.h5"
"$RETORT" data inspect "$dir/coded.h5" | grep -q 'codec *12 bytes per row, [0-9]* coordinates; loss 0\.[0-9]* nats per token' || fail "inspect does not show the codec"
"$RETORT" data inspect "$dir/coded.h5" --doc 3 --tokenizer "$dir/tok" >"$dir/out"
grep -q 'decoded from the hidden state' "$dir/out" && grep -q '| "[^"]*" [0-9.]*% "' "$dir/out" || fail "inspect does not decode encoded states: $(cat "$dir/out")"
good "$RETORT" score --model "$model" --shards "$dir/text.h5" --out "$dir/alike.h5" --codec-from "$dir/coded.h5"
grep -q 'codec loss 0\.' "$dir/out" || fail "summary: $(cat "$dir/out")"
[ "$(digest "$dir/coded.h5")" = "$(digest "$dir/alike.h5")" ] || fail "--codec-from makes other rows"
good "$RETORT" train "$dir/config.json" --set model.tokenizer="$dir/tok" data.train="[\"$dir/coded.h5\",\"$dir/alike.h5\"]" out="$dir/both"
good "$RETORT" score --model "$model" --shards "$dir/text.h5" --out "$dir/samples.h5" --k 0 --m 16
good "$RETORT" data verify "$dir/samples.h5"
"$RETORT" data inspect "$dir/samples.h5" --doc 3 >"$dir/out"
# Shares of 16 samples are multiples of 6.25 %.
grep -q 'share of the samples' "$dir/out" && grep -q '| [0-9]* \(6.2\|12.5\|18.8\)%' "$dir/out" || fail "inspect does not show samples: $(cat "$dir/out")"

# The type: f32 unless --dtype asks, and the shard says which. Where both operands are not bf16, the gemm backend bf16 multiplies nothing.
"$RETORT" data inspect "$dir/model.h5" | grep -qx '  dtype        f32' || fail "inspect does not show the type"
"$RETORT" data inspect "$dir/model.h5" | grep -q '^  gemm         {"backend":"[a-z0-9]*",' || fail "inspect does not show the gemm backend"
rows=("$RETORT" score --model "$model" --shards "$dir/text.h5" --k 4 --m 8 --seed 3 --out)
good "${rows[@]}" "$dir/f32.h5" --dtype f32
good "${rows[@]}" "$dir/bf16.h5" --dtype bf16
[ "$("$RETORT" data inspect "$dir/bf16.h5" --json | field dtype)" = bf16 ] || fail "a shard of --dtype bf16 does not say so"
[ "$(digest "$dir/model.h5")" = "$(digest "$dir/f32.h5")" ] || fail "--dtype f32 is not the default"
[ "$(digest "$dir/model.h5")" != "$(digest "$dir/bf16.h5")" ] || fail "--dtype bf16 makes the rows of f32"

# Older names of options: a note, and the same shard.
for words in '--sketch 12' '--sketch=12'; do
    read -ra option <<<"$words"
    good "$RETORT" score --model "$model" --shards "$dir/text.h5" --out "$dir/older.h5" --k 0 --m 0 "${option[@]}"
    grep -qx 'retort: --sketch is now called --codec; version 0.3 will no longer accept the old name' "$dir/err" || fail "$words: $(cat "$dir/err")"
    [ "$(digest "$dir/coded.h5")" = "$(digest "$dir/older.h5")" ] || fail "$words makes other rows than --codec 12"
    rm "$dir/older.h5"
done
good "$RETORT" score --model "$model" --shards "$dir/text.h5" --out "$dir/older.h5" --like="$dir/coded.h5"
grep -qx 'retort: --like is now called --codec-from; version 0.3 will no longer accept the old name' "$dir/err" || fail "--like: $(cat "$dir/err")"
[ "$(digest "$dir/coded.h5")" = "$(digest "$dir/older.h5")" ] || fail "--like makes other rows than --codec-from"

# Wrong use.
score=("$RETORT" score --shards "$dir/text.h5" --out "$dir/x.h5")
expect 2 "--teacher URL for a server or --model DIR" "${score[@]}"
expect 2 "no such folder" "${score[@]}" --model "$dir/none"
expect 2 "config.json" "${score[@]}" --model "$dir/tok"
expect 2 "with --model instead of --teacher" "${score[@]}" --teacher http://127.0.0.1:1 --codec 8
expect 2 "--codec-from needs the model itself" "${score[@]}" --teacher http://127.0.0.1:1 --codec-from "$dir/coded.h5"
expect 2 "omit --k, --m and --codec" "${score[@]}" --model "$model" --codec-from "$dir/coded.h5" --m 4
expect 2 "--dtype needs the model itself" "${score[@]}" --teacher http://127.0.0.1:1 --dtype bf16
expect 2 "--dtype must be f32 or bf16, found 'f16'" "${score[@]}" --model "$model" --dtype f16
expect 2 "a text shard" "${score[@]}" --model "$model" --codec-from "$dir/text.h5"
for words in '--ledger x' '--retries 3' '--timeout 1.5' '--key-in-clear'; do
    read -ra option <<<"$words"
    expect 2 "${option[0]} applies to a server" "${score[@]}" --model "$model" "${option[@]}"
done
expect 2 "score requires --out FILE" "$RETORT" score --shards "$dir/text.h5" --model "$model"
expect 2 "expected one or more shards" "$RETORT" score --out "$dir/x.h5" --model "$model"
expect 2 "exists already" "$RETORT" score --shards "$dir/text.h5" --model "$model" --out "$dir/model.h5"
expect 2 "--k 0 --m 0 stores nothing" "${score[@]}" --model "$model" --k 0 --m 0
expect 2 "--k must be from 0 to 256 entries, found 257" "${score[@]}" --model "$model" --k 257
expect 2 "--k 0 (only samples of all tokens) needs the model itself" "${score[@]}" --teacher http://127.0.0.1:1 --k 0
good "$RETORT" tokenizer train "$dir/text.txt" --vocab 290 --out "$dir/tok2"
good "$RETORT" data import "$dir/text.txt" --tokenizer "$dir/tok2" --out "$dir/other.h5"
expect 2 "was made with the tokenizer" "$RETORT" score --shards "$dir/other.h5" --model "$model" --out "$dir/x.h5"
[ ! -e "$dir/x.h5" ] || fail "something that was refused left a shard"
