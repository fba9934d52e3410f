/* ak_conf.h - the configuration file of apikey-auditd and apikeyctl
 *
 * Lines of "name value"; # begins a comment, blank lines are nothing, a value runs
 * to the end of its line (surrounding blanks cut off).  One file serves both
 * programs: apikeyctl reads of it what it needs.  Every name stands once, in the
 * table in ak_conf.c, with its type, default and range.
 */
#ifndef AK_CONF_H
#define AK_CONF_H

#include "ak_types.h"

typedef struct ak_conf_t ak_conf_t;

/* Read FILE.  On failure *why is one sentence with file, line, and what to write instead. */
apr_status_t ak_conf_read(ak_conf_t **conf, const char *file, const char **why, apr_pool_t *p);

/* A setting by name; asking for a name that is not in the table, or for another type than
 * it has there, is a programmer's error (abort).  Texts live as long as conf. */
const char *ak_conf_text(const ak_conf_t *conf, const char *name); /* NULL where unset, no default */
apr_int64_t ak_conf_number(const ak_conf_t *conf, const char *name);
int ak_conf_flag(const ak_conf_t *conf, const char *name);
/* The line where it stands, for what only its user can judge; 0 where it is not set. */
int ak_conf_line(const ak_conf_t *conf, const char *name);

/* The two words of "database".  APR_EINVAL: it is not set; *why says what to write. */
apr_status_t ak_conf_database(const ak_conf_t *conf, const char **driver, const char **params,
                              const char **why, apr_pool_t *p);

/* The table, for documents and tests: name by index (NULL past the end), its default as
 * text (NULL: none) and its one line of help. */
const char *ak_conf_describe(int index, const char **standard, const char **help);

#endif
