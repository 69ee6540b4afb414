#!/bin/bash
# schemathesis against lathe serve, by OpenAI's own description of its API (tools/peers/schemathesis_spec.py says what is cut down).
# usage: tools/peers/schemathesis.sh MODEL OPENAPI.json [schemathesis run's options]
# MODEL: any with 48 numbers in a vector or more and a chat template; $SCHEMATHESIS: the program (schemathesis unless given).
set -e
lathe=$(realpath "$(dirname "$0")/../..")/lathe
work=$(mktemp -d)
trap 'kill $server 2> /dev/null; rm -rf "$work"' EXIT
spec() { python3 "$(dirname "$0")/schemathesis_spec.py" "$1" m $2 > "$work/$2.json"; }
spec "$2" positive
spec "$2" negative
"$lathe" serve "$1" --name m --key secret --matryoshka --ctx 128 --port 0 --port-file "$work/port" --quiet & server=$!
until [ -s "$work/port" ]; do kill -0 $server; sleep 0.1; done
shift 2
cd "$work"
failed=0
for mode in positive negative; do
    "${SCHEMATHESIS:-schemathesis}" run $mode.json --mode $mode --url "http://127.0.0.1:$(cat port)/v1" -H "Authorization: Bearer secret" --phases examples,coverage,fuzzing \
        --suppress-health-check all --continue-on-failure --no-color --generation-codec utf-8 "$@" || failed=1
done
exit $failed
