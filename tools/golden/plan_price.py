#!/usr/bin/env python3
"""What steps of published models take on an accelerator that does not exist, from their config.json (src/plan/published.json) and the formulas of
src/plan/price.h and product.h, written again.  Writes tests/golden/plan_price.json.

    python3 tools/golden/plan_price.py > tests/golden/plan_price.json

Layers are not divided, and rows are such at which nothing is interpolated."""
import json
from math import ceil, comb

DEVICE = dict(peak_f32=60e12, peak_bf16=900e12, peak_fp8=1800e12, memory=80e9, bandwidth=3e12, units=120, mma=0.7, reach=0.8, launch=4e-6, tile=1e-6, ridge=50, kernel=2e-6)
BYTES = dict(bf16=2, fp8=1)
BITS = dict(bf16=16, fp8=8 + 32 / 128**2, fp4=4.25)


def tile(d, bm, bn, K, bytes, out, peak, bandwidth):
    rate = d["mma"] * (peak * 2 / bytes) / d["units"] * min(1, bm * bn / (bm + bn) / d["ridge"])
    return max(2 * bm * bn * ceil(K / 64) * 64 / rate, bm * bn * out / (d["reach"] * bandwidth / d["units"])) + d["tile"]


def product(d, M, N, K, bytes, peak, bandwidth):
    reached, best = d["reach"] * bandwidth, 1e9
    for bm in (16, 32, 64, 128, 256):
        for bn in (64, 128, 256):
            for s in (1, 2, 4, 8, 16):
                tiles = ceil(M / bm) * ceil(N / bn) * s
                sums = ceil(tiles / d["units"]) * tile(d, bm, bn, K / s, bytes, 2, peak, bandwidth) + (M * N * 4 * s / reached if s > 1 else 0)
                best = min(best, max(sums, ((M + N) * K * bytes + M * N * 2) / (reached * min(1, tiles / d["units"]))))
    return d["launch"] + best


def row_tiles(n, p, E, bm):
    return E * sum(comb(n, r) * p**r * (1 - p) ** (n - r) * ceil(r / bm) for r in range(n + 1)) if n < 1000 else None


def experts(d, tokens, C, F, E, k, bytes, peak, bandwidth):
    p, t = k / E, d["launch"]
    distinct = E * (1 - (1 - p) ** tokens)
    for N, K, out in ((2 * F, C, 2), (C, F, 4)):
        best = 1e9
        for bm in (16, 32, 64, 128, 256):
            for bn in (64, 128, 256):
                waves = ceil(row_tiles(tokens, p, E, bm) * ceil(N / bn) / d["units"])
                best = min(best, max(waves * tile(d, bm, bn, K, bytes, out, peak, bandwidth), (distinct * N * K * bytes + tokens * k * (K * bytes + N * out)) / (d["reach"] * bandwidth)))
        t += best
    return t


