/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/moment.h"
#include "ctl/pam-stack.h"
#include "ctl/precondition.h"
#include "ctl/table.h"
#include "keishi/paths.h"
#include "registry/registry.h"
#include "util/io.h"
#include "util/json.h"

/* keishictl status: the agent's health, and what keishi cannot defend on this machine, with how to close it. */

static uint64_t number(json_object *o, const char *name) {
        json_object *value;

        return o && json_object_object_get_ex(o, name, &value) ? json_object_get_uint64(value) : 0;
}

static json_object *member(json_object *o, const char *name) {
        json_object *value;

        return json_object_object_get_ex(o, name, &value) ? value : NULL;
}

typedef struct Look {
        const char *type;
        bool found;
} Look;

static bool look_keishi(const PamLine *line, void *userdata) {
        Look *l = userdata;

        return l->found = strcmp(line->type, l->type) == 0 && strcmp(line->module, "pam_keishi.so") == 0;
}

bool status_judges_passwords(const char *root) {
        Look l = { .type = "password" };

        return pam_stack_read(root, "common-password", look_keishi, &l) == 0 && l.found;
}

unsigned status_profile_stages(const char *root) {
        static const char *const stages[][2] = {
                { "common-auth", "auth" },
                { "common-account", "account" },
                { "common-session", "session" },
        };
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(stages); i++) {
                Look l = { .type = stages[i][1] };

                n += pam_stack_read(root, stages[i][0], look_keishi, &l) == 0 && l.found;
        }
        return n;
}

static int row(Table *t, const char *label, const char *format, ...) _printf_(3, 4);
static int row(Table *t, const char *label, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return table_add(t, (const char *const[]){ label, text });
}

static int health_terminal(Table *t, json_object *agent) {
        json_object *terminal = member(agent, "terminal");

        if (!terminal)
                return row(t, _("terminal"), "%s",
                        json_boolean(agent, "setup") ? _("not registered") : _("not set up; run keishictl setup"));
        return row(t, _("terminal"), _("%s (%s), class %" PRIu64 "/%" PRIu64 "/%" PRIu64 "%s"),
                json_string(terminal, "name"), json_string(terminal, "unit"), number(terminal, "confidentiality"),
                number(terminal, "integrity"), number(terminal, "availability"),
                json_boolean(terminal, "external") ? _(", external line") : "");
}

static int health_trail(Table *t, json_object *agent) {
        json_object *trail = member(agent, "trail");
        int r;

        if (!trail)
                return row(t, _("trail"), "%s", _("cannot be read"));
        r = row(t, _("trail"), _("%s, %" PRIu64 " entries, %" PRIu64 " not yet in the journal"),
                json_boolean(trail, "outbox_writable") ? _("writable") : _("NOT WRITABLE"),
                number(trail, "outbox_entries"), number(trail, "unsent_to_journal"));
        return r < 0 ? r
                     : row(t, _("reserve"), _("%" PRIu64 " of %" PRIu64 " used"), number(trail, "reserve_used"),
                               number(trail, "reserve_slots"));
}

static int health_counts(Table *t, json_object *agent) {
        json_object *counts = member(agent, "counts");

        if (!counts)
                return 0;
        return row(t, _("directory"),
                _("%" PRIu64 " users, %" PRIu64 " terminals, %" PRIu64 " scopes, %" PRIu64 " designations, %" PRIu64
                  " restrictions"),
                number(counts, "user"), number(counts, "terminal"), number(counts, "scope"),
                number(counts, "designation"), number(counts, "restriction"));
}

static int health_configuration(Table *t, json_object *agent) {
        json_object *o = member(agent, "configuration"), *files = o ? member(o, "files") : NULL;
        char accepted[MOMENT_TEXT_MAX];
        int r;

        if (!o)
                return 0;
        if (!json_boolean(o, "recorded"))
                return row(t, _("configuration"), "%s",
                        _("not recorded yet; keishictl setup does that, or keishictl terminal accept-drift"));
        moment_format(number(o, "accepted_usec"), accepted);
        if (number(o, "changed") == 0)
                return row(t, _("configuration"), _("unchanged since it was accepted, %s"), accepted);
        r = row(t, _("configuration"),
                json_boolean(o, "closes") ? _("CHANGED since it was accepted, %s: logins are CLOSED; look at it, then "
                                              "keishictl terminal accept-drift")
                                          : _("CHANGED since it was accepted, %s; look at it, then keishictl terminal "
                                              "accept-drift"),
                accepted);
        for (size_t i = 0; r == 0 && files && i < json_object_array_length(files); i++) {
                json_object *file = json_object_array_get_idx(files, i);
                const char *change = json_string(file, "change");

                r = row(t, "", "%s (%s)", json_string(file, "path"),
                        change && strcmp(change, "added") == 0     ? _("added")
                        : change && strcmp(change, "removed") == 0 ? _("removed")
                                                                   : _("changed"));
        }
        return r;
}

