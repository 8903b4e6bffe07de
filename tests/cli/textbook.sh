#!/usr/bin/env bash
# retort textbook: a completion recipe with probabilities, a chat recipe without, wrong use.
set -eu
dir=$(mktemp -d)
# shellcheck source=tests/support/replay.sh
source "$SOURCE_DIR/tests/support/replay.sh"
fail() { echo "textbook: $*" >&2 && exit 1; }
expect() { # CODE WORDS COMMAND...
    local code=$1 words=$2 got=0
    shift 2
    timeout 60 "$@" >"$dir/out" 2>"$dir/err" || got=$?
    [ $got = "$code" ] || fail "$*: exit $got, expected $code: $(cat "$dir/err")"
    grep '^retort: ' "$dir/err" | grep -qF -- "$words" || fail "$*: '$words' is not in: $(cat "$dir/err")"
}
recipes=$SOURCE_DIR/configs/recipes
echo 'water is wet and fire is hot' >"$dir/text.txt"
"$RETORT" tokenizer train "$dir/text.txt" --vocab 270 --out "$dir/tok" >/dev/null 2>&1
sha=$(sha256sum "$dir/tok/tokenizer.json" | cut -d' ' -f1)

"$RETORT" textbook --help | grep -q -- '--text-only' || fail "--help does not show --text-only"
expect 2 "takes one recipe" "$RETORT" textbook
expect 2 "none.json" "$RETORT" textbook "$dir/none.json" --teacher http://127.0.0.1:1 --out "$dir/x.h5" --count 3
expect 2 "--count 0" "$RETORT" textbook "$recipes/glossary.json" --teacher http://127.0.0.1:1 --out "$dir/x.h5" --tokenizer "$dir/tok"
expect 2 "--tokenizer" "$RETORT" textbook "$recipes/glossary.json" --teacher http://127.0.0.1:1 --out "$dir/x.h5" --count 3

start none 0 "$sha"
book=("$RETORT" textbook "$recipes/glossary.json" --teacher "$url" --tokenizer "$dir/tok" --out "$dir/book.h5" --count 20)
"${book[@]}" | grep -q '20 answers new, 0 from the ledger; 20 documents' || fail "summary: $("${book[@]}")"
"$RETORT" data verify "$dir/book.h5" >/dev/null || fail "the shard is not sound"
"${book[@]}" | grep -q 'done already' || fail "a second run does not say that it is done"
stop

start chat
chapter=("$RETORT" textbook "$recipes/textbook-chapter.json" --teacher "$url" --tokenizer "$dir/tok" --out "$dir/chapter.h5" --count 12 --max-tokens 256)
expect 2 "add --text-only" "${chapter[@]}"
"${chapter[@]}" --text-only | grep -q '12 answers new' || fail "the chat recipe gave no text"
"$RETORT" data export "$dir/chapter.h5" --tokenizer "$dir/tok" --out "$dir/chapter.jsonl" >/dev/null 2>&1
grep -q 'Water boils at' "$dir/chapter.jsonl" || fail "the text is not in the shard"
stop
