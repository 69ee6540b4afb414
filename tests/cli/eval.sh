# Scores of a small model on tasks: the table, what is wrong with items, the same bits in any company, a run that goes on, refusals.
say() { "$@" > said 2> talk; local rc=$?; sed "s|$ROOT/||g" said talk; echo "exit $rc"; }
mkdir m
cp "$ROOT"/tests/golden/llama/config.json "$ROOT"/tests/golden/llama/model.safetensors m
cp "$ROOT"/tests/golden/eval/tokenizer.json m
echo '{"bos_token": "<s>", "eos_token": "</s>"}' > m/tokenizer_config.json
words=('the cat sat' 'the dog ran' 'a man ate' 'rain on the mat' 'the old mill' 'it ran to the man')
for i in $(seq 0 39); do
    printf '{"q": "%s and %s", "c": ["%s", "a ham", "%s"], "y": %d, "p": %d}\n' "${words[i % 6]}" "${words[i / 6 % 6]}" "${words[(i + 1) % 6]}" "${words[(i + 3) % 6]}" $((i % 3)) $((i / 4))
done > choice.jsonl
task() {
    printf 'task: %s\ndataset_path: json\ndataset_kwargs: {data_files: {test: %s}}\ntest_split: test\ndoc_to_text: "{{q}}"\n' "$1" "$2"
    shift 2
    printf '%s\n' "$@"
}
task choice choice.jsonl 'output_type: multiple_choice' 'doc_to_choice: c' 'doc_to_target: y' 'metric_list: [{metric: acc}, {metric: acc_norm}]' 'metadata: {version: 1.0}' > choice.yaml
task passages choice.jsonl 'output_type: multiple_choice' 'doc_to_choice: c' 'doc_to_target: y' 'metric_list: [{metric: acc}]' 'metadata: {version: 2, cluster: p}' > passages.yaml
task answer choice.jsonl 'output_type: generate_until' 'doc_to_target: "{{c[0]}}"' 'generation_kwargs: {until: ["\n"], max_gen_toks: 6, do_sample: false}' \
    'metric_list: [{metric: exact_match}]' 'filter_list: [{name: word, filter: [{function: regex, regex_pattern: "(to|on)"}, {function: take_first}]}]' 'metadata: {version: 1.0}' > answer.yaml
echo '--- scores'
say lathe eval m --tasks choice.yaml,passages.yaml,answer.yaml --quiet --threads 1
say lathe eval m --tasks choice.yaml --limit 10 --num-fewshot 0 --max-length 16 --add-bos-token true --quiet
echo '--- JSON as lm-evaluation-harness has it'
lathe eval m --tasks choice.yaml,answer.yaml --quiet --json > r.json
python3 - <<'P'
import json
r = json.load(open("r.json"))
print(*sorted(r))
print(r["results"]["choice"].keys() >= {"alias", "acc,none", "acc_stderr,none", "acc_norm,none"}, r["results"]["answer"].keys() >= {"exact_match,word"}, r["n-samples"], r["higher_is_better"])
print(r["lathe"]["complete"], r["lathe"]["conventions"]["prefix"], r["config"]["model"], r["versions"], r["n-shot"])
P
lathe eval m --tasks choice.yaml --limit 10 --quiet --json | python3 -c 'import json, sys; r = json.load(sys.stdin); print(r["n-samples"], r["config"]["limit"])'
echo '--- the same bits in any company'
lathe eval m --tasks choice.yaml,answer.yaml --quiet --threads 1 --batch 1 --out one --log-samples > one.txt
for b in 3 8 64; do
    for t in 1 2; do
        lathe eval m --tasks choice.yaml,answer.yaml --quiet --threads $t --batch $b --out o$b.$t --log-samples | cmp - one.txt
        for f in choice answer; do cmp one/samples_${f}_*.jsonl o$b.$t/samples_${f}_*.jsonl && echo "same with batch $b and $t threads"; done
    done
done
echo '--- samples with the hashes that lm-evaluation-harness gives them'
python3 - <<'P'
import glob, hashlib, json
sha = lambda s: hashlib.sha256(s.encode()).hexdigest()
hashes = json.load(open(glob.glob("one/results_*.json")[0]))["task_hashes"]
for task in ("choice", "answer"):
    lines = [json.loads(s) for s in open(glob.glob(f"one/samples_{task}_*.jsonl")[0])]
    ok = all(s["doc_hash"] == sha(json.dumps(s["doc"], indent=2, ensure_ascii=False)) and s["prompt_hash"] == sha(s["arguments"]["gen_args_0"]["arg_0"]) and s["target_hash"] == sha(s["target"]) for s in lines)
    print(task, len(lines), ok, hashes[task] == sha("".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in lines)), [s["doc_id"] for s in lines] == list(range(40)))
    print(sorted(lines[0]))
