# Builds, runs and tests Tally; `make help` lists the targets.
.DEFAULT_GOAL := build
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

MODE ?= release
BUILD := build/$(MODE)
CC ?= gcc

REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
TREE := $(shell git rev-parse --short=12 'HEAD^{tree}' 2>/dev/null || echo unknown)

PACKAGES := libmicrohttpd libuv hiredis jansson libcurl
PACKAGES += $(shell pkg-config --exists hiredis_ssl 2>/dev/null && echo hiredis_ssl openssl)
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
CPPFLAGS += -I. -D_GNU_SOURCE $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null) $(shell mysql_config --include 2>/dev/null)
CFLAGS += -std=gnu11 -g $(WARNINGS)
LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthread
MYSQL_LIBS := $(shell mysql_config --libs 2>/dev/null)
CHECK_LIBS := $(shell pkg-config --libs check 2>/dev/null)

MODE_release := -O2 -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
LINK_release := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack
MODE_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LINK_asan := -fsanitize=address,undefined
MODE_tsan := -O1 -fsanitize=thread -fno-omit-frame-pointer
LINK_tsan := -fsanitize=thread
MODE_cov := -O0 --coverage -fprofile-update=atomic
LINK_cov := --coverage
CFLAGS += $(MODE_$(MODE))
LDFLAGS += $(LINK_$(MODE))

objects = $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/main.c,$(wildcard $(1)/*.c)))
LIB_A := $(BUILD)/lib.a
FRONTEND_A := $(BUILD)/frontend.a
BACKEND_A := $(BUILD)/backend.a
SUPPORT_A := $(BUILD)/support.a
UNIT := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
INTEGRATION := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/integration/test_*.c))

.PHONY: build
build: $(BUILD)/tally-frontend $(BUILD)/tally-backend ## compile both services into build/release

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# Files that lib/embed.h puts into an object, and the hash by which the page's policy allows its style.
STYLE_HASH = sha256-$(shell printf "$$(sha256sum frontend/style.css | cut -c-64 | sed 's/../\\x&/g')" | base64)
$(BUILD)/frontend/page.o: frontend/page.html frontend/style.css
$(BUILD)/frontend/page.o: CPPFLAGS += -DTALLY_STYLE_HASH='"$(STYLE_HASH)"'

$(LIB_A): $(call objects,lib)
$(FRONTEND_A): $(call objects,frontend)
$(BACKEND_A): $(call objects,backend)
$(SUPPORT_A): $(call objects,tests/support)
%.a:
	@mkdir -p $(@D)
	rm -f $@ && ar rcs $@ $^

$(BUILD)/tally-frontend: $(BUILD)/frontend/main.o $(FRONTEND_A) $(LIB_A)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@
$(BUILD)/tally-backend: $(BUILD)/backend/main.o $(BACKEND_A) $(LIB_A)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(LIBS) $(MYSQL_LIBS) -o $@
$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(SUPPORT_A) $(FRONTEND_A) $(BACKEND_A) $(LIB_A)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(CHECK_LIBS) $(LIBS) $(MYSQL_LIBS) -o $@
$(BUILD)/tests/integration/test_%: $(BUILD)/tests/integration/test_%.o $(SUPPORT_A) $(LIB_A)
	$(CC) $(CFLAGS) $(LDFLAGS) $^ $(CHECK_LIBS) $(LIBS) $(MYSQL_LIBS) -o $@

.PRECIOUS: $(BUILD)/%.o
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
