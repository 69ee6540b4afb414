# What a person sees of model files: what is in them, written in other types, and those that are refused.
say() { "$@" > out 2> err; local rc=$?; sed "s|$ROOT/||g" out err; echo "exit $rc"; }
G=$ROOT/tests/golden/quant/small.gguf
say lathe info $G --metadata
say lathe info $G --check
say lathe quantize $G --to q4_0 --no-quality --out small.gguf
say lathe info small.gguf
say lathe quantize $G --to q9 --out x.gguf
say lathe quantize $G --to q8_0
say lathe quantize $ROOT/tests/golden/llama --to q8_0 --format safetensors --out x.safetensors
say lathe quantize $ROOT/tests/golden/llama --to bf16 --format safetensors --quiet --out half.safetensors
say lathe info $ROOT/tests/golden/llama --check
mkdir pickled
printf 'PK\003\004' > pickled/pytorch_model.bin
say lathe info pickled
say lathe info pickled/pytorch_model.bin
say lathe info $ROOT/tests/golden/quant/big.gguf
ls
