#!/usr/bin/env bash
# retort data import: standard input, folders, gzip, tables, paragraphs, fields kept from file to shard to file, more than 256 files.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"
cd "$dir"

for i in $(seq 1 60); do echo "line $i of a text to learn from"; done >a.txt
good "$RETORT" tokenizer train a.txt --vocab 300 --out tok
import() { good "$RETORT" data import "$@" --tokenizer tok; }
texts() { # texts SHARD: its documents' texts, a line each
    rm -f texts.jsonl
    good "$RETORT" data export "$1" --tokenizer tok --out texts.jsonl
    field text <texts.jsonl
}

# the same documents whatever they come out of
import a.txt --out plain.h5
gzip -k a.txt
import a.txt.gz --out gzip.h5
"$RETORT" data import - --tokenizer tok --out stdin.h5 <a.txt >/dev/null 2>&1 || fail "standard input"
gzip -c a.txt | "$RETORT" data import - --tokenizer tok --out pipe.h5 >/dev/null 2>&1 || fail "a pipe of gzip"
sed 's/.*/{"id":"x","body":"&"}/' a.txt >body.json
"$RETORT" data import - --format jsonl --text-field body --tokenizer tok --out json.h5 <body.json >/dev/null 2>&1 || fail "JSON lines from standard input"
mkdir -p folder/deep
split -l 30 a.txt folder/deep/part. --additional-suffix=.txt
import folder --out folder.h5
for shard in gzip stdin pipe folder; do [ "$(digest $shard.h5)" = "$(digest plain.h5)" ] || fail "$shard: other documents than the file's"; done
[ "$(texts json.h5)" = "$(cat a.txt)" ] || fail "JSON lines: $(texts json.h5 | head -3)"

# more files than a list of options holds
mkdir many
for i in $(seq 1 300); do echo "file $i" >many/$i.txt; done
import many/*.txt --out many.h5 --json
[ "$(field documents <out)" = 300 ] || fail "300 files: $(cat out)"
good "$RETORT" tokenizer train many/*.txt --vocab 270 --out tok300

# what a document is
printf 'one\ntwo\n\n\nthree\n' >p.txt
import p.txt --out lines.h5 --json
[ "$(field documents <out)" = 3 ] || fail "lines: $(cat out)"
import p.txt --document blank-line --out paragraphs.h5 --json
[ "$(field documents <out)" = 2 ] || fail "paragraphs: $(cat out)"
import p.txt --document file --out whole.h5 --json
[ "$(field documents <out)" = 1 ] || fail "file: $(cat out)"
[ "$(texts whole.h5)" = 'one\ntwo\n\n\nthree' ] || fail "file: $(texts whole.h5)"

# fields go along, through a split into pieces and out again, and in again
printf 'text;author;topic\n"a row; with a separator";somebody;letters\nanother;;\n' >t.csv
import t.csv --out t.h5 --max-doc 4
good "$RETORT" data verify t.h5
good "$RETORT" data inspect t.h5 --doc 1
grep -q 'meta *{"author":"somebody"}' out || fail "inspect: $(cat out)"
rm -f texts.jsonl
good "$RETORT" data export t.h5 --tokenizer tok --out texts.jsonl
head -1 texts.jsonl | grep -q '"topic":"letters".*,"author":"somebody"}' || fail "export: $(head -1 texts.jsonl)"
tail -1 texts.jsonl | grep -q 'author' && fail "export: fields of another document"
import t.csv --out t2.h5
rm -f once.jsonl
good "$RETORT" data export t2.h5 --tokenizer tok --out once.jsonl
import once.jsonl --out t3.h5
[ "$(digest t2.h5)" = "$(digest t3.h5)" ] || fail "what went out came in as something else"
[ "$(digest t2.h5)" != "$(digest t.h5)" ] || fail "the digest does not tell documents from their pieces"
printf '{"text":"x","long":"%05000d"}\n' 0 >long.jsonl
import long.jsonl --out long.h5
grep -q '1 documents had more bytes of metadata fields' err || fail "a field that does not fit is not told of: $(cat err)"

expect 2 "--text-field" "$RETORT" data import body.json --format jsonl --tokenizer tok --out y.h5
expect 2 "to_json" "$RETORT" data import x.parquet --tokenizer tok --out y.h5
expect 2 "iconv -f LATIN1" "$RETORT" data import <(printf 'caf\351\n') --format txt --tokenizer tok --out y.h5
expect 2 "--document must be" "$RETORT" data import a.txt --document page --tokenizer tok --out y.h5
[ ! -e y.h5 ] || fail "something that was refused left a shard"
echo "import: all good"
