# Usage: awk -f tools/ptx.awk src/gpu/kernels.def IN.ptx > OUT.ptx.  Writes the launch bounds of kernels.def behind each entry's signature: clang's OpenCL
# knows none for nvptx64-nvidia-cuda, and without them ptxas assumes 1024 threads.  An entry that kernels.def does not have is an error.
FNR == NR { if (match($0, /^K(_CUDA)?\([a-z0-9_]+,/)) { sub(/^[^(]*\(/, ""); split($0, f, /, */); n_thread[f[1]] = f[3]; n_block[f[1]] = f[4] } next }
{ print }
/\.entry / {
    name = $0; sub(/.*\.entry /, "", name); sub(/\(.*/, "", name)
    if (!(name in n_thread)) { print FILENAME ": kernel '" name "' is not in " ARGV[1] > "/dev/stderr"; bad = 1; exit 1 }
}
name != "" && /^\)/ { print ".maxntid " n_thread[name] ", 1, 1\n.minnctapersm " n_block[name]; name = "" }
END { exit bad }
