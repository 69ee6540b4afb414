# CheckList suites: a classifier of texts, a model that continues them, the same bits in any company, what cannot be.
say() { "$@" > said 2> talk; local rc=$?; sed "s|$ROOT/||g" said talk; echo "exit $rc"; }
for i in $(seq 200); do
    [ $((i % 2)) = 0 ] && echo "{\"text\": \"a good day $i\", \"label\": \"glad\"}" || echo "{\"text\": \"a bad night $i\", \"label\": \"sad\"}"
done > texts.jsonl
cat > texts.yaml <<'Y'
model: {model_type: bert, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 48, max_position_embeddings: 48, initializer_range: 0.1, hidden_act: gelu}
data: {train: texts.jsonl, form: label, valid_share: 0.2, vocab_size: 280}
train: {steps: 60, batch: 8, ctx: 32, lr: 5e-3, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train texts.yaml --out c --quiet --json --threads 1 > result.json 2> warnings && echo trained
long=$(printf 'a good day %.0s' $(seq 30))
cat > suite.jsonl <<Y
{"test": "good", "type": "MFT", "capability": "Vocabulary", "labels": 2, "data": ["a good day", "a good day 7", null]}
{"test": "bad", "type": "MFT", "capability": "Vocabulary", "labels": [0, 0], "data": ["a bad night", "a bad night 3"]}
{"test": "wrong on purpose", "type": "MFT", "capability": "Vocabulary", "labels": 0, "data": ["a good day 1", "a good day 2"]}
{"test": "numbers", "type": "INV", "capability": "Robustness", "data": [["a good day 1", "a good day 2"], ["a bad night 1", "a bad night 2", "a bad night 5"]]}
{"test": "turned", "type": "INV", "capability": "Robustness", "data": [["a good day 1", "a bad night 1"], ["a good day", "$long"]]}
{"test": "worse", "type": "DIR", "expect": {"towards": "first"}, "data": [["a good day 1", "a bad night 1"], ["a bad night 1", "a good day 1"]]}
{"test": "nobody knows", "type": "DIR", "data": [["a", "b"]]}
Y
echo '--- a classifier'
say lathe eval c --checklist suite.jsonl --checklist-labels 'sad,(neutral),glad' --quiet --threads 1 --out found
gzip -k suite.jsonl
lathe eval c --checklist suite.jsonl.gz --checklist-labels sad,neutral,glad --quiet --threads 2 --out two > two.txt
python3 - <<'P'
import glob, json
a, b = json.load(open(glob.glob("found/checklist_*.json")[0])), json.load(open(glob.glob("two/checklist_*.json")[0]))
print(a["kind"], a["complete"], a["figures"] == b["figures"], a["examples"] == b["examples"], a["types"]["MFT"], sorted(a["examples"][0]))
P
say lathe eval c --checklist suite.jsonl --checklist-labels 'sad,(neutral),glad' --limit 1 --quiet
echo '--- a model that continues texts'
mkdir m
cp "$ROOT"/tests/golden/llama/config.json "$ROOT"/tests/golden/llama/model.safetensors m
cp "$ROOT"/tests/golden/eval/tokenizer.json m
echo '{"bos_token": "<s>", "eos_token": "</s>"}' > m/tokenizer_config.json
cat > words.jsonl <<'Y'
{"test": "old", "type": "MFT", "capability": "Words", "labels": [0, 1, 0, 1], "data": ["the old mill", "the old man", "the old cat", "the old dog"]}
{"test": "same", "type": "INV", "capability": "Words", "data": [["the old mill", "the old man", "the cat"], ["a ham", "the ham"], ["Zebra", "the ham"]]}
Y
say lathe eval m --checklist words.jsonl --checklist-labels ham,rain --checklist-prompt '{{text}} ate the' --quiet
lathe quantize m --to f32 --no-quality --out m.gguf --quiet > made
lathe eval m.gguf --checklist words.jsonl --checklist-labels ham,rain --checklist-prompt '{{text}} ate the' --quiet | cmp - said && echo 'the same of a GGUF file'
of() { lathe eval m --checklist words.jsonl --checklist-labels ham,rain --checklist-prompt '{{text}} ate the' --quiet --batch $1 --threads $2 --out o$1.$2 > /dev/null; sed '/"date":/d' o$1.$2/*.json > o$1.$2.json; }
of 1 1
for b in 8 64; do
    for t in 1 2; do
        of $b $t
        cmp o1.1.json o$b.$t.json && echo "same with batch $b and $t threads"
    done
done
echo '--- what cannot be'
say lathe eval m --checklist words.jsonl --checklist-labels ham
say lathe eval m --checklist words.jsonl --checklist-labels ham,rain --checklist-prompt 'the'
say lathe eval c --checklist suite.jsonl
say lathe eval c --checklist suite.jsonl --checklist-labels 'sad,(neutral),glad' --checklist-prompt '{{text}}'
say lathe eval m --checklist words.jsonl --checklist-labels ham,ham
echo '{"test": "t", "type": "MFT", "labels": "pos", "data": ["a", "b"]}' > unusable.jsonl
say lathe eval m --checklist unusable.jsonl
echo '{"test": "t", "type": "MFT", "labels": 1, "data": ["Zebra"]}' > strange.jsonl
say lathe eval m --checklist strange.jsonl --checklist-labels ham,rain --checklist-prompt '{{text}} ate the' --quiet
say lathe eval c --checklist texts.jsonl
say lathe eval c --checklist nowhere.jsonl
say lathe eval --checklist suite.jsonl
say lathe eval c --checklist-labels a,b
