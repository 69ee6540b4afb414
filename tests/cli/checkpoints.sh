# A server signs where the journal ends, now and then: what goes on is signed again, a journal that was cut or made anew is said each time and is not.
. "$ROOT/tests/cli/small_models.bash"
export LATHE_HOME=$PWD/home LATHE_ACTOR=tester
lathe sign --new-key journal --quiet > signed
lathe sign --new-key other --quiet > signed
train_anything 32
add() { head -c 100 /dev/urandom > weights && lathe registry add m weights --no-facts --quiet > added; }
until_says() { for _ in $(seq 200); do grep -q "$1" log && return; sleep 0.05; done; echo "never: $1"; tail -3 log; }
until_signed() { for _ in $(seq 200); do [ "$(ls noted | wc -l)" -ge "$1" ] && return; sleep 0.05; done; echo "never: $1 checkpoints"; }
halt() { kill $server && wait $server; trap - EXIT; }

echo '# asked for in halves'
lathe registry serve --port 0 --checkpoint-key journal.key 2>&1
lathe registry serve --port 0 --checkpoint-key journal.pub --checkpoints noted 2>&1
lathe registry serve --port 0 --checkpoint-key journal.key --checkpoints noted --checkpoint-every 0s 2>&1
lathe serve run --port 0 --checkpoint-key journal.key --checkpoints noted 2>&1

echo '# by the server of models'
lathe registry add served run --no-facts --quiet > added && lathe registry promote served@1 --quiet > moved
lathe serve served@production --port 0 --port-file port --threads 1 --checkpoint-key journal.key --checkpoints noted --checkpoint-every 1s > log 2>&1 &
wait_for_server
until_signed 1
add
until_signed 2
sleep 1.2
ls noted | wc -l                                # nothing has come, so nothing is signed
halt
last=$(ls noted/* | tail -1)
sed -n 2p "$last"
lathe registry verify --no-blobs --checkpoint "$last" --public-key journal.pub > verified && echo holds
lathe registry verify --no-blobs --checkpoint "$last" --public-key other.pub 2>&1 | sed 's/^.*: the/the/'

echo '# a journal that was cut'
cp -r home whole
python3 - <<'P'
import sqlite3
db = sqlite3.connect("home/registry/registry.db")
for t in ("DELETE FROM journal WHERE seq = 3", "DELETE FROM version WHERE seq = 3"):
    db.execute(t)
db.commit()
P
rm port
lathe registry serve --port 0 --port-file port --checkpoint-key journal.key --checkpoints noted --checkpoint-every 1s > log 2>&1 &
wait_for_server
until_says 'it was cut'
halt
grep -m1 'it was cut' log | sed -E 's/20[0-9-]+T[0-9:]+/TIME/'
ls noted | wc -l

echo '# and one that was made anew'
rm -rf home port && for i in 1 2 3 4 5; do add; done
echo 'not one' > noted/damaged.checkpoint
lathe registry serve --port 0 --port-file port --checkpoint-key journal.key --checkpoints noted --checkpoint-every 1s > log 2>&1 &
wait_for_server
until_says 'made anew'
halt
grep -m1 'made anew' log | sed -E 's/20[0-9-]+T[0-9:]+/TIME/'
grep -m1 damaged log

echo '# as it was'
rm -rf home port && mv whole home && add
lathe registry serve --port 0 --port-file port --checkpoint-key journal.key --checkpoints noted --checkpoint-every 1s > log 2>&1 &
wait_for_server
until_signed 4
halt
sed -n 2p "$(ls noted/2* | tail -1)"
