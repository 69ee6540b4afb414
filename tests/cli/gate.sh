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
# a policy says which reasons leave records out
printf '{"text": "the same words"}\n{"text": "the same words"}\n' > set/same.jsonl
for drops in '[dup_exact]' '[]' '[dup_exact, licence]'; do
    printf "use: [commercial]\ndrops: $drops\n" > drops.yaml
    lathe data audit set/same.jsonl --out same --quiet --policy drops.yaml | grep -v report; echo "exit $?"
done
rm set/same.jsonl
# training refuses data whose gate said no, unless it is told why
yes 'the quick brown fox jumps over the lazy dog and then sleeps.' | head -n 200 > set/a.txt
printf 'use: [train, commercial]\ngate: {licences: 0}\n' > policy.yaml
lathe data audit set --out sold --quiet --policy policy.yaml > said 2>&1; echo "exit $?"
lathe data build sold --out v1 --quiet --splits train=1 > said; echo "exit $?"
config() { printf 'model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 64}\n'
    printf 'data: {tokenizer: bytes, valid_share: 0, %s}\ntrain: {steps: 1, batch: 1, ctx: 32, warmup: 0, eval_every: 0, save_every: 0, precision: fp32}\n' "$1"; }
gates() { python3 -c 'import json; print(json.load(open("run/run.json"))["gates"])'; rm -r run; }
config 'train: v1/train' > a.yaml; lathe train a.yaml --out run --quiet --threads 1 2>&1; echo "exit $?"
config 'train: v1/train, override: " "' > a.yaml; lathe train a.yaml --out run --quiet --threads 1 2>&1; echo "exit $?"
config 'train: v1/train, override: for a test' > a.yaml; lathe train a.yaml --out run --quiet --threads 1 2>&1; echo "exit $?"; gates
config 'train: set/a.txt, audit: sold' > a.yaml; lathe train a.yaml --out run --quiet --threads 1 2>&1; echo "exit $?"
config 'train: set/a.txt, audit: v1' > a.yaml; lathe train a.yaml --out run --quiet --threads 1 2>&1; echo "exit $?"
config 'train: set/a.txt' > a.yaml; lathe train a.yaml --out run --quiet --threads 1 2>&1; echo "exit $?"; gates
lathe data gate sold --policy policy.yaml --override 'a licence was bought' > said && lathe data build sold --out v2 --quiet --splits train=1 > said
config 'train: v2/train/00000.jsonl' > a.yaml; lathe train a.yaml --out run --quiet --threads 1 2>&1; echo "exit $?"; gates
