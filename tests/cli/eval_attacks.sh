# Attacks on tokens of small models, and prompts that try to take one over: what is told, files, the same bits by other threads, refusals.
say() { "$@" > said 2> talk; local rc=$?; sed "s|$ROOT/||g" said talk; echo "exit $rc"; }
mkdir m
cp "$ROOT"/tests/golden/llama/config.json "$ROOT"/tests/golden/llama/model.safetensors m
cp "$ROOT"/tests/golden/eval/tokenizer.json m
echo '{"bos_token": "<s>", "eos_token": "</s>", "chat_template": "{% for m in messages %}{{ m.content }} {% endfor %}on"}' > m/tokenizer_config.json
words=('the cat sat' 'the dog ran' 'a man ate' 'rain on the mat' 'the old mill' 'it ran to the man')
for i in $(seq 0 11); do
    printf '{"q": "%s and %s", "c": ["%s", "a ham", "%s"], "y": %d}\n' "${words[i % 6]}" "${words[i / 6 % 6]}" "${words[(i + 1) % 6]}" "${words[(i + 3) % 6]}" $((i % 3))
done > choice.jsonl
printf '%s\n' 'task: choice' 'dataset_path: json' 'dataset_kwargs: {data_files: {test: choice.jsonl}}' 'test_split: test' 'doc_to_text: "{{q}}"' 'output_type: multiple_choice' 'doc_to_choice: c' \
    'doc_to_target: y' 'metric_list: [{metric: acc}]' 'metadata: {version: 1.0}' > choice.yaml
echo '--- hotflip'
lathe eval m --tasks choice.yaml --attack hotflip --candidates 32 --flips 6 --quiet --threads 1 --out one > one.txt; echo "exit $?"
lathe eval m --tasks choice.yaml --attack hotflip --candidates 32 --flips 6 --quiet --threads 2 --batch 3 | cmp - one.txt && echo "the same by 2 threads and batch 3"
head -1 one.txt | sed 's/[0-9][0-9]*/N/g'
python3 - <<'P'
import glob, json
e = json.load(open(glob.glob("one/attacks_*.json")[0]))
a, = e["attacks"]
print(e["kind"], e["seed"], [f["name"] for f in e["figures"]], a["n"] == a["already"] + a["fooled"] + a["kept"] + a["n_unfit"] == len(a["items"]), a["fooled"] > 0)
f = {x["name"]: x for x in e["figures"]}
print(f["attack_success_rate"]["value"] == a["fooled"] / (a["fooled"] + a["kept"]), f["accuracy_under_attack"]["value"] <= f["accuracy"]["value"], a["budget"], len(e["caveats"]))
print(all(x["before"] != x["after"] and x["tokens_changed"] <= 6 for x in e["examples"] if x["fooled"]))
P
echo '--- gcg'
printf '%s\n' '{"prompt": "the cat sat on", "target": "a mat"}' '{"prompt": "the dog"}' > targets.jsonl
lathe eval m --attack gcg --targets targets.jsonl --steps 5 --suffix 3 --candidates 8 --gradient-top-k 8 --quiet --json --threads 1 | sed '/"date"/d' > g1.json
lathe eval m --attack gcg --targets targets.jsonl --steps 5 --suffix 3 --candidates 8 --gradient-top-k 8 --quiet --json --threads 2 | sed '/"date"/d' | cmp - g1.json && echo "the same by 2 threads"
python3 -c 'import json; a, = json.load(open("g1.json"))["attacks"]; print(a["budget"], a["unfit"])'
echo '--- injections'
printf '%s\n' '{"prompt": "the cat sat", "group": "a", "expected": ["t", "a"]}' '{"prompt": "the dog", "group": "b"}' > inj.jsonl
say lathe eval m --injections inj.jsonl --system-instruction "the mill is old" --max-tokens 6 --quiet --out inj
ls inj | sed 's/_20.*[.]/_DATE./'
sed 's/"judged":true/"judged":true,"label":true/; 2s/"judged"/"label":false,"judged"/' inj/attempts_*.jsonl > labels.jsonl
lathe eval m --injections inj.jsonl --system-instruction "the mill is old" --max-tokens 6 --quiet --judge-labels labels.jsonl | grep -a 'judge\|corrected'
echo '--- refusals'
say lathe eval m --attack hotflip
say lathe eval m --attack gcg --tasks choice.yaml
say lathe eval m --attack hotflip,pgd --tasks choice.yaml
say lathe eval m --attack pgd --tasks choice.yaml
say lathe eval m --attack trigger --texts choice.jsonl
say lathe eval m --targets targets.jsonl
say lathe eval m --injections targets.json
say lathe eval m --injections inj.jsonl --canary TULIP --system-instruction "the mill"
say lathe eval --injections inj.jsonl
say lathe eval m --canary TULIP --tasks choice.yaml
say lathe eval m --attack hotflip --tasks choice.yaml --log-samples --out x
printf '{"prompt": "the dog", "target": ""}\n' > empty.jsonl
say lathe eval m --attack gcg --targets empty.jsonl
say lathe eval m --attack gcg --targets targets.jsonl --flips 2
echo '--- stopped'
for i in $(seq 2000); do echo '{"prompt": "the cat", "group": "a", "expected": ["zebra"]}'; done > many.jsonl
lathe eval m --injections many.jsonl --system-instruction "the" --max-tokens 40 --tries 100 --batch 1 --threads 1 --quiet --out stopped > table 2> talk & p=$!
until [ -n "$(ls -A stopped 2> talk2)" ]; do sleep 0.02; done
kill -INT $p; wait $p; echo "exit $?"
head -1 table | sed 's/after [0-9]* of/after N of/'
python3 -c 'import glob, json; print(json.load(open(glob.glob("stopped/injections_*.json")[0]))["complete"], json.load(open(glob.glob("inj/injections_*.json")[0]))["complete"], json.load(open("g1.json"))["complete"])'
