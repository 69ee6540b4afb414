# Licences beside data, a policy and its gate: what is refused, why, and what an override keeps.
mkdir set empty && printf 'Some words.\n' > set/a.txt && printf -- '---\nlicense: cc-by-nc-4.0\n---\n' > set/README.md
printf 'use: [train, commercial]\ngate: {licences: 0, faults: 0}\n' > policy.yaml
lathe data audit set --out gated --quiet --policy policy.yaml 2>&1; echo "exit $?"
lathe data gate gated 2>&1; echo "exit $?"
lathe data gate gated --policy policy.yaml --override ' ' 2>&1; echo "exit $?"
lathe data gate gated --policy policy.yaml --override 'they said yes' 2>&1; echo "exit $?"
python3 -c 'import json; r = json.load(open("gated/report.json")); print(r["licences"]["use"], r["gate"]["passed"], r["gate"]["override"])'
lathe data gate empty 2>&1; echo "exit $?"
printf 'use: [train]\ngate: {secret: 0}\n' > wrong.yaml
lathe data gate gated --policy wrong.yaml 2>&1; echo "exit $?"
printf 'sources:\n  - {name: a, path: set, licence: MIT or}\n' > data.yaml
lathe data audit data.yaml --out gated2 --quiet --policy default 2>&1; echo "exit $?"
