/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <time.h>

#include "policy/date.h"
#include "registry/noun.h"
#include "util/clock.h"

/* What must hold between rows when one is added, changed or removed. */

#define REVIEW_MAX_USEC (2 * 366 * 86400 * USEC_PER_SEC)

/* Runs a counting query with one text parameter. */
static int count(Registry *r, const char *sql, const char *text, int64_t *ret) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 1, text, -1, SQLITE_STATIC));
        if (q == 0)
                q = statement_row(s);
        if (q == 0)
                *ret = sqlite3_column_int64(s, 0);
        return q;
}

/* A day behind the present one on the terminal's clock. */
static bool is_future(const char *date, uint64_t now_usec) {
        time_t now = (time_t)(now_usec / USEC_PER_SEC);
        struct tm tm;
        Date d, today;

        if (!date_parse(date, &d) || !localtime_r(&now, &tm))
                return true;
        today = (Date){ (unsigned)tm.tm_year + 1900, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday };
        return date_compare(d, today) > 0;
}

static int birth_check(const Row *before, const Row *after, uint64_t now_usec, RegistryError *e) {
        const char *birth = after->values[USER_BIRTH].text, *was = before ? before->values[USER_BIRTH].text : NULL;

        if (!birth)
                return 0;
        if (after->values[USER_SHARED].number != 0)
                return registry_error(e, REGISTRY_E_INVALID, "birth", "a shared ID has no birth date");
        if ((!was || strcmp(was, birth) != 0) && is_future(birth, now_usec))
                return registry_error(e, REGISTRY_E_INVALID, "birth", "birth must not be in the future");
        return 0;
}

int user_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e) {
        static const char sql[] = "SELECT count(*) FROM members WHERE account = ?1 AND deleted = 0";
        int64_t n;
        int q;

        q = birth_check(before, after, now_usec, e);
        if (q != 0)
                return q;
        if (!before || before->values[USER_SHARED].number == 0 || after->values[USER_SHARED].number != 0)
                return 0;
        q = count(r, sql, after->values[USER_ACCOUNT].text, &n);
        if (q == 0 && n > 0)
                return registry_error(
                        e, REGISTRY_E_IN_USE, "shared", "the shared account has members; remove them first");
        return q;
}

int member_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e) {
        const char *account = after->values[MEMBER_ACCOUNT].text, *person = after->values[MEMBER_PERSON].text;
        _cleanup_(user_done) User shared = {}, member = {};
        int q;

        q = registry_user(r, account, &shared);
        if (q == REGISTRY_E_NOT_FOUND || (q == 0 && !shared.shared))
                return registry_error(e, REGISTRY_E_INVALID, "account", "\"%s\" is not registered as a shared account",
                        shown(account).text);
        if (q != 0)
                return q;
        q = registry_person(r, person, &member);
        if (q == REGISTRY_E_NOT_FOUND)
                return registry_error(e, REGISTRY_E_INVALID, "person",
                        "nobody with staff number \"%s\" has an active account of their own", shown(person).text);
        return q;
}

/* Whether a list can let anybody in from another machine. */
static bool services_can_be_remote(const char *list) {
        if (!list)
                return false;
        for (size_t n; list += strspn(list, " "), (n = strcspn(list, " ")) > 0; list += n)
                if ((*list != '@' && *list != '*') || (n == strlen("@remote") && memcmp(list, "@remote", n) == 0))
                        return true;
        return false;
}

static int remote_check(int64_t remote, const char *services, RegistryError *e) {
        if (remote == 0 || services_can_be_remote(services))
                return 0;
        return registry_error(e, REGISTRY_E_INVALID, "services",
                "remote logins need services that name them: @remote, or a service such as sshd");
}

int scope_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e) {
        const Value *v = after->values;

        if (v[SCOPE_UNTIL].number > 0 && v[SCOPE_FROM].number >= v[SCOPE_UNTIL].number)
                return registry_error(e, REGISTRY_E_INVALID, "until", "until must be later than from");
        return remote_check(v[SCOPE_REMOTE].number, v[SCOPE_SERVICES].text, e);
}

int designation_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e) {
        _cleanup_(row_done) Row scope = {};
        int q;

        q = row_read_id(r, NOUN_SCOPE, after->values[DESIGNATION_SCOPE].number, &scope);
        if (q == REGISTRY_E_NOT_FOUND)
                return registry_error(e, REGISTRY_E_INVALID, "scope", "the scope does not exist any more");
        if (q == 0)
                q = designation_inside(r, after, &scope, NULL, e);
        if (q == 0)
                q = remote_check(after->values[DESIGNATION_REMOTE].number, after->values[DESIGNATION_SERVICES].text, e);
        if (q == 0 && after->values[DESIGNATION_REVIEW].number > (int64_t)(now_usec + REVIEW_MAX_USEC) &&
                (!before || before->values[DESIGNATION_REVIEW].number != after->values[DESIGNATION_REVIEW].number))
                return registry_error(e, REGISTRY_E_INVALID, "review", "review must be within two years");
        return q;
}

