# replay.sh -- a replay server for scripts: sets $url; $dir is the script's folder. To be sourced.
# shellcheck disable=SC2034,SC2154 # url is read by the script that sources this, which also sets dir and REPLAY
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
start() { # ARGUMENTS of the replay server after the port file
    rm -f "$dir/port"
    "$REPLAY" "$dir/port" "$@" &
    server=$!
    for _ in $(seq 500); do [ ! -e "$dir/port" ] || break; sleep 0.02; done
    url=http://127.0.0.1:$(cat "$dir/port")
}
stop() {
    kill "$server"
    wait "$server" || true
    server=
}
