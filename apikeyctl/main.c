/* main - apikeyctl: look after API keys, accounts and events from the command line
 *
 * usage: apikeyctl [-c FILE] [--json] COMMAND [OPTION...] [OPERAND...]
 *
 * -c FILE   the configuration ($APIKEYCTL_CONFIG, else /etc/apikey/apikey.conf)
 * --json    answers and errors for programs
 *
 * Exit status: 0 done, 1 refused or not found, 2 wrong usage, 3 database not to be had.
 * A key is never an argument, where other users can read it: it comes on standard input.
 */
#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

enum { OPT_JSON = 256, OPT_COMMAND }; /* no short form; from there on the command's own, by index */

static int run_version(ctl_t *ctl)
{
    return ctl_answer(ctl, json_pack("{s:s, s:i}", "version", AK_VERSION, "schema", AK_SCHEMA_VERSION), NULL);
}

static const ctl_command_t cmd_version[] = {
    {.group = "version", .run = run_version, .summary = "tell the version of this program and of its schema"},
    {.group = NULL}
};

static const ctl_command_t *const tables[] = {cmd_db, cmd_account, cmd_key, cmd_key_import, cmd_key_verify, cmd_alerts,
                                              cmd_usage, cmd_events, cmd_status, cmd_version};
#define TABLES (sizeof tables / sizeof tables[0])

/* --- help ---------------------------------------------------------------------------------- */

static const char *full_name(const ctl_command_t *c, apr_pool_t *p)
{
    return apr_pstrcat(p, c->group, c->name != NULL ? " " : "", c->name != NULL ? c->name : "", NULL);
}

/* The commands, of one group or of all. */
static void print_commands(apr_pool_t *p, const char *group)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const ctl_command_t *c = tables[t]; c->group != NULL; c++)
            if (group == NULL || strcmp(group, c->group) == 0)
                printf("  %-20s %s\n", full_name(c, p), c->summary);
}

static int help_all(apr_pool_t *p, const char *group)
{
    puts("usage: apikeyctl [-c FILE] [--json] COMMAND [OPTION...] [OPERAND...]\n");
    print_commands(p, group);
    puts("\n  -c FILE              the configuration ($APIKEYCTL_CONFIG, else " CTL_CONF_FILE ")\n"
         "  --json               answers and errors for programs\n"
         "  --help               of a command: its options\n\n"
         "Exit status: 0 done, 1 refused or not found, 2 wrong usage, 3 database not to be had.");
    return CTL_DONE;
}

static int help_command(apr_pool_t *p, const ctl_command_t *c)
{
    printf("usage: apikeyctl %s%s%s%s\n\n%s\n", full_name(c, p), c->options[0].name != NULL ? " [OPTION...]" : "",
           c->operands != NULL ? " " : "", c->operands != NULL ? c->operands : "", c->summary);
    if (c->more != NULL)
        printf("%s\n", c->more);
    if (c->options[0].name != NULL)
        putchar('\n');
    for (int i = 0; i < CTL_OPTIONS_MAX && c->options[i].name != NULL; i++) {
        const ctl_option_t *o = &c->options[i];
        const char *form = apr_pstrcat(p, "--", o->name, o->argument != NULL ? " " : "",
                                       o->argument != NULL ? o->argument : "", NULL);

        printf("  %-26s %s\n", form, o->help);
    }
    return CTL_DONE;
}

/* --- finding the command ---------------------------------------------------------------------- */

static int is_group(const char *name)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const ctl_command_t *c = tables[t]; c->group != NULL; c++)
            if (strcmp(c->group, name) == 0)
                return 1;
    return 0;
}

/* The command that one or two words name. */
static const ctl_command_t *find_command(const char *group, const char *name)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const ctl_command_t *c = tables[t]; c->group != NULL; c++)
            if (strcmp(c->group, group) == 0 && (c->name == NULL || (name != NULL && strcmp(c->name, name) == 0)))
                return c;
    return NULL;
}

/* --- reading the line --------------------------------------------------------------------------- */

/* What apr_getopt says of a wrong option: "apikeyctl: invalid option: x". */
typedef struct {
    char text[200];
} complaint_t;

static void complain(void *data, const char *format, ...)
{
    complaint_t *complaint = data;
    va_list args;

    va_start(args, format);
    apr_vsnprintf(complaint->text, sizeof complaint->text, format, args);
    va_end(args);
    complaint->text[strcspn(complaint->text, "\n")] = '\0';
}

/* apr_getopt's words without its program name. */
static const char *problem_of(const complaint_t *complaint)
{
    const char *at = strstr(complaint->text, ": ");

    return at != NULL ? at + 2 : complaint->text;
}

/* The global options, and those of a command (NULL: none) behind them. */
static const apr_getopt_option_t *option_table(const ctl_command_t *command, apr_pool_t *p)
{
    apr_getopt_option_t *table = apr_pcalloc(p, (CTL_OPTIONS_MAX + 4) * sizeof *table);
    int n = 0;

    table[n++] = (apr_getopt_option_t){"config", 'c', 1, NULL};
    table[n++] = (apr_getopt_option_t){"json", OPT_JSON, 0, NULL};
    table[n++] = (apr_getopt_option_t){"help", 'h', 0, NULL};
    for (int i = 0; command != NULL && i < CTL_OPTIONS_MAX && command->options[i].name != NULL; i++)
        table[n++] = (apr_getopt_option_t){command->options[i].name, OPT_COMMAND + i,
                                           command->options[i].argument != NULL, NULL};
    return table;
}

