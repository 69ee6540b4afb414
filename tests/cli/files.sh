# What a person sees of model files: what is in them, written in other types, and those that are refused.
say() { "$@" > out 2> err; local rc=$?; sed "s|$ROOT/||g; s/^memory .*/memory/" out err; echo "exit $rc"; }      # memory: of as many threads as there are cores
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
mkdir folder
cp $ROOT/tests/golden/llama/config.json $ROOT/tests/golden/llama/model.safetensors folder
say lathe quantize folder --to q8_0 --out folder.gguf
printf '{"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false}}' > folder/tokenizer.json
# 9999999: a process that there cannot be; it was killed.  1 goes on.
touch folder.gguf.tmp.9999999 folder.gguf.floats.tmp.9999999 folder.gguf.floats.tmp.9999999.tmp.9999999 folder.gguf.tmp.1 folder.gguf.tmp other.gguf.tmp.9999999
say lathe quantize folder --to q8_0 --no-quality --quiet --out folder.gguf
ls *.tmp*
rm *.tmp*
say lathe info folder.gguf --check
for i in 1 2 3 4 5 6 7 8 9; do printf abbaaabbba; done > text
lathe quantize folder.gguf --to q4_0 --calib text --quiet --out small-folder.gguf > measured; echo "exit $?"
grep -c '^quality on' measured
lathe info small-folder.gguf | grep -c '^quality      KL to its source'
lathe info small-folder.gguf --metadata | grep -c lathe.quality
say lathe quantize folder.gguf --to q8_0 --format safetensors --out back
say lathe quantize folder.gguf --to f16 --format safetensors --out back
say lathe info back --check
ls back
mkdir pickled
printf 'PK\003\004' > pickled/pytorch_model.bin
say lathe info pickled
say lathe info pickled/pytorch_model.bin
say lathe info $ROOT/tests/golden/quant/big.gguf
ls
