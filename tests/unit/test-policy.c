/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy-fixture.h"

/* Each rule of the evaluator, one change of the facts or of the candidate at a time. */

typedef void (*change_fn)(Facts *f, Candidate *c);

typedef struct Case {
        const char *name;
        change_fn change;
        Reason reason;
        const char *rule;
} Case;

#define CHANGE(name) static void name(Facts *f, Candidate *c)

CHANGE(nothing) {
}

/* ---- what needs no designation ---- */

CHANGE(unknown_service) {
        f->family = _FAMILY_INVALID;
}
CHANGE(no_service) {
        f->service = NULL;
}
CHANGE(no_terminal) {
        f->terminal = NULL;
}
CHANGE(unregistered) {
        f->registered = false;
}
CHANGE(unregistered_system) {
        f->registered = false;
        f->system_account = true;
}
CHANGE(retired) {
        f->retired = true;
}
CHANGE(restricted) {
        f->restriction = "r-1";
}
CHANGE(retired_before_restricted) {
        f->retired = true;
        f->restriction = "r-1";
}
CHANGE(no_terminal_before_unregistered) {
        f->terminal = NULL;
        f->registered = false;
}
CHANGE(account_without_auth) {
        f->authenticated = false;
}
CHANGE(session_without_auth) {
        f->authenticated = false;
        f->stage = STAGE_SESSION_OPEN;
}
CHANGE(auth_needs_no_earlier_stage) {
        f->authenticated = false;
        f->stage = STAGE_AUTH;
}
CHANGE(restricted_before_unauthenticated) {
        f->authenticated = false;
        f->restriction = "r-1";
}

static void greeter(Facts *f) {
        f->service = "lightdm-greeter";
        f->family = FAMILY_GREETER;
        f->account = "lightdm";
        f->registered = false;
        f->system_account = true;
        f->authenticated = false;
        f->terminal = NULL;
}
CHANGE(greeter_of_the_display_manager) {
        greeter(f);
}
CHANGE(greeter_as_a_person) {
        greeter(f);
        f->system_account = false;
}
CHANGE(greeter_as_a_registered_person) {
        greeter(f);
        f->system_account = false;
        f->registered = true;
}
CHANGE(greeter_from_afar) {
        greeter(f);
        f->remote = true;
}

static void cron(Facts *f) {
        f->service = "cron";
        f->family = FAMILY_UNATTENDED;
}
CHANGE(cron_of_root) {
        cron(f);
        f->account = "root";
        f->registered = false;
        f->system_account = true;
        f->terminal = NULL;
}
CHANGE(cron_of_a_stranger) {
        cron(f);
        f->registered = false;
}
CHANGE(cron_of_a_registered_system_account) {
        cron(f);
        f->system_account = true;
        f->restriction = "r-1";
}
CHANGE(cron_of_a_designated_person) {
        cron(f);
}
CHANGE(cron_at_night) {
        cron(f);
        c->bounds.hours = "mon 08:30-17:15";
}
CHANGE(cron_with_other_services) {
        cron(f);
        c->bounds.services = "sudo";
        c->scope_bounds.services = "sudo";
}
CHANGE(cron_while_remote) {
        cron(f);
        f->remote = true;
}
CHANGE(cron_restricted) {
        cron(f);
        f->restriction = "r-1";
}
CHANGE(cron_retired) {
        cron(f);
        f->retired = true;
}
CHANGE(cron_elsewhere) {
        cron(f);
        c->bounds.terminal = "KEIRI-02";
}
CHANGE(cron_expired) {
        cron(f);
        c->bounds.until_usec = 999;
}
CHANGE(cron_above_the_class) {
        cron(f);
        c->confidentiality_max = 3;
}
CHANGE(cron_hours_with_a_lost_clock) {
        cron(f);
        c->bounds.hours = "mon 08:30-17:15";
        f->clock_trusted = false;
}
CHANGE(cron_until_with_a_lost_clock) {
        cron(f);
        c->bounds.until_usec = 2000;
        f->clock_trusted = false;
}

/* ---- administration ---- */

