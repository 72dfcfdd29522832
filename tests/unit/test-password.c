/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/password.h"
#include "registry/internal.h"
#include "registry/password.h"
#include "util/clock.h"

/* What a new password has to be, how old one may become, and what the registry remembers of passwords. */

#define DAY (86400 * USEC_PER_SEC)

static char directory[64], path[80];
static Registry *registry;

static int setup(void **state) {
        strcpy(directory, "/tmp/test-password-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        snprintf(path, sizeof(path), "%s/registry.db", directory);
        registry = NULL;
        if (registry_open(&registry, path, NULL) != 0)
                return -1;
        return sqlite3_exec(registry_db(registry),
                "INSERT INTO users (uuid, account, person, name, unit) VALUES ('u1', 'hanako', '1', 'H', 'u'),"
                " ('u2', 'taro', '2', 'T', 'u');"
                "INSERT INTO shared_password_due VALUES ('taro', 5, '1')",
                NULL, NULL, NULL);
}

static int teardown(void **state) {
        char command[128];

        registry = registry_free(registry);
        snprintf(command, sizeof(command), "rm -rf %s", directory);
        return system(command);
}

static PasswordFault look(const char *password) {
        return password_look(password, strlen(password), 10, 3);
}

static void a_new_password_is_looked_at_character_by_character(void **state) {
        char text[PASSWORD_BYTES_MAX + 2];

        assert_int_equal(look("Sakura-2026x"), PASSWORD_FAULT_NONE);
        assert_int_equal(look(""), PASSWORD_FAULT_EMPTY);
        assert_int_equal(look("Sakura-26"), PASSWORD_FAULT_SHORT);
        assert_int_equal(look("sakurasakura"), PASSWORD_FAULT_CLASSES);
        assert_int_equal(look("sakura-sakura"), PASSWORD_FAULT_CLASSES);
        assert_int_equal(look("SakuraSakura1"), PASSWORD_FAULT_NONE);
        assert_int_equal(look("さくらA1"), PASSWORD_FAULT_SHORT); /* ten bytes, five characters */
        assert_int_equal(look("さくらさくらさくらA1"), PASSWORD_FAULT_NONE);
        assert_int_equal(look("Sakura\t-2026x"), PASSWORD_FAULT_CHARACTERS);
        assert_int_equal(look("Sakura-2026\x7f"), PASSWORD_FAULT_CHARACTERS);
        assert_int_equal(look("Sakura-2026\xff"), PASSWORD_FAULT_CHARACTERS);
        assert_int_equal(look("Sakura-2026\xe2\x80\xae"), PASSWORD_FAULT_CHARACTERS);

        memset(text, 'a', sizeof(text));
        memcpy(text, "A1", 2);
        assert_int_equal(password_look(text, PASSWORD_BYTES_MAX, 10, 3), PASSWORD_FAULT_NONE);
        assert_int_equal(password_look(text, PASSWORD_BYTES_MAX + 1, 10, 3), PASSWORD_FAULT_LONG);
}

static void every_fault_has_a_name_of_its_own(void **state) {
        assert_null(password_fault_to_string(PASSWORD_FAULT_NONE));
        assert_null(password_fault_to_string(_PASSWORD_FAULT_MAX));
        for (PasswordFault f = PASSWORD_FAULT_EMPTY; f < _PASSWORD_FAULT_MAX; f++) {
                assert_non_null(password_fault_to_string(f));
                for (PasswordFault g = PASSWORD_FAULT_EMPTY; g < f; g++)
                        assert_string_not_equal(password_fault_to_string(f), password_fault_to_string(g));
        }
}

static void a_password_is_due_on_its_day_and_is_said_to_be_before(void **state) {
        uint64_t changed = 1000 * DAY;
        unsigned days = 7;

        assert_int_equal(password_age(changed, changed, 90, 14, &days), PASSWORD_AGE_FINE);
        assert_int_equal(days, 90);
        assert_int_equal(password_age(changed, changed + 76 * DAY - 1, 90, 14, &days), PASSWORD_AGE_FINE);
        assert_int_equal(days, 15);
        assert_int_equal(password_age(changed, changed + 76 * DAY, 90, 14, &days), PASSWORD_AGE_WARN);
        assert_int_equal(days, 14);
        assert_int_equal(password_age(changed, changed + 90 * DAY - 1, 90, 14, &days), PASSWORD_AGE_WARN);
        assert_int_equal(days, 1);
        assert_int_equal(password_age(changed, changed + 90 * DAY, 90, 14, &days), PASSWORD_AGE_DUE);
        assert_int_equal(days, 0);
        assert_int_equal(password_age(changed, changed + 9000 * DAY, 0, 14, &days), PASSWORD_AGE_FINE);
        assert_int_equal(password_age(changed, changed - 9 * DAY, 90, 14, &days), PASSWORD_AGE_FINE);
        assert_int_equal(password_age(changed, changed + 89 * DAY, 90, 0, &days), PASSWORD_AGE_FINE);
}

static Fingerprint print_of(char c) {
        Fingerprint f;

        memset(f.bytes, c, sizeof(f.bytes));
        return f;
}

static FingerprintMatch find(const char *user, char c) {
        FingerprintMatch m = {};
        Fingerprint f = print_of(c);

        assert_int_equal(registry_fingerprint_find(registry, user, &f, &m), 0);
        return m;
}

static void is_current(const char *user, char c, uint64_t now, unsigned history) {
        Fingerprint f = print_of(c);

        assert_int_equal(registry_begin(registry), 0);
        assert_int_equal(registry_fingerprint_current(registry, user, &f, now, history), 0);
        assert_int_equal(registry_commit(registry), 0);
}

static void is_pending(const char *user, char c, uint64_t now) {
        Fingerprint f = print_of(c);

        assert_int_equal(registry_begin(registry), 0);
        assert_int_equal(registry_fingerprint_pending(registry, user, &f, now), 0);
        assert_int_equal(registry_commit(registry), 0);
}

static void former_passwords_are_known_as_far_back_as_history_goes(void **state) {
        for (char c = 'a'; c <= 'e'; c++)
                is_current("u1", c, (uint64_t)c, 2);
        assert_true(find("u1", 'e').current);
        assert_true(find("u1", 'd').former && find("u1", 'c').former);
        assert_false(find("u1", 'b').former || find("u1", 'b').current);
        is_current("u1", 'd', 200, 2);
        assert_true(find("u1", 'd').current && !find("u1", 'd').former && find("u1", 'e').former);
        is_current("u1", 'd', 201, 2);
        assert_true(find("u1", 'd').current && find("u1", 'e').former);
}

static void anothers_current_and_pending_passwords_are_found_and_former_ones_are_not(void **state) {
        is_current("u1", 'a', 1, 5);
        is_current("u1", 'b', 2, 5);
        is_pending("u1", 'c', 3);
        assert_false(find("u2", 'a').anothers);
        assert_true(find("u2", 'b').anothers && find("u2", 'c').anothers);
        assert_true(find(NULL, 'b').anothers);
        assert_false(find("u1", 'b').anothers);
        assert_false(find("u2", 'b').current || find("u2", 'b').former);
}

static void a_pending_password_becomes_the_current_one_or_is_forgotten(void **state) {
        Fingerprint b = print_of('b'), c = print_of('c');
        PasswordRow row;
        uint64_t since;

        assert_int_equal(registry_password(registry, "u1", &row), REGISTRY_E_NOT_FOUND);
        assert_int_equal(registry_password_note(registry, "u1", 7, PASSWORD_SHADOW), -EPERM);
        assert_int_equal(registry_begin(registry), 0);
        assert_int_equal(registry_password_note(registry, "u1", 7, PASSWORD_SHADOW), 0);
        assert_int_equal(registry_commit(registry), 0);
        is_current("u1", 'a', 1, 5);
        is_pending("u1", 'b', 2);
        assert_int_equal(registry_password(registry, "u1", &row), 0);
        assert_true(row.pending && row.taken_usec == 1 && row.changed_usec == 7 && row.source == PASSWORD_SHADOW);
        assert_int_equal(registry_fingerprint_is_pending(registry, "u1", &c, &since), REGISTRY_E_NOT_FOUND);
        assert_int_equal(registry_fingerprint_is_pending(registry, "u1", &b, &since), 0);
        assert_int_equal(since, 2);

        is_pending("u1", 'c', 3); /* a second change before the first was seen */
        assert_false(find("u2", 'b').anothers);
        is_current("u1", 'a', 4, 5); /* …and it was not written either */
        assert_int_equal(registry_password(registry, "u1", &row), 0);
        assert_false(row.pending);
        is_pending("u1", 'c', 5);
        is_current("u1", 'c', 6, 5);
        assert_int_equal(registry_password(registry, "u1", &row), 0);
        assert_true(!row.pending && find("u1", 'c').current && find("u1", 'a').former);
}

static void what_is_remembered_goes_with_the_account(void **state) {
        is_current("u1", 'a', 1, 5);
        assert_true(find("u2", 'a').anothers);
        assert_int_equal(
                sqlite3_exec(registry_db(registry), "UPDATE users SET deleted = 9 WHERE uuid = 'u1'", NULL, NULL, NULL),
                SQLITE_OK);
        assert_false(find("u2", 'a').anothers);
        assert_false(find("u1", 'a').current);
}

static void a_row_that_is_no_fingerprint_makes_the_registry_unusable_and_grants_nothing(void **state) {
        FingerprintMatch m = { .current = true };
        Fingerprint f = print_of('a');

        assert_int_equal(sqlite3_exec(registry_db(registry),
                                 "INSERT INTO password_fingerprints VALUES ('u1', x'00', 1, 1)", NULL, NULL, NULL),
                SQLITE_OK);
        assert_int_equal(registry_fingerprint_find(registry, "u2", &f, &m), REGISTRY_E_UNUSABLE);
        assert_true(m.current);
}

static void a_shared_password_is_due_until_it_is_changed(void **state) {
        PasswordCounts c;

        assert_int_equal(registry_shared_password_is_due(registry, "hanako"), REGISTRY_E_NOT_FOUND);
        assert_int_equal(registry_shared_password_is_due(registry, "taro"), 0);
        assert_int_equal(registry_begin(registry), 0);
        assert_int_equal(registry_password_note(registry, "u1", 10, PASSWORD_SEEN), 0);
        assert_int_equal(registry_commit(registry), 0);
        is_current("u1", 'a', 11, 5);
        assert_int_equal(registry_password_count(registry, 10, &c), 0);
        assert_true(c.known == 1 && c.old == 1 && c.shared_due == 1 && c.fingerprints == 1);
        assert_int_equal(registry_begin(registry), 0);
        assert_int_equal(registry_shared_password_done(registry, "taro"), 0);
        assert_int_equal(registry_commit(registry), 0);
        assert_int_equal(registry_shared_password_is_due(registry, "taro"), REGISTRY_E_NOT_FOUND);
        assert_int_equal(registry_password_count(registry, 9, &c), 0);
        assert_true(c.known == 1 && c.old == 0 && c.shared_due == 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_new_password_is_looked_at_character_by_character),
                cmocka_unit_test(every_fault_has_a_name_of_its_own),
                cmocka_unit_test(a_password_is_due_on_its_day_and_is_said_to_be_before),
                T(former_passwords_are_known_as_far_back_as_history_goes),
                T(anothers_current_and_pending_passwords_are_found_and_former_ones_are_not),
                T(a_pending_password_becomes_the_current_one_or_is_forgotten),
                T(what_is_remembered_goes_with_the_account),
                T(a_row_that_is_no_fingerprint_makes_the_registry_unusable_and_grants_nothing),
                T(a_shared_password_is_due_until_it_is_changed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
