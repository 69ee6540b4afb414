# A model signed and verified, by a key and by a certificate, and loaded only where its signature holds.
. "$ROOT/tests/cli/small_models.bash"
train_anything 64
mkdir m && cp run/*.json run/model.safetensors m/
say() { echo "--- $*"; }
say keys
lathe sign --new-key k --quiet | sed 's/[0-9a-f]\{64\}/HEX/'; lathe sign --new-key other --curve P-521 --quiet | sed 's/[0-9a-f]\{64\}/HEX/'
stat -c '%a %n' k.key k.pub
lathe sign --new-key k 2>&1; echo "exit $?"
LATHE_SIGN_PASSWORD=secret lathe sign --new-key locked --quiet | sed 's/[0-9a-f]\{64\}/HEX/'; grep -c 'BEGIN ENC' locked.key
say sign
lathe sign m 2>&1; echo "exit $?"
lathe sign m --key k.pub 2>&1; echo "exit $?"
lathe sign m --key locked.key 2>&1; echo "exit $?"
LATHE_SIGN_PASSWORD=wrong lathe sign m --key locked.key 2>&1; echo "exit $?"
LATHE_SIGN_PASSWORD=secret lathe sign m --key locked.key --quiet --out elsewhere.sig | sed 's/[0-9a-f]\{64\}/ROOT/'
lathe verify m --key k.pub 2>&1; echo "exit $?"
lathe sign m --key k.key --quiet | sed 's/[0-9a-f]\{64\}/ROOT/'; ls m/model.sig
say verify
lathe verify m --key k.pub | sed 's/[0-9a-f]\{64\}/HEX/; s/unchanged  [0-9]*/unchanged  N/'; echo "exit ${PIPESTATUS[0]}"
lathe verify m --key locked.pub --signature elsewhere.sig --json | grep -c '"holds": true'
lathe verify m 2>&1; echo "exit $?"
lathe verify m --key other.pub 2>&1 | sed 's/:[0-9a-f]\{12\}\.\./:HEX/g'; echo "exit ${PIPESTATUS[0]}"
lathe verify m --key k.key 2>&1; echo "exit $?"
lathe verify m --key k.pub --identity someone 2>&1 | sed 's/[0-9a-f]\{64\}/HEX/'; echo "exit ${PIPESTATUS[0]}"
say load
loads() { lathe generate m -p a -n 2 --quiet "$@" > /dev/null 2> log; echo "exit $? $(sed 's/:[0-9a-f]\{12\}\.\./:HEX/g; s/(.*not.*)//' log)"; }
loads --signature-key k.pub
loads --signature-key other.pub
loads --signature-key other.pub --signature warn
loads --signature-key other.pub --signature off
loads --signature enforce
touch -d '1 hour ago' m/* k.pub; sleep 3.1                # what is fresh is not remembered
lathe generate m -p a -n 2 --signature-key k.pub 2>&1 > /dev/null | grep signed | sed 's/[0-9a-f]\{64\}/HEX/; s/:[0-9a-f]\{16\}\.\./:ROOT/'
lathe generate m -p a -n 2 --signature-key k.pub 2>&1 > /dev/null | grep signed | sed 's/[0-9a-f]\{64\}/HEX/; s/:[0-9a-f]\{16\}\.\./:ROOT/'
cp m/config.json config.was; echo >> m/config.json; touch -r m/model.sig m/config.json
loads --signature-key k.pub
cp config.was m/config.json; echo x > m/new
loads --signature-key k.pub
lathe verify m --key k.pub --allow-unsigned > /dev/null; echo "exit $?"
rm m/new
loads --signature-key k.pub
lathe serve n=m --port 0 --port-file port --signature-key other.pub --quiet 2>&1 | sed 's/:[0-9a-f]\{12\}\.\./:HEX/g'; echo "exit ${PIPESTATUS[0]}"
mv m/model.sig was.sig; loads --signature-key k.pub; loads --signature-key k.pub --signature warn
say changed
cp was.sig m/model.sig; echo >> m/config.json; echo x > m/new; rm m/model.safetensors
lathe verify m --key k.pub 2>&1 | sed 's/[0-9a-f]\{64\}/HEX/; s/unchanged  [0-9]*/unchanged  N/'; echo "exit ${PIPESTATUS[0]}"
lathe verify m --key k.pub --json 2> /dev/null | grep -A2 '"changed"\|"missing"\|"unsigned"\|"holds"' | grep -v files
head -c 500 was.sig > m/model.sig; lathe verify m --key k.pub 2>&1 | sed 's/:[0-9]*:[0-9]*:.*//'; echo "exit ${PIPESTATUS[0]}"
say statements
cp was.sig m/model.sig; cp config.was m/config.json; cp run/model.safetensors m/; rm m/new
lathe sign m --key k.key --training run --quiet | sed 's/[0-9a-f]\{64\}/ROOT/'
lathe verify m --key k.pub --signature m.training.sig | grep '"kind"\|"uri"\|"buildType"\|"name"'
echo '{"results": {"arc": {"acc,none": 0.5}}}' > results.json
lathe sign m --key k.key --evaluation results.json 2>&1; echo "exit $?"
lathe sign m --key k.key --evaluation results.json --require arc/acc 2>&1; echo "exit $?"
lathe sign m --key k.key --evaluation results.json --require 'arc/acc>=0.6' --require 'arc/acc<1' 2>&1 >/dev/null
lathe verify m --key k.pub --signature m.evaluation.sig | grep -A4 '"result"\|Tests"'
lathe verify m --key other.pub --signature m.evaluation.sig > /dev/null 2>&1; echo "exit $?"
echo >> m/config.json; lathe verify m --key k.pub --signature m.evaluation.sig 2>&1 | sed 's/:[0-9a-f]\{12\}\.\./:HEX/g'; echo "exit ${PIPESTATUS[0]}"
