# mod_apikey - API keys for Apache httpd.  "make help" lists the targets.

PORT       ?= 8080
RUN_DIR    ?= run
RATE_STORE ?= shm
DB         ?= sqlite3
MPM        ?= event
PREFIX     ?= /usr
DESTDIR    ?=
BUILD      ?= build
SANITIZE   ?=

export PORT RUN_DIR RATE_STORE DB MPM BUILD SANITIZE

# --- tools and flags ----------------------------------------------------------
# Asked of apxs and pkg-config when something is built, so that "make deps" and
# "make help" work where neither is installed yet.
ifeq ($(origin CC),default)
CC           = gcc
endif
APXS        ?= apxs2
# -isystem and -Wno-cast-align, because the macros of APR and httpd (rings, arrays) break
# our warnings by themselves.
HTTPD_FLAGS  = $(shell $(APXS) -q EXTRA_CPPFLAGS) -isystem $(shell $(APXS) -q INCLUDEDIR)
APR_FLAGS    = $(patsubst -I%,-isystem %,$(shell apr-1-config --includes --cppflags) \
               $(shell apu-1-config --includes))
APR_LIBS     = $(shell apu-1-config --link-ld --libs) $(shell apr-1-config --link-ld --libs)
PKG_FLAGS    = $(shell pkg-config --cflags $(1))
PKG_LIBS     = $(shell pkg-config --libs $(1))

WARN     = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wpointer-arith -Wno-cast-align -Wwrite-strings -Wvla -Wformat=2 -Wno-unused-parameter
ifeq ($(SANITIZE),)
OPTIMISE = -O2 -g -D_FORTIFY_SOURCE=2
else
OPTIMISE = -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined
LDSAN    = -fsanitize=$(SANITIZE)
endif
HARDEN   = -fstack-protector-strong -fstack-clash-protection -fcf-protection
CFLAGS   = -std=gnu11 -fPIC $(OPTIMISE) $(HARDEN) $(WARN) -MMD -MP -Icore -I$(BUILD)
LDFLAGS  = -Wl,-z,relro -Wl,-z,now -Wl,--as-needed $(LDSAN)

CORE_LIBS = $(call PKG_LIBS,libcrypto zlib jansson) -lmemcached $(APR_LIBS) -lpthread

# --- what is built from what ---------------------------------------------------
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(1)/*.c))
CORE      = $(call objects,core)
MODULE    = $(call objects,mod_apikey)
AUDITD    = $(call objects,auditd)
CTL       = $(call objects,apikeyctl)
UNIT      = $(call objects,tests/unit)
QUERIES   = sql/queries.sql
MIGRATIONS = $(wildcard sql/sqlite3/*.sql sql/pgsql/*.sql)

.DEFAULT_GOAL := build
.PHONY: build
build: ## compile the module, auditd and apikeyctl into BUILD (build/)
build: $(BUILD)/mod_apikey.so $(BUILD)/apikey-auditd $(BUILD)/apikeyctl

$(BUILD)/ak_sql.h: sql/generate.awk $(QUERIES) $(MIGRATIONS)
	@mkdir -p $(@D)
	awk -f sql/generate.awk $(QUERIES) $(sort $(MIGRATIONS)) > $@.tmp && mv $@.tmp $@

$(BUILD)/obj/core/%.o: core/%.c $(BUILD)/ak_sql.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(APR_FLAGS) $(call PKG_FLAGS,jansson) -c $< -o $@

$(BUILD)/obj/mod_apikey/%.o: mod_apikey/%.c $(BUILD)/ak_sql.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(HTTPD_FLAGS) $(APR_FLAGS) $(call PKG_FLAGS,jansson) -c $< -o $@

$(BUILD)/obj/%.o: %.c $(BUILD)/ak_sql.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(APR_FLAGS) -Iauditd $(call PKG_FLAGS,jansson libmicrohttpd libcurl) -c $< -o $@

$(BUILD)/libapikey.a: $(CORE)
	rm -f $@ && ar rcs $@ $^

# Only the module record is visible, so that no symbol of ours meets another module's.
$(BUILD)/mod_apikey.so: $(MODULE) $(BUILD)/libapikey.a
	$(CC) -shared $(LDFLAGS) -Wl,--version-script=mod_apikey/mod_apikey.map -o $@ $^ $(CORE_LIBS)

$(BUILD)/apikey-auditd: $(AUDITD) $(BUILD)/libapikey.a
	$(CC) $(LDFLAGS) -pie -o $@ $^ $(call PKG_LIBS,libmicrohttpd libcurl) $(CORE_LIBS) -lm

$(BUILD)/apikeyctl: $(CTL) $(BUILD)/libapikey.a
	$(CC) $(LDFLAGS) -pie -o $@ $^ $(CORE_LIBS)

$(BUILD)/unit: $(UNIT) $(filter-out %/auditd/main.o,$(AUDITD)) $(BUILD)/libapikey.a
	$(CC) $(LDFLAGS) -pie -o $@ $^ $(call PKG_LIBS,check libmicrohttpd libcurl) $(CORE_LIBS) -lm

# The model of unusual traffic on "timestamp,value" lines, to score it on a benchmark.
DETECTOR  = $(BUILD)/obj/auditd/traffic_model.o $(BUILD)/obj/auditd/nab/nab_detector.o
$(BUILD)/nab-detector: $(DETECTOR)
	$(CC) $(LDFLAGS) -pie -o $@ $^ -lm
-include $(DETECTOR:.o=.d)

-include $(CORE:.o=.d) $(MODULE:.o=.d) $(AUDITD:.o=.d) $(CTL:.o=.d) $(UNIT:.o=.d)

# --- the machine, the stack ------------------------------------------------------
.PHONY: help deps packages ready run start stop status clean-run clean
help: ## list the targets and variables
	@sed -n 's/^\([a-z][a-z-]*\): *## */\1\t/p' Makefile | awk -F '\t' '{printf "  make %-13s %s\n", $$1, $$2}'
	@echo
	@echo "  PORT=$(PORT) RUN_DIR=$(RUN_DIR) RATE_STORE=$(RATE_STORE) (shm, memcached) DB=$(DB) (sqlite3, pgsql)"
	@echo "  MPM=$(MPM) (event, worker, prefork) BUILD=$(BUILD) SANITIZE=$(SANITIZE) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)"

