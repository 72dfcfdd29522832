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

#include "registry/internal.h"
#include "registry/json.h"
#include "registry/review.h"
#include "util/clock.h"
#include "util/json.h"

/* The review of designations, deputies, and what is kept of their use. */

#define NOW (UINT64_C(1790000000) * USEC_PER_SEC) /* 2026-09-21T23:13:20+09:00 */
#define DAY (UINT64_C(86400) * USEC_PER_SEC)

static char directory[64], path[80];
static Registry *registry;
static RegistryError error;

static void must_add(NounId noun, const char *fields, json_object **ret) {
        json_object *o = json_tokener_parse(fields);
        int q;

        assert_non_null(o);
        q = registry_row_add(registry, noun, o, NOW, ret, &error);
        if (q != 0)
                fail_msg("%s: %d: %s: %s", fields, q, error.field, error.text);
        json_object_put(o);
}

static int add(NounId noun, const char *fields) {
        json_object *o = json_tokener_parse(fields), *row = NULL;
        int q;

        assert_non_null(o);
        q = registry_row_add(registry, noun, o, NOW, &row, &error);
        json_object_put(o);
        json_object_put(row);
        return q;
}

static int setup(void **state) {
        strcpy(directory, "/tmp/test-review-XXXXXX");
        if (!mkdtemp(directory))
                return -1;
        snprintf(path, sizeof(path), "%s/registry.db", directory);
        setenv("TZ", "Asia/Tokyo", 1);
        tzset();
        registry = NULL;
        if (registry_open(&registry, path, NULL) != 0 || registry_begin(registry) != 0)
                return -1;
        must_add(NOUN_TERMINAL, "{\"name\":\"T01\",\"unit\":\"A\"}", NULL);
        must_add(NOUN_USER, "{\"account\":\"hanako\",\"person\":\"1\",\"name\":\"Hanako\",\"unit\":\"A\"}", NULL);
        must_add(NOUN_USER, "{\"account\":\"taro\",\"person\":\"2\",\"name\":\"Taro\",\"unit\":\"A\"}", NULL);
        must_add(NOUN_SCOPE, "{\"name\":\"s\",\"business\":\"b\",\"unit\":\"A\",\"terminals\":\"unit:A\"}", NULL);
        return 0;
}

static int teardown(void **state) {
        char command[128];

        registry = registry_free(registry);
        snprintf(command, sizeof(command), "rm -rf %s", directory);
        return system(command);
}

/* Adds a designation of a user; its uuid lives until the end of the test. */
static const char *designate(json_object **ret, const char *user, const char *more) {
        char fields[256];

        snprintf(fields, sizeof(fields), "{\"scope\":\"s\",\"subject\":\"user:%s\"%s}", user, more);
        must_add(NOUN_DESIGNATION, fields, ret);
        return json_string(*ret, "uuid");
}

/* The states of all rows of the first page, "overdue never-used;outside;…", in `text`. */
static const char *states(uint64_t now, ReviewOnly only, uint64_t unused_since) {
        static char text[512];
        ReviewQuery q = { .now_usec = now, .limit = 100, .only = only, .unused_since = unused_since };
        json_object *rows = NULL;
        int64_t last;

        *text = '\0';
        assert_int_equal(registry_review(registry, &q, &rows, &last), 0);
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                json_object *state;

                assert_true(json_object_object_get_ex(json_object_array_get_idx(rows, i), "state", &state));
                for (size_t j = 0; j < json_object_array_length(state); j++) {
                        strcat(text, j > 0 ? " " : "");
                        strcat(text, json_object_get_string(json_object_array_get_idx(state, j)));
                }
                strcat(text, ";");
        }
        json_object_put(rows);
        return text;
}

