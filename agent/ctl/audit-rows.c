/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "ctl/audit.h"
#include "ctl/moment.h"
#include "util/clock.h"
#include "util/json.h"

/* The rows of the requirements, and what shows that each is in force. */

static void add_text(AuditFinding *f, json_object *array, const char *format, va_list ap) {
        char *text = NULL;
        json_object *o;

        if (vasprintf(&text, format, ap) < 0) {
                f->oom = true;
                return;
        }
        o = json_object_new_string(text);
        free(text);
        if (!o || json_object_array_add(array, o) < 0) {
                json_object_put(o);
                f->oom = true;
        }
}

/* What shows that the rule is in force. */
_printf_(2, 3) static void show(AuditFinding *f, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        add_text(f, f->evidence, format, ap);
        va_end(ap);
}

/* What the rule lacks. */
_printf_(2, 3) static void lack(AuditFinding *f, const char *format, ...) {
        va_list ap;

        if (f->state < AUDIT_PARTLY)
                f->state = AUDIT_PARTLY;
        va_start(ap, format);
        add_text(f, f->lacking, format, ap);
        va_end(ap);
}

/* Why the rule is not in force at all. */
_printf_(2, 3) static void fail(AuditFinding *f, const char *format, ...) {
        va_list ap;

        f->state = AUDIT_NO;
        va_start(ap, format);
        add_text(f, f->lacking, format, ap);
        va_end(ap);
}

/* The rule rests on something that is as it is since then. */
static void since(AuditFinding *f, uint64_t usec) {
        if (usec == 0)
                f->since_unknown = true;
        else if (usec > f->since_usec)
                f->since_usec = usec;
}

static json_object *member(json_object *o, const char *name) {
        json_object *value;

        return o && json_object_object_get_ex(o, name, &value) ? value : NULL;
}

static uint64_t number(json_object *o, const char *name) {
        json_object *value = member(o, name);

        return value ? json_object_get_uint64(value) : 0;
}

static uint64_t counted(const AuditFacts *facts, const char *name) {
        return number(member(facts->agent, "counts"), name);
}

static json_object *event(const AuditFacts *facts, const char *name) {
        return member(member(member(facts->agent, "trail"), "events"), name);
}

/* "NAME: N, the last on TIME", for kinds that the trail has. */
static void show_event(const AuditFacts *facts, AuditFinding *f, const char *name) {
        json_object *e = event(facts, name);
        char when[MOMENT_TEXT_MAX];

        if (!e) {
                show(f, _("trail: no %s"), name);
                return;
        }
        moment_format(number(e, "last_usec"), when);
        show(f, _("trail: %" PRIu64 " × %s, the last at %s"), number(e, "count"), name, when);
}

static void need_precondition(const AuditFacts *facts, AuditFinding *f, const char *id) {
        for (size_t i = 0; i < facts->n_preconditions; i++) {
                if (strcmp(preconditions[i].id, id) != 0)
                        continue;
                if (facts->preconditions[i] == PRECONDITION_HELD)
                        show(f, _("%s: none found"), _(preconditions[i].title));
                else
                        lack(f, "%s: %s", _(preconditions[i].title),
                                facts->details[i] ? facts->details[i] : _("could not be looked at"));
                return;
        }
        lack(f, "%s", id);
}

/* The machine is the one that the terminal was enrolled as. */
static void need_identity(const AuditFacts *facts, AuditFinding *f) {
        json_object *identity = member(facts->status, "identity"), *hardware = member(identity, "hardware");
        const char *state = json_string(identity, "state"), *epoch = json_string(identity, "epoch");

        if (!state || strcmp(state, "right") != 0) {
                fail(f,
                        _("this is not the machine that was enrolled as this terminal, or the terminal is retired "
                          "(%s)"),
                        state ? state : "?");
                return;
        }
        show(f, _("bound to this machine, epoch %s of the trail"), epoch ? epoch : "?");
        if (!hardware || json_object_array_length(hardware) == 0)
                show(f, "%s", _("its hardware says nothing that tells it from others: bound by machine-id and key"));
}

