#!/usr/bin/env bash
# retort tokenizer train | encode | decode | chat over JSON lines.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"

for i in $(seq 40); do printf 'the retort number %d holds the other answer\n' "$i"; done > "$dir/corpus.txt"
"$RETORT" tokenizer train "$dir/corpus.txt" --vocab 300 --out "$dir/tok"
[ -s "$dir/tok/tokenizer.json" ] && [ -s "$dir/tok/tokenizer_config.json" ] || fail "no tokenizer written"

# text -> ids -> text; what is no UTF-8 is hex both ways; NUL is a byte like others
printf '%s\n' '{"name":"a","text":"the retort, caf\u00e9 \ud83d\ude80"}' '{"name":7,"hex":"74ff00"}' '{"name":"nul","text":"a\u0000b"}' '{"name":"e","text":""}' > "$dir/in"
"$RETORT" tokenizer encode "$dir/tok" < "$dir/in" > "$dir/ids"
[ "$(wc -l < "$dir/ids")" = 4 ] || fail "expected 4 lines of ids"
grep -qx '{"name":"e","ids":\[\]}' "$dir/ids" || fail "the empty text has ids"
"$RETORT" tokenizer decode "$dir/tok" < "$dir/ids" > "$dir/back"
printf '%s\n' '{"name":"a","text":"the retort, café 🚀"}' '{"name":7,"hex":"74ff00"}' '{"name":"nul","text":"a\u0000b"}' '{"name":"e","text":""}' | cmp - "$dir/back" \
    || fail "the texts did not come back"

# special tokens: before a text (behind it a model would begin a new document), in it, and left out when decoding
echo '{"name":"s","text":""}' | "$RETORT" tokenizer encode "$dir/tok" --special | grep -qx '{"name":"s","ids":\[0\]}' || fail "--special"
echo '{"name":"s","text":"<|end|>"}' | "$RETORT" tokenizer encode "$dir/tok" | grep -qx '{"name":"s","ids":\[0\]}' || fail "an added token in the text"
echo '{"name":"s","ids":[0]}' | "$RETORT" tokenizer decode "$dir/tok" | grep -qx '{"name":"s","text":""}' || fail "decode shows a special token"
echo '{"name":"s","ids":[0]}' | "$RETORT" tokenizer decode "$dir/tok" --special | grep -qx '{"name":"s","text":"<|end|>"}' || fail "decode --special"

# chats: what the template writes, as text and as ids, to which nothing is added
cat > "$dir/tok/chat_template.jinja" <<'TEXT'
{{ bos_token }}{% for m in messages %}
{{ m.role }}: {{ m.content | trim }}
{% endfor %}
{%- if add_generation_prompt %}{{ mark | default('assistant') }}:{% endif %}
TEXT
chat='"messages":[{"role":"user","content":" the \"caf\u00e9\" "}]'
echo "{\"name\":\"c\",$chat}" | "$RETORT" tokenizer chat "$dir/tok" > "$dir/out"
printf '%s\n' '{"name":"c","text":"<|end|>user: the \"café\"\nassistant:"}' | cmp - "$dir/out" || fail "chat: $(cat "$dir/out")"
echo "{$chat,\"add_generation_prompt\":false}" | "$RETORT" tokenizer chat "$dir/tok" | grep -q 'café\\"\\n"}$' || fail "add_generation_prompt"
echo "{$chat,\"chat_template_kwargs\":{\"mark\":\"M\"}}" | "$RETORT" tokenizer chat "$dir/tok" | grep -q 'M:"}$' || fail "chat_template_kwargs"
echo "{$chat}" | "$RETORT" tokenizer chat "$dir/tok" --ids > "$dir/ids"
echo '{"text":"<|end|>user: the \"café\"\nassistant:"}' | "$RETORT" tokenizer encode "$dir/tok" | cmp - "$dir/ids" || fail "the ids of a chat are not those of its text"

# the speed of encoding; every number of the JSON object is positive
for i in $(seq 3000); do printf 'the retort number %d holds the other answer\n' "$i"; done > "$dir/long.txt"
"$RETORT" bench tokenizer "$dir/tok" "$dir/corpus.txt" "$dir/long.txt" --json > "$dir/bench"
for key in bytes tokens cold_mb_s warm_mb_s cold_mb_cpu_s warm_mb_cpu_s; do
    grep -Eq "\"$key\":[0-9.]*[1-9]" "$dir/bench" || fail "bench tokenizer: no $key in $(cat "$dir/bench")"
done
grep -q '"threads":1,"documents":4,' "$dir/bench" || fail "bench tokenizer: one thread, documents of 64 KB: $(cat "$dir/bench")"
"$RETORT" bench tokenizer "$dir/tok" "$dir/long.txt" --threads 2 | grep -q '2 threads' || fail "bench tokenizer --threads"
rc=0
"$RETORT" bench tokenizer "$dir/tok" 2> "$dir/err" || rc=$?
[ "$rc" = 2 ] && grep -q 'DIR FILE' "$dir/err" || fail "bench tokenizer without a file: exit $rc, $(cat "$dir/err")"

# wrong use: exit 2 and one line
wrong() { # INPUT WORD ARGUMENT...
    local input=$1 word=$2 rc=0
    shift 2
    printf '%s\n' "$input" | "$RETORT" tokenizer "$@" > "$dir/out" 2> "$dir/err" || rc=$?
    [ "$rc" = 2 ] || fail "tokenizer $*: exit $rc, expected 2"
    grep -q -- "$word" "$dir/err" || fail "tokenizer $*: the error does not say '$word': $(cat "$dir/err")"
}
wrong '' "train, trim, encode, decode or chat"
wrong '' "nearest is 'encode'" encod
wrong '' "tokenizer.json" encode "$dir"
wrong '' "takes one folder" encode
wrong '{"name":1}' '"text" is missing' encode "$dir/tok"
wrong '{"name":1,"hex":"4g"}' "hexadecimal" encode "$dir/tok"
wrong '{"name":1,"hex":"4"}' "odd" encode "$dir/tok"
wrong '{"name"' "line 1" encode "$dir/tok"
wrong '{"ids":[99999]}' "below 300" decode "$dir/tok"
wrong '{"ids":["a"]}' "below 300" decode "$dir/tok"
wrong '{"name":1}' '"messages"' chat "$dir/tok"
wrong '{"messages":[]}' "at least one message" chat "$dir/tok"
wrong '{"messages":[1]}' "must be an object" chat "$dir/tok"
mkdir "$dir/none" && cp "$dir/tok/tokenizer.json" "$dir/none"
wrong '{"messages":[]}' "has no chat template" chat "$dir/none"
echo '{% nonsense %}' > "$dir/none/chat_template.jinja"
wrong '{"messages":[]}' "chat_template.jinja, line 1: the statement 'nonsense' is not supported" chat "$dir/none"
wrong '' "out DIR" train "$dir/corpus.txt"
wrong '' "257" train "$dir/corpus.txt" --out "$dir/x" --vocab 10
wrong '' "no-such.txt" train "$dir/no-such.txt" --out "$dir/x"
