#!/bin/bash
# gpu.sh: checks and measures the GPU of a machine that has the driver and little else.  Usage: gpu.sh [device, default cuda:0].  Beside it: gpu (make build/bench/gpu).
# Writes $OUT/gpu.csv and, where CUDA's tools are there, what compute-sanitizer says.  Each part runs whatever became of the others.
set -u
cd "$(dirname "$0")" || exit 1
device=${1:-cuda:0} out=${OUT:-.} gpu=./gpu
[ -x $gpu ] || gpu=../build/bench/gpu
command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem,memory.total,power.limit --format=csv | tee "$out/device.csv"
echo "== checks" && timeout 90 $gpu "$device" 35 > "$out/check.csv"; grep -c ',right,' "$out/check.csv"; grep -E 'WRONG|^failed' "$out/check.csv" | head -40
echo "== times" && timeout 180 $gpu "$device" 2140 > "$out/time.csv"; cut -d, -f1-3,4- "$out/time.csv" | grep -vE '^copy,host' | cut -c1-170
export PATH=$PATH:/usr/local/cuda/bin
if command -v compute-sanitizer > /dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
        echo "== $tool" && timeout 40 compute-sanitizer --tool $tool --print-limit 20 $gpu "$device" 33 > "$out/$tool.log" 2>&1; grep -E 'ERROR SUMMARY|RACECHECK SUMMARY|Invalid|hazard' "$out/$tool.log" | sort | uniq -c | head
    done
fi
command -v python3 > /dev/null && timeout 60 python3 - <<'P'
try:
    import torch
    def t(f, n=20):
        for _ in range(3): f()
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        best = 1e9
        for _ in range(5):
            a.record()
            for _ in range(n): f()
            b.record(); b.synchronize(); best = min(best, a.elapsed_time(b) / n)
        return best
    print('torch', torch.__version__, torch.cuda.get_device_name())
    x = torch.empty(1 << 28, dtype=torch.float32, device='cuda').normal_(); y = torch.empty_like(x)
    ms = t(lambda: y.copy_(x)); print('copy 1 GiB: %.1f GB/s' % (2 * x.nbytes / ms / 1e6))
    for n in (4096, 8192):
        p, q = (torch.randn(n, n, device='cuda', dtype=torch.bfloat16) for _ in 'ab')
        ms = t(lambda: p @ q.T); print('cuBLAS bf16 %d: %.1f TFLOP/s' % (n, 2 * n**3 / ms / 1e9))
    for n, k in ((28672, 4096), (128256, 4096)):
        w = [torch.randn(n, k, device='cuda', dtype=torch.bfloat16) for _ in range(2)]; v = torch.randn(k, device='cuda', dtype=torch.bfloat16)
        ms = t(lambda: (w[0] @ v, w[1] @ v)) / 2; print('cuBLAS gemv bf16 %d x %d: %.1f GB/s' % (n, k, w[0].nbytes / ms / 1e6))
except Exception as e:
    print('torch:', e)
P
exit 0
