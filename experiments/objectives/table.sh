#!/usr/bin/env bash
# The table of RESULTS.md, on stdout, from what run.sh has left below OUT so far: a row for each of rows.txt with at least one run.
# A text without runs is left out; without the teacher's own loss, or without a run of `ce`, nothing is said about the gap.
#
# usage: experiments/objectives/table.sh OUT        OBJECTIVES_STEPS=752, as the runs were made with
set -euo pipefail
export LC_ALL=C
shopt -s nullglob
[ $# = 1 ] && [ -d "$1" ] || { echo "usage: table.sh OUT: the folder that experiments/objectives/run.sh writes" >&2 && exit 2; }
out=$1 here=$(dirname "${BASH_SOURCE[0]}")
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)

cat <<TEXT
# Every objective on the same student

Made by \`./run objectives\`: ${cpu:-$(uname -m)}, $(getconf _NPROCESSORS_ONLN) cores, runs side by side, one thread each; ${OBJECTIVES_STEPS:-752} steps of 1,024 tokens.
A cell is the mean over seeds; in brackets the smallest and the largest. Gap recovered: (CE of \`ce\` - CE) / (CE of \`ce\` - CE of
the teacher), each with the \`ce\` of the same seed. Bytes a token: what the shard holds beyond the text; "-": nothing is stored, the teacher
runs beside the student; "raw": before compression, of ids of 4 bytes and weights of 4 where they differ, for records that the
product does not make. The rows' records and settings: rows.txt.
TEXT

# rows_of TEXT: its teacher and its table.
rows_of() {
    local teacher=$out/$1/teacher.json runs=("$out/runs/$1"-*.json)
    [ ${#runs[@]} -gt 0 ] || return 0
    [ -f "$teacher" ] || teacher=/dev/null
    awk -v text="$1" -v title="$2" -v rows=$here/rows.txt -v teacher="$teacher" '
        function field(name) { # "" where it is missing or null
            return match($0, "\"" name "\":-?[0-9][0-9.eE+-]*") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0 : ""
        }
        function word(name) { return match($0, "\"" name "\":\"[^\"]*") ? substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4) : "" }
        function add(row, what, x) {
            if (x == "") return
            if (!count[row, what]++ || x < low[row, what]) low[row, what] = x
            if (count[row, what] == 1 || x > high[row, what]) high[row, what] = x
            sum[row, what] += x
        }
        function mean(row, what, form) { return count[row, what] ? sprintf(form, sum[row, what] / count[row, what]) : "-" }
        function range(row, what, form, between,    s) {
            s = mean(row, what, form)
            gsub(/ *%%/, "", form) # the unit stands once
            return count[row, what] < 2 ? s : s " (" sprintf(form, low[row, what]) between sprintf(form, high[row, what]) ")"
        }
        # A record WAY-k-n stores each weight as a float, although most need none: with the number of ids it is known. Its bytes
        # are those of a format made for it: 4 an id, and 4 a weight where weights differ (of exact entries, and in these two ways).
        function raw(record,    part) {
            split(record, part, "-")
            return 8 * part[2] + (part[1] == "without" || part[1] == "tempered" ? 8 : 4) * part[3]
        }
        function bytes(row) {
            if (record[row] ~ /^[a-z]+-/) return raw(record[row]) " raw"
            return beside[row] ? "-" : mean(row, "bytes", "%.1f")
        }

        FILENAME == rows {
            sub(/^\+/, "")
            if (NF < 3 || $1 ~ /^#/) next
            name[++n] = $1
            record[$1] = $2
            beside[$1] = $2 == "text" && /teacher\.model=/
            next
        }
        FILENAME == teacher { best = field("ce"); best_ece = field("ece"); best_acc = field("acc"); next }
        word("text") == text && field("ce") != "" { # a run that is being written down has none
            row = word("name")
            seed = field("seed")
            seeds[row]++
            of[row, seeds[row]] = seed
            ce[row, seed] = field("ce")
            for (i = split("ce kl ece acc agree bytes tok_s", what, " "); i > 0; i--) add(row, what[i], field(what[i]))
        }
        END {
            printf "\n## %s\n\n", title
            if (best != "") printf "The teacher itself: CE %.3f, ECE %.4f, accuracy %.3f.\n\n", best, best_ece, best_acc
            else print "The teacher itself: not evaluated yet.\n"
            print "| name | seeds | held-out CE | KL | ECE | accuracy | agreement | gap recovered | bytes a token | tokens/s |"
            print "|---|---|---|---|---|---|---|---|---|---|"
            for (i = 1; i <= n; i++) {
                row = name[i]
                if (!seeds[row]) continue
                for (j = 1; j <= seeds[row]; j++) {
                    seed = of[row, j]
                    if (best != "" && (("ce", seed) in ce) && ce["ce", seed] != best)
                        add(row, "gap", 100 * (ce["ce", seed] - ce[row, seed]) / (ce["ce", seed] - best))
                }
                printf "| %s | %d | %s | %s | %s | %s | %s | %s | %s | %s |\n", row, seeds[row], range(row, "ce", "%.3f", "-"),
                    range(row, "kl", "%.3f", "-"), mean(row, "ece", "%.4f"), mean(row, "acc", "%.3f"), mean(row, "agree", "%.3f"),
                    row == "ce" ? mean(row, "gap", "%.0f %%") : range(row, "gap", "%.1f %%", " to "), bytes(row), mean(row, "tok_s", "%.0f")
            }
        }' "$here/rows.txt" "$teacher" "${runs[@]}"
}
rows_of glosses "glosses: WordNet's, from the bundled teacher"
rows_of manual "manual: Python's, from a sharper teacher"
