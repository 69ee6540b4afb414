# lathe: `make` builds ./lathe, `make help` lists the rest.  Any variable may be set on the command line; the flags of an
# instruction set are kept in ISA (by folder), so that CFLAGS=... does not lose them.
CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
# Sanitized builds lie in folders of their own.  Where clang is there it makes them, and the one of address,undefined carries the
# coverage that fuzz targets want of all but what computes and the tests: one build for both.
SANITIZE ?=
ifneq ($(SANITIZE),)
comma   := ,
B       := build/san-$(subst $(comma),-,$(SANITIZE))
OPT     := -O1
SAN     := -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
CFLAGS  := -g1
ifneq ($(shell command -v clang),)
CC      := clang
san_of   = $(if $(findstring address,$(SANITIZE)),$(if $(filter src/cpu/% src/nn/% src/exec/% src/eval/boot% src/audit/neighbours% tests/unit/% tests/fault/% tests/grad/%,$<),,-fsanitize=fuzzer-no-link))
# What computes takes most of the tests' time.
san_of  += $(if $(filter src/cpu/% src/nn/%,$<),-O2)
# After a failure the self test of devices steps pointers that are NULL.
san_of  += $(if $(findstring src/gpu/check,$<),-fno-sanitize=pointer-overflow)
# Several hundred programs: lld links each in a third of the time.
LDFLAGS += $(addprefix --ld-path=,$(shell command -v ld.lld-19))
endif
endif
B       ?= build
OPT     ?= -O3
SAN     ?=
WARN    := -std=c17 -Wall -Wextra -Wpedantic -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla
CFLAGS  ?= -g
PKGS    := libhs libzstd libxml-2.0 libmicrohttpd gnutls jansson yaml-0.1 libcrypto libxxhash libpcre2-8 libedit libcurl zlib libpng libjpeg sqlite3 libarchive
# Of libpq the header alone: the library is opened at run time.
HEADERS := $(shell pkg-config --cflags libxml-2.0 libpq)
CPPFLAGS += -D_GNU_SOURCE -Isrc -Iinclude $(HEADERS)
LDLIBS  += $(shell pkg-config --libs $(PKGS)) -lbz2 -lcld2 -lpthread -lm
ALL_CFLAGS = $(WARN) $(OPT) -ffp-contract=off -fno-math-errno -fno-trapping-math -fPIC -fvisibility=hidden -pthread $(SAN) $(CFLAGS)
VERSION := $(shell sed -n 's/^.define LATHE_VERSION "\(.*\)"/\1/p' include/lathe.h)
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib

ISA_avx2   := -mavx2 -mfma -mf16c -mbmi2
ISA_avx512 := $(ISA_avx2) -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -mavx512vnni -mprefer-vector-width=512
isa = $(if $(findstring src/cpu/avx2/,$<),$(ISA_avx2))$(if $(findstring src/cpu/avx512/,$<),$(ISA_avx512))

