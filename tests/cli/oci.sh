# Versions pushed and pulled between two registries: signed, by tag and by digest; a push that was killed goes on; what is refused.
export LATHE_ACTOR=tester LATHE_OCI_PASSWORD=sesame
say() {
    "$@" > said 2> talk
    local rc=$?
    cat said talk | sed -E "s|$PWD/||g; s/127.0.0.1:[0-9]+/HOST/g; s/20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/TIME/g; s/[0-9a-f]{64}/HASH/g; s/ in [0-9.]+ [mu]?s/ in TIME/; /^([a-z.]+: )?[0-9.]+ [kM]?B of [0-9.]+ [kM]?B$/d"
    echo "exit $rc"
}
serve() { # FOLDER
    rm -f $1.port
    lathe registry serve --registry $1 --no-facts --port 0 --port-file $1.port --key sesame --quiet & eval pid_$1=$!
    until [ -s $1.port ]; do sleep 0.05; done
    eval $1=oci://127.0.0.1:$(cat $1.port)
}
mkdir model && head -c 3000000 /dev/zero | tr '\0' w > model/weights.bin && echo '{}' > model/config.json
lathe sign --new-key release --quiet > signed && lathe sign model --key release.key --quiet > signed
lathe registry add mine model --no-facts --registry here --quiet > added
serve one
serve two
echo '# pushed'
say lathe registry push mine $one/m:v1 --registry here
say lathe registry push mine $one/m:v1 --registry here
say lathe registry push mine $one/m:1 --registry here
say lathe registry push mine $one/m:7 --registry here
say lathe registry push mine $one/a/b:v1 --registry here
say lathe registry push mine oci://h/m --registry here
say lathe registry push none $one/m:v1 --registry here
LATHE_OCI_PASSWORD=wrong say lathe registry push mine $one/m:v2 --registry here
say lathe registry history --registry one
echo '# pulled'
say lathe registry pull $one/m:v1 --registry there --no-facts
say lathe registry pull $one/m:1 --registry there --no-facts
say lathe registry pull $one/m:none --registry there --no-facts
say lathe registry pull $one/m:v1 --registry there2
lathe registry show m@1 --registry there | grep -c 'model.sig\|weights.bin'
digest=$(sed -n 's/.*sha256:/sha256:/p' said | head -1)
lathe registry push m@1 $two/again:v1 --registry there --quiet > pushed
grep -o 'sha256:.*' pushed | cut -d' ' -f1 > second && lathe registry pull $one/m:v1 --registry there --no-facts --quiet | grep -o 'sha256:.*' | cut -d' ' -f1 | cmp - second && echo the same manifest
say lathe registry pull "$two/again@$(cat second)" back --registry here --no-facts
say lathe registry list --registry here
say lathe registry verify --registry there
echo '# cut off'
head -c 200000000 /dev/zero > model/weights.bin && lathe registry add mine model --no-facts --registry here --quiet > added
lathe registry push mine $two/m:v2 --registry here --quiet > cut 2>&1 & push=$!
until [ -s "$(ls two/oci/uploads/*/* 2> /dev/null | head -1)" ]; do kill -0 $push 2> /dev/null || break; done
kill -9 $push 2> /dev/null; wait $push 2> /dev/null
lathe registry push mine $two/m:v2 --registry here --quiet 2>&1 | sed -E 's/[0-9a-f]{64}/HASH/'
lathe registry pull $two/m:v2 --registry there --no-facts --quiet > cut 2>&1 & pull=$!
until [ -s "$(ls there/oci/part/* 2> /dev/null | head -1)" ]; do kill -0 $pull 2> /dev/null || break; done
kill -9 $pull 2> /dev/null; wait $pull 2> /dev/null
lathe registry pull $two/m:v2 --registry there --no-facts --quiet | sed -E 's/[0-9a-f]{64}/HASH/'
cmp model/weights.bin there/blobs/sha256/*/$(sha256sum < model/weights.bin | cut -d' ' -f1) && echo same bytes
kill $pid_one $pid_two; wait
ls two/oci/uploads | wc -l
