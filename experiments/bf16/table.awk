# The held-out loss of several runs at each evaluation, with their distance from the first run; status 1 when a bf16 run
# is further than 1 % from it at any evaluation.
# usage: awk -v labels="f32|bf16" -f table.awk A.jsonl B.jsonl

function field(name) { return match($0, "\"" name "\":-?[0-9.e+-]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0 : "" }

FNR == 1 { runs++ }
/"valid_ce"/ {
    step = field("step")
    if (runs == 1) steps[++evaluations] = step
    ce[runs, step] = field("valid_ce")
}
END {
    split(labels, name, "|")
    head = "| step |"
    rule = "|---|"
    for (r = 1; r <= runs; r++) {
        head = head " " name[r] " |" (r > 1 ? " from " name[1] " |" : "")
        rule = rule "---|" (r > 1 ? "---|" : "")
    }
    print head "\n" rule
    for (i = 1; i <= evaluations; i++) {
        line = "| " steps[i] " |"
        for (r = 1; r <= runs; r++) {
            line = line sprintf(" %.4f |", ce[r, steps[i]])
            if (r == 1) continue
            apart = 100 * (ce[r, steps[i]] / ce[1, steps[i]] - 1)
            line = line sprintf(" %+.3f %% |", apart)
            size = apart < 0 ? -apart : apart
            if (size > largest[r]) { largest[r] = size; where[r] = steps[i] }
            if (name[r] ~ /^bf16/ && size > 1) missed++
        }
        print line
    }
    for (r = 2; r <= runs; r++) printf "%s%s: at most %.3f %% from %s (step %d).\n", r == 2 ? "\n" : "", name[r], largest[r], name[1], where[r]
    if (missed) print "MISSED: bf16 is further than 1 % from f32 at " missed " evaluations" > "/dev/stderr"
    exit missed > 0
}
