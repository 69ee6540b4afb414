# A registry: a model that can be loaded, a data set, evidence, aliases, releases and back, a policy that says no, history, and what was changed behind it.
. "$ROOT/tests/cli/small_models.bash"
export LATHE_HOME=$PWD/home LATHE_ACTOR=tester
say() {
    "$@" > said 2> talk
    local rc=$?
    cat said talk | sed -E "s|$PWD/||g; s/20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/TIME/g; s/[0-9a-f]{64}/HASH/g; s|sha256/[0-9a-f]{2}/|sha256/AB/|; s/evidence [0-9a-f]{12}/evidence ID/g; s/  [0-9.]+ [kM]?B/  BYTES/; s/of [0-9.]+ [kM]?B/of BYTES/; s/, [0-9.]+ [kM]?B/, BYTES/"
    echo "exit $rc"
}
say lathe registry list
train_anything 32
sed s/steps:.1/steps:\ 2/ config.yaml > config2.yaml
lathe train config2.yaml --out run2 --quiet --threads 1 > result 2> warnings
echo '{"a": 1}' > rows.jsonl
echo '{"totals": {"records": 1}, "sources": [], "secrets": {"n": 2}, "licences": {"sources": [{"source": "rows", "expression": "MIT"}]}}' > report.json
sha=$(sha256sum run2/model.safetensors | cut -d' ' -f1)
echo "{\"kind\": \"calibration\", \"model_sha256\": \"$sha\", \"figures\": [{\"name\": \"ece\", \"of\": null, \"value\": 0.08}, {\"name\": \"accuracy\", \"of\": \"greetings\", \"value\": 0.9}]}" > calibration_1.json
echo '# added'
say lathe registry add rows rows.jsonl --kind data --evidence report.json --reason 'from the help desk'
say lathe registry add tiny run --from rows@1 --from teacher=org/large@main --reason first
say lathe registry add tiny run2 --from rows@1 --evidence calibration_1.json
say lathe registry add tiny run2
say lathe registry add tiny rows.jsonl
say lathe registry list
say lathe registry lineage rows
lathe registry show tiny@2 --json | grep -o '"parameters": [0-9]*'
lathe registry show tiny@2 | grep -c 'tokenizer.json'
lathe generate tiny@1 -p text -n 2 --threads 1 > at1 2> talk && lathe generate run -p text -n 2 --threads 1 2> talk | cmp - at1 && echo same text
echo '# released'
say lathe registry promote tiny@1 --reason start
say lathe registry promote tiny@2 --canary 10%
say lathe registry promote tiny@2 --canary 0
say lathe registry promote tiny@2 --canary 10
say lathe registry promote tiny@3
say lathe registry promote tiny
say lathe registry rollback tiny
say lathe registry rollback tiny --reason 'slower answers'
say lathe registry alias tiny@2 candidate
say lathe registry alias tiny@2 5
say lathe registry served
say lathe registry served --at 2020-01-01
say lathe registry served --at yesterday
echo '# gates'
printf 'evaluation:\n  accuracy/greetings: {min: 0.8}\ncalibration: {ece: 0.05}\nsecrets: 0\ncontamination: 0\nlicences: [MIT]\nsignature: enforce\nsigners: [release.pub]\n' > policy.yaml
say lathe registry policy tiny policy.yaml
lathe sign --new-key release --quiet > signed
say lathe registry policy tiny policy.yaml
say lathe registry promote tiny@2
lathe sign run2 --key release.key --ignore checkpoints --quiet > signed
lathe registry add tiny run2 --quiet > added
say lathe registry promote tiny@2 --override 'the board wants it'
echo 'secret: 0' > wrong.yaml
say lathe registry policy tiny wrong.yaml
say lathe registry policy tiny --alias other
say lathe registry history
echo '# verified'
say lathe registry verify
head=$(lathe registry verify | sed -n 's/.*ends with //p')
blob=$(ls home/registry/blobs/sha256/*/$sha)
chmod +w $blob && printf x | dd of=$blob bs=1 seek=9 conv=notrunc 2> /dev/null
say lathe registry verify --head "$head"
say lathe registry verify --no-blobs
say lathe registry verify --head 3:abc
