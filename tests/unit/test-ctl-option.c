/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/moment.h"
#include "ctl/option.h"
#include "util/cleanup.h"
#include "util/clock.h"

static const OptionSpec specs[] = {
        { "unit", "UNIT", "" },
        { "reason", "TEXT", "" },
        { "follow", NULL, "" },
        {},
};
static const OptionSpec more[] = { { "json", NULL, "" }, {} };
static const OptionSpec *const tables[] = { specs, more, NULL };

static bool parse(Args *a, const char *const *argv, const char **error, const char **what) {
        size_t n = 0;

        while (argv[n])
                n++;
        return args_parse(a, (char *const *)argv, n, tables, error, what);
}

static void test_values_flags_and_positional_arguments_are_told_apart(void **state) {
        const char *error, *what;
        Args a;

        assert_true(parse(&a,
                (const char *const[]){ "hanako", "--unit", "会計課", "--reason=a=b", "--json", "--", "--follow", NULL },
                &error, &what));
        assert_int_equal(a.n_positional, 2);
        assert_string_equal(a.positional[0], "hanako");
        assert_string_equal(a.positional[1], "--follow");
        assert_string_equal(args_get(&a, "unit"), "会計課");
        assert_string_equal(args_get(&a, "reason"), "a=b");
        assert_true(args_has(&a, "json"));
        assert_false(args_has(&a, "follow"));
}

static void test_an_empty_value_and_a_lone_dash_are_values(void **state) {
        const char *error, *what;
        Args a;

        assert_true(parse(&a, (const char *const[]){ "-", "--unit", "", "--reason", "--x", NULL }, &error, &what));
        assert_string_equal(a.positional[0], "-");
        assert_string_equal(args_get(&a, "unit"), "");
        assert_string_equal(args_get(&a, "reason"), "--x"); /* what follows an option that takes a value is its value */
}

static void test_nothing_is_ignored(void **state) {
        static const struct {
                const char *argv[5], *error, *what;
        } cases[] = {
                { { "--units", "x", NULL }, "unknown option", "--units" },
                { { "-u", NULL }, "unknown option", "-u" },
                { { "--", "--uni", NULL }, NULL, NULL },
                { { "--uni", "x", NULL }, "unknown option", "--uni" },
                { { "--=x", NULL }, "unknown option", "--=x" },
                { { "--unit", "a", "--unit", "b", NULL }, "given twice", "--unit" },
                { { "--follow", "--follow", NULL }, "given twice", "--follow" },
                { { "--follow=yes", NULL }, "takes no value", "--follow=yes" },
                { { "--unit", NULL }, "needs a value", "--unit" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *error = NULL, *what = NULL;
                Args a;

                assert_int_equal(parse(&a, cases[i].argv, &error, &what), cases[i].error == NULL);
                if (cases[i].error) {
                        assert_non_null(strstr(error, cases[i].error));
                        assert_string_equal(what, cases[i].what);
                }
        }
}

static void test_more_arguments_than_there_is_room_for_are_refused(void **state) {
        const char *argv[ARGS_MAX + 2] = {}, *error, *what;
        Args a;

        for (size_t i = 0; i < ARGS_MAX; i++)
                argv[i] = "x";
        assert_true(parse(&a, argv, &error, &what));
        argv[ARGS_MAX] = "y";
        assert_false(parse(&a, argv, &error, &what));
        assert_string_equal(what, "y");
}

static void check_moment(const char *text, bool end, uint64_t expected) {
        uint64_t usec = 1;

        assert_int_equal(moment_parse(text, end, &usec), 0);
        assert_int_equal(usec, expected);
}

static void test_times_are_local_and_a_day_has_two_ends(void **state) {
        /* 2026-03-31 in Tokyo begins at 2026-03-30T15:00:00Z */
        const uint64_t day = UINT64_C(1774882800) * USEC_PER_SEC;

        check_moment("2026-03-31", false, day);
        check_moment("2026-03-31", true, day + 86400 * USEC_PER_SEC - 1);
        check_moment("2026-03-31 17:15", false, day + (17 * 3600 + 15 * 60) * USEC_PER_SEC);
        check_moment("2026-03-31T17:15:30", true, day + (17 * 3600 + 15 * 60 + 30) * USEC_PER_SEC);
        check_moment("@1774882800000000", false, day);
}

static void test_what_is_no_time_is_refused(void **state) {
        static const char *const texts[] = { "", "2026", "2026-3-31", "2026-02-30", "2026-04-31", "2026-13-01",
                "2026-03-31 24:00", "2026-03-31 17:60", "2026-03-31 17:15 ", "2026-03-31 17", "25:00", "17:15:61", "@",
                "@-1", "@1x", "yesterday", "2026-03-31Z", "2026/03/31", "0000-01-01", "２０２６-03-31" };
        uint64_t usec;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                assert_true(moment_parse(texts[i], false, &usec) < 0);
}

static void test_times_are_shown_in_local_time(void **state) {
        char text[MOMENT_TEXT_MAX];

        moment_format(UINT64_C(1774882800) * USEC_PER_SEC, text);
        assert_string_equal(text, "2026-03-31 00:00:00");
        moment_format(0, text);
        assert_string_equal(text, "");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values_flags_and_positional_arguments_are_told_apart),
                cmocka_unit_test(test_an_empty_value_and_a_lone_dash_are_values),
                cmocka_unit_test(test_nothing_is_ignored),
                cmocka_unit_test(test_more_arguments_than_there_is_room_for_are_refused),
                cmocka_unit_test(test_times_are_local_and_a_day_has_two_ends),
                cmocka_unit_test(test_what_is_no_time_is_refused),
                cmocka_unit_test(test_times_are_shown_in_local_time),
        };

        (void)setenv("TZ", "JST-9", 1);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