static void su(Facts *f, Candidate *c) {
        f->service = "su";
        f->family = FAMILY_ADMIN;
        f->target = "root";
        f->target_system = true;
        c->bounds.services = c->scope_bounds.services = "@admin";
}
CHANGE(su_to_root) {
        su(f, c);
}
CHANGE(su_without_admin_in_the_designation) {
        su(f, c);
        c->bounds.services = NULL;
}
CHANGE(su_without_admin_in_the_scope) {
        su(f, c);
        c->scope_bounds.services = NULL;
}
CHANGE(su_by_a_star) {
        su(f, c);
        c->bounds.services = c->scope_bounds.services = "*";
}
CHANGE(su_to_a_stranger) {
        su(f, c);
        f->target = "taro";
        f->target_system = false;
}
CHANGE(su_to_a_colleague) {
        su(f, c);
        f->target = "taro";
        f->target_system = false;
        f->target_registered = true;
}
CHANGE(su_to_a_retired_colleague) {
        su_to_a_colleague(f, c);
        f->target_retired = true;
}
CHANGE(su_to_a_restricted_colleague) {
        su_to_a_colleague(f, c);
        f->target_restriction = "r-2";
}
CHANGE(su_restricted_actor) {
        su(f, c);
        f->restriction = "r-1";
}
CHANGE(sudo_in_auth_without_a_target) {
        su(f, c);
        f->stage = STAGE_AUTH;
        f->target = NULL;
}
CHANGE(sudo_in_account_without_a_target) {
        su(f, c);
        f->target = NULL;
}
CHANGE(su_by_root) {
        su(f, c);
        f->account = "root";
        f->registered = false;
        f->system_account = true;
}
CHANGE(sudo_over_ssh) {
        su(f, c);
        f->remote = true;
        c->remote = true;
        c->bounds.services = c->scope_bounds.services = "@admin @remote";
}
CHANGE(sudo_over_ssh_without_remote) {
        su(f, c);
        f->remote = true;
        c->remote = true;
}

/* ---- remote ---- */

static void ssh(Facts *f, Candidate *c) {
        f->service = "sshd";
        f->family = FAMILY_REMOTE;
        f->remote = true;
        c->remote = true;
        c->bounds.services = c->scope_bounds.services = "@remote";
}
CHANGE(ssh_by_family) {
        ssh(f, c);
}
CHANGE(ssh_by_name) {
        ssh(f, c);
        c->bounds.services = "login sshd";
}
CHANGE(ssh_without_the_flag) {
        ssh(f, c);
        c->remote = false;
}
CHANGE(ssh_by_star) {
        ssh(f, c);
        c->bounds.services = "*";
}
CHANGE(ssh_by_star_in_the_scope) {
        ssh(f, c);
        c->scope_bounds.services = "*";
}
CHANGE(ssh_by_default_services) {
        ssh(f, c);
        c->bounds.services = NULL;
}
CHANGE(ssh_that_says_it_is_local) {
        ssh(f, c);
        f->remote = false;
        c->remote = false;
}
CHANGE(ssh_on_another_terminal) {
        ssh(f, c);
        c->bounds.terminal = "KEIRI-02";
}
CHANGE(console_from_afar) {
        f->remote = true;
}
CHANGE(console_from_afar_opened) {
        f->remote = true;
        c->remote = true;
        c->bounds.services = c->scope_bounds.services = "login";
}
CHANGE(console_from_afar_with_family_only) {
        f->remote = true;
        c->remote = true;
        c->bounds.services = c->scope_bounds.services = "@console";
}

CHANGE(console_from_afar_named_in_the_scope_only) {
        f->remote = true;
        c->remote = true;
        c->bounds.services = "*";
        c->scope_bounds.services = "login";
}
CHANGE(console_from_afar_named_in_the_designation_only) {
        f->remote = true;
        c->remote = true;
        c->bounds.services = "login";
        c->scope_bounds.services = "*";
}

/* ---- locker, self ---- */

static void locker(Facts *f) {
        f->service = "swaylock";
        f->family = FAMILY_LOCKER;
        f->stage = STAGE_AUTH;
}
CHANGE(locker_by_any_service) {
        locker(f);
        c->bounds.services = "login";
}
CHANGE(locker_after_hours) {
        locker(f);
        c->bounds.hours = "mon 08:30-17:15";
}
CHANGE(locker_elsewhere) {
        locker(f);
        c->bounds.terminal = "KEIRI-02";
}
CHANGE(locker_remote_closed) {
        locker(f);
        f->remote = true;
}
CHANGE(locker_remote_open) {
        locker(f);
        f->remote = true;
        c->remote = true;
}
CHANGE(passwd_by_any_service) {
        f->service = "passwd";
        f->family = FAMILY_SELF;
        f->stage = STAGE_PASSWORD_PRELIM;
        c->bounds.services = "login";
}
CHANGE(passwd_of_anybody_by_root) {
        f->service = "passwd";
        f->family = FAMILY_UNATTENDED;
        f->root_changes = true;
        f->registered = false;
}

