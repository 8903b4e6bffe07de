# cli.sh -- what the scripts of tests/cli share. To be sourced first; $RETORT, $REPLAY and $SOURCE_DIR are set by ctest.
#
#   $dir      an empty folder, which goes away with the script
#   $url      of the server that begin_server started; it is ended with the script if it still runs ($server: its process)
# shellcheck disable=SC2034,SC2154 # read and set on the other side
set -eu
name=$(basename "$0" .sh)
dir=$(mktemp -d -t "retort_$name.XXXXXX")
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT

fail() { echo "$name: $*" >&2 && exit 1; }
# good COMMAND...: succeeds. What it said is in $dir/out and $dir/err, as with all below.
good() { "$@" >"$dir/out" 2>"$dir/err" || fail "$*: exit $?: $(cat "$dir/err")"; }
# ends CODE COMMAND...: exits with CODE.
ends() {
    local code=$1 got=0
    shift
    timeout 60 "$@" >"$dir/out" 2>"$dir/err" || got=$?
    [ $got = "$code" ] || fail "$*: exit $got, expected $code: $(cat "$dir/err")"
}
# expect CODE WORDS COMMAND...: exits with CODE; standard error is one line that holds WORDS.
expect() {
    local code=$1 words=$2
    shift 2
    ends "$code" "$@"
    [ "$(wc -l <"$dir/err")" = 1 ] || fail "$*: expected one line of error, found: $(cat "$dir/err")"
    grep -qF -- "$words" "$dir/err" || fail "$*: '$words' is not in: $(cat "$dir/err")"
}
# expect_last CODE WORDS COMMAND...: the same for a command that may say more before its error.
expect_last() {
    local code=$1 words=$2
    shift 2
    ends "$code" "$@"
    grep '^retort: ' "$dir/err" | grep -qF -- "$words" || fail "$*: '$words' is not in: $(cat "$dir/err")"
}
# field NAME: that value of the JSON line on standard input.
field() { sed -n "s/.*\"$1\":\"*\([^,\"}]*\).*/\1/p"; }
identity() { "$RETORT" data inspect "$1" --json | field tokenizer_sha256; } # of the tokenizer that a shard was made with
digest() { "$RETORT" data verify "$1" --digest | grep -o '[0-9a-f]\{64\}'; }

# begin_server COMMAND...: one that writes its port to $dir/port. What it says is in $dir/log.
begin_server() {
    rm -f "$dir/port"
    "$@" 2>"$dir/log" &
    server=$!
    for _ in $(seq 500); do
        [ ! -e "$dir/port" ] || break
        kill -0 "$server" 2>/dev/null || fail "the server did not start: $(cat "$dir/log")"
        sleep 0.02
    done
    [ -e "$dir/port" ] || fail "the server does not listen: $(cat "$dir/log")"
    url=http://127.0.0.1:$(cat "$dir/port")
}
end_server() { # it still runs, and ends well
    local code=0
    kill "$server" || fail "the server had ended by itself"
    wait "$server" || code=$?
    server=
    [ $code = 0 ] || fail "the server: exit $code after SIGTERM"
}
