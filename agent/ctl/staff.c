/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/row.h"
#include "ctl/table.h"
#include "policy/date.h"
#include "registry/registry.h"
#include "util/json.h"

/* keishictl user hire, transfer, retire, unit rename: the life cycle of staff and units, in one step each. */

static const OptionSpec hire_options[] = {
        { "person", N_("NUMBER"), N_("staff number of the person") },
        { "name", N_("TEXT"), N_("the person's name") },
        { "unit", N_("UNIT"), N_("the unit that the person belongs to") },
        { "birth", N_("DATE"), N_("for passwords made of it, e.g. 1975-04-01 or S50.4.1") },
        { "scope", N_("SCOPES"), N_("designate within these scopes, separated by commas") },
        { "until", N_("TIME"), N_("end of these designations") },
        { "review", N_("TIME"), N_("when these designations are to be looked at again") },
        { "member", N_("USERS"), N_("let the person use these shared IDs, separated by commas") },
        { "fields", N_("FILE"), N_("take the document from a JSON object in FILE, - for stdin") },
        {},
};

static const OptionSpec transfer_options[] = {
        { "unit", N_("UNIT"), N_("the new unit") },
        { "reason", N_("TEXT"), N_("why (recorded)") },
        { "scope", N_("SCOPES"), N_("designate within these scopes, separated by commas") },
        { "until", N_("TIME"), N_("end of these designations") },
        { "review", N_("TIME"), N_("when these designations are to be looked at again") },
        { "member", N_("USERS"), N_("let the person use these shared IDs, separated by commas") },
        { "version", N_("N"), N_("refuse when the row has another version by now") },
        {},
};

static const OptionSpec retire_options[] = {
        { "reason", N_("TEXT"), N_("why (recorded)") },
        {},
};

/* One row for each word of a list, as an array in `document`; what the words name goes to `field`. */
static int add_rows(json_object *document, const char *name, const char *field, const char *list, const Args *args) {
        json_object *rows = json_object_new_array();

        if (json_set(document, name, rows) < 0)
                return -ENOMEM;
        for (size_t n; list && *list; list += n + (list[n] == ',')) {
                _cleanup_json_ json_object *row = json_object_new_object();
                _cleanup_free_ char *word = NULL;

                n = strcspn(list, ",");
                word = strndup(list, n);
                if (!row || !word || json_set_string(row, field, word) < 0)
                        return -ENOMEM;
                if (args && (json_set_string(row, "until", args_get(args, "until")) < 0 ||
                                    json_set_string(row, "review", args_get(args, "review")) < 0))
                        return -ENOMEM;
                if (json_object_array_add(rows, row) < 0)
                        return -ENOMEM;
                TAKE_PTR(row);
        }
        return 0;
}

static int make_document(const Args *args, json_object *document) {
        static const char *const fields[] = { "person", "name", "unit", "reason" };
        const char *version = args_get(args, "version");
        const char *birth = args_get(args, "birth");
        char canonical[DATE_TEXT_SIZE];
        int r = 0;

        if (birth)
                r = json_set_string(document, "birth", date_canonical(birth, canonical));
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(fields); i++)
                r = json_set_string(document, fields[i], args_get(args, fields[i]));
        if (r == 0 && version)
                r = json_set_uint(document, "version", strtoull(version, NULL, 10));
        if (r == 0 && args_has(args, "scope"))
                r = add_rows(document, "designations", "scope", args_get(args, "scope"), args);
        if (r == 0 && args_has(args, "member"))
                r = add_rows(document, "members", "account", args_get(args, "member"), NULL);
        return r;
}

static void tell_count(json_object *result, const char *name, const char *text) {
        json_object *value;

        if (json_object_object_get_ex(result, name, &value) && json_object_get_uint64(value) > 0)
                (void)printf("%s: %" PRIu64 "\n", text, json_object_get_uint64(value));
}

/* One line for each name of an array; `format` is one of ours, with one %s. */
static ExitCode tell_each(const Ctl *ctl, json_object *result, const char *field, const char *format) {
        json_object *names;

        if (!json_object_object_get_ex(result, field, &names))
                return CTL_DONE;
        for (size_t i = 0; i < json_object_array_length(names); i++) {
                _cleanup_free_ char *name = text_safe(json_object_get_string(json_object_array_get_idx(names, i)));

                if (!name)
                        return ctl_oom(ctl);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                (void)printf(_(format), name);
#pragma GCC diagnostic pop
        }
        return CTL_DONE;
}