/* The agent decides logins here at all, and by which settings. */
static void need_decisions(const AuditFacts *facts, AuditFinding *f) {
        json_object *policy = member(facts->agent, "policy"), *pam = member(facts->agent, "pam");
        const char *registry = json_string(facts->status, "registry"), *hash = json_string(policy, "hash");

        if (facts->profile_stages != PROFILE_STAGES)
                fail(f, _("the PAM profile of keishi is in %u of %u stacks: logins go past it"), facts->profile_stages,
                        PROFILE_STAGES);
        else
                show(f, "%s", _("keishi stands in common-auth, common-account and common-session"));
        if (!json_boolean(facts->status, "setup"))
                fail(f, "%s", _("this terminal is not set up"));
        if (!registry || strcmp(registry, "ok") != 0)
                fail(f, "%s", _("the registry cannot be used"));
        if (!member(facts->status, "terminal"))
                fail(f, "%s", _("this terminal is not registered"));
        need_identity(facts, f);
        if (!json_boolean(policy, "recorded"))
                lack(f, "%s", _("the configuration in use is not the one recorded last"));
        show(f, _("configuration SHA-256 %s"), hash ? hash : "?");
        since(f, number(facts->agent, "setup_usec"));
        since(f, number(policy, "since_usec"));
        since(f, number(pam, "since_usec"));
}

/* …and in the stacks of single services. */
static void need_stacks(const AuditFacts *facts, AuditFinding *f) {
        need_precondition(facts, f, "pam-auth");
        need_precondition(facts, f, "pam-account");
        need_precondition(facts, f, "pam-foreign-modules");
}

static void need_clock(const AuditFacts *facts, AuditFinding *f) {
        if (!json_boolean(member(facts->status, "clock"), "trusted"))
                lack(f, "%s", _("the clock is not trusted: what has hours or dates is closed"));
}

static void need_recording(const AuditFacts *facts, AuditFinding *f) {
        json_object *trail = member(facts->status, "trail"), *looked = member(facts->agent, "trail");
        char when[MOMENT_TEXT_MAX];

        if (!trail || !json_boolean(trail, "outbox_writable"))
                fail(f, "%s", _("the trail cannot be written"));
        if (number(trail, "reserve_used") > 0)
                lack(f, _("%" PRIu64 " entries are still in the reserve"), number(trail, "reserve_used"));
        moment_format(number(looked, "first_usec"), when);
        show(f, _("%" PRIu64 " entries are kept here, numbers %" PRIu64 " to %" PRIu64 ", the oldest of %s"),
                number(trail, "outbox_entries"), number(looked, "first_seq"), number(looked, "last_seq"), when);
}

/* The rule refuses: a terminal on trial only records what it would have refused. */
static void need_enforced(const AuditFacts *facts, AuditFinding *f) {
        const char *mode = json_string(facts->status, "mode"), *day = json_string(facts->status, "observe_until");
        uint64_t end;

        if (mode && strcmp(mode, "enforce") == 0) {
                if (day)
                        since(f, moment_parse(day, true, &end) == 0 ? end : 0);
                return;
        }
        lack(f, _("on trial until %s: what the rule refuses is recorded and let in"), day ? day : "?");
}

static void look_registered(const AuditFacts *facts, AuditFinding *f) {
        need_decisions(facts, f);
        need_enforced(facts, f);
        need_stacks(facts, f);
        need_precondition(facts, f, "nullok");
        show(f, _("%" PRIu64 " users are registered, %" PRIu64 " of them shared IDs with %" PRIu64 " members"),
                counted(facts, "users"), counted(facts, "shared"), counted(facts, "members"));
        if (counted(facts, "users") == 0)
                fail(f, "%s", _("no user is registered"));
        if (counted(facts, "shared_without_members") > 0)
                lack(f, _("%" PRIu64 " shared IDs have no member: nobody can be named at their login"),
                        counted(facts, "shared_without_members"));
        if (counted(facts, "shared_password_due") > 0)
                lack(f, _("the passwords of %" PRIu64 " shared IDs are due since a member left"),
                        counted(facts, "shared_password_due"));
}