int deputy_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e) {
        int64_t from = after->values[DEPUTY_FROM].number, until = after->values[DEPUTY_UNTIL].number;
        const char *person = after->values[DEPUTY_PERSON].text;
        _cleanup_(user_done) User user = {};
        int q;

        if (from >= until)
                return registry_error(e, REGISTRY_E_INVALID, "until", "until must be later than from");
        if (before)
                return 0;
        if ((uint64_t)until <= now_usec)
                return registry_error(e, REGISTRY_E_INVALID, "until", "until must be in the future");
        q = registry_person(r, person, &user);
        if (q == REGISTRY_E_NOT_FOUND)
                return registry_error(e, REGISTRY_E_INVALID, "person",
                        "nobody with staff number \"%s\" has an active account of their own", shown(person).text);
        return q;
}

int restriction_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e) {
        static const char account_sql[] = "SELECT count(*) FROM users WHERE account = ?1 AND deleted = 0";
        static const char person_sql[] = "SELECT count(*) FROM users WHERE person = ?1 AND deleted = 0";
        const char *account = after->values[RESTRICTION_ACCOUNT].text, *person = after->values[RESTRICTION_PERSON].text;
        int64_t until = after->values[RESTRICTION_UNTIL].number, n;
        int q;

        if (!account == !person)
                return registry_error(e, REGISTRY_E_INVALID, account ? "person" : "account",
                        "either an account or a person (staff number) is needed, not both");
        if (until > 0 && (uint64_t)until <= now_usec)
                return registry_error(e, REGISTRY_E_INVALID, "until", "until must be in the future");
        if (before)
                return 0;
        q = count(r, account ? account_sql : person_sql, account ? account : person, &n);
        if (q == 0 && n == 0)
                return registry_error(e, REGISTRY_E_INVALID, account ? "account" : "person",
                        account ? "account \"%s\" is not registered, and so has no access to restrict"
                                : "nobody with staff number \"%s\" is registered",
                        shown(account ? account : person).text);
        return q;
}

/* A card or key serves one person (R6): nobody is given what another has or had, but for stand-ins, which go from hand
 * to hand one at a time. */
static int key_serves_another(Registry *r, const Value *v, RegistryError *e) {
        static const char sql[] = "SELECT count(*) FROM credentials WHERE deleted = 0 AND (key = ?1 OR credential = ?2)"
                                  " AND (state IN ('active', 'suspended')"
                                  " OR (person <> ?3 AND (replaces IS NULL OR ?4 IS NULL)))";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 1, v[CREDENTIAL_F_KEY].text, -1, SQLITE_STATIC));
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 2, v[CREDENTIAL_F_ID].text, -1, SQLITE_STATIC));
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 3, v[CREDENTIAL_F_PERSON].text, -1, SQLITE_STATIC));
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 4, v[CREDENTIAL_F_REPLACES].text, -1, SQLITE_STATIC));
        if (q == 0)
                q = statement_row(s);
        if (q == 0 && sqlite3_column_int64(s, 0) > 0)
                return registry_error(
                        e, REGISTRY_E_EXISTS, "key", "this card or key is registered already, or was another person's");
        return q;
}

/* One card and one key a person, and one stand-in beside the card. */
static int person_has_one(Registry *r, const Value *v, RegistryError *e) {
        static const char sql[] = "SELECT count(*) FROM credentials WHERE deleted = 0 AND person = ?1 AND kind = ?2"
                                  " AND state IN ('active', 'suspended') AND (replaces IS NULL) = ?3";
        bool card = strcmp(v[CREDENTIAL_F_KIND].text, "card") == 0;
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 1, v[CREDENTIAL_F_PERSON].text, -1, SQLITE_STATIC));
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 2, v[CREDENTIAL_F_KIND].text, -1, SQLITE_STATIC));
        if (q == 0)
                q = registry_result(sqlite3_bind_int(s, 3, v[CREDENTIAL_F_REPLACES].text == NULL));
        if (q == 0)
                q = statement_row(s);
        if (q == 0 && sqlite3_column_int64(s, 0) > 0)
                return registry_error(e, REGISTRY_E_EXISTS, "person",
                        card ? "person \"%s\" has a card already; have it returned or removed first"
                             : "person \"%s\" has a key already; register it again, or remove it first",
                        shown(v[CREDENTIAL_F_PERSON].text).text);
        return q;
}

