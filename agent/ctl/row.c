/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>

#include "ctl/row.h"
#include "ctl/table.h"
#include "policy/date.h"
#include "registry/noun.h"
#include "util/io.h"
#include "util/json.h"
#include "util/text.h"

/* keishictl user, member, terminal, scope, designation, restriction: rows of the directory. Fields and their types are
 * those of the agent's own table (registry/noun.c). */

#define COLUMNS_MAX 8u

/* What a field is called and what it is for; a noun's own first. */
static const struct {
        NounId noun; /* _NOUN_INVALID: any */
        const char *field, *heading, *value, *help;
} texts[] = {
        { NOUN_TERMINAL, "confidentiality", N_("CONF"), N_("1-3"), N_("class of confidentiality of the terminal") },
        { NOUN_SCOPE, "confidentiality", N_("CONF"), N_("0-3"),
                N_("highest class of information of the business; terminals of a lower one refuse (0: any)") },
        { NOUN_TERMINAL, "external", N_("EXTERNAL"), N_("yes|no"), N_("whether it is on an external line") },
        { NOUN_SCOPE, "external", N_("EXTERNAL"), N_("yes|no"),
                N_("whether terminals on an external line may be used") },
        { NOUN_USER, "name", N_("NAME"), N_("TEXT"), N_("the person's name") },
        { NOUN_TERMINAL, "name", N_("NAME"), N_("NAME"), N_("the terminal's name") },
        { NOUN_SCOPE, "name", N_("NAME"), N_("NAME"), N_("the scope's name") },
        { NOUN_SCOPE, "unit", N_("UNIT"), N_("UNIT"), N_("the unit whose head designates within it") },
        { NOUN_TERMINAL, "unit", N_("UNIT"), N_("UNIT"), N_("the unit that it belongs to") },
        { NOUN_DEPUTY, "unit", N_("UNIT"), N_("UNIT"), N_("the unit that the deputy acts for") },
        { NOUN_DEPUTY, "role", N_("ROLE"), N_("ROLE"), N_("unit-head or duty-officer") },
        { NOUN_RESTRICTION, "reason", N_("REASON"), N_("TEXT"), N_("why (recorded)") },
        { NOUN_TERMINAL, "epoch", N_("EPOCH"), NULL, NULL },
        { NOUN_TERMINAL, "key", N_("KEY"), NULL, NULL },
        { _NOUN_INVALID, "account", N_("ACCOUNT"), N_("USER"), N_("the account") },
        { _NOUN_INVALID, "person", N_("PERSON"), N_("NUMBER"), N_("staff number of the person") },
        { _NOUN_INVALID, "unit", N_("UNIT"), N_("UNIT"), N_("the unit that the person belongs to") },
        { _NOUN_INVALID, "shared", N_("SHARED"), N_("yes|no"),
                N_("a shared ID: its users are members, and named at each login") },
        { _NOUN_INVALID, "retired", N_("RETIRED"), N_("yes|no"), N_("no longer lets anyone in") },
        { _NOUN_INVALID, "birth", N_("BIRTH DATE"), N_("DATE"),
                N_("for passwords made of it, e.g. 1975-04-01 or S50.4.1") },
        { _NOUN_INVALID, "integrity", N_("INT"), N_("1-2"), N_("class of integrity") },
        { _NOUN_INVALID, "availability", N_("AVAIL"), N_("1-2"), N_("class of availability") },
        { _NOUN_INVALID, "purpose", N_("PURPOSE"), N_("TEXT"), N_("what it is designated for") },
        { _NOUN_INVALID, "business", N_("BUSINESS"), N_("TEXT"), N_("the business that it is for") },
        { _NOUN_INVALID, "terminals", N_("TERMINALS"), N_("SELECTOR"), N_("name:NAME, pattern:PATTERN or unit:UNIT") },
        { _NOUN_INVALID, "services", N_("SERVICES"), N_("LIST"),
                N_("PAM services or @families, e.g. \"@console @locker\"") },
        { _NOUN_INVALID, "hours", N_("HOURS"), N_("HOURS"), N_("e.g. \"mon-fri 08:30-17:15\"") },
        { _NOUN_INVALID, "from", N_("FROM"), N_("TIME"), N_("not before, e.g. 2026-04-01") },
        { _NOUN_INVALID, "until", N_("UNTIL"), N_("TIME"), N_("not after, e.g. 2027-03-31") },
        { _NOUN_INVALID, "review", N_("REVIEW"), N_("TIME"), N_("when it is to be looked at again") },
        { NOUN_CREDENTIAL, "reason", N_("REASON"), NULL, NULL },
        { _NOUN_INVALID, "kind", N_("KIND"), NULL, NULL },
        { _NOUN_INVALID, "label", N_("LABEL"), NULL, NULL },
        { _NOUN_INVALID, "application", N_("APPLICATION"), NULL, NULL },
        { _NOUN_INVALID, "key", N_("PUBLIC KEY"), NULL, NULL },
        { _NOUN_INVALID, "credential", N_("CREDENTIAL"), NULL, NULL },
        { _NOUN_INVALID, "rp", N_("RELYING PARTY"), NULL, NULL },
        { _NOUN_INVALID, "aaguid", N_("MODEL"), NULL, NULL },
        { _NOUN_INVALID, "attested", N_("ATTESTED"), NULL, NULL },
        { _NOUN_INVALID, "replaces", N_("STANDS IN FOR"), NULL, NULL },
        { _NOUN_INVALID, "state", N_("STATE"), NULL, NULL },
        { _NOUN_INVALID, "state_by", N_("BY"), NULL, NULL },
        { _NOUN_INVALID, "reviewed", N_("REVIEWED"), NULL, NULL },
        { _NOUN_INVALID, "reviewed_by", N_("REVIEWED BY"), NULL, NULL },
        { _NOUN_INVALID, "remote", N_("REMOTE"), N_("yes|no"), N_("opens logins from other machines") },
        { _NOUN_INVALID, "scope", N_("SCOPE"), N_("SCOPE"), N_("name of the scope") },
        { _NOUN_INVALID, "subject", N_("SUBJECT"), N_("WHO"),
                N_("user:USER, group:GROUP, netgroup:GROUP or unit:UNIT") },
        { _NOUN_INVALID, "uuid", N_("ID"), NULL, NULL },
};

