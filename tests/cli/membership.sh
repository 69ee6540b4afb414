# Members told from others by a model that has learned them by heart, and not by one that has hardly seen them; what is confounded, and what is refused.
say() { "$@" > said 2> talk; local rc=$?; cat said; sed "s|$PWD/||g" talk; echo "exit $rc"; }
python3 - <<'END'
import json, random
r = random.Random(1)
words = ["".join(r.choice("bdklmnrst") + r.choice("aeiou") for _ in range(2)) for _ in range(60)]
texts = [" ".join(r.choices(words, k=14)).capitalize() + "." for _ in range(160)]
with open("members.jsonl", "w") as f:
    for t in texts[:80]:
        print(json.dumps({"text": t}), file=f)
    print(json.dumps({"text": texts[0]}), file=f)
    print(json.dumps({"text": texts[159]}), file=f)
    print("{", file=f)
with open("others.txt", "w") as f:
    print("\n\n".join(texts[80:]), file=f)
with open("dated.txt", "w") as f:
    print("\n".join(f"Quite other things happened in {2010 + i % 9}, they say." for i in range(80)), file=f)
END
for steps in 8 240; do cat > s$steps.yaml <<END
model: {hidden_size: 48, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 96, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 32}
data: {train: learned.jsonl, valid_share: 0, tokenizer: bpe, vocab_size: 300}
train: {steps: $steps, batch: 8, ctx: 32, lr: 1e-2, warmup: 5, eval_every: 0, save_every: 0, precision: fp32, on_spike: none}
END
done
head -n 80 members.jsonl > learned.jsonl
for steps in 8 240; do lathe train s$steps.yaml --out run$steps --quiet --threads 1 > /dev/null; done
show='import json, sys
e = json.load(sys.stdin)
c, s = e["counts"], e["scores"]
print(e["kind"], c["members"], c["others"], c["repeated"], c["on_both_sides"], c["members_passed_over"], c["in_windows"] > 0, c["windows"] > c["members"])
print(e["verdict"], e["blind_best"], len(s), *(round(s[k]["auroc"], 1) for k in ("loss", "min_k_20", "min_k_pp_20", "zlib") if k in s), "text" in e["examples"][0], len(e["examples"]))'
echo '--- hardly seen'
lathe eval run8 --membership members.jsonl --non-members others.txt --lines --json --quiet | python3 -c "$show" | sed 's/ 0\.[456]/ chance/g'
echo '--- by heart'
lathe eval run240 --membership members.jsonl --non-members others.txt --lines --reference run8 --json --quiet --out found --log-samples | python3 -c "$show"
lathe eval run240 --membership members.jsonl --non-members others.txt --lines --reference run8 --quiet --threads 1 --batch 3 --show-texts > table
sed -n 1,4p table; grep -E '^(members are|nothing|confounded|beyond)' table; grep -c 'tokens, .*"' table
ls found | sed 's/_20.*\./_DATE./'
python3 - <<'END'
import glob, json
lines = [json.loads(l) for l in open(glob.glob("found/membership_items_*.jsonl")[0])]
print(len(lines), sum(l["member"] for l in lines), sorted(k for k in lines[0] if not k.startswith("min_k")))
END
echo '--- of another kind'
lathe eval run8 --membership members.jsonl --non-members dated.txt --lines --json --quiet | python3 -c "$show" | tail -n 1 | cut -d ' ' -f 1,2
echo '--- refused'
say lathe eval run8 --membership members.jsonl
say lathe eval run8 --non-members others.txt
say lathe eval run8 --membership members.jsonl --non-members others.txt --tasks piqa
say lathe eval run8 --membership members.jsonl --non-members members.jsonl
say lathe eval run8 --membership nowhere.jsonl --non-members members.jsonl
say lathe eval --membership members.jsonl --non-members others.txt
say lathe eval run8 --tasks piqa --lines
say lathe eval run8 --membership members.jsonl --non-members others.txt --log-samples
