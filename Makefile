# Builds, runs and tests Tally; `make help` lists the targets.
#
# DESIGN. One file, no recursion into folders. Each mode (release, asan, tsan, cov) has a tree of
# its own under build/, made by the template `mode` below, so that one call can build several.
# What a tree was compiled with stands in its file `flags`, what commit it was made of in
# build/revision: both change only when their content does, and what depends on them is rebuilt.
# build/packages.mk holds the answers of pkg-config. It is remade after scripts/install has seen to
# the packages, and make then starts over with it: that is how one command works on a machine that
# has no compiler yet.
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

MODE ?= release
CC := gcc
JOBS ?= 2
TALLY_BIN ?= build/release
# In front of the names of the reports.
SUITE ?=
export TALLY_BIN
BENCH_ROUNDS ?= 5
BENCH_SECONDS ?= 2

REVISION ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
TREE ?= $(shell git rev-parse --short=12 'HEAD^{tree}' 2>/dev/null || echo unknown)
# Dates in archives and by __DATE__ are those of the commit: the same commit gives the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH

# ---- packages -----------------------------------------------------------------------------------

WITHOUT_PACKAGES := help clean start stop run install verify-pipeline registry-login verify-k8s e2e-k8s images images-multiarch backup restore
GOALS := $(filter-out $(WITHOUT_PACKAGES),$(or $(MAKECMDGOALS),build))
ifneq ($(GOALS),)
include build/packages.mk
endif
# What each target needs beyond a compiler and the libraries, in groups of scripts/install.
NEEDS_test := run test
NEEDS_unit := test
NEEDS_integration := run test
NEEDS_nginx := run test
NEEDS_converter := test
NEEDS_tsan := run test
NEEDS_bench := run bench
NEEDS_compare := run bench
NEEDS_profile := run bench profile
NEEDS_browser := run test browser
NEEDS_e2e := test browser
NEEDS_fuzz := test fuzz
NEEDS_chaos := run test chaos
NEEDS_soak := run test
NEEDS_lint := lint
NEEDS_format := lint
NEEDS_ci := run test chaos browser lint fuzz
GROUPS := build $(sort $(foreach goal,$(GOALS),$(NEEDS_$(firstword $(subst -, ,$(subst /, ,$(goal)))))) \
                       $(if $(findstring /tests/,$(GOALS)),test))

INSTALLED := $(GROUPS:%=build/installed/%)

build/packages.mk: scripts/packages-mk $(INSTALLED)
	@scripts/packages-mk > $@
# An image's build stage has its packages already, and no scripts/install.
$(INSTALLED) &: $(wildcard scripts/install /var/lib/dpkg/status)
	@mkdir -p build/installed
	@[ ! -x scripts/install ] || scripts/install $(GROUPS)
	@touch $(INSTALLED)

# ---- compiler -----------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
TALLY_CPPFLAGS = -I. -D_GNU_SOURCE $(PACKAGE_CFLAGS) $(CPPFLAGS)
TALLY_CFLAGS = -std=gnu11 -g $(WARNINGS) -fno-common $(CFLAGS)
TALLY_LIBS = $(PACKAGE_LIBS) -lpthread -lm

MODE_release := -O2 -fPIE -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE \
                -D_FORTIFY_SOURCE=2 -ffile-prefix-map=$(CURDIR)=. \
                $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
LINK_release := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack
MODE_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LINK_asan := -fsanitize=address,undefined
MODE_tsan := -O1 -fsanitize=thread -fno-omit-frame-pointer
LINK_tsan := -fsanitize=thread
# libFuzzer comes with clang: build/fuzz is the one tree that gcc does not make.
MODE_fuzz := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
             -fno-omit-frame-pointer
LINK_fuzz := -fsanitize=fuzzer,address,undefined
build/fuzz/%: private CC := clang
MODE_cov := -O0 --coverage -fprofile-update=atomic
LINK_cov := --coverage

# ---- one tree a mode ----------------------------------------------------------------------------

