/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/password.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "registry/internal.h"

/* Column `state` of password_fingerprints. */
enum {
        STATE_FORMER,
        STATE_CURRENT,
        STATE_PENDING,
};

const char *password_source_to_string(PasswordSource s) {
        static const char *const names[_PASSWORD_SOURCE_MAX] = {
                [PASSWORD_SEEN] = "seen",
                [PASSWORD_SHADOW] = "shadow",
                [PASSWORD_CHANGED] = "changed",
        };

        return s >= 0 && s < _PASSWORD_SOURCE_MAX ? names[s] : NULL;
}

static int bind_text(sqlite3_stmt *s, int at, const char *text) {
        return registry_result(sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC));
}

static int bind_fingerprint(sqlite3_stmt *s, int at, const Fingerprint *f) {
        return registry_result(sqlite3_bind_blob(s, at, f->bytes, sizeof(f->bytes), SQLITE_STATIC));
}

static int bind_number(sqlite3_stmt *s, int at, uint64_t number) {
        return registry_result(sqlite3_bind_int64(s, at, (sqlite3_int64)number));
}

/* A statement with the account as its first parameter, run to its end. */
static int run_for(Registry *r, const char *sql, const char *user) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_text(s, 1, user);
        return q != 0 ? q : statement_run(s);
}

int registry_password(Registry *r, const char *user, PasswordRow *ret) {
        static const char sql[] =
                "SELECT p.changed, p.source, coalesce(c.taken, 0),"
                " EXISTS (SELECT 1 FROM password_fingerprints w WHERE w.user = ?1 AND w.state = 2)"
                " FROM passwords p LEFT JOIN password_fingerprints c ON c.user = p.user AND c.state = 1"
                " WHERE p.user = ?1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int source, q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_text(s, 1, user);
        if (q == 0)
                q = statement_row(s);
        if (q != 0)
                return q;
        source = sqlite3_column_int(s, 1);
        *ret = (PasswordRow){
                .changed_usec = (uint64_t)sqlite3_column_int64(s, 0),
                .source = source > PASSWORD_SEEN && source < _PASSWORD_SOURCE_MAX ? (PasswordSource)source
                                                                                  : PASSWORD_SEEN,
                .taken_usec = (uint64_t)sqlite3_column_int64(s, 2),
                .pending = sqlite3_column_int(s, 3) != 0,
        };
        return 0;
}

int registry_shared_password_is_due(Registry *r, const char *account) {
        static const char sql[] = "SELECT 1 FROM shared_password_due WHERE account = ?1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_text(s, 1, account);
        return q != 0 ? q : statement_row(s);
}

int registry_fingerprint_find(Registry *r, const char *user, const Fingerprint *fingerprint, FingerprintMatch *ret) {
        static const char sql[] = "SELECT f.fingerprint, f.state, f.user IS ?1 FROM password_fingerprints f"
                                  " WHERE f.user IS ?1 OR (f.state <> 0 AND EXISTS"
                                  " (SELECT 1 FROM users u WHERE u.uuid = f.user AND u.deleted = 0))";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        unsigned current = 0, former = 0, anothers = 0;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_text(s, 1, user);
        while (q == 0 && (q = statement_row(s)) == 0) {
                const void *bytes = sqlite3_column_blob(s, 0);
                unsigned own = sqlite3_column_int(s, 2) != 0, is_former = sqlite3_column_int(s, 1) == STATE_FORMER;
                unsigned same;

                if (!bytes || sqlite3_column_bytes(s, 0) != (int)FINGERPRINT_SIZE)
                        return REGISTRY_E_UNUSABLE;
                same = CRYPTO_memcmp(bytes, fingerprint->bytes, FINGERPRINT_SIZE) == 0;
                current |= same & own & !is_former;
                former |= same & own & is_former;
                anothers |= same & !own;
        }
        if (q != REGISTRY_E_NOT_FOUND)
                return q;
        *ret = (FingerprintMatch){ .current = current, .former = former, .anothers = anothers };
        return 0;
}

int registry_password_note(Registry *r, const char *user, uint64_t changed_usec, PasswordSource source) {
        static const char sql[] = "INSERT INTO passwords (user, changed, source) VALUES (?1, ?2, ?3)"
                                  " ON CONFLICT (user) DO UPDATE SET changed = excluded.changed,"
                                  " source = excluded.source";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        if (!registry_in_transaction(r))
                return -EPERM;
        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_text(s, 1, user);
        if (q == 0)
                q = bind_number(s, 2, changed_usec);
        if (q == 0)
                q = bind_number(s, 3, (uint64_t)source);
        return q != 0 ? q : statement_run(s);
}

static int put(Registry *r, const char *user, const Fingerprint *fingerprint, uint64_t now_usec, int state) {
        static const char sql[] = "INSERT INTO password_fingerprints (user, fingerprint, taken, state)"
                                  " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user, fingerprint) DO UPDATE SET"
                                  " taken = excluded.taken, state = excluded.state";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_text(s, 1, user);
        if (q == 0)
                q = bind_fingerprint(s, 2, fingerprint);
        if (q == 0)
                q = bind_number(s, 3, now_usec);
        if (q == 0)
                q = bind_number(s, 4, (uint64_t)state);
        return q != 0 ? q : statement_run(s);
}

