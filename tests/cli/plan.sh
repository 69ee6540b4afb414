# lathe plan: models by name and by their files, and what is wrong with both
export XDG_STATE_HOME=$PWD/state
lathe plan Llama-3-8B
lathe plan "deepseek v3" --json | head -4
lathe plan --models | head -2
lathe plan --devices | head -2
lathe plan --check
mkdir -p state/lathe
printf '%s\n' '{"time":"2026-11-27T10:00:00Z","what":"train.step_seconds","machine":"a box, 2 threads","model":"x.yaml","predicted":0.5,"actual":0.55}' 'torn' > state/lathe/plans.jsonl
lathe plan --check 2>&1
mkdir m && echo '{"model_type":"lama","hidden_size":64}' > m/config.json
for what in "llama-3-9b" "" "m" "--check llama-3-8b" "nowhere/config.json"; do
    # shellcheck disable=SC2086
    lathe plan $what 2>&1
    echo "exit code $?"
done
# training: memory and time by part, and what cannot be
lathe plan llama-3-8b --train --device h100:8 --tokens 15e12 --explain | grep -o -E '^8 x H100 SXM|^  tp [0-9]+|a step|weights [0-9.]+ GB|how sure|^  or tp' | sort | uniq -c
lathe plan llama-3-70b --train --device mi300x --lora-rank 16 --batch-tokens 65536 --json | grep -c '"watt_hours"\|"step_parts"\|"recompute"'
for what in "--train" "--train --device h100:1" "--train --device h100:0" "--train --device h1000" "--train --device this" "--train --device mi300x:cxp" "--train --device h100 --weights int8" "--train --device h100:2000" "--device this --bandwidth-times 2"; do
    # shellcheck disable=SC2086
    lathe plan llama-3-70b $what 2>&1
    echo "exit code $?"
done
# of several devices, one that cannot is no end of the others; all are looked at before one is planned
lathe plan llama-3-70b --train --device h100:1 --device rpi-5:3 --device h100:64 | grep -o -E '^llama-3-70b: steps|^H100 SXM: it fits on 1|^Raspberry Pi 5: 3 .* at most|^64 x H100'
lathe plan llama-3-70b --train --device h100:1 --device h100:64 --json | grep -o '"fits": [a-z]*'
lathe plan llama-3-8b --train --device h100:8 --device h1000 2>&1
lathe plan llama-3-8b --train --device h100:8 --weights f32 --gradient-bytes 2 2>&1
lathe plan llama-3-8b --train --device h100 --weight-bits 4 2>&1
# serving: who fits, and what cannot be
lathe plan llama-3-8b --device h100:1 --device orin-nano:1 --weights fp8 --requests 200 | grep -o -E '1 x H100 SXM +tp 1 +fp8|Orin Nano 8GB +does not fit|are missing'
lathe plan llama-3-8b --device h100:1 --device orin-nano:1 --weights fp8 --requests 200 --json | grep -c '"capacity_requests_per_s"\|"why"\|"ttft_seconds"\|"wh_per_million_output_tokens"'
printf '%s\n' 'TIMESTAMP,ContextTokens,GeneratedTokens' '2023-11-16 18:15:46.6805900,374,44' '2023-11-16 18:15:50.9951690,396,109' > trace.csv
lathe plan llama-3-8b --device h100:1 --workload trace.csv --json | grep '"mean_prompt_tokens"'
echo '2023-11-16 18:15:51,12' >> trace.csv
# edge or cloud
lathe plan llama-3-8b --device h100 --device rtx-4090=1800 --api mine=0.5:1.5 --weights fp8 --requests 200 --versus --html page.html 2>/dev/null | grep -E -o '^mine|\(bought\)|GeForce RTX 4090 is cheaper than mine' | sort | uniq -c
grep -c '<svg' page.html
for what in "--workload trace.csv" "--workload chess" "--workload recorded:nowhere" "--prompt ten" "--rate 1 --users 2" "--ttft 1 --e2e 0.5" "--kv fp5" "--kv fp4" "--device this --weights fp8" "--device this --kv fp8" "--tp 3" "--tp 16" "--rate 1e8" "--html x.html" "--versus --train" "--requests 1 --users 11" "--versus --api 1" "--versus --device orin-nano" "--device h100=free"; do
    # shellcheck disable=SC2086
    lathe plan llama-3-8b --device h100:8 $what 2>&1 >/dev/null
    echo "exit code $?"
done
# users and traces of replicas; names of any bytes
lathe plan llama-3-8b --device h100:8 --users 1 --requests 50 --tp 1 | grep -o -E '; 1 user;|x 8 +bf16'
lathe plan smollm2-135m --device h100 --requests 50 --versus --json --api "$(printf 'a\xff\033=1:1')" 2>&1 | grep '"name": "a'
# options that would be passed over, and what a load says of the rest
for what in "--rate 3" "--train --device h100:8 --tp 8" "--versus --device h100 --tokens 5" "--device h100 --life 2" "--device h100 --think 3" "--device h100 --ramp 3" "--device h100 --workload batch --rate 3" "--device h100:100000"; do
    # shellcheck disable=SC2086
    lathe plan llama-3-8b $what 2>&1
    echo "exit code $?"
done
lathe plan --check --rate 5 2>&1
lathe plan --models --train 2>&1
lathe plan llama-3-8b --device h100 --requests 200 --e2e 1 | grep -o '99 % within .*'
lathe plan llama-3-8b --device h100:1 --device h200:1 --requests 200 --prompt 8000 --output 400 | grep 'answers end'
lathe plan llama-3-8b --device h100 --requests 200 --prompt 9000 | tail -2
lathe plan llama-3-8b --device h100 --device rpi-5 --weights fp4 --rate 1e6 --requests 200 | grep -o 'does not fit: [0-9e+]* requests a second take [0-9]* replicas of [a-zA-Z0-9 ]*'
