# Text to ids and back, from a file and from standard input; what is wrong is said in one line.
say() { "$@" > out 2> err; local rc=$?; sed "s|$ROOT/||g" out err; echo "exit $rc"; }
S=$ROOT/tests/golden/tokenizers/small
printf 'Hello <s>' > t
say lathe tokenize $S/llama2.json t --json
say lathe tokenize $S/llama2.json t --specials --add
lathe tokenize $S/llama2.json t --json | lathe tokenize $S/llama2.json --decode; echo
printf '[0, 1]' | lathe tokenize $S/gpt2.json --decode --json
say lathe tokenize $S/gpt2.json --decode missing
printf 'one' > t; say lathe tokenize $S/gpt2.json --decode t
printf '5 70000' > t; say lathe tokenize $S/gpt2.json --decode t
say lathe tokenize $S/gpt2.json --decode --add t
printf 'IQ== 0\n' > x; say lathe tokenize x t
printf 'GIF89a' > x; say lathe tokenize x t
mkdir empty; say lathe tokenize empty t
