# Models from a hub: what a person sees when all is well, and with everything that can go wrong on the way.
gold=$ROOT/tests/golden
make_model() { mkdir -p "hub/$1" && cp $gold/llama/config.json $gold/llama/model.safetensors "hub/$1"; }
for org in good drops norange wrong short long busy down moved changes offset outside absolute twice huge gated private slow elsewhere garbage endless flood circle later; do make_model $org/model; done
echo > hub/elsewhere/model/LICENSE
mkdir -p hub/good/model/1_Pooling hub/good/model/onnx hub/good/ggufs hub/good/pickle hub/good/one
for f in README.md pytorch_model.bin tokenizer.model chat_template.jinja 1_Pooling/config.json "special tokens.json" onnx/model.safetensors; do echo "$f" > "hub/good/model/$f"; done
: > hub/good/model/merges.txt; : > hub/good/model/vocab.txt; echo twice > hub/good/model/a.json; echo twice > hub/good/model/b.json
cp $gold/gguf/gemma.gguf hub/good/ggufs/tiny-Q8_0.gguf; cp $gold/gguf/qwen3_moe.gguf hub/good/ggufs/tiny-Q4_K_M.gguf
cp $gold/gguf/gemma.gguf hub/good/one/one.gguf
echo weights > hub/good/pickle/pytorch_model.bin
"$ROOT/tools/testhub.py" hub port log & hub=$!
trap 'kill $hub' EXIT
for _ in $(seq 300); do [ -s port ] && break; sleep 0.1; done
export HF_ENDPOINT=$(cat port) HF_HOME=$PWD/none LATHE_HOME=$PWD/store no_proxy='*'
unset HF_TOKEN
tidy() { sed "s|$PWD/||g; s|$HF_ENDPOINT|HUB|g; s|http://127.0.0.1:[0-9]*|OTHER|g; s|in [0-9.]* s, |in T s, |; s|[0-9.]* [kMGT]B are free|N are free|"; }
pull() { lathe pull "$@" 2>&1 | grep -v '^[0-9]* of [0-9]* files, ' | tidy; echo "exit ${PIPESTATUS[0]}"; }
store() { (cd store/models/$1/model && find . -type f | sort); }

echo '--- a model, and again'
pull good/model
(cd store/models/good/model/[0-9a-f]* && find . -type f | sort && cmp model.safetensors $gold/llama/model.safetensors && cmp 'special tokens.json' "../../../../../hub/good/model/special tokens.json" && echo same)
grep -c 'resolve' log; ls store/models/good/model store/models/good/model/part
: > log; pull good/model; grep -c resolve log
lathe pull good/model --json --quiet | tidy
lathe pull good/model --json --quiet | sed -n 's/.*"sha256": "\(.*\)"/\1/p' | sort > sums
(cd store/models/good/model/[0-9a-f]* && find . -type f -exec sha256sum {} +) | cut -c1-64 | sort | cmp - sums && echo 'the sums are those of the files'
echo '--- used under its name'
lathe info good/model --json --quiet | grep family
lathe info good/model@v1 2>&1; pull good/model --revision v1; lathe info good/model@v1 --json --quiet | grep family
pull good/model@refs/pr/1 --quiet; lathe info good/model@refs/pr/1 --json --quiet | grep -c family
info() { lathe info "$@" 2>&1; }
info good/nothing; info good/model:Q4
lathe generate good/model -p x --draft good/nothing 2>&1
echo '--- of several GGUF files one'
pull good/ggufs
pull good/ggufs --file '*q4_k_m*'
pull good/ggufs --file '*Q4_K_M*' --quiet
lathe info good/ggufs --json --quiet | grep family
pull good/ggufs:q8_0 --quiet
info good/ggufs; lathe info good/ggufs:q8 --json --quiet | grep family; info good/ggufs:F16
pull good/one --quiet; lathe info good/one --json --quiet | grep family
pull good/pickle
echo '--- what passes'
: > log
for org in drops changes norange busy; do
    pull $org/model --jobs 1; cmp store/models/$org/model/[0-9a-f]*/model.safetensors $gold/llama/model.safetensors && echo same
    sed -n "s|^\(.*\) /.*/$org/model/.*model.safetensors\(.*\)|\1\2|p" log
done
echo '--- what does not'
for org in wrong short long down moved offset outside absolute twice huge gated elsewhere garbage endless flood circle later; do
    echo "$org:"; pull $org/model --jobs 1 --tries 2; [ ! -e store/models/$org ] || store $org | grep 'safetensors\|part'
done
pull nobody/model; pull good/model --revision v2; pull good/model --file '*Q9*'; pull 'good'; pull ../model; pull good/model@../x
HF_ENDPOINT=http://127.0.0.1:1 pull good/model --tries 1
HF_ENDPOINT=ftp://x pull good/model
echo '--- tokens'
: > log
pull private/model; pull private/model --token wrong
HF_TOKEN=secret pull private/model
grep -c '^hub.* token ' log; grep '^cdn' log | grep -c token
rm -r store/models/private; mkdir none; echo secret > none/token; pull private/model --quiet
pull private/model --token $'a\nb'
echo '--- stopped, and gone on with'
: > log
lathe pull slow/model --quiet 2> err & job=$!
for _ in $(seq 300); do [ -n "$(find store/models/slow/model/part -size +60k 2>/dev/null)" ] && break; sleep 0.1; done
pull slow/model
kill -INT $job; wait $job; echo "exit $? $(sed 's/with .* of/with N of/' err)"
store slow | grep -c part
pull slow/model; grep 'cdn.*range' log
echo '--- a part that is not of this file'
for n in 50000 136992 200000; do
    rm store/models/good/model/[0-9a-f]*/model.safetensors
    head -c $n /dev/zero > store/models/good/model/part/$(sha256sum < $gold/llama/model.safetensors | cut -c1-64)
    pull good/model --tries 2
    cmp store/models/good/model/[0-9a-f]*/model.safetensors $gold/llama/model.safetensors && echo same
done
echo '--- listed and removed'
models() { lathe models "$@" 2>&1 | tidy; echo "exit ${PIPESTATUS[0]}"; }
pull later/model --tries 1 --jobs 1 --quiet
models | grep '^good\|^slow\|^exit'; models later/model | grep -c 'not whole yet'; models good/model; models good/model --json --quiet | grep -c '"complete": true'
models nobody/model; models --remove; models good/ggufs:q8 --remove; models good
models good/model@v1 --remove; lathe info good/model@v1 2>&1; lathe info good/model --json --quiet | grep -c family
models good/model@v9 --remove
models good/model@main --remove; models good/model; models good/model@refs/pr/1 --remove; info good/model
(exec 9< store/models/slow/model; flock 9; models slow/model --remove)
models slow/model --remove; models slow/model --remove; ls store/models/slow 2>&1
pull slow/model --quiet; lathe info slow/model --json --quiet | grep -c family
for org in $(ls store/models); do for m in $(ls store/models/$org); do lathe models $org/$m --remove --quiet || echo $org/$m; done; done
models; ls store/models