/* Columns of lists, NULL-terminated. */
static const char *const columns[_NOUN_MAX][COLUMNS_MAX] = {
        [NOUN_USER] = { "account", "person", "name", "unit", "shared", "retired" },
        [NOUN_MEMBER] = { "account", "person" },
        [NOUN_TERMINAL] = { "name", "unit", "confidentiality", "integrity", "availability", "external", "purpose",
                "retired" },
        [NOUN_SCOPE] = { "name", "business", "unit", "terminals", "services", "hours", "until" },
        [NOUN_DESIGNATION] = { "uuid", "scope", "subject", "terminals", "services", "hours", "until" },
        [NOUN_RESTRICTION] = { "uuid", "account", "person", "reason", "until" },
        [NOUN_DEPUTY] = { "uuid", "unit", "role", "person", "from", "until" },
        [NOUN_CREDENTIAL] = { "uuid", "person", "state", "application", "label", "until", "replaces" },
};

static size_t text_of(NounId noun, const char *field) {
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if ((texts[i].noun == noun || texts[i].noun == _NOUN_INVALID) && strcmp(texts[i].field, field) == 0)
                        return i;
        return ELEMENTSOF(texts);
}

static const char *heading_of(NounId noun, const char *field) {
        size_t i = text_of(noun, field);

        return i < ELEMENTSOF(texts) ? _(texts[i].heading) : field;
}

static const Field *field_of(NounId noun, const char *name) {
        const Noun *n = &registry_nouns[noun];

        for (size_t i = 0; i < n->n_fields; i++)
                if (strcmp(n->fields[i].name, name) == 0)
                        return &n->fields[i];
        return NULL;
}

static bool takes_fields(const Verb *v) {
        return strcmp(v->verb, "add") == 0 || strcmp(v->verb, "change") == 0 || strcmp(v->verb, "list") == 0;
}

/* A field that has no text here can be set all the same: the agent's table says what there is. */
void row_options(const Verb *verb, OptionSpec *ret) {
        const Noun *n;

        if (verb->noun_id == _NOUN_INVALID || !verb->verb || !takes_fields(verb))
                return;
        n = &registry_nouns[verb->noun_id];
        for (size_t i = 0; i < n->n_fields && i + 1 < ROW_OPTIONS_MAX; i++) {
                size_t text = text_of((NounId)verb->noun_id, n->fields[i].name);

                if (n->fields[i].kept || (strcmp(verb->verb, "change") == 0 && n->fields[i].fixed) ||
                        (strcmp(verb->verb, "list") == 0 && n->fields[i].private))
                        continue;
                *ret++ = (OptionSpec){
                        .name = n->fields[i].name,
                        .value = text < ELEMENTSOF(texts) ? texts[text].value : "VALUE",
                        .help = text < ELEMENTSOF(texts) ? texts[text].help : "",
                };
        }
}