P
echo '--- a run that goes on'
wc -l < one/replies.jsonl
for n in 1 5 60; do
    mkdir -p part$n
    { head -n $n one/replies.jsonl; sed -n "$((n + 1))p" one/replies.jsonl | head -c 30; } > part$n/replies.jsonl
    lathe eval m --tasks choice.yaml,answer.yaml --threads 1 --out part$n --log-samples 2> talk | cmp - one.txt
    grep -o '[0-9]* of [0-9]* items were answered already' talk
    for f in choice answer; do cmp one/samples_${f}_*.jsonl part$n/samples_${f}_*.jsonl && echo same; done
done
lathe eval m --tasks choice.yaml,answer.yaml --threads 1 --out one 2>&1 > /dev/null | grep -o '80 of 80 items were answered already'
say lathe eval m --tasks choice.yaml,answer.yaml --limit 5 --out one
say lathe eval m --tasks choice.yaml,answer.yaml --max-length 32 --out one
say lathe eval m --tasks choice.yaml --out one
echo '--- a run that is stopped'
for i in $(seq 200); do sed "s/the cat sat and/the cat sat $((i % 7)) and/; s/[0-9] and/and/" choice.jsonl; done > many.jsonl
sed 's/choice.jsonl/many.jsonl/; s/task: choice/task: many/' choice.yaml > many.yaml
lathe eval m --tasks many.yaml --threads 1 --batch 1 --out many --quiet > stopped.txt 2> talk &
until [ -s many/replies.jsonl ] && [ "$(wc -l < many/replies.jsonl)" -gt 10 ]; do sleep 0.02; done
kill -INT $!; wait $!; echo "exit $?"
grep -o 'many: INCOMPLETE' stopped.txt
sed 's/[0-9][0-9]* of/N of/' talk
lathe eval m --tasks many.yaml --threads 1 --out many --quiet > a; echo "exit $?"
lathe eval m --tasks many.yaml --quiet | cmp - a && echo 'the same scores as without a stop'
echo '--- items that are wrong'
{ head -n 3 choice.jsonl; echo '{"q": "the cat", "c": ["a", "the"], "y": 7}'; echo '{"q": "the cat", "c": ["a", "Zebra"], "y": 0}'; echo '{"q": "the cat", "y": 0}'; } > bad.jsonl
sed 's/choice.jsonl/bad.jsonl/; s/task: choice/task: bad/' choice.yaml > bad.yaml
say lathe eval m --tasks bad.yaml --quiet --out bad --log-samples
grep -c '"error"' bad/samples_bad_*.jsonl
echo '--- texts'
say lathe eval m --tasks answer.yaml --predict-only --limit 2 --gen-kwargs temperature=1,max_gen_toks=3 --seed 5 --quiet --out texts
grep -o '"resps": \[\[[^]]*\]\]' texts/samples_answer_*.jsonl
say lathe eval m --tasks answer.yaml --gen-kwargs temperature=1,beams=3
say lathe eval m --tasks answer.yaml --gen-kwargs temperature=hot
echo '--- what cannot be'
say lathe eval m
say lathe eval m --tasks nothing_of_the_kind
say lathe eval m --tasks choice.yaml --data choice
say lathe eval m --tasks choice.yaml --log-samples
say lathe eval m --tasks choice.yaml --apply-chat-template
say lathe eval "$ROOT"/tests/golden/vit --tasks choice.yaml
say lathe eval "$ROOT"/tests/golden/classes/llama --tasks choice.yaml
lathe eval --tasks list | grep -c .
echo '--- options of another mode'
say lathe eval m --tasks choice.yaml --flips 3
say lathe eval m --tasks choice.yaml --strengths abc
say lathe eval m --tasks choice.yaml --margin 0.1
say lathe eval m --tasks choice.yaml --groups=
say lathe eval m --images i --attack pgd --steps 3
say lathe eval m --checklist s --perturb all
say lathe eval m --texts t --ood u --num-fewshot 2
say lathe eval m --membership a --non-members b --apply-chat-template
say lathe eval m --attack trigger --texts t --trigger ''
say lathe eval m --attack trigger --texts t --trigger x --steps 3
say lathe eval m --attack nosuch --tasks choice.yaml
say lathe eval m m --select --tasks choice.yaml --images i --out q
say lathe eval m --checklist s --out /dev/null/x
say lathe bench serve http://127.0.0.1:9 --scenario server --rate 1 --out /dev/null/x
