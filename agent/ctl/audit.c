/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/audit.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>

#include "registry/registry.h"
#include "util/json.h"

/* keishictl audit: whether the rules are in force on this terminal (R35). */

static const OptionSpec options[] = {
        { "format", "text|json|html", N_("how it is written (text)") },
        { "output", N_("FILE"), N_("write into a file, readable by its owner only") },
        {},
};

const char *audit_state_to_string(AuditState s) {
        static const char *const names[] = { "yes", "partly", "no", "absent" };

        return s < _AUDIT_STATE_MAX ? names[s] : NULL;
}

void audit_facts_done(AuditFacts *f) {
        json_object_put(f->status);
        json_object_put(f->agent);
        for (size_t i = 0; i < f->n_preconditions; i++)
                free(f->details[i]);
        *f = (AuditFacts){};
}

static void look_at_preconditions(const Ctl *ctl, AuditFacts *f) {
        for (const Precondition *p = preconditions; p->id && f->n_preconditions < AUDIT_PRECONDITIONS_MAX; p++) {
                size_t i = f->n_preconditions++;

                f->preconditions[i] = p->check(ctl->root, &f->details[i]);
        }
}

/* Members that the group names; whose first group it is cannot be listed with every directory service. */
static void look_at_viewers(AuditFacts *f) {
        json_object *policy, *roles;
        const char *name = NULL;
        struct group *g;

        if (json_object_object_get_ex(f->agent, "policy", &policy) &&
                json_object_object_get_ex(policy, "roles", &roles))
                name = json_string(roles, "trail-viewer");
        g = name ? getgrnam(name) : NULL;
        f->trail_viewers_known = g != NULL;
        for (char **m = g ? g->gr_mem : NULL; m && *m; m++)
                f->n_trail_viewers++;
}

static int add_row(const AuditRow *row, const AuditFacts *facts, json_object *rows) {
        _cleanup_(audit_finding_done) AuditFinding f = {};
        json_object *o = json_object_new_object();
        int r;

        if (!o || json_object_array_add(rows, o) < 0) {
                json_object_put(o);
                return -ENOMEM;
        }
        r = audit_look(row, facts, &f);
        if (r < 0)
                return r;
        if (json_set_string(o, "row", row->id) < 0 || json_set_string(o, "title", _(row->title)) < 0 ||
                json_set_string(o, "state", audit_state_to_string(f.state)) < 0 ||
                (f.since_usec > 0 && json_set_uint(o, "since_usec", f.since_usec) < 0) ||
                json_set(o, "evidence", json_object_get(f.evidence)) < 0 ||
                json_set(o, "lacking", json_object_get(f.lacking)) < 0)
                return -ENOMEM;
        return 0;
}

static int add_precondition(const AuditFacts *facts, size_t i, json_object *array) {
        PreconditionState state = facts->preconditions[i];
        json_object *o = json_object_new_object();

        if (!o || json_object_array_add(array, o) < 0) {
                json_object_put(o);
                return -ENOMEM;
        }
        if (json_set_string(o, "id", preconditions[i].id) < 0 ||
                json_set_string(o, "title", _(preconditions[i].title)) < 0 ||
                json_set_string(o, "state", precondition_state_to_string(state)) < 0 ||
                json_set_string(o, "detail", facts->details[i]) < 0 ||
                (state != PRECONDITION_HELD && json_set_string(o, "closing", _(preconditions[i].closing)) < 0))
                return -ENOMEM;
        return 0;
}

