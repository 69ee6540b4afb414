# Whole commands on several emulated MI300X that share a model (tests/emu/hip_mock.c): the host's tokens, whenever the devices do their work, and what is refused, in words.
make -s -C "$ROOT" mock-hip > /dev/null 2>&1; [ -f "$ROOT/build/emu/libamdhip64.so" ] || { echo 'SKIPPED: the mock of HIP needs llvm-19-dev, clang-19 and lld-19' >&2; exit 77; }
export LATHE_HIP_LIB=$ROOT/build/emu/libamdhip64.so LATHE_KFD=$PWD/kfd HIP_MOCK_COUNT=$PWD/count HIP_MOCK_DEVICES=8
for i in 0 1 2 3 4 5 6 7; do
    mkdir -p kfd/$i
    printf 'simd_count 152\nsimd_per_cu 4\ngfx_target_version 90402\nmax_engine_clk_fcompute 2100\n' > kfd/$i/properties
done
yes 'the quick brown fox jumps over the lazy dog and then sleeps.' | head -n 400 > text.txt
REST='
data: {train: text.txt, valid_share: 0.1, vocab_size: 280}
train: {steps: 30, batch: 4, ctx: 32, lr: 1e-2, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}'
echo "model: {model_type: llama, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 8, num_key_value_heads: 4, intermediate_size: 92, max_position_embeddings: 64}$REST" > dense.yaml
echo "model: {model_type: mixtral, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 8, num_key_value_heads: 8, num_local_experts: 8, num_experts_per_tok: 2, intermediate_size: 32,
    max_position_embeddings: 64}$REST" > experts.yaml
for model in dense experts; do
    lathe train $model.yaml --out $model --quiet --threads 1 > /dev/null
    lathe generate $model -p 'the quick' -n 8 --temp 0 --quiet > cpu
    for late in 0 1; do
        for devices in 0,1 0-7; do
            HIP_MOCK_LATE=$late lathe generate $model -p 'the quick' -n 8 --temp 0 --quiet --device hip:$devices > hip
            cmp cpu hip && echo "$model on $devices: the same text, $(sed 's/[0-9]* launches, //' count)"
        done
    done
done
echo '--- no device reaches the memory of another'
HIP_MOCK_APART=1 HIP_MOCK_LATE=1 lathe generate dense -p 'the quick' -n 8 --temp 0 --quiet --device hip:2,5 2>&1 > hip | sed 's/^[^:]*: *//'
lathe generate dense -p 'the quick' -n 8 --temp 0 --quiet | cmp - hip && sed 's/.*, //' count
echo '--- one may reach no more than another'
HIP_MOCK_PEERS=1 HIP_MOCK_LATE=1 lathe generate dense -p 'the quick' -n 8 --temp 0 --quiet --device hip:0-3 2>&1 > hip | sed 's/^[^:]*: *//'
lathe generate dense -p 'the quick' -n 8 --temp 0 --quiet | cmp - hip && sed 's/.*, //' count
echo '--- the last of 64, behind two nodes of processors'
mkdir parts
for i in $(seq 0 65); do
    mkdir parts/$i
    if [ $i -lt 2 ]; then echo 'simd_count 0' > parts/$i/properties; else cp kfd/0/properties parts/$i; fi
done
LATHE_KFD=$PWD/parts HIP_MOCK_DEVICES=64 lathe generate dense -p 'the quick' -n 8 --temp 0 --quiet --device hip:63 | cmp - hip && echo 'the same text'
echo '--- passes that cannot be recorded, or only some of them: the same text, kernel by kernel'
for devices in 0 0,1; do
    for no in CAPTURE=1 GRAPH=2; do
        env HIP_MOCK_NO_$no HIP_MOCK_LATE=1 lathe generate dense -p 'the quick' -n 8 --temp 0 --quiet --device hip:$devices 2>&1 > hip | sed 's/^[^:]*: *//'
        lathe generate dense -p 'the quick' -n 8 --temp 0 --quiet | cmp - hip && sed 's/[0-9]* launches, //' count
    done
done
echo '--- refused'
say() { lathe generate dense -p 'the' -n 8 --temp 0 --quiet "$@" 2>&1 > /dev/null; echo "exit ${PIPESTATUS[0]}"; }
say --device hip:0-2
say --device hip:0,
say --device hip:6-8
say --device cpu,hip:0
HIP_MOCK_BYTES=150000 say --device hip:0,1 | sed -E 's/[0-9.]+ [kM]?B/N kB/g'
echo '--- one of them is lost in the middle: that request fails, in words'
HIP_MOCK_FAIL=150 say --device hip:0,1 | sed 's/hip:[01]: .*: /hip:N: ...: /'
