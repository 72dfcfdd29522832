/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "ctl/ctl.h"
#include "ctl/moment.h"
#include "ctl/table.h"
#include "registry/registry.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/text.h"

/* keishictl trail: what happened, as far as this terminal still keeps it. */

#define PAGE       500u
#define FOLLOW_SEC 2

/* Options that are fields of an entry. */
static const char *const field_options[] = {
        "account",
        "event",
        "person",
        "target",
        "service",
        "terminal",
        "unit",
        "epoch",
        "user-unit",
        "result",
        "reason",
        "rule",
        "session",
        "noun",
        "object",
};

static const OptionSpec list_options[] = {
        { "account", N_("USER"), N_("of this account") },
        { "event", N_("KIND"), N_("of this kind: login-granted, login-refused, directory-changed, …") },
        { "person", N_("NUMBER"), N_("of the person with this staff number") },
        { "target", N_("USER"), N_("about this account") },
        { "service", N_("SERVICE"), N_("by this PAM service") },
        { "terminal", N_("NAME"), N_("on this terminal") },
        { "unit", N_("UNIT"), N_("on terminals of this unit") },
        { "epoch", N_("EPOCH"), N_("of this epoch of the trail") },
        { "user-unit", N_("UNIT"), N_("of people of this unit") },
        { "result", N_("RESULT"), N_("with this result: granted, refused, done, …") },
        { "reason", N_("REASON"), N_("for this reason") },
        { "rule", N_("RULE"), N_("by this rule") },
        { "session", N_("ID"), N_("of this session") },
        { "noun", N_("NOUN"), N_("about rows of this kind") },
        { "object", N_("UUID"), N_("about this row") },
        { "since", N_("TIME"), N_("from this time on") },
        { "until", N_("TIME"), N_("up to this time") },
        { "limit", N_("N"), N_("at most N entries") },
        { "follow", NULL, N_("go on showing new entries") },
        {},
};

static ExitCode make_filter(const Ctl *ctl, const Args *args, json_object **ret) {
        _cleanup_json_ json_object *filter = json_object_new_object();
        static const char *const times[] = { "since", "until" };

        if (!filter)
                return ctl_oom(ctl);
        for (size_t i = 0; i < ELEMENTSOF(field_options); i++) {
                const char *name = field_options[i];

                if (json_set_string(filter, strcmp(name, "user-unit") == 0 ? "user_unit" : name, args_get(args, name)) <
                        0)
                        return ctl_oom(ctl);
        }
        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                const char *text = args_get(args, times[i]);
                uint64_t usec;

                if (!text)
                        continue;
                if (moment_parse(text, i == 1, &usec) < 0)
                        return ctl_error(ctl, CTL_USAGE, _("\"%s\" is not a time, as in \"2026-03-31 17:15\""), text);
                if (json_set_uint(filter, times[i], usec) < 0)
                        return ctl_oom(ctl);
        }
        *ret = TAKE_PTR(filter);
        return CTL_DONE;
}

static ExitCode print_entry(const Ctl *ctl, json_object *entry) {
        static const char *const shown[] = { "account", "target", "name", "terminal", "service", "tty", "noun",
                "reason", "rule", "command", "requested_by", "detail" };
        _cleanup_free_ char *line = NULL, *safe = NULL;
        char when[MOMENT_TEXT_MAX];
        json_object *value;
        size_t size;
        FILE *f;

        if (ctl->json)
                return ctl_print_json(ctl, entry);
        moment_format(
                json_object_object_get_ex(entry, "time", &value) ? (uint64_t)json_object_get_int64(value) : 0, when);
        f = open_memstream(&line, &size);
        if (!f)
                return ctl_oom(ctl);
        (void)fprintf(f, "%s  %s", when, json_string(entry, "event") ? json_string(entry, "event") : "?");
        for (size_t i = 0; i < ELEMENTSOF(shown); i++) {
                const char *text = json_string(entry, shown[i]);

                if (text)
                        (void)fprintf(f, strpbrk(text, " ") ? "  %s=\"%s\"" : "  %s=%s", shown[i], text);
        }
        if (fclose(f) != 0 || !(safe = text_safe(line)))
                return ctl_oom(ctl);
        return puts(safe) < 0 ? CTL_FAILED : CTL_DONE;
}

static ExitCode list(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *filter = NULL;
        const char *limit_text = args_get(args, "limit"), *filter_text;
        bool follow = args_has(args, "follow");
        uint64_t after = 0, limit = UINT64_MAX;
        ExitCode code;

        if (limit_text && parse_uint64(limit_text, 1, UINT32_MAX, &limit) < 0)
                return ctl_error(ctl, CTL_USAGE, _("\"%s\" is not a number of entries"), limit_text);
        code = make_filter(ctl, args, &filter);
        if (code != CTL_DONE)
                return code;
        filter_text = json_text(filter);
        if (!filter_text)
                return ctl_oom(ctl);

        while (limit > 0) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                _cleanup_json_ json_object *entries = NULL;
                uint64_t last;
                const char *text;
                size_t n;

                code = client_call(
                        ctl, &reply, "TrailList", "tus", after, (uint32_t)(limit < PAGE ? limit : PAGE), filter_text);
                if (code != CTL_DONE)
                        return code;
                if (sd_bus_message_read(reply, "st", &text, &last) < 0 || !(entries = json_tokener_parse(text)) ||
                        !json_object_is_type(entries, json_type_array))
                        return ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
                n = json_object_array_length(entries);
                for (size_t i = 0; i < n; i++) {
                        code = print_entry(ctl, json_object_array_get_idx(entries, i));
                        if (code != CTL_DONE)
                                return code;
                }
                limit -= n < limit ? n : limit;
                if (last == after) { /* the end, for now */
                        if (!follow)
                                return CTL_DONE;
                        if (fflush(stdout) != 0)
                                return CTL_FAILED;
                        (void)nanosleep(&(struct timespec){ .tv_sec = FOLLOW_SEC }, NULL);
                }
                after = last;
        }
        return CTL_DONE;
}

const Verb trail_verbs[] = {
        { "trail", "list", NULL, N_("show what happened; this reading is recorded too"), 0, 0, list_options, list,
                _NOUN_INVALID },
        {},
};