static void look_life_cycle(const AuditFacts *facts, AuditFinding *f) {
        need_decisions(facts, f);
        need_enforced(facts, f);
        need_stacks(facts, f);
        show(f, _("%" PRIu64 " users are marked as retired"), counted(facts, "retired"));
        show_event(facts, f, "user-hired");
        show_event(facts, f, "user-transferred");
        show_event(facts, f, "user-retired");
        show_event(facts, f, "session-ended");
}

static void look_scopes(const AuditFacts *facts, AuditFinding *f) {
        need_decisions(facts, f);
        need_enforced(facts, f);
        need_clock(facts, f);
        show(f, _("%" PRIu64 " scopes, %" PRIu64 " designations"), counted(facts, "scopes"),
                counted(facts, "designations"));
        if (counted(facts, "scopes") == 0)
                fail(f, "%s", _("no scope is set"));
        if (counted(facts, "review_missing") > 0)
                lack(f, _("%" PRIu64 " designations have no review date"), counted(facts, "review_missing"));
        if (counted(facts, "review_overdue") > 0)
                lack(f, _("the review of %" PRIu64 " designations is overdue"), counted(facts, "review_overdue"));
        show_event(facts, f, "access-reviewed");
}

static void look_restriction(const AuditFacts *facts, AuditFinding *f) {
        need_decisions(facts, f);
        need_stacks(facts, f);
        show(f, _("%" PRIu64 " restrictions are in force"), counted(facts, "restrictions"));
        show_event(facts, f, "session-ended");
}

/* Whether a family of services has a combination with this factor here. */
static bool asks_for(const AuditFacts *facts, const char *factor) {
        json_object *factors = member(member(facts->agent, "policy"), "factors");

        json_object_object_foreach(factors, family, value) {
                (void)family;
                if (strstr(json_object_get_string(value), factor))
                        return true;
        }
        return false;
}

static void look_factors(const AuditFacts *facts, AuditFinding *f) {
        json_object *policy = member(facts->agent, "policy"), *factors = member(policy, "factors");

        need_decisions(facts, f);
        need_enforced(facts, f);
        need_stacks(facts, f);
        need_precondition(facts, f, "nullok");
        json_object_object_foreach(factors, family, value) show(f, _("%s: %s"), family, json_object_get_string(value));
        show(f, _("locked after %" PRIu64 " failed attempts within %" PRIu64 " seconds"),
                number(policy, "attempts_max"), number(policy, "attempts_window_usec") / USEC_PER_SEC);
        show_event(facts, f, "login-granted");
}

static void look_person(const AuditFacts *facts, AuditFinding *f) {
        const char *policy = json_string(member(facts->agent, "policy"), "second_login");

        need_decisions(facts, f);
        need_stacks(facts, f);
        if (policy && strcmp(policy, "refuse") == 0)
                need_enforced(facts, f);
        if (!policy || strcmp(policy, "allow") == 0)
                lack(f, "%s", _("OnSecondLogin=allow: a second session of a person is not noticed"));
        else
                show(f, _("a second session of a person on this terminal: %s"), policy);
        show_event(facts, f, "second-login");
        lack(f, "%s",
                _("the same person on another terminal, and a card that is registered there too, are not noticed: this "
                  "version has no fleet"));
}

static void look_cards(const AuditFacts *facts, AuditFinding *f) {
        need_decisions(facts, f);
        need_enforced(facts, f);
        if (!asks_for(facts, "card"))
                fail(f, "%s", _("no service asks for a card here"));
        show(f, _("%" PRIu64 " cards are registered, each to one person, %" PRIu64 " are stopped"),
                counted(facts, "cards"), counted(facts, "cards_suspended"));
        show_event(facts, f, "credential-registered");
        show_event(facts, f, "credential-suspended");
        show_event(facts, f, "credential-returned");
        show_event(facts, f, "card-removed");
        show_event(facts, f, "card-left");
        lack(f, "%s", _("a card is stopped on this terminal only: this version has no fleet"));
}

static void look_biometrics(const AuditFacts *facts, AuditFinding *f) {
        const char *group = json_string(member(member(facts->agent, "policy"), "roles"), "registrar");

        need_decisions(facts, f);
        show(f, _("%" PRIu64 " keys are registered, by the members of the group %s"), counted(facts, "keys"),
                group ? group : "?");
        show(f, "%s", _("biometric data stays in the key: keishi has the public key only"));
        if (!asks_for(facts, "biometric"))
                fail(f, "%s", _("no service asks for a finger here"));
        lack(f, "%s",
                _("fingers are verified, keys stopped and removed; this version has no command that registers one"));
}

