# mod_apikey - API keys for Apache httpd.  "make help" lists the targets.

PORT       ?= 8080
RUN_DIR    ?= run
RATE_STORE ?= shm
DB         ?= sqlite3
PREFIX     ?= /usr
DESTDIR    ?=
BUILD      ?= build
SANITIZE   ?=

export PORT RUN_DIR RATE_STORE DB BUILD SANITIZE

# --- tools and flags ----------------------------------------------------------
# Asked of apxs and pkg-config when something is built, so that "make deps" and
# "make help" work where neither is installed yet.
CC          ?= gcc
APXS        ?= apxs2
HTTPD_FLAGS  = $(shell $(APXS) -q EXTRA_CPPFLAGS) -I$(shell $(APXS) -q INCLUDEDIR)
APR_FLAGS    = $(shell apr-1-config --includes --cppflags) $(shell apu-1-config --includes)
APR_LIBS     = $(shell apu-1-config --link-ld --libs) $(shell apr-1-config --link-ld --libs)
PKG_FLAGS    = $(shell pkg-config --cflags $(1))
PKG_LIBS     = $(shell pkg-config --libs $(1))

WARN     = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wpointer-arith -Wcast-align -Wwrite-strings -Wvla -Wformat=2 -Wno-unused-parameter
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
	$(CC) $(CFLAGS) $(APR_FLAGS) $(call PKG_FLAGS,jansson libmicrohttpd) -c $< -o $@

$(BUILD)/libapikey.a: $(CORE)
	rm -f $@ && ar rcs $@ $^

# Only the module record is visible, so that no symbol of ours meets another module's.
$(BUILD)/mod_apikey.so: $(MODULE) $(BUILD)/libapikey.a
	$(CC) -shared $(LDFLAGS) -Wl,--exclude-libs,ALL -o $@ $^ $(CORE_LIBS)

$(BUILD)/apikey-auditd: $(AUDITD) $(BUILD)/libapikey.a
	$(CC) $(LDFLAGS) -pie -o $@ $^ $(call PKG_LIBS,libmicrohttpd) $(CORE_LIBS) -lm

$(BUILD)/apikeyctl: $(CTL) $(BUILD)/libapikey.a
	$(CC) $(LDFLAGS) -pie -o $@ $^ $(CORE_LIBS)

$(BUILD)/unit: $(UNIT) $(BUILD)/libapikey.a
	$(CC) $(LDFLAGS) -pie -o $@ $^ $(call PKG_LIBS,check) $(CORE_LIBS) -lm

-include $(CORE:.o=.d) $(MODULE:.o=.d) $(AUDITD:.o=.d) $(CTL:.o=.d) $(UNIT:.o=.d)
