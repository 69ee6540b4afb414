# Texts of another kind than a model knows: a classifier's scores and a language model's, what is kept, and what is refused.
python3 - <<'P'
import json, random
r = random.Random(3)
glad, sad, other = "good fine happy bright warm".split(), "bad poor sorry dark cold".split(), "zinc 17 tax % volt".split()

def write(name, n, words, label, least=3, most=8):
    with open(name, "w") as f:
        for i in range(n):
            k = r.randrange(2) if label else 0
            o = {"text": " ".join(r.choice(words[k]) for _ in range(r.randrange(least, most)))}
            f.write(json.dumps(o | ({"label": ["glad", "sad"][k]} if label else {})) + "\n")

write("train.jsonl", 300, (glad, sad), True)
write("test.jsonl", 60, (glad, sad), True)
write("other.jsonl", 50, (other,), False, 1, 5)
open("other.jsonl", "a").write("no object\n" + json.dumps({"text": "long " * 400}) + "\n")
open("lines.txt", "w").write("".join(json.loads(line)["text"] + "\n" for line in open("train.jsonl")))
P
cat > c.yaml <<'Y'
model: {model_type: bert, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 48, max_position_embeddings: 48, initializer_range: 0.1, hidden_act: gelu}
data: {train: train.jsonl, form: label, valid_share: 0.1, vocab_size: 300}
train: {steps: 60, batch: 8, ctx: 48, lr: 5e-3, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
cat > l.yaml <<'Y'
model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 48, max_position_embeddings: 128}
data: {train: lines.txt, vocab_size: 280, valid_share: 0.1}
train: {steps: 60, batch: 8, ctx: 48, lr: 5e-3, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train c.yaml --out classes --quiet > /dev/null && lathe train l.yaml --out words --quiet > /dev/null && echo trained
for m in classes words; do
    run() { lathe eval $m --texts test.jsonl --ood other.jsonl --ood-fit train.jsonl --json --quiet "$@" 2> talk; }
    run --threads 1 --out kept --features-out $m.npz > one.json
    run --threads 3 > three.json
    grep -v '"date"' one.json > a; grep -v '"date"' three.json | cmp - a && echo "$m: the same by 3 threads"
    cat talk
    python3 - $m <<'P'
import json, sys, zipfile
r = json.load(open("one.json"))
o = r["ood"]["other.jsonl"]
print(r["kind"], r["complete"], r["fit"], r["in"], o["n"], o["n_failed"], o["length_matched"]["n"] > 5)
print(*(k if "auroc" in v else f"({k})" for k, v in o["scores"].items()))
print([k for k in ("nll", "knn", "knn.mean") if k in o["scores"] and o["scores"][k]["auroc"] < 0.7], *sorted(zipfile.ZipFile(sys.argv[1] + ".npz").namelist()))
P
done
ls kept | sed 's/_.*//'
lathe eval words --texts test.jsonl --ood other.jsonl --limit 20 --quiet 2> talk | sed 's/[0-9][.][0-9]*/#/g'
say() { "$@" > said 2> talk; local rc=$?; sed "s|$ROOT/||g" said talk; echo "exit $rc"; }
say lathe eval words --texts test.jsonl
say lathe eval --texts test.jsonl --ood other.jsonl
say lathe eval words --ood other.jsonl
say lathe eval words --texts missing --ood other.jsonl
say lathe eval words --texts test.jsonl --ood other.jsonl --ood missing
say lathe eval words --texts test.jsonl --ood other.jsonl --max-length 1 --out none --quiet
ls none
head -1 test.jsonl > a.jsonl; tail -1 lines.txt > b.txt       # one on a side has no interval
lathe eval words --texts a.jsonl --ood b.txt --quiet | sed -n '3,5s/[0-9][.][0-9]*/#/gp'
yes "good fine" | head -20 > same.txt; cp same.txt twice.txt      # a constant score
lathe eval words --texts same.txt --ood twice.txt --quiet | sed -n '1,3p;/length/p'
: > empty; say lathe eval words --texts empty --ood other.jsonl --quiet
say lathe eval words --texts test.jsonl --ood other.jsonl --tasks piqa
