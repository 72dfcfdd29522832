/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "config/key.h"
#include "login/bus-internal.h"
#include "trail/kind.h"
#include "trail/summary.h"
#include "util/clock.h"
#include "util/text.h"

/* What only the agent knows of whether the rules are in force here (R35): settings, counts and what the trail says; no
 * personal data. keishictl puts it into words, row by row. To look is to read the trail, and is recorded as that. */

typedef struct Count {
        const char *name;
        const char *sql; /* one number; ?1 is the time now, where it is named */
} Count;

static const Count counts[] = {
        { "users", "SELECT count(*) FROM users WHERE deleted = 0 AND retired = 0" },
        { "retired", "SELECT count(*) FROM users WHERE deleted = 0 AND retired = 1" },
        { "shared", "SELECT count(*) FROM users WHERE deleted = 0 AND retired = 0 AND shared = 1" },
        { "shared_without_members",
                "SELECT count(*) FROM users u WHERE deleted = 0 AND retired = 0 AND shared = 1 AND NOT EXISTS"
                " (SELECT 1 FROM members m WHERE m.deleted = 0 AND m.account = u.account)" },
        { "shared_password_due", "SELECT count(*) FROM shared_password_due" },
        { "members", "SELECT count(*) FROM members WHERE deleted = 0" },
        { "terminals", "SELECT count(*) FROM terminals WHERE deleted = 0" },
        { "scopes", "SELECT count(*) FROM scopes WHERE deleted = 0" },
        { "designations",
                "SELECT count(*) FROM designations WHERE deleted = 0 AND (valid_until = 0 OR valid_until > ?1)" },
        { "designations_here", "SELECT count(*) FROM here WHERE valid_until = 0 OR valid_until > ?1" },
        { "designations_here_remote",
                "SELECT count(*) FROM here WHERE remote = 1 AND (valid_until = 0 OR valid_until > ?1)" },
        { "designations_here_hours",
                "SELECT count(*) FROM here WHERE hours IS NOT NULL AND (valid_until = 0 OR valid_until > ?1)" },
        { "review_missing", "SELECT count(*) FROM designations WHERE deleted = 0 AND review = 0 AND (valid_until = 0 "
                            "OR valid_until > ?1)" },
        { "review_overdue", "SELECT count(*) FROM designations WHERE deleted = 0 AND review > 0 AND review < ?1"
                            " AND (valid_until = 0 OR valid_until > ?1)" },
        { "restrictions",
                "SELECT count(*) FROM restrictions WHERE deleted = 0 AND (valid_until = 0 OR valid_until > ?1)" },
        { "sessions", "SELECT count(*) FROM sessions" },
        { "cards", "SELECT count(*) FROM credentials WHERE deleted = 0 AND kind = 'card' AND state = 'active'" },
        { "cards_suspended",
                "SELECT count(*) FROM credentials WHERE deleted = 0 AND kind = 'card' AND state = 'suspended'" },
        { "keys", "SELECT count(*) FROM credentials WHERE deleted = 0 AND kind = 'key' AND state = 'active'" },
};

static int add_counts(Bus *b, json_object *o, uint64_t now) {
        _cleanup_json_ json_object *all = json_object_new_object();
        int r;

        if (!all)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
                _cleanup_statement_ sqlite3_stmt *s = NULL;

                r = registry_statement(b->c.registry, counts[i].sql, &s);
                if (r != 0)
                        return r;
                if (sqlite3_bind_parameter_count(s) > 0 && sqlite3_bind_int64(s, 1, (int64_t)now) != SQLITE_OK)
                        return -EIO;
                r = sqlite3_step(s);
                if (r != SQLITE_ROW)
                        return registry_result(r);
                if (json_set_uint(all, counts[i].name, (uint64_t)sqlite3_column_int64(s, 0)) < 0)
                        return -ENOMEM;
        }
        return json_set(o, "counts", TAKE_PTR(all));
}

static int add_policy(Bus *b, json_object *o, const TrailSummary *s) {
        _cleanup_json_ json_object *policy = json_object_new_object(), *roles = json_object_new_object();
        _cleanup_(terminal_done) Terminal self = {};
        const Config *c = b->c.config;

        (void)registry_terminal_self(b->c.registry, &self); /* without one: what counts for all */
        if (!policy || !roles || json_set_string(policy, "hash", c->hash) < 0 ||
                json_set_boolean(policy, "recorded", strcmp(s->policy.hash, c->hash) == 0) < 0 ||
                json_set_uint(policy, "since_usec", s->policy.since_usec) < 0 ||
                json_set_boolean(policy, "since_exact", s->policy.ended || s->whole) < 0 ||
                json_set_uint(policy, "attempts_max", c->attempts_max) < 0 ||
                json_set_uint(policy, "attempts_window_usec", c->attempts_window_usec) < 0 ||
                json_set_string(policy, "second_login", on_second_login_to_string(c->on_second_login)) < 0 ||
                json_set_uint(policy, "staff_uid_min", c->staff_uid_min) < 0 ||
                factors_add(c, self.confidentiality, policy) < 0)
                return -ENOMEM;
        for (Role r = 0; r < _ROLE_MAX; r++)
                if (json_set_string(roles, role_to_string(r), c->role_groups[r]) < 0)
                        return -ENOMEM;
        if (json_set(policy, "roles", TAKE_PTR(roles)) < 0)
                return -ENOMEM;
        return json_set(o, "policy", TAKE_PTR(policy));
}

