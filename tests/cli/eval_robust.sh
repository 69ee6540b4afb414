# Tasks in other forms: the table, what does not apply, the same bits in any company, a run that goes on, refusals.
say() { "$@" > said 2> talk; local rc=$?; sed "s|$ROOT/||g" said talk; echo "exit $rc"; }
mkdir m
cp "$ROOT"/tests/golden/llama/config.json "$ROOT"/tests/golden/llama/model.safetensors m
# a token for each letter, and none for others than those of English: such items fail
python3 - <<'P'
import json
chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234.:)(?,-'!056"
vocab = {"<pad>": 0, "<s>": 1, "</s>": 2, "\u0120": 3, "\u010a": 4} | {c: i + 5 for i, c in enumerate(chars[:66])}
json.dump({"version": "1.0", "added_tokens": [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i, c in enumerate(("<pad>", "<s>", "</s>"))],
           "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, "decoder": {"type": "ByteLevel"},
           "model": {"type": "BPE", "vocab": vocab, "merges": []}}, open("m/tokenizer.json", "w"))
P
echo '{"bos_token": "<s>", "eos_token": "</s>"}' > m/tokenizer_config.json
words=('the Cat sat' 'the dog ran' 'a man ate' 'much rain' 'the old mill' 'it ran out')
for i in $(seq 0 23); do
    printf '{"q": "%s so %s", "c": ["%s", "ham", "%s"], "y": %d, "p": %d}\n' "${words[i % 6]}" "${words[i / 6 % 6]}" "${words[(i + 1) % 6]:4}" "${words[(i + 3) % 6]:2}" $((i % 3)) $((i / 4))
done > choice.jsonl
printf 'task: choice\ndataset_path: json\ndataset_kwargs: {data_files: {test: choice.jsonl}}\ntest_split: test\nfewshot_split: test\ndoc_to_text: "%s"\noutput_type: multiple_choice\n%s\n' \
    'Q: {{q}}\nA. {{c[0]}}\nB. {{c[1]}}\nC. {{c[2]}}\nSo:' 'doc_to_choice: [A, B, C]
doc_to_target: y
metric_list: [{metric: acc}, {metric: brier_score, aggregation: brier_score}]' > choice.yaml
sed 's/task: choice/task: bare/; s/doc_to_text: .*/doc_to_text: ""/' choice.yaml > bare.yaml
echo '--- families, strengths, forms'
say lathe eval m --tasks choice.yaml --perturb keyboard,word-drop,upper,options,labels --strengths 2,5 --num-fewshot 0 --limit 20 --quiet
echo '--- nothing that may change'
say lathe eval m --tasks bare.yaml --perturb drop,options,examples --quiet --num-fewshot 0
echo '--- paraphrases'
printf '{"text": "the Cat sat so the Cat sat", "paraphrase": "the old cat ran"}\n' > said.jsonl
say lathe eval m --tasks choice.yaml --paraphrases said.jsonl --num-fewshot 0 --quiet
echo '--- the same bits in any company'
of() { lathe eval m --tasks choice.yaml --perturb all --num-fewshot 2 --quiet --batch $1 --threads $2 --out o$1.$2 > o$1.$2.txt; sed '/"date":/d' o$1.$2/robustness_*.json > o$1.$2.json; }
of 1 1
for b in 8 64; do
    for t in 1 2; do
        of $b $t
        cmp o1.1.txt o$b.$t.txt && cmp o1.1.json o$b.$t.json && echo "same with batch $b and $t threads"
    done
done
python3 - <<'P'
import json
r = json.load(open("o1.1.json"))
t = r["tasks"][0]
print(r["kind"], r["complete"], t["task"], t["n"], t["fields"], sorted({v["family"] for v in t["variants"]}), [a["family"] for a in t["absent"]])
print({f["name"] for f in r["figures"]} == {"acc", "acc, worst case", "acc, worst", "retention", "flip_rate", "kl", "brier_score", "change", "brier_score, worst case", "brier_score, worst"})
print(sorted(r["examples"][0]), len(r["examples"]) <= 20)
P
echo '--- a run that goes on'
lathe eval m --tasks choice.yaml --perturb text --num-fewshot 0 --quiet --out kept > whole.txt
wc -l < kept/robustness/replies.jsonl
ls kept | sed 's/_.*json/_DATE.json/'
mkdir -p part/robustness
head -n 40 kept/robustness/replies.jsonl > part/robustness/replies.jsonl
lathe eval m --tasks choice.yaml --perturb text --num-fewshot 0 --out part 2> talk | cmp - whole.txt && echo same
grep -o '[0-9]* of [0-9]* items were answered already' talk
echo '--- what cannot be'
say lathe eval m --tasks choice.yaml --perturb keybord
say lathe eval m --tasks choice.yaml --perturb all --strengths 0
say lathe eval m --tasks choice.yaml --paraphrases choice.jsonl
echo '{"text": "nowhere", "paraphrase": "somewhere"}' > other.jsonl
say lathe eval m --tasks choice.yaml --paraphrases other.jsonl --num-fewshot 0 --quiet
say lathe eval m --tasks choice.yaml --perturb all --predict-only --out x
