# From labelled images to an answer: dark and bright ones, as idx files and as a folder of files.
square() { head -c 64 /dev/zero | tr '\0' "\\$1"; }
printf '\0\0\010\003\0\0\0\050\0\0\0\010\0\0\0\010' > images
printf '\0\0\010\001\0\0\0\050' > labels
for i in 0 1 2 3 4 5 6 7 8 9; do
    square 00$i; square 37$((i % 8)); square 01$((i % 8)); square 36$((i % 8))
    printf '\0\001\0\001' >> labels
done >> images
cat > config.yaml <<'Y'
model: {model_type: vit, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24, patch_size: 4, initializer_range: 0.1}
data: {train: [images, labels], labels: [dark, bright], valid_share: 0.25}
train: {steps: 30, batch: 8, lr: 1e-2, warmup: 2, eval_every: 0, save_every: 0, precision: fp32}
Y
lathe train config.yaml --out run --quiet --json --threads 1 > result.json && echo trained
grep -o '"valid_accuracy": [0-9.]*' result.json
ls run/config.json run/model.safetensors run/preprocessor_config.json run/data/train.img
tail -n 1 run/metrics.jsonl | grep -o '"valid_accuracy":[0-9.]*,"valid_images":[0-9]*'
grep -o '"id2label".*' run/config.json
lathe classify run images --quiet | head -n 3 | sed 's/ [01][.][0-9]*$//'
lathe classify run images --labels labels --quiet
lathe classify run images --labels labels --quiet --json | tr -d ' \n'; echo
lathe info run | grep 'images\|classes\|memory' | sed 's/[0-9.]* [kM]B/some/g'
echo '--- a file that is no image, a model that is no classifier, a text for a classifier'
echo text > note.png
lathe classify run note.png 2>&1; echo "exit $?"
lathe generate run -p x > out 2>&1; echo "exit $?"
lathe classify run images --labels note.png 2>&1; echo "exit $?"
lathe classify run images images --labels labels 2>&1; echo "exit $?"
mkdir -p folder/one; cp note.png folder/one/a.png
sed 's/train: .images, labels., labels: .dark, bright./train: folder/' config.yaml > folder.yaml
lathe train folder.yaml --out other --quiet 2>&1; echo "exit $?"