/* Sets one field from text, by its type; an empty text takes the value away. */
static ExitCode set_field(const Ctl *ctl, json_object *o, const Field *f, const char *text) {
        char canonical[DATE_TEXT_SIZE];
        uint64_t n;
        int r;

        if (f->date)
                text = date_canonical(text, canonical);
        switch (f->type) {
        case TYPE_BOOL:
                if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
                        return ctl_error(ctl, CTL_USAGE, _("--%s is yes or no"), f->name);
                r = json_set_boolean(o, f->name, strcmp(text, "yes") == 0);
                break;
        case TYPE_INT:
                if (parse_uint64(text, (uint64_t)f->min, (uint64_t)f->max, &n) < 0)
                        return ctl_error(ctl, CTL_USAGE, _("--%s is a number from %lld to %lld"), f->name,
                                (long long)f->min, (long long)f->max);
                r = json_set_uint(o, f->name, n);
                break;
        default:
                r = *text ? json_set_string(o, f->name, text) : json_object_object_add(o, f->name, NULL);
        }
        return r < 0 ? ctl_oom(ctl) : CTL_DONE;
}

static ExitCode fields_from_args(const Ctl *ctl, const Verb *verb, const Args *args, json_object *o) {
        for (size_t i = 0; i < args->n_options; i++) {
                const Field *f = field_of((NounId)verb->noun_id, args->options[i].spec->name);
                ExitCode code;

                if (!f)
                        continue;
                code = set_field(ctl, o, f, args->options[i].value);
                if (code != CTL_DONE)
                        return code;
        }
        return CTL_DONE;
}

