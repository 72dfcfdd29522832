/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "registry/internal.h"

/* Users, members, restrictions and terminals as a verdict needs them. */

void user_done(User *u) {
        free(u->uuid);
        free(u->account);
        free(u->person);
        free(u->name);
        free(u->unit);
        *u = (User){};
}

void terminal_done(Terminal *t) {
        free(t->uuid);
        free(t->name);
        free(t->unit);
        free(t->purpose);
        *t = (Terminal){};
}

#define USER_COLUMNS "uuid, account, person, name, unit, shared, retired"

static int read_user(Registry *r, const char *sql, const char *key, User *ret) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        _cleanup_(user_done) User u = {};
        char **const texts[] = { &u.uuid, &u.account, &u.person, &u.name, &u.unit };
        int q;

        q = statement_with(r, sql, &s, "t", key);
        if (q == 0)
                q = statement_row(s);
        for (size_t i = 0; q == 0 && i < ELEMENTSOF(texts); i++)
                q = column_dup(s, (int)i, texts[i]);
        if (q != 0)
                return q;
        u.shared = sqlite3_column_int(s, 5) != 0;
        u.retired = sqlite3_column_int(s, 6) != 0;

        *ret = u;
        u = (User){};
        return 0;
}

int registry_user(Registry *r, const char *account, User *ret) {
        static const char sql[] = "SELECT " USER_COLUMNS " FROM users WHERE account = ?1 AND deleted = 0";

        return read_user(r, sql, account, ret);
}

int registry_person(Registry *r, const char *person, User *ret) {
        static const char sql[] = "SELECT " USER_COLUMNS " FROM users WHERE person = ?1 AND deleted = 0"
                                  " AND shared = 0 AND retired = 0 ORDER BY id LIMIT 1";

        return read_user(r, sql, person, ret);
}

int registry_shared_member(Registry *r, const char *account, const char *person) {
        static const char sql[] = "SELECT 1 FROM members WHERE account = ?1 AND person = ?2 AND deleted = 0";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = statement_with(r, sql, &s, "tt", account, person);
        return q != 0 ? q : statement_row(s);
}

int registry_restriction(
        Registry *r, const char *account, const char *person, uint64_t now_usec, char **ret_uuid, char **ret_reason) {
        static const char sql[] = "SELECT uuid, reason FROM restrictions WHERE (account = ?1 OR person = ?2)"
                                  " AND deleted = 0 AND (valid_until = 0 OR valid_until > ?3) LIMIT 1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        _cleanup_free_ char *uuid = NULL, *reason = NULL;
        int q;

        q = statement_with(r, sql, &s, "tti", account, person, now_usec);
        if (q == 0)
                q = statement_row(s);
        if (q == 0)
                q = column_dup(s, 0, &uuid);
        if (q == 0)
                q = column_dup(s, 1, &reason);
        if (q != 0)
                return q;

        if (ret_uuid)
                *ret_uuid = TAKE_PTR(uuid);
        if (ret_reason)
                *ret_reason = TAKE_PTR(reason);
        return 0;
}

#define TERMINAL_COLUMNS                                                                                               \
        "t.uuid, t.name, t.unit, t.purpose, t.confidentiality, t.integrity, t.availability, t.external,"               \
        " t.retired"

static int read_terminal(sqlite3_stmt *s, Terminal *ret) {
        _cleanup_(terminal_done) Terminal t = {};
        char **const texts[] = { &t.uuid, &t.name, &t.unit, &t.purpose };
        int q;

        q = statement_row(s);
        for (size_t i = 0; q == 0 && i < ELEMENTSOF(texts); i++)
                q = column_dup(s, (int)i, texts[i]);
        if (q != 0)
                return q;
        t.confidentiality = (unsigned)sqlite3_column_int(s, 4);
        t.integrity = (unsigned)sqlite3_column_int(s, 5);
        t.availability = (unsigned)sqlite3_column_int(s, 6);
        t.external_line = sqlite3_column_int(s, 7) != 0;
        t.retired = sqlite3_column_int(s, 8) != 0;

        *ret = t;
        t = (Terminal){};
        return 0;
}

int registry_terminal_self(Registry *r, Terminal *ret) {
        static const char sql[] = "SELECT " TERMINAL_COLUMNS " FROM meta m CROSS JOIN terminals t ON t.uuid = m.value"
                                  " WHERE m.name = 'terminal' AND t.deleted = 0";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        return q != 0 ? q : read_terminal(s, ret);
}

int registry_terminal(Registry *r, const char *name, Terminal *ret) {
        static const char sql[] = "SELECT " TERMINAL_COLUMNS " FROM terminals t WHERE t.name = ?1 AND t.deleted = 0";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = statement_with(r, sql, &s, "t", name);
        return q != 0 ? q : read_terminal(s, ret);
}

int registry_birth(Registry *r, const char *account, char **ret) {
        static const char sql[] = "SELECT n.birth FROM users u CROSS JOIN users n ON n.person = u.person"
                                  " WHERE u.account = ?1 AND u.deleted = 0 AND n.deleted = 0 AND n.birth IS NOT NULL"
                                  " ORDER BY n.id <> u.id, n.id LIMIT 1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = statement_with(r, sql, &s, "t", account);
        if (q == 0)
                q = statement_row(s);
        return q != 0 ? q : column_dup(s, 0, ret);
}