static ExitCode show(const Ctl *ctl, json_object *result) {
        json_object *user;
        ExitCode code;

        if (ctl->json)
                return ctl_print_json(ctl, result);
        if (!json_object_object_get_ex(result, "user", &user))
                return ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        code = row_show(ctl, NOUN_USER, user);
        tell_count(result, "designations_ended", _("designations ended"));
        tell_count(result, "reviews_due", _("designations to be reviewed now"));
        tell_count(result, "members_ended", _("uses of shared IDs ended"));
        tell_count(result, "deputies_ended", _("deputies ended"));
        if (code == CTL_DONE)
                code = tell_each(ctl, result, "shared_passwords_due",
                        N_("the password of the shared ID %s has to be changed\n"));
        if (code == CTL_DONE)
                code = tell_each(ctl, result, "still_designated_by",
                        N_("still designated by %s: take the user out of it where it is kept\n"));
        return code;
}

static ExitCode hire(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *document = NULL, *result = NULL;
        const char *file = args_get(args, "fields"), *text;
        ExitCode code;

        if (file) {
                code = row_fields_from_file(ctl, file, &document);
                if (code != CTL_DONE)
                        return code;
        } else
                document = json_object_new_object();
        if (!document || json_set_string(document, "account", args->positional[0]) < 0 ||
                make_document(args, document) < 0 || !(text = json_text(document)))
                return ctl_oom(ctl);
        code = client_call_json(ctl, &result, "Hire", "s", text);
        return code == CTL_DONE ? show(ctl, result) : code;
}

static ExitCode need_reason(const Ctl *ctl, const Args *args) {
        const char *reason = args_get(args, "reason");

        return reason && *reason ? CTL_DONE : ctl_error(ctl, CTL_USAGE, "%s", _("say why with --reason"));
}

static ExitCode transfer(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *document = json_object_new_object(), *result = NULL;
        const char *text;
        ExitCode code;

        code = need_reason(ctl, args);
        if (code == CTL_DONE && !args_has(args, "unit"))
                code = ctl_error(ctl, CTL_USAGE, "%s", _("say where to with --unit"));
        if (code == CTL_DONE)
                code = row_version_valid(ctl, args);
        if (code != CTL_DONE)
                return code;
        if (!document || make_document(args, document) < 0 || !(text = json_text(document)))
                return ctl_oom(ctl);
        code = client_call_json(ctl, &result, "Transfer", "ss", args->positional[0], text);
        return code == CTL_DONE ? show(ctl, result) : code;
}

static ExitCode retire(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *result = NULL;
        ExitCode code;

        code = need_reason(ctl, args);
        if (code == CTL_DONE)
                code = client_call_json(ctl, &result, "Retire", "ss", args->positional[0], args_get(args, "reason"));
        return code == CTL_DONE ? show(ctl, result) : code;
}

static ExitCode rename_unit(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        ExitCode code;
        uint32_t n;

        code = need_reason(ctl, args);
        if (code == CTL_DONE)
                code = client_call(ctl, &reply, "RenameUnit", "sss", args->positional[0], args->positional[1],
                        args_get(args, "reason"));
        if (code != CTL_DONE)
                return code;
        if (sd_bus_message_read(reply, "u", &n) < 0)
                return ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        if (ctl->json)
                (void)printf("{\"rows\":%" PRIu32 "}\n", n);
        else
                (void)printf(ngettext("%" PRIu32 " row changed\n", "%" PRIu32 " rows changed\n", n), n);
        return CTL_DONE;
}

const Verb staff_verbs[] = {
        { "user", "hire", N_("USER"), N_("register a user with designations and shared IDs, in one step"), 1, 1,
                hire_options, hire, _NOUN_INVALID },
        { "user", "transfer", N_("USER"), N_("move a user to another unit, and end what the old one gave"), 1, 1,
                transfer_options, transfer, _NOUN_INVALID },
        { "user", "retire", N_("USER"), N_("retire a person with all accounts, and end what they have"), 1, 1,
                retire_options, retire, _NOUN_INVALID },
        { "unit", "rename", N_("OLD NEW"), N_("give a unit another name, wherever it is named"), 2, 2, retire_options,
                rename_unit, _NOUN_INVALID },
        {},
};
