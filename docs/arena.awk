# Draws the arena of a plan as SVG: `retort plan CONFIG.json --graph | awk -f docs/arena.awk >arena.svg`.
# Time runs to the right, a step a column; an address is a height. A rectangle is a buffer over its life.
/^ step pass/ { table = 1; next }
/^ buffer +what/ { table = 2; next }
table == 1 && $1 ~ /^[0-9]+$/ {
    if ($2 == "backward" && !first_back) first_back = $1
    if ($3 == "head" && $2 == "forward") head = $1
    steps = $1 + 1
    next
}
table == 2 && NF == 5 {
    split($5, life, "-")
    n++
    kind[n] = $2; bytes[n] = $3; at[n] = $4; from[n] = life[1]; to[n] = life[2]; name[n] = $1
    if (at[n] + bytes[n] > top) top = at[n] + bytes[n]
    sum += bytes[n]
}
END {
    W = 940; H = 420; X = 70; Y = 40
    sx = (W - X - 20) / (steps + 1); sy = (H - Y - 60) / top
    color["data"] = "#4c78a8"; color["gradient"] = "#e45756"; color["saved"] = "#54a24b"; color["work"] = "#eeca3b"
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", W, H, W, H
    for (i = 1; i <= n; i++)
        printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.2f\" fill=\"%s\" stroke=\"white\" stroke-width=\"0.4\"><title>%s, %s, %.1f kB, steps %d to %d</title></rect>\n", \
            X + from[i] * sx, Y + (top - at[i] - bytes[i]) * sy, (to[i] - from[i] + 1) * sx, bytes[i] * sy, color[kind[i]], name[i], kind[i], bytes[i] / 1e3, from[i], to[i]
    printf "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"black\" stroke-dasharray=\"4 3\"/>\n", X + first_back * sx, Y - 12, X + first_back * sx, Y + top * sy
    printf "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"black\"/>\n", X, Y + top * sy, W - 20, Y + top * sy
    printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"end\">forward </text><text x=\"%.1f\" y=\"%d\"> backward</text>\n", X + first_back * sx - 6, Y - 4, X + first_back * sx + 6, Y - 4
    printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">0</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.1f MB</text>\n", X - 6, Y + top * sy, X - 6, Y + 8, top / 1e6
    printf "<text x=\"%d\" y=\"%.1f\">step 0</text><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">step %d</text>\n", X, Y + top * sy + 16, W - 20, Y + top * sy + 16, steps - 1
    x = X
    split("data gradient saved work", order, " ")
    split("activations,their gradients,statistics that forward leaves,work space of one step", words, ",")
    for (k = 1; k <= 4; k++) {
        printf "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"%d\">%s</text>\n", x, H - 24, color[order[k]], x + 17, H - 14, words[k]
        x += 35 + 7.2 * length(words[k])
    }
    print "</svg>"
}
