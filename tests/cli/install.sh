# Installed: a stranger's program finds header and library by pkg-config, linked either way, and only lathe_* is to be seen.
make -s -C $ROOT install PREFIX=/opt/lathe DESTDIR=$PWD/root > log 2>&1 || cat log
(cd root/opt/lathe && find . -type f -o -type l | sed 's/[.]so[.][0-9]*[.][0-9]*[.][0-9]*$/.so.VERSION/' | sort)
export PKG_CONFIG_PATH=$PWD/root/opt/lathe/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$PWD/root LIB=root/opt/lathe/lib
[ "$(pkg-config --modversion lathe)" = "$(lathe version | cut -d' ' -f2)" ] && echo 'the same version'
echo '--- what is seen'
nm -D --defined-only $LIB/liblathe.so | awk '$3 !~ /^lathe_/ { print "exported:", $3 }'
nm -g --defined-only $LIB/liblathe.a | awk 'NF == 3 && $3 !~ /^lathe_/ { print "exported:", $3 }'
diff <(nm -D --defined-only $LIB/liblathe.so | cut -d' ' -f3 | sort) <(grep -o 'lathe_[a-z_]*(' root/opt/lathe/include/lathe.h | tr -d '(' | grep -v _fn | sort -u) && echo 'all of the header'
for symbol in exit _exit abort signal sigaction setlocale fork; do
    nm -D $LIB/liblathe.so | grep " U $symbol\(@\|$\)"
done
echo '--- a program'
cc -std=c99 -Wall -Wextra -Wpedantic -Werror -o generate $ROOT/examples/generate.c $(pkg-config --cflags --libs lathe) && echo built
cc -o static $ROOT/examples/generate.c $(pkg-config --cflags lathe) $LIB/liblathe.a $(pkg-config --static --libs lathe | sed 's/-llathe//') && echo 'built without the shared library'
echo '#include <lathe.h>' | clang -x c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags lathe) -fsyntax-only - && echo 'good C++ too'
mkdir model
cp $ROOT/tests/golden/llama/config.json $ROOT/tests/golden/llama/model.safetensors model
vocab= i=0
for c in {A..Z} {a..z} {0..9} Ġ . , '!' '?' ';' : - _; do vocab+="${vocab:+,}\"$c\":$((i++))"; done
printf '{"model":{"type":"BPE","vocab":{%s},"merges":[]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"}}' "$vocab" > model/tokenizer.json
LD_LIBRARY_PATH=$LIB ./generate model 'It was' > shared.txt; echo "exit $?"
./static model 'It was' | cmp - shared.txt && echo 'the same text'
lathe generate model -p 'It was' -n 100 --temp 0.8 --seed 1 --ctx 64 --quiet | cmp - shared.txt && echo 'as the program says'
wc -c < shared.txt
echo '{"eos_token_id": [2, 12]}' > model/generation_config.json      # M too
LD_LIBRARY_PATH=$LIB ./generate model 'It was' > shorter.txt
lathe generate model -p 'It was' -n 100 --temp 0.8 --seed 1 --ctx 64 --quiet | cmp - shorter.txt && cut -dM -f1 shared.txt | cmp - shorter.txt && echo 'both end at the same token'
LD_LIBRARY_PATH=$LIB ./generate nowhere 'Once'; echo "exit $?"
LD_LIBRARY_PATH=$LIB ./generate 2>&1; echo "exit $?"
echo '--- the page and the completion'
groff -man -Tutf8 -z -ww root/opt/lathe/share/man/man1/lathe.1
lathe help | sed -n 's/^  lathe \(data [a-z]*\|[a-z]*\).*/\1/p' | while read -r c; do
    grep -q "^.SS lathe $c " root/opt/lathe/share/man/man1/lathe.1 || echo "$c is not in the page"
done
groff -man -Tascii root/opt/lathe/share/man/man1/lathe.1 | sed 's/.\x08//g; s/\x1b\[[0-9;]*m//g' | grep -A 1 -- '^ *--precision' | head -n 2
. root/opt/lathe/share/bash-completion/completions/lathe && complete -p lathe
