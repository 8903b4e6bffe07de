# prose.awk -- documents of a manual's plain text: paragraphs in one line each, joined until a document has some 1,200 characters. Contents,
# tables and programs are left out.
BEGIN { RS = "" }
{
    gsub(/[ \t\n]+/, " ")
    sub(/^ /, "")
    letters = $0
    gsub(/[^A-Za-z ,.]/, "", letters)
    if (length($0) < 120 || length(letters) < 0.9 * length($0) || /\. \. \.|[|]|[0-9]\.[0-9].*[0-9]\.[0-9].*[0-9]\.[0-9]/) next
    document = document (document == "" ? "" : " ") $0
    if (length(document) < 1200) next
    print document
    document = ""
}
END { if (document != "") print document }