/* All of stdin: /dev/stdin cannot be opened anew when another user opened it. */
static int read_stdin(char **ret) {
        _cleanup_free_ char *text = malloc(JSON_TEXT_MAX + 2);
        size_t size;

        if (!text)
                return -ENOMEM;
        size = fread(text, 1, JSON_TEXT_MAX + 1, stdin);
        if (ferror(stdin))
                return -EIO;
        if (size > JSON_TEXT_MAX)
                return -EFBIG;
        text[size] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

ExitCode row_fields_from_file(const Ctl *ctl, const char *path, json_object **ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = strcmp(path, "-") == 0 ? read_stdin(&text) : io_read_file(AT_FDCWD, path, JSON_TEXT_MAX, &text, NULL);
        if (r < 0)
                return ctl_error(ctl, CTL_FAILED, "%s: %s", path, strerror(-r));
        r = json_parse_object(text, ret);
        return r < 0 ? ctl_error(ctl, CTL_INVALID, _("%s is not a JSON object of fields"), path) : CTL_DONE;
}

static ExitCode make_fields(const Ctl *ctl, const Verb *verb, const Args *args, json_object **ret) {
        _cleanup_json_ json_object *o = NULL;
        const char *file = args_get(args, "fields");
        ExitCode code;

        if (file) {
                code = row_fields_from_file(ctl, file, &o);
                if (code != CTL_DONE)
                        return code;
        } else {
                o = json_object_new_object();
                if (!o)
                        return ctl_oom(ctl);
        }
        code = fields_from_args(ctl, verb, args, o);
        if (code == CTL_DONE)
                *ret = TAKE_PTR(o);
        return code;
}

/* A value as people read it. Returns text that lives as long as the row, or is in `buffer`. */
static const char *value_text(json_object *row, const Field *f, const char *name) {
        json_object *value;

        if (!json_object_object_get_ex(row, name, &value) || !value)
                return "";
        if (json_object_is_type(value, json_type_boolean))
                return json_object_get_boolean(value) ? _("yes") : "";
        if (f && f->private && strcmp(json_object_get_string(value), PRIVATE_SET) == 0)
                return _("(registered)");
        if (f && f->private && strcmp(json_object_get_string(value), PRIVATE_CHANGED) == 0)
                return _("(changed)");
        return json_object_get_string(value);
}

ExitCode row_show(const Ctl *ctl, NounId noun, json_object *row) {
        _cleanup_(table_free_p) Table *t = NULL;
        const Noun *n = &registry_nouns[noun];

        if (ctl->json)
                return ctl_print_json(ctl, row);
        if (table_new(&t, (const char *const[]){ heading_of(noun, "uuid"), json_string(row, "uuid") }, 2) < 0)
                return ctl_oom(ctl);
        for (size_t i = 0; i < n->n_fields; i++) {
                const char *text = value_text(row, &n->fields[i], n->fields[i].name);

                if (*text && table_add(t, (const char *const[]){ heading_of(noun, n->fields[i].name), text }) < 0)
                        return ctl_oom(ctl);
        }
        return table_print(t, stdout) < 0 ? CTL_FAILED : CTL_DONE;
}

static ExitCode show_row(const Ctl *ctl, const Verb *verb, json_object *row) {
        return row_show(ctl, (NounId)verb->noun_id, row);
}

ExitCode row_version_valid(const Ctl *ctl, const Args *args) {
        const char *text = args_get(args, "version");
        uint64_t n;

        if (text && parse_uint64(text, 1, INT64_MAX, &n) < 0)
                return ctl_error(ctl, CTL_USAGE, "%s", _("--version is the number that show --json tells"));
        return CTL_DONE;
}

static ExitCode add(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *fields = NULL, *row = NULL;
        const Field *first = &registry_nouns[verb->noun_id].fields[0];
        const char *text;
        ExitCode code;

        code = make_fields(ctl, verb, args, &fields);
        if (code != CTL_DONE)
                return code;
        if (args->n_positional == 1) {
                if (json_object_object_get_ex(fields, first->name, NULL))
                        return ctl_error(ctl, CTL_USAGE, _("option \"%s\" is given twice"), first->name);
                code = set_field(ctl, fields, first, args->positional[0]);
                if (code != CTL_DONE)
                        return code;
        }
        text = json_text(fields);
        if (!text)
                return ctl_oom(ctl);
        code = client_call_json(ctl, &row, "Add", "ss", verb->noun, text);
        return code == CTL_DONE ? show_row(ctl, verb, row) : code;
}

static ExitCode change(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *fields = NULL, *row = NULL;
        const char *version = args_get(args, "version"), *text;
        ExitCode code;

        code = row_version_valid(ctl, args);
        if (code == CTL_DONE)
                code = make_fields(ctl, verb, args, &fields);
        if (code != CTL_DONE)
                return code;
        if (json_object_object_length(fields) == 0)
                return ctl_error(ctl, CTL_USAGE, "%s", _("nothing to change is given"));
        if (version && json_set_uint(fields, "version", strtoull(version, NULL, 10)) < 0)
                return ctl_oom(ctl);
        text = json_text(fields);
        if (!text)
                return ctl_oom(ctl);
        code = client_call_json(ctl, &row, "Change", "sss", verb->noun, args->positional[0], text);
        if (code == CTL_DONE)
                code = show_row(ctl, verb, row);
        if (code == CTL_DONE && verb->noun_id == NOUN_SCOPE && !ctl->json)
                code = access_show_outside(ctl, json_string(row, "name"));
        return code;
}

static ExitCode remove_row(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *reason = args_get(args, "reason");
        ExitCode code;

        if (!reason || !*reason)
                return ctl_error(ctl, CTL_USAGE, "%s", _("say why with --reason"));
        code = client_call(ctl, &reply, "Remove", "sss", verb->noun, args->positional[0], reason);
        if (code == CTL_DONE)
                (void)puts(ctl->json ? "{\"removed\":true}" : _("removed"));
        return code;
}

static ExitCode show(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *row = NULL;
        ExitCode code;

        code = client_call_json(ctl, &row, "Get", "ss", verb->noun, args->positional[0]);
        return code == CTL_DONE ? show_row(ctl, verb, row) : code;
}

static ExitCode list(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *filter = NULL, *rows = NULL;
        _cleanup_(table_free_p) Table *t = NULL;
        NounId noun = (NounId)verb->noun_id;
        const char *cells[COLUMNS_MAX], *text;
        size_t n = 0;
        ExitCode code;

        code = make_fields(ctl, verb, args, &filter);
        if (code != CTL_DONE)
                return code;
        text = json_text(filter);
        if (!text)
                return ctl_oom(ctl);
        code = client_call_json(ctl, &rows, "List", "ss", verb->noun, text);
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                return ctl_print_json(ctl, rows);
        for (; n < COLUMNS_MAX && columns[noun][n]; n++)
                cells[n] = heading_of(noun, columns[noun][n]);
        if (table_new(&t, cells, n) < 0)
                return ctl_oom(ctl);
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                for (size_t j = 0; j < n; j++)
                        cells[j] = value_text(
                                json_object_array_get_idx(rows, i), field_of(noun, columns[noun][j]), columns[noun][j]);
                if (table_add(t, cells) < 0)
                        return ctl_oom(ctl);
        }
        return table_print(t, stdout) < 0 ? CTL_FAILED : CTL_DONE;
}

