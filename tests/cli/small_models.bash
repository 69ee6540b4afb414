# Small models for the tests of this folder, trained in a second or two, and what servers of them need.  Sourced: . "$ROOT/tests/cli/small_models.bash"

# run: answers three questions of the form "Q: hello\nA: hi there"; config.yaml made it.
train_answers() {
    mkdir texts
    q=('hello' 'name?' 'bye') a=('hi there' 'small model' 'see you')
    for i in $(seq 400); do printf 'Q: %s\nA: %s' "${q[i % 3]}" "${a[i % 3]}" > texts/$i; done
    cat > config.yaml <<'Y'
model: {hidden_size: 48, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 96, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: 128}
data: {train: texts, valid_share: 0.1, vocab_size: 290}
train: {steps: 120, batch: 16, ctx: 48, lr: 1e-2, warmup: 5, eval_every: 0, save_every: 0, precision: fp32}
Y
    lathe train config.yaml --out run --quiet --json --threads 1 > result.json 2> warnings && echo trained
}

# run: says anything, at $1 positions; config.yaml made it.
train_anything() {
    mkdir texts
    for i in $(seq 60); do echo "a text of number $i" > texts/$i; done
    cat > config.yaml <<Y
model: {hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, norm: rmsnorm, act: swiglu, pos: rope, max_position_embeddings: $1}
data: {train: texts, valid_share: 0.1, vocab_size: 270}
train: {steps: 1, batch: 2, ctx: 16, eval_every: 0, save_every: 0, precision: fp32}
Y
    lathe train config.yaml --out run --quiet --threads 1 > result 2> warnings && echo trained
}

# images and labels (idx files) of 40 squares of 8 by 8, and images.yaml, which makes a model that tells dark from bright ones.
make_images() {
    square() { head -c 64 /dev/zero | tr '\0' "\\$1"; }
    printf '\0\0\010\003\0\0\0\050\0\0\0\010\0\0\0\010' > images
    printf '\0\0\010\001\0\0\0\050' > labels
    for i in 0 1 2 3 4 5 6 7 8 9; do
        square 00$i; square 37$((i % 8)); square 01$((i % 8)); square 36$((i % 8))
        printf '\0\001\0\001' >> labels
    done >> images
    cat > images.yaml <<'Y'
model: {model_type: vit, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24, patch_size: 4, initializer_range: 0.1}
data: {train: [images, labels], labels: [dark, bright], valid_share: 0.25}
train: {steps: 30, batch: 8, lr: 1e-2, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
}

# After a server was started with --port-file port: until it can be asked.  It does not outlive the test.
wait_for_server() {
    server=$!
    trap 'kill -9 $server 2>/dev/null' EXIT
    for _ in $(seq 300); do [ -s port ] && break; sleep 0.1; done
}
