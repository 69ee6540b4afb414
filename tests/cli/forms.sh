# Records: what of the first batch is learned, a run on chats that then talks in their form, and what is wrong by file and line.
cat > template.jinja <<'J'
{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if m.role == 'assistant' %}<|endoftext|>{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}
J
for i in 1 2 3 4 5 6; do
    echo '{"messages": [{"role": "user", "content": "what is the word '$i'?"}, {"role": "assistant", "content": "the word is yes"}, {"role": "user", "content": "sure?"}, {"role": "assistant", "content": "yes"}]}'
done > chat.jsonl
cat > config.yaml <<'Y'
model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64, norm: rmsnorm, act: swiglu, pos: rope}
data: {train: chat.jsonl, template: template.jinja, vocab_size: 300, valid_share: 0}
train: {epochs: 40, batch: 1, ctx: 128, lr: 1e-2, eval_every: 0, save_every: 0, precision: fp32}
Y
shown() { grep -E '^(records|packing|the first|---|\[\[|warning)|\]\]'; }
lathe train config.yaml --dry-run --out dry 2>&1 | shown
lathe train config.yaml --out run --quiet --threads 1 && ls run | grep json
lathe chat run --quiet --temp 0 -n 30 --threads 1 <<< 'what is the word 3?'
echo '--- pairs, and completions from CSV'
echo '{"prompt": "a", "chosen": " good", "rejected": " bad one"}' > pairs.jsonl
sed 's/chat.jsonl, template: template.jinja/pairs.jsonl/' config.yaml > pairs.yaml
lathe train pairs.yaml --dry-run --out dry 2>&1 | shown
printf 'q,a,n\nfirst," one",1\n"second, here"," two",2\n' > table.csv
sed 's/chat.jsonl, template: template.jinja/table.csv, fields: "prompt=q, completion=a"/' config.yaml > table.yaml
lathe train table.yaml --dry-run --out dry 2>&1 | shown
echo '--- wrong'
echo '{"messages": [{"role": "user", "content": "alone"}]}' >> chat.jsonl
lathe train config.yaml --out bad --quiet 2> error; echo "exit $?"; cat error
sed 's/valid_share: 0/valid_share: 0, bad_records: skip/' config.yaml > skip.yaml
lathe train skip.yaml --dry-run --out dry 2>&1 | grep -E '^(records|warning)'
sed 's/ctx: 128/ctx: 20/' skip.yaml > short.yaml
lathe train short.yaml --out bad --quiet 2>&1 | grep 'longer'