SRC     := $(filter-out src/gpu/kern/%,$(sort $(wildcard src/*/*.c src/*/*/*.c)))
LIB_SRC := $(filter-out src/cmd/main.c,$(SRC))
LIB_OBJ := $(LIB_SRC:%.c=$B/%.o)
UNIT    := $(patsubst tests/unit/%.c,$B/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
FAULT   := $(patsubst tests/fault/%.c,$B/fault/%,$(sort $(wildcard tests/fault/test_*.c)))
FUZZ    := $(patsubst tests/fuzz/fuzz_%.c,$B/fuzz/fuzz_%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
GRAD    := $(patsubst tests/grad/%.c,$B/grad/%,$(sort $(wildcard tests/grad/test_*.c)))
BENCH   := $(patsubst bench/%.c,$B/bench/%,$(sort $(wildcard bench/*.c)))

.PHONY: mock-hip FORCE all help lib install tests bench san fuzz fuzz-targets clean layers doc
.SECONDARY:
all: lathe lib

help:
	@echo 'make            ./lathe, and the libraries (make lib) under $B/lib'
	@echo 'make install    program, libraries, header, lathe.pc, man page, completion, systemd unit: PREFIX=$(PREFIX) LIBDIR=$(LIBDIR) DESTDIR='
	@echo 'make tests      the test programs under $B/ (run them all with ./test)'
	@echo 'make bench      the benchmark programs under $B/bench'
	@echo 'make san        unit, gradient and fault tests under address+undefined and thread sanitizers'
	@echo 'make fuzz       fuzz targets (clang, libFuzzer) under build/san-address-undefined/fuzz'
	@echo 'make layers     checks that folders include only what tools/layers.txt allows'
	@echo 'make doc        writes the parts of doc/ that come from tables'
	@echo 'make clean      removes what was built'
	@echo 'CC=clang  OPT=-O0  SAN=-fsanitize=address  B=folder   as one would expect'

lathe: $B/lathe
	@cp -f $< $@.tmp && mv -f $@.tmp $@
$B/lathe: $B/src/cmd/main.o $B/liblathe.a
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$B/liblathe.a: $(LIB_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

$B/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(san_of) $(isa) -MMD -MP -c -o $@ $<

$B/src/serve/page.o: $(wildcard src/serve/page/*)
$B/src/plan/published.o: src/plan/published.json
$B/src/eval/task_builtin.o: $(wildcard src/eval/tasks/*.yaml)

# Device kernels (src/gpu/images.def), where the compiler is there: Debian's clang-19 and lld-19.  Without it the program has none, and says so.
CLANG_GPU := $(if $(shell command -v ld.lld-19),$(shell command -v clang-19))
ifneq ($(CLANG_GPU),)
GPU_IMAGES := $(shell sed -n 's|^IMAGE(\(.*\), \(.*\), \(.*\))|build/gpu/\1.\2.\3|p' src/gpu/images.def)
$B/src/gpu/images.o: $(GPU_IMAGES) src/gpu/images.def
$B/src/gpu/images.o: CPPFLAGS += -DGPU_IMAGES='"build/gpu"'
endif
GPU_CC = $(CLANG_GPU) -x cl -cl-std=CL2.0 -cl-fp32-correctly-rounded-divide-sqrt -nogpulib -O3 -Wall -Wextra -Werror -Wno-pass-failed -Isrc -MMD -MP -MT $@ -MF $@.d
build/gpu/%.gfx942.co: src/gpu/kern/%.c Makefile
	@mkdir -p $(@D)
	$(GPU_CC) --target=amdgcn-amd-amdhsa -mcpu=gfx942 -mcode-object-version=5 -o $@ $<
build/gpu/%.sm_90.ptx build/gpu/%.sm_90a.ptx: src/gpu/kern/%.c tools/ptx.awk src/gpu/kernels.def Makefile
	@mkdir -p $(@D)
	$(GPU_CC) --target=nvptx64-nvidia-cuda -march=$(patsubst .%,%,$(suffix $(basename $@))) --cuda-feature=+$(if $(findstring sm_90a,$@),ptx83,ptx80) -S -o $@.tmp $<
	awk -f tools/ptx.awk src/gpu/kernels.def $@.tmp > $@.new
	@mv -f $@.new $@ && rm -f $@.tmp

# The library for other programs (include/lathe.h): no commands, no training, and only lathe_* is seen of it, in the static one too.
API_SRC  := $(sort $(foreach d,base cpu nn model infer api,$(wildcard src/$d/*.c src/$d/*/*.c)))
API_OBJ  := $(patsubst %.c,$B/%.o,$(filter-out src/base/mem.c,$(API_SRC))) $B/lib/mem.o
API_LIBS := $(shell pkg-config --libs jansson yaml-0.1 libcrypto libxxhash libpcre2-8) -lpthread -lm
SO       := liblathe.so
SONAME   := $(SO).$(firstword $(subst ., ,$(VERSION)))
lib: $B/lib/liblathe.a $B/lib/$(SO).$(VERSION) $B/lib/lathe.pc
$B/lib/mem.o: src/base/mem.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -DLATHE_LIBRARY -MMD -MP -c -o $@ $<
$B/lib/liblathe.a: $(API_OBJ)
	@rm -f $@
	$(LD) -r -o $B/lib/lathe.o $^
	objcopy --localize-hidden $B/lib/lathe.o
	@$(AR) rcs $@ $B/lib/lathe.o && rm -f $B/lib/lathe.o
$B/lib/$(SO).$(VERSION): $(API_OBJ)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,-z,defs -o $@ $^ $(API_LIBS)
$B/lib/lathe.pc: Makefile include/lathe.h FORCE
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$${prefix}/include' '' 'Name: lathe' \
	    'Description: transformer and mixture-of-experts models: open, tokenise, run, sample, embed, score' 'Version: $(VERSION)' \
	    'Libs: -L$${libdir} -llathe' 'Libs.private: $(API_LIBS)' 'Cflags: -I$${includedir}' > $@
$B/lathe.1: $B/lathe
	@$< help --man > $@
$B/lathe.bash: $B/lathe
	@$< completion bash > $@

$B/lathe@.service: tools/lathe@.service.in FORCE
	@mkdir -p $(@D)
	@sed 's|@PREFIX@|$(PREFIX)|' $< > $@

install: lathe lib $B/lathe.1 $B/lathe.bash $B/lathe@.service
	install -D -m 755 $B/lathe $(DESTDIR)$(PREFIX)/bin/lathe
	install -D -m 644 include/lathe.h $(DESTDIR)$(PREFIX)/include/lathe.h
	install -D -m 644 $B/lib/liblathe.a $(DESTDIR)$(LIBDIR)/liblathe.a
	install -D -m 755 $B/lib/$(SO).$(VERSION) $(DESTDIR)$(LIBDIR)/$(SO).$(VERSION)
	ln -sf $(SO).$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/$(SO)
	install -D -m 644 $B/lib/lathe.pc $(DESTDIR)$(LIBDIR)/pkgconfig/lathe.pc
	install -D -m 644 $B/lathe.1 $(DESTDIR)$(PREFIX)/share/man/man1/lathe.1
	install -D -m 644 $B/lathe.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lathe
	install -D -m 644 $B/lathe@.service $(DESTDIR)$(PREFIX)/lib/systemd/system/lathe@.service

