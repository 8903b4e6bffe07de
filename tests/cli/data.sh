#!/usr/bin/env bash
# retort data: import with a split, inspect, verify, stats, export, and what it refuses.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
cd "$dir"

for i in $(seq 1 200); do
    echo "document $i tells of the number $i, of its square $((i * i)), and of nothing else."
done > a.txt
printf '{"text":"a \\"quoted\\" line\\nand a second one"}\n' > b.jsonl

"$RETORT" tokenizer train a.txt --vocab 300 --end '<|end|>' --out tok > /dev/null 2>&1

# everything in order, and out again
"$RETORT" data import a.txt b.jsonl --tokenizer tok --out all.h5 --json > out
[ "$(field documents < out)" = 201 ] || fail "import: $(cat out)"
"$RETORT" data export all.h5 --tokenizer tok --out all.jsonl > /dev/null
[ "$(wc -l < all.jsonl)" = 201 ] || fail "export: $(wc -l < all.jsonl) lines"
sed -n 1p all.jsonl | grep -qF "\"text\":\"$(sed -n 1p a.txt)\"" || fail "export: $(sed -n 1p all.jsonl)"
sed -n 201p all.jsonl | grep -qF '"text":"a \"quoted\" line\nand a second one"' || fail "export: $(sed -n 201p all.jsonl)"