int audit_report(const Ctl *ctl, const AuditFacts *facts, json_object **ret) {
        _cleanup_json_ json_object *report = json_object_new_object();
        _cleanup_json_ json_object *rows = json_object_new_array(), *array = json_object_new_array();
        json_object *now;
        int r = 0;

        if (!report || !rows || !array)
                return -ENOMEM;
        for (const AuditRow *row = audit_rows; r == 0 && row->id; row++)
                r = add_row(row, facts, rows);
        for (size_t i = 0; r == 0 && i < facts->n_preconditions; i++)
                r = add_precondition(facts, i, array);
        if (r < 0)
                return r;
        if (!json_object_object_get_ex(facts->agent, "now_usec", &now) ||
                json_set(report, "time_usec", json_object_get(now)) < 0 ||
                json_set_string(report, "version", json_string(facts->status, "version")) < 0 ||
                json_set(report, "rows", TAKE_PTR(rows)) < 0 ||
                json_set(report, "preconditions", TAKE_PTR(array)) < 0 ||
                json_set(report, "status", json_object_get(facts->status)) < 0 ||
                json_set(report, "facts", json_object_get(facts->agent)) < 0 ||
                json_set_boolean(report, "all_in_force", audit_all_in_force(report)) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(report);
        return 0;
}

static bool all_have(json_object *report, const char *name, const char *const *states) {
        json_object *array;

        if (!json_object_object_get_ex(report, name, &array))
                return false;
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                const char *state = json_string(json_object_array_get_idx(array, i), "state");
                bool found = false;

                for (const char *const *s = states; *s; s++)
                        found = found || (state && strcmp(state, *s) == 0);
                if (!found)
                        return false;
        }
        return true;
}

bool audit_all_in_force(json_object *report) {
        return all_have(report, "rows", (const char *const[]){ "yes", "absent", NULL }) &&
               all_have(report, "preconditions", (const char *const[]){ "held", NULL });
}

static int write_report(json_object *report, const char *format, FILE *f) {
        const char *text;

        if (strcmp(format, "html") == 0)
                return audit_print_html(report, f);
        if (strcmp(format, "text") == 0)
                return audit_print_text(report, f);
        text = json_text(report);
        return text && fprintf(f, "%s\n", text) >= 0 ? 0 : -EIO;
}

/* Complete or not at all: into a new file beside it, which then takes its name. */
static int write_file(json_object *report, const char *format, const char *path) {
        _cleanup_free_ char *fresh = NULL;
        FILE *f;
        int fd, r;

        if (asprintf(&fresh, "%s.XXXXXX", path) < 0) {
                fresh = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(fresh, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        f = fdopen(fd, "w");
        if (!f) {
                r = -errno;
                close(fd);
        } else {
                r = write_report(report, format, f);
                if (r == 0 && (fflush(f) != 0 || fsync(fd) < 0))
                        r = -errno;
                if (fclose(f) != 0 && r == 0)
                        r = -errno;
        }
        if (r == 0 && rename(fresh, path) < 0)
                r = -errno;
        if (r < 0)
                (void)unlink(fresh);
        return r;
}

static ExitCode audit(Ctl *ctl, const Verb *verb, const Args *args) {
        const char *format = args_get(args, "format"), *output = args_get(args, "output");
        _cleanup_(audit_facts_done) AuditFacts facts = {};
        _cleanup_json_ json_object *report = NULL;
        ExitCode code;
        int r;

        if (format && strcmp(format, "text") != 0 && strcmp(format, "json") != 0 && strcmp(format, "html") != 0)
                return ctl_error(ctl, CTL_USAGE, _("there is no format \"%s\"; it is text, json or html"), format);
        if (!format)
                format = ctl->json ? "json" : "text";
        code = client_call_json(ctl, &facts.status, "Status", NULL);
        if (code == CTL_DONE)
                code = client_call_json(ctl, &facts.agent, "Audit", "s", "");
        if (code != CTL_DONE)
                return code;
        facts.profile_stages = status_profile_stages(ctl->root);
        facts.judges_passwords = status_judges_passwords(ctl->root);
        look_at_preconditions(ctl, &facts);
        look_at_viewers(&facts);
        if (audit_report(ctl, &facts, &report) < 0)
                return ctl_error(ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        r = output ? write_file(report, format, output) : write_report(report, format, stdout);
        if (r < 0)
                return ctl_error(ctl, CTL_FAILED, "%s: %s", output ? output : "stdout", strerror(-r));
        return audit_all_in_force(report) ? CTL_DONE : CTL_FAILED;
}

const Verb audit_verbs[] = {
        { "audit", NULL, NULL, N_("report, row by row, whether the rules are in force here"), 0, 0, options, audit,
                _NOUN_INVALID },
        {},
};
