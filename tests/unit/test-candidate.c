/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "noun-fixture.h"

/* What a verdict needs of the registry: people, restrictions, this terminal, and the candidates of a login. */

static void people_are_found_by_account_and_by_staff_number(void **state) {
        User u;

        add_office();
        must_add(NOUN_USER, "{'account':'hanako-adm','person':'1001','name':'山田花子','unit':'会計課'}");
        must_add(NOUN_MEMBER, "{'account':'keiri','person':'1001'}");

        assert_int_equal(registry_user(registry, "keiri", &u), 0);
        assert_true(u.shared);
        assert_string_equal(u.unit, "会計課");
        user_done(&u);
        assert_int_equal(registry_user(registry, "nobody", &u), REGISTRY_E_NOT_FOUND);
        assert_int_equal(registry_person(registry, "1001", &u), 0);
        assert_string_equal(u.account, "hanako");
        user_done(&u);
        must_change(NOUN_USER, "hanako", "{'retired':true}");
        assert_int_equal(registry_person(registry, "1001", &u), 0);
        assert_string_equal(u.account, "hanako-adm");
        user_done(&u);
        assert_int_equal(registry_person(registry, "K01", &u), REGISTRY_E_NOT_FOUND);

        assert_int_equal(registry_shared_member(registry, "keiri", "1001"), 0);
        assert_int_equal(registry_shared_member(registry, "keiri", "1002"), REGISTRY_E_NOT_FOUND);
        assert_int_equal(drop(NOUN_MEMBER, "keiri/1001"), 0);
        assert_int_equal(registry_shared_member(registry, "keiri", "1001"), REGISTRY_E_NOT_FOUND);
}

static bool restricted(const char *account, const char *person, uint64_t now) {
        char *uuid = NULL, *reason = NULL;
        int q = registry_restriction(registry, account, person, now, &uuid, &reason);

        assert_true(q == 0 || q == REGISTRY_E_NOT_FOUND);
        assert_int_equal(q == 0, uuid != NULL);
        free(uuid);
        free(reason);
        return q == 0;
}

static void a_restriction_counts_by_account_or_person_until_it_ends(void **state) {
        json_object *row = NULL;

        add_office();
        assert_false(restricted("hanako", "1001", NOW));
        assert_int_equal(add(NOUN_RESTRICTION, "{'account':'hanako','reason':'調査','until':'2026-10-31'}", &row), 0);
        assert_true(restricted("hanako", "1001", NOW));
        assert_true(restricted("hanako", NULL, NOW));
        assert_false(restricted("hanako-adm", "1001", NOW));
        assert_false(restricted("taro", "1002", NOW));
        assert_true(restricted("hanako", "1001", UINT64_C(1793458800) * USEC_PER_SEC - 1));
        assert_false(restricted("hanako", "1001", UINT64_C(1793458800) * USEC_PER_SEC));
        assert_true(restricted("hanako", "1001", 0)); /* a lost clock ends nothing */
        assert_int_equal(drop(NOUN_RESTRICTION, text_of(row, "uuid")), 0);
        assert_false(restricted("hanako", "1001", NOW));
        json_object_put(row);

        must_add(NOUN_RESTRICTION, "{'person':'1001','reason':'調査'}");
        assert_true(restricted("hanako", "1001", NOW));
        assert_true(restricted("hanako-adm", "1001", NOW));
        assert_false(restricted("taro", "1002", NOW));
        assert_false(restricted("taro", NULL, NOW));
}

typedef struct Found {
        char designations[64][40];
        Candidate last;
        char last_terminal[64];
        size_t n;
        size_t stop_after;
} Found;

static bool collect(const Candidate *c, void *userdata) {
        Found *f = userdata;

        assert_true(f->n < ELEMENTSOF(f->designations));
        snprintf(f->designations[f->n++], sizeof(f->designations[0]), "%s", c->designation);
        f->last = *c;
        snprintf(f->last_terminal, sizeof(f->last_terminal), "%s", c->bounds.terminal);
        return f->n == f->stop_after;
}