# a text that went out comes in as the same content
"$RETORT" data import all.jsonl --tokenizer tok --out again.h5 > /dev/null
one=$(digest all.h5)
[ "$one" = "$(digest again.h5)" ] && [ ${#one} = 64 ] || fail "digests $one and $(digest again.h5)"

# splits: sizes, nothing lost, the seed decides
"$RETORT" data import a.txt --tokenizer tok --out s.h5 --split train=0.9,valid=0.1 --seed 7 --json > out
[ "$(field documents < out | tr '\n' ' ')" = "180 20 " ] || fail "split: $(cat out)"
for part in train valid; do "$RETORT" data export s-$part.h5 --tokenizer tok --out $part.jsonl > /dev/null; done
[ "$(cat train.jsonl valid.jsonl | field text | sort)" = "$("$RETORT" data export all.h5 --tokenizer tok --out x.jsonl > /dev/null; head -200 x.jsonl | field text | sort)" ] ||
    fail "split lost or doubled a document"
"$RETORT" data import a.txt --tokenizer tok --out same.h5 --split 0.9,0.1 --seed 7 > /dev/null
[ "$(digest same-0.h5)" = "$(digest s-train.h5)" ] || fail "the same seed gives another split"
"$RETORT" data import a.txt --tokenizer tok --out other.h5 --split 0.9,0.1 --seed 8 > /dev/null
[ "$(digest other-0.h5)" != "$(digest s-train.h5)" ] || fail "another seed gives the same split"
"$RETORT" data import a.txt --tokenizer tok --out n.h5 --split valid=15,train=rest --max-tokens train=1000 --json > out
[ "$(field documents < out | head -1)" = 15 ] && [ "$(field tokens < out | tail -1)" = 1000 ] || fail "numbers: $(cat out)"

"$RETORT" data import a.txt --tokenizer tok --out cut.h5 --max-doc 8 --json > out
"$RETORT" data stats cut.h5 > stats
[ "$(field documents < out)" -gt 200 ] || fail "--max-doc cut nothing: $(cat out)"
"$RETORT" data import a.txt --tokenizer tok --out uncut.h5 --json > out2
[ "$(field tokens < out)" = "$(field tokens < out2)" ] || fail "--max-doc lost tokens"

# looking at shards
"$RETORT" data inspect s-valid.h5 --doc 3 --tokenizer tok | grep -q 'document 3:' || fail "inspect"
"$RETORT" data inspect s-valid.h5 --json | grep -q '"kind":"text","documents":20' || fail "inspect --json"
"$RETORT" data stats s-train.h5 | grep -q 'documents' || fail "stats"
[ "$("$RETORT" data stats s-train.h5 --json | field documents)" = 180 ] || fail "stats --json"
"$RETORT" data verify s-train.h5 s-valid.h5 > out
[ "$(grep -c ": valid, " out)" = 2 ] || fail "verify: $(cat out)"

# what is refused, in one line
expect 2 "exists already" "$RETORT" data import a.txt --tokenizer tok --out all.h5
expect 2 "none.txt" "$RETORT" data import none.txt --tokenizer tok --out y.h5
expect 2 "add up to" "$RETORT" data import a.txt --tokenizer tok --out y.h5 --split 0.9,0.2
expect 2 "needs 300 documents" "$RETORT" data import a.txt --tokenizer tok --out y.h5 --split a=300
expect 2 "no part is named 'x'" "$RETORT" data import a.txt --tokenizer tok --out y.h5 --max-tokens x=3
expect 2 "--tokenizer DIR" "$RETORT" data import a.txt --out y.h5
expect 2 "nearest is 'inspect'" "$RETORT" data inspekt all.h5
expect 2 "no such shard" "$RETORT" data verify none.h5
expect 2 "of 201" "$RETORT" data inspect all.h5 --doc 999
head -c 3000 all.h5 > cut.h5
expect 2 "cut.h5: the HDF5 file is truncated" "$RETORT" data verify cut.h5
expect 2 "expected an HDF5 file" "$RETORT" data verify a.txt
"$RETORT" tokenizer train a.txt --vocab 280 --end '<|end|>' --out tok2 > /dev/null 2>&1
expect 2 "was made with the tokenizer" "$RETORT" data export all.h5 --tokenizer tok2 --out y.jsonl
size=$(wc -c < all.h5)
cp all.h5 flip.h5
printf '\xff\xfe\xfd\xfc' | dd of=flip.h5 bs=1 seek=$((size / 2)) conv=notrunc 2> /dev/null
status=0
"$RETORT" data verify flip.h5 > out 2> err || status=$?
[ "$status" = 1 ] || [ "$status" = 2 ] || [ "$(digest flip.h5)" = "$one" ] || fail "a flipped byte went unseen"

# no space left: nothing stands under the final name
status=0
(trap '' XFSZ; ulimit -f 4; exec "$RETORT" data import a.txt --tokenizer tok --out full.h5) > out 2> err || status=$?
[ "$status" = 4 ] || fail "a full disk: status $status, $(cat err)"
[ ! -e full.h5 ] && ! compgen -G '*tmp*' > /dev/null || fail "a full disk left $(ls)"
ls y*.h5 y.jsonl > /dev/null 2>&1 && fail "something that was refused left a file"
# a name cannot command a terminal; JSON keeps it, as escapes
name=$(printf 'n\033]0;x\007\302\233y')
cp all.h5 "$name.h5"
for words in "verify" "verify --digest" "inspect" "stats" "export --tokenizer tok --out n.jsonl"; do
    # shellcheck disable=SC2086
    "$RETORT" data $words "$name.h5" > out
    LC_ALL=C grep -q $'[\001-\010\013-\037\177]\|\302\233' out && fail "data $words prints control characters: $(cat -v out)"
done
"$RETORT" data inspect "$name.h5" --json > out
grep -qF '"path":"n\u001b]0;x\u0007\u009by.h5"' out || fail "inspect --json: $(cat -v out)"
# nor can what a model says: this one has learnt nothing but U+009B
for i in $(seq 200); do printf '\302\233%.0s' $(seq 30) && echo; done > c1.txt
echo '{"model":{"C":16,"L":1,"H":2,"KV":1,"D":8,"F":32,"context":40},"data":{"seq":32},"steps":20}' > c1.json
good "$RETORT" tokenizer train c1.txt --vocab 300 --out c1-tok
good "$RETORT" data import c1.txt --tokenizer c1-tok --out c1.h5
good "$RETORT" train c1.json --set model.tokenizer=c1-tok data.train=c1.h5 out=c1
good "$RETORT" generate c1/latest --prompt "$(sed -n 1p c1.txt)" --temperature 0 --max-tokens 1 --ignore-eos --json
grep -q '"text":"\(\\u009b\)\+"' out || fail "generate --json: $(cat -v out)"
echo "data: all good"
