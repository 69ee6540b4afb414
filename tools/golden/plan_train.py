#!/usr/bin/env python3
"""What training takes by the papers' own formulas, which know blocks of GPT and not lathe's list of weights.  Writes tests/golden/plan_train.json.

    python3 tools/golden/plan_train.py > tests/golden/plan_train.json

Activations: Reducing Activation Recomputation in Large Transformer Models, arXiv:2205.05198, table 2 and section 4.3 (the first stage of a pipeline holds p
micro-batches of L / p layers, an interleaved one L (1 + (p - 1) / (p m)); dropout of the embedding; the last norm and the head's input where
the stage has them).
Parameters and operations: Efficient Large-Scale Language Model Training on GPU Clusters, arXiv:2104.04473, equations 2 and 3, without and with what
is computed again.
State: 18 bytes a number with gradients in fp32, 16 in bf16; divided as in ZeRO, arXiv:1910.02054, and the table of Megatron-Core's distributed optimiser."""
import json

VOCABULARY, SEQUENCE, TENSOR = 51200, 2048, 8
MODELS = {  # hidden, heads, layers, pipeline, interleave, micro-batch, batch: table 3 of 2205.05198
    "megatron-22B": (6144, 64, 48, 1, 1, 4, 4), "gpt3-175B": (12288, 96, 96, 8, 3, 1, 64), "turing-530B": (20480, 128, 105, 35, 3, 1, 280),
    "megatron-1T": (25600, 160, 128, 64, 1, 1, 512),
}


def layer(h, a, b, recompute, sequence):
    """Bytes of one layer: table 2."""
    s, t, sbh = SEQUENCE, TENSOR, SEQUENCE * b * h
    scores = 5 * a * s / (h * t)
    if recompute == "full":
        return 2 * sbh / (t if sequence else 1)
    if sequence:
        return sbh * (34 / t + (scores if recompute == "none" else 0))
    return sbh * (10 + 24 / t + (scores if recompute == "none" else 0))


def activations(h, a, layers, p, v, b, recompute, sequence):
    """Bytes on the first stage."""
    sbh, split = SEQUENCE * b * h, TENSOR if sequence else 1
    held = layers * (1 + (p - 1) / (p * v)) if v > 1 else layers
    extra = sbh * p / split + (4 * sbh / split if p == 1 else 0)
    return held * layer(h, a, b, recompute, sequence) + extra


def parameters(h, layers):
    """Equation 2 of 2104.04473: 12 l h^2 (1 + 13 / 12h + (V + s) / 12lh), and the last norm."""
    return 12 * layers * h * h * (1 + 13 / (12 * h) + (VOCABULARY + SEQUENCE) / (12 * layers * h)) + 2 * h


def flops(h, layers, batch, again):
    """Equation 3 of 2104.04473 counts a forward pass twice; 2205.05198, appendix A, once."""
    s = SEQUENCE
    return (96 * batch * s * layers * h * h * (1 + s / (6 * h) + VOCABULARY / (16 * layers * h)) if again
            else 72 * batch * s * layers * h * h * (1 + s / (6 * h) + VOCABULARY / (12 * layers * h)))


def main():
    rows = []
    for name, (h, a, layers, p, v, b, batch) in MODELS.items():
        for recompute, sequence in (("none", False), ("none", True), ("attention", False), ("attention", True), ("full", False)):
            rows.append(dict(name=name, hidden=h, heads=a, layers=layers, pp=p, interleave=v, micro=b, batch=batch, recompute=recompute, sequence=sequence,
                             activations=activations(h, a, layers, p, v, b, recompute, sequence), parameters=parameters(h, layers),
                             flops=flops(h, layers, batch, False), flops_again=flops(h, layers, batch, True)))
    state = [dict(zero=z, copies=d, gradient_bytes=g, bytes=[2 + g + 12, 2 + g + 12 / d, 2 + (g + 12) / d, (2 + g + 12) / d][z])
             for z in range(4) for d in (2, 8, 64) for g in (2, 4)]
    print(json.dumps(dict(tensor=TENSOR, vocabulary=VOCABULARY, sequence=SEQUENCE, models=rows, state=state), indent=1))


main()
