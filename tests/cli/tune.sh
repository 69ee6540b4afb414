# From a model to adapters beside it and into it, from a folder and from a GGUF file; and answers that are preferred.
say() { "$@" 2> err; local rc=$?; sed "s|$PWD/||g" err; echo "exit $rc"; }
yes 'the quick brown fox jumps over the lazy dog and then sleeps.' | head -n 300 > text.txt
yes 'a slow green turtle walks under the old bridge and never stops.' | head -n 300 > other.txt
cat > base.yaml <<'Y'
model: {model_type: llama, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, max_position_embeddings: 64}
data: {train: [text.txt, other.txt], valid_share: 0.1, vocab_size: 300}
train: {steps: 20, batch: 4, ctx: 32, lr: 1e-2, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
cat > lora.yaml <<'Y'
model: {from: base}
data: {train: text.txt, valid_share: 0.1}
lora: {rank: 4, targets: [q, v]}
train: {steps: 20, batch: 4, ctx: 32, lr: 3e-2, warmup: 0, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train base.yaml --out base --quiet --threads 1 && lathe train lora.yaml --out adapters --quiet --threads 1 && ls adapters | grep adapter
say lathe merge base adapters --out merged
ls merged
lathe quantize base --to f32 --no-quality --quiet --out base.gguf > out && say lathe merge base.gguf adapters --out merged.gguf
for m in merged merged.gguf; do lathe perplexity $m text.txt --ctx 32 --quiet --json | grep '"ppl"'; done | uniq | wc -l
say lathe merge base.gguf adapters --to q8_0 --out small.gguf
lathe info small.gguf --metadata | grep 'general.file_type'
say lathe merge base adapters --to q8_0 --out x
say lathe merge base adapters
say lathe merge merged base --out x
say lathe merge base nothing --out x
say lathe merge base adapters --out ./base/
say lathe merge base.gguf adapters --out ./base.gguf
say lathe merge base adapters --out $PWD/adapters | sed "s#$PWD/##g"
sed 's/from: base/from: merged/; s/steps: 20/steps: 1/' lora.yaml > second.yaml
lathe train second.yaml --out second --quiet --threads 1      # norms are the same after merging: it fits both
say lathe merge base second --out x
sed 's/lora: .*//; s/steps: 20/steps: 1/' lora.yaml > whole.yaml
lathe train whole.yaml --out whole --quiet --threads 1 && sed 's/from: base/from: whole/; s/steps: 20/steps: 1/' lora.yaml > third.yaml && lathe train third.yaml --out third --quiet --threads 1
say lathe merge base third --out x | sed 's/digest [0-9a-f]*/digest X/; s/one.s [0-9a-f]*\.\.\./one X/'
say lathe merge base third --any-base --out forced
sed 's/rank: 4/rnak: 4/' lora.yaml > bad.yaml
say lathe train bad.yaml --out bad --quiet
for i in 1 2 3 4 5 6 7 8; do echo "{\"prompt\": \"the quick \", \"chosen\": \"brown fox $i\", \"rejected\": \"green turtle $i\"}"; done > pairs.jsonl
sed 's/text.txt/pairs.jsonl/; s/train: {steps: 20/train: {objective: dpo, steps: 6/; s/valid_share: 0.1/valid_share: 0.25/' lora.yaml > dpo.yaml
lathe train dpo.yaml --out preferring --quiet --threads 1 && grep -c '"rewards/margins"' preferring/metrics.jsonl
echo '--- a model with adapters is another one in what is found of it'
for i in 1 2 3 4; do echo '{"q": "the quick ", "c": ["brown fox", "green turtle"], "y": 0}'; done > items.jsonl
cat > two.yaml <<'Y2'
task: two
dataset_path: json
dataset_kwargs: {data_files: {test: items.jsonl}}
test_split: test
doc_to_text: "{{q}}"
output_type: multiple_choice
doc_to_choice: c
doc_to_target: y
metric_list: [{metric: acc}]
metadata: {version: 1.0}
Y2
mkdir found
lathe eval base --tasks two.yaml --out alone --quiet > table && cp alone/results_*.json found
lathe eval base --adapter adapters --tasks two.yaml --due --list --out found --quiet | tail -n 1
lathe eval base --adapter adapters --tasks two.yaml --due --out found --quiet > table
for a in "" "--adapter adapters"; do lathe eval base $a --tasks two.yaml --due --list --out found --quiet | tail -n 1; done
echo '--- in a registry it is the version of the adapters'
export LATHE_HOME=$PWD/home LATHE_ACTOR=tester
evidence=$(printf -- '--evidence %s ' found/results_*.json)
lathe registry add plain base $evidence --quiet | cut -d' ' -f1
lathe registry add mine adapters --from plain@1 $evidence --quiet | cut -d' ' -f1
lathe registry show mine --json | grep -c '"adapter_sha256"'
printf 'evaluation: {two/acc: {min: 0}}\n' > policy.yaml
promote() { say lathe registry promote $1 --quiet | sed -E 's/evidence [0-9a-f]{12,}/evidence ID/'; }
for name in plain mine; do lathe registry policy $name policy.yaml --quiet; promote $name@1; done
lathe registry add mine preferring --from plain@1 $evidence --quiet | cut -d' ' -f1
promote mine@2
lathe report found --quiet
python3 - <<'P'
import json
r = json.load(open("found/report.json"))
print(*[(m["name"], m.get("adapter")) for m in r["models"]], sorted((f["kind"], r["models"][f["model"]]["name"]) for f in r["figures"] if f["kind"] == "tasks"))
print(*[f["evidence"]["results"]["config"]["model_args"] for f in r["files"] if f["kind"] == "tasks"], sep="\n")
P
