/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ctl/check.h"
#include "ctl/moment.h"
#include "ctl/table.h"
#include "registry/registry.h"
#include "util/json.h"

/* keishictl check: the verdict that the agent would give, and the rule behind it (law 10). */

static const OptionSpec options[] = {
        { "service", N_("SERVICE"), N_("by this PAM service (login)") },
        { "target", N_("USER"), N_("acting as this account, for su, sudo and polkit") },
        { "terminal", N_("NAME"), N_("on this terminal (the one here)") },
        { "at", N_("TIME"), N_("at this time (now)") },
        { "remote", NULL, N_("from another machine") },
        { "all", N_("FILE"), N_("answer for a list, CSV: user,terminal[,service]") },
        {},
};

/* What the identifiers of verdict.h mean, for people. */
static const struct {
        const char *reason, *text;
} reasons[] = {
        { "granted", N_("a designation allows it") },
        { "default", N_("no designation allows it") },
        { "service-unknown", N_("keishi does not know this service") },
        { "terminal-unknown", N_("the terminal is not registered") },
        { "unregistered", N_("the user is not registered") },
        { "retired", N_("the user has retired or left") },
        { "restricted", N_("the user is restricted") },
        { "remote-closed", N_("no designation opens remote logins") },
        { "not-authenticated", N_("the stage before it is missing") },
        { "clock", N_("the clock is not trusted, and only time-bound designations would allow it") },
        { "hours", N_("designated, but not on this day or at this hour") },
        { "expired", N_("designated, but no longer or not yet") },
        { "target", N_("this account may not be acted as") },
        { "class", N_("the class or the external line of the terminal forbids this business") },
        { "second-login", N_("the person has a session open on this terminal already") },
        { "drift", N_("the configuration of the terminal changed, and nobody has accepted it yet") },
        { "credential", N_("the card or key that was used is stopped") },
        { "factors", N_("the factors that were verified are not those that the terminal asks for by now") },
};

const char *check_reason_text(const char *reason) {
        for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
                if (reason && strcmp(reason, reasons[i].reason) == 0)
                        return _(reasons[i].text);
        return reason ? reason : "";
}

const char *check_verdict_text(json_object *verdict) {
        if (json_boolean(verdict, "granted"))
                return _("GRANTED");
        return json_boolean(verdict, "observed") ? _("REFUSED once the trial is over") : _("REFUSED");
}

static ExitCode line(const Ctl *ctl, Table *t, const char *label, const char *text) {
        if (!text || !*text)
                return CTL_DONE;
        return table_add(t, (const char *const[]){ label, text }) < 0 ? ctl_oom(ctl) : CTL_DONE;
}

/* When the password was changed, as far as it is known, and when that is due again. */
static ExitCode show_password(const Ctl *ctl, Table *t, json_object *verdict) {
        char changed[MOMENT_TEXT_MAX], due[MOMENT_TEXT_MAX];
        _cleanup_free_ char *text = NULL;
        json_object *o, *value;
        const char *state, *reason, *source;
        bool has_due;
        int n;

        if (!json_object_object_get_ex(verdict, "password", &o))
                return CTL_DONE;
        state = json_string(o, "state");
        reason = json_string(o, "reason");
        source = json_string(o, "source");
        if (!state)
                return CTL_DONE;
        if (reason && strcmp(reason, "member-left") == 0)
                return line(ctl, t, _("password"), _("has to be changed: a member left the shared ID"));
        if (!json_object_object_get_ex(o, "changed_usec", &value))
                return line(ctl, t, _("password"), _("not seen here yet"));
        moment_format(json_object_get_uint64(value), changed);
        has_due = json_object_object_get_ex(o, "due_usec", &value);
        if (has_due)
                moment_format(json_object_get_uint64(value), due);
        if (source && strcmp(source, "seen") == 0)
                n = has_due ? asprintf(&text, _("seen since %s, to be changed by %s"), changed, due)
                            : asprintf(&text, _("seen since %s"), changed);
        else
                n = has_due ? asprintf(&text, _("changed %s, to be changed by %s"), changed, due)
                            : asprintf(&text, _("changed %s"), changed);
        if (n < 0) {
                text = NULL;
                return ctl_oom(ctl);
        }
        return line(ctl, t, _("password"), text);
}

