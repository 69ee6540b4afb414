# A whole command on an emulated MI300X (tests/emu/hip_mock.c): the host's tokens, and what is refused, in words.
make -s -C "$ROOT" mock-hip > /dev/null 2>&1; [ -f "$ROOT/build/emu/libamdhip64.so" ] || { echo 'SKIPPED: the mock of HIP needs llvm-19-dev, clang-19 and lld-19' >&2; exit 77; }
export LATHE_HIP_LIB=$ROOT/build/emu/libamdhip64.so LATHE_KFD=$PWD/kfd HIP_MOCK_COUNT=$PWD/count
mkdir -p kfd/0 kfd/1 old/0
echo 'simd_count 0' > kfd/0/properties          # the host
printf 'simd_count 1216\nsimd_per_cu 4\ngfx_target_version 90402\nmax_engine_clk_fcompute 2100\n' > kfd/1/properties
printf 'simd_count 480\nsimd_per_cu 4\ngfx_target_version 90008\n' > old/0/properties
yes 'the quick brown fox jumps over the lazy dog and then sleeps.' | head -n 400 > text.txt
cat > config.yaml <<'Y'
model: {model_type: llama, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 96, max_position_embeddings: 64}
data: {train: text.txt, valid_share: 0.1, vocab_size: 280}
train: {steps: 30, batch: 4, ctx: 32, lr: 1e-2, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train config.yaml --out run --quiet --threads 1 > /dev/null
lathe quantize run --to q8_0 --out q8.gguf --no-quality --quiet > /dev/null
for model in run q8.gguf; do
    lathe generate $model -p 'the quick brown' -n 12 --temp 0 --quiet > cpu
    lathe generate $model -p 'the quick brown' -n 12 --temp 0 --quiet --device hip:0 > hip
    cmp cpu hip && echo "$model: the same text, $(sed 's/[0-9]* launches, //' count)"
    lathe generate $model -p 'the quick brown' -n 12 --temp 0 --quiet --device hip:0 --lookup 4 | cmp cpu - && echo "and with guesses"
done
echo '--- refused'
say() { lathe generate run -p 'the' -n 12 --temp 0 --quiet "$@" 2>&1 > /dev/null | sed "s|$LATHE_HIP_LIB|LIB|g; s/'ctx'/ctx/"; echo "exit ${PIPESTATUS[0]}"; }
say --device gpu:0
say --device hip:7
LATHE_KFD=$PWD/old say --device hip:0
LATHE_KFD=$PWD/none say --device hip:0
say --device hip:0 --kv int8
HIP_MOCK_BYTES=200000 say --device hip:0 | sed -E 's/[0-9.]+ [kM]?B/N kB/g'
LATHE_CUDA_LIB=$PWD/none.so say --device cuda:0 | sed "s|$PWD|DIR|g"
echo '--- lost in the middle: that request fails, in words'
HIP_MOCK_FAIL=150 say --device hip:0 | sed 's/hip:0: .*: /hip:0: ...: /'
