/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "login/attempt.h"
#include "util/clock.h"

#define MINUTE (60 * USEC_PER_SEC)
#define NOON   (UINT64_C(1790000000) * USEC_PER_SEC)

static char directory[64], path[80];
static Registry *registry;

static Config config = {
        .attempts_max = 3,
        .attempts_window_usec = 15 * MINUTE,
        .attempts_delay_usec = 2 * USEC_PER_SEC,
};

static void reopen(void) {
        RegistryError e = {};
        int q;

        registry_free(registry);
        q = registry_open(&registry, path, &e);
        if (q != 0)
                fail_msg("%d: %s", q, e.text);
}

static int setup(void **state) {
        strcpy(directory, "/tmp/test-attempt-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        snprintf(path, sizeof(path), "%s/registry.db", directory);
        registry = NULL;
        config.attempts_max = 3;
        config.attempts_release_usec = 0;
        return registry_open(&registry, path, NULL) == 0 ? 0 : -1;
}

static int teardown(void **state) {
        char command[128];

        registry = registry_free(registry);
        snprintf(command, sizeof(command), "rm -rf %s", directory);
        return system(command);
}

static Attempt charge_at(const char *account, const char *origin, uint64_t now) {
        Attempt a = { .count = 99 };

        assert_int_equal(attempt_charge(registry, &config, account, origin, now, &a), 0);
        assert_false(registry_in_transaction(registry));
        return a;
}

static Attempt charge(uint64_t now) {
        return charge_at("hanako", "seat0", now);
}

static bool locked_at(const char *account, const char *origin, uint64_t now) {
        Attempt a;

        assert_int_equal(attempt_peek(registry, &config, account, origin, now, &a), 0);
        return a.locked;
}

static bool locked(uint64_t now) {
        return locked_at("hanako", "seat0", now);
}

static void in_transaction(int (*fn)(Registry *, const char *, const char *), const char *account, const char *origin) {
        assert_int_equal(registry_begin(registry), 0);
        assert_int_equal(fn(registry, account, origin), 0);
        assert_int_equal(registry_commit(registry), 0);
}

static void refund(void) {
        in_transaction(attempt_refund, "hanako", "seat0");
}

static int64_t rows(void) {
        sqlite3_stmt *s;
        int64_t n;

        assert_int_equal(
                sqlite3_prepare_v2(registry_db(registry), "SELECT count(*) FROM attempts", -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        n = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        return n;
}

static void the_third_in_fifteen_minutes_locks(void **state) {
        Attempt a;

        a = charge(NOON);
        assert_int_equal(a.count, 1);
        assert_false(a.locked || a.now_locked);
        a = charge(NOON + 7 * MINUTE);
        assert_int_equal(a.count, 2);
        assert_false(a.locked || a.now_locked);
        assert_false(locked(NOON + 7 * MINUTE));
        a = charge(NOON + 14 * MINUTE);
        assert_int_equal(a.count, 3);
        assert_true(a.now_locked);
        assert_false(a.locked);
        assert_true(locked(NOON + 14 * MINUTE));
}

static void a_locked_one_is_not_charged(void **state) {
        Attempt a;

        for (int i = 0; i < 3; i++)
                charge(NOON);
        for (int i = 0; i < 5; i++) {
                a = charge(NOON + MINUTE);
                assert_true(a.locked);
                assert_false(a.now_locked);
                assert_int_equal(a.count, 3);
        }
}

static void the_delay_doubles_and_is_bounded(void **state) {
        config.attempts_max = 10;
        for (unsigned i = 0; i < 10; i++) {
                Attempt a = charge(NOON);

                assert_int_equal(a.delay_usec, (2 * USEC_PER_SEC) << (i < 4 ? i : 4));
        }
}

static void the_window_slides(void **state) {
        charge(NOON);
        charge(NOON + 14 * MINUTE);
        assert_int_equal(charge(NOON + 16 * MINUTE).count, 2);
        assert_true(charge(NOON + 17 * MINUTE).now_locked); /* 14, 16, 17: three in fifteen minutes */
}

static void two_in_each_window_never_lock(void **state) {
        for (unsigned i = 0; i < 20; i++) {
                Attempt a = charge(NOON + i * 8 * MINUTE);

                assert_int_equal(a.count, i == 0 ? 1 : 2);
                assert_false(a.now_locked);
        }
}

static void success_takes_the_charges_back(void **state) {
        charge(NOON);
        charge(NOON);
        refund();
        assert_int_equal(rows(), 0);
        assert_int_equal(charge(NOON).count, 1);
}

static void success_at_the_last_attempt_takes_its_lock_back(void **state) {
        charge(NOON);
        charge(NOON);
        assert_true(charge(NOON).now_locked);
        refund();
        assert_false(locked(NOON));
}

static void a_refund_of_nothing_is_fine(void **state) {
        refund();
}

static void a_refund_that_is_rolled_back_is_none(void **state) {
        charge(NOON);
        assert_int_equal(registry_begin(registry), 0);
        assert_int_equal(attempt_refund(registry, "hanako", "seat0"), 0);
        registry_rollback(registry);
        assert_int_equal(charge(NOON).count, 2);
}

static void taking_one_back_leaves_the_others(void **state) {
        charge(NOON);
        charge(NOON);
        assert_true(charge(NOON).now_locked);
        assert_int_equal(registry_begin(registry), 0);
        assert_int_equal(attempt_uncharge(registry, &config, "hanako", "seat0", NOON), 0);
        assert_int_equal(registry_commit(registry), 0);
        assert_false(locked(NOON));
        assert_true(charge(NOON).now_locked);
}

static void a_charge_is_durable_before_it_is_tried(void **state) {
        int status;
        pid_t pid;

        registry = registry_free(registry);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Registry *r = NULL;
                Attempt a;

                if (registry_open(&r, path, NULL) != 0 || attempt_charge(r, &config, "hanako", "seat0", NOON, &a) != 0)
                        _exit(1);
                raise(SIGKILL);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        reopen();
        assert_int_equal(charge(NOON).count, 2);
}

static void a_lock_outlives_a_restart(void **state) {
        for (int i = 0; i < 3; i++)
                charge(NOON);
        reopen();
        assert_true(locked(NOON));
        assert_true(locked(NOON + 365 * 24 * 60 * MINUTE));
}

static void origins_and_accounts_are_kept_apart(void **state) {
        for (int i = 0; i < 3; i++)
                charge_at("hanako", "host:192.0.2.1", NOON);
        assert_true(locked_at("hanako", "host:192.0.2.1", NOON));
        assert_false(locked_at("hanako", "host:192.0.2.2", NOON));
        assert_false(locked_at("hanako", "seat0", NOON));
        assert_false(locked_at("taro", "host:192.0.2.1", NOON));
        assert_int_equal(charge_at("hanako", "seat0", NOON).count, 1);
}

static void a_clock_that_goes_back_frees_nothing(void **state) {
        charge(NOON);
        charge(NOON);
        assert_int_equal(charge(NOON - 24 * 60 * MINUTE).count, 3);
        assert_true(locked(NOON - 24 * 60 * MINUTE));
        assert_true(locked(0));
        assert_true(charge(NOON - 48 * 60 * MINUTE).locked);
        assert_true(locked(NOON));
}

static void a_clock_that_jumps_ahead_does_not_free_a_lock(void **state) {
        for (int i = 0; i < 3; i++)
                charge(NOON);
        charge_at("taro", "seat0", UINT64_C(4070908800) * USEC_PER_SEC);
        assert_true(locked(UINT64_C(4070908800) * USEC_PER_SEC));
        assert_true(locked(NOON));
}

static void a_lock_ends_by_itself_only_where_that_is_configured(void **state) {
        config.attempts_release_usec = 60 * MINUTE;
        for (int i = 0; i < 3; i++)
                charge(NOON);
        assert_true(locked(NOON + 60 * MINUTE - 1));
        assert_false(locked(NOON + 60 * MINUTE));
        assert_int_equal(charge(NOON + 60 * MINUTE).count, 1);
}

static void a_limit_of_one_locks_at_once(void **state) {
        config.attempts_max = 1;
        assert_true(charge(NOON).now_locked);
        assert_true(charge(NOON).locked);
}

static void a_limit_of_none_is_one(void **state) {
        config.attempts_max = 0;
        assert_true(charge(NOON).now_locked);
}

static void a_limit_beyond_what_is_kept_still_locks(void **state) {
        unsigned n = 0;

        config.attempts_max = 1000;
        while (!charge(NOON).now_locked)
                assert_true(++n < 1000);
}

static void release_is_by_origin_or_for_all(void **state) {
        unsigned n = 0;

        for (int i = 0; i < 3; i++) {
                charge_at("hanako", "seat0", NOON);
                charge_at("hanako", "host:192.0.2.1", NOON);
                charge_at("hanako", "host:192.0.2.2", NOON);
                charge_at("taro", "seat0", NOON);
        }
        assert_int_equal(registry_begin(registry), 0);
        assert_int_equal(attempt_release(registry, "hanako", "seat0", &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(attempt_release(registry, "hanako", NULL, &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(attempt_release(registry, "hanako", NULL, &n), REGISTRY_E_NOT_FOUND);
        assert_int_equal(registry_commit(registry), 0);
        assert_false(locked_at("hanako", "host:192.0.2.2", NOON));
        assert_true(locked_at("taro", "seat0", NOON));
}

static const char *text_of(json_object *o, const char *name) {
        json_object *value = NULL;

        assert_true(json_object_object_get_ex(o, name, &value));
        return json_object_get_string(value);
}

static void the_list_has_what_still_counts(void **state) {
        json_object *list, *row;

        charge_at("ichiro", "seat0", NOON - 60 * MINUTE);
        for (int i = 0; i < 3; i++)
                charge_at("hanako", "seat0", NOON - 60 * MINUTE + (uint64_t)i);
        charge_at("taro", "seat0", NOON);

        assert_int_equal(attempt_list(registry, &config, NULL, NOON, &list), 0);
        assert_int_equal(json_object_array_length(list), 2);
        row = json_object_array_get_idx(list, 0);
        assert_string_equal(text_of(row, "account"), "hanako");
        assert_string_equal(text_of(row, "origin"), "seat0");
        assert_string_equal(text_of(row, "count"), "3");
        assert_string_equal(text_of(row, "locked"), "true");
        assert_string_equal(text_of(row, "first_usec"), "1789996400000000");
        assert_string_equal(text_of(row, "last_usec"), "1789996400000002");
        row = json_object_array_get_idx(list, 1);
        assert_string_equal(text_of(row, "account"), "taro");
        assert_string_equal(text_of(row, "locked"), "false");
        json_object_put(list);

        assert_int_equal(attempt_list(registry, &config, "taro", NOON, &list), 0);
        assert_int_equal(json_object_array_length(list), 1);
        json_object_put(list);
        assert_int_equal(attempt_list(registry, &config, "nobody", NOON, &list), 0);
        assert_int_equal(json_object_array_length(list), 0);
        json_object_put(list);
}

static void what_no_longer_counts_is_removed(void **state) {
        for (int i = 0; i < 50; i++) {
                char name[32];

                snprintf(name, sizeof(name), "user%d", i);
                charge_at(name, "seat0", NOON);
        }
        charge_at("hanako", "seat0", NOON + 16 * MINUTE);
        assert_int_equal(rows(), 1);
}

static void guessed_names_cannot_fill_the_table_nor_push_a_user_out(void **state) {
        static const char fill[] =
                "INSERT INTO users (uuid, account, person, name, unit) VALUES ('u-1', 'hanako', '1', 'h', 'u');"
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
                " INSERT INTO attempts SELECT 'guess' || i, 'seat0', 3, i, i, i, '1 2 3' FROM n";

        for (int i = 0; i < 3; i++)
                charge_at("hanako", "seat0", 1);
        assert_int_equal(sqlite3_exec(registry_db(registry), fill, NULL, NULL, NULL), SQLITE_OK);
        charge_at("another", "seat0", NOON);
        assert_true(rows() <= ATTEMPT_ROWS_MAX + 1);
        assert_true(locked(NOON));
}

static void a_registry_that_cannot_be_written_charges_nothing_and_says_so(void **state) {
        sqlite3 *other;
        Attempt a = { .count = 99 };

        assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
        assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(attempt_charge(registry, &config, "hanako", "seat0", NOON, &a), REGISTRY_E_UNUSABLE);
        assert_int_equal(a.count, 99);
        assert_false(registry_in_transaction(registry));
        sqlite3_close(other);
}

static void an_unreadable_row_refuses(void **state) {
        Attempt a;

        charge(NOON);
        assert_int_equal(
                sqlite3_exec(registry_db(registry), "UPDATE attempts SET times = 'x'", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(attempt_peek(registry, &config, "hanako", "seat0", NOON, &a), REGISTRY_E_UNUSABLE);
        assert_int_equal(attempt_charge(registry, &config, "hanako", "seat0", NOON, &a), REGISTRY_E_UNUSABLE);
        assert_false(registry_in_transaction(registry));
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(the_third_in_fifteen_minutes_locks),
                T(a_locked_one_is_not_charged),
                T(the_delay_doubles_and_is_bounded),
                T(the_window_slides),
                T(two_in_each_window_never_lock),
                T(success_takes_the_charges_back),
                T(success_at_the_last_attempt_takes_its_lock_back),
                T(a_refund_of_nothing_is_fine),
                T(a_refund_that_is_rolled_back_is_none),
                T(taking_one_back_leaves_the_others),
                T(a_charge_is_durable_before_it_is_tried),
                T(a_lock_outlives_a_restart),
                T(origins_and_accounts_are_kept_apart),
                T(a_clock_that_goes_back_frees_nothing),
                T(a_clock_that_jumps_ahead_does_not_free_a_lock),
                T(a_lock_ends_by_itself_only_where_that_is_configured),
                T(a_limit_of_one_locks_at_once),
                T(a_limit_of_none_is_one),
                T(a_limit_beyond_what_is_kept_still_locks),
                T(release_is_by_origin_or_for_all),
                T(the_list_has_what_still_counts),
                T(what_no_longer_counts_is_removed),
                T(guessed_names_cannot_fill_the_table_nor_push_a_user_out),
                T(a_registry_that_cannot_be_written_charges_nothing_and_says_so),
                T(an_unreadable_row_refuses),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