def step(d, c, rows, head_rows, weights, compute, load):
    """load: prompt rows, keys, decode rows, keys."""
    C, L, V, H, KV = c["hidden_size"], c["num_hidden_layers"], c["vocab_size"], c["num_attention_heads"], c["num_key_value_heads"]
    D = c.get("head_dim") or C // H
    kind, b = c["model_type"], BYTES[compute]
    peak = d["peak_" + compute] * b / 2
    out = dict(products=0, elements=0, attention=0)
    elements = lambda launches, bytes, n=rows, count=1: out.__setitem__("elements", out["elements"] + count * (launches * d["kernel"] + n * bytes / (d["reach"] * d["bandwidth"])))

    def linear(N, K, count, n=rows, bits=BITS[weights]):
        x, w = n * K * b + n * N * 2, N * K
        out["products"] += count * product(d, n, N, K, b, peak, d["bandwidth"] * (x + w * b) / (x + w * bits / 8))

    elements(1, 4 * C)
    elements(1, 8 * C, count=2 * L)
    dense, E, k = L, 0, 0
    if kind == "deepseek_v3":
        q, r, nope, rope, v = c["q_lora_rank"], c["kv_lora_rank"], c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
        wide = H * (2 * (nope + rope) + v)
        for N, K in ((q, C), (H * (nope + rope), q), (r + rope, C), (H * (nope + v), r), (C, H * v)):
            linear(N, K, L)
        elements(1, 8 * q, count=L), elements(1, 8 * r, count=L), elements(1, 6 * wide, count=L), elements(1, 4 * wide, count=L)
        dense, E, k, F = c["first_k_dense_replace"], c["n_routed_experts"], c["num_experts_per_tok"], c["moe_intermediate_size"]
        dk, dv, kept = nope + rope, v, r + rope
    else:
        wide = (H + 2 * KV) * D
        linear(wide, C, L), linear(C, H * D, L)
        elements(1, 4 * wide, count=L)
        if kind == "qwen3_moe":
            elements(0, 4 * wide, count=L)
            dense, E, k, F = 0, c["num_experts"], c["num_experts_per_tok"], c["moe_intermediate_size"]
        dk = dv = D
        kept = 2 * KV * D
    if dense:
        I = c["intermediate_size"]
        linear(2 * I, C, dense), linear(C, I, dense)
        elements(1, 6 * I, count=dense)
    if E:
        n = L - dense
        linear(E, C, n, bits=16)
        elements(2, 4 * E, count=n), elements(1, 6 * F * k, count=n), elements(1, (k + 2) * C * 2, count=n)
        if kind == "deepseek_v3":
            linear(2 * F, C, n), linear(C, F, n)
            elements(1, 6 * F, count=n)
        each, chosen = 3 * F * C, rows * k
        distinct = E * (1 - (1 - k / E) ** rows)
        x = chosen * (2 * C + 3 * F + 2 * C) * b
        bandwidth = d["bandwidth"] * (x + distinct * each * b) / (x + distinct * each * BITS[weights] / 8)
        out["products"] += n * experts(d, rows, C, F, E, k, b, peak, bandwidth)
    elements(1, 4 * C, n=head_rows), elements(1, 8 * C, n=head_rows)
    linear(V, C, 1, n=head_rows, bits=16)
    rate, reached = d["mma"] * d["peak_bf16"] * min(1, 64 / d["ridge"]), d["reach"] * d["bandwidth"]
    pr, pk, dr, dkeys = load
    kv_heads = max(1, H / 64) if kind == "deepseek_v3" else KV          # of what all heads share a unit takes 64 heads
    if pr:
        blocks = max(1, pr / 128) * H * max(1, pk / 256)
        out["attention"] += L * (d["launch"] + max(max(pr, 64) * pk * H * 2 * (dk + dv) / (rate * min(1, blocks / d["units"])), (pk * kept * 2 + pr * H * (dk + dv) * 2) / reached))
    if dr:
        of_key = H * 2 * (kept + c["kv_lora_rank"]) if kind == "deepseek_v3" else H * 2 * (dk + dv)
        busy = min(1, max(1, dr) * kv_heads * max(1, dkeys / 256) / d["units"])
        out["attention"] += L * (d["launch"] + max(dr * dkeys * kept * 2 / (reached * busy), dr * dkeys * of_key / (rate * busy)))
    out["seconds"] = sum(out.values())
    return out


models = {m["name"]: m["config"] for m in json.load(open("src/plan/published.json"))}
CASES = [("Llama-3-8B", "bf16", "bf16", (0, 0, 1, 100)), ("Llama-3-8B", "bf16", "bf16", (0, 0, 64, 1000)), ("Llama-3-8B", "fp8", "fp8", (0, 0, 32, 4000)),
         ("Llama-3-8B", "fp4", "bf16", (0, 0, 8, 10)), ("Llama-3-8B", "bf16", "bf16", (4096, 2048.5, 0, 0)), ("Llama-3-8B", "bf16", "bf16", (112, 300, 16, 700)),
         ("Qwen3-30B-A3B", "bf16", "bf16", (0, 0, 1, 100)), ("Qwen3-30B-A3B", "fp8", "fp8", (0, 0, 64, 2000)), ("Qwen3-30B-A3B", "bf16", "bf16", (449, 224.5, 63, 900)),
         ("DeepSeek-V3", "fp8", "fp8", (0, 0, 1, 1000)), ("DeepSeek-V3", "fp8", "fp8", (0, 0, 64, 5000)), ("Llama-3-405B", "fp8", "fp8", (0, 0, 4, 1000))]
rows = []
for name, weights, compute, load in CASES:
    cost = step(DEVICE, models[name], load[0] + load[2], load[2] + min(1, load[0]), weights, compute, load)
    rows.append(dict(model=name, weights=weights, compute=compute, load=load, **cost))
print(json.dumps(dict(device=DEVICE, cases=rows), indent=1))
