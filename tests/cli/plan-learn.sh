# lathe plan --learn: figures of a device from the report of its self test, by which its plans then go and say so
export XDG_CACHE_HOME=$PWD/cache
report() {      # when, name, GB/s read, TFLOP/s in bf16
    us=$(awk -v g="$3" 'BEGIN { printf "%.3f", 1050673152 / g / 1000 }')
    printf '{"lathe": "0.1.0", "when": "%s", "name": "%s", "driver": "cuda", "driver_version": 13000, "multiprocessors": 132, "rows": [' "$1" "$2"
    printf '{"kind": "time", "name": "gemv_bf16_1", "shape": "M 1, N 128256, K 4096", "right": true, "us": %s, "bytes": 1050673152},' "$us"
    printf '{"kind": "time", "name": "rmsnorm", "shape": "rows 1, C 4096", "right": true, "us": 2.1, "bytes": 32768},'
    printf '{"kind": "time", "name": "gemm_sm90", "shape": "M 8192, N 8192, K 8192", "right": true, "us": 1390, "tflop_per_s": %s}]}\n' "$4"
}
report 2026-11-27T12:00:00Z 'NVIDIA H100 80GB HBM3' 3000 790 > h100.json
report 2026-11-20T12:00:00Z 'NVIDIA H100 80GB HBM3' 2500 500 > older.json
report 2026-11-27T12:00:00Z 'NVIDIA H900' 3000 790 > h900.json
report 2026-11-27T12:00:00Z 'NVIDIA H100 80GB HBM3' 9000 790 > fast.json
echo '{"rows": []}' > none.json
sure() { lathe plan llama-3-8b --train --device h100:8 --explain "$@" 2>&1 | sed -n 's/.*products and exchanges: \([^:]*:[^:;]*\).*/\1/p' | head -1; }
echo '--- nothing learnt'
sure
lathe plan llama-3-8b --device h100:1 --device-model learnt 2>&1; echo "exit $?"
echo '--- learnt'
lathe plan --learn h100.json
lathe plan --learn older.json | tail -1
sure
sure --device-model table
lathe plan llama-3-8b --train --device h100:8 2>&1 > /dev/null
lathe plan llama-3-8b --train --device h100:8 --json 2> /dev/null | grep -o '"learnt": "learnt from lathe selftest on [^,]*'
lathe plan llama-3-8b --train --device h200:8 --json | grep -o '"learnt": null'
step() { lathe plan llama-3-8b --train --device h100:8 --json "$@" 2> /dev/null | sed -n 's/.*"step_seconds": \([0-9.]*\).*/\1/p'; }
awk -v a="$(step)" -v b="$(step --device-model table)" 'BEGIN { print a < b ? "a step is planned shorter than by the table" : "NOT SHORTER" }'
grep -c '"device": "h100"' cache/lathe/devices.json
echo '--- refused'
for f in h900 fast none missing; do lathe plan --learn $f.json 2>&1; echo "exit $?"; done
lathe plan llama-3-8b --learn h100.json 2>&1; echo "exit $?"
lathe plan --learn h100.json --device h100 2>&1; echo "exit $?"
lathe plan llama-3-8b --device mi300x:cpx:8 --device-model learnt 2>&1; echo "exit $?"
