# From labelled images to an answer: dark and bright ones, as idx files and as a folder of files.
. "$ROOT/tests/cli/small_models.bash"
make_images
lathe train images.yaml --out run --quiet --json --threads 1 > result.json && echo trained
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
sed 's/train: .images, labels., labels: .dark, bright./train: folder/' images.yaml > folder.yaml
lathe train folder.yaml --out other --quiet 2>&1; echo "exit $?"
