# A conversation with a model that learned three answers: from a pipe, with commands, from a file of messages.
mkdir texts
q=('hello' 'name?' 'bye') a=('hi there' 'small model' 'see you')
for i in $(seq 600); do
    x=$((i % 3)) y=$((i / 3 % 3)) z=$((i / 9 % 3))
    printf 'Q: %s\nA: %s' "${q[x]}" "${a[x]}" > texts/$i
    [ $((i / 27 % 10)) -lt 7 ] || printf '\nQ: %s\nA: %s' "${q[y]}" "${a[y]}" >> texts/$i
    [ $((i / 27 % 10)) -lt 9 ] || printf '\nQ: %s\nA: %s' "${q[z]}" "${a[z]}" >> texts/$i
done
cat > config.yaml <<'Y'
model: {hidden_size: 48, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 96, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 96}
data: {train: texts, valid_share: 0.1, vocab_size: 290}
train: {steps: 250, batch: 16, ctx: 48, lr: 1e-2, warmup: 5, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train config.yaml --out run --quiet --json --threads 1 > result.json && echo trained
lathe chat run --quiet < /dev/null 2>&1 | cut -c1-60
cat > run/chat_template.jinja <<'J'
{{ '<|endoftext|>' }}
{%- for m in messages -%}
{%- if m.role == 'user' %}{{ 'Q: ' + m.content + '\nA:' }}
{%- elif m.role == 'assistant' %}{{ m.content + '\n' }}
{%- elif m.content == 'no' %}{{ raise_exception('this system message is not for me') }}
{%- else %}{{ m.content + '\n' }}
{%- endif -%}
{%- endfor -%}
J
echo '--- a pipe: a message a line'
printf 'hello\nname?\n\nbye\n' | lathe chat run --temp 0 --quiet --threads 1
echo '--- commands'
cat > script <<'S'
/help
hello
/tokens
/undo
/undo
/tokens
/temp
/temp 0.5
/temp
/temp hot
/temp 0
/seed -1
/sytem x
/nothing
/max 1
hello
/max 0
/retry
/system no
/system
hello
/clear
/system Q: bye
name?
/save talk.json
/clear
/load talk.json
bye
"""
name?
"""
/system two \
lines
/save lines.json
/load missing.json
/exit
never reached
S
lathe chat run --temp 0 --quiet --threads 1 --interactive < script 2>&1
cat talk.json
grep two lines.json
echo '--- what the cache kept changes no answer'
printf 'hello\nname?\nbye\nname?\n' | lathe chat run --temp 0 --quiet --threads 1 > once
printf '[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "%s"}, {"role": "user", "content": "name?"}]' "$(head -n 1 once)" > two.json
lathe chat run --temp 0 --quiet --threads 2 --messages two.json | cmp - <(sed -n 2p once) && echo the same
echo '--- messages in a file'
printf '[{"role": "user", "content": [{"type": "text", "text": "bye"}]}]' > messages.json
lathe chat run --temp 0 --quiet --threads 1 --messages messages.json
lathe chat run --temp 0 --quiet --threads 1 --messages messages.json --json | grep -v '_s"'
printf '{"messages": [{"role": "user"}]}' > wrong.json
lathe chat run --quiet --messages wrong.json; echo "exit $?"
lathe chat run --quiet --json < /dev/null; echo "exit $?"
echo '--- what is typed is text'
printf '<|endoftext|>\n' | lathe chat run --temp 0 --quiet --threads 1 -n 1 > /dev/null && echo answered
echo '--- more than fits'
yes hello | head -n 99 | tr '\n' ' ' | lathe chat run --quiet --threads 1; echo "exit $?"
echo '--- drafts change no answer'
printf 'hello\nname?\nbye\nname?\n' | lathe chat run --temp 0 --quiet --threads 1 --lookup 4 --draft run | cmp - once && echo the same