static int add_pam(json_object *o, const TrailSummary *s) {
        _cleanup_json_ json_object *pam = json_object_new_object();

        if (!pam || json_set_string(pam, "hash", *s->pam.hash ? s->pam.hash : NULL) < 0 ||
                json_set_uint(pam, "since_usec", s->pam.since_usec) < 0)
                return -ENOMEM;
        return json_set(o, "pam", TAKE_PTR(pam));
}

static int add_trail(json_object *o, const TrailSummary *s) {
        _cleanup_json_ json_object *trail = json_object_new_object(), *events = json_object_new_object();

        if (!trail || !events || json_set_uint(trail, "first_seq", s->first_seq) < 0 ||
                json_set_uint(trail, "first_usec", s->first_usec) < 0 ||
                json_set_uint(trail, "last_seq", s->last_seq) < 0 ||
                json_set_uint(trail, "last_usec", s->last_usec) < 0 ||
                json_set_uint(trail, "looked_at", s->looked_at) < 0 ||
                json_set_uint(trail, "missing", s->missing) < 0 || json_set_boolean(trail, "whole", s->whole) < 0)
                return -ENOMEM;
        for (EventKind k = 0; k < _EVENT_MAX; k++) {
                _cleanup_json_ json_object *event = NULL;

                if (s->kinds[k].count == 0)
                        continue;
                event = json_object_new_object();
                if (!event || json_set_uint(event, "count", s->kinds[k].count) < 0 ||
                        json_set_uint(event, "last_usec", s->kinds[k].last_usec) < 0 ||
                        json_set(events, kind_info(k)->name, TAKE_PTR(event)) < 0)
                        return -ENOMEM;
        }
        if (json_set(trail, "events", TAKE_PTR(events)) < 0)
                return -ENOMEM;
        return json_set(o, "trail", TAKE_PTR(trail));
}

static int add_setup(Bus *b, json_object *o) {
        _cleanup_free_ char *setup = NULL;
        uint64_t usec;
        int r;

        r = registry_meta_get(b->c.registry, "setup", &setup);
        if (r == REGISTRY_E_NOT_FOUND)
                return 0;
        if (r != 0)
                return r;
        if (parse_uint64(setup, 1, INT64_MAX, &usec) < 0)
                return 0;
        return json_set_uint(o, "setup_usec", usec);
}

static int do_audit(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *o = json_object_new_object(), *request = NULL;
        static const char *const none[] = { NULL };
        _cleanup_(event_free_p) Event *e = NULL;
        uint64_t now = clock_usec(CLOCK_REALTIME);
        TrailSummary s;
        const char *text;
        int r;

        if (!o)
                return -ENOMEM;
        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (json_parse_object(text, &request) < 0 || !json_only_has(request, none, NULL))
                return bus_refuse(m, "Invalid", N_("The request is not an empty JSON object"));

        r = trail_summary(b->c.trail, &s);
        if (r == 0)
                r = json_set_uint(o, "now_usec", now);
        if (r == 0)
                r = add_setup(b, o);
        if (r == 0)
                r = add_policy(b, o, &s);
        if (r == 0)
                r = add_pam(o, &s);
        if (r == 0)
                r = add_trail(o, &s);
        if (r == 0)
                r = add_counts(b, o, now);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);

        e = bus_event(EVENT_TRAIL_READ, caller);
        if (!e)
                return -ENOMEM;
        event_set(e, FIELD_RESULT, "done");
        event_set_uint(e, FIELD_COUNT, s.looked_at);
        event_set(e, FIELD_DETAIL, "audit report");
        r = trail_record(b->c.trail, e);
        return r != 0 ? bus_refuse_registry(m, r, NULL) : bus_reply_json(m, o);
}

int audit_bus_audit(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){
                        .method = "Audit",
                        .action = ACTION_TRAIL,
                        .roles = ROLE_BIT(ROLE_TRAIL_VIEWER) | ROLE_BIT(ROLE_SYSTEM_MANAGER),
                        .noun = "audit",
                        .fn = do_audit,
                });
}
