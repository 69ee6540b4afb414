# The page of a run, made when it ends and again later; a file name is text and no markup.
yes 'the quick brown fox jumps over the lazy dog and then sleeps.' | head -n 200 > '<i>text&.txt'
cat > c.yaml <<'Y'
model: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, norm: rmsnorm, act: swiglu, pos: rope}
data: {train: '<i>text&.txt', tokenizer: bytes}
train: {steps: 5, batch: 2, ctx: 16, warmup: 1, eval_every: 2, save_every: 0}
Y
lathe train c.yaml --out run --quiet --threads 1
lathe report run --out page.html; cmp run/report.html page.html && echo the same page
grep -o '&lt;i&gt;text&amp;.txt' page.html; grep -c '<i>' page.html
grep -o '<figcaption>[^<]*' page.html
grep -o 'step [0-9]* of [0-9]*, done' page.html
grep -c 'https\?:\|<script' page.html
rm run/run.json; lathe report run && grep -o 'There is no run.json' run/report.html
lathe report nothing; echo "exit $?"
lathe report run --out nowhere/page.html; echo "exit $?"