static Found find(const Subject *s, const char *terminal, const char *unit) {
        Found f = {};

        assert_int_equal(registry_candidates(registry, s, terminal, unit, collect, &f), 0);
        return f;
}

static void become(const char *terminal) {
        json_object *row = NULL;

        assert_int_equal(registry_row_get(registry, NOUN_TERMINAL, terminal, &row), 0);
        assert_int_equal(registry_meta_set(registry, "terminal", text_of(row, "uuid")), 0);
        json_object_put(row);
}

static const Subject hanako = { .account = "hanako", .unit = "会計課" };

static void this_terminal_is_the_one_that_meta_names(void **state) {
        Terminal t;

        add_office();
        assert_int_equal(registry_terminal_self(registry, &t), REGISTRY_E_NOT_FOUND);
        become("SOUMU-01");
        assert_int_equal(registry_terminal_self(registry, &t), 0);
        assert_string_equal(t.name, "SOUMU-01");
        assert_int_equal(t.confidentiality, 2);
        terminal_done(&t);
        assert_int_equal(registry_terminal(registry, "KEIRI-01", &t), 0);
        assert_string_equal(t.unit, "会計課");
        terminal_done(&t);
        assert_int_equal(registry_terminal(registry, "KEIRI-99", &t), REGISTRY_E_NOT_FOUND);
}

static void candidates_come_by_user_group_netgroup_and_unit_in_this_order(void **state) {
        char *groups[] = { (char *)"other", (char *)"keiri", NULL }, *netgroups[] = { (char *)"ng", NULL };
        const Subject s = { "hanako", "会計課", groups, netgroups };
        static const char *const subjects[] = { "unit:会計課", "netgroup:ng", "group:keiri", "user:hanako",
                "user:hanako", "group:nobody", "user:taro" };
        json_object *rows[ELEMENTSOF(subjects)];
        static const unsigned order[] = { 3, 4, 2, 1, 0 };
        Found f;

        add_office();
        for (size_t i = 0; i < ELEMENTSOF(subjects); i++) {
                char fields[128];

                snprintf(fields, sizeof(fields), "{'scope':'会計','subject':'%s'}", subjects[i]);
                assert_int_equal(add(NOUN_DESIGNATION, fields, &rows[i]), 0);
        }
        for (int self = 0; self < 2; self++) {
                if (self)
                        become("KEIRI-01");
                f = find(&s, "KEIRI-01", "会計課");
                assert_int_equal(f.n, ELEMENTSOF(order));
                for (size_t i = 0; i < ELEMENTSOF(order); i++)
                        assert_string_equal(f.designations[i], text_of(rows[order[i]], "uuid"));

                f = (Found){ .stop_after = 2 };
                assert_int_equal(registry_candidates(registry, &s, "KEIRI-01", "会計課", collect, &f), 0);
                assert_int_equal(f.n, 2);
        }
        for (size_t i = 0; i < ELEMENTSOF(subjects); i++)
                json_object_put(rows[i]);
}

static void a_candidate_carries_what_designation_and_scope_say(void **state) {
        Found f;

        registry_set_service_family(registry, family_of);
        add_office();
        must_add(NOUN_SCOPE,
                "{'name':'r','business':'遠隔','unit':'会計課','terminals':'pattern:KEIRI-*','remote':true,"
                "'services':'@remote','confidentiality':3,'external':true}");
        must_add(NOUN_DESIGNATION, "{'scope':'r','subject':'user:hanako','services':'sshd','remote':true}");
        become("KEIRI-01");
        f = find(&hanako, "KEIRI-01", "会計課");
        assert_int_equal(f.n, 1);
        assert_true(f.last.remote);
        assert_true(f.last.external_ok);
        assert_int_equal(f.last.confidentiality_max, 3);
        assert_int_equal(f.last.bounds.terminal_kind, TERMINAL_PATTERN); /* the scope's, as it has none of its own */
        assert_string_equal(f.last_terminal, "KEIRI-*");

        must_change(NOUN_SCOPE, "r", "{'remote':false}");
        assert_false(find(&hanako, "KEIRI-01", "会計課").last.remote);
}