CHANGE(passwd_after_hours) {
        passwd_by_any_service(f, c);
        c->scope_bounds.hours = "mon 08:30-17:15";
}
CHANGE(passwd_restricted) {
        passwd_by_any_service(f, c);
        f->restriction = "r-1";
}

/* ---- bounds of designation and scope ---- */

CHANGE(other_terminal) {
        c->bounds.terminal = "KEIRI-02";
}
CHANGE(other_terminal_in_the_scope) {
        c->scope_bounds.terminal = "SOUMU-*";
}
CHANGE(terminal_by_unit) {
        c->bounds = (Bounds){ .terminal_kind = TERMINAL_UNIT, .terminal = "会計課" };
}
CHANGE(terminal_by_another_unit) {
        c->bounds = (Bounds){ .terminal_kind = TERMINAL_UNIT, .terminal = "総務課" };
}
CHANGE(terminal_without_a_unit) {
        f->terminal_unit = NULL;
        terminal_by_unit(f, c);
}
CHANGE(terminal_of_no_kind) {
        c->bounds.terminal_kind = _TERMINAL_KIND_INVALID;
}
CHANGE(no_selector_means_any) {
        c->bounds.terminal = NULL;
}
CHANGE(other_service) {
        c->bounds.services = "lightdm";
}
CHANGE(other_service_in_the_scope) {
        c->scope_bounds.services = "lightdm";
}
CHANGE(service_by_name) {
        c->bounds.services = "lightdm login";
}
CHANGE(service_that_begins_alike) {
        c->bounds.services = "login2 log";
}
CHANGE(service_named_like_a_family) {
        f->service = "console";
        f->family = FAMILY_ADMIN;
        f->target = "root";
        f->target_system = true;
        c->bounds.services = c->scope_bounds.services = "@console";
}
CHANGE(no_service_listed) {
        c->bounds.services = "";
}
CHANGE(star) {
        c->bounds.services = "*";
}
CHANGE(hours_of_another_day) {
        c->bounds.hours = "mon 08:30-17:15";
}
CHANGE(hours_of_another_day_in_the_scope) {
        c->scope_bounds.hours = "mon 08:30-17:15";
}
CHANGE(hours_now) {
        c->bounds.hours = "wed 10:00-10:01";
        c->scope_bounds.hours = "mon-fri 08:30-17:15";
}
CHANGE(hours_unreadable) {
        c->bounds.hours = "always";
}
CHANGE(until_now) {
        c->bounds.until_usec = 1000;
}
CHANGE(until_next) {
        c->bounds.until_usec = 1001;
        c->scope_bounds.until_usec = 1001;
}
CHANGE(until_now_in_the_scope) {
        c->scope_bounds.until_usec = 1000;
}
CHANGE(from_next) {
        c->bounds.from_usec = 1001;
}
CHANGE(from_next_in_the_scope) {
        c->scope_bounds.from_usec = 1001;
}
CHANGE(from_now) {
        c->bounds.from_usec = 1000;
        c->scope_bounds.from_usec = 1000;
}
CHANGE(class_above_the_terminal) {
        c->confidentiality_max = 3;
}
CHANGE(class_of_the_terminal) {
        c->confidentiality_max = 2;
}
CHANGE(class_unknown_at_the_terminal) {
        f->confidentiality = 0;
        c->confidentiality_max = 1;
}
CHANGE(external_line) {
        f->external_line = true;
}
CHANGE(external_line_allowed) {
        f->external_line = true;
        c->external_ok = true;
}