static ExitCode show(const Ctl *ctl, json_object *verdict) {
        _cleanup_(table_free_p) Table *t = NULL;
        _cleanup_free_ char *who = NULL;
        const char *name = json_string(verdict, "name"), *account = json_string(verdict, "account");
        ExitCode code;

        if (asprintf(&who, name ? "%s (%s)" : "%s", account ? account : "", name) < 0) {
                who = NULL;
                return ctl_oom(ctl);
        }
        if (table_new(&t,
                    (const char *const[]){
                            check_verdict_text(verdict), check_reason_text(json_string(verdict, "reason")) },
                    2) < 0)
                return ctl_oom(ctl);
        code = line(ctl, t, _("user"), who);
        if (code == CTL_DONE)
                code = line(ctl, t, _("unit"), json_string(verdict, "unit"));
        if (code == CTL_DONE)
                code = line(ctl, t, _("service"), json_string(verdict, "service"));
        if (code == CTL_DONE)
                code = line(ctl, t, _("terminal"), json_string(verdict, "terminal"));
        if (code == CTL_DONE)
                code = line(ctl, t, _("business"), json_string(verdict, "business"));
        if (code == CTL_DONE)
                code = line(ctl, t, _("rule"), json_string(verdict, "rule"));
        if (code == CTL_DONE)
                code = line(ctl, t, _("factors"), json_string(verdict, "factors"));
        if (code == CTL_DONE)
                code = show_password(ctl, t, verdict);
        if (code != CTL_DONE)
                return code;
        return table_print(t, stdout) < 0 ? CTL_FAILED : CTL_DONE;
}

static ExitCode check_one(Ctl *ctl, const Args *args, const uint64_t *at) {
        _cleanup_json_ json_object *request = json_object_new_object(), *verdict = NULL;
        const char *text;
        ExitCode code;

        if (!request || json_set_string(request, "user", args->positional[0]) < 0 ||
                json_set_string(request, "service", args_get(args, "service")) < 0 ||
                json_set_string(request, "target", args_get(args, "target")) < 0 ||
                json_set_string(request, "terminal", args_get(args, "terminal")) < 0 ||
                (args_has(args, "remote") && json_set_boolean(request, "remote", true) < 0) ||
                (at && json_set_uint(request, "at", *at) < 0))
                return ctl_oom(ctl);
        text = json_text(request);
        if (!text)
                return ctl_oom(ctl);
        code = client_call_json(ctl, &verdict, "Check", "s", text);
        if (code != CTL_DONE)
                return code;
        code = ctl->json ? ctl_print_json(ctl, verdict) : show(ctl, verdict);
        if (code != CTL_DONE)
                return code;
        return json_boolean(verdict, "granted") ? CTL_DONE : CTL_REFUSED;
}

static ExitCode check(Ctl *ctl, const Verb *verb, const Args *args) {
        const char *at = args_get(args, "at"), *all = args_get(args, "all");
        uint64_t usec;

        if (at && moment_parse(at, false, &usec) < 0)
                return ctl_error(ctl, CTL_USAGE, _("\"%s\" is not a time, as in \"2026-03-31 17:15\""), at);
        if (!all && args->n_positional == 0)
                return ctl_error(ctl, CTL_USAGE, "%s", _("name a user, or a list with --all FILE"));
        if (!all)
                return check_one(ctl, args, at ? &usec : NULL);
        if (args->n_positional > 0 || args_has(args, "service") || args_has(args, "target") ||
                args_has(args, "terminal") || args_has(args, "remote"))
                return ctl_error(ctl, CTL_USAGE, "%s", _("with --all the list says whom, where and by what"));
        return check_all(ctl, all, at ? &usec : NULL);
}

const Verb check_verbs[] = {
        { "check", NULL, N_("USER"), N_("say whether a user would be let in, and by which rule"), 0, 1, options, check,
                _NOUN_INVALID },
        {},
};
