#!/bin/bash
# openai-python's own tests of the endpoints that lathe serves, against lathe serve in place of the mock that they were written for.
# usage: tools/peers/openai_python.sh MODEL CHECKOUT [pytest's options]
# CHECKOUT: openai-python's repository, installed with what its tests need for $PYTHON (python3 unless given).
set -e
model=$(realpath "$1") checkout=$(realpath "$2") lathe=$(realpath "$(dirname "$0")/../..")/lathe
shift 2
work=$(mktemp -d)
trap 'kill $server 2> /dev/null; rm -rf "$work"' EXIT
cd "$checkout"
while read -r name test; do
    rm -f "$work/port"
    "$lathe" serve "$model" --name "$name" --key "My API Key" --matryoshka --ctx 256 --port 0 --port-file "$work/port" --quiet & server=$!
    until [ -s "$work/port" ]; do kill -0 $server; sleep 0.1; done
    echo "--- $test, model $name"
    TEST_API_BASE_URL=http://127.0.0.1:$(cat "$work/port")/v1 "${PYTHON:-python3}" -m pytest -q -p no:cacheprovider -p no:logging --tb=line "$@" "$test" || true
    kill $server
    wait $server || true
done <<'T'
gpt-5.4 tests/api_resources/chat/test_completions.py
gpt-3.5-turbo-instruct tests/api_resources/test_completions.py
text-embedding-3-small tests/api_resources/test_embeddings.py
gpt-4o-mini tests/api_resources/test_models.py
T
