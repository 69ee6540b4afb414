# The licence of a folder's model is what its card and LICENSE say: a policy's list is held against it.
. "$ROOT/tests/cli/small_models.bash"
export LATHE_HOME=$PWD/home LATHE_ACTOR=tester
train_anything 32
card() { printf -- "---\nlicense: $1\n---\n# A model\n" > run/README.md; }
add() { lathe registry add tiny run --quiet > said && lathe registry show tiny --json | grep '"license"' || echo none; }
move() { lathe registry promote "tiny@$1" 2>&1 | sed 's/, evidence.*//'; }
printf 'licences: [MIT, Apache-2.0]\n' > policy.yaml
add
lathe registry policy tiny policy.yaml
move 1
card apache-2.0 && add && move 2
card cc-by-nc-4.0 && add && move 3
card other && printf 'Permission is not granted to anybody but us.\nAll rights reserved.\n' > run/LICENSE && add && move 4
card mit && printf 'SPDX-License-Identifier: GPL-3.0-only\n' > run/LICENSE && add && move 5
printf 'SPDX-License-Identifier: Apache-2.0\n' > run/LICENSE && add && move 6