CHANGE(second_login) {
        f->stage = STAGE_SESSION_OPEN;
        f->second_login = true;
}
CHANGE(second_login_from_afar) {
        second_login(f, c);
        f->family = FAMILY_REMOTE;
        f->remote = true;
}
CHANGE(second_login_and_account_stage) {
        f->second_login = true;
}
CHANGE(second_login_and_su) {
        su(f, c);
        second_login(f, c);
}
CHANGE(second_login_and_a_restriction) {
        second_login(f, c);
        f->restriction = "r-1";
}
CHANGE(drift) {
        f->drift = true;
}
CHANGE(drift_and_a_locker) {
        locker(f);
        f->drift = true;
}
CHANGE(drift_and_a_restriction) {
        f->drift = true;
        f->restriction = "r-1";
}

CHANGE(stopped_card) {
        f->stopped_credential = "c-1";
}

CHANGE(the_factors_asked_for) {
        f->alternatives[0] = FACTOR_CARD | FACTOR_BIOMETRIC;
        f->alternatives[1] = FACTOR_CARD | FACTOR_PASSWORD;
        f->n_alternatives = 2;
        f->factors = FACTOR_CARD | FACTOR_PASSWORD;
}

CHANGE(more_factors) {
        the_factors_asked_for(f, c);
        f->factors = FACTOR_CARD | FACTOR_PASSWORD | FACTOR_BIOMETRIC;
}

CHANGE(one_of_two_factors) {
        the_factors_asked_for(f, c);
        f->factors = FACTOR_CARD;
}

CHANGE(another_factor) {
        the_factors_asked_for(f, c);
        f->factors = FACTOR_PASSWORD | FACTOR_BIOMETRIC;
}

CHANGE(no_combination) {
        f->n_alternatives = 0;
        f->factors = FACTOR_PASSWORD;
}

CHANGE(one_of_two_and_restricted) {
        one_of_two_factors(f, c);
        f->restriction = "r-1";
}

CHANGE(clone) {
        f->cloned = true;
}
CHANGE(clone_and_a_stranger) {
        f->cloned = true;
        f->registered = false;
}
CHANGE(clone_and_a_locker) {
        locker(f);
        f->cloned = true;
}
CHANGE(clone_and_cron) {
        cron_of_a_designated_person(f, c);
        f->cloned = true;
}
CHANGE(clone_and_cron_of_root) {
        cron_of_root(f, c);
        f->cloned = true;
}
CHANGE(retired_terminal) {
        f->terminal_retired = true;
}
CHANGE(retired_terminal_and_a_locker) {
        locker(f);
        f->terminal_retired = true;
}
CHANGE(retired_terminal_and_cron_of_root) {
        cron_of_root(f, c);
        f->terminal_retired = true;
}

/* ---- the clock ---- */

CHANGE(lost_clock) {
        f->clock_trusted = false;
}
CHANGE(lost_clock_with_hours) {
        f->clock_trusted = false;
        hours_now(f, c);
}
CHANGE(lost_clock_with_hours_in_the_scope) {
        f->clock_trusted = false;
        c->scope_bounds.hours = "mon-fri 08:30-17:15";
}
CHANGE(lost_clock_with_until) {
        f->clock_trusted = false;
        until_next(f, c);
}
CHANGE(lost_clock_with_from) {
        f->clock_trusted = false;
        c->bounds.from_usec = 1;
}

#define DESIGNATION "designation:d-1"

