#!/usr/bin/env python3
"""Large products and prefill attention beside PyTorch's (cuBLASLt, cuDNN, FlashAttention-2) on one NVIDIA device, in turns, so that a
card whose clock falls with its heat gives the same ratio.  Usage: gpu-vs-torch.py [ROUNDS, default 3].  Beside it or in ../build/bench:
gpu (make build/bench/gpu).  CSV: kernel, shape, TFLOP/s of lathe and of each peer (medians over rounds), lathe's share of the best."""
import csv, os, re, statistics, subprocess, sys
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

here = os.path.dirname(os.path.abspath(__file__))
gpu = next(p for p in (os.path.join(here, "gpu"), os.path.join(here, "../build/bench/gpu")) if os.path.isfile(p))
rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3


def run(f, n):
    a, b = (torch.cuda.Event(enable_timing=True) for _ in "ab")
    a.record()
    for _ in range(n):
        f()
    b.record()
    b.synchronize()
    return a.elapsed_time(b) * 1e-3 / n


def seconds(f):
    """Median of nine runs of about 2 ms, as the self test's."""
    run(f, 3)
    n = max(3, int(2e-3 / run(f, 3)))
    return statistics.median(run(f, n) for _ in range(9))


def uniform(*shape):
    return (torch.rand(*shape, device="cuda") * 2 - 1).bfloat16()


def product(M, N, K, fp8):
    a, b = uniform(M, K), uniform(N, K)
    if fp8:
        a, b, one = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn), torch.ones((), device="cuda")
        f = lambda: torch._scaled_mm(a, b.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
    else:
        f = lambda: a @ b.t()
    return {"cublaslt": 2e-12 * M * N * K / seconds(f)}


def attention(n_seq, n, heads, kv_heads, d, causal):
    q, k, v = (uniform(n_seq, n, h, d).transpose(1, 2) for h in (heads, kv_heads, kv_heads))
    flop, out = (2e-12 if causal else 4e-12) * n * n * d * heads * n_seq, {}
    for name, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash2", SDPBackend.FLASH_ATTENTION)):
        with sdpa_kernel(backend):
            out[name] = flop / seconds(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=heads != kv_heads))
    return out


def peers(kernel, shape):
    n = [int(x) for x in re.findall(r"\d+", shape)]
    return product(*n, "e4m3" in kernel) if kernel.startswith("gemm") else attention(*n, "causal" in shape)


rates = {}
for _ in range(rounds):
    text = subprocess.run([gpu, "cuda:0", "64"], check=True, capture_output=True, text=True).stdout
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        at = rates.setdefault((row["name"], row["shape"]), {})
        for name, rate in {"lathe": float(row["tflop_per_s"]), **peers(row["name"], row["shape"])}.items():
            at.setdefault(name, []).append(rate)
print("#", torch.cuda.get_device_name(), "torch", torch.__version__, "rounds", rounds)
print("kernel,shape,lathe,cublaslt,cudnn,flash2,share_of_best")
for (kernel, shape), r in rates.items():
    m = {k: statistics.median(v) for k, v in r.items()}
    best = max(v for k, v in m.items() if k != "lathe")
    print(f'{kernel},"{shape}",' + ",".join(f"{m[k]:.0f}" if k in m else "" for k in ("lathe", "cublaslt", "cudnn", "flash2")) + f',{m["lathe"] / best:.2f}')
