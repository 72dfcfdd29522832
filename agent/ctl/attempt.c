/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "ctl/ctl.h"
#include "ctl/moment.h"
#include "ctl/table.h"
#include "registry/registry.h"
#include "util/json.h"

/* keishictl attempt: failed attempts, and their release. */

static const OptionSpec list_options[] = {
        { "account", N_("USER"), N_("of this account") },
        {},
};

static const OptionSpec release_options[] = {
        { "origin", N_("ORIGIN"), N_("of this origin only, as `attempt list` shows it") },
        { "reason", N_("TEXT"), N_("why (recorded)") },
        {},
};

static uint64_t number(json_object *row, const char *name) {
        json_object *value;

        return json_object_object_get_ex(row, name, &value) ? json_object_get_uint64(value) : 0;
}

static ExitCode list(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_(table_free_p) Table *t = NULL;
        _cleanup_json_ json_object *rows = NULL;
        const char *account = args_get(args, "account");
        ExitCode code;

        code = client_call_json(ctl, &rows, "AttemptList", "s", account ? account : "");
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                return ctl_print_json(ctl, rows);
        if (table_new(&t,
                    (const char *const[]){ _("ACCOUNT"), _("ORIGIN"), _("FAILED"), _("FIRST"), _("LAST"), _("STATE") },
                    6) < 0)
                return ctl_oom(ctl);
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);
                char count[24], first[MOMENT_TEXT_MAX], last[MOMENT_TEXT_MAX];
                json_object *locked;

                (void)snprintf(count, sizeof(count), "%" PRIu64, number(row, "count"));
                moment_format(number(row, "first_usec"), first);
                moment_format(number(row, "last_usec"), last);
                if (!json_object_object_get_ex(row, "locked", &locked))
                        locked = NULL;
                if (table_add(t, (const char *const[]){ json_string(row, "account"), json_string(row, "origin"), count,
                                         first, last, json_object_get_boolean(locked) ? _("locked") : _("open") }) < 0)
                        return ctl_oom(ctl);
        }
        return table_print(t, stdout) < 0 ? CTL_FAILED : CTL_DONE;
}

static ExitCode release(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *origin = args_get(args, "origin"), *reason = args_get(args, "reason");
        uint32_t n;
        ExitCode code;

        if (!reason || !*reason)
                return ctl_error(ctl, CTL_USAGE, "%s", _("say why with --reason"));
        code = client_call(ctl, &reply, "AttemptRelease", "sss", args->positional[0], origin ? origin : "", reason);
        if (code != CTL_DONE)
                return code;
        if (sd_bus_message_read(reply, "u", &n) < 0)
                return ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        if (ctl->json)
                (void)printf("{\"released\":%" PRIu32 "}\n", n);
        else
                (void)printf(ngettext("%" PRIu32 " lock released\n", "%" PRIu32 " locks released\n", n), n);
        return CTL_DONE;
}

const Verb attempt_verbs[] = {
        { "attempt", "list", NULL, N_("show failed attempts"), 0, 0, list_options, list, _NOUN_INVALID },
        { "attempt", "release", N_("USER"), N_("forget failed attempts, so that the user can try again"), 1, 1,
                release_options, release, _NOUN_INVALID },
        {},
};
