# The page of a folder of evaluations, report.json beside it, a model card and the evidence for NIST's framework; what is refused.
say() { "$@" > said 2> talk; local rc=$?; sed "s|$ROOT/||g" said talk; echo "exit $rc"; }
cp -r $ROOT/tests/golden/report found; chmod -R u+w found; rm found/images_*
say lathe report found --card README.md --nist nist.md
ls found | grep report; grep -o '<h1>[^<]*' found/report.html; grep -o '<h2[^<]*' found/report.html
grep -c '<script' found/report.html
python3 - <<'P'
import json
r = json.load(open("found/report.json"))
print(*r, len(r["figures"]), [m["sha256"][:4] for m in r["models"]], sum("error" in f for f in r["files"]), sum(f.get("replaced", False) for f in r["files"]))
P
sed -n 1,12p README.md; grep -c 'Open' README.md
grep '^## \|subcategories have' nist.md | head -n 6
lathe report found --out again.html --nist nist.json --quiet 2> talk; cmp found/report.html again.html && cmp found/report.json again.json && echo the same bytes
python3 -c 'import json; n = json.load(open("nist.json")); print(len(n["subcategories"]), sum(s["status"] == "open" for s in n["subcategories"]))'
echo '--- facts and data cards'
printf 'A text of some words.\n' > a.txt; lathe data audit a.txt --out audit --quiet > said; lathe data card audit --out card --name tales > said
printf 'license: Apache-2.0\nbase_model: a/b\nintended_use: For tests alone.\n' > facts.yaml
lathe report found --card README.md --facts facts.yaml --data-card card --name Tiny --quiet 2> talk; sed -n 1,7p README.md; grep '^| tales\|For tests' README.md | cut -c 1-40; grep -o '<h1>[^<]*' found/report.html
echo '--- refused'
printf 'licence: MIT\n' > wrong.yaml; say lathe report found --card README.md --facts wrong.yaml | tail -n 2
cp $ROOT/tests/golden/report/images_* found; say lathe report found --card README.md | tail -n 2
say lathe report found --card README.md --model m/vit | tail -n 1
say lathe report found --card README.md --model other | tail -n 2
say lathe report found --facts facts.yaml
mkdir empty; say lathe report empty
say lathe report missing
echo '--- outputs that would replace what is there, or each other'
cat found/*.json > before
say lathe report found --out found/bias_2026-11-26T10-30-00.000000.json
say lathe report found --nist samples_a_2026-11-26T10-30-00.000000.jsonl
say lathe report found --card n.md --nist ./n.md --model m/vit
say lathe report found --out p.html --nist p.json
say lathe report found --nist found/report.json
say lathe report found --card facts.yaml --facts ./facts.yaml --model m/vit
cat found/*.json | cmp - before && echo nothing was written; ls n.md p.html p.json 2> talk
echo '--- a name without microseconds'
cp found/bias_*.json found/bias_2026-11-27T10-30-00.json; say lathe report found | grep passed
