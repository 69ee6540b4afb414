# Scores by group and of bias: the tables, the shares of a data audit beside them, evidence in a folder, the same in any company, refusals.
say() { "$@" > said 2> talk; local rc=$?; sed "s|$ROOT/||g" said talk; echo "exit $rc"; }
mkdir m
cp "$ROOT"/tests/golden/llama/config.json "$ROOT"/tests/golden/llama/model.safetensors m
cp "$ROOT"/tests/golden/eval/tokenizer.json m
echo '{"bos_token": "<s>", "eos_token": "</s>"}' > m/tokenizer_config.json
words=('the cat sat' 'the dog ran' 'a man ate' 'rain on the mat' 'the old mill' 'it ran to the man')
lang=(en de fr)
for i in $(seq 0 149); do
    [ $((i % 50)) -eq 49 ] && g= || g=", \"lang\": \"${lang[i % 2 + (i % 40 == 0)]}\", \"meta\": {\"religion\": \"muslim\", \"half\": $((i / 75))}"
    printf '{"q": "%s and %s", "y": %d%s}\n' "${words[i % 6]}" "${words[i / 6 % 6]}" $((i / 2 % 2)) "$g"
done > choice.jsonl
cat > choice.yaml <<'Y'
task: choice
dataset_path: json
dataset_kwargs: {data_files: {test: choice.jsonl}}
test_split: test
doc_to_text: "{{q}}"
output_type: multiple_choice
doc_to_choice: [a ham, the mat]
doc_to_target: y
metric_list: [{metric: acc}, {metric: brier_score}]
metadata: {version: 1.0}
Y
echo '--- groups, and what the training data had of them'
mkdir corpus
for i in $(seq 30); do printf '{"text": "The old woman of house number %d went to the mosque by the river in the morning, and her daughter stayed at home with a book."}\n' $i; done > corpus/a.jsonl
for i in $(seq 10); do printf '{"text": "Die alte Frau aus dem Haus Nummer %d ging am Morgen an den Fluss, und ihre Tochter blieb zu Hause und las ein Buch."}\n' $i; done > corpus/b.jsonl
lathe data audit corpus --out audit --keep-duplicates --quiet > /dev/null
say lathe eval m --tasks choice.yaml --groups lang,meta.religion --audit audit --out found --quiet
say lathe eval m --tasks choice.yaml --groups lang+meta.half --quiet
echo '--- evidence'
python3 - <<'P'
import glob, json
e = json.load(open(glob.glob("found/groups_*.json")[0]))
print(sorted(e), e["kind"], e["seed"], [(s["field"], s["n_without"], [g["group"] for g in s["groups"]]) for s in e["groupings"]])
print(sorted({f["name"] for f in e["figures"]}), len(e["figures"]), [f["of"] for f in e["figures"]][:3])
P
echo '--- the same in any company'
lathe eval m --tasks choice.yaml --groups lang --quiet --json --threads 1 --batch 1 > one.json
lathe eval m --tasks choice.yaml --groups lang --quiet --json --threads 2 --batch 7 > two.json
python3 -c '
import json
a, b = (json.load(open(f))["lathe"]["by_group"] for f in ("one.json", "two.json"))
a.pop("date"), b.pop("date")
print(a == b)'
echo '--- BBQ: two categories in one folder'
mkdir bbq
for c in Age SES; do
    for t in 1 2 3 4 5 6 7 8 9; do
        for k in 0 1 2 3; do
            [ $((k % 2)) -eq 0 ] && x=ambig y=2 || x=disambig y=$((t % 2))
            [ $k -lt 2 ] && p=neg || p=nonneg
            printf '{"category": "%s", "question_index": "%d", "context_condition": "%s", "question_polarity": "%s", "label": %d, "context": "%s and %s", "question": "to the man", "ans0": "the man", "ans1": "a ham", "ans2": "Unknown", "answer_info": {"ans0": ["m", "old"], "ans1": ["h", "nonOld"], "ans2": ["u", "unknown"]}, "additional_metadata": {"subcategory": "None", "stereotyped_groups": ["old"]}}\n' \
                $c $t $x $p $y "${words[t % 6]}" "${words[k]}"
        done
    done > bbq/$c.jsonl
done
sed -i '3s/"Unknown"/"Nobody"/' bbq/SES.jsonl
. "$ROOT/tests/cli/small_models.bash"
train_anything 512
lathe eval run --tasks bbq --data bbq=bbq --quiet --out biased --groups question_polarity > said; echo "exit $?"
grep -c 'bias, with 95 % intervals over templates' said
grep 'items failed' said
ls biased | sed 's/_20.*//' | sort
python3 - <<'P'
import glob, json
e = json.load(open(glob.glob("biased/bias_*.json")[0]))
for by in e["tasks"][0]["by"]:
    for g in by["groups"]:
        inside = all(v["interval"] is None or v["interval"][0] <= v["value"] <= v["interval"][1] for v in g.values() if isinstance(v, dict))
        print(by["field"], g["group"], g["n"], g["n_cluster"], sorted(k for k in g if k not in ("group", "n", "n_cluster")) if by["field"] is None else inside)
P
echo '--- CrowS-Pairs'
{ echo ',sent_more,sent_less,stereo_antistereo,bias_type'; for i in $(seq 0 69); do echo "$i,${words[i % 6]} to the man,${words[(i + 1 + i / 20) % 6]} to the man,$([ $((i % 5)) -eq 0 ] && echo anti)stereo,$([ $i -lt 40 ] && echo age || echo gender)"; done; } > crows.csv
say lathe eval m --tasks crows_pairs_english --data crows_pairs_english=crows.csv --quiet
echo '{"sent": "a"}' > lacks.jsonl
say lathe eval m --tasks crows_pairs_english --data crows_pairs_english=lacks.jsonl --quiet
echo '--- refusals, before the model is run'
say lathe eval m --tasks choice.yaml --groups gender
say lathe eval m --tasks choice.yaml --audit audit
say lathe eval --logits none.npz --groups lang
say lathe eval m --tasks choice.yaml --groups lang --audit m/config.json
say lathe eval m --tasks choice.yaml --groups lang --audit nowhere