static int health_identity(Table *t, json_object *agent) {
        json_object *o = member(agent, "identity");
        const char *state = o ? json_string(o, "state") : NULL, *epoch = o ? json_string(o, "epoch") : NULL;
        char bound[MOMENT_TEXT_MAX];
        int r;

        if (!state || (strcmp(state, "unbound") == 0 && !json_boolean(agent, "setup")))
                return 0;
        if (strcmp(state, "unbound") == 0)
                return row(t, _("identity"), "%s",
                        _("NOT BOUND to this machine: its key could not be made (disk full?); keishid tries again when "
                          "it starts"));
        moment_format(number(o, "bound_usec"), bound);
        if (strcmp(state, "right") == 0)
                r = row(t, _("identity"),
                        json_object_array_length(member(o, "hardware")) > 0
                                ? _("this machine, enrolled %s")
                                : _("this machine, enrolled %s; its hardware says nothing that tells it from others"),
                        bound);
        else if (strcmp(state, "retired") == 0)
                r = row(t, _("identity"), "%s",
                        _("RETIRED: staff are REFUSED; keishictl terminal enrol takes it back"));
        else
                r = row(t, _("identity"),
                        _("NOT THE MACHINE THAT WAS ENROLLED (%s): staff are REFUSED; look into it, then keishictl "
                          "terminal enrol"),
                        state);
        return r == 0 && epoch ? row(t, _("epoch of the trail"), "%s", epoch) : r;
}

static int health_administrators(Table *t, json_object *agent) {
        json_object *o = member(agent, "administrators");
        const char *sudo = o ? json_string(o, "sudo") : NULL, *settings = o ? json_string(o, "settings") : NULL;
        _cleanup_free_ char *safe = settings ? text_safe(settings) : NULL;

        if (!o)
                return 0;
        if (!json_boolean(o, "read"))
                return row(t, _("administrators"), "%s",
                        _("the host's journal is not being read: commands of sudo are NOT RECORDED for now"));
        if (sudo && strcmp(sudo, "does-not-log") == 0)
                return row(t, _("administrators"), _("commands of sudo are NOT, OR NOT ALL, RECORDED; sudoers has: %s"),
                        safe ? safe : "?");
        if (sudo && strcmp(sudo, "unknown") == 0)
                return row(t, _("administrators"), "%s",
                        _("commands of sudo are read; its settings were not looked at yet"));
        return row(t, _("administrators"), "%s", _("commands of sudo and pkexec are recorded"));
}

/* What people are asked for here. */
static int health_factors(Table *t, json_object *agent) {
        json_object *factors = member(agent, "factors");
        const char *title = _("asked for");
        int r = 0;

        if (!factors)
                return 0;
        json_object_object_foreach(factors, family, value) {
                if (r == 0)
                        r = row(t, title, "%s: %s", family, json_object_get_string(value));
                title = "";
        }
        if (r == 0 && member(agent, "card_authority") && !json_boolean(agent, "card_authority"))
                r = row(t, "", "%s", _("NO CARD IS TAKEN: the files of [Card] Authority= cannot be used"));
        if (r == 0 && member(agent, "attestation_roots") && !json_boolean(agent, "attestation_roots"))
                r = row(t, "", "%s",
                        _("no key can be registered: the file of [Biometric] AttestationRoots= cannot be used"));
        return r;
}

static int health_passwords(Table *t, json_object *agent) {
        json_object *o = member(agent, "passwords");
        const char *secret = o ? json_string(o, "secret") : NULL;
        int r;

        if (!o)
                return 0;
        r = number(o, "max_days") > 0
                    ? row(t, _("passwords"),
                              _("%" PRIu64 " known, %" PRIu64 " older than %" PRIu64 " days, %" PRIu64
                                " of shared IDs that somebody left"),
                              number(o, "known"), number(o, "overdue"), number(o, "max_days"), number(o, "shared_due"))
                    : row(t, _("passwords"),
                              _("%" PRIu64 " known, of any age, %" PRIu64 " of shared IDs that somebody left"),
                              number(o, "known"), number(o, "shared_due"));
        if (r == 0 && secret && (strcmp(secret, "lost") == 0 || strcmp(secret, "unreadable") == 0))
                r = row(t, "", "%s",
                        _("CANNOT BE CHANGED: the secret by which they are compared is lost or damaged; see "
                          "keishid(8)"));
        return r;
}

