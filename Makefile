# Two commands: `make run` plays the demo session, `make test` runs every test. Both install what is missing.

CARGO ?= cargo
PREFIX ?= /usr/local
TARGET = $(or $(CARGO_TARGET_DIR),target)
DESTDIR ?=

# What the build needs.
PACKAGES = gcc libc6-dev pkg-config libasound2-dev libjack-jackd2-dev
# What the tests compare with and play.
TEST_PACKAGES = sox flac ffmpeg alsa-utils hydrogen-data sonic-pi-samples jconvolver-config-files valgrind groff-base \
  jackd2 libasound2-plugins puredata-doc sound-theme-freedesktop python-pygame-doc wims-help forensics-samples-files \
  wireplumber pulseaudio-utils dbus

.PHONY: run test bench deps build lint fmt install clean

run: deps
	$(CARGO) build --release --locked -p aulos-server -p aulos-ctl
	demo/run $(TARGET)/release

test: PACKAGES += $(TEST_PACKAGES)
test: deps
	$(CARGO) test --workspace --locked

# What docs/performance.md says, on this machine.
bench:
	$(CARGO) bench --locked -p aulos-tests --bench size

# Installs the packages that are not there yet; does nothing, and needs no rights, when all are.
deps:
	@missing=""; for package in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing$$missing"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -q && \
	  DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -q -y --no-install-recommends $$missing; \
	fi

build:
	$(CARGO) build --release --locked --workspace

# What every change must pass beside the tests.
lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

fmt:
	$(CARGO) fmt

install: build
	install -D -m 755 $(TARGET)/release/aulosd $(DESTDIR)$(PREFIX)/bin/aulosd
	install -D -m 755 $(TARGET)/release/aulosctl $(DESTDIR)$(PREFIX)/bin/aulosctl
	$(TARGET)/release/aulosctl --quiet man $(DESTDIR)$(PREFIX)/share/man/man1
	$(TARGET)/release/aulosd --manual > $(DESTDIR)$(PREFIX)/share/man/man1/aulosd.1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
	  $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(TARGET)/release/aulosctl completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/aulosctl
	$(TARGET)/release/aulosctl completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_aulosctl
	$(TARGET)/release/aulosctl completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/aulosctl.fish

clean:
	$(CARGO) clean