sources = $(filter-out %/main.c,$(wildcard $(1)/*.c))
UNIT := $(patsubst %.c,%,$(sort $(wildcard tests/unit/test_*.c)))
INTEGRATION := $(patsubst %.c,%,$(sort $(wildcard tests/integration/test_*.c)))
CHAOS := $(patsubst %.c,%,$(sort $(wildcard tests/chaos/test_*.c)))
BENCH := $(patsubst %.c,build/release/%,$(wildcard bench/*.c))
FUZZ := $(patsubst %.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
# OBJECT:FILE for each file that EMBED puts into an object; compilers do not report these.
EMBEDS := $(shell grep -Hso 'EMBED.[a-z_]*, "[^"]*' lib/*.c frontend/*.c backend/*.c | sed 's/\.c:.*"/.o:/')
# The hash by which the page's policy allows its style.
STYLE_HASH = sha256-$(shell printf "$$(sha256sum frontend/style.css | cut -c-64 | sed 's/../\\x&/g')" | base64)

# V=1 shows whole command lines.
quiet = $(if $(V),,@echo "  $(1) $@";)

define mode
.PHONY: build-$(1) unit-$(1) integration-$(1)
build-$(1): build/$(1)/tally-frontend build/$(1)/tally-backend
unit-$(1): $$(addprefix build/$(1)/,$$(UNIT))
integration-$(1): $$(addprefix build/$(1)/,$$(INTEGRATION))

build/$(1)/flags: FORCE
	@$$(call update,$$(CC) $$(TALLY_CPPFLAGS) $$(TALLY_CFLAGS) $$(MODE_$(1)) $$(LDFLAGS) $$(LINK_$(1)))
build/$(1)/%.o: %.c build/$(1)/flags
	@mkdir -p $$(@D)
	$$(call quiet,CC  )$$(CC) $$(TALLY_CPPFLAGS) $$(TALLY_CFLAGS) $$(MODE_$(1)) -MMD -MP -c $$< -o $$@
# The objects of test programs are kept. (A bare .SECONDARY would also take a file that is missing in
# build/installed for made.)
.PRECIOUS: build/$(1)/%.o
build/$(1)/lib/build.o: build/revision
build/$(1)/lib/build.o: private CPPFLAGS += -DTALLY_REVISION='"$$(REVISION)"' -DTALLY_TREE='"$$(TREE)"'
build/$(1)/frontend/page.o: private CPPFLAGS += -DTALLY_STYLE_HASH='"$$(STYLE_HASH)"'
$(foreach embed,$(EMBEDS),$(eval build/$(1)/$(subst :,: ,$(embed))))

build/$(1)/lib.a: $$(patsubst %.c,build/$(1)/%.o,$$(call sources,lib))
build/$(1)/frontend.a: $$(patsubst %.c,build/$(1)/%.o,$$(call sources,frontend))
build/$(1)/backend.a: $$(patsubst %.c,build/$(1)/%.o,$$(call sources,backend))
build/$(1)/support.a: $$(patsubst %.c,build/$(1)/%.o,$$(call sources,tests/support))
build/$(1)/%.a:
	@mkdir -p $$(@D)
	$$(call quiet,AR  )rm -f $$@ && ar rcsD $$@ $$^

link_$(1) = $$(CC) $$(TALLY_CFLAGS) $$(MODE_$(1)) $$(LDFLAGS) $$(LINK_$(1)) $$(filter %.o %.a,$$^)
build/$(1)/tally-frontend: build/$(1)/frontend/main.o build/$(1)/frontend.a build/$(1)/lib.a
	$$(call quiet,LINK)$$(link_$(1)) $$(TALLY_LIBS) -o $$@
build/$(1)/tally-backend: build/$(1)/backend/main.o build/$(1)/backend.a build/$(1)/lib.a
	$$(call quiet,LINK)$$(link_$(1)) $$(TALLY_LIBS) $$(MYSQL_LIBS) -o $$@
build/$(1)/tests/%: build/$(1)/tests/%.o build/$(1)/support.a build/$(1)/frontend.a \
                    build/$(1)/backend.a build/$(1)/lib.a
	$$(call quiet,LINK)$$(link_$(1)) $$(CHECK_LIBS) $$(TALLY_LIBS) $$(MYSQL_LIBS) -o $$@
-include $$(shell find build/$(1) -name '*.d' 2>/dev/null)
endef

# $(call update,TEXT): writes TEXT to the target where it says something else.
update = mkdir -p $(@D); cmp -s $@ - <<< '$(subst ','\'',$(1))' || cat <<< '$(subst ','\'',$(1))' > $@

$(foreach m,release asan tsan cov fuzz,$(eval $(call mode,$(m))))
.PHONY: FORCE
build/revision: FORCE
	@$(call update,$(REVISION) $(TREE))

# ---- targets ------------------------------------------------------------------------------------

# Silent where nothing is missing; the compiler's command lines would hide what matters to a newcomer.
serve = scripts/install build run; echo "Compiling (half a minute the first time)"; \
        $(MAKE) --no-print-directory --silent -j$(JOBS) build; exec scripts/stack $@

.PHONY: build install run start stop test unit integration nginx-test converter-test coverage \
        browser-test bench compare profile tsan lint format clean container-debian13 \
        container-oracle nginx-container-test ci help test-programs chaos soak fuzz

build: build-$(MODE) ## compile both services into build/release (MODE=asan, tsan or cov: build/MODE)

install: ## install the Debian packages that building, running and testing need
	scripts/install

run: ## install, build and run all of Tally on this machine; Ctrl-C stops it (PORT=, FRONTEND_PORT=, BACKEND_PORT=)
	@$(serve)
start: ## the same in the background
	@$(serve)
stop: ## stop what `make start` started
	@scripts/stack stop

test: ## unit, integration, NGINX and converter tests with coverage, against its gate (reports: build/reports, build/coverage)
	@scripts/test

test-unit test-integration: ## a part of `make test` by itself; `make coverage` after both reports and holds the gate
	@scripts/test $(@:test-%=%)
.PHONY: test-unit test-integration

unit: unit-asan ## the unit tests under the address and undefined behaviour sanitizers
	@scripts/run-tests --suite $(SUITE)unit.asan --jobs $(JOBS) $(addprefix build/asan/,$(UNIT))
integration: build-$(notdir $(TALLY_BIN)) integration-release ## the real binaries against real Redis, MariaDB and NGINX (TALLY_BIN=build/MODE: those binaries)
	@scripts/run-tests --suite $(SUITE)integration --jobs $(JOBS) --timeout 120 $(addprefix build/release/,$(INTEGRATION))
nginx-test: build-$(notdir $(TALLY_BIN)) ## the NGINX configuration of each environment, what it must refuse, and scripts/stack
	@scripts/run-tests --suite $(SUITE)nginx --jobs $(JOBS) --timeout 120 $(sort $(wildcard tests/stack/test_* tests/nginx/test_*))
converter-test: build/release/tests/golden/specimen ## the JUnit converter against golden reports of a failure, a crash, a time-out and a loop test; the pure parts of `make bench`
	@scripts/run-tests --suite converter --jobs $(JOBS) tests/golden/test_converter tests/bench/test_bench
test-programs: build-cov unit-asan unit-cov integration-cov build/release/tests/golden/specimen
coverage: ## reports of what the tests in build/cov have run: build/coverage/html, lcov.info, cobertura.xml
	@scripts/coverage

bench: build-release $(BENCH) ## Tally beside a bare daemon, NGINX, Node and Flask: bench/results/DATE.md (a quarter to half of an hour; BENCH_ROUNDS=5, BENCH_SECONDS=2)
	@scripts/bench --rounds $(BENCH_ROUNDS) --seconds $(BENCH_SECONDS)
compare: build-release $(BENCH) ## what counting costs beside a bare daemon that answers a constant page, in a minute
	@scripts/bench compare
profile: build-release $(BENCH) ## where the CPU time of a page goes, and of the bare daemon's: bench/results/DATE-profile.md (perf; may need root)
	@scripts/profile
$(BENCH): build/release/bench/%: build/release/bench/%.o
	$(call quiet,LINK)$(link_release) $(TALLY_LIBS) -o $@

browser-test: build-release ## headless Chromium on the pages; screenshots in build/reports/screenshots
	@scripts/browser-test
tsan: build-tsan integration-release ## the integration tests with services under the thread sanitizer
	@TALLY_BIN=build/tsan scripts/run-tests --suite integration.tsan --jobs 1 --timeout 240 $(addprefix build/release/,$(INTEGRATION))

# Loaded into servers under test: another wall clock.
build/release/tests/chaos/wall_clock.so: tests/chaos/wall_clock.c build/release/flags
	@mkdir -p $(@D)
	$(call quiet,LINK)$(CC) $(TALLY_CPPFLAGS) $(TALLY_CFLAGS) -O2 -fPIC -shared $< -o $@
chaos: build-$(notdir $(TALLY_BIN)) $(addprefix build/release/,$(CHAOS) tests/chaos/wall_clock.so) ## disasters under load, one verdict: nothing lost, nothing twice (CHAOS_SECONDS=60, CHAOS_SEED=, CHAOS_PATIENCE=1)
	@scripts/chaos $(CHAOS)
soak: build-$(notdir $(TALLY_BIN)) build/release/tests/soak/test_soak ## mixed load and a failure each minute for SOAK_MINUTES=30: nothing grows, nothing is lost (bench/results)
	@scripts/soak
fuzz: $(addprefix build/fuzz/,$(FUZZ)) ## libFuzzer on all that reads bytes from outside, FUZZ_SECONDS=30 a target (FUZZ_TARGETS="url http": those alone)
	@scripts/fuzz $(FUZZ_TARGETS)

lint: ## formats, static analysis, shell, YAML and Python checks, layer rules, documented settings
	@scripts/lint
format: ## format all C files in place
	clang-format -i $$(git ls-files '*.c' '*.h')
clean: ## remove everything that was built
	rm -rf build

container-debian13: ## build, unit and integration tests on Debian 13, in a container
	@scripts/container-test debian13
container-oracle: ## tally-backend against Oracle's libmysqlclient and MySQL, in a container
	@scripts/container-test oracle
nginx-container-test: ## NGINX of the images: recreated upstreams, failing over, refusing
	@scripts/nginx-container-test

verify-pipeline: ## the Jenkinsfile in every situation, guard by guard; the scripts in ci/; a real registry
	@scripts/verify-pipeline
.PHONY: verify-pipeline
images: ## the images tally-frontend, tally-backend, tally-nginx (IMAGE_TAG=latest), and what is in them: build/sbom
	@REVISION=$(REVISION) TREE=$(TREE) scripts/images
images-multiarch: ## the same for amd64 and arm64, by docker buildx (IMAGE_PREFIX=registry/ pushes them)
	@REVISION=$(REVISION) TREE=$(TREE) scripts/images multiarch
e2e: ## the whole stack by compose on a real engine: stops, kills, freezes, backup, TLS, secrets, the page in a browser
	@REVISION=$(REVISION) TREE=$(TREE) scripts/e2e
backup: ## save what the compose stack remembers into backups/DATE (DIRECTORY=)
	@scripts/backup $(DIRECTORY)
restore: ## bring a backup back into the compose stack (DIRECTORY=backups/DATE)
	@scripts/restore $(DIRECTORY)
.PHONY: images images-multiarch e2e backup restore
verify-k8s: ## the manifests against policies, the diagram and Kubernetes' types; ci/deploy, ci/bluegreen, e2e-k8s; no cluster
	@scripts/verify-k8s
e2e-k8s: ## all of Tally in the cluster that KUBECONFIG names, under load (REGISTRY=, IMAGE_TAG=; scripts/e2e-k8s says more)
	@scripts/e2e-k8s
.PHONY: verify-k8s e2e-k8s

registry-login: ## log docker in to REGISTRY with REGISTRY_USER and REGISTRY_PASSWORD (Amazon ECR too)
	@ci/registry-login
.PHONY: registry-login

ci: ## all checks, chaos in its short form
	@scripts/ci

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "%-22s %s\n", $$1, $$2 }' Makefile