tests: $(UNIT) $(FAULT) $(GRAD) lathe
$B/unit/%: $B/tests/unit/%.o $B/liblathe.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka
$B/fault/%: $B/tests/fault/%.o $B/liblathe.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# Gradient checks: the operations and the reference kernels compiled once more with `real` as double.
GRAD_SRC := $(sort $(wildcard src/base/*.c src/nn/*.c src/cpu/*.c src/cpu/ref/*.c))
GRAD_OBJ := $(GRAD_SRC:%.c=$B/f64/%.o)
$B/f64/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -DLATHE_REAL_DOUBLE -MMD -MP -c -o $@ $<
$B/grad/%: $B/f64/tests/grad/%.o $(GRAD_OBJ)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

bench: $(BENCH) lathe
$B/bench/%: $B/bench/%.o $B/liblathe.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The emulator of gfx942 decodes by LLVM; without its headers the test says so and skips.
ifneq ($(wildcard /usr/lib/llvm-19/include/llvm-c/Disassembler.h),)
EMU942 := test_gpu_gfx942 test_gpu_isa test_gpu_cdna3 test_exec test_gpu_moe test_exec_moe test_exec_team
EMU942 += test_gpu_train test_exec_train
$(EMU942:%=$B/tests/unit/%.o): CPPFLAGS += -DHAVE_LLVM_19 -isystem /usr/lib/llvm-19/include
$(EMU942:%=$B/unit/%): LDLIBS += -L/usr/lib/llvm-19/lib -lLLVM-19
# The mock of HIP's library (LATHE_HIP_LIB), for tests of whole commands; mock-hip is nothing where the emulator or the kernels cannot be built.
ifneq ($(CLANG_GPU),)
mock-hip: $B/emu/libamdhip64.so
$B/emu/libamdhip64.so: tests/emu/hip_mock.c $(wildcard tests/emu/emu942*) src/gpu/api.h $B/src/cpu/ref/quant.o Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -DHAVE_LLVM_19 -isystem /usr/lib/llvm-19/include -shared -o $@.tmp $< $B/src/cpu/ref/quant.o -L/usr/lib/llvm-19/lib -lLLVM-19 -lm
	@mv $@.tmp $@
endif
endif
$B/tests/unit/test_gpu_simt.o $B/tests/unit/test_gpu_cdna3.o $B/tests/unit/test_gpu_moe.o $B/tests/unit/test_gpu_train.o: CPPFLAGS += -Wno-psabi
# A library that stands in for cuBLASLt and hipBLASLt.
$B/tests/unit/test_gpu_blaslt.o $B/tests/unit/test_exec_train.o $B/tests/fault/test_gpu_blaslt_fault.o: CPPFLAGS += -DBUILD_DIR='"$(abspath $B)"'
$B/unit/test_gpu_blaslt $B/unit/test_exec_train $B/fault/test_gpu_blaslt_fault: | $B/tests/mock_blaslt.so
$B/tests/mock_blaslt.so: tests/emu/mock_blaslt.c tests/emu/mock_blaslt.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fvisibility=default -shared -fPIC -o $@ $<
# Programs that are carried to machines with a GPU and nothing else: the C library is all they need; what base/hash takes of others comes with them.
$B/bench/gpu $B/bench/gpu_step: %: %.o $B/lib/mem.o $B/liblathe.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -Wl,-Bstatic -lcrypto -lxxhash -Wl,-Bdynamic -lm

san:
	tools/run-tests --only unit,grad,fault --san address,undefined
	tools/run-tests --only unit --san thread

fuzz:
	$(MAKE) SANITIZE=address,undefined fuzz-targets
fuzz-targets: $(FUZZ)
$B/fuzz/fuzz_%: $B/tests/fuzz/fuzz_%.o $B/liblathe.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

doc: lathe
	@./lathe help | sed -n 's/^  lathe \(\(data\|registry\) [a-z]*\|[a-z]*\).*/\1/p' | while read -r c; do ./lathe help $$c --markdown > "doc/$$(echo "$$c" | tr ' ' -).md"; done; ./lathe help ops > doc/ops.md; ./lathe help devices > doc/devices.md

layers:
	@cd src && awk -f ../tools/layers.awk ../tools/layers.txt $$(find . -name '*.[ch]' -printf '%P ')

clean:
	rm -rf build lathe

-include $(shell find $B -name '*.d' 2>/dev/null)