static const OptionSpec field_options[] = {
        { "fields", N_("FILE"), N_("take the fields from a JSON object in FILE, - for stdin") },
        {},
};

static const OptionSpec change_options[] = {
        { "version", N_("N"), N_("refuse when the row has another version by now") },
        { "fields", N_("FILE"), N_("take the fields from a JSON object in FILE, - for stdin") },
        {},
};

static const OptionSpec remove_options[] = {
        { "reason", N_("TEXT"), N_("why (recorded)") },
        {},
};

#define ADD(n, id, key, text)                                                                                          \
        { n, "add", key, text, 0, key ? 1 : 0, field_options, add, id }
#define CHANGE(n, id, key, text)                                                                                       \
        { n, "change", key, text, 1, 1, change_options, change, id }
#define REMOVE(n, verb, id, key, text)                                                                                 \
        { n, verb, key, text, 1, 1, remove_options, remove_row, id }
#define SHOW(n, id, key, text)                                                                                         \
        { n, "show", key, text, 1, 1, NULL, show, id }
#define LIST(n, id, text)                                                                                              \
        { n, "list", NULL, text, 0, 0, NULL, list, id }

const Verb row_verbs[] = {
        ADD("user", NOUN_USER, N_("USER"), N_("register a user")),
        CHANGE("user", NOUN_USER, N_("USER"), N_("change a user, e.g. --unit after a transfer, --retired yes")),
        REMOVE("user", "remove", NOUN_USER, N_("USER"), N_("remove a user")),
        SHOW("user", NOUN_USER, N_("USER"), N_("show a user")),
        LIST("user", NOUN_USER, N_("list users")),

        ADD("member", NOUN_MEMBER, NULL, N_("let a person use a shared ID")),
        REMOVE("member", "remove", NOUN_MEMBER, N_("USER/NUMBER"), N_("let a person no longer use a shared ID")),
        SHOW("member", NOUN_MEMBER, N_("USER/NUMBER"), N_("show a member of a shared ID")),
        LIST("member", NOUN_MEMBER, N_("list members of shared IDs")),

        ADD("terminal", NOUN_TERMINAL, N_("NAME"), N_("register a terminal")),
        CHANGE("terminal", NOUN_TERMINAL, N_("NAME"), N_("change a terminal")),
        REMOVE("terminal", "remove", NOUN_TERMINAL, N_("NAME"), N_("remove a terminal")),
        SHOW("terminal", NOUN_TERMINAL, N_("NAME"), N_("show a terminal")),
        LIST("terminal", NOUN_TERMINAL, N_("list terminals")),

        ADD("scope", NOUN_SCOPE, N_("NAME"), N_("set a scope, within which a unit head designates")),
        CHANGE("scope", NOUN_SCOPE, N_("SCOPE"), N_("change a scope")),
        REMOVE("scope", "remove", NOUN_SCOPE, N_("SCOPE"), N_("remove a scope")),
        SHOW("scope", NOUN_SCOPE, N_("SCOPE"), N_("show a scope")),
        LIST("scope", NOUN_SCOPE, N_("list scopes")),

        ADD("designation", NOUN_DESIGNATION, NULL, N_("designate a user, group or unit within a scope")),
        CHANGE("designation", NOUN_DESIGNATION, N_("ID"), N_("change a designation")),
        REMOVE("designation", "remove", NOUN_DESIGNATION, N_("ID"), N_("remove a designation")),
        SHOW("designation", NOUN_DESIGNATION, N_("ID"), N_("show a designation")),
        LIST("designation", NOUN_DESIGNATION, N_("list designations")),

        ADD("restriction", NOUN_RESTRICTION, NULL, N_("restrict an account or a person, at once")),
        CHANGE("restriction", NOUN_RESTRICTION, N_("ID"), N_("change a restriction")),
        REMOVE("restriction", "lift", NOUN_RESTRICTION, N_("ID"), N_("lift a restriction")),
        SHOW("restriction", NOUN_RESTRICTION, N_("ID"), N_("show a restriction")),
        LIST("restriction", NOUN_RESTRICTION, N_("list restrictions in force")),

        ADD("deputy", NOUN_DEPUTY, NULL, N_("name somebody who acts for a unit, from date to date")),
        CHANGE("deputy", NOUN_DEPUTY, N_("ID"), N_("change the dates of a deputy")),
        REMOVE("deputy", "remove", NOUN_DEPUTY, N_("ID"), N_("remove a deputy")),
        SHOW("deputy", NOUN_DEPUTY, N_("ID"), N_("show a deputy")),
        LIST("deputy", NOUN_DEPUTY, N_("list deputies")),
        {},
};
