/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/moment.h"
#include "ctl/row.h"
#include "ctl/table.h"
#include "registry/registry.h"
#include "util/json.h"

/* keishictl access: the review of access rights (R3). */

static const OptionSpec review_options[] = {
        { "unit", N_("UNIT"), N_("within scopes of this unit") },
        { "scope", N_("SCOPE"), N_("within this scope") },
        { "due", NULL, N_("to be reviewed within 30 days, or overdue") },
        { "overdue", NULL, N_("review date passed") },
        { "unused", N_("TIME"), N_("not used at this terminal since then; \"never\": not once") },
        { "outside", NULL, N_("no longer inside the scope, and so without effect as far as they reach beyond it") },
        {},
};

static const OptionSpec reviewed_options[] = {
        { "next", N_("TIME"), N_("when to look at them again (a year from now)") },
        {},
};

static const char *state_text(const char *state) {
        static const struct {
                const char *state, *text;
        } texts[] = {
                { "due", N_("due") },
                { "overdue", N_("overdue") },
                { "never-used", N_("never used") },
                { "outside", N_("outside") },
                { "ended", N_("ended") },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (strcmp(texts[i].state, state) == 0)
                        return _(texts[i].text);
        return state;
}

/* "overdue, never used" */
static void states_text(json_object *row, char *ret, size_t size) {
        json_object *states;
        size_t used = 0;

        *ret = '\0';
        if (!json_object_object_get_ex(row, "state", &states))
                return;
        for (size_t i = 0; i < json_object_array_length(states) && used < size; i++) {
                const char *state = json_object_get_string(json_object_array_get_idx(states, i));
                int n = snprintf(ret + used, size - used, "%s%s", i > 0 ? ", " : "", state_text(state ? state : ""));

                used += n < 0 ? size : (size_t)n;
        }
}

/* The day of a time as it comes from the agent. */
static const char *day_text(json_object *row, const char *name, char ret[static 11]) {
        const char *text = json_string(row, name);

        (void)snprintf(ret, 11, "%.10s", text ? text : "");
        return ret;
}

static int compare(const void *a, const void *b) {
        json_object *const *x = a, *const *y = b;
        const char *p = json_string(*x, "review"), *q = json_string(*y, "review");

        return strcmp(p ? p : "", q ? q : "");
}

static ExitCode print_rows(const Ctl *ctl, json_object *rows) {
        _cleanup_(table_free_p) Table *t = NULL;

        if (table_new(&t,
                    (const char *const[]){ _("ID"), _("SCOPE"), _("SUBJECT"), _("NAME"), _("REVIEW"), _("REVIEWED"),
                            _("LAST USED"), _("STATE") },
                    8) < 0)
                return ctl_oom(ctl);
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);
                char review[11], reviewed[11], used[11], states[256];

                states_text(row, states, sizeof(states));
                if (table_add(t, (const char *const[]){ json_string(row, "uuid"), json_string(row, "scope"),
                                         json_string(row, "subject"), json_string(row, "name"),
                                         day_text(row, "review", review), day_text(row, "reviewed", reviewed),
                                         day_text(row, "last_used", used), states }) < 0)
                        return ctl_oom(ctl);
        }
        if (table_print(t, stdout) < 0)
                return CTL_FAILED;
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);
                const char *why = json_string(row, "outside");
                _cleanup_free_ char *safe = why ? text_safe(why) : NULL;

                if (safe)
                        (void)printf("%s: %s\n", json_string(row, "uuid"), safe);
        }
        return CTL_DONE;
}

/* Takes the rows of a page over; the first page is kept in *ret_first. */
static ExitCode take_page(const Ctl *ctl, const char *text, json_object *rows, json_object **ret_first) {
        _cleanup_json_ json_object *page = json_tokener_parse(text);
        json_object *array;

        if (!page || !json_object_object_get_ex(page, "rows", &array))
                return ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        for (size_t i = 0; i < json_object_array_length(array); i++)
                if (json_object_array_add(rows, json_object_get(json_object_array_get_idx(array, i))) < 0)
                        return ctl_oom(ctl);
        if (!*ret_first) {
                json_object_object_del(page, "rows");
                *ret_first = TAKE_PTR(page);
        }
        return CTL_DONE;
}

/* All pages. While one is read here, the agent makes the next. */
static ExitCode read_pages(Ctl *ctl, const char *filter, json_object *rows, json_object **ret_first) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        uint64_t after = 0, last;
        ExitCode code;

        code = client_call(ctl, &reply, "AccessReview", "ts", after, filter);
        while (code == CTL_DONE) {
                _cleanup_(client_call_done) ClientCall next = {};
                const char *text;

                if (sd_bus_message_read(reply, "st", &text, &last) < 0)
                        return ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
                if (last == after)
                        return take_page(ctl, text, rows, ret_first);
                code = client_send(ctl, &next, "AccessReview", "ts", last, filter);
                if (code == CTL_DONE)
                        code = take_page(ctl, text, rows, ret_first);
                reply = sd_bus_message_unref(reply);
                if (code == CTL_DONE)
                        code = client_wait(ctl, &next, &reply);
                after = last;
        }
        return code;
}

