# Tests, by group; t/check prints the minutes of each.
#
#   make check-quick    unit tests and simulation
#   make check          everything that a change must pass
#   make check-GROUP    unit, sim, cluster, kafka, fuzz, asan, tsan
#   make lint           as TAP, one test a check

PROVE     := prove --exec '' --failures --timer
TESTS_cluster := $(sort $(wildcard t/[567]*.t t/r*.t))
TESTS_kafka   := $(sort $(wildcard t/8*.t))
ASAN_UNITS    := $(filter-out %/shm_ring_kill %/supervisor_child %/supervisor_tm_link,$(UNITS))
FUZZ_SECONDS  ?= 10

.PHONY: check check-quick check-unit check-sim check-cluster check-kafka check-fuzz check-asan check-tsan \
        asan tsan lint format bench fuzz playground test-programs
test-programs: all unit sim
check: test-programs
	@t/check unit sim cluster kafka fuzz asan tsan
check-quick: unit sim
	@t/check unit sim

check-unit: unit
	$(PROVE) $(UNITS)
check-sim: sim
	$(if $(SIM),$(PROVE) $(SIM),@echo no simulation)
check-cluster: test-programs
	$(if $(TESTS_cluster),$(PROVE) $(TESTS_cluster))
check-kafka: test-programs
	$(if $(TESTS_kafka),t/kafka/with-broker $(PROVE) $(TESTS_kafka))
# Each target runs over its corpus and FUZZ_SECONDS of mutations; what it finds stays in build/fuzz.
check-fuzz fuzz:
	@$(MAKE) --no-print-directory KIND=fuzz fuzzers
	@t/fuzz/run $(FUZZ_SECONDS) build/fuzz/t/fuzz
# t/0 to t/4 (the unit tests of base, shm, graph, worker) and the simulation.
check-asan:
	@$(MAKE) --no-print-directory KIND=asan asan-programs
	$(PROVE) $(filter build/asan/t/unit/base_% build/asan/t/unit/shm_% build/asan/t/unit/graph_% build/asan/t/unit/worker_% \
	    build/asan/t/unit/job_%,$(patsubst build/t/%,build/asan/t/%,$(UNITS)))
check-tsan:
	@$(MAKE) --no-print-directory KIND=tsan build/tsan/t/unit/shm_ring_threads
	$(PROVE) build/tsan/t/unit/shm_ring_threads
.PHONY: asan-programs
asan-programs: unit
# The whole suite under ASan+UBSan, and ring and slots under TSan: by hand, before a change is called done.
asan:
	@$(MAKE) --no-print-directory KIND=asan all unit sim
	BUILD=build/asan t/check-asan
tsan:
	@$(MAKE) --no-print-directory KIND=tsan unit
	$(PROVE) $(sort $(wildcard build/tsan/t/unit/shm_ring_threads build/tsan/t/unit/worker_*))

lint: all
	$(PROVE) t/lint
format:
	clang-format-14 -i $$(git ls-files '*.c' '*.h')
bench: all benches
	@t/bench/run $(BENCH)
playground: deps all
	@etc/playground