static void a_review_is_due_a_month_before_its_date_and_overdue_after_it(void **state) {
        _cleanup_json_ json_object *row = NULL;

        assert_int_equal(
                registry_designation_used(registry, designate(&row, "hanako", ",\"review\":\"2026-12-31\""), NOW), 0);
        assert_string_equal(states(NOW, REVIEW_ALL, 0), ";");
        assert_string_equal(states(NOW, REVIEW_DUE, 0), "");
        assert_string_equal(states(NOW + 80 * DAY, REVIEW_DUE, 0), "due;");
        assert_string_equal(states(NOW + 80 * DAY, REVIEW_OVERDUE, 0), "");
        assert_string_equal(states(NOW + 120 * DAY, REVIEW_OVERDUE, 0), "overdue;");
        assert_string_equal(states(NOW + 120 * DAY, REVIEW_DUE, 0), "overdue;");
}

static void what_has_ended_is_neither_due_nor_unused(void **state) {
        _cleanup_json_ json_object *row = NULL;

        designate(&row, "hanako", ",\"review\":\"2026-12-31\",\"until\":\"2026-10-31\"");
        assert_string_equal(states(NOW + 120 * DAY, REVIEW_ALL, 0), "ended;");
        assert_string_equal(states(NOW + 120 * DAY, REVIEW_DUE, 0), "");
        assert_string_equal(states(NOW + 120 * DAY, REVIEW_UNUSED, 1), "");
        assert_string_equal(states(NOW, REVIEW_UNUSED, 1), "never-used;");
}

static void the_last_use_is_the_one_noted_last(void **state) {
        _cleanup_json_ json_object *row = NULL;
        const char *id = designate(&row, "hanako", "");

        assert_string_equal(states(NOW, REVIEW_UNUSED, 1), "never-used;");
        assert_int_equal(registry_designation_used(registry, id, NOW + 9 * DAY), 0);
        assert_int_equal(registry_designation_used(registry, id, NOW + DAY), 0); /* the clock was set back */
        assert_string_equal(states(NOW, REVIEW_UNUSED, 1), "");
        assert_string_equal(states(NOW, REVIEW_UNUSED, NOW + DAY), "");
        assert_string_equal(states(NOW, REVIEW_UNUSED, NOW + DAY + 1), ";");
}

static void everything_that_no_longer_fits_the_scope_is_outside(void **state) {
        static const struct {
                const char *more, *scope;
        } cases[] = {
                { ",\"services\":\"@admin\"", "{\"services\":\"@console\"}" },
                { ",\"terminals\":\"name:T01\"", "{\"terminals\":\"name:T02\"}" },
                { ",\"hours\":\"mon-fri 08:00-20:00\"", "{\"hours\":\"mon-fri 09:00-17:00\"}" },
                { ",\"until\":\"2027-03-31\"", "{\"until\":\"2026-12-31\"}" },
                { "", "{\"unit\":\"B\"}" },
        };
        json_object *wide = json_tokener_parse("{\"services\":\"* @remote\"}");

        assert_int_equal(registry_row_change(registry, NOUN_SCOPE, "s", wide, NOW, NULL, NULL, &error), 0);
        json_object_put(wide);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                json_object *narrow = json_tokener_parse(cases[i].scope), *row = NULL;
                const char *id = designate(&row, "hanako", cases[i].more);

                assert_int_equal(sqlite3_exec(registry_db(registry), "SAVEPOINT one", NULL, NULL, NULL), SQLITE_OK);
                assert_string_equal(states(NOW, REVIEW_OUTSIDE, 0), "");
                assert_int_equal(registry_row_change(registry, NOUN_SCOPE, "s", narrow, NOW, NULL, NULL, &error), 0);
                assert_string_equal(states(NOW, REVIEW_OUTSIDE, 0), "never-used outside;");
                assert_int_equal(sqlite3_exec(registry_db(registry), "ROLLBACK TO one; RELEASE one", NULL, NULL, NULL),
                        SQLITE_OK);
                assert_int_equal(registry_row_remove(registry, NOUN_DESIGNATION, id, NOW, NULL, &error), 0);
                json_object_put(narrow);
                json_object_put(row);
        }
}