static void look_passwords(const AuditFacts *facts, AuditFinding *f) {
        json_object *passwords = member(facts->status, "passwords");
        const char *secret = passwords ? json_string(passwords, "secret") : NULL;

        need_decisions(facts, f);
        need_enforced(facts, f);
        if (!facts->judges_passwords)
                fail(f, "%s", _("keishi does not stand in common-password: new passwords go past it"));
        if (!passwords)
                return fail(f, "%s", _("how passwords stand cannot be told"));
        show(f,
                _("new ones: at least %" PRIu64 " characters of %" PRIu64
                  " kinds, libpwquality, nothing personal, none of the last %" PRIu64 ", none of another user"),
                number(passwords, "min_length"), number(passwords, "min_classes"), number(passwords, "history"));
        if (number(passwords, "max_days") == 0)
                lack(f, "%s", _("passwords may grow as old as they like (MaxDays=0)"));
        else
                show(f, _("changed after %" PRIu64 " days at the latest; said %" PRIu64 " days before"),
                        number(passwords, "max_days"), number(passwords, "warn_days"));
        show(f, _("of %" PRIu64 " passwords the age is known, %" PRIu64 " are compared with new ones"),
                number(passwords, "known"), number(passwords, "compared"));
        if (number(passwords, "known") < counted(facts, "users"))
                lack(f,
                        _("%" PRIu64 " of %" PRIu64
                          " users have not logged in here since: their passwords are not known"),
                        counted(facts, "users") - number(passwords, "known"), counted(facts, "users"));
        if (number(passwords, "max_days") > 0 && number(passwords, "overdue") > 0)
                lack(f, _("%" PRIu64 " passwords are overdue: they are changed at the next login"),
                        number(passwords, "overdue"));
        if (number(passwords, "shared_due") > 0)
                lack(f, _("the passwords of %" PRIu64 " shared IDs are due since a member left"),
                        number(passwords, "shared_due"));
        if (!secret || strcmp(secret, "lost") == 0 || strcmp(secret, "unreadable") == 0)
                fail(f, "%s", _("the secret by which passwords are compared is lost: none can be changed"));
        show_event(facts, f, "password-changed");
        show_event(facts, f, "password-refused");
        show(f, "%s", _("compared are passwords of this terminal only: no fingerprint leaves it"));
}

static void look_terminals(const AuditFacts *facts, AuditFinding *f) {
        need_decisions(facts, f);
        need_enforced(facts, f);
        need_stacks(facts, f);
        need_clock(facts, f);
        show(f,
                _("%" PRIu64 " designations mean this terminal, %" PRIu64 " of them with hours, %" PRIu64
                  " open remote logins"),
                counted(facts, "designations_here"), counted(facts, "designations_here_hours"),
                counted(facts, "designations_here_remote"));
        show_event(facts, f, "login-refused");
}

static void look_class(const AuditFacts *facts, AuditFinding *f) {
        json_object *terminal = member(facts->status, "terminal");

        need_decisions(facts, f);
        need_enforced(facts, f);
        if (terminal)
                show(f,
                        json_boolean(terminal, "external")
                                ? _("class %" PRIu64 "/%" PRIu64 "/%" PRIu64 ", on an external line")
                                : _("class %" PRIu64 "/%" PRIu64 "/%" PRIu64 ", not on an external line"),
                        number(terminal, "confidentiality"), number(terminal, "integrity"),
                        number(terminal, "availability"));
        lack(f, "%s", _("judged at login, by the business of the designation; files are not looked at"));
}