static void a_transfer_ends_the_designation_of_the_user(void **state) {
        const Subject moved = { .account = "hanako", .unit = "総務課" };

        add_office();
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako'}");
        become("KEIRI-01");
        assert_int_equal(find(&hanako, "KEIRI-01", "会計課").n, 1);
        assert_int_equal(find(&moved, "KEIRI-01", "会計課").n, 0);
        assert_int_equal(find(&(Subject){ .account = "hanako" }, "KEIRI-01", "会計課").n, 0);
}

static void a_name_that_looks_like_sql_finds_nothing(void **state) {
        const Subject odd = { .account = "' OR 1=1 --", .unit = "*" };
        char longest[1000];
        const Subject endless = { .account = longest, .unit = longest };

        memset(longest, 'a', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = '\0';
        add_office();
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'unit:会計課'}");
        become("KEIRI-01");
        assert_int_equal(find(&odd, "KEIRI-01", "会計課").n, 0);
        assert_int_equal(find(&endless, "KEIRI-01", "会計課").n, 0);
}

/* Every designation, asked for on this terminal and as if on another: both ways must find the same. */
#define WANTED                                                                                                         \
        " FROM designations d JOIN scopes s ON s.id = d.scope JOIN meta m ON m.name = 'terminal'"                      \
        " JOIN terminals t ON t.uuid = m.value WHERE d.deleted = 0 AND s.deleted = 0 AND t.deleted = 0"                \
        " AND matches(s.terminals, t.name, t.unit) AND (d.terminals IS NULL OR matches(d.terminals, t.name, t.unit))"