static void designations_of_who_left_retired_or_is_gone_are_outside(void **state) {
        _cleanup_json_ json_object *a = NULL, *b = NULL, *unit = json_tokener_parse("{\"unit\":\"B\"}"),
                                   *retired = json_tokener_parse("{\"retired\":true}");

        designate(&a, "hanako", "");
        designate(&b, "taro", "");
        assert_string_equal(states(NOW, REVIEW_OUTSIDE, 0), "");
        assert_int_equal(registry_row_change(registry, NOUN_USER, "hanako", unit, NOW, NULL, NULL, &error), 0);
        assert_int_equal(registry_row_change(registry, NOUN_USER, "taro", retired, NOW, NULL, NULL, &error), 0);
        assert_string_equal(states(NOW, REVIEW_OUTSIDE, 0), "never-used outside;never-used outside;");
}

static void pages_go_on_where_the_last_one_ended(void **state) {
        json_object *row = NULL, *rows = NULL;
        ReviewQuery q = { .now_usec = NOW, .limit = 3 };
        unsigned pages = 0, n = 0;
        int64_t last = 0;

        for (unsigned i = 0; i < 10; i++) {
                designate(&row, "hanako", "");
                json_object_put(row);
        }
        for (;; pages++) {
                assert_int_equal(registry_review(registry, &q, &rows, &last), 0);
                n += (unsigned)json_object_array_length(rows);
                json_object_put(rows);
                if (last == q.after)
                        break;
                q.after = last;
        }
        assert_int_equal(n, 10);
        assert_int_equal(pages, 4);
}

static void a_mark_says_who_and_when_and_raises_the_version(void **state) {
        _cleanup_json_ json_object *row = NULL, *before = NULL, *after = NULL, *reset = NULL, *fields = NULL;
        const char *id = designate(&row, "hanako", "");
        json_object *version;

        assert_int_equal(registry_reviewed(registry, id, "2", NOW, NOW + 100 * DAY, &before, &after, &error), 0);
        assert_string_equal(json_string(after, "reviewed"), "2026-09-21T23:13:20+09:00");
        assert_string_equal(json_string(after, "reviewed_by"), "2");
        assert_string_equal(json_string(after, "review"), "2026-12-30T23:13:20+09:00");
        assert_null(json_string(before, "reviewed"));
        assert_true(json_object_object_get_ex(after, "version", &version));
        assert_int_equal(json_object_get_int(version), 2);

        assert_int_equal(registry_review_reset(registry, id, NOW, NULL, &reset, &error), 0);
        assert_null(json_string(reset, "reviewed_by"));
        assert_string_equal(states(NOW, REVIEW_OVERDUE, 0), "overdue never-used;");

        assert_int_equal(
                registry_reviewed(registry, "nobody", "2", NOW, NOW + DAY, NULL, NULL, &error), REGISTRY_E_NOT_FOUND);
        fields = json_tokener_parse("{\"reviewed_by\":\"1\"}");
        assert_int_equal(registry_row_change(registry, NOUN_DESIGNATION, id, fields, NOW, NULL, NULL, &error),
                REGISTRY_E_INVALID);
        assert_string_equal(error.text, "reviewed_by is kept by keishi itself");
}

static void a_review_date_is_needed_and_lies_within_two_years(void **state) {
        assert_int_equal(add(NOUN_DESIGNATION, "{\"scope\":\"s\",\"subject\":\"user:taro\",\"review\":\"\"}"),
                REGISTRY_E_INVALID);
        assert_int_equal(add(NOUN_DESIGNATION, "{\"scope\":\"s\",\"subject\":\"user:taro\",\"review\":\"2028-10-01\"}"),
                REGISTRY_E_INVALID);
        assert_int_equal(
                add(NOUN_DESIGNATION, "{\"scope\":\"s\",\"subject\":\"user:taro\",\"review\":\"2028-09-01\"}"), 0);
}

