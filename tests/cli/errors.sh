# What a person sees when something is wrong: one line on stderr, and the exit code.
say() { "$@" > out 2> err; echo "exit $? $(wc -l < err) line: $(sed "s|$PWD/||g" err)"; }
say lathe trian x
say lathe train
say lathe train missing.yaml
say lathe train a b
say lathe train x --stpes 5
say lathe generate missing -p x
say lathe generate missing
say lathe generate missing -p x -n 0
say lathe bench
say lathe version --threads
printf 'model: {hidden_size: 30, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 9, norm: rmsnorm, act: gelu, pos: learned}\ndata: {train: t}\n' > c.yaml
echo text > t
say lathe train c.yaml
printf 'data: {train: t}\ntrain: {lr: fast}\n' > c.yaml
say lathe train c.yaml
LATHE_CPU=fast lathe version 2> err; echo "exit $? $(sed 's/: ref.*/: .../' err)"
lathe help nothing 2> err; echo "exit $? $(cat err)"
lathe version > /dev/full 2> err; echo "exit $? $(cat err)"
HOME=/proc XDG_CACHE_HOME= lathe bench --limits --threads 1 2> err | grep -c GFLOP; sed 's/: No such.*\|: Permission.*/: .../' err
