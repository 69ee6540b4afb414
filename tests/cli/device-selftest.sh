# lathe selftest on an emulated MI300X: its report; a kernel that is wrong is not used from then on, in words, until a test finds it right; limits of the device.
make -s -C "$ROOT" mock-hip > /dev/null 2>&1; [ -f "$ROOT/build/emu/libamdhip64.so" ] || { echo 'SKIPPED: the mock of HIP needs llvm-19-dev, clang-19 and lld-19' >&2; exit 77; }
export LATHE_HIP_LIB=$ROOT/build/emu/libamdhip64.so LATHE_KFD=$PWD/kfd XDG_CACHE_HOME=$PWD/cache HIP_MOCK_NAME='AMD Instinct MI300X'
mkdir -p kfd/0 kfd/1
echo 'simd_count 0' > kfd/0/properties          # the host
printf 'simd_count 1216\nsimd_per_cu 4\ngfx_target_version 90402\nmax_engine_clk_fcompute 2100\n' > kfd/1/properties
yes 'the quick brown fox jumps over the lazy dog and then sleeps.' | head -n 100 > text.txt
cat > config.yaml <<'Y'
model: {model_type: llama, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 96, max_position_embeddings: 64}
data: {train: text.txt, valid_share: 0.1, vocab_size: 270}
train: {steps: 5, batch: 4, ctx: 32, lr: 1e-2, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train config.yaml --out run --quiet --threads 1 > /dev/null
generate() { lathe generate run -p 'the quick' -n 6 --temp 0 --device hip:0; }
lathe generate run -p 'the quick' -n 6 --temp 0 --quiet > cpu
echo '--- right'
lathe selftest --device hip:0 --only small --quiet --out right.json
echo "exit $?"
grep -E '"(lathe|name|arch|driver|multiprocessors|only|wrong|predicted_by)":' right.json | sort -u | grep -v '"name": "[a-z]' | sed 's/"[0-9.]*"/"N"/'
lathe plan --learn right.json 2>&1
echo '--- a wrong kernel that another can stand in for'
HIP_MOCK_WRONG=gemv_f32_8 lathe selftest --device hip:0 --only small --quiet 2>&1 | grep -E 'wrong on|rows are wrong' | sed 's/[0-9]* rows/N rows/'
generate 2> said | cmp - cpu && echo 'the same text'
grep 'gemv' said
long() { lathe generate run -p 'the quick brown fox jumps over the lazy dog' -n 4 --temp 0 --precision bf16 --device hip:0; }
long 2> /dev/null > bf16
HIP_MOCK_WRONG=many_bf16_4 lathe selftest --device hip:0 --only small --quiet 2>&1 | grep -o 'many_bf16_4 is wrong'
long 2> said | cmp - bf16 && echo 'the same text of a long prompt'
grep -c 'failed the self test' said
echo '--- one that none can'
HIP_MOCK_WRONG=rmsnorm lathe selftest --device hip:0 --only small --quiet 2>&1 | grep 'wrong on'
generate 2>&1 | grep -v gemv | grep rmsnorm           # before a weight is sent
echo '--- right again'
lathe selftest --device hip:0 --only small --quiet
generate 2> said | cmp - cpu && grep -c selftest said
echo damaged > cache/lathe/selftest.json
generate 2>&1 > /dev/null | grep -o 'whether its kernels passed their self test is not known'
rm cache/lathe/selftest.json
echo '--- limits are those of the device'
bench() { lathe bench run --device hip:0 -n 2 -p 0 -r 1 --quiet "$@"; }
bench | head -1
HIP_MOCK_NAME='a card' bench | sed -E 's/ +[0-9.]+ \+- [0-9.]+ +/ /'
printf 'simd_count 152\nsimd_per_cu 4\ngfx_target_version 90402\nmax_engine_clk_fcompute 2100\n' > kfd/1/properties
bench | head -1
printf 'simd_count 1216\nsimd_per_cu 4\ngfx_target_version 90402\nmax_engine_clk_fcompute 2100\n' > kfd/1/properties
cat > report.json <<'J'
{"lathe": "0.1.0", "when": "2026-11-27T12:00:00Z", "name": "AMD Instinct MI300X", "driver": "hip", "driver_version": 60443483, "multiprocessors": 304, "rows": [
{"kind": "time", "name": "gemv_bf16_1", "shape": "M 1, N 128256, K 4096", "right": true, "us": 250, "bytes": 1050673152},
{"kind": "time", "name": "gemm_cdna3", "shape": "M 8192, N 8192, K 8192", "right": true, "us": 1700, "tflop_per_s": 646.8}]}
J
lathe plan --learn report.json | head -1
bench | head -1
bench --json | grep -E '"(gpu_info|limit_kind|limit_bf16_flops|limit_read_bytes_per_s)"'
