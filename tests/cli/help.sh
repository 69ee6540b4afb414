# Every command is listed, explained and completed.
names() { lathe help | sed -n 's/^  lathe \(\(data\|registry\) [a-z]*\|[a-z]*\).*/\1/p'; }
names
names | while read -r c; do lathe help $c | grep -q "^lathe $c" || echo "no help for $c"; done
lathe --help | head -n 1
lathe train --help | head -n 1
. <(lathe completion bash)
COMP_WORDS=(lathe tr) COMP_CWORD=1; _lathe; echo "${COMPREPLY[@]}"
COMP_WORDS=(lathe train --dr) COMP_CWORD=2; _lathe; echo "${COMPREPLY[@]}"
lathe version --json | grep -c '"sha256": "[0-9a-f]\{64\}"'
COMP_WORDS=(lathe da) COMP_CWORD=1; _lathe; echo "${COMPREPLY[@]}"
COMP_WORDS=(lathe data au) COMP_CWORD=2; _lathe; echo "${COMPREPLY[@]}"
COMP_WORDS=(lathe data audit --fr) COMP_CWORD=3; _lathe; echo "${COMPREPLY[@]}"
lathe data 2>&1; echo "exit $?"
lathe data odit x 2>&1; echo "exit $?"
lathe data audit --help | head -n 1
