# A thin front to Meson and to the scripts in tools/. The two commands to know: make demo, make check.
BUILD ?= build
PREFIX ?=
FUZZ_SECONDS ?= 60

all: setup
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) --prefix="$$(realpath -m -- "$(or $(PREFIX),/usr/local)")" >/dev/null
	@said=$$(ninja -C $(BUILD) --quiet product 2>&1) || { echo "$$said"; exit 1; }
	@ln -sfn cli/stategrad $(BUILD)/stategrad
	@ln -sfn $(BUILD)/cli/stategrad stategrad
	@echo "built: ./stategrad and $(BUILD)/libstategrad.so"

setup:
	@tools/setup build

setup-all:
	@tools/setup check

# A real corpus from download to demo/report.html.
demo: all
	@tools/demo

# Everything that must hold, with the compilers, sanitizers and static checks; the last line counts.
check: setup-all
	@tools/check

bench: setup-all all
	@tools/bench

# The long forms: line coverage, fuzzing, kill and fault torture, planted faults.
coverage: setup-all
	@tools/coverage

lint: setup-all
	@tools/lint whole

fuzz: setup-all
	@tools/fuzz $(FUZZ_SECONDS)

torture: setup-all all
	@tools/torture

# Faults planted one at a time, and how many of them a test catches.
mutate: setup-all
	@tools/mutate

# Into PREFIX; without one into that of the build (/usr/local). DESTDIR is heeded.
install: all
	@tools/install $(BUILD) "$(PREFIX)"

uninstall:
	@tools/install --remove $(BUILD) "$(PREFIX)"

# A Debian package of program and library: stategrad_VERSION_ARCHITECTURE.deb
deb:
	@tools/setup deb
	@tools/deb

clean:
	rm -rf build build-* demo stategrad stategrad_*.deb

.PHONY: all setup setup-all demo check bench coverage lint fuzz torture mutate install uninstall deb clean
