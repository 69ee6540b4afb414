# Documents of an audit: made, filled in and made again, of a build, and refused.
mkdir texts && printf 'A text of some words.\n' > texts/a.txt && printf '{"text": "one"}\n{"text": "two"}\n' > lines.jsonl
cat > data.yaml <<'Y'
sources:
  - {name: tales, path: texts, licence: CC-BY-4.0, collected: 2026-01-31, origin: 'written <here>', purpose: training, language: en}
  - {name: lines, path: lines.jsonl, licence: MIT, collected: 2026-02-01}
Y
lathe data audit data.yaml --out audit --quiet > said.txt
lathe data card audit --out card --name 'two <sources>'; ls card
grep -o 'two &lt;sources&gt;</h1>' card/report.html; grep -c 'http:\|https:\|<script' card/report.html
grep '^license' card/README.md; grep -A2 '^### 25' card/datasheet.md
sed -i 's/^about.creator: ""/about.creator: "Person: Ada"/; s/^about.licence: ""/about.licence: "CC-BY-4.0"/' card/questions.yaml
lathe data card audit --out card --name 'two <sources>' --version 1.0.0 --json
grep '^license' card/README.md; grep '^about' card/questions.yaml
lathe data build audit --out v1 --quiet --splits train=1 | grep -v ^version
lathe data card audit/report.json --build v1 --out v1 --created 2026-03-01 --name v1; sed -n '/^configs/,/^---/p' v1/README.md
cp -r v1 v2; lathe data card audit --build v1 --out v2 --created 2026-03-01 --name v1 > said.txt; diff -r v1 v2 && echo the same bytes
lathe data card audit/report.json --out card5 > said.txt; grep -o '<h1>[^<]*' card5/report.html
SOURCE_DATE_EPOCH=86400 lathe data card audit --out card3 | tail -n 1
# what is refused
lathe data card audit 2>&1; echo "exit $?"
lathe data card texts --out x 2>&1; echo "exit $?"
mkdir mine && echo mine > mine/README.md; lathe data card audit --out mine 2>&1; echo "exit $?"; cat mine/README.md
lathe data card audit --out card4 --created tomorrow 2>&1; echo "exit $?"
echo 'about.craetor: "x"' > wrong.yaml; lathe data card audit --out card4 --answers wrong.yaml 2>&1; echo "exit $?"
python3 -c 'import json; r = json.load(open("audit/report.json")); r["sources"][1]["files"][0]["bytes"] = "many"; json.dump(r, open("wrong.json", "w"))'
lathe data card wrong.json --out card4 2>&1; echo "exit $?"
lathe data card wrong.json --build v1 --out card4 2>&1; echo "exit $?"
ls card4 2> /dev/null; echo "exit $?"