static void assert_here_agrees(const char *what) {
        static const char sql[] =
                "SELECT count(*), (SELECT count(*) FROM here)" WANTED
                " AND EXISTS (SELECT 1 FROM here h WHERE h.subject = d.subject AND h.designation = d.id"
                " AND h.uuid = d.uuid AND h.scope = d.scope AND h.terminals IS d.terminals"
                " AND h.services IS d.services AND h.hours IS d.hours AND h.valid_from = d.valid_from"
                " AND h.valid_until = d.valid_until AND h.remote = d.remote)";
        static const char wanted_sql[] = "SELECT count(*)" WANTED;
        sqlite3_stmt *s;
        int64_t same, here, wanted;

        assert_int_equal(sqlite3_prepare_v2(registry_db(registry), sql, -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        same = sqlite3_column_int64(s, 0);
        here = sqlite3_column_int64(s, 1);
        sqlite3_finalize(s);
        assert_int_equal(sqlite3_prepare_v2(registry_db(registry), wanted_sql, -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        wanted = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        if (same != wanted || here != wanted)
                fail_msg("after %s: %lld rows here, %lld of them right, %lld wanted", what, (long long)here,
                        (long long)same, (long long)wanted);
}

/* matches(selector, name, unit): what the evaluator thinks. */
static void matches(sqlite3_context *context, int n, sqlite3_value **values) {
        TerminalKind kind;
        const char *value;
        bool match = selector_parse((const char *)sqlite3_value_text(values[0]), &kind, &value) &&
                     terminal_match(kind, value, (const char *)sqlite3_value_text(values[1]),
                             (const char *)sqlite3_value_text(values[2]));

        sqlite3_result_int(context, match);
}

static unsigned next(unsigned n) {
        static uint64_t x = 88172645463325252u;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return (unsigned)(x % n);
}

static void the_table_here_follows_every_change(void **state) {
        static const char *const selectors[] = { "name:T1", "name:T2", "pattern:T*", "pattern:?1", "pattern:*2",
                "unit:u1", "unit:u2", "pattern:T-会計-?", "name:T-会計-課", "pattern:*" };
        char statement[256];

        assert_int_equal(sqlite3_create_function(registry_db(registry), "matches", 3,
                                 SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, matches, NULL, NULL),
                SQLITE_OK);
        for (int i = 1; i <= 3; i++) {
                static const char *const names[] = { "T1", "T2", "T-会計-課" };

                snprintf(statement, sizeof(statement),
                        "INSERT INTO terminals (id, uuid, name, unit) VALUES (%d, 't-%d', '%s', 'u%d')", i, i,
                        names[i - 1], i % 2 + 1);
                assert_int_equal(sqlite3_exec(registry_db(registry), statement, NULL, NULL, NULL), SQLITE_OK);
        }
        assert_int_equal(
                sqlite3_exec(registry_db(registry), "INSERT INTO meta VALUES ('terminal', 't-1')", NULL, NULL, NULL),
                SQLITE_OK);

        for (unsigned i = 0; i < 3000; i++) {
                const char *selector = selectors[next(ELEMENTSOF(selectors))];
                unsigned scope = next(8) + 1, designation = next(40) + 1;
                int rc;

                switch (next(18)) {
                case 0:
                        snprintf(statement, sizeof(statement), "UPDATE scopes SET terminals = '%s' WHERE id = %u",
                                selector, scope);
                        break;
                case 1:
                        snprintf(statement, sizeof(statement), "UPDATE scopes SET deleted = 1 - deleted WHERE id = %u",
                                scope);
                        break;
                case 2:
                        snprintf(statement, sizeof(statement), "UPDATE meta SET value = 't-%u' WHERE name = 'terminal'",
                                next(4) + 1);
                        break;
                case 3:
                        snprintf(statement, sizeof(statement), "DELETE FROM meta WHERE name = 'terminal'");
                        break;
                case 4:
                        snprintf(statement, sizeof(statement),
                                "INSERT INTO meta VALUES ('terminal', 't-%u')"
                                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                                next(3) + 1);
                        break;
                case 5:
                        snprintf(statement, sizeof(statement), "UPDATE terminals SET unit = 'u%u' WHERE id = %u",
                                next(2) + 1, next(3) + 1);
                        break;
                case 6:
                        snprintf(statement, sizeof(statement),
                                "UPDATE terminals SET deleted = 1 - deleted WHERE id = %u", next(3) + 1);
                        break;
                case 7:
                        snprintf(statement, sizeof(statement), "DELETE FROM designations WHERE id = %u", designation);
                        break;
                case 8:
                        snprintf(statement, sizeof(statement),
                                "UPDATE designations SET deleted = 1 - deleted WHERE id = %u", designation);
                        break;
                case 9:
                        snprintf(statement, sizeof(statement),
                                "UPDATE designations SET terminals = nullif('%s', 'name:T2'), hours = 'h%u', remote = "
                                "%u WHERE id = %u",
                                selector, i, next(2), designation);
                        break;
                case 10:
                        snprintf(statement, sizeof(statement),
                                "UPDATE designations SET scope = %u, subject = 'group:g%u' WHERE id = %u", scope,
                                next(5), designation);
                        break;
                case 12:
                        snprintf(statement, sizeof(statement), "DELETE FROM terminals WHERE id = %u", next(3) + 1);
                        break;
                case 13:
                        snprintf(statement, sizeof(statement),
                                "INSERT OR IGNORE INTO terminals (id, uuid, name, unit) VALUES (%u, 't-%u', 'T%u', "
                                "'u1')",
                                scope % 3 + 1, scope % 3 + 1, scope % 3 + 1);
                        break;
                case 11:
                        snprintf(statement, sizeof(statement),
                                "INSERT OR IGNORE INTO scopes (id, uuid, name, business, unit, terminals) VALUES (%u, "
                                "'s-%u', 's%u',"
                                " 'b', 'u', '%s')",
                                scope, scope, scope, selector);
                        break;
                default:
                        snprintf(statement, sizeof(statement),
                                "INSERT OR IGNORE INTO designations (id, uuid, scope, subject, terminals) VALUES (%u, "
                                "'d-%u', %u,"
                                " 'group:g%u', %s%s%s)",
                                designation, i, scope, next(5), next(3) ? "'" : "nullif('", selector, "'");
                        if (strstr(statement, "nullif("))
                                snprintf(statement, sizeof(statement),
                                        "INSERT OR IGNORE INTO designations (id, uuid, scope, subject) VALUES (%u, "
                                        "'d-%u', %u, 'user:a')",
                                        designation, i, scope);
                }
                rc = sqlite3_exec(registry_db(registry), statement, NULL, NULL, NULL);
                if (rc != SQLITE_OK && rc != SQLITE_CONSTRAINT_FOREIGNKEY)
                        fail_msg("%s: %s", statement, sqlite3_errmsg(registry_db(registry)));
                assert_here_agrees(statement);
        }
}

static int count_steps(void *userdata) {
        ++*(uint64_t *)userdata;
        return 0;
}

static uint64_t steps_of_a_search(void) {
        uint64_t steps = 0;

        sqlite3_progress_handler(registry_db(registry), 1, count_steps, &steps);
        (void)find(&hanako, "KEIRI-01", "会計課");
        sqlite3_progress_handler(registry_db(registry), 0, NULL, NULL);
        return steps;
}

static void others_designations_cost_nothing(void **state) {
        static const char many[] = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
                                   " INSERT INTO designations (uuid, scope, subject, terminals)"
                                   " SELECT 'x-' || i, 1, CASE i % 3 WHEN 0 THEN 'user:hanako' WHEN 1 THEN "
                                   "'unit:会計課' ELSE 'user:u' || i END,"
                                   " CASE i % 3 WHEN 2 THEN NULL ELSE CASE i % 2 WHEN 0 THEN 'pattern:X*' ELSE "
                                   "'name:T' || i END END FROM n";
        uint64_t before;

        add_office();
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'user:hanako'}");
        become("KEIRI-01");
        (void)steps_of_a_search();
        before = steps_of_a_search();
        assert_true(before > 0);
        assert_int_equal(sqlite3_exec(registry_db(registry), many, NULL, NULL, NULL), SQLITE_OK);
        assert_in_range(steps_of_a_search(), 1, before + 4); /* SQLite counts its steps approximately */
}

static void netgroups_in_use_are_told_once_each(void **state) {
        char **names = NULL;
        json_object *row = NULL;

        add_office();
        assert_int_equal(registry_netgroups(registry, &names), 0);
        assert_null(names);
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'netgroup:b'}");
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'netgroup:a'}");
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'netgroup:b','hours':'mon 09:00-10:00'}");
        must_add(NOUN_DESIGNATION, "{'scope':'会計','subject':'group:c'}");
        assert_int_equal(add(NOUN_DESIGNATION, "{'scope':'会計','subject':'netgroup:gone'}", &row), 0);
        assert_int_equal(drop(NOUN_DESIGNATION, text_of(row, "uuid")), 0);
        json_object_put(row);

        assert_int_equal(registry_netgroups(registry, &names), 0);
        assert_string_equal(names[0], "a");
        assert_string_equal(names[1], "b");
        assert_null(names[2]);
        free(names[0]);
        free(names[1]);
        free(names);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(people_are_found_by_account_and_by_staff_number),
                T(a_restriction_counts_by_account_or_person_until_it_ends),
                T(this_terminal_is_the_one_that_meta_names),
                T(candidates_come_by_user_group_netgroup_and_unit_in_this_order),
                T(a_candidate_carries_what_designation_and_scope_say),
                T(a_transfer_ends_the_designation_of_the_user),
                T(a_name_that_looks_like_sql_finds_nothing),
                T(the_table_here_follows_every_change),
                T(others_designations_cost_nothing),
                T(netgroups_in_use_are_told_once_each),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
