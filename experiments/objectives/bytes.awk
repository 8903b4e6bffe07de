# Draws what is recovered of the gap to the teacher over what is stored a token, as SVG, from RESULTS.md as table.sh makes it: a panel
# a text, a dot a row that stores bytes. Full dots: no row recovers more with as few bytes. Labelled are the best of each record and
# what lies outside; the table has the names of all.
#
# usage: awk -f bytes.awk RESULTS.md > bytes.svg
#
# Labels are pushed apart up and down until none lies on another or on a dot that is not its own.

function trim(s) { sub(/^ */, "", s); sub(/ *$/, "", s); return s }
function px(bytes) { return left + AXIS * bytes / xmax }
function py(gap) { return TOP + HEIGHT * (HIGH - gap) / (HIGH - LOW) }
function text(x, y, class, anchor, s) { printf "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">%s</text>\n", x, y, class, anchor, s }
function line(x1, y1, x2, y2, class) { printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, class }
function width(s) { return 6.9 * length(s) } # of a label, on the safe side
function below(a, b) { return a < b ? a : b }
function above(a, b) { return a > b ? a : b }

/^## / { title[++panels] = substr($0, 4); split("", column); next }
!/^\|/ || /^\|---/ { next }
/^\| name \|/ { n = split($0, cell, "|"); for (i = 2; i < n; i++) column[trim(cell[i])] = i; next }
{
    split($0, cell, "|")
    row = trim(cell[column["name"]])
    gap = trim(cell[column["gap recovered"]])
    bytes = trim(cell[column["bytes a token"]])
    if (gap !~ /^-?[0-9]/) next
    if (row == "kl-teacher") { teacher[panels] = gap + 0; reached[panels] = 1 }
    if (bytes + 0 <= 0 || bytes ~ /raw/) next # before compression: another measure
    i = ++dots[panels]
    label[panels, i] = row
    at[panels, i] = bytes + 0
    value[panels, i] = gap + 0
    if (match(gap, /\(-?[0-9.]+ to -?[0-9.]+/)) {
        split(substr(gap, RSTART + 1, RLENGTH - 1), ends, " to ")
        least[panels, i] = ends[1] + 0
        most[panels, i] = ends[2] + 0
    }
    xmax = above(xmax, bytes + 0)
}

# ---- where labels go --------------------------------------------------------------------------------------------------------

# Boxes that stay where they are: from x a to b, around y, half as high as h.
function fix(a, b, y, h, whose) { fixed++; fa[fixed] = a; fb[fixed] = b; fy[fixed] = y; fh[fixed] = h; fo[fixed] = whose }
function crowd(i, a, b,    j, c) { # what a label of dot i would lie on from a to b
    for (j = 1; j <= fixed; j++) if (fo[j] != i && fa[j] < b && fb[j] > a && fy[j] - fh[j] < doty[i] + STEP / 2 && fy[j] + fh[j] > doty[i] - STEP / 2) c++
    return c
}
function choose_sides(p, n,    i, w, right) {
    for (i = 1; i <= n; i++) {
        if (name[i] == "") { la[i] = lb[i] = 0; ly[i] = doty[i]; continue }
        w = width(name[i])
        right = crowd(i, dotx[i] + 9, dotx[i] + 9 + w) <= crowd(i, dotx[i] - 9 - w, dotx[i] - 9) || dotx[i] - 9 - w < left + 4
        side[i] = right ? 1 : -1
        la[i] = right ? dotx[i] + 9 : dotx[i] - 9 - w
        lb[i] = la[i] + w
        ly[i] = doty[i]
    }
}
function sort_labels(n,    i, j, t) { # order[]: from the top
    for (i = 1; i <= n; i++) {
        for (j = i - 1; j > 0 && (doty[order[j]] > doty[i] || (doty[order[j]] == doty[i] && real[order[j]] < real[i])); j--) order[j + 1] = order[j]
        order[j + 1] = i
    }
}
function part_labels(n,    i, j, a, b, short, moved) {
    for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) {
        a = order[i]; b = order[j]
        if (name[a] == "" || name[b] == "") continue
        short = STEP - (ly[b] - ly[a])
        if (la[a] >= lb[b] + 4 || la[b] >= lb[a] + 4 || short <= 0.05) continue
        ly[a] -= short / 2
        ly[b] += short / 2
        moved = 1
    }
    return moved
}
function leave_fixed(n,    i, j, short, moved) {
    for (i = 1; i <= n; i++) for (j = 1; j <= fixed; j++) {
        if (name[i] == "" || fo[j] == i || fa[j] >= lb[i] || fb[j] <= la[i]) continue
        short = STEP / 2 - 1 + fh[j] - above(ly[i] - fy[j], fy[j] - ly[i])
        if (short <= 0.05) continue
        ly[i] += ly[i] > fy[j] || (ly[i] == fy[j] && doty[i] > fy[j]) ? short : -short
        moved = 1
    }
    for (i = 1; i <= n; i++) ly[i] = above(TOP + 8, below(TOP + HEIGHT - 8, ly[i]))
    return moved
}
function place_labels(p, n,    round, i) {
    choose_sides(p, n)
    sort_labels(n)
    for (round = 0; round < 2000; round++) {
        i = part_labels(n)
        if (!(leave_fixed(n) + i)) return
    }
    print "bytes.awk: some labels of panel " p " overlap" > "/dev/stderr"
}

# ---- a panel ----------------------------------------------------------------------------------------------------------------

function best(i, n,    j) {
    for (j = 1; j <= n; j++) if (dotx[j] <= dotx[i] && real[j] >= real[i] && (dotx[j] < dotx[i] || real[j] > real[i])) return 0
    return 1
}
function named(i, n,    j) { # outside, or the best of its record
    if (real[i] < LOW || real[i] > HIGH) return 1
    for (j = 1; j <= n; j++) if (dotx[j] - dotx[i] < 1 && dotx[i] - dotx[j] < 1 && (real[j] > real[i] || (real[j] == real[i] && j < i))) return 0
    return 1
}
function draw_axes(p,    x, y) {
    text(left, TOP - 28, "title", "start", title[p])
    for (y = LOW; y <= HIGH; y += 20) {
        line(left, py(y), left + PLOT, py(y), y == 0 ? "zero" : "grid")
        text(left - 8, py(y) + 4, "tick", "end", y " %")
    }
    for (x = 0; x <= xmax; x += 20) {
        line(px(x), TOP + HEIGHT, px(x), TOP + HEIGHT + 5, "axis")
        text(px(x), TOP + HEIGHT + 19, "tick", "middle", x)
    }
    line(left, TOP + HEIGHT, left + PLOT, TOP + HEIGHT, "axis")
    text(left + AXIS / 2, TOP + HEIGHT + 40, "axisname", "middle", "stored bytes a token")
    if (p == 1)
        printf "<text transform=\"translate(20 %.1f) rotate(-90)\" class=\"axisname\" text-anchor=\"middle\">gap to the teacher recovered</text>\n", TOP + HEIGHT / 2
    line(px(64), TOP, px(64), TOP + HEIGHT, "budget")
    text(px(64), TOP - 8, "tick", "middle", "64 bytes")
    text(left + 6, py(0) - 6, "tick", "start", "ce: 0 %")
    fix(left, left + 60, py(0) - 10, 8, 0)
    if (!reached[p]) return
    y = py(below(HIGH, above(LOW, teacher[p])))
    line(left, y, left + PLOT, y, "teacher")
    text(left + PLOT, y - 7, "strong", "end", sprintf("teacher in process: %.0f %%", teacher[p]))
    fix(left + PLOT - 180, left + PLOT, y - 11, 9, 0)
}
function draw_dot(i, p, k,    colour, full) {
    full = best(i, n)
    colour = full ? "#0072b2" : "#6b8fa8"
    if (real[i] < LOW || real[i] > HIGH) { # a mark that points to where it lies
        full = real[i] < LOW ? 1 : -1
        printf "<path d=\"M%.1f %.1f l-5 %d h10 z\" fill=\"#d55e00\"/>\n", dotx[i], doty[i] + full * 5, full * -9
        return
    }
    if ((p, k) in least && py(least[p, k]) - py(most[p, k]) > 12) {
        printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", dotx[i], py(below(HIGH, most[p, k])), dotx[i],
            py(above(LOW, least[p, k])), colour
    }
    printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\" stroke=\"%s\" stroke-width=\"1.6\"/>\n", dotx[i], doty[i], full ? 5 : 4, full ? colour : "#fff", colour
}
function draw_label(i,    x) {
    if (name[i] == "") return
    x = side[i] > 0 ? la[i] : lb[i]
    if (ly[i] - doty[i] > 3 || doty[i] - ly[i] > 3) line(dotx[i] + side[i] * 3, doty[i], x - side[i] * 2, ly[i], "leader")
    text(x, ly[i] + 4, best(i, n) ? "strong" : "label", side[i] > 0 ? "start" : "end", name[i])
}
function draw_panel(p,    i) {
    left = FIRST + (p - 1) * (PLOT + BETWEEN)
    n = dots[p] + 0
    fixed = 0
    for (i = 1; i <= n; i++) {
        real[i] = value[p, i]
        dotx[i] = px(at[p, i])
        doty[i] = py(below(HIGH, above(LOW, real[i])))
        fix(dotx[i] - 5, dotx[i] + 5, doty[i], 5, i)
    }
    for (i = 1; i <= n; i++) name[i] = !named(i, n) ? "" : label[p, i] (real[i] < LOW || real[i] > HIGH ? sprintf(" %.0f %%", real[i]) : "")
    draw_axes(p)
    place_labels(p, n)
    for (i = 1; i <= n; i++) draw_label(i)
    for (i = 1; i <= n; i++) draw_dot(i, p, i)
}

END {
    if (!panels) { print "bytes.awk: no table in the input" > "/dev/stderr"; exit 1 }
    LOW = -20; HIGH = 100; STEP = 15
    FIRST = 78; TOP = 92; HEIGHT = 520; PLOT = 600; BETWEEN = 64
    ROOM = 130 # right of the last dot, for its labels
    AXIS = PLOT - ROOM
    xmax = above(100, xmax)
    total = FIRST + panels * PLOT + (panels - 1) * BETWEEN + 24
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"system-ui, sans-serif\" role=\"img\">\n", total, TOP + HEIGHT + 56
    print "<style>.title{font-size:15px;font-weight:600;fill:#222}.head{font-size:17px;font-weight:600;fill:#222}.label{font-size:12px;fill:#444}"
    print ".strong{font-size:12px;font-weight:600;fill:#222}.axisname{font-size:13px;fill:#333}.tick{font-size:12px;fill:#666}"
    print ".label,.strong{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}"
    print ".grid{stroke:#e8e8e8}.axis{stroke:#888}.zero{stroke:#888;stroke-width:1.2}.leader{stroke:#b5b5b5;stroke-width:0.8}"
    print ".budget{stroke:#009e73;stroke-width:1.5;stroke-dasharray:2 4}.teacher{stroke:#444;stroke-width:1.5;stroke-dasharray:6 5}</style>"
    printf "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", total, TOP + HEIGHT + 56
    text(FIRST, 30, "head", "start", "What is recovered, over what is stored")
    text(total - 24, 30, "tick", "end", "full: nothing recovers more with as few bytes; named: the best of each record; triangles lie outside")
    for (p = 1; p <= panels; p++) draw_panel(p)
    print "</svg>"
}
