/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/password-report.h"

#include <errno.h>

#include "policy/password.h"
#include "util/clock.h"
#include "util/json.h"

#define DAY_USEC (86400 * USEC_PER_SEC)

int password_report_account(
        Registry *registry, const Config *config, const User *user, uint64_t now_usec, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object();
        const char *state = "unknown", *reason = NULL;
        PasswordAge age = PASSWORD_AGE_FINE;
        PasswordRow row = {};
        unsigned days;
        int r;

        if (!o)
                return -ENOMEM;
        r = user->uuid ? registry_password(registry, user->uuid, &row) : REGISTRY_E_NOT_FOUND;
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        if (r == 0) {
                age = password_age(
                        row.changed_usec, now_usec, config->password_max_days, config->password_warn_days, &days);
                state = age == PASSWORD_AGE_DUE ? "due" : age == PASSWORD_AGE_WARN ? "warn" : "fine";
                reason = age == PASSWORD_AGE_DUE ? "max-age" : NULL;
                if (json_set_uint(o, "changed_usec", row.changed_usec) < 0 ||
                        json_set_string(o, "source", password_source_to_string(row.source)) < 0)
                        return -ENOMEM;
                if (config->password_max_days > 0 &&
                        json_set_uint(o, "due_usec", row.changed_usec + config->password_max_days * DAY_USEC) < 0)
                        return -ENOMEM;
        }
        r = user->shared ? registry_shared_password_is_due(registry, user->account) : REGISTRY_E_NOT_FOUND;
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        if (r == 0) {
                state = "due";
                reason = "member-left";
        }
        if (json_set_string(o, "state", state) < 0 || json_set_string(o, "reason", reason) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}

static const char *secret_state(Passwords *p, uint64_t fingerprints) {
        int r = p ? passwords_check_secret(p) : -EIO;

        if (r == PASSWORDS_E_SECRET)
                return "lost";
        if (r != 0)
                return "unreadable";
        return fingerprints > 0 ? "right" : "none";
}

int password_report_all(Passwords *p, const Config *config, Registry *registry, uint64_t now_usec, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object();
        uint64_t max = config->password_max_days * DAY_USEC;
        PasswordCounts counts;
        int r;

        if (!o)
                return -ENOMEM;
        r = registry_password_count(registry, max > 0 && now_usec > max ? now_usec - max : 0, &counts);
        if (r != 0)
                return r;
        if (json_set_uint(o, "max_days", config->password_max_days) < 0 ||
                json_set_uint(o, "warn_days", config->password_warn_days) < 0 ||
                json_set_uint(o, "min_length", config->password_min_length) < 0 ||
                json_set_uint(o, "min_classes", config->password_min_classes) < 0 ||
                json_set_uint(o, "history", config->password_history) < 0 ||
                json_set_uint(o, "known", counts.known) < 0 || json_set_uint(o, "overdue", counts.old) < 0 ||
                json_set_uint(o, "shared_due", counts.shared_due) < 0 ||
                json_set_uint(o, "compared", counts.fingerprints) < 0 ||
                json_set_string(o, "secret", secret_state(p, counts.fingerprints)) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}
