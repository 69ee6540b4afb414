# A tiny run from text to an answer: files that are made, JSON that is printed, the same text from the same seed.
yes 'the quick brown fox jumps over the lazy dog and then sleeps.' | head -n 400 > text.txt
cat > config.yaml <<'Y'
model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 64}
data: {train: text.txt, valid_share: 0.1, vocab_size: 280}
train: {steps: 30, batch: 4, ctx: 32, lr: 1e-2, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train config.yaml --out run --quiet --json --threads 1 > result.json && echo trained
ls run
grep -o '"steps": [0-9]*' result.json
wc -l < run/metrics.jsonl
lathe generate run -p 'the quick brown' -n 12 --temp 0 --quiet --threads 1
lathe generate run -p 'the' -n 8 --seed 7 --quiet --threads 1 > a
lathe generate run -p 'the' -n 8 --seed 7 --quiet --threads 2 > b
cmp a b && echo same text with other threads
lathe embed run -p 'the fox' --quiet --threads 1 > a; lathe embed run -p 'the fox' --quiet --threads 2 | cmp - a && tr ',' '\n' < a | wc -l
lathe info run | head -n 7
printf 'the fox' > t; lathe tokenize run t --json | tr -d ' \n'; echo
lathe train config.yaml --out run --quiet && echo nothing left to do
echo '--- drafts change no byte'
for temp in 0 0.8 1.5; do
    lathe generate run -p 'the quick' -n 40 --temp $temp --quiet --threads 1 > a
    for drafts in '--lookup 8' '--draft run' '--lookup 3 --draft run'; do
        lathe generate run -p 'the quick' -n 40 --temp $temp --quiet --threads 2 $drafts | cmp a - || echo "$drafts at $temp"
    done
done
lathe generate run -p 'the quick' -n 40 --draft run --threads 1 2>&1 > b | grep -c '[0-9]* tokens drafted, [0-9]* of them accepted'
lathe generate run -p 'the quick' -n 40 --lookup 4 --json --threads 1 --quiet | grep -c '"drafted_tokens"\|"accepted_tokens"'
sed 's/vocab_size: 280/vocab_size: 290/' config.yaml > other.yaml
lathe train other.yaml --out other --quiet --json --threads 1 > result.json
lathe generate run -p 'the' --draft other --quiet; echo "exit $?"
