#!/usr/bin/env python3
"""Writes tests/golden/gguf: models of tests/golden/families as GGUF (F32), by llama.cpp's own converter.

    tools/golden/gguf_families.py --llama.cpp CHECKOUT [--out tests/golden/gguf] [case ...]

CHECKOUT is a source tree of llama.cpp, whose convert_hf_to_gguf.py is imported from there with its gguf package.  Only the
vocabulary is not its work: the models have none, and get "no_vocab".  Needs PyPI's torch and transformers.

GGUF cannot say all that config.json can (windows of Mistral and Qwen, dynamic scaling, dense layers between those with
experts, ...), so not every case has a file.  Those here were written with the llama.cpp in PyPI's llama-cpp-python 0.3.36."""
import argparse
import json
import logging
import pathlib
import shutil
import sys
import tempfile

GOLDEN = pathlib.Path(__file__).parent / "../../tests/golden"
CASES = """
    llama_llama3 llama_tied_biases llama_linear llama_yarn_tied mixtral_linear_tied qwen2_yarn_tied
    qwen2_moe_linear_tied qwen3_yarn_tied qwen3_moe olmo_clip olmo2_yarn_tied olmoe gemma gemma2 gemma3_text_older
    phi3_longrope phi3_window_tied smollm3_tied gpt2_untied gpt_neox gpt_oss deepseek_v2 deepseek_v3 bert roberta
    distilbert modernbert
""".split()


def vocabulary(model):
    model.gguf_writer.add_tokenizer_model("no_vocab")
    model.gguf_writer.add_vocab_size(model.hparams["vocab_size"])
    for key, add in (("bos_token_id", model.gguf_writer.add_bos_token_id), ("eos_token_id", model.gguf_writer.add_eos_token_id)):
        if model.hparams.get(key) is not None:
            add(model.hparams[key])


def add_keys(load):
    """Around the converter's reading of config.json: keys it asks for that transformers 5 no longer has."""
    def hparams(folder, is_mistral_format):
        h = load(folder, is_mistral_format)
        if h["model_type"] == "gpt2":
            h["n_ctx"] = h["n_positions"]
        if h["model_type"] == "gpt_neox":
            h["rotary_pct"] = h["rope_parameters"].get("partial_rotary_factor", 1.0)
        if h["model_type"] == "modernbert":
            h["layer_norm_eps"] = h["norm_eps"]
        if h["model_type"] == "deepseek_v3":
            h["scoring_func"] = "sigmoid"
        return h
    return staticmethod(hparams)


def convert(folder, out):
    from conversion import get_model_class
    from conversion.base import ModelBase, ModelType, get_model_architecture
    import gguf
    # In a folder of its own, whose name does not get into the file.
    with tempfile.TemporaryDirectory() as work:
        copy = pathlib.Path(work) / "model"
        shutil.copytree(folder, copy)
        (copy / "golden.safetensors").unlink()
        # Of this the converter counts the tokens, to cut a padded embedding.
        n = json.loads((copy / "config.json").read_text())["vocab_size"]
        (copy / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {str(i): i for i in range(n)}}, "added_tokens": []}))
        hparams = ModelBase.load_hparams(copy, False)
        cls = get_model_class(get_model_architecture(hparams, ModelType.TEXT))
        cls.set_vocab = vocabulary
        cls(copy, gguf.LlamaFileType.ALL_F32, out, model_name="random").write()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--llama.cpp", dest="checkout", required=True)
    p.add_argument("--out", type=pathlib.Path, default=GOLDEN / "gguf")
    p.add_argument("case", nargs="*")
    args = p.parse_args()
    sys.path[:0] = [args.checkout, f"{args.checkout}/gguf-py"]
    logging.disable(logging.WARNING)
    import torch
    from conversion.base import ModelBase
    ModelBase.load_hparams = add_keys(ModelBase.load_hparams)
    args.out.mkdir(parents=True, exist_ok=True)
    for case in args.case or CASES:
        with torch.inference_mode():
            convert(GOLDEN / "families" / case, args.out / f"{case}.gguf")


if __name__ == "__main__":
    main()