int credential_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e) {
        const Value *v = after->values;
        bool card = strcmp(v[CREDENTIAL_F_KIND].text, "card") == 0;
        _cleanup_(user_done) User user = {};
        int q;

        if (v[CREDENTIAL_F_UNTIL].number > 0 && v[CREDENTIAL_F_FROM].number >= v[CREDENTIAL_F_UNTIL].number)
                return registry_error(e, REGISTRY_E_INVALID, "until", "until must be later than from");
        if (before)
                return 0;
        if (!v[CREDENTIAL_F_APPLICATION].text == card)
                return registry_error(
                        e, REGISTRY_E_INVALID, "application", "a card has an application, a key has none");
        if (card ? v[CREDENTIAL_F_ID].text || v[CREDENTIAL_F_RP].text
                 : !v[CREDENTIAL_F_ID].text || !v[CREDENTIAL_F_RP].text)
                return registry_error(e, REGISTRY_E_INVALID, "credential",
                        "a key has a credential id and a relying party, a card has neither");
        if (v[CREDENTIAL_F_REPLACES].text && (!card || v[CREDENTIAL_F_UNTIL].number == 0))
                return registry_error(e, REGISTRY_E_INVALID, "replaces", "a stand-in is a card, and has an end");
        q = registry_person(r, v[CREDENTIAL_F_PERSON].text, &user);
        if (q == REGISTRY_E_NOT_FOUND)
                return registry_error(e, REGISTRY_E_INVALID, "person",
                        "nobody with staff number \"%s\" has an active account of their own",
                        shown(v[CREDENTIAL_F_PERSON].text).text);
        if (q == 0)
                q = key_serves_another(r, v, e);
        return q == 0 ? person_has_one(r, v, e) : q;
}

int user_use(Registry *r, const Row *row, RegistryError *e) {
        static const char designations_sql[] =
                "SELECT count(*) FROM designations WHERE subject = 'user:' || ?1 AND deleted = 0";
        static const char members_sql[] = "SELECT count(*) FROM members WHERE account = ?1 AND deleted = 0";
        const char *account = row->values[USER_ACCOUNT].text;
        int64_t n;
        int q;

        q = count(r, designations_sql, account, &n);
        if (q == 0 && n > 0)
                return registry_error(e, REGISTRY_E_IN_USE, "account",
                        "the user has %lld designations; remove them first, or set the user retired", (long long)n);
        if (q == 0)
                q = count(r, members_sql, account, &n);
        if (q == 0 && n > 0)
                return registry_error(e, REGISTRY_E_IN_USE, "account",
                        "the shared account has %lld members; remove them first", (long long)n);
        return q;
}

int terminal_use(Registry *r, const Row *row, RegistryError *e) {
        static const char self_sql[] = "SELECT count(*) FROM meta WHERE name = 'terminal' AND value = ?1";
        static const char scopes_sql[] = "SELECT count(*) FROM scopes WHERE terminals = 'name:' || ?1 AND deleted = 0";
        static const char designations_sql[] =
                "SELECT count(*) FROM designations WHERE terminals = 'name:' || ?1 AND deleted = 0";
        const char *name = row->values[TERMINAL_F_NAME].text;
        int64_t n, m;
        int q;

        q = count(r, self_sql, row->uuid, &n);
        if (q == 0 && n > 0)
                return registry_error(e, REGISTRY_E_IN_USE, "name", "this is the terminal itself");
        if (q == 0)
                q = count(r, scopes_sql, name, &n);
        if (q == 0)
                q = count(r, designations_sql, name, &m);
        if (q == 0 && n + m > 0)
                return registry_error(e, REGISTRY_E_IN_USE, "name",
                        "%lld scopes and %lld designations name the terminal; change or remove them first",
                        (long long)n, (long long)m);
        return q;
}

int scope_use(Registry *r, const Row *row, RegistryError *e) {
        static const char sql[] = "SELECT count(*) FROM designations d CROSS JOIN scopes s ON s.id = d.scope"
                                  " WHERE s.uuid = ?1 AND d.deleted = 0";
        int64_t n;
        int q;

        q = count(r, sql, row->uuid, &n);
        if (q == 0 && n > 0)
                return registry_error(e, REGISTRY_E_IN_USE, "name",
                        "the scope has %lld designations; remove them first", (long long)n);
        return q;
}
