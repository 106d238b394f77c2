# Tests, by group; t/check prints the minutes of each.
#
#   make check-quick    unit tests and simulation
#   make check          everything that a change must pass
#   make check-GROUP    unit, sim, cluster, kafka, fuzz, asan, tsan
#   make campaign       2,000 kills by weir drill on a real broker; KILLS and SEED change it
#   make lint           as TAP, one test a check

PROVE     := prove --exec '' --failures --timer
TESTS_cluster := $(sort $(wildcard t/[5679]*.t t/r*.t))
TESTS_kafka   := $(sort $(wildcard t/8*.t))
unit_names     = $(patsubst t/unit/%.c,build/t/unit/%,$(wildcard $(1:%=t/unit/%.c)))
ASAN_UNITS    := $(call unit_names,base_* shm_* graph_* worker_* job_*)
TSAN_UNITS    := $(call unit_names,shm_ring_threads worker_slot worker_task worker_fiber worker_attempt)
FUZZ_SECONDS  ?= 10

.PHONY: check check-quick check-unit check-sim check-cluster check-kafka check-fuzz check-asan check-tsan \
        asan tsan lint format bench fuzz playground campaign test-programs
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
# A make within make: as parallel as the outer one, or as there are processors.
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
# Each target runs over its corpus and FUZZ_SECONDS of mutations; what it finds stays in build/fuzz.
check-fuzz fuzz:
	@$(SUBMAKE) KIND=fuzz fuzzers
	@t/fuzz/run $(FUZZ_SECONDS) build/fuzz/t/fuzz
# t/0 to t/4: the unit tests of base, shm, graph, worker and jobs.
check-asan:
	@$(SUBMAKE) KIND=asan asan-units
	$(PROVE) $(patsubst build/%,build/asan/%,$(ASAN_UNITS))
# The ring, and what makes a slot: fibers, tasks, attempts with their connector thread.
check-tsan:
	@$(SUBMAKE) KIND=tsan tsan-units
	$(PROVE) $(patsubst build/%,build/tsan/%,$(TSAN_UNITS))
.PHONY: asan-units tsan-units
asan-units: $(patsubst build/%,build/asan/%,$(ASAN_UNITS)) $(TEST_JOBS)
tsan-units: $(patsubst build/%,build/tsan/%,$(TSAN_UNITS)) $(TEST_JOBS)
# The whole suite under ASan+UBSan, and ring and slots under TSan: by hand, before a change is called done.
asan:
	@$(SUBMAKE) KIND=asan all unit sim
	BUILD=build/asan $(PROVE) $(patsubst build/%,build/asan/%,$(UNITS) $(SIM))
	$(if $(TESTS_cluster),BUILD=build/asan $(PROVE) $(TESTS_cluster))
	$(if $(TESTS_kafka),BUILD=build/asan t/kafka/with-broker $(PROVE) $(TESTS_kafka))
tsan: check-tsan

lint: all
	$(PROVE) t/lint
format:
	clang-format-14 -i $$(git ls-files '*.c' '*.h')
campaign: all
	@WEIR_REQUIRE_KAFKA=1 t/kafka/with-broker sh -c 'exec $(O)/weir drill --kafka "$$WEIR_KAFKA" \
	    --kills $(or $(KILLS),2000) $(if $(SEED),--seed $(SEED))'
bench: all benches
	@t/bench/run $(BENCH)
playground: deps all
	@etc/playground
