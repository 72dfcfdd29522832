/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "registry/internal.h"

/* The subjects of the table here in memory: what a search finds with them is what it finds without. */

static char directory[64], path[80];
static Registry *registry;

static void sql(const char *format, ...) _printf_(1, 2);

static void sql(const char *format, ...) {
        char text[512];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (sqlite3_exec(registry_db(registry), text, NULL, NULL, NULL) != SQLITE_OK)
                fail_msg("%s: %s", text, sqlite3_errmsg(registry_db(registry)));
}

static int setup(void **state) {
        strcpy(directory, "/tmp/test-here-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        snprintf(path, sizeof(path), "%s/registry.db", directory);
        registry = NULL;
        if (registry_open(&registry, path, NULL) != 0)
                return -1;
        sql("INSERT INTO terminals (uuid, name, unit) VALUES ('t-1', 'T1', 'u'), ('t-2', 'T2', 'u');"
            "INSERT INTO scopes (id, uuid, name, business, unit, terminals) VALUES (1, 's', 's', 'b', 'u', 'unit:u');"
            "INSERT INTO meta VALUES ('terminal', 't-1')");
        return 0;
}

static int teardown(void **state) {
        char command[128];

        registry = registry_free(registry);
        snprintf(command, sizeof(command), "rm -rf %s", directory);
        return system(command);
}

static void designate(const char *subject, const char *terminals) {
        sql("INSERT INTO designations (uuid, scope, subject, terminals) VALUES (lower(hex(randomblob(16))), 1, '%s', "
            "'%s')",
                subject, terminals);
}

static bool count(const Candidate *c, void *userdata) {
        ++*(size_t *)userdata;
        return false;
}

static size_t found(const char *group) {
        char name[32];
        char *groups[] = { name, NULL };
        Subject subject = { .account = "nobody", .unit = "x", .groups = groups };
        size_t n = 0;

        snprintf(name, sizeof(name), "%s", group);
        assert_int_equal(registry_candidates(registry, &subject, "T1", "u", count, &n), 0);
        return n;
}

static size_t found_without(const char *group) {
        size_t n;

        assert_int_equal(registry_begin(registry), 0);
        assert_null(here_subjects(registry));
        n = found(group);
        registry_rollback(registry);
        return n;
}

static void each_subject_is_found_and_no_other(void **state) {
        char name[16];

        for (unsigned i = 0; i < 40; i++) {
                snprintf(name, sizeof(name), "group:g%u", i * 2);
                designate(name, "name:T1");
        }
        assert_non_null(here_subjects(registry));
        for (unsigned i = 0; i < 80; i++) {
                snprintf(name, sizeof(name), "g%u", i);
                assert_int_equal(found(name), i % 2 == 0);
        }
        assert_int_equal(found(""), 0);
        assert_int_equal(found("g"), 0);
        assert_int_equal(found("g00"), 0);
        assert_int_equal(found("g999"), 0);
}

static void changes_count_at_once(void **state) {
        static const char g[] = "g";

        assert_int_equal(found(g), 0);
        designate("group:g", "name:T1");
        assert_int_equal(found(g), 1);
        sql("UPDATE designations SET terminals = 'name:T2'");
        assert_int_equal(found(g), 0);
        sql("UPDATE meta SET value = 't-2' WHERE name = 'terminal'; UPDATE meta SET value = 't-1' WHERE name = "
            "'terminal'");
        assert_int_equal(found(g), 0);
        sql("UPDATE designations SET terminals = NULL");
        assert_int_equal(found(g), 1);
        sql("UPDATE scopes SET deleted = 1");
        assert_int_equal(found(g), 0);
        sql("UPDATE scopes SET deleted = 0");
        assert_int_equal(found(g), 1);
        sql("UPDATE designations SET subject = 'group:h'");
        assert_int_equal(found(g), 0);
        sql("DELETE FROM designations");
        assert_int_equal(found(g), 0);
}

static void a_change_that_was_taken_back_leaves_nothing(void **state) {
        static const char g[] = "g", h[] = "h";

        assert_int_equal(found(g), 0);
        assert_int_equal(registry_begin(registry), 0);
        designate("group:g", "name:T1");
        assert_int_equal(found(g), 1);
        registry_rollback(registry);
        /* This one gets the number that the other had. */
        designate("group:h", "name:T1");
        assert_int_equal(found(h), 1);
        assert_int_equal(found(g), 0);
}

static void any_order_of_changes_finds_the_same_with_and_without(void **state) {
        unsigned x = 1;

        for (unsigned i = 0; i < 300; i++) {
                char name[16];

                x = x * 1103515245u + 12345u;
                snprintf(name, sizeof(name), "group:g%u", (x >> 8) % 7);
                switch ((x >> 16) % 4) {
                case 0:
                        designate(name, (x >> 20) % 2 ? "name:T1" : "name:T2");
                        break;
                case 1:
                        sql("UPDATE designations SET deleted = %u WHERE subject = '%s'", (x >> 20) % 2, name);
                        break;
                case 2:
                        sql("DELETE FROM designations WHERE id = (SELECT max(id) FROM designations WHERE subject = "
                            "'%s')",
                                name);
                        break;
                default:
                        sql("UPDATE meta SET value = 't-%u' WHERE name = 'terminal'", (x >> 20) % 2 + 1);
                        sql("UPDATE meta SET value = 't-1' WHERE name = 'terminal'");
                }
                for (unsigned k = 0; k < 7; k++) {
                        snprintf(name, sizeof(name), "g%u", k);
                        assert_int_equal(found(name), found_without(name));
                }
        }
}

static void too_many_to_hold_are_looked_up(void **state) {
        static const char last[] = "g20000", other[] = "g20001";

        sql("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
            " INSERT INTO designations (uuid, scope, subject) SELECT 'd-' || i, 1, 'group:g' || i FROM n");
        assert_null(here_subjects(registry));
        assert_int_equal(found(last), 1);
        assert_int_equal(found(other), 0);
        sql("DELETE FROM designations WHERE id > 10");
        assert_non_null(here_subjects(registry));
        assert_int_equal(found(last), 0);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(each_subject_is_found_and_no_other),
                T(changes_count_at_once),
                T(a_change_that_was_taken_back_leaves_nothing),
                T(any_order_of_changes_finds_the_same_with_and_without),
                T(too_many_to_hold_are_looked_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
