/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "keishi/paths.h"
#include "login/bus-internal.h"
#include "login/password-report.h"
#include "util/clock.h"

/* Health, for anyone (no personal data in it), and the confirmation of the clock. */

#define REASON_TEXT_MAX 512u

static int add_terminal(Bus *b, json_object *o) {
        _cleanup_(terminal_done) Terminal t = {};
        _cleanup_json_ json_object *row = NULL;
        int r;

        r = registry_terminal_self(b->c.registry, &t);
        if (r == REGISTRY_E_NOT_FOUND)
                return json_object_object_add(o, "terminal", NULL) < 0 ? -ENOMEM : 0;
        if (r != 0)
                return r;
        row = json_object_new_object();
        if (!row || json_set_string(row, "name", t.name) < 0 || json_set_string(row, "unit", t.unit) < 0 ||
                json_set_uint(row, "confidentiality", t.confidentiality) < 0 ||
                json_set_uint(row, "integrity", t.integrity) < 0 ||
                json_set_uint(row, "availability", t.availability) < 0 ||
                json_set_boolean(row, "external", t.external_line) < 0 ||
                json_set_boolean(row, "retired", t.retired) < 0)
                return -ENOMEM;
        return json_set(o, "terminal", TAKE_PTR(row));
}

/* Anyone may ask, and counting a large directory takes a while: it is done once per change. */
static int count_rows(Bus *b) {
        static const char *const sql[_NOUN_MAX] = {
                [NOUN_USER] = "SELECT count(*) FROM users WHERE deleted = 0",
                [NOUN_MEMBER] = "SELECT count(*) FROM members WHERE deleted = 0",
                [NOUN_TERMINAL] = "SELECT count(*) FROM terminals WHERE deleted = 0",
                [NOUN_SCOPE] = "SELECT count(*) FROM scopes WHERE deleted = 0",
                [NOUN_DESIGNATION] = "SELECT count(*) FROM designations WHERE deleted = 0",
                [NOUN_RESTRICTION] = "SELECT count(*) FROM restrictions WHERE deleted = 0",
                [NOUN_DEPUTY] = "SELECT count(*) FROM deputies WHERE deleted = 0",
                [NOUN_CREDENTIAL] = "SELECT count(*) FROM credentials WHERE deleted = 0 AND state = 'active'",
        };

        for (NounId n = 0; n < _NOUN_MAX; n++) {
                _cleanup_statement_ sqlite3_stmt *s = NULL;
                int r;

                r = registry_statement(b->c.registry, sql[n], &s);
                if (r != 0)
                        return r;
                r = sqlite3_step(s);
                if (r != SQLITE_ROW)
                        return registry_result(r);
                b->counts[n] = (uint64_t)sqlite3_column_int64(s, 0);
        }
        b->counted = true;
        return 0;
}

static int add_counts(Bus *b, json_object *o) {
        _cleanup_json_ json_object *counts = json_object_new_object();
        int r;

        if (!counts)
                return -ENOMEM;
        r = b->counted ? 0 : count_rows(b);
        for (NounId n = 0; r == 0 && n < _NOUN_MAX; n++)
                r = json_set_uint(counts, noun_to_string(n), b->counts[n]);
        return r == 0 ? json_set(o, "counts", TAKE_PTR(counts)) : r;
}

static int add_trail(Bus *b, json_object *o) {
        _cleanup_json_ json_object *trail = json_object_new_object();
        TrailStatus s = {};
        int r;

        if (!trail)
                return -ENOMEM;
        r = trail_status(b->c.trail, &s);
        if (r != 0)
                return r;
        if (json_set_uint(trail, "last_seq", s.last_seq) < 0 ||
                json_set_uint(trail, "unsent_to_journal", s.unsent_to_journal) < 0 ||
                json_set_uint(trail, "outbox_entries", s.outbox_entries) < 0 ||
                json_set_uint(trail, "reserve_used", s.reserve_used) < 0 ||
                json_set_uint(trail, "reserve_slots", s.reserve_slots) < 0 ||
                json_set_boolean(trail, "outbox_writable", s.outbox_writable) < 0)
                return -ENOMEM;
        return json_set(o, "trail", TAKE_PTR(trail));
}

static int add_clock(Bus *b, json_object *o) {
        _cleanup_json_ json_object *clock = json_object_new_object();

        if (!clock ||
                json_set_boolean(clock, "trusted", !b->c.clock_trusted || b->c.clock_trusted(b->c.userdata)) < 0 ||
                json_set_uint(clock, "now_usec", clock_usec(CLOCK_REALTIME)) < 0 ||
                json_set_uint(clock, "floor_usec", trail_floor(b->c.trail)) < 0)
                return -ENOMEM;
        return json_set(o, "clock", TAKE_PTR(clock));
}

