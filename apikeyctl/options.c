/* options - values of options, and what every command needs: configuration, store, secrets */
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "ak_window.h"
#include "ctl.h"

#define HANDLES 2

/* --- options -------------------------------------------------------------------------------- */

const char *ctl_option(const ctl_t *ctl, const char *name)
{
    const ctl_option_t *options = ctl->command->options;

    for (int i = 0; i < CTL_OPTIONS_MAX && options[i].name != NULL; i++)
        if (strcmp(options[i].name, name) == 0)
            return ctl->value[i];
    return NULL;
}

int ctl_need(ctl_t *ctl, const char *name)
{
    if (ctl_option(ctl, name) != NULL)
        return 0;
    return ctl_fail(ctl, CTL_USAGE, "--%s is needed; see apikeyctl %s %s --help", name, ctl->command->group,
                    ctl->command->name != NULL ? ctl->command->name : "");
}

int ctl_number(ctl_t *ctl, const char *name, apr_int64_t least, apr_int64_t most, apr_int64_t *out)
{
    const char *text = ctl_option(ctl, name);
    apr_int64_t n;
    char *end;

    if (text == NULL)
        return 0;
    if (apr_isdigit(text[0]) && strlen(text) <= 18) {
        n = apr_strtoi64(text, &end, 10);
        if (*end == '\0' && n >= least && n <= most) {
            *out = n;
            return 0;
        }
    }
    return ctl_fail(ctl, CTL_USAGE, "--%s must be a whole number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT,
                    name, least, most);
}

int ctl_time(ctl_t *ctl, const char *name, apr_int64_t *out)
{
    const char *text = ctl_option(ctl, name);

    if (text == NULL)
        return 0;
    if (ak_rfc3339_parse(text, out) == APR_SUCCESS && *out > 0)
        return 0;
    return ctl_fail(ctl, CTL_USAGE, "--%s must be a time such as 2026-10-14T00:00:00Z", name);
}

int ctl_duration(ctl_t *ctl, const char *name, apr_int64_t *out_sec)
{
    static const struct {
        char unit;
        apr_int64_t sec;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    const char *text = ctl_option(ctl, name);
    char *end;
    apr_int64_t n;

    if (text == NULL)
        return 0;
    if (apr_isdigit(text[0]) && strlen(text) <= 9) {
        n = apr_strtoi64(text, &end, 10);
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (end[0] == units[i].unit && end[1] == '\0') {
                *out_sec = n * units[i].sec;
                return 0;
            }
        }
    }
    return ctl_fail(ctl, CTL_USAGE, "--%s must be a span of time such as 90s, 15m, 12h or 7d", name);
}

int ctl_choice(ctl_t *ctl, const char *name, const char *const *choices, const char **out)
{
    const char *text = ctl_option(ctl, name), *all = "";

    if (text == NULL)
        return 0;
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(choices[i], text) == 0) {
            *out = choices[i];
            return 0;
        }
        all = apr_pstrcat(ctl->p, all, i > 0 ? ", " : "", choices[i], NULL);
    }
    return ctl_fail(ctl, CTL_USAGE, "--%s must be one of: %s", name, all);
}

const char *const *ctl_words(ctl_t *ctl, const char *list, int *count)
{
    apr_array_header_t *words = apr_array_make(ctl->p, 8, sizeof(const char *));
    char *rest, *word;

    for (word = apr_strtok(apr_pstrdup(ctl->p, list), ", ", &rest); word != NULL;
         word = apr_strtok(NULL, ", ", &rest))
        APR_ARRAY_PUSH(words, const char *) = word;
    *count = words->nelts;
    return (const char *const *)words->elts;
}

/* --- configuration and store ------------------------------------------------------------------ */

