#!/usr/bin/env python3
"""The peer of `lathe train` with objective dpo: the same recipe by trl's DPOTrainer with peft.

    bench/trl_dpo.py --base HF_FOLDER --run LATHE_RUN --train pairs.jsonl --valid pairs-valid.jsonl [--beta 0.1] [--threads 1]

Takes from LATHE_RUN its adapter_config.json (rank, alpha, modules) and from its metrics.jsonl the number of steps, their learning rates
and losses.  The rest is trl's: transformers' tokenizer and chat template, pairs in an order of its own (as many a step as ours have on
average), peft's initial adapters, AdamW (0.9, 0.95) without decay, clipping at 1, the sigmoid loss with the adapters switched off as
the reference, all in float32.  Prints both losses step by step, then one line of JSON: the losses over what is held out."""
import argparse
import json
import os
import tempfile
import time

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer


def read(path):
    with open(path) as f:
        return Dataset.from_list([json.loads(line) for line in f])


class Trainer(DPOTrainer):
    """Learning rates of a list, one for each step."""
    def create_scheduler(self, num_training_steps=None, optimizer=None):
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, lambda s: self.rates[min(s, len(self.rates) - 1)] / max(self.rates))
        return self.lr_scheduler


def main():
    arg = argparse.ArgumentParser(description="Learns preferences by trl as a run of lathe did.")
    arg.add_argument("--base", required=True, help="model folder for transformers")
    arg.add_argument("--run", required=True, help="folder of the run of lathe")
    arg.add_argument("--train", required=True)
    arg.add_argument("--valid", required=True)
    arg.add_argument("--beta", type=float, default=0.1)
    arg.add_argument("--epochs", type=float, default=1)
    arg.add_argument("--threads", type=int, default=1)
    a = arg.parse_args()
    torch.set_num_threads(a.threads)
    with open(os.path.join(a.run, "adapter_config.json")) as f:
        c = json.load(f)
    with open(os.path.join(a.run, "metrics.jsonl")) as f:
        lines = [json.loads(line) for line in f]
    ours = [m for m in lines if "lr" in m]
    train, valid = read(a.train), read(a.valid)
    batch = round(len(train) * a.epochs / len(ours))
    lora = LoraConfig(r=c["r"], lora_alpha=c["lora_alpha"], use_rslora=c["use_rslora"], target_modules=c["target_modules"], task_type="CAUSAL_LM")
    with tempfile.TemporaryDirectory() as folder:
        args = DPOConfig(output_dir=folder, per_device_train_batch_size=batch, per_device_eval_batch_size=4, max_steps=len(ours), learning_rate=max(m["lr"] for m in ours), adam_beta1=0.9,
                         adam_beta2=0.95, weight_decay=0.0, max_grad_norm=1.0, beta=a.beta, loss_type="sigmoid", logging_steps=1, report_to=[], save_strategy="no", use_cpu=True,
                         bf16=False, fp16=False, optim="adamw_torch", gradient_checkpointing=False, max_length=None, disable_tqdm=True, seed=1, log_level="error")
        t = Trainer(model=AutoModelForCausalLM.from_pretrained(a.base, dtype=torch.float32), args=args, train_dataset=train, eval_dataset=valid,
                    processing_class=AutoTokenizer.from_pretrained(a.base), peft_config=lora)
        t.rates = [m["lr"] for m in ours]
        before = t.evaluate()
        begin = time.time()
        t.train()
        seconds = time.time() - begin
        after = t.evaluate()
    logs = [m for m in t.state.log_history if "loss" in m]
    for m, theirs in zip(ours, logs):
        print("step %3d  lathe %.5f  trl %.5f" % (m["step"], m["loss"], theirs["loss"]))
    held = [m["valid_loss"] for m in lines if "valid_loss" in m]
    print(json.dumps({"pairs_a_step": batch, "valid_before": before["eval_loss"], "valid_after": after["eval_loss"], "margin": after["eval_rewards/margins"], "seconds": round(seconds, 1),
                      "lathe_valid": held[-1], "lathe_margin": [m["valid_rewards/margins"] for m in lines if "valid_rewards/margins" in m][-1]}))


if __name__ == "__main__":
    main()
