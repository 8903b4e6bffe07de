# table.awk -- cross-entropy and divergence of the students, mean and standard deviation over the seeds, and the time of each stage.
# Input: NAME.json of retort eval, NAME-SEED.json, NAME.seconds.
function field(line, key) { return match(line, "\"" key "\":[-0-9.eE]+") ? substr(line, RSTART + length(key) + 3, RLENGTH - length(key) - 3) : "" }
function name_of(path) { sub(/.*\//, "", path); sub(/\.(json|seconds)$/, "", path); return path }
function spread(sum, square, n) { return n > 1 ? sprintf(" ± %.3f", sqrt((square - sum * sum / n) / (n - 1) > 0 ? (square - sum * sum / n) / (n - 1) : 0)) : "" }
FILENAME ~ /seconds$/ { stage = name_of(FILENAME); seconds[stages++] = $1; name[stages - 1] = stage; total += $1; next }
{
    way = name_of(FILENAME)
    sub(/-[0-9]+$/, "", way)
    if (!(way in n)) order[ways++] = way
    ce = field($0, "ce"); kl = field($0, "kl_topk")
    n[way]++; ces[way] += ce; ce2[way] += ce * ce; kls[way] += kl; kl2[way] += kl * kl
}
END {
    print "| model | cross-entropy, nats per token | KL(teacher \\|\\| student) | seeds |\n|---|---|---|---|"
    for (i = 0; i < ways; i++) {
        way = order[i]
        printf "| %s | %.3f%s | %.3f%s | %d |\n", way, ces[way] / n[way], spread(ces[way], ce2[way], n[way]), kls[way] / n[way],
            spread(kls[way], kl2[way], n[way]), n[way]
    }
    print "\n| stage | seconds |\n|---|---|"
    for (i = 0; i < stages; i++) printf "| %s | %d |\n", name[i], seconds[i]
    printf "| all | %d |\n", total
}
