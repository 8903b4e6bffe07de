# Formats WordNet's data files (data.noun data.verb data.adj data.adv of Debian's wordnet-base) as text,
# one line a synset:
#
#   able (adjective): (usually followed by `to') having the necessary means ...; "able to swim"; ...
#
# A synset line is (wndb(5WN)): offset lex_filenum ss_type w_cnt word lex_id [word lex_id...] p_cnt ... | gloss
# with w_cnt in hexadecimal, '_' for spaces in words, and a marker like (p) behind some adjectives.
# usage: awk -f wordnet.awk /usr/share/wordnet/data.{noun,verb,adj,adv}

function hex2(s) { return 16 * (index("0123456789abcdef", substr(s, 1, 1)) - 1) + index("0123456789abcdef", substr(s, 2, 1)) - 1 }

BEGIN {
    pos["n"] = "noun"
    pos["v"] = "verb"
    pos["a"] = pos["s"] = "adjective"
    pos["r"] = "adverb"
}

/^[0-9]/ {
    words = ""
    for (i = 0; i < hex2(tolower($4)); i++) {
        word = $(5 + 2 * i)
        sub(/\((a|p|ip)\)$/, "", word)
        gsub(/_/, " ", word)
        words = words (i ? ", " : "") word
    }
    gloss = substr($0, index($0, " | ") + 3)
    sub(/[ \t]+$/, "", gloss)
    print words " (" pos[$3] "): " gloss
}
