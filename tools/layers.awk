# Usage, from src/: awk -f ../tools/layers.awk ../tools/layers.txt FILES.  A folder may include itself and what its line names.
FNR == NR { ok[$1] = " " $1; for (i = 2; i <= NF; i++) ok[$1] = ok[$1] " " $i; ok[$1] = ok[$1] " "; next }
/^#[ \t]*include[ \t]*"/ {
    split(FILENAME, from, "/"); split($0, q, "\""); split(q[2], to, "/")
    if (!index(ok[from[1]], " " to[1] " ")) {
        printf "src/%s:%d: %s may not include %s\n", FILENAME, FNR, from[1], q[2]; bad = 1
    }
}
END { exit bad }
