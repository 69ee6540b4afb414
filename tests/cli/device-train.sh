# Training on an emulated MI300X (tests/emu/hip_mock.c): losses as the host's but for rounding, the same bits after a stop and after a kill, what is refused, in words.
make -s -C "$ROOT" mock-hip > /dev/null 2>&1; [ -f "$ROOT/build/emu/libamdhip64.so" ] || { echo 'SKIPPED: the mock of HIP needs llvm-19-dev, clang-19 and lld-19' >&2; exit 77; }
export LATHE_HIP_LIB=$ROOT/build/emu/libamdhip64.so LATHE_KFD=$PWD/kfd HIP_MOCK_COUNT=$PWD/count
mkdir -p kfd/0
printf 'simd_count 1216\nsimd_per_cu 4\ngfx_target_version 90402\nmax_engine_clk_fcompute 2100\n' > kfd/0/properties
yes 'the quick brown fox jumps over the lazy dog and then sleeps.' | head -n 40 > text.txt
cat > dense.yaml <<'Y'
model: {model_type: llama, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, intermediate_size: 40, max_position_embeddings: 16, tie_word_embeddings: true}
data: {train: text.txt, valid_share: 0.1, tokenizer: bytes}
train: {steps: 5, batch: 2, ctx: 16, accumulate: 2, slices: 1, lr: 1e-2, warmup: 1, eval_every: 3, save_every: 2, eval_tokens: 40, recompute: none, sample_every: 4, sample_prompt: the}
Y
sed 's/recompute: none/recompute: block/; s/accumulate: 2/accumulate: 1/' dense.yaml > again.yaml
sed 's/model_type: llama, //; s/tie_word_embeddings: true/num_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 24, norm: rmsnorm, act: swiglu, pos: rope, norm_topk_prob: true, router_aux_loss_coef: 0.01, e_score_correction_bias: true, scoring_func: sigmoid/; s/save_every: 2/&, save: wait/' dense.yaml > moe.yaml
sed 's/, e_score_correction_bias: true, scoring_func: sigmoid/, router_z_loss_coef: 0.001/; s/recompute: none/recompute: block/; s/sample_every: 4/sample_every: 0/' moe.yaml > softmax.yaml
near() { python3 - "$@" <<'P'
import json, sys
a, b = [[json.loads(l) for l in open(f + '/metrics.jsonl')] for f in sys.argv[1:3]]
keys = ['loss', 'grad_norm', 'valid_loss', 'aux_loss']
pairs = [(x[k], y[k]) for x, y in zip(a, b) for k in keys if k in x]
assert len(a) == len(b) and all(x.keys() == y.keys() for x, y in zip(a, b)), 'other lines'
worst = max(abs(x / y - 1) for x, y in pairs)
print(len(pairs), 'losses and norms within a hundredth' if worst < 0.01 else 'differ by %g' % worst)
for x, y in zip(a, b):
    for p, q in zip(x.get('experts', []), y.get('experts', [])):
        assert all(abs((p[k] or 0) - (q[k] or 0)) < 0.01 + 0.2 * k.startswith('load') for k in p), (p, q)
P
}
for name in dense again moe softmax; do
    lathe train $name.yaml --out $name --quiet --threads 1
    lathe train $name.yaml --out $name-hip --quiet --threads 1 --device hip:0; echo "$name: exit $?"
    near $name $name-hip
    sed 's/[0-9]* launches, //' count
done
launches=$(HIP_MOCK_COUNT=$PWD/all lathe train dense.yaml --out counted --quiet --threads 1 --device hip:0; cut -d' ' -f1 all)
cmp dense-hip/model.safetensors counted/model.safetensors && echo 'the same again'
lathe generate dense-hip -p 'the quick' -n 1 --quiet > /dev/null && echo 'and the model is one'
echo '--- the device is lost after some steps: the same command goes on from the checkpoint, to the same bits'
HIP_MOCK_FAIL=$((launches * 7 / 10)) lathe train dense.yaml --out lost --quiet --threads 1 --device hip:0 2>&1 | sed 's/hip:0: .*: /hip:0: ...: /'; echo "exit ${PIPESTATUS[0]}"
lathe train dense.yaml --out lost --threads 2 --device hip:0 2>&1 | grep -o 'going on from step'
cmp dense-hip/model.safetensors lost/model.safetensors && echo 'the same model'
cmp dense-hip/checkpoints/latest lost/checkpoints/latest; for f in dense-hip lost; do cat $f/checkpoints/*5/optimizer.safetensors | sha256sum; done | uniq | wc -l
cp -r moe-hip rest; rm -r rest/checkpoints/*5 rest/*.safetensors; printf step-0000000004 > rest/checkpoints/latest
lathe train moe.yaml --out rest --threads 2 --device hip:0 2>&1 | grep -o 'going on from step 4'
cmp moe-hip/model.safetensors rest/model.safetensors && echo 'with experts, too'
echo '--- refused before anything is read'
say() { # a change of the settings, of data that are not there
    sed "s/text.txt/none.txt/; $1" dense.yaml > refused.yaml; [ -n "${2-}" ] && echo "$2" >> refused.yaml
    lathe train refused.yaml --out refused --quiet --device hip:0; echo "exit $?"; [ -e refused ] && echo 'something was made'; rm -rf refused
} 2>&1
say 's/train: {/&precision: fp32, /'
say 's/train: {/&optimizer: muon, /'
say 's/train: {/&optimizer_state: bf16, /'
say 's/train: {/&ema: 0.9, /'
say 's/train: {/&verify_every: 2, /'
say 's/slices: 1/slices: 2/'
say 's/model: {/&dropout: 0.1, /'
say 's/data: {/&form: label, /; s/eval_tokens: 40, //'
say 's/train: {/&seed: 5, /' 'privacy: {noise_multiplier: 1, max_grad_norm: 1, delta: 1e-5}'
say 's/hidden_size: 32/&, head_dim: 6/'
say 's/hidden_size: 32/hidden_size: 36/'
echo '--- room'
room() { sed "s/recompute: [a-z]*/recompute: $2/" dense.yaml > room.yaml; HIP_MOCK_BYTES=$1 lathe train room.yaml --out room --dry-run --threads 1 --device hip:0 2>&1 | grep "hip:0" | sed -E 's/[0-9.]+ [kM]?B/N kB/g'; }
room 180000 none
room 180000 auto
room 90000 auto
