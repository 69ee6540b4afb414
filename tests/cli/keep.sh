# What a registry is kept by: old versions' bytes go for a quota and come back, backups and restores, signed checkpoints that find a journal made anew.
export LATHE_HOME=$PWD/home LATHE_ACTOR=tester
say() {
    "$@" > said 2> talk
    local rc=$?
    cat said talk | sed -E "s|$PWD/||g; s/20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/TIME/g; s/20[0-9]{2}-[0-9]{2}-[0-9]{2}/DAY/g; s/[0-9a-f]{64}/HASH/g; s|sha256/[0-9a-f]{2}/|sha256/AB/|; s/registry [0-9a-f]{12}/registry ID/; s/[0-9.]+ k?B/BYTES/g"
    echo "exit $rc"
}
for i in 1 2 3 4; do
    head -c 20000 /dev/zero | tr '\0' $i > weights
    lathe registry add m weights --no-facts --quiet > added
done
lathe registry promote m@2 --quiet > moved
echo nobody > stray && mkdir -p home/registry/blobs/sha256/00 && cp stray home/registry/blobs/sha256/00/$(printf %064d 0)
echo '# room'
say lathe registry gc
say lathe registry gc --grace 0s --quota 50kB --dry-run
say lathe registry gc --grace 0s --quota 50kB --reason 'disk is full'
say lathe registry gc --grace 0s --quota 1kB
say lathe registry gc --quota large
say lathe registry show m@1
say lathe registry promote m@1
say lathe registry verify
head -c 20000 /dev/zero | tr '\0' 1 > weights
say lathe registry add m weights --no-facts
say lathe registry promote m@1
say lathe registry history -n 4
echo '# backup'
say lathe registry backup copy
say lathe registry backup copy
say lathe registry backup copy --check
say lathe registry backup copy --events registry
say lathe registry backup copy --texts
say lathe registry restore copy
say lathe registry restore copy --registry again
say lathe registry verify --registry again
echo '# in one file'
say lathe registry backup copy.tar
say lathe registry backup - --json
lathe registry backup - --quiet > out.tar
tar tf out.tar | sed -E 's/[0-9a-f]{64}/HASH/; s|sha256/[0-9a-f]{2}/|sha256/AB/|' | sort | uniq -c | tr -s ' '
say lathe registry backup out.tar --check
lathe registry restore - --registry piped < out.tar > said && say lathe registry verify --registry piped
head -c 30000 out.tar > cut.tar
say lathe registry restore cut.tar --registry third
ln -s /etc/passwd copy/blobs/link && tar cf bad.tar copy && rm copy/blobs/link
say lathe registry restore bad.tar --registry third
ls -d third* 2> /dev/null
blob=$(ls copy/blobs/sha256/*/* | grep -v pieces | head -1)
chmod +w $blob && printf x >> $blob
say lathe registry restore copy --registry third
ls third 2> /dev/null
echo '# checkpoints'
lathe sign --new-key journal --quiet > signed
say lathe registry checkpoint
lathe registry checkpoint --key journal.key --out noted --quiet
say lathe registry verify --checkpoint noted
say lathe registry verify --checkpoint noted --public-key journal.pub
sed s/^head/heap/ noted > changed
say lathe registry verify --checkpoint changed --public-key journal.pub
rm -rf home/registry
for i in 1 2 3 4 5 6 7 8 9; do echo $i > weights && lathe registry add m weights --no-facts --quiet > added; done
say lathe registry verify --checkpoint noted --public-key journal.pub