static int trim(Registry *r, const char *user, unsigned history) {
        static const char sql[] = "DELETE FROM password_fingerprints WHERE user = ?1 AND state = 0"
                                  " AND fingerprint NOT IN (SELECT fingerprint FROM password_fingerprints"
                                  " WHERE user = ?1 AND state = 0 ORDER BY taken DESC LIMIT ?2)";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_text(s, 1, user);
        if (q == 0)
                q = bind_number(s, 2, history);
        return q != 0 ? q : statement_run(s);
}

int registry_fingerprint_current(
        Registry *r, const char *user, const Fingerprint *fingerprint, uint64_t now_usec, unsigned history) {
        static const char former_sql[] = "UPDATE password_fingerprints SET state = 0 WHERE user = ?1 AND state = 1"
                                         " AND fingerprint IS NOT ?2";
        static const char pending_sql[] = "DELETE FROM password_fingerprints WHERE user = ?1 AND state = 2"
                                          " AND fingerprint IS NOT ?2";
        const char *const sqls[] = { former_sql, pending_sql };
        int q = 0;

        if (!registry_in_transaction(r))
                return -EPERM;
        for (size_t i = 0; q == 0 && i < ELEMENTSOF(sqls); i++) {
                _cleanup_statement_ sqlite3_stmt *s = NULL;

                q = registry_statement(r, sqls[i], &s);
                if (q == 0)
                        q = bind_text(s, 1, user);
                if (q == 0)
                        q = bind_fingerprint(s, 2, fingerprint);
                if (q == 0)
                        q = statement_run(s);
        }
        if (q == 0)
                q = put(r, user, fingerprint, now_usec, STATE_CURRENT);
        return q != 0 ? q : trim(r, user, history);
}

int registry_fingerprint_pending(Registry *r, const char *user, const Fingerprint *fingerprint, uint64_t now_usec) {
        int q;

        if (!registry_in_transaction(r))
                return -EPERM;
        q = registry_fingerprint_drop(r, user);
        return q != 0 ? q : put(r, user, fingerprint, now_usec, STATE_PENDING);
}

int registry_fingerprint_drop(Registry *r, const char *user) {
        static const char sql[] = "DELETE FROM password_fingerprints WHERE user = ?1 AND state = 2";

        return registry_in_transaction(r) ? run_for(r, sql, user) : -EPERM;
}

int registry_fingerprint_is_pending(
        Registry *r, const char *user, const Fingerprint *fingerprint, uint64_t *ret_since_usec) {
        static const char sql[] = "SELECT fingerprint, taken FROM password_fingerprints WHERE user = ?1 AND state = 2";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_text(s, 1, user);
        if (q == 0)
                q = statement_row(s);
        if (q != 0)
                return q;
        if (sqlite3_column_bytes(s, 0) != (int)FINGERPRINT_SIZE ||
                CRYPTO_memcmp(sqlite3_column_blob(s, 0), fingerprint->bytes, FINGERPRINT_SIZE) != 0)
                return REGISTRY_E_NOT_FOUND;
        *ret_since_usec = (uint64_t)sqlite3_column_int64(s, 1);
        return 0;
}

int registry_shared_password_done(Registry *r, const char *account) {
        static const char sql[] = "DELETE FROM shared_password_due WHERE account = ?1";

        return registry_in_transaction(r) ? run_for(r, sql, account) : -EPERM;
}

int registry_fingerprint_forget_all(Registry *r) {
        static const char sql[] = "DELETE FROM password_fingerprints";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        if (!registry_in_transaction(r))
                return -EPERM;
        q = registry_statement(r, sql, &s);
        return q != 0 ? q : statement_run(s);
}

int registry_password_count(Registry *r, uint64_t before_usec, PasswordCounts *ret) {
        static const char sql[] = "SELECT count(*), count(*) FILTER (WHERE p.changed <= ?1),"
                                  " count(f.user), (SELECT count(*) FROM shared_password_due)"
                                  " FROM passwords p CROSS JOIN users u ON u.uuid = p.user"
                                  " LEFT JOIN password_fingerprints f ON f.user = p.user AND f.state = 1"
                                  " WHERE u.deleted = 0 AND u.retired = 0";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_number(s, 1, before_usec);
        if (q == 0)
                q = statement_row(s);
        if (q != 0)
                return q;
        *ret = (PasswordCounts){
                .known = (uint64_t)sqlite3_column_int64(s, 0),
                .old = (uint64_t)sqlite3_column_int64(s, 1),
                .fingerprints = (uint64_t)sqlite3_column_int64(s, 2),
                .shared_due = (uint64_t)sqlite3_column_int64(s, 3),
        };
        return 0;
}
