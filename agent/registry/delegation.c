/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "registry/internal.h"

/* What delegation keeps besides the rows themselves: who stands in for whom, what is used, whose password is due. */

bool unit_role_valid(const char *role) {
        return strcmp(role, "unit-head") == 0 || strcmp(role, "duty-officer") == 0;
}

int registry_deputies(Registry *r, const char *person, uint64_t now_usec, deputy_fn fn, void *userdata) {
        static const char sql[] = "SELECT uuid, role, unit FROM deputies WHERE person = ?1 AND deleted = 0"
                                  " AND valid_from <= ?2 AND valid_until > ?2 ORDER BY id";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = statement_with(r, sql, &s, "ti", person, now_usec);
        while (q == 0 && (q = statement_row(s)) == 0) {
                const char *uuid, *role, *unit;

                q = column_text(s, 0, &uuid);
                if (q == 0)
                        q = column_text(s, 1, &role);
                if (q == 0)
                        q = column_text(s, 2, &unit);
                if (q == 0)
                        q = fn(uuid, role, unit, userdata);
        }
        return q == REGISTRY_E_NOT_FOUND ? 0 : q;
}

int registry_person_in_unit(Registry *r, const char *person, const char *unit) {
        static const char sql[] = "SELECT 1 FROM users WHERE person = ?1 AND unit = ?2 AND deleted = 0 LIMIT 1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = statement_with(r, sql, &s, "tt", person, unit);
        return q != 0 ? q : statement_row(s);
}

int registry_designation_used(Registry *r, const char *uuid, uint64_t now_usec) {
        static const char sql[] = "INSERT INTO last_used (designation, used) VALUES (?1, ?2)"
                                  " ON CONFLICT (designation) DO UPDATE SET used = excluded.used";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = statement_with(r, sql, &s, "ti", uuid, now_usec);
        return q != 0 ? q : statement_run(s);
}

int registry_shared_password_due(Registry *r, const char *account, const char *person, uint64_t now_usec) {
        static const char sql[] = "INSERT INTO shared_password_due (account, since, person) VALUES (?1, ?2, ?3)"
                                  " ON CONFLICT (account) DO UPDATE SET person = excluded.person";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = statement_with(r, sql, &s, "tit", account, now_usec, person);
        return q != 0 ? q : statement_run(s);
}
