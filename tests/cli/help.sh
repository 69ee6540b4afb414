# Every command is listed, explained and completed.
lathe help | sed -n 's/^  lathe \([a-z]*\).*/\1/p'
for c in $(lathe help | sed -n 's/^  lathe \([a-z]*\).*/\1/p'); do lathe help $c | grep -q "^lathe $c" || echo "no help for $c"; done
lathe --help | head -n 1
lathe train --help | head -n 1
. <(lathe completion bash)
COMP_WORDS=(lathe tr) COMP_CWORD=1; _lathe; echo "${COMPREPLY[@]}"
COMP_WORDS=(lathe train --dr) COMP_CWORD=2; _lathe; echo "${COMPREPLY[@]}"
lathe version --json | grep -c '"sha256": "[0-9a-f]\{64\}"'