/* What is done with these rights is recorded. */
static void need_commands(const AuditFacts *facts, AuditFinding *f) {
        json_object *o = member(facts->status, "administrators");
        const char *sudo = json_string(o, "sudo"), *settings = json_string(o, "settings");

        if (!o || !json_boolean(o, "read"))
                lack(f, "%s", _("the host's journal is not being read: commands of sudo are not recorded for now"));
        if (!sudo || strcmp(sudo, "unknown") == 0)
                lack(f, "%s", _("it was not looked at yet whether sudo writes what is done with it"));
        else if (strcmp(sudo, "absent") == 0)
                show(f, "%s", _("sudo is not installed"));
        else if (strcmp(sudo, "logs") == 0)
                show(f, "%s", _("sudo writes each command, for everybody, in the form that is read"));
        else
                lack(f, _("sudo does not write each command; sudoers has: %s"), settings ? settings : "?");
        show_event(facts, f, "admin-command");
        show_event(facts, f, "admin-log");
        show(f, "%s", _("what is typed in a shell of root is not seen; that there was one is"));
}

static void look_administrators(const AuditFacts *facts, AuditFinding *f) {
        const char *factors = json_string(member(member(facts->agent, "policy"), "factors"), "admin");

        need_decisions(facts, f);
        need_enforced(facts, f);
        need_stacks(facts, f);
        show(f, _("su, sudo and polkit ask for: %s"), factors ? factors : "?");
        need_commands(facts, f);
}

static void look_trail(const AuditFacts *facts, AuditFinding *f) {
        need_decisions(facts, f);
        need_stacks(facts, f);
        need_recording(facts, f);
        show_event(facts, f, "login-granted");
        show_event(facts, f, "login-refused");
        if (number(member(facts->status, "trail"), "unsent_to_journal") > 0)
                lack(f, _("%" PRIu64 " entries are not in the journal yet"),
                        number(member(facts->status, "trail"), "unsent_to_journal"));
}

static void look_kept(const AuditFacts *facts, AuditFinding *f) {
        need_recording(facts, f);
        since(f, number(member(facts->agent, "trail"), "first_usec"));
        lack(f, "%s", _("kept on this terminal only: the archive by unit is not in this version"));
}

static void look_protected(const AuditFacts *facts, AuditFinding *f) {
        json_object *trail = member(facts->agent, "trail");

        need_recording(facts, f);
        since(f, number(trail, "first_usec"));
        show(f, _("%" PRIu64 " entries looked at, %" PRIu64 " numbers missing"), number(trail, "looked_at"),
                number(trail, "missing"));
        if (number(trail, "missing") > 0)
                lack(f, _("%" PRIu64 " entries are missing among those looked at"), number(trail, "missing"));
        if (!json_boolean(trail, "whole"))
                lack(f, "%s", _("older entries were not looked at"));
        lack(f, "%s", _("entries are numbered and not sealed in this version: who is root can change them unnoticed"));
}

static void look_viewed(const AuditFacts *facts, AuditFinding *f) {
        const char *group = json_string(member(member(facts->agent, "policy"), "roles"), "trail-viewer");

        need_recording(facts, f);
        since(f, number(member(facts->agent, "policy"), "since_usec"));
        if (!facts->trail_viewers_known)
                lack(f, _("the group %s of those named as viewers cannot be looked up"), group ? group : "?");
        else if (facts->n_trail_viewers == 0)
                fail(f, _("nobody is named as viewer: the group %s has no members"), group ? group : "?");
        else
                show(f, _("%zu accounts are named as viewers, in the group %s"), facts->n_trail_viewers,
                        group ? group : "?");
        show_event(facts, f, "trail-read");
        lack(f, "%s", _("looking is recorded; that trails are analysed periodically cannot be seen from here"));
}

static void look_changes(const AuditFacts *facts, AuditFinding *f) {
        json_object *pam = member(facts->agent, "pam");
        const char *hash = json_string(pam, "hash");

        need_recording(facts, f);
        since(f, number(facts->agent, "setup_usec"));
        if (!json_boolean(member(facts->agent, "policy"), "recorded"))
                fail(f, "%s", _("the configuration in use is not the one recorded last"));
        show_event(facts, f, "directory-changed");
        show_event(facts, f, "directory-imported");
        show_event(facts, f, "policy-loaded");
        show_event(facts, f, "hardened");
        show_event(facts, f, "pam-stack");
        if (hash)
                show(f, _("PAM stacks SHA-256 %s"), hash);
        else
                lack(f, "%s", _("no hash of the PAM stacks is recorded"));
        show_event(facts, f, "config-drift");
        show_event(facts, f, "software-changed");
        if (!event(facts, "software-changed"))
                lack(f, "%s", _("no entry that is kept here tells of installed software"));
        show_event(facts, f, "admin-command");
}