static int note_role(const char *uuid, const char *role, const char *unit, void *userdata) {
        strcat(userdata, role);
        strcat(userdata, "/");
        strcat(userdata, unit);
        strcat(userdata, " ");
        return 0;
}

static const char *roles_at(const char *person, uint64_t now) {
        static char text[256];

        *text = '\0';
        assert_int_equal(registry_deputies(registry, person, now, note_role, text), 0);
        return text;
}

static void a_deputy_holds_the_role_from_date_to_date(void **state) {
        must_add(NOUN_DEPUTY,
                "{\"unit\":\"A\",\"role\":\"unit-head\",\"person\":\"2\",\"from\":\"2026-10-01\",\"until\":\"2026-10-"
                "31\"}",
                NULL);
        must_add(NOUN_DEPUTY, "{\"unit\":\"B\",\"role\":\"duty-officer\",\"person\":\"2\",\"until\":\"2026-10-15\"}",
                NULL);
        assert_string_equal(roles_at("2", NOW), "duty-officer/B ");
        assert_string_equal(roles_at("2", NOW + 12 * DAY), "unit-head/A duty-officer/B ");
        assert_string_equal(roles_at("2", NOW + 38 * DAY), "unit-head/A ");
        assert_string_equal(roles_at("2", NOW + 45 * DAY), "");
        assert_string_equal(roles_at("1", NOW + 12 * DAY), "");
}

static void a_deputy_without_an_end_or_with_a_role_of_no_unit_is_refused(void **state) {
        assert_int_equal(
                add(NOUN_DEPUTY, "{\"unit\":\"A\",\"role\":\"unit-head\",\"person\":\"2\"}"), REGISTRY_E_INVALID);
        assert_int_equal(
                add(NOUN_DEPUTY,
                        "{\"unit\":\"A\",\"role\":\"system-owner\",\"person\":\"2\",\"until\":\"2027-01-01\"}"),
                REGISTRY_E_INVALID);
        assert_int_equal(
                add(NOUN_DEPUTY, "{\"unit\":\"A\",\"role\":\"unit-head\",\"person\":\"9\",\"until\":\"2027-01-01\"}"),
                REGISTRY_E_INVALID);
        assert_int_equal(
                add(NOUN_DEPUTY, "{\"unit\":\"A\",\"role\":\"unit-head\",\"person\":\"2\",\"until\":\"2026-01-01\"}"),
                REGISTRY_E_INVALID);
}

static void a_shared_password_stays_due_since_the_first_who_left(void **state) {
        _cleanup_json_ json_object *due = NULL;
        json_object *row;

        assert_int_equal(registry_shared_password_due(registry, "mado", "1", NOW), 0);
        assert_int_equal(registry_shared_password_due(registry, "mado", "2", NOW + DAY), 0);
        assert_int_equal(registry_shared_passwords_due(registry, &due), 0);
        assert_int_equal(json_object_array_length(due), 1);
        row = json_object_array_get_idx(due, 0);
        assert_string_equal(json_string(row, "since"), "2026-09-21T23:13:20+09:00");
        assert_string_equal(json_string(row, "person"), "2");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(a_review_is_due_a_month_before_its_date_and_overdue_after_it),
                TEST(what_has_ended_is_neither_due_nor_unused),
                TEST(the_last_use_is_the_one_noted_last),
                TEST(everything_that_no_longer_fits_the_scope_is_outside),
                TEST(designations_of_who_left_retired_or_is_gone_are_outside),
                TEST(pages_go_on_where_the_last_one_ended),
                TEST(a_mark_says_who_and_when_and_raises_the_version),
                TEST(a_review_date_is_needed_and_lies_within_two_years),
                TEST(a_deputy_holds_the_role_from_date_to_date),
                TEST(a_deputy_without_an_end_or_with_a_role_of_no_unit_is_refused),
                TEST(a_shared_password_stays_due_since_the_first_who_left),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
