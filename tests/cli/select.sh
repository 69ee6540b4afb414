# Which of several models to take, and which settings to train with: what is recommended, what stays, refusals.
say() { "$@" > said 2> talk; local rc=$?; sed "s|$ROOT/||g" said talk; echo "exit $rc"; }
# Speeds and memory are this machine's: their columns, and numbers in sentences, as N.
still() { sed -E 's/[0-9]+\.[0-9]+( +[0-9]+\.[0-9]+){2,3}(  \*)?$/SPEED/; s/(writes|takes|costs) [0-9.]+ times as much as ([a-z0-9]+) \([^)]*\)/\1 N times as much as \2 (N)/g' "$@"; }
mkdir m
cp "$ROOT"/tests/golden/llama/config.json "$ROOT"/tests/golden/llama/model.safetensors m
cp "$ROOT"/tests/golden/eval/tokenizer.json m
echo '{"bos_token": "<s>", "eos_token": "</s>"}' > m/tokenizer_config.json
words=('the cat sat' 'the dog ran' 'a man ate' 'rain on the mat' 'the old mill' 'it ran to the man')
for i in $(seq 0 59); do
    printf '{"q": "%s and %s", "c": ["%s", "a ham", "%s"], "y": %d}\n' "${words[i % 6]}" "${words[i / 6 % 6]}" "${words[(i + 1) % 6]}" "${words[(i + 3) % 6]}" $((i % 3))
done > choice.jsonl
cat > choice.yaml <<'Y'
task: choice
dataset_path: json
dataset_kwargs: {data_files: {test: choice.jsonl}}
test_split: test
doc_to_text: "{{q}}"
output_type: multiple_choice
doc_to_choice: c
doc_to_target: y
metric_list: [{metric: acc}]
Y
echo '--- the same weights three times: none is worse, the fastest or the best is taken'
lathe eval a=m b=m@fp32 c=m@bf16 --select --tasks choice.yaml --out s --prefer quality --threads 1 --quiet > said; echo "exit $?"
still said | head -5 | cut -c 1-68
still said | tail -1
ls s s/a | sed 's/_20.*\./_DATE./' | grep -v replies
echo '--- again, from what is kept; JSON'
lathe eval a=s/a b=s/b --select --quiet --json > r.json; echo "exit $?"
python3 - <<'P'
import json
r = json.load(open("r.json"))
print(r["kind"], [c["name"] for c in r["candidates"]], r["candidates"][0]["verdict"], r["prefer"], r["taken"] in "ab", sorted({f["name"] for f in r["figures"]}))
P
echo '--- refusals'
say lathe eval m --select --tasks choice.yaml --out t --quiet
say lathe eval m m --select --tasks choice.yaml --out t --quiet
say lathe eval a=m b=m --select --tasks choice.yaml --quiet
say lathe eval a=m b=m --select --tasks choice.yaml --prefer cost --out t --quiet
say lathe eval m m --tasks choice.yaml --quiet
say lathe eval a=m b=nothing --select --tasks choice.yaml --out t --quiet
say lathe eval a=m b=m --select --perturb typos --tasks choice.yaml --out t --quiet
echo '--- a search over settings'
mkdir texts
for i in $(seq 60); do echo "a text of number $i, and one after it" > texts/$i; done
cat > recipe.yaml <<'Y'
model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, norm: rmsnorm, act: swiglu, pos: rope}
data: {train: texts, valid_share: 0.1, vocab_size: 270}
train: {epochs: 1, batch: 2, ctx: 16, eval_every: 0, save_every: 0, precision: fp32}
Y
cat > search.yaml <<'Y'
recipe: recipe.yaml
space: {train.lr: [1e-5, 1e-2], model.num_hidden_layers: [1, 2]}
least_steps: 2
most_steps: 8
eta: 2
Y
say lathe eval --sweep search.yaml --out sw --quiet --threads 1
grep -c steps sw/best.json
say lathe eval --sweep search.yaml --out sw --quiet --threads 1 | tail -3
sed -i 's/eta: 2/eta: 3/' search.yaml
say lathe eval --sweep search.yaml --out sw --quiet --threads 1
sed -i 's/train.lr/train.no_such_key/' search.yaml
say lathe eval --sweep search.yaml --out sw2 --quiet --threads 1
say lathe eval --sweep search.yaml --quiet
sed -i 's/least_steps/few_steps/' search.yaml
say lathe eval --sweep search.yaml --out sw2 --quiet
for t in '[]' '5' '{}' '{"recipe": "recipe.yaml"}' '{"recipe": "recipe.yaml", "space": {"train.steps": [3, 5]}, "least_steps": 1, "most_steps": 2}'; do
    echo "$t" > bad.json
    say lathe eval --sweep bad.json --out sw3 --quiet
done
echo '--- stopped evaluations are no candidates'
cp -r s/a s/stopped
sed -i 's/"complete": true/"complete": false/' s/stopped/results_*.json
say lathe eval a=s/a b=s/stopped --select --quiet
