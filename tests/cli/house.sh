#!/usr/bin/env bash
# What every command owes its user: help, the nearest name, exit codes, one line per error; the pages made from the tables.
# shellcheck source=tests/support/cli.sh
source "$SOURCE_DIR/tests/support/cli.sh"

"$RETORT" --help >"$dir/help"
commands=$(sed -n 's/^  \([a-z]\+\)  .*/\1/p' "$dir/help" | grep -v '^retort$')
for word in doctor help man completions; do grep -qx $word <<<"$commands" || fail "--help does not list $word"; done
for command in $commands; do
    "$RETORT" "$command" --help >"$dir/one" || fail "$command --help fails"
    grep -q "^usage: retort $command " "$dir/one" || fail "$command --help shows no usage"
    "$RETORT" help "$command" | cmp - "$dir/one" || fail "help $command differs from $command --help"
    expect 2 "--no-such-option" "$RETORT" "$command" --no-such-option
done

expect 2 "expected a command" "$RETORT"
expect 2 "the nearest is 'doctor'" "$RETORT" docter
expect 2 "the nearest is --json" "$RETORT" doctor --jsn
expect 2 "bash, zsh and fish" "$RETORT" completions tcsh
# shellcheck disable=SC2016 # expanded by the inner shell
[ ! -e /dev/full ] || expect 4 "standard output cannot be written" sh -c '"$0" --help >/dev/full' "$RETORT"
RETORT_TRACE=1 "$RETORT" nothing 2>&1 | grep -q '^  at .*commands.c:' || fail "RETORT_TRACE=1 shows no trace"

"$RETORT" --version >"$dir/version"
for word in retort commit kernel HDF5 libcurl cJSON OpenSSL SQLite zstd libmicrohttpd; do
    grep -q "^$word ." "$dir/version" || fail "--version does not name $word: $(cat "$dir/version")"
done
RETORT_CPU=ref "$RETORT" --version | grep -q '^kernel ref' || fail "RETORT_CPU=ref does not show in --version"

# The kinds of servers: each is known to the help and to its page.
dialects=$("$RETORT" score --help | sed -n 's/^ *--dialect NAME *API of the server: auto, \(.*\) (default auto)$/\1/p')
[ -n "$dialects" ] || fail "score --help names no dialects"
for dialect in ${dialects//,/}; do
    grep -q "^| \`$dialect\` | " "$SOURCE_DIR/docs/teachers.md" || fail "docs/teachers.md has no row for the dialect $dialect under 'Which servers'"
done

"$RETORT" man >"$dir/retort.1"
for command in $commands; do grep -q "^.SS retort $command" "$dir/retort.1" || fail "the man page lacks $command"; done
if command -v man >/dev/null; then
    [ -z "$(man --warnings=w -l "$dir/retort.1" 2>&1 >/dev/null)" ] || fail "the man page has faults: $(man --warnings=w -l "$dir/retort.1" 2>&1 >/dev/null)"
fi

for shell in bash zsh fish; do
    "$RETORT" completions $shell >"$dir/retort.$shell"
    for command in $commands; do grep -q "$command" "$dir/retort.$shell" || fail "the completion for $shell lacks $command"; done
done
# shellcheck disable=SC2016 # expanded by the inner shell
offered=$(bash -c 'source "$1"; COMP_WORDS=(retort doctor --js); COMP_CWORD=2; _retort; echo "${COMPREPLY[*]}"' - "$dir/retort.bash")
[ "$offered" = --json ] || fail "bash completes 'retort doctor --js' to '$offered'"
# shellcheck disable=SC2016
offered=$(bash -c 'source "$1"; COMP_WORDS=(retort train c.json --set seed = 3 optim.l); COMP_CWORD=7; _retort; echo "${COMPREPLY[*]}"' - "$dir/retort.bash")
[ "$offered" = optim.lr= ] || fail "bash completes 'optim.l' after --set to '$offered'"
! command -v zsh >/dev/null || zsh -n "$dir/retort.zsh" || fail "the completion for zsh does not parse"

# Tables of the help stay tables in the manual page.
awk '/^\.nf/ { table = 1 } /^\.fi/ { table = 0 } /^gemm  / { found = table } END { exit !found }' "$dir/retort.1" ||
    fail "the manual page fills the table of retort bench"

# A terminal gets no control characters from a model, a file gets all that it wrote.
controls() { tr -d '\r\n\t' | LC_ALL=C grep -q '[[:cntrl:]]'; }
for seed in $(seq 40); do
    random=("$RETORT" generate "@share/teacher" --prompt a --max-tokens 100 --temperature 6 --seed "$seed")
    ! "${random[@]}" 2>/dev/null | controls || break
done
"${random[@]}" 2>/dev/null | controls || fail "no control character in any text: the check is worth nothing"
! command -v script >/dev/null || ! script -qec "${random[*]}" /dev/null 2>/dev/null | controls || fail "control characters reach the terminal"
