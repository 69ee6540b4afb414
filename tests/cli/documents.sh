# Documents about a version of a registry: what is there, what is open; a bill of materials by its schema.
say() { "$@" > said 2> talk; local rc=$?; cat said; sed "s|$PWD/||g" talk; echo "exit $rc"; }
. "$ROOT/tests/cli/small_models.bash"
train_anything 64
lathe data audit texts --out audit --quiet > /dev/null
export LATHE_REGISTRY=$PWD/registry LATHE_ACTOR=ann
lathe registry add small run --from data=texts --evidence audit/report.json --quiet > /dev/null
lathe registry promote small@1 --reason 'the first' --quiet > /dev/null
say lathe registry documents small@1 --out documents
(cd documents && find . -type f | sort) | sed -E 's/audit-[0-9a-f]{12}/audit-ID/'
grep -c '^## ' documents/nist-ai-rmf.md documents/annex-iv.md documents/gdpr.md
grep -A4 '^## 2(d)' documents/annex-iv.md | sed -E 's/audit-[0-9a-f]{12}/audit-ID/; s/`[0-9a-f]{12}`/DIGEST/'
grep -A2 '^## MANAGE 2' documents/nist-ai-rmf.md | sed -E 's/[0-9]{4}-[0-9T:.-]+Z/TIME/; s/`[0-9a-f]{12}`/DIGEST/'
lathe registry documents small@production --out again --quiet > /dev/null && diff -r documents again && echo 'the same bytes'
say lathe registry documents small@1 --out documents
say lathe registry documents small@2 --out other
say lathe registry documents small@1
say lathe registry documents small@1 --out other2 --facts audit/report.json
echo '--- evaluations under names of their own, as lathe run keeps what a stage printed: by kind and when they came'
python3 - <<'P'
import json
for name, kind, value in (("a", "quality", 12.5), ("b", "quality", 11.5), ("c", "watch", 0.1)):
    open("%s.json" % name, "w").write(json.dumps({"kind": kind, "date": 0, "figures": [{"name": "perplexity", "of": None, "value": value, "low": None, "high": None, "n": 9}]}))
P
for name in a b c; do mkdir kept-$name && mv $name.json kept-$name/result.json; done
lathe registry add small run --evidence kept-a/result.json --evidence kept-b/result.json --evidence kept-c/result.json --quiet > /dev/null
say lathe registry documents small@1 --out named
ls named/evidence | sed -E 's/audit-[0-9a-f]{12}/audit-ID/; s/_20[0-9T.-]+\.json/_DATE.json/'
grep -c '1[12][.]5' named/README.md
schemas=${LATHE_SHARED:-$ROOT/../shared/data}/governance-schemas
if [ -d "$schemas" ] && /usr/bin/python3 -c 'import jsonschema' 2> /dev/null; then
    /usr/bin/python3 "$ROOT/tools/check_card.py" documents cyclonedx "$schemas" || echo 'not CycloneDX 1.7'
else
    echo 'SKIPPED: the schema of CycloneDX is not here' >&2
fi