int ctl_configure(ctl_t *ctl)
{
    const char *why;

    if (ctl->conf != NULL)
        return CTL_DONE;
    if (ak_conf_read(&ctl->conf, ctl->conf_file, &why, ctl->p) == APR_SUCCESS)
        return CTL_DONE;
    ctl->conf = NULL;
    return ctl_fail(ctl, CTL_USAGE, "%s (name the configuration with -c FILE or $APIKEYCTL_CONFIG)", why);
}

int ctl_open(ctl_t *ctl, int checked)
{
    const char *driver, *params, *why = NULL;
    apr_status_t rv;
    int status = ctl_configure(ctl);

    if (status != CTL_DONE)
        return status;
    if (ak_conf_database(ctl->conf, &driver, &params, &why, ctl->p) != APR_SUCCESS)
        return ctl_fail(ctl, CTL_USAGE, "%s: %s", ctl->conf_file, why);
    rv = ak_store_open(&ctl->store, driver, params, HANDLES, &why, ctl->p);
    if (rv == APR_SUCCESS && checked)
        rv = ak_store_check(ctl->store, &why, ctl->p);
    return rv == APR_SUCCESS ? CTL_DONE : ctl_fail(ctl, CTL_UNREACHABLE, "%s", why);
}

int ctl_digester(ctl_t *ctl, ak_digester_t **digester)
{
    const char *file = ak_conf_text(ctl->conf, "pepper_file"), *why;
    unsigned char *pepper = NULL;
    apr_size_t len = 0;

    if (file != NULL && ak_pepper_read(file, &pepper, &len, &why, ctl->p) != APR_SUCCESS)
        return ctl_fail(ctl, CTL_REFUSED, "%s", why);
    if (ak_digester_create(digester, pepper, len, ctl->p) != APR_SUCCESS)
        return ctl_fail(ctl, CTL_REFUSED, "no digest can be made: is OpenSSL installed as it should be?");
    return CTL_DONE;
}

int ctl_settle(ctl_t *ctl, apr_int64_t sequence)
{
    if (ak_store_wait_applied(ctl->store, sequence, NULL, ctl->p) == APR_SUCCESS)
        return CTL_DONE;
    return ctl_fail(ctl, CTL_UNREACHABLE, "the change is made, but whether every node has it cannot be asked: %s",
                    ak_store_problem(ctl->store, ctl->p));
}

/* --- secrets ---------------------------------------------------------------------------------- */

/* A prefix, _live_ or _test_, and enough of what follows to be worth something. */
int ctl_looks_like_key(const char *text)
{
    static const char *const marks[] = {"_live_", "_test_"};
    const char *at;

    for (int m = 0; m < 2; m++) {
        for (at = text; (at = strstr(at, marks[m])) != NULL; at++) {
            int n = 0;

            while (apr_isalnum(at[6 + n]))
                n++;
            if (at > text && apr_isalnum(at[-1]) && n >= 16)
                return 1;
        }
    }
    return 0;
}

/* Read bytes up to a line's end or the end of input; what is past max is read and lost. */
static apr_size_t read_line(char *line, apr_size_t max)
{
    apr_size_t len = 0;
    int c;

    while ((c = getchar()) != EOF && c != '\n') {
        if (len < max)
            line[len] = (char)c;
        if (len <= max)
            len++;
    }
    if (len > 0 && len <= max && line[len - 1] == '\r')
        len--;
    if (len <= max)
        line[len] = '\0';
    return len;
}

int ctl_read_secret(ctl_t *ctl, char *line, apr_size_t max, apr_size_t *len)
{
    struct termios before, unseen;
    int terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;

    setvbuf(stdin, NULL, _IONBF, 0); /* no copy of the key stays in a buffer */
    if (terminal) {
        unseen = before;
        unseen.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &unseen);
        fputs("key: ", stderr);
    }
    *len = read_line(line, max);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputs("\n", stderr);
    }
    if (*len == 0)
        return ctl_fail(ctl, CTL_USAGE, "a key is read from standard input, which is empty");
    return CTL_DONE;
}
