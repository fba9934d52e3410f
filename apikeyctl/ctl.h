/* ctl.h - what the parts of apikeyctl share
 *
 * main.c finds the command and reads its options by the command's own table; cmd_*.c do
 * the work; each builds its answer as JSON, which output.c prints as it is (--json) or
 * as a table for people.  Errors go to standard error, secrets to standard output once.
 */
#ifndef CTL_H
#define CTL_H

#include <jansson.h>

#include "ak_conf.h"
#include "ak_draft.h"
#include "ak_store.h"

/* Exit status. */
enum { CTL_DONE = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 };

#define CTL_CONF_FILE "/etc/apikey/apikey.conf"
#define CTL_OPTIONS_MAX 16
#define CTL_OPERANDS_MAX 2
#define CTL_ACCOUNT "acct_default" /* made by db init */

typedef struct ctl_t ctl_t;

typedef struct {
    const char *name;
    const char *argument; /* as help shows it; NULL: a flag */
    const char *help;
} ctl_option_t;

typedef struct {
    const char *group, *name; /* "key", "create"; name NULL where the group is the command */
    const char *operands;     /* as help shows them, or NULL */
    int operand_count;
    int (*run)(ctl_t *ctl);
    const char *summary;
    const char *more;         /* further help, or NULL */
    ctl_option_t options[CTL_OPTIONS_MAX]; /* the first without a name ends them */
} ctl_command_t;

/* The tables of the cmd_*.c files; each ends with a group of NULL. */
extern const ctl_command_t cmd_db[], cmd_account[], cmd_key[], cmd_key_import[], cmd_key_verify[], cmd_alerts[],
    cmd_usage[], cmd_events[], cmd_status[];

struct ctl_t {
    apr_pool_t *p;
    apr_int64_t now;
    const char *conf_file;
    int json;
    const ctl_command_t *command;
    const char *operand[CTL_OPERANDS_MAX];
    const char *value[CTL_OPTIONS_MAX]; /* by the command's options; NULL: not given */
    ak_conf_t *conf;
    ak_store_t *store;
    ak_actor_t actor;
};

/* --- options ------------------------------------------------------------------ */
/* The value of an option of this command, or NULL; a flag that is given has "". */
const char *ctl_option(const ctl_t *ctl, const char *name);
/* Non-zero: refused, and said.  *out keeps its value where the option is not given. */
int ctl_number(ctl_t *ctl, const char *name, apr_int64_t least, apr_int64_t most, apr_int64_t *out);
int ctl_time(ctl_t *ctl, const char *name, apr_int64_t *out);
int ctl_duration(ctl_t *ctl, const char *name, apr_int64_t *out_sec); /* 90s, 15m, 12h, 7d */
int ctl_choice(ctl_t *ctl, const char *name, const char *const *choices, const char **out);
/* Non-zero when an option that is needed is missing. */
int ctl_need(ctl_t *ctl, const char *name);
/* Words between commas or blanks, none of them empty. */
const char *const *ctl_words(ctl_t *ctl, const char *list, int *count);

/* --- what a command needs ------------------------------------------------------- */
int ctl_configure(ctl_t *ctl);
/* The store of the configuration; checked: also, is it up to date? */
int ctl_open(ctl_t *ctl, int checked);
int ctl_digester(ctl_t *ctl, ak_digester_t **digester);
/* Wait until the nodes have applied a change. */
int ctl_settle(ctl_t *ctl, apr_int64_t sequence);

/* --- input ---------------------------------------------------------------------- */
/* One line of standard input without its end, at most max bytes; prompted for, unseen, at
 * a terminal.  *len is max + 1 when it was longer. */
int ctl_read_secret(ctl_t *ctl, char *line, apr_size_t max, apr_size_t *len);
/* Does a text look like a whole key? */
int ctl_looks_like_key(const char *text);

/* --- output --------------------------------------------------------------------- */
/* Print an answer, which is stolen: an object in full, or the rows of "data" in columns. */
typedef struct { const char *member, *title; } ctl_column_t;
int ctl_answer(ctl_t *ctl, json_t *answer, const ctl_column_t *columns);
/* One row of many, each on its line (a JSON line, with --json). */
int ctl_row(ctl_t *ctl, json_t *row, const ctl_column_t *columns);
/* Say on standard error what went wrong, and give the status back. */
int ctl_fail(ctl_t *ctl, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
int ctl_fail_fields(ctl_t *ctl, const ak_field_error_t *errors, int count);
/* For a failed call of the store; what: "key key_abc". */
int ctl_fail_store(ctl_t *ctl, apr_status_t rv, const char *what);
/* A remark that is neither answer nor failure. */
void ctl_note(ctl_t *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Values: 0 (time), AK_UNSET (number), NULL give null. */
json_t *ctl_json_time(apr_int64_t sec);
json_t *ctl_json_number(apr_int64_t n);
json_t *ctl_json_words(apr_pool_t *p, const char *list);
json_t *ctl_json_limits(apr_int64_t per_hour, apr_int64_t per_minute);
json_t *ctl_json_key(ctl_t *ctl, const ak_key_record_t *key);
const char *ctl_key_status(const ctl_t *ctl, const ak_key_record_t *key);

#endif