static int show_health(const Ctl *ctl, json_object *agent) {
        _cleanup_(table_free_p) Table *t = NULL;
        json_object *clock;
        const char *registry, *mode;
        int r;

        r = table_new(&t, (const char *const[]){ _("agent"), agent ? _("running") : _("NOT RUNNING") }, 2);
        if (r == 0 && agent) {
                char started[MOMENT_TEXT_MAX];

                moment_format(number(agent, "started_usec"), started);
                r = row(t, _("version"), _("%s, since %s"), json_string(agent, "version"), started);
                if (r == 0)
                        r = health_terminal(t, agent);
                if (r == 0)
                        r = health_identity(t, agent);
                mode = json_string(agent, "mode");
                if (r == 0)
                        r = mode && strcmp(mode, "observe") == 0
                                    ? row(t, _("mode"),
                                              _("ON TRIAL until %s: REFUSES ONLY THE RESTRICTED AND THE RETIRED"),
                                              json_string(agent, "observe_until"))
                                    : row(t, _("mode"), "%s", _("enforcing"));
                registry = json_string(agent, "registry");
                if (r == 0)
                        r = row(t, _("registry"), "%s",
                                registry && strcmp(registry, "ok") == 0 ? _("usable") : _("NOT USABLE"));
                if (r == 0)
                        r = health_counts(t, agent);
                if (r == 0)
                        r = health_trail(t, agent);
                clock = member(agent, "clock");
                if (r == 0)
                        r = row(t, _("clock"), "%s",
                                json_boolean(clock, "trusted")
                                        ? _("trusted")
                                        : _("NOT TRUSTED; look at it, then keishictl terminal confirm-clock"));
                if (r == 0)
                        r = health_factors(t, agent);
                if (r == 0)
                        r = health_passwords(t, agent);
                if (r == 0)
                        r = health_configuration(t, agent);
                if (r == 0)
                        r = health_administrators(t, agent);
        }
        if (r == 0)
                r = row(t, _("PAM profile"), "%s",
                        status_profile_stages(ctl->root) == PROFILE_STAGES
                                ? _("active")
                                : _("not active; keishictl setup activates it"));
        return r < 0 ? r : table_print(t, stdout);
}

static int add_preconditions(const Ctl *ctl, json_object *array) {
        for (const Precondition *p = preconditions; p->id; p++) {
                _cleanup_free_ char *detail = NULL;
                PreconditionState state = p->check(ctl->root, &detail);
                json_object *o = json_object_new_object();

                if (!o || json_object_array_add(array, o) < 0) {
                        json_object_put(o);
                        return -ENOMEM;
                }
                if (json_set_string(o, "id", p->id) < 0 || json_set_string(o, "title", _(p->title)) < 0 ||
                        json_set_string(o, "state", precondition_state_to_string(state)) < 0 ||
                        json_set_string(o, "detail", detail) < 0 ||
                        (state != PRECONDITION_HELD && json_set_string(o, "closing", _(p->closing)) < 0))
                        return -ENOMEM;
        }
        return 0;
}

static void show_preconditions(json_object *array) {
        (void)printf("\n%s\n", _("What keishi cannot defend against here:"));
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                json_object *o = json_object_array_get_idx(array, i);
                const char *state = json_string(o, "state"), *detail = json_string(o, "detail");
                _cleanup_free_ char *safe = detail ? text_safe(detail) : NULL;

                (void)printf("  [%s] %s\n",
                        strcmp(state, "held") == 0      ? _("ok")
                        : strcmp(state, "missing") == 0 ? _("OPEN")
                                                        : _("unknown"),
                        json_string(o, "title"));
                if (strcmp(state, "held") == 0)
                        continue;
                if (safe)
                        (void)printf("         %s\n", safe);
                (void)printf("         %s %s\n", _("to close it:"), json_string(o, "closing"));
        }
        (void)printf("\n%s\n",
                _("Whoever is root on this terminal today is not kept out either; what was recorded before is."));
}

static ExitCode status(Ctl *ctl, const Verb *verb, const Args *args) {
        _cleanup_json_ json_object *agent = NULL, *all = json_object_new_object(), *array = json_object_new_array();
        json_object *kept = array;
        ExitCode code;

        if (!all || !array || add_preconditions(ctl, array) < 0)
                return ctl_oom(ctl);
        code = client_call_json(ctl, &agent, "Status", NULL); /* a missing agent is told, and the rest is still shown */
        if (ctl->json) {
                if (json_object_object_add(all, "agent", json_object_get(agent)) < 0 ||
                        json_set_boolean(all, "profile_active", status_profile_stages(ctl->root) == PROFILE_STAGES) <
                                0 ||
                        json_set(all, "preconditions", json_object_get(kept)) < 0)
                        return ctl_oom(ctl);
                return ctl_print_json(ctl, all) == CTL_DONE ? code : CTL_FAILED;
        }
        if (show_health(ctl, agent) < 0)
                return ctl_error(ctl, CTL_FAILED, "%s", strerror(ENOMEM));
        show_preconditions(array);
        return code;
}

const Verb status_verbs[] = {
        { "status", NULL, NULL, N_("health of the agent, and what keishi cannot defend here"), 0, 0, NULL, status,
                _NOUN_INVALID },
        {},
};
