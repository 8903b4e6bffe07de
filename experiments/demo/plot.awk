# Draws training curves as SVG, from the metrics that `retort train` writes as JSON lines.
#
# usage: awk -v title=TEXT -v labels="A|B" -v teacher=CE -f plot.awk A.jsonl B.jsonl > curves.svg
#
# The strong line with dots: `valid_ce`, on held-out text. The pale one: `ce` of the batches, a running mean
# over 1/40 of the steps.
# The dashed line is the teacher's own cross-entropy on held-out text.

function field(name,    at, rest) {
    at = index($0, "\"" name "\":")
    if (!at) return ""
    rest = substr($0, at + length(name) + 3)
    sub(/^ */, "", rest)
    return match(rest, /^-?[0-9.]+([eE][-+]?[0-9]+)?/) ? substr(rest, 1, RLENGTH) : ""
}
function px(step) { return LEFT + (WIDTH - LEFT - RIGHT) * step / last }
function py(ce) { return TOP + (HEIGHT - TOP - BOTTOM) * (high - ce) / (high - low) }
function text(x, y, class, anchor, s) { printf "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">%s</text>\n", x, y, class, anchor, s }
function ceiling(x) { return x == int(x) ? x : int(x) + (x > 0) }
function spread(a, b,    n, base) { # a round step that cuts a .. b into about six
    base = exp(log(10) * int(log((b - a) / 6) / log(10) - ((b - a) / 6 < 1)))
    for (n = 1; n * base < (b - a) / 6; n = n == 1 ? 2 : n == 2 ? 5 : 10) {}
    return n * base
}

FNR == 1 { runs++ }
{
    step = field("step")
    ce = field("ce")
    valid = field("valid_ce")
    if (step == "") next
    if (ce != "") { n[runs]++; at[runs, n[runs]] = step + 0; value[runs, n[runs]] = ce + 0 }
    if (valid != "") { v[runs]++; vat[runs, v[runs]] = step + 0; vvalue[runs, v[runs]] = valid + 0 }
    if (step + 0 > last) last = step + 0
}

function smooth(r,    i, window, sum, k) {
    window = int(n[r] / 40)
    if (window < 1) window = 1
    for (i = 1; i <= n[r]; i++) {
        sum += value[r, i]
        if (i > window) sum -= value[r, i - window]
        k = i < window ? i : window
        mean[r, i] = sum / k
    }
}
function find_range(    r, i) {
    low = teacher != "" ? teacher + 0 : 1e9
    high = -1e9
    for (r = 1; r <= runs; r++) {
        for (i = 1; i <= n[r]; i++) {
            if (mean[r, i] < low) low = mean[r, i]
            if (i > n[r] / 15 && mean[r, i] > high) high = mean[r, i] # the first fall would flatten the rest
        }
        for (i = 1; i <= v[r]; i++) if (vvalue[r, i] < low) low = vvalue[r, i]
    }
    if (high <= low) high = low + 1
    high += 0.08 * (high - low)
    low -= 0.08 * (high - low)
}
function draw_axes(    y, x, s) {
    s = spread(low, high)
    for (y = ceiling(low / s) * s; y <= high; y += s) {
        printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n", LEFT, WIDTH - RIGHT, py(y), py(y)
        text(LEFT - 8, py(y) + 4, "tick", "end", sprintf("%.4g", y))
    }
    s = spread(0, last)
    for (x = 0; x <= last; x += s) text(px(x), HEIGHT - BOTTOM + 18, "tick", "middle", x)
    printf "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" class=\"axis\"/>\n", LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "label", "middle", "step")
    printf "<text transform=\"translate(20 %.1f) rotate(-90)\" class=\"label\" text-anchor=\"middle\">cross-entropy, nats per token</text>\n",
        (TOP + HEIGHT - BOTTOM) / 2
}
function draw_line(r, style) { printf "<polyline clip-path=\"url(#plot)\" fill=\"none\" stroke=\"%s\" stroke-linejoin=\"round\" %s points=\"", colour[r], style }
function draw_run(r,    i) {
    draw_line(r, v[r] ? "stroke-width=\"1.5\" stroke-opacity=\"0.4\"" : "stroke-width=\"2\"")
    for (i = 1; i <= n[r]; i++) printf "%.1f,%.1f ", px(at[r, i]), py(mean[r, i])
    print "\"/>"
    if (!v[r]) return
    draw_line(r, "stroke-width=\"2.5\"")
    for (i = 1; i <= v[r]; i++) printf "%.1f,%.1f ", px(vat[r, i]), py(vvalue[r, i])
    print "\"/>"
    for (i = 1; i <= v[r]; i++)
        printf "<circle clip-path=\"url(#plot)\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#fff\" stroke=\"%s\" stroke-width=\"2\"/>\n", px(vat[r, i]), py(vvalue[r, i]), colour[r]
}
function draw_legend(    r, y) {
    for (r = 1; r <= runs; r++) {
        y = TOP + 14 + 20 * (r - 1)
        printf "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"3\"/>\n", LEGEND, LEGEND + 26, y - 4, y - 4, colour[r]
        text(LEGEND + 34, y, "label", "start", sprintf("%s%s", name[r], v[r] ? sprintf(", held out %.3f", vvalue[r, v[r]]) : ""))
    }
    if (runs && v[1]) text(LEGEND, TOP + 14 + 20 * runs, "tick", "start", "strong: held-out text; pale: batches of the training text")
    if (teacher == "") return
    printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" class=\"teacher\"/>\n", LEFT, WIDTH - RIGHT, py(teacher), py(teacher)
    text(LEFT + 8, py(teacher) + 16, "label", "start", sprintf("teacher, held out %.3f", teacher))
}

END {
    if (!last) { print "plot.awk: no line with a step" > "/dev/stderr"; exit 1 }
    WIDTH = 860; HEIGHT = 480; LEFT = 70; RIGHT = 24; TOP = 52; BOTTOM = 52; LEGEND = 470
    split("#0072b2 #d55e00 #009e73 #cc79a7", colour, " ") # told apart by colour-blind readers too (Okabe and Ito)
    split(labels, name, "|")
    for (r = 1; r <= runs; r++) smooth(r)
    find_range()
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"system-ui, sans-serif\" role=\"img\">\n", WIDTH, HEIGHT
    print "<style>.title{font-size:17px;font-weight:600;fill:#222}.label{font-size:13px;fill:#333}.tick{font-size:12px;fill:#666}"
    print ".grid{stroke:#e4e4e4}.axis{stroke:#888}.teacher{stroke:#444;stroke-width:1.5;stroke-dasharray:6 5}</style>"
    printf "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", WIDTH, HEIGHT
    printf "<clipPath id=\"plot\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n", LEFT, TOP, WIDTH - LEFT - RIGHT + 5, HEIGHT - TOP - BOTTOM
    text(LEFT, 30, "title", "start", title)
    draw_axes()
    for (r = 1; r <= runs; r++) draw_run(r)
    draw_legend()
    print "</svg>"
}