/* Read options from where os stands.  *help: was help asked for? */
static int read_options(ctl_t *ctl, apr_getopt_t *os, const ctl_command_t *command, int *help)
{
    const apr_getopt_option_t *table = option_table(command, ctl->p);
    complaint_t *complaint = apr_pcalloc(ctl->p, sizeof *complaint);
    const char *value;
    int which;
    apr_status_t rv;

    os->errfn = complain;
    os->errarg = complaint;
    while ((rv = apr_getopt_long(os, table, &which, &value)) == APR_SUCCESS) {
        if (which == 'c')
            ctl->conf_file = value;
        else if (which == 'h')
            *help = 1;
        else if (which == OPT_JSON)
            ctl->json = 1;
        else if (ctl->value[which - OPT_COMMAND] != NULL)
            return ctl_fail(ctl, CTL_USAGE, "--%s is given twice", command->options[which - OPT_COMMAND].name);
        else
            ctl->value[which - OPT_COMMAND] = value != NULL ? value : "";
    }
    if (rv == APR_EOF)
        return CTL_DONE;
    return ctl_fail(ctl, CTL_USAGE, "%s; see apikeyctl %s--help", problem_of(complaint),
                    command != NULL ? apr_pstrcat(ctl->p, full_name(command, ctl->p), " ", NULL) : "");
}

static int read_operands(ctl_t *ctl, const apr_getopt_t *os)
{
    const ctl_command_t *c = ctl->command;
    int given = os->argc - os->ind;

    if (given != c->operand_count)
        return ctl_fail(ctl, CTL_USAGE, given > c->operand_count ? "%s takes %s; see apikeyctl %s --help"
                                                                 : "%s needs %s; see apikeyctl %s --help",
                        full_name(c, ctl->p), c->operands != NULL ? c->operands : "no operand",
                        full_name(c, ctl->p));
    for (int i = 0; i < given; i++)
        ctl->operand[i] = os->argv[os->ind + i];
    return CTL_DONE;
}

/* A key on the command line can be read by every user of the machine: say so, once more. */
static int refuse_keys(ctl_t *ctl, int argc, const char *const *argv)
{
    for (int i = 1; i < argc; i++)
        if (ctl_looks_like_key(argv[i]))
            return ctl_fail(ctl, CTL_USAGE, "argument %d looks like a key, and others can read it there: give keys on "
                                            "standard input, and revoke this one if it is real", i);
    return CTL_DONE;
}

static int no_such_command(ctl_t *ctl, const char *group, const char *name)
{
    if (!is_group(group))
        return ctl_fail(ctl, CTL_USAGE, "there is no command \"%s\"; see apikeyctl --help", group);
    if (name == NULL || name[0] == '-')
        return ctl_fail(ctl, CTL_USAGE, "\"%s\" needs a second word; see apikeyctl %s --help", group, group);
    return ctl_fail(ctl, CTL_USAGE, "there is no command \"%s %s\"; see apikeyctl %s --help", group, name, group);
}

static int run(ctl_t *ctl, int argc, const char *const *argv)
{
    const char *group, *name;
    apr_getopt_t *os;
    int help = 0, status = refuse_keys(ctl, argc, argv);

    if (status != CTL_DONE)
        return status;
    apr_getopt_init(&os, ctl->p, argc, argv);
    status = read_options(ctl, os, NULL, &help); /* those before the command */
    if (status != CTL_DONE)
        return status;
    if (os->ind >= argc)
        return help ? help_all(ctl->p, NULL) : ctl_fail(ctl, CTL_USAGE, "no command is given; see apikeyctl --help");
    group = argv[os->ind];
    name = os->ind + 1 < argc ? argv[os->ind + 1] : NULL;
    ctl->command = find_command(group, name);
    if (ctl->command == NULL) {
        if (is_group(group) && (help || (name != NULL && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0))))
            return help_all(ctl->p, group);
        return no_such_command(ctl, group, name);
    }
    os->ind += ctl->command->name != NULL ? 2 : 1;
    os->skip_start = os->skip_end = os->ind;
    os->interleave = 1;
    status = read_options(ctl, os, ctl->command, &help);
    if (status != CTL_DONE)
        return status;
    if (help)
        return help_command(ctl->p, ctl->command);
    status = read_operands(ctl, os);
    return status == CTL_DONE ? ctl->command->run(ctl) : status;
}

int main(int argc, const char *const *argv)
{
    ctl_t ctl = {.conf_file = CTL_CONF_FILE, .actor = {.actor = "apikeyctl"}};
    const char *named = getenv("APIKEYCTL_CONFIG");
    int status;

    if (apr_app_initialize(&argc, &argv, NULL) != APR_SUCCESS || apr_pool_create(&ctl.p, NULL) != APR_SUCCESS)
        return CTL_REFUSED;
    ctl.now = apr_time_sec(apr_time_now());
    if (named != NULL && named[0] != '\0')
        ctl.conf_file = named;
    for (int i = 1; i < argc; i++) /* so that a wrong line before it is told in JSON too */
        ctl.json |= strcmp(argv[i], "--json") == 0;
    status = run(&ctl, argc, argv);
    apr_pool_destroy(ctl.p); /* no apr_terminate: it unloads the drivers, and leak checkers stumble over that */
    return status;
}
