# What two rules do that fire in one look, and one that fires again: a release goes back once, and by people from there on; who is told and does not answer keeps nobody waiting.
. "$ROOT/tests/cli/small_models.bash"
train_answers
export LATHE_REGISTRY=$PWD/registry LATHE_ACTOR=operator
for i in 1 2 3; do
    cp -r run run$i && echo "{\"top_k\": $i}" > run$i/generation_config.json
    lathe registry add chat run$i --quiet > /dev/null && lathe registry promote chat@$i --reason "version $i" > /dev/null
done
lathe serve chat@production --port 0 --port-file port --threads 1 --record registry --quiet > log 2>&1 &
wait_for_server
curl -s "http://127.0.0.1:$(cat port)/v1/completions" -d '{"model": "chat", "prompt": "Q: hello\nA:", "max_tokens": 4}' > /dev/null
echo '--- who is erased at once is so whole, with what was on its way to the database'
id=$(curl -s "http://127.0.0.1:$(cat port)/v1/completions" -d '{"model": "chat", "prompt": "Q: hello\nA:", "max_tokens": 4, "user": "mary"}' | grep -o 'cmpl-[0-9a-f]*')
lathe watch --erase mary
sleep 1
lathe registry served --request $id 2>&1 | sed "s|$PWD/||; s/$id/ID/"
kill $server && wait $server
# Rows like that one: 300 of before, then 200 whose prompts are longer and less likely.
python3 - <<'P'
import random, sqlite3, time
r = random.Random(2)
db = sqlite3.connect("registry/events.db")
columns = [c[1] for c in db.execute("PRAGMA table_info(answer)")]
row = dict(zip(columns, db.execute("SELECT * FROM answer").fetchone()))
t = (time.time_ns() // 10**9 - 1000) * 10**9
for i in range(500):
    late = i >= 300
    row.update(id=f"a{i}", t=t + i * 10**9, written=t + i * 10**9, prompt_tokens=r.randrange(5, 15) + 20 * late, prompt_nll=r.gauss(2 + 3 * late, 1), prompt_nll_tokens=5)
    db.execute(f"INSERT INTO answer ({','.join(columns)}) VALUES ({','.join('?' * len(columns))})", list(row.values()))
db.execute("DELETE FROM answer WHERE id NOT LIKE 'a%'")
db.commit()
from datetime import datetime, timezone
at = lambda i: datetime.fromtimestamp((t + i * 10**9) / 1e9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
open("times", "w").write(f"--since {at(0)} --until {at(300)} --from {at(300)}")
P
masked() { sed -E 's/20[0-9-]+T[0-9:]+Z/TIME/; s/effect [0-9.]+/effect E/; s/answer [0-9]+/answer N/; s/p [0-9.e-]+ of/p P of/; s/^ *[0-9]+  //; s/pid [0-9]+//'; }
watch() { lathe watch chat@production $(cat times) --once --signals prompt_tokens,prompt_nll --rules $1 2> talk | grep ' after ' | masked; masked < talk; }
history() { lathe registry history chat -n $1 | grep -v evidence | masked; }
cat > two.yaml <<'Y'
- {signal: prompt_tokens, when: alarm, do: rollback}
- {signal: prompt_nll, when: alarm, do: [alert, rollback]}
- {signal: prompt_nll, when: effect > 1, do: rollback}
Y
echo '--- three rules in one look'
watch two.yaml
history 4
echo '--- and again: what is there now was gone back to'
watch two.yaml
history 3
echo '--- without an --until what is new is watched, and nothing of before'
lathe watch chat $(cut -d ' ' -f 1-2 times) --once --signals prompt_tokens | head -n 1
echo '--- what is said of answers are events, too'
cp -r registry said-of
python3 -c 'import sqlite3; b = sqlite3.connect("said-of/events.db"); b.execute("INSERT INTO feedback (id, choice, t, score, written) SELECT id, choice, t, 0.5, written FROM answer"); b.commit()'
lathe watch chat $(cat times) --once --signals prompt_tokens,feedback --events said-of 2> talk | sed -n '/^signal/s/  */ /gp'
echo '--- with a canary beside it that is what goes, and nothing more'
lathe registry promote chat@3 --canary 50% --reason 'once more' > /dev/null
echo '- {signal: prompt_nll, when: alarm, do: [stop_canary, rollback]}' > both.yaml
watch both.yaml
history 2
echo '--- a webhook that does not answer: the release has gone back before'
lathe registry promote chat@3 --reason 'all of it' > /dev/null
cat > silent.py <<'P'
import socket, subprocess, time
s = socket.create_server(("127.0.0.1", 0))
open("silent.yaml", "w").write("- {signal: prompt_nll, when: alarm, do: [alert, rollback], webhook: 'http://127.0.0.1:%d/'}" % s.getsockname()[1])
p = subprocess.Popen("exec lathe watch chat@production $(cat times) --once --signals prompt_nll --rules silent.yaml --quiet", shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
c, _ = s.accept()
print(subprocess.run(["lathe", "registry", "history", "chat", "-n", "2"], capture_output=True, text=True).stdout.count(" rollback chat@2 "))
c.close()
print("exit", p.wait())
P
python3 silent.py
echo '--- a database that is removed and made anew is watched on'
lathe watch chat $(cut -d ' ' -f 1-4 times) --signals prompt_tokens --out reference.json > /dev/null
cp -r registry other
echo '- {signal: prompt_tokens, when: alarm, do: exit}' > exit.yaml
timeout 60 lathe watch chat --reference reference.json --events other --rules exit.yaml --every 0.2 > seen 2> talk & watch=$!
sleep 1
rm other/events.db*
sleep 1
cp registry/events.db.key other
python3 - <<'P'
import sqlite3, time
a, b = sqlite3.connect("registry/events.db"), sqlite3.connect("other/new.db")
a.backup(b)
b.execute("DELETE FROM answer WHERE prompt_tokens < 20")
b.execute("UPDATE answer SET t = ?1 + rowid, written = ?1 + rowid", [time.time_ns()])
b.commit()
b.execute("PRAGMA journal_mode=DELETE")
b.close()
P
mv other/new.db other/events.db
wait $watch; echo "exit $?"
masked < seen | sed 's/after [0-9]* answers/after N answers/'
sed 's/; the next look.*//' talk
