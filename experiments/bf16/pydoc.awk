# Turns the reStructuredText of Debian's python3.11-doc into text, a paragraph a line: lines of a paragraph are joined,
# underlines of headings and paragraphs of fewer than 40 characters left out.
# usage: awk -f pydoc.awk /usr/share/doc/python3.11/html/_sources/*/*.txt

function flush() {
    if (length(paragraph) >= 40) print paragraph
    paragraph = ""
}

FNR == 1 { flush() }
{
    gsub(/[ \t\r]+/, " ")
    sub(/^ /, "")
    sub(/ $/, "")
}
/^$/ { flush() }
/[A-Za-z0-9]/ { paragraph = paragraph (paragraph == "" ? "" : " ") $0 }
END { flush() }
