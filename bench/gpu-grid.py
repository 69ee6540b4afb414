#!/usr/bin/env python3
"""What vendor kernels reach on a GPU by shape: bf16 and fp8 products (cuBLASLt by PyTorch), grouped ones, attention (cuDNN), and operations
that only read and write.  For models of devices that plans are made with.

    bench/gpu-grid.py [SECONDS] > bench/records/gpu-grid-NAME-DATE.csv

Normal operands (power follows them), fresh ones in turns where they are small enough to stay in the cache, launched in a row; the median of 5
rounds.  A line: kind, type, M, N, K, batch, microseconds, TFLOP/s, GB/s (each byte of operands and result once).  Stops after SECONDS (150)."""
import sys
import time

import torch
import torch.nn.functional as F

LIMIT = float(sys.argv[1]) if len(sys.argv) > 1 else 150
BEGUN = time.time()
dev = "cuda"


def once(fs, n):
    a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    a.record()
    for i in range(n):
        fs[i % len(fs)]()
    b.record()
    b.synchronize()
    return 1e3 * a.elapsed_time(b) / n


def us(fs):
    once(fs, len(fs))
    n = max(len(fs), min(400, int(4000 / max(1, once(fs, len(fs))))))
    return sorted(once(fs, n) for _ in range(5))[2]


def copies(nbytes):
    return max(1, min(12, int(200e6 / nbytes) + 1))


def line(kind, dtype, m, n, k, batch, t, flop, nbytes):
    print(f"{kind},{dtype},{m},{n},{k},{batch},{t:.2f},{flop / t / 1e6:.1f},{nbytes / t / 1e3:.1f}", flush=True)


def product(m, n, k):
    c = copies(2 * (m * k + n * k + m * n))
    x = [torch.randn(m, k, device=dev, dtype=torch.bfloat16) for _ in range(c)]
    w = [torch.randn(n, k, device=dev, dtype=torch.bfloat16) for _ in range(c)]
    o = torch.empty(m, n, device=dev, dtype=torch.bfloat16)
    t = us([lambda i=i: torch.mm(x[i], w[i].t(), out=o) for i in range(c)])
    line("gemm", "bf16", m, n, k, 1, t, 2 * m * n * k, 2 * (m * k + n * k + m * n))
    if m % 16 or n % 16 or k % 16:
        return
    one = torch.ones((), device=dev)
    x8, w8 = [a.to(torch.float8_e4m3fn) for a in x], [a.to(torch.float8_e4m3fn) for a in w]
    t = us([lambda i=i: torch._scaled_mm(x8[i], w8[i].t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16) for i in range(c)])
    line("gemm", "e4m3", m, n, k, 1, t, 2 * m * n * k, m * k + n * k + 2 * m * n)


def batched(b, m, n, k):
    x, w = torch.randn(b, m, k, device=dev, dtype=torch.bfloat16), torch.randn(b, k, n, device=dev, dtype=torch.bfloat16)
    t = us([lambda: torch.bmm(x, w)])
    line("bmm", "bf16", m, n, k, b, t, 2 * b * m * n * k, 2 * b * (m * k + n * k + m * n))


def attention(b, h, hk, s, d, causal):
    q = torch.randn(b, h, s, d, device=dev, dtype=torch.bfloat16)
    k, v = (torch.randn(b, hk, s, d, device=dev, dtype=torch.bfloat16) for _ in "kv")
    with torch.nn.attention.sdpa_kernel([torch.nn.attention.SDPBackend.CUDNN_ATTENTION, torch.nn.attention.SDPBackend.FLASH_ATTENTION]):
        t = us([lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=h != hk)])
    line("attention_causal" if causal else "attention", "bf16", s, h * 1000 + hk, d, b, t, 4 * b * h * s * s * d / (2 if causal else 1), 2 * (2 * b * h + 2 * b * hk) * s * d)


def stream(name, f, n, nbytes):
    t = us([f])
    line(name, "bf16", n, 0, 0, 1, t, 0, nbytes)


def main():
    print(f"# bench/gpu-grid.py, {time.strftime('%Y-%m-%d')}; {torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}; attention: M is the length, N heads * 1000 + heads of keys, K the size of a head")
    print("kind,type,m,n,k,batch,us,tflop_per_s,gb_per_s")
    jobs = []
    weights = [(6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336), (128256, 4096), (10240, 8192), (57344, 8192), (8192, 28672), (2304, 768), (3072, 768), (768, 3072), (2048, 2048), (1536, 2048)]
    for m in (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16384):
        for n, k in weights:
            if m * n < 1.2e9:
                jobs.append(lambda m=m, n=n, k=k: product(m, n, k))
    for b in (8, 64):
        for m in (1, 4, 16, 64, 256, 1024):
            for n, k in ((14336, 4096), (4096, 7168), (1408, 2048)):
                if b * n * k < 6e9:
                    jobs.append(lambda b=b, m=m, n=n, k=k: batched(b, m, n, k))
    for s in (256, 512, 1024, 2048, 4096, 8192, 16384):
        for h, hk, d in ((32, 8, 128), (16, 16, 128), (12, 12, 64)):
            for causal in (True, False):
                jobs.append(lambda s=s, h=h, hk=hk, d=d, c=causal: attention(max(1, 16384 // s), h, hk, s, d, c))
    for p in range(10, 31, 2):
        n = 1 << p
        x, y = torch.randn(n, device=dev).bfloat16(), torch.empty(n, device=dev, dtype=torch.bfloat16)
        jobs.append(lambda n=n, x=x, y=y: stream("copy", lambda: y.copy_(x), n, 4 * n))
        jobs.append(lambda n=n, x=x, y=y: stream("add", lambda: torch.add(x, y, out=y), n, 6 * n))
        jobs.append(lambda n=n, x=x: stream("sum", lambda: x.sum(), n, 2 * n))
    for i, job in enumerate(jobs):
        if time.time() - BEGUN > LIMIT:
            print(f"# stopped after {LIMIT:.0f} s: {len(jobs) - i} of {len(jobs)} shapes were not measured")
            return
        try:
            job()
        except Exception as e:
            print(f"# failed: {str(e)[:150]!r}")


main()
