# tokenizer.sh -- retort tokenizer train | encode | decode over JSON lines.
set -eu
T=$(mktemp -d /tmp/tokenizer_sh.XXXXXX)
trap 'rm -rf "$T"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

for i in $(seq 40); do printf 'the retort number %d holds the other answer\n' "$i"; done > "$T/corpus.txt"
"$RETORT" tokenizer train "$T/corpus.txt" --vocab 300 --out "$T/tok"
[ -s "$T/tok/tokenizer.json" ] && [ -s "$T/tok/tokenizer_config.json" ] || fail "no tokenizer written"

# text -> ids -> text; what is no UTF-8 is hex both ways; NUL is a byte like others
printf '%s\n' '{"name":"a","text":"the retort, caf\u00e9 \ud83d\ude80"}' '{"name":7,"hex":"74ff00"}' '{"name":"nul","text":"a\u0000b"}' '{"name":"e","text":""}' > "$T/in"
"$RETORT" tokenizer encode "$T/tok" < "$T/in" > "$T/ids"
[ "$(wc -l < "$T/ids")" = 4 ] || fail "expected 4 lines of ids"
grep -qx '{"name":"e","ids":\[\]}' "$T/ids" || fail "the empty text has ids"
"$RETORT" tokenizer decode "$T/tok" < "$T/ids" > "$T/back"
printf '%s\n' '{"name":"a","text":"the retort, café 🚀"}' '{"name":7,"hex":"74ff00"}' '{"name":"nul","text":"a\u0000b"}' '{"name":"e","text":""}' | cmp - "$T/back" \
    || fail "the texts did not come back"

# special tokens: around a text, in it, and left out when decoding
echo '{"name":"s","text":""}' | "$RETORT" tokenizer encode "$T/tok" --special | grep -qx '{"name":"s","ids":\[0,0\]}' || fail "--special"
echo '{"name":"s","text":"<|end|>"}' | "$RETORT" tokenizer encode "$T/tok" | grep -qx '{"name":"s","ids":\[0\]}' || fail "an added token in the text"
echo '{"name":"s","ids":[0]}' | "$RETORT" tokenizer decode "$T/tok" | grep -qx '{"name":"s","text":""}' || fail "decode shows a special token"
echo '{"name":"s","ids":[0]}' | "$RETORT" tokenizer decode "$T/tok" --special | grep -qx '{"name":"s","text":"<|end|>"}' || fail "decode --special"

# wrong use: exit 2 and one line
wrong() { # INPUT WORD ARGUMENT...
    local input=$1 word=$2 rc=0
    shift 2
    printf '%s\n' "$input" | "$RETORT" tokenizer "$@" > "$T/out" 2> "$T/err" || rc=$?
    [ "$rc" = 2 ] || fail "tokenizer $*: exit $rc, expected 2"
    grep -q -- "$word" "$T/err" || fail "tokenizer $*: the error does not say '$word': $(cat "$T/err")"
}
wrong '' "train, encode or decode"
wrong '' "nearest is 'encode'" encod
wrong '' "tokenizer.json" encode "$T"
wrong '' "takes one folder" encode
wrong '{"name":1}' '"text" is missing' encode "$T/tok"
wrong '{"name":1,"hex":"4g"}' "hexadecimal" encode "$T/tok"
wrong '{"name":1,"hex":"4"}' "odd" encode "$T/tok"
wrong '{"name"' "line 1" encode "$T/tok"
wrong '{"ids":[99999]}' "below 300" decode "$T/tok"
wrong '{"ids":["a"]}' "below 300" decode "$T/tok"
wrong '' "out DIR" train "$T/corpus.txt"
wrong '' "257" train "$T/corpus.txt" --out "$T/x" --vocab 10
wrong '' "no-such.txt" train "$T/no-such.txt" --out "$T/x"
