#!/usr/bin/env python3
"""Writes tests/golden/trl: ten steps of direct preference optimisation by trl's DPOTrainer, on a small Llama with random weights.

    tools/golden/dpo_trl.py [--out tests/golden/trl]         trl 1.16.0, transformers 5.24.0, torch 2.15.0

config.json, model.safetensors    the model before, which is the reference too
letters.txt, pairs.jsonl          a token is a byte of letters.txt, by its rank; 8 pairs, all in every step, so that order plays no part
trl.json                          recipe, and of each step loss, grad_norm (before clipping) and rewards, as trl logs them
Everything is float32.  The loss is -log sigmoid(beta * ((log p - log p_ref)(chosen) - (log p - log p_ref)(rejected))), arXiv:2305.18290."""
import argparse
import copy
import json
import os
import sys
import tempfile

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models as tokenizer_models
from torch.utils.data import SequentialSampler
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import models

RECIPE = {"steps": 10, "batch": 8, "ctx": 64, "beta": 0.2, "lr": 2e-3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.0, "clip": 1.0}
KEPT = ("loss", "grad_norm", "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins")
PROMPTS = ["name a colour:", "what barks?", "a fruit, please:", "count to three:", "the sea is", "who sat on a stone?", "two and two:", "say good night"]
ANSWERS = [(" blue", " a stone"), (" the dog", " an old boat"), (" pear", " bread"), (" one two three", " ten"), (" wide", " made of tin"),
           (" an old seal did", " nobody"), (" four", " five or so"), (" good night", " no")]


class Trainer(DPOTrainer):
    def _prepare_dataset(self, dataset, *args):
        return dataset                   # ids already

    def _get_train_sampler(self, dataset=None):
        return SequentialSampler(dataset if dataset is not None else self.train_dataset)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    arg = argparse.ArgumentParser(description="Writes the golden case of preferences by trl.")
    arg.add_argument("--out", default=os.path.join(here, "../../tests/golden/trl"))
    out = arg.parse_args().out
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(1)
    pairs = [{"prompt": p, "chosen": c, "rejected": r} for p, (c, r) in zip(PROMPTS, ANSWERS)]
    letters = sorted(set("".join(p + c + r for p, (c, r) in zip(PROMPTS, ANSWERS)).encode()))
    ids = [{f"{k}_ids": [letters.index(b) for b in v.encode()] for k, v in p.items()} for p in pairs]
    c = {"vocab_size": len(letters), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True}
    rng = np.random.RandomState(11)
    model = LlamaForCausalLM(LlamaConfig(**c, bos_token_id=None, eos_token_id=None)).float()
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.copy_(torch.tensor((1 if "norm" in n else 0) + (0.1 if "norm" in n else 0.2) * rng.standard_normal(tuple(p.shape)), dtype=torch.float32))
    before = {n: p.detach().numpy().copy() for n, p in model.named_parameters() if n != "lm_head.weight"}
    tok = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(tokenizer_models.WordLevel({"<pad>": 0}, unk_token="<pad>")), pad_token="<pad>", eos_token="<pad>")
    r = RECIPE
    with tempfile.TemporaryDirectory() as folder:
        args = DPOConfig(output_dir=folder, per_device_train_batch_size=r["batch"], max_steps=r["steps"], learning_rate=r["lr"], lr_scheduler_type="constant", warmup_steps=0,
                         adam_beta1=r["beta1"], adam_beta2=r["beta2"], adam_epsilon=r["eps"], weight_decay=r["weight_decay"], max_grad_norm=r["clip"], beta=r["beta"],
                         loss_type="sigmoid", logging_steps=1, logging_first_step=True, report_to=[], save_strategy="no", use_cpu=True, bf16=False, fp16=False,
                         optim="adamw_torch", gradient_checkpointing=False, max_length=r["ctx"], disable_tqdm=True)
        trainer = Trainer(model=model, ref_model=copy.deepcopy(model), args=args, train_dataset=Dataset.from_list(ids), processing_class=tok)
        trainer.train()
    steps = [{k: log[k] for k in KEPT} for log in trainer.state.log_history if "rewards/margins" in log]
    assert len(steps) == r["steps"], len(steps)
    models.save_json(f"{out}/config.json", {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **c, "hidden_act": "silu", "torch_dtype": "float32"})
    models.save_safetensors(f"{out}/model.safetensors", before)
    models.save_json(f"{out}/trl.json", {**r, "steps_logged": steps})
    with open(f"{out}/letters.txt", "wb") as f:
        f.write(bytes(letters))
    with open(f"{out}/pairs.jsonl", "w") as f:
        f.write("".join(json.dumps(p) + "\n" for p in pairs))
    for s in steps:
        print("loss %.6f  margin %.6f  norm %.6f" % (s["loss"], s["rewards/margins"], s["grad_norm"]))


if __name__ == "__main__":
    main()