static int add_mode(Bus *b, json_object *o) {
        const Config *c = b->c.config;
        bool observes = config_observes(
                c, clock_usec(CLOCK_REALTIME), !b->c.clock_trusted || b->c.clock_trusted(b->c.userdata));
        char day[CONFIG_DAY_TEXT_MAX];

        if (json_set_string(o, "mode", observes ? "observe" : "enforce") < 0)
                return -ENOMEM;
        if (!c->observe)
                return 0;
        config_observe_day(c, day);
        return json_set_string(o, "observe_until", day);
}

static int add_drift(Bus *b, json_object *o) {
        json_object *drift = NULL;
        int r = drift_status(b->c.drift, &drift);

        return r < 0 ? r : json_set(o, "configuration", drift);
}

static int add_identity(Bus *b, json_object *o) {
        json_object *identity = NULL;
        int r = identity_json(b->c.identity, &identity);

        return r < 0 ? r : json_set(o, "identity", identity);
}

static int add_administrators(Bus *b, json_object *o) {
        json_object *administrators = NULL;
        int r = b->c.admin_log ? admin_log_status(b->c.admin_log, &administrators) : 0;

        return r < 0 || !administrators ? r : json_set(o, "administrators", administrators);
}

/* What is asked for here, and whether what that rests on is there. */
static int add_asked(Bus *b, json_object *o) {
        const Config *c = b->c.config;
        _cleanup_(terminal_done) Terminal self = {};

        (void)registry_terminal_self(b->c.registry, &self);
        if (factors_add(c, self.confidentiality, o) < 0)
                return -ENOMEM;
        if (c->attestation_roots &&
                json_set_boolean(o, "attestation_roots", trust_file_get(b->c.key_trust) != NULL) < 0)
                return -ENOMEM;
        return c->card_ca ? json_set_boolean(o, "card_authority", trust_file_get(b->c.card_trust) != NULL) : 0;
}

static int add_passwords(Bus *b, json_object *o) {
        json_object *passwords = NULL;
        int r;

        r = password_report_all(b->c.passwords, b->c.config, b->c.registry, clock_usec(CLOCK_REALTIME), &passwords);
        return r != 0 ? r : json_set(o, "passwords", passwords);
}

int status_bus_status(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_json_ json_object *o = json_object_new_object();
        _cleanup_free_ char *setup = NULL;
        Bus *b = userdata;
        int r, usable;

        if (!o)
                return -ENOMEM;
        usable = registry_meta_get(b->c.registry, "setup", &setup);
        if (json_set_string(o, "version", KEISHI_VERSION) < 0 ||
                json_set_uint(o, "started_usec", b->started_usec) < 0 || json_set_boolean(o, "setup", usable == 0) < 0)
                return -ENOMEM;
        r = usable == 0 || usable == REGISTRY_E_NOT_FOUND ? 0 : usable;
        if (r == 0)
                r = add_terminal(b, o);
        if (r == 0)
                r = add_counts(b, o);
        if (r == 0)
                r = add_passwords(b, o);
        if (r == -ENOMEM)
                return r;
        if (json_set_string(o, "registry", r == 0 ? "ok" : "unusable") < 0)
                return -ENOMEM;
        r = add_trail(b, o);
        if (r == -ENOMEM)
                return r;
        if (r != 0 && json_object_object_add(o, "trail", NULL) < 0)
                return -ENOMEM;
        r = add_mode(b, o);
        if (r == 0)
                r = add_asked(b, o);
        if (r == 0)
                r = add_clock(b, o);
        if (r == 0)
                r = add_drift(b, o);
        if (r == 0)
                r = add_identity(b, o);
        if (r == 0)
                r = add_administrators(b, o);
        return r < 0 ? r : bus_reply_json(m, o);
}

static int do_confirm(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_(event_free_p) Event *e = NULL;
        const char *reason;
        int r;

        r = sd_bus_message_read(m, "s", &reason);
        if (r < 0)
                return r;
        if (!*reason || strlen(reason) > REASON_TEXT_MAX)
                return bus_refuse(m, "Invalid", N_("A reason is needed, of at most 512 bytes"));
        if (!b->c.clock_confirm || !b->c.clock_confirmed)
                return bus_refuse(m, "Unavailable", N_("This agent keeps no watch on the clock"));
        e = bus_event(EVENT_CLOCK_CONFIRMED, caller);
        if (!e)
                return -ENOMEM;
        event_set(e, FIELD_RESULT, "done");
        event_set(e, FIELD_DETAIL, reason);
        r = registry_begin(b->c.registry);
        if (r == 0)
                r = trail_append(b->c.trail, e);
        if (r == 0)
                r = b->c.clock_confirm(b->c.userdata);
        if (r == 0)
                r = registry_commit(b->c.registry);
        if (r != 0) {
                registry_rollback(b->c.registry);
                return bus_refuse_registry(m, r, NULL);
        }
        trail_kick(b->c.trail);
        b->c.clock_confirmed(b->c.userdata);
        return sd_bus_reply_method_return(m, NULL);
}

int status_bus_confirm_clock(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){
                        .method = "ConfirmClock",
                        .action = ACTION_CONFIRM_CLOCK,
                        .roles = ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER),
                        .noun = "clock",
                        .fn = do_confirm,
                });
}