deps: ## install the Debian packages that are missing, and what the browser's tests need
deps: packages
	@$(MAKE) --no-print-directory $(BROWSER)

packages:
	@conf/deps

# In this order also under -j: the compiler may be among what is missing.
ready: packages
	@$(MAKE) --no-print-directory build

run: ## install, build, and run the whole stack in the foreground; Ctrl-C stops it
run: ready
	@conf/stack run

start: ## the same in the background; returns when it serves
start: ready
	@conf/stack start

stop: ## stop what start started; the data stay in RUN_DIR
	@conf/stack stop

status: ## say what runs
	@conf/stack status

clean-run: ## stop the stack and remove RUN_DIR with all its data
	@test ! -e "$(RUN_DIR)" -o -f "$(RUN_DIR)/httpd.conf" || \
	    { echo "RUN_DIR=$(RUN_DIR) holds no stack: not removed"; exit 1; }
	@conf/stack stop
	rm -rf "$(RUN_DIR)"

clean: ## remove what was built
	rm -rf build build-* tests/browser/node_modules

# --- tests -------------------------------------------------------------------------
BROWSER = tests/browser/node_modules/.package-lock.json
$(BROWSER): tests/browser/package-lock.json
	cd tests/browser && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

.PHONY: check check-browser lint asan
check: ## install, build, run every test; closes with "N passed, N failed"
check: deps
	@$(MAKE) --no-print-directory build $(BUILD)/unit
	@tests/run unit guards integration browser

check-browser: ## the dashboard's tests alone; pictures of each page are in BUILD/screenshots
check-browser: deps
	@$(MAKE) --no-print-directory build
	@tests/run browser

lint: ## warnings of two compilers, cppcheck, shellcheck, and the guards of house style
lint: packages
	@tests/run guards

asan: ## the unit and integration tests under AddressSanitizer and UndefinedBehaviorSanitizer
asan: packages
	@$(MAKE) --no-print-directory SANITIZE=address,undefined BUILD=build-asan build build-asan/unit
	@SANITIZE=address,undefined BUILD=build-asan tests/run unit integration

# Each fuzz target is linked with a library of its own build: clang, libFuzzer, both sanitizers.
FUZZERS = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
MINUTES ?= 1
.PHONY: fuzz
fuzz: ## run every parser under libFuzzer, MINUTES=1 shared among them
fuzz: deps
	@$(MAKE) --no-print-directory CC=clang SANITIZE=fuzzer-no-link,address,undefined BUILD=build-fuzz \
	    $(addprefix build-fuzz/,$(FUZZERS))
	@tests/fuzz/run build-fuzz $(MINUTES)

$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/libapikey.a
	$(CC) $(CFLAGS) $(APR_FLAGS) -fsanitize=fuzzer -o $@ $^ $(LDFLAGS) $(CORE_LIBS)

# --- installation --------------------------------------------------------------------
MODULES_DIR = $(DESTDIR)$(PREFIX)/lib/apache2/modules
.PHONY: install
install: ## put the files where Debian's apache2 expects them (DESTDIR, PREFIX)
install: build
	install -d "$(MODULES_DIR)" "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/sbin" \
	    "$(DESTDIR)$(PREFIX)/share/doc/mod-apikey/examples" "$(DESTDIR)/etc/apache2/mods-available"
	install -m 644 $(BUILD)/mod_apikey.so "$(MODULES_DIR)"
	install -m 755 $(BUILD)/apikeyctl "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 $(BUILD)/apikey-auditd "$(DESTDIR)$(PREFIX)/sbin"
	install -d "$(DESTDIR)$(PREFIX)/share/mod-apikey"
	cp -R dashboard "$(DESTDIR)$(PREFIX)/share/mod-apikey/"
	install -m 644 conf/*.in README.md LICENSE NOTICE "$(DESTDIR)$(PREFIX)/share/doc/mod-apikey/examples"
	echo "LoadModule apikey_module $(PREFIX)/lib/apache2/modules/mod_apikey.so" \
	    > "$(DESTDIR)/etc/apache2/mods-available/apikey.load"
