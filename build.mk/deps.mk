# What building and testing need, by Debian's package names.
# `make deps` and `make deps-test` install; every build says by name what is missing.

DEPS_BUILD := gcc libc6-dev pkg-config libevent-dev librdkafka-dev libcjson-dev libbsd-dev libmd-dev libxxhash-dev
DEPS_TEST  := perl g++ openjdk-17-jre-headless maven kcat curl jq procps clang-14 libclang-rt-14-dev clang-tidy-14 \
              clang-format-14 cppcheck mandoc binutils

APT := $(if $(filter 0,$(shell id -u)),,sudo) env DEBIAN_FRONTEND=noninteractive apt-get

define apt_install
	@missing=; for p in $(1); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  log=$$(mktemp); \
	  { $(APT) -q update && $(APT) -q install -y --no-install-recommends $$missing; } >$$log 2>&1 || \
	  { echo "make: apt-get could not install$$missing: $$(grep -m1 '^E:' $$log || tail -n1 $$log | grep . || echo it gave no reason)" >&2; rm -f $$log; exit 1; }; \
	  rm -f $$log; echo "installed:$$missing"; \
	fi
endef

.PHONY: deps deps-test check-deps
deps:
	$(call apt_install,$(DEPS_BUILD))
deps-test: deps
	$(call apt_install,$(DEPS_TEST))

# Order-only for every object: asks once for each header that the packages above bring.
HEADERS := stdio.h:libc6-dev event2/event.h:libevent-dev librdkafka/rdkafka.h:librdkafka-dev cjson/cJSON.h:libcjson-dev \
           bsd/unistd.h:libbsd-dev sha2.h:libmd-dev xxhash.h:libxxhash-dev
check-deps: build/.deps-ok
build/.deps-ok: build.mk/deps.mk
	@mkdir -p build; missing=; \
	command -v $(CC) >/dev/null 2>&1 || missing=" gcc"; \
	for h in $(HEADERS); do [ -n "$$missing" ] && [ "$$missing" = " gcc" ] && break; \
	  printf '#include <stdio.h>\n#include <%s>\n' "$${h%%:*}" | $(CC) -E - >/dev/null 2>&1 || missing="$$missing $${h#*:}"; done; \
	if [ -n "$$missing" ]; then echo "make: missing Debian packages:$$missing (run: make deps)" >&2; exit 1; fi; \
	touch $@