static void look_evidence(const AuditFacts *facts, AuditFinding *f) {
        need_recording(facts, f);
        need_identity(facts, f);
        since(f, number(member(facts->status, "identity"), "bound_usec"));
        show_event(facts, f, "identity-bound");
        show_event(facts, f, "identity-mismatch");
        show_event(facts, f, "terminal-retired");
        show_event(facts, f, "directory-backed-up");
        if (!event(facts, "directory-backed-up"))
                lack(f, "%s", _("no entry that is kept here tells of a backup of the directory"));
        lack(f, "%s",
                _("the terminal is not cut off from the network, and its trail is on its own disk, in this version"));
}

static void look_audit(const AuditFacts *facts, AuditFinding *f) {
        show(f, "%s", _("this report"));
        need_identity(facts, f);
        show_event(facts, f, "trail-read");
        since(f, number(facts->agent, "setup_usec"));
}

const AuditRow audit_rows[] = {
        { "R1", N_("users are registered one by one; shared IDs name the person"), look_registered },
        { "R2", N_("hire, transfer and retirement take effect at once"), look_life_cycle },
        { "R3", N_("scopes and designations, with review"), look_scopes },
        { "R4", N_("a user's use can be restricted at once"), look_restriction },
        { "R5", N_("factors as the policy names them"), look_factors },
        { "R6", N_("one person, one credential"), look_person },
        { "R7", N_("passwords: age and quality"), look_passwords },
        { "R8", N_("IC cards"), look_cards },
        { "R9", N_("no open terminal is left alone"), NULL },
        { "R10", N_("biometrics"), look_biometrics },
        { "R11", N_("who may use this terminal, when and by which way"), look_terminals },
        { "R12", N_("class of the terminal, and external line"), look_class },
        { "R13", N_("administrator rights"), look_administrators },
        { "R14", N_("media: application"), NULL },
        { "R15", N_("media: approval"), NULL },
        { "R16", N_("media: unregistered ones are blocked"), NULL },
        { "R17", N_("media: malware check"), NULL },
        { "R18", N_("media: file trails"), NULL },
        { "R19", N_("media: periodic review"), NULL },
        { "R20", N_("media: ledger of reviews"), NULL },
        { "R21", N_("media: files are deleted at the end"), NULL },
        { "R22", N_("media: only managed terminals can open them"), NULL },
        { "R23", N_("media: taking out"), NULL },
        { "R24", N_("media: disposal"), NULL },
        { "R25", N_("other devices are refused"), NULL },
        { "R26", N_("access trail"), look_trail },
        { "R27", N_("trails are kept for 5 years, by unit"), look_kept },
        { "R28", N_("trails are protected; a gap is noticed"), look_protected },
        { "R29", N_("trails are looked up by those named, and that is recorded"), look_viewed },
        { "R30", N_("inquiries into personal data"), NULL },
        { "R31", N_("changes of policy, settings and software are recorded"), look_changes },
        { "R32", N_("incident: evidence is preserved"), look_evidence },
        { "R33", N_("emergency exception"), NULL },
        { "R34", N_("electronic ledgers"), NULL },
        { "R35", N_("audit report"), look_audit },
        {},
};

void audit_finding_done(AuditFinding *f) {
        json_object_put(f->evidence);
        json_object_put(f->lacking);
        *f = (AuditFinding){};
}

int audit_look(const AuditRow *row, const AuditFacts *facts, AuditFinding *ret) {
        _cleanup_(audit_finding_done) AuditFinding f = { .state = row->look ? AUDIT_YES : AUDIT_ABSENT };

        f.evidence = json_object_new_array();
        f.lacking = json_object_new_array();
        if (!f.evidence || !f.lacking)
                return -ENOMEM;
        if (row->look)
                row->look(facts, &f);
        if (f.oom)
                return -ENOMEM;
        if (f.since_unknown || f.state >= AUDIT_NO)
                f.since_usec = 0;
        *ret = f;
        f = (AuditFinding){};
        return 0;
}
