# generate.awk - turn the SQL of this folder into build/ak_sql.h
#
# usage: awk -f sql/generate.awk sql/queries.sql sql/*/NNNN_*.sql > build/ak_sql.h
#
# Of queries.sql each "-- name: NAME" begins a statement that ends at the next name.
# Two more marks may follow a name:
#   -- driver: sqlite3|pgsql   only this database has or needs the statement
#   -- scan: REASON            it reads a whole table on purpose; the tests list it
# A migration is split at each ";" that ends a line, and belongs to the driver and
# version that its path sql/DRIVER/VERSION_*.sql says.  Other comments are dropped.
# Whatever cannot be right stops the build with the file and the line.

function fail(message)
{
    print FILENAME ":" FNR ": " message > "/dev/stderr"
    failed = 1
    exit 1
}

function quoted(text)
{
    gsub(/\\/, "\\\\", text)
    gsub(/"/, "\\\"", text)
    return "\"" text "\""
}

# One line without its comment and outer blanks.  A "--" within quotes is text.
function code_of(line,    i, c, in_quotes)
{
    in_quotes = 0
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        if (c == "'")
            in_quotes = !in_quotes
        else if (!in_quotes && substr(line, i, 2) == "--") {
            line = substr(line, 1, i - 1)
            break
        }
    }
    sub(/^[ \t]+/, "", line)
    sub(/[ \t\r]+$/, "", line)
    return line
}

function joined(text, more)
{
    return text == "" ? more : text " " more
}

function mark_of(line)
{
    sub(/^-- [a-z]+:[ \t]*/, "", line)
    sub(/[ \t\r]+$/, "", line)
    return line
}

function begin_statement(name)
{
    if (name !~ /^[a-z][a-z0-9_]*$/)
        fail("\"" name "\" is no name for a statement: write [a-z][a-z0-9_]*")
    if (name in number)
        fail("a statement named \"" name "\" stands above already")
    number[name] = count
    names[count] = name
    count++
}

# How many %s a statement has; any other % must be doubled, as apr_dbd wants it.
function arguments(text, name,    n)
{
    gsub(/%%/, "", text)
    n = gsub(/%s/, "", text)
    if (text ~ /%/) {
        print "queries.sql: " name ": write %s for an argument and %% for a percent sign" > "/dev/stderr"
        failed = 1
        exit 1
    }
    return n
}

BEGIN {
    count = 0
    migrations = 0
}

FNR == 1 {
    if (pending != "")
        fail("the migration before this file does not end with a \";\"")
    queries = (FILENAME ~ /queries\.sql$/)
    if (!queries) {
        parts = split(FILENAME, path, "/")
        driver = path[parts - 1]
        version = path[parts] + 0
        if ((driver != "sqlite3" && driver != "pgsql") || path[parts] !~ /^[0-9][0-9][0-9][0-9]_/)
            fail("a migration is sql/sqlite3/NNNN_name.sql or sql/pgsql/NNNN_name.sql")
        if (version != ++versions[driver])
            fail("migration " version " of " driver " comes where number " versions[driver] " should")
        migrations++
        migration_driver[migrations] = driver
        migration_version[migrations] = version
    }
}

queries && /^-- name:/ { begin_statement(mark_of($0)); next }
queries && /^-- driver:/ { drivers[count - 1] = mark_of($0); next }
queries && /^-- scan:/ { scans[count - 1] = mark_of($0); next }

{
    line = code_of($0)
    if (line == "")
        next
}

queries {
    if (count == 0)
        fail("a statement needs a \"-- name: NAME\" before it")
    sub(/;$/, "", line)
    texts[count - 1] = joined(texts[count - 1], line)
    next
}

{
    pending = joined(pending, line)
    if (pending ~ /;$/) {
        sub(/;$/, "", pending)
        statements[migrations] = statements[migrations] "    " quoted(pending) ",\n"
        pending = ""
    }
}

END {
    if (failed)
        exit 1
    if (pending != "")
        fail("the migration does not end with a \";\"")
    if (versions["sqlite3"] != versions["pgsql"]) {
        print "sqlite3 has " versions["sqlite3"] " migrations and pgsql has " versions["pgsql"] \
              ": each change needs both" > "/dev/stderr"
        exit 1
    }
    print "/* Made by sql/generate.awk from sql/: change those files, not this one. */"
    print "#ifndef AK_SQL_H\n#define AK_SQL_H\n"
    print "typedef enum {"
    for (i = 0; i < count; i++)
        print "    AK_SQL_" toupper(names[i]) ","
    print "    AK_SQL_COUNT\n} ak_sql_e;\n"
    print "/* By ak_sql_e: name, text, number of %s, the only driver (or NULL), why it may scan (or NULL). */"
    print "extern const char *const ak_sql_name[AK_SQL_COUNT];"
    print "extern const char *const ak_sql_text[AK_SQL_COUNT];"
    print "extern const int ak_sql_arguments[AK_SQL_COUNT];"
    print "extern const char *const ak_sql_driver[AK_SQL_COUNT];"
    print "extern const char *const ak_sql_scan[AK_SQL_COUNT];\n"
    print "/* The migrations, by driver and version; the last has driver NULL. */"
    print "typedef struct {\n    const char *driver;\n    int version;"
    print "    const char *const *statements; /* NULL ends them */\n} ak_migration_t;"
    print "extern const ak_migration_t ak_migrations[];"
    print "#define AK_SCHEMA_VERSION " versions["sqlite3"] + 0 "\n"
    print "#ifdef AK_SQL_DEFINE"

    print "const char *const ak_sql_name[AK_SQL_COUNT] = {"
    for (i = 0; i < count; i++)
        print "    " quoted(names[i]) ","
    print "};\nconst char *const ak_sql_text[AK_SQL_COUNT] = {"
    for (i = 0; i < count; i++) {
        if (texts[i] == "") {
            print "queries.sql: \"" names[i] "\" has no text" > "/dev/stderr"
            exit 1
        }
        print "    " quoted(texts[i]) ","
    }
    print "};\nconst int ak_sql_arguments[AK_SQL_COUNT] = {"
    for (i = 0; i < count; i++)
        print "    " arguments(texts[i], names[i]) ","
    print "};\nconst char *const ak_sql_driver[AK_SQL_COUNT] = {"
    for (i = 0; i < count; i++)
        print "    " (i in drivers ? quoted(drivers[i]) : "0") ","
    print "};\nconst char *const ak_sql_scan[AK_SQL_COUNT] = {"
    for (i = 0; i < count; i++)
        print "    " (i in scans ? quoted(scans[i]) : "0") ","
    print "};"
    for (m = 1; m <= migrations; m++)
        print "static const char *const ak_migration_" migration_driver[m] "_" migration_version[m] \
              "[] = {\n" statements[m] "    0\n};"
    print "const ak_migration_t ak_migrations[] = {"
    for (m = 1; m <= migrations; m++)
        print "    {" quoted(migration_driver[m]) ", " migration_version[m] ", ak_migration_" \
              migration_driver[m] "_" migration_version[m] "},"
    print "    {0, 0, 0}\n};"
    print "#endif /* AK_SQL_DEFINE */\n"
    print "#endif"
}
