#!/usr/bin/env bash
# retort textbook: a completion recipe with probabilities, a chat recipe without, wrong use.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
recipes=$SOURCE_DIR/configs/recipes
echo 'water is wet and fire is hot' >"$dir/text.txt"
"$RETORT" tokenizer train "$dir/text.txt" --vocab 270 --out "$dir/tok" >/dev/null 2>&1
sha=$(sha256sum "$dir/tok/tokenizer.json" | cut -d' ' -f1)

"$RETORT" textbook --help | grep -q -- '--text-only' || fail "--help does not show --text-only"
expect_last 2 "takes one recipe" "$RETORT" textbook
expect_last 2 "none.json" "$RETORT" textbook "$dir/none.json" --teacher http://127.0.0.1:1 --out "$dir/x.h5" --count 3
expect_last 2 "--count 0" "$RETORT" textbook "$recipes/glossary.json" --teacher http://127.0.0.1:1 --out "$dir/x.h5" --tokenizer "$dir/tok"
expect_last 2 "--tokenizer" "$RETORT" textbook "$recipes/glossary.json" --teacher http://127.0.0.1:1 --out "$dir/x.h5" --count 3

begin_server "$REPLAY" "$dir/port" none 0 "$sha" "$dir/tok"
book=("$RETORT" textbook "$recipes/glossary.json" --teacher "$url" --tokenizer "$dir/tok" --out "$dir/book.h5" --count 20)
"${book[@]}" | grep -q '20 new responses, 0 from the ledger; 20 documents' || fail "summary: $("${book[@]}")"
"$RETORT" data verify "$dir/book.h5" >/dev/null || fail "the shard is not sound"
"${book[@]}" | grep -q 'already done' || fail "a second run does not say that it is done"
end_server

begin_server "$REPLAY" "$dir/port" chat
chapter=("$RETORT" textbook "$recipes/textbook-chapter.json" --teacher "$url" --tokenizer "$dir/tok" --out "$dir/chapter.h5" --count 12 --max-tokens 256)
expect_last 2 "add --text-only" "${chapter[@]}"
"${chapter[@]}" --text-only | grep -q '12 new responses' || fail "the chat recipe gave no text"
"$RETORT" data export "$dir/chapter.h5" --tokenizer "$dir/tok" --out "$dir/chapter.jsonl" >/dev/null 2>&1
grep -q 'Water boils at' "$dir/chapter.jsonl" || fail "the text is not in the shard"
end_server

# A model of this program: texts that a stop string cut agree with ids that hold it.
teacher=$SOURCE_DIR/experiments/teacher/model
echo '{"name":"cut","kind":"completion","template":"{topic} (noun):","topics":["river","stone"],"stop":[" of"," a"],"sampling":{"max_tokens":24}}' >"$dir/cut.json"
begin_server "$RETORT" serve "$teacher" --port 0 --port-file "$dir/port"
good "$RETORT" textbook "$dir/cut.json" --teacher "$url" --tokenizer "$teacher" --out "$dir/cut.h5" --count 12 --min-tokens 1 --retries 0
grep -q '12 new responses' "$dir/out" || fail "texts that were cut are refused: $(cat "$dir/out" "$dir/err")"
good "$RETORT" data export "$dir/cut.h5" --tokenizer "$teacher" --out "$dir/cut.jsonl"
grep -q '"finish":"stop"' "$dir/cut.jsonl" || fail "no text was cut: $(head -n 3 "$dir/cut.jsonl")"
end_server

# A chat recipe with a chat template: the prompt is sent as ids, and its tokens are the template's.
cp -r "$teacher" "$dir/chat"
printf '{{ bos_token }}{%% for m in messages %%}{{ m.content }}{%% endfor %%}{{ " (noun):" if add_generation_prompt }}' >"$dir/chat/chat_template.jinja"
echo '{"name":"words","kind":"chat","template":"{topic}","topics":["river","stone"],"sampling":{"max_tokens":12}}' >"$dir/words.json"
begin_server "$RETORT" serve "$dir/chat" --port 0 --port-file "$dir/port"
good "$RETORT" textbook "$dir/words.json" --teacher "$url" --tokenizer "$dir/chat" --out "$dir/words.h5" --count 4 --min-tokens 1 --retries 0
good "$RETORT" data inspect "$dir/words.h5" --json
grep -q '"kind":"soft"' "$dir/out" || fail "a chat with a template has no probabilities: $(cat "$dir/out")"
good "$RETORT" data export "$dir/words.h5" --tokenizer "$dir/chat" --out "$dir/words.jsonl"
grep -q 'river (noun):' "$dir/words.jsonl" || fail "the prompt is not the template's: $(head -n 1 "$dir/words.jsonl")"
good "$RETORT" textbook "$dir/words.json" --teacher "$url" --tokenizer "$dir/chat" --out "$dir/said.h5" --count 4 --min-tokens 1 --retries 0 --text-only
end_server