static const Case cases[] = {
        { "a designated person at the designated terminal", nothing, REASON_GRANTED, DESIGNATION },
        { "service not in the table", unknown_service, REASON_SERVICE_UNKNOWN, "default" },
        { "no service", no_service, REASON_SERVICE_UNKNOWN, "default" },
        { "terminal without identity", no_terminal, REASON_TERMINAL_UNKNOWN, "default" },
        { "account not registered", unregistered, REASON_UNREGISTERED, "default" },
        { "system account at the console", unregistered_system, REASON_UNREGISTERED, "default" },
        { "retired", retired, REASON_RETIRED, "default" },
        { "restricted names its restriction", restricted, REASON_RESTRICTED, "restriction:r-1" },
        { "retired before restricted", retired_before_restricted, REASON_RETIRED, "default" },
        { "terminal before account", no_terminal_before_unregistered, REASON_TERMINAL_UNKNOWN, "default" },
        { "account stage without auth", account_without_auth, REASON_NOT_AUTHENTICATED, "default" },
        { "session stage without auth", session_without_auth, REASON_NOT_AUTHENTICATED, "default" },
        { "auth stage", auth_needs_no_earlier_stage, REASON_GRANTED, DESIGNATION },
        { "restricted before not authenticated", restricted_before_unauthenticated, REASON_RESTRICTED,
                "restriction:r-1" },

        { "greeter", greeter_of_the_display_manager, REASON_GRANTED, "service:lightdm-greeter" },
        { "greeter service for a person", greeter_as_a_person, REASON_UNREGISTERED, "default" },
        { "greeter service for a registered person", greeter_as_a_registered_person, REASON_DEFAULT, "default" },
        { "greeter from another machine", greeter_from_afar, REASON_REMOTE_CLOSED, "default" },

        { "cron of root", cron_of_root, REASON_GRANTED, "service:cron" },
        { "cron of an unregistered person", cron_of_a_stranger, REASON_UNREGISTERED, "default" },
        { "cron of a registered system account", cron_of_a_registered_system_account, REASON_RESTRICTED,
                "restriction:r-1" },
        { "cron of a designated person", cron_of_a_designated_person, REASON_GRANTED, DESIGNATION },
        { "cron ignores hours", cron_at_night, REASON_GRANTED, DESIGNATION },
        { "cron ignores services", cron_with_other_services, REASON_GRANTED, DESIGNATION },
        { "cron ignores remote", cron_while_remote, REASON_GRANTED, DESIGNATION },
        { "cron of a restricted person", cron_restricted, REASON_RESTRICTED, "restriction:r-1" },
        { "cron of a retired person", cron_retired, REASON_RETIRED, "default" },
        { "cron of a person designated elsewhere", cron_elsewhere, REASON_DEFAULT, "default" },
        { "cron after the designation's end", cron_expired, REASON_EXPIRED, DESIGNATION },
        { "cron above the terminal's class", cron_above_the_class, REASON_CLASS, DESIGNATION },
        { "cron ignores hours with a lost clock", cron_hours_with_a_lost_clock, REASON_GRANTED, DESIGNATION },
        { "cron heeds an end with a lost clock", cron_until_with_a_lost_clock, REASON_CLOCK, DESIGNATION },

        { "su to root", su_to_root, REASON_GRANTED, DESIGNATION },
        { "su not designated", su_without_admin_in_the_designation, REASON_DEFAULT, "default" },
        { "su not in the scope", su_without_admin_in_the_scope, REASON_DEFAULT, "default" },
        { "su by *", su_by_a_star, REASON_GRANTED, DESIGNATION },
        { "su to an unregistered person", su_to_a_stranger, REASON_TARGET, "default" },
        { "su to a registered person", su_to_a_colleague, REASON_GRANTED, DESIGNATION },
        { "su to a retired person", su_to_a_retired_colleague, REASON_TARGET, "default" },
        { "su to a restricted person", su_to_a_restricted_colleague, REASON_TARGET, "restriction:r-2" },
        { "su by a restricted person", su_restricted_actor, REASON_RESTRICTED, "restriction:r-1" },
        { "sudo in auth, target to come", sudo_in_auth_without_a_target, REASON_GRANTED, DESIGNATION },
        { "sudo in account without target", sudo_in_account_without_a_target, REASON_TARGET, "default" },
        { "su by an unregistered system account", su_by_root, REASON_UNREGISTERED, "default" },
        { "sudo in a remote session", sudo_over_ssh, REASON_GRANTED, DESIGNATION },
        { "sudo in a remote session, not opened", sudo_over_ssh_without_remote, REASON_REMOTE_CLOSED, "default" },

        { "ssh by @remote", ssh_by_family, REASON_GRANTED, DESIGNATION },
        { "ssh by name", ssh_by_name, REASON_GRANTED, DESIGNATION },
        { "ssh without the remote flag", ssh_without_the_flag, REASON_REMOTE_CLOSED, "default" },
        { "ssh by *", ssh_by_star, REASON_REMOTE_CLOSED, "default" },
        { "ssh by * of the scope", ssh_by_star_in_the_scope, REASON_REMOTE_CLOSED, "default" },
        { "ssh by default services", ssh_by_default_services, REASON_REMOTE_CLOSED, "default" },
        { "ssh is remote whatever the fact says", ssh_that_says_it_is_local, REASON_REMOTE_CLOSED, "default" },
        { "ssh to another terminal", ssh_on_another_terminal, REASON_REMOTE_CLOSED, "default" },
        { "login from another machine", console_from_afar, REASON_REMOTE_CLOSED, "default" },
        { "login from another machine, opened by name", console_from_afar_opened, REASON_GRANTED, DESIGNATION },
        { "login from another machine, @console only", console_from_afar_with_family_only, REASON_REMOTE_CLOSED,
                "default" },

        { "login from another machine, named in the scope only", console_from_afar_named_in_the_scope_only,
                REASON_REMOTE_CLOSED, "default" },
        { "login from another machine, named in the designation only", console_from_afar_named_in_the_designation_only,
                REASON_REMOTE_CLOSED, "default" },

        { "locker with any service designated", locker_by_any_service, REASON_GRANTED, DESIGNATION },
        { "locker after hours", locker_after_hours, REASON_HOURS, DESIGNATION },
        { "locker elsewhere", locker_elsewhere, REASON_DEFAULT, "default" },
        { "locker in a remote session", locker_remote_closed, REASON_REMOTE_CLOSED, "default" },
        { "locker in a remote session, opened", locker_remote_open, REASON_GRANTED, DESIGNATION },
        { "passwd with any service designated", passwd_by_any_service, REASON_GRANTED, DESIGNATION },
        { "root changes whose password it will", passwd_of_anybody_by_root, REASON_GRANTED, "service:passwd" },
        { "passwd after hours", passwd_after_hours, REASON_HOURS, DESIGNATION },
        { "passwd of a restricted person", passwd_restricted, REASON_RESTRICTED, "restriction:r-1" },

        { "another terminal", other_terminal, REASON_DEFAULT, "default" },
        { "a scope narrowed to other terminals", other_terminal_in_the_scope, REASON_DEFAULT, "default" },
        { "terminals of the unit", terminal_by_unit, REASON_GRANTED, DESIGNATION },
        { "terminals of another unit", terminal_by_another_unit, REASON_DEFAULT, "default" },
        { "terminal without a unit", terminal_without_a_unit, REASON_DEFAULT, "default" },
        { "selector of no kind", terminal_of_no_kind, REASON_DEFAULT, "default" },
        { "no selector", no_selector_means_any, REASON_GRANTED, DESIGNATION },
        { "another service", other_service, REASON_DEFAULT, "default" },
        { "a scope narrowed to another service", other_service_in_the_scope, REASON_DEFAULT, "default" },
        { "service by name", service_by_name, REASON_GRANTED, DESIGNATION },
        { "service that begins alike", service_that_begins_alike, REASON_DEFAULT, "default" },
        { "service named like a family", service_named_like_a_family, REASON_DEFAULT, "default" },
        { "empty list of services", no_service_listed, REASON_DEFAULT, "default" },
        { "* of services", star, REASON_GRANTED, DESIGNATION },
        { "outside the hours", hours_of_another_day, REASON_HOURS, DESIGNATION },
        { "outside the scope's hours", hours_of_another_day_in_the_scope, REASON_HOURS, DESIGNATION },
        { "inside the hours", hours_now, REASON_GRANTED, DESIGNATION },
        { "unreadable hours", hours_unreadable, REASON_HOURS, DESIGNATION },
        { "at the end", until_now, REASON_EXPIRED, DESIGNATION },
        { "just before the end", until_next, REASON_GRANTED, DESIGNATION },
        { "at the scope's end", until_now_in_the_scope, REASON_EXPIRED, DESIGNATION },
        { "before the beginning", from_next, REASON_EXPIRED, DESIGNATION },
        { "before the scope's beginning", from_next_in_the_scope, REASON_EXPIRED, DESIGNATION },
        { "at the beginning", from_now, REASON_GRANTED, DESIGNATION },
        { "information of a higher class", class_above_the_terminal, REASON_CLASS, DESIGNATION },
        { "information of the terminal's class", class_of_the_terminal, REASON_GRANTED, DESIGNATION },
        { "terminal without a class", class_unknown_at_the_terminal, REASON_CLASS, DESIGNATION },
        { "terminal on an external line", external_line, REASON_CLASS, DESIGNATION },
        { "terminal on an external line, allowed", external_line_allowed, REASON_GRANTED, DESIGNATION },

        { "second session", second_login, REASON_SECOND_LOGIN, "policy:OnSecondLogin" },
        { "second session from afar", second_login_from_afar, REASON_SECOND_LOGIN, "policy:OnSecondLogin" },
        { "session open and the screen unlocked", second_login_and_account_stage, REASON_GRANTED, DESIGNATION },
        { "session open and su", second_login_and_su, REASON_GRANTED, DESIGNATION },
        { "second session of a restricted user", second_login_and_a_restriction, REASON_RESTRICTED, "restriction:r-1" },
        { "changed configuration", drift, REASON_DRIFT, "policy:OnDrift" },
        { "changed configuration, unlocking", drift_and_a_locker, REASON_GRANTED, DESIGNATION },
        { "changed configuration and a restriction", drift_and_a_restriction, REASON_RESTRICTED, "restriction:r-1" },

        { "a card that was stopped", stopped_card, REASON_CREDENTIAL, "credential:c-1" },
        { "the factors asked for", the_factors_asked_for, REASON_GRANTED, DESIGNATION },
        { "more factors than asked for", more_factors, REASON_GRANTED, DESIGNATION },
        { "one of two factors", one_of_two_factors, REASON_FACTORS, "default" },
        { "another factor", another_factor, REASON_FACTORS, "default" },
        { "nothing that could be asked for", no_combination, REASON_FACTORS, "default" },
        { "a factor too few, and restricted", one_of_two_and_restricted, REASON_RESTRICTED, "restriction:r-1" },
        { "copied disk", clone, REASON_CLONED, "default" },
        { "copied disk and an unregistered person", clone_and_a_stranger, REASON_CLONED, "default" },
        { "copied disk, unlocking", clone_and_a_locker, REASON_GRANTED, DESIGNATION },
        { "copied disk and cron of a person", clone_and_cron, REASON_CLONED, "default" },
        { "copied disk and cron of root", clone_and_cron_of_root, REASON_GRANTED, "service:cron" },
        { "retired terminal", retired_terminal, REASON_TERMINAL_RETIRED, "default" },
        { "retired terminal, unlocking", retired_terminal_and_a_locker, REASON_TERMINAL_RETIRED, "default" },
        { "retired terminal and cron of root", retired_terminal_and_cron_of_root, REASON_GRANTED, "service:cron" },

        { "lost clock, nothing time-bound", lost_clock, REASON_GRANTED, DESIGNATION },
        { "lost clock and hours", lost_clock_with_hours, REASON_CLOCK, DESIGNATION },
        { "lost clock and the scope's hours", lost_clock_with_hours_in_the_scope, REASON_CLOCK, DESIGNATION },
        { "lost clock and an end", lost_clock_with_until, REASON_CLOCK, DESIGNATION },
        { "lost clock and a beginning", lost_clock_with_from, REASON_CLOCK, DESIGNATION },
};

