# Events against a reference: what is watched, nothing changed, a shift with one wild value, a new category, vectors; the files it writes, and refusals.
say() { "$@" > said 2> talk; local rc=$?; cat said; sed "s|$PWD/||g" talk; echo "exit $rc"; }
python3 - <<'END'
import json, random
r = random.Random(3)
def rows(n, shift=0, new=0, wild=False):
    for i in range(n):
        lang = "xx" if r.random() < new else r.choice(["en", "en", "en", "de", "fr"])
        nll = 500 if wild and i == 0 else round(r.gauss(3 + shift, 1), 4)
        yield {"id": i, "nll": nll, "length": r.choice([1, 2, 3, 5, 8]), "language": lang, "text": f"request {r.random()}"}
def csv(name, it):
    with open(name, "w") as f:
        print("id,nll,length,language,text", file=f)
        for x in it:
            print(f'{x["id"]},{x["nll"]},{x["length"] if r.random() > .03 else ""},{x["language"]},{x["text"]}', file=f)
csv("before.csv", rows(1000))
csv("same.csv", rows(400))
csv("shifted.csv", list(rows(200)) + list(rows(200, shift=1, new=.2, wild=True)))
for name, n in (("calls.csv", 6000), ("more.csv", 3000)):
    with open(name, "w") as f:
        print("minutes", file=f)
        x = 0
        for i in range(n):
            x = .8 * x + r.gauss(0, .6)
            print(f"{x:.4f}", file=f)
for name, shift in (("before.jsonl", 0), ("after.jsonl", 1)):
    with open(name, "w") as f:
        for i in range(300):
            print(json.dumps({"state": [r.gauss(shift if k < 2 else 0, 1) for k in range(6)], "ok": r.random() < .9, "tag": None if i % 5 else {"a": 1}}), file=f)
END
echo '--- nothing has changed'
say lathe watch --reference before.csv --current same.csv
say lathe watch --reference before.csv --current same.csv --every-event --quiet
echo '--- something has, after 200 events; the reference is kept, and used again'
say lathe watch --reference before.csv --current shifted.csv --every-event --quiet --out kept.json --signals nll,language --evidently evidently.json --adwin
say lathe watch --reference kept.json --current shifted.csv --every-event --quiet --json > again.json
python3 -c '
import json
o = json.load(open("said"))
for s in o["signals"]:
    e = s["every_event"]
    print(s["name"], s["kind"], s["drift"], e["alarmed_at"] > 200, e["p"] < 0.005, 180 <= e["change_at_alarm"]["at"] <= 220, s["window"]["test"], s["window"]["drift"], s["window"]["psi_rate"])
print(o["every_event"]["claim"])
m = json.load(open("evidently.json"))["metrics"]
print(m[0]["metric"], m[0]["result"])
for name, c in m[1]["result"]["drift_by_columns"].items():
    print(name, c["column_type"], c["stattest_name"], c["stattest_threshold"], c["drift_score"] < 0.01, c["drift_detected"])'
echo '--- vectors, true and false, objects'
say lathe watch --reference before.jsonl --current after.jsonl --holm | cut -c 1-41
say lathe watch --reference before.jsonl --current after.jsonl --signals state,ok --every-event --run-length 1e6 --quiet | cut -c 1-48
echo '--- neighbours that are alike: a warning, and one of many'
say lathe watch --reference calls.csv --current more.csv --every-event > many
sed -n '/warning/p; $p' many
say lathe watch --reference calls.csv --current more.csv --every-event --one-of 20
echo '--- refused'
say lathe watch
say lathe watch --reference before.csv --current same.csv --signals nll,nothing
say lathe watch --reference before.csv --current same.csv --signals text
say lathe watch --reference before.csv --current same.csv --signals language:number
say lathe watch --reference before.csv --current before.txt --signals nll
say lathe watch --reference kept.json --current same.csv --signals nll
say lathe watch --reference before.csv --current same.csv --run-length 1000
say lathe watch chat --signals nll
say lathe watch chat --current same.csv
say lathe watch chat --one-of 3
say lathe watch --reference before.csv --current same.csv --rules rules.yaml
say lathe watch --reference before.csv --out kept.json --alpha 0.1
say lathe watch chat --once --every 5
say lathe watch chat --reference kept.json --since 2026-01-01
say lathe watch --erase anna --reference before.csv
say lathe watch chat --erase anna
head -n 5 before.csv > few.csv
say lathe watch --reference few.csv --current same.csv --quiet
echo '{"nll": "high"}' > wrong.jsonl
say lathe watch --reference before.csv --current wrong.jsonl --signals nll
head -n 1 before.csv > none.csv
say lathe watch --reference before.csv --current none.csv --signals nll
sed 's/"kind":"number"/"kind":"numbers"/' kept.json > broken.json
say lathe watch --reference broken.json --current same.csv
echo '--- columns that vanished, names twice'
cut -d , -f 1,3,5 same.csv > vanished.csv
say lathe watch --reference before.csv --current vanished.csv
say lathe watch --reference before.csv --current vanished.csv --quiet --json
say lathe watch --reference before.csv --current vanished.csv --signals length
sed 's/"state"/"mood"/' after.jsonl > vanished.jsonl
say lathe watch --reference before.jsonl --current vanished.jsonl
sed '1s/length/nll/' same.csv > twice.csv
say lathe watch --reference before.csv --current twice.csv
say lathe watch --reference twice.csv --current same.csv
echo '--- vectors that are missing, or not finite'
sed 's/"state": \[[^]]*\]/"state": null/' before.jsonl > nulls.jsonl
sed 's/"state": \[[^,]*,/"state": [1e300,/' before.jsonl > large.jsonl
for i in nulls large; do
    say lathe watch --reference before.jsonl --current $i.jsonl --quiet
    say lathe watch --reference before.jsonl --current $i.jsonl --quiet --every-event --signals state
done
echo '--- numbers too large for squares'
awk 'BEGIN { print "x"; srand(1); for (i = 0; i < 200; i++) printf "%.4fe308\n", 3.4 * rand() - 1.7 }' > huge.csv
say lathe watch --reference huge.csv --current huge.csv
