#!/usr/bin/env python3
"""Writes tests/golden/classes: small models of texts with a head for classes, as transformers has and runs them in float64.

    tools/golden/classes.py [--out tests/golden/classes]         transformers 5.24.0, torch 2.15.0

  CASE/config.json, model.safetensors
  CASE/golden.safetensors   ids I32 [T], start I32 [S+1]      S texts, one behind the other; each is run by itself
                            target F64 [S,labels]             distributions over the classes
                            logits F64 [S,labels], loss F64 [1] mean over the texts, grad.<weight> F64 of it"""
import argparse
import os

import numpy as np
import torch
from transformers import (BertConfig, BertForSequenceClassification, GPT2Config, GPT2ForSequenceClassification, LlamaConfig,
                          LlamaForSequenceClassification, RobertaConfig, RobertaForSequenceClassification)

from models import save_safetensors

LABELS, V = 4, 43
names = {"id2label": {i: f"kind {i}" for i in range(LABELS)}, "label2id": {f"kind {i}": i for i in range(LABELS)}}
plain = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
bert = dict(vocab_size=V, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=32, **plain, **names)
CASES = {
    "bert": (BertForSequenceClassification, BertConfig(**bert)),
    "roberta": (RobertaForSequenceClassification, RobertaConfig(**bert, pad_token_id=1, type_vocab_size=1)),
    "llama": (LlamaForSequenceClassification, LlamaConfig(vocab_size=V, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, intermediate_size=40,
                                                          max_position_embeddings=32, pad_token_id=0, **names)),
    "gpt2": (GPT2ForSequenceClassification, GPT2Config(vocab_size=V, n_embd=24, n_layer=2, n_head=3, n_positions=32, bos_token_id=0, eos_token_id=0, pad_token_id=0, resid_pdrop=0.0,
                                                       embd_pdrop=0.0, attn_pdrop=0.0, **names)),
}


def write(folder, name):
    kind, config = CASES[name]
    rng = np.random.RandomState(sum(map(ord, name)))
    torch.manual_seed(3)
    model = kind._from_config(config, attn_implementation="sdpa")
    with torch.no_grad():
        for n, p in model.named_parameters():
            norm = "norm" in n.lower() or ".ln_" in n
            p.copy_(torch.tensor((1 if norm and n.endswith("weight") else 0) + (0.1 if norm else 0.15) * rng.standard_normal(tuple(p.shape)), dtype=torch.float32))
    model.save_pretrained(folder)
    model = model.double().eval()
    lengths = [5, 3, 9, 1]
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    ids = rng.randint(3, V, start[-1]).astype(np.int32)
    target = rng.dirichlet(np.full(LABELS, 0.5), len(lengths))
    logits = torch.cat([model(input_ids=torch.tensor(ids[a:b]).long()[None]).logits for a, b in zip(start, start[1:])])
    loss = -(torch.tensor(target) * logits.log_softmax(1)).sum(1).mean()
    loss.backward()
    golden = {"target": target, "logits": logits.detach().numpy(), "loss": loss.detach().reshape(1).numpy()}
    golden.update({"grad." + n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None})
    golden.update({"ids": ids, "start": start})        # last: what comes before stays at multiples of 8 bytes
    save_safetensors(f"{folder}/golden.safetensors", golden)
    print(f"{name}: loss {loss.item():.6f}")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    arg = argparse.ArgumentParser(description="Writes the golden cases of models of texts with a head for classes.")
    arg.add_argument("--out", default=os.path.join(here, "../../tests/golden/classes"))
    args = arg.parse_args()
    torch.set_num_threads(1)
    for name in CASES:
        write(os.path.join(args.out, name), name)


if __name__ == "__main__":
    main()
