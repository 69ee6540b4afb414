# Commands that are told to stop say what they have of their result, and end with exit code 4; a stage of lathe run that was stopped is not done.
. "$ROOT/tests/cli/small_models.bash"
train_anything 256
make_images
lathe train images.yaml --out vit --quiet --threads 1 > said 2>&1
for i in $(seq 150000); do echo "a text of number $i"; done > long.txt
# As soon as it listens to SIGTERM (bit 14 of SigCgt), which is long before its end.
stop() {
    echo "--- ${*:1:2}"
    lathe "$@" --threads 1 > out 2> talk & p=$!
    until awk '/SigCgt/ { exit !(index("4567cdef", substr($2, length($2) - 3, 1))) }' /proc/$p/status 2> said; do sleep 0.01; done
    kill -TERM $p; wait $p; echo "exit $?"
    grep -c stopped talk
}
stop perplexity run long.txt --ctx 16 --quiet
stop embed run --file long.txt --json
python3 -c 'import json; print(len(json.load(open("out"))["embeddings"]) < 150000)'
stop classify vit $(for i in $(seq 4000); do echo images; done) --json
stop compare run run --text long.txt --ctx 16 --json --quiet
stop bench run -p 8,9,10,11,12,13,14,15,16,17,18,19 -r 1 --quiet --json --out kept
python3 -c 'import glob, json; print(*[json.load(open(f))["complete"] for f in glob.glob("kept/speed_*.json")])'
echo '--- a stage'
printf 'stages:\n  p: {run: perplexity run long.txt, options: {ctx: 16, threads: 1}}\n' > lathe.yaml
lathe run --quiet 2> said & p=$!
until q=$(sed -n 's/.*"pid": \([0-9]*\).*/\1/p' lathe.run/p/stage.json 2> talk) && [ -n "$q" ] && awk '/SigCgt/ { exit !(index("4567cdef", substr($2, length($2) - 3, 1))) }' /proc/$q/status 2> talk; do sleep 0.01; done
kill -TERM $p; wait $p; echo "exit $?"
grep -o '"state": "[a-z]*"' lathe.run/p/stage.json
lathe run --dry-run --quiet | sed 's/; .*//'
