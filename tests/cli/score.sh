#!/usr/bin/env bash
# retort score: help, wrong use, a run, its rerun, a server that fails for a while, Ctrl-C.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
failing() { # CODE WORDS COMMAND...: as expect_last, and the key is not shown
    expect_last "$@"
    ! grep -q "$RETORT_API_KEY" "$dir/err" "$dir/out" || fail "$*: the key is in its output"
}
export RETORT_API_KEY=sk-not-to-be-seen-anywhere

for i in $(seq 60); do echo "line $i is about the number $i"; done >"$dir/text.txt"
"$RETORT" tokenizer train "$dir/text.txt" --vocab 280 --out "$dir/tok" >/dev/null 2>&1
"$RETORT" data import "$dir/text.txt" --tokenizer "$dir/tok" --out "$dir/text.h5" >/dev/null 2>&1
sha=$(identity "$dir/text.h5")

"$RETORT" score --help | grep -q -- '--ledger FILE' || fail "--help does not show --ledger"
failing 2 "--teacher" "$RETORT" score --shards "$dir/text.h5" --out "$dir/x.h5"
failing 2 "the nearest is --retries" "$RETORT" score --retry 3
failing 2 "--in-flight -1" "$RETORT" score --teacher http://127.0.0.1:1 --shards "$dir/text.h5" --out "$dir/x.h5" --in-flight -1
failing 2 "none.h5" "$RETORT" score --teacher http://127.0.0.1:1 --shards "$dir/none.h5" --out "$dir/x.h5"
failing 3 "http://127.0.0.1:1 cannot be reached" "$RETORT" score --teacher http://127.0.0.1:1 --shards "$dir/text.h5" --out "$dir/x.h5"

begin_server "$REPLAY" "$dir/port" none 0 "$sha"
score=("$RETORT" score --teacher "$url" --shards "$dir/text.h5" --out "$dir/soft.h5" --k 4 --m 3)
"${score[@]}" >"$dir/first"
grep -q '60 new responses, 0 from the ledger; 60 documents' "$dir/first" || fail "summary: $(cat "$dir/first")"
first=$(digest "$dir/soft.h5") || fail "the shard is not sound"
"${score[@]}" | grep -q 'already done' || fail "a second run does not say that it is done"
failing 2 "made from other requests" "${score[@]}" --seed 1
end_server

# The ledger has it all: no server is needed, and the shard is the same.
mv "$dir/soft.h5" "$dir/old.h5"
"${score[@]}" --json | grep -q '"asked":0,"known":60' || fail "answers were asked again"
[ "$(digest "$dir/soft.h5")" = "$first" ] || fail "another digest"

# What the ledger holds, and without the answers that the shard holds.
"$RETORT" ledger stats "$dir/soft.h5.ledger" --json >"$dir/out"
grep -q '"done":60,"in_shard":0,"bad":0,"failed":0,' "$dir/out" || fail "stats: $(cat "$dir/out")"
[ "$(field bytes_answered <"$dir/out")" -gt $((2 * $(field bytes_kept <"$dir/out"))) ] || fail "answers are not compressed: $(cat "$dir/out")"
failing 2 "no such ledger" "$RETORT" ledger stats "$dir/none.ledger"
failing 2 "the nearest is 'prune'" "$RETORT" ledger prune_it "$dir/soft.h5.ledger"
head -c $(($(stat -c %s "$dir/soft.h5") / 2)) "$dir/soft.h5" >"$dir/cut.h5"
ends 2 "$RETORT" ledger prune "$dir/soft.h5.ledger" --shard "$dir/cut.h5"
"$RETORT" ledger stats "$dir/soft.h5.ledger" --json | grep -q '"done":60,' || fail "a damaged shard pruned the ledger"
good "$RETORT" ledger prune "$dir/soft.h5.ledger" --shard "$dir/soft.h5"
"$RETORT" ledger stats "$dir/soft.h5.ledger" | grep -q 'the responses to 60 of them were removed' || fail "prune removed nothing"
"${score[@]}" | grep -q 'already done' || fail "after prune it is not done"

# A server that always fails: one line, and what is safe.
begin_server "$REPLAY" "$dir/port" 500 -1 "$sha"
failing 3 "HTTP 500: the engine has died" "$RETORT" score --teacher "$url" --shards "$dir/text.h5" --out "$dir/f.h5" --retries 1
[ ! -e "$dir/f.h5" ] || fail "a failed run left a shard"
end_server

# A wait of minutes is said at once, with what the server said.
begin_server "$REPLAY" "$dir/port" busy -1 "$sha"
timeout -s INT 3 "$RETORT" score --teacher "$url" --shards "$dir/text.h5" --out "$dir/b.h5" 2>"$dir/err" || true
grep -q "retort: waiting 600 s before the next request to $url: HTTP 429: slow down (the server asks for 99999999 s)" "$dir/err" ||
    fail "a long wait is not said: $(cat "$dir/err")"
end_server

# Ctrl-C: 130, what was answered is kept, and the same command goes on.
begin_server "$REPLAY" "$dir/port" slow 0 "$sha"
slow=("$RETORT" score --teacher "$url" --shards "$dir/text.h5" --out "$dir/slow.h5" --k 4 --m 3 --in-flight 4)
"${slow[@]}" 2>"$dir/err" &
run=$!
sleep 1
kill -INT "$run"
code=0
wait "$run" || code=$?
[ $code = 130 ] || fail "exit $code after Ctrl-C: $(cat "$dir/err")"
grep -q 'responses are safe' "$dir/err" || fail "Ctrl-C: $(cat "$dir/err")"
[ ! -e "$dir/slow.h5" ] || fail "Ctrl-C left a shard"
"${slow[@]}" --in-flight 16 --json >"$dir/out"
! grep -q '"known":0,' "$dir/out" || fail "nothing was kept at Ctrl-C: $(cat "$dir/out")"
[ "$(digest "$dir/slow.h5")" = "$first" ] || fail "another digest after Ctrl-C"
end_server

# Another tokenizer.
begin_server "$REPLAY" "$dir/port" none
failing 2 "$sha" "$RETORT" score --teacher "$url" --shards "$dir/text.h5" --out "$dir/t.h5"
end_server
! grep -rqa "$RETORT_API_KEY" "$dir" || fail "a file holds the key"