static ExitCode make_filter(const Ctl *ctl, const Args *args, json_object *filter) {
        static const char *const kinds[] = { "due", "overdue", "unused", "outside" };
        const char *only = NULL, *since;
        uint64_t usec = 1;

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                if (!args_has(args, kinds[i]))
                        continue;
                if (only)
                        return ctl_error(ctl, CTL_USAGE, _("--%s and --%s do not go together"), only, kinds[i]);
                only = kinds[i];
        }
        since = args_get(args, "unused");
        if (since && strcmp(since, "never") != 0 && moment_parse(since, false, &usec) < 0)
                return ctl_error(ctl, CTL_USAGE, _("--%s is a time such as 2026-03-31"), "unused");
        if (json_set_string(filter, "unit", args_get(args, "unit")) < 0 ||
                json_set_string(filter, "scope", args_get(args, "scope")) < 0 ||
                json_set_string(filter, "only", only) < 0 || (since && json_set_uint(filter, "unused_since", usec) < 0))
                return ctl_oom(ctl);
        return CTL_DONE;
}

static ExitCode tell_rest(const Ctl *ctl, json_object *first) {
        json_object *due;

        if (!json_boolean(first, "clock_trusted"))
                (void)puts(_("The clock of this terminal cannot be trusted: what is due or overdue may be wrong."));
        if (!json_object_object_get_ex(first, "shared_passwords_due", &due))
                return CTL_DONE;
        for (size_t i = 0; i < json_object_array_length(due); i++) {
                json_object *row = json_object_array_get_idx(due, i);
                _cleanup_free_ char *account = text_safe(json_string(row, "account"));
                char since[11];

                if (!account)
                        return ctl_oom(ctl);
                (void)printf(_("the password of the shared ID %s has to be changed: somebody left on %s\n"), account,
                        day_text(row, "since", since));
        }
        return CTL_DONE;
}

static ExitCode review(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *filter = json_object_new_object(), *rows = json_object_new_array(), *first = NULL;
        const char *text;
        ExitCode code;

        if (!filter || !rows)
                return ctl_oom(ctl);
        code = make_filter(ctl, args, filter);
        if (code != CTL_DONE)
                return code;
        text = json_text(filter);
        if (!text)
                return ctl_oom(ctl);
        code = read_pages(ctl, text, rows, &first);
        if (code != CTL_DONE)
                return code;
        if (!ctl->json) {
                json_object_array_sort(rows, compare);
                code = print_rows(ctl, rows);
                return code == CTL_DONE ? tell_rest(ctl, first) : code;
        }
        if (json_set(first, "rows", TAKE_PTR(rows)) < 0)
                return ctl_oom(ctl);
        return ctl_print_json(ctl, first);
}

ExitCode access_show_outside(Ctl *ctl, const char *scope) {
        _cleanup_json_ json_object *filter = json_object_new_object(), *rows = json_object_new_array(), *first = NULL;
        const char *text;
        ExitCode code;

        if (!filter || !rows || json_set_string(filter, "scope", scope) < 0 ||
                json_set_string(filter, "only", "outside") < 0 || !(text = json_text(filter)))
                return ctl_oom(ctl);
        code = read_pages(ctl, text, rows, &first);
        if (code != CTL_DONE || json_object_array_length(rows) == 0)
                return code;
        (void)printf("\n%s\n", _("These designations no longer lie inside the scope:"));
        return print_rows(ctl, rows);
}

static ExitCode reviewed(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *document = json_object_new_object();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_object *ids = json_object_new_array();
        const char *text;
        ExitCode code;
        uint32_t n;

        if (!document || json_set(document, "ids", ids) < 0 ||
                json_set_string(document, "next", args_get(args, "next")) < 0)
                return ctl_oom(ctl);
        for (size_t i = 0; i < args->n_positional; i++) {
                json_object *id = json_object_new_string(args->positional[i]);

                if (!id || json_object_array_add(ids, id) < 0) {
                        json_object_put(id);
                        return ctl_oom(ctl);
                }
        }
        text = json_text(document);
        if (!text)
                return ctl_oom(ctl);
        code = client_call(ctl, &reply, "AccessReviewed", "s", text);
        if (code != CTL_DONE)
                return code;
        if (sd_bus_message_read(reply, "u", &n) < 0)
                return ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        if (ctl->json)
                (void)printf("{\"reviewed\":%" PRIu32 "}\n", n);
        else
                (void)printf(
                        ngettext("%" PRIu32 " designation reviewed\n", "%" PRIu32 " designations reviewed\n", n), n);
        return CTL_DONE;
}

const Verb access_verbs[] = {
        { "access", "review", NULL, N_("list designations with their review dates and last use"), 0, 0, review_options,
                review, _NOUN_INVALID },
        { "access", "reviewed", N_("ID..."), N_("say that designations were looked at and stay"), 1, ARGS_MAX,
                reviewed_options, reviewed, _NOUN_INVALID },
        {},
};
