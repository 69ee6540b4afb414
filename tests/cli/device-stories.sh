# Trained weights of others on an emulated MI300X: in each type of file the host's tokens, none of its kernels out of its memory.
S=${LATHE_SHARED:-$ROOT/../shared/data}/stories260K-gguf
[ -d "$S" ] || { echo "SKIPPED: $S is not here" >&2; exit 77; }
make -s -C "$ROOT" mock-hip > /dev/null 2>&1; [ -f "$ROOT/build/emu/libamdhip64.so" ] || { echo 'SKIPPED: the mock of HIP needs llvm-19-dev, clang-19 and lld-19' >&2; exit 77; }
export LATHE_HIP_LIB=$ROOT/build/emu/libamdhip64.so LATHE_KFD=$PWD/kfd HIP_MOCK_COUNT=$PWD/count
mkdir -p kfd/0
printf 'simd_count 1216\nsimd_per_cu 4\ngfx_target_version 90402\n' > kfd/0/properties
for type in f32 f16 bf16 q8_0 q4_0; do
    for device in cpu hip:0; do
        lathe generate "$S/stories260K-$type.gguf" -p 'Once upon a time' -n 12 --temp 0 --quiet --device $device > $device
    done
    cmp cpu hip:0 && echo "$type:$(cat cpu) ($(sed 's/.*, //' count))"
done