static void each_rule_gives_its_reason(void **state) {
        unsigned failures = 0;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Facts f = facts();
                Candidate c = candidate();
                Verdict v;

                cases[i].change(&f, &c);
                v = decide(&f, &c, 1);
                if (v.reason == cases[i].reason && strcmp(v.rule, cases[i].rule) == 0 &&
                        v.granted == (cases[i].reason == REASON_GRANTED))
                        continue;
                print_error("%s: %s by %s instead of %s by %s\n", cases[i].name, reason_to_string(v.reason), v.rule,
                        reason_to_string(cases[i].reason), cases[i].rule);
                failures++;
        }
        assert_int_equal(failures, 0);
}

static void every_reason_is_reached(void **state) {
        bool seen[_REASON_MAX] = {};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                seen[cases[i].reason] = true;
        for (size_t i = 0; i < _REASON_MAX; i++)
                if (!seen[i])
                        fail_msg("no case gives %s", reason_to_string((Reason)i));
}

static void nobody_gets_in_without_a_candidate(void **state) {
        static const Family families[] = { FAMILY_CONSOLE, FAMILY_LOCKER, FAMILY_REMOTE, FAMILY_UNATTENDED,
                FAMILY_SELF };

        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                Facts f = facts();
                Verdict v;

                f.family = families[i];
                v = decide(&f, NULL, 0);
                assert_false(v.granted);
                assert_int_equal(v.reason, families[i] == FAMILY_REMOTE ? REASON_REMOTE_CLOSED : REASON_DEFAULT);
                assert_string_equal(v.rule, "default");
                assert_string_equal(v.designation, "");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_rule_gives_its_reason),
                cmocka_unit_test(every_reason_is_reached),
                cmocka_unit_test(nobody_gets_in_without_a_candidate),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
