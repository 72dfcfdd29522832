/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <string.h>

#include "policy/hours.h"
#include "util/cleanup.h"

enum { MON, TUE, WED, THU, FRI, SAT, SUN };

#define AT(hour, minute) ((hour)*60 + (minute))

static void no_text_is_always(void **state) {
        for (unsigned day = MON; day <= SUN; day++) {
                assert_true(hours_match(NULL, day, 0));
                assert_true(hours_match(NULL, day, 1439));
        }
}

static void bounds_are_half_open(void **state) {
        static const char text[] = "mon-fri 08:30-17:15";

        assert_false(hours_match(text, MON, AT(8, 29)));
        assert_true(hours_match(text, MON, AT(8, 30)));
        assert_true(hours_match(text, FRI, AT(17, 14)));
        assert_false(hours_match(text, FRI, AT(17, 15)));
        assert_false(hours_match(text, SAT, AT(12, 0)));
}

static void entries_add_up(void **state) {
        static const char text[] = "mon-fri 08:30-17:15, sat 09:00-12:00";

        assert_true(hours_match(text, SAT, AT(11, 59)));
        assert_false(hours_match(text, SAT, AT(12, 0)));
        assert_false(hours_match(text, SUN, AT(10, 0)));
        assert_true(hours_match(text, WED, AT(10, 0)));
}

static void an_end_before_the_start_runs_past_midnight(void **state) {
        static const char text[] = "sun 22:00-06:00";

        assert_false(hours_match(text, SUN, AT(5, 0)));
        assert_true(hours_match(text, SUN, AT(23, 59)));
        assert_true(hours_match(text, MON, AT(0, 0)));
        assert_true(hours_match(text, MON, AT(5, 59)));
        assert_false(hours_match(text, MON, AT(6, 0)));
        assert_false(hours_match(text, MON, AT(22, 0)));
}

static void midnight_is_an_end_in_both_spellings(void **state) {
        assert_true(hours_match("mon 22:00-24:00", MON, AT(23, 59)));
        assert_false(hours_match("mon 22:00-24:00", TUE, 0));
        assert_true(hours_match("mon 22:00-00:00", MON, AT(23, 59)));
        assert_false(hours_match("mon 22:00-00:00", TUE, 0));
        for (unsigned day = MON; day <= SUN; day++)
                assert_true(hours_match("daily 00:00-24:00", day, 1439));
}

static void a_range_of_days_wraps(void **state) {
        static const char text[] = "sat-mon 10:00-11:00";

        assert_true(hours_match(text, SAT, AT(10, 0)));
        assert_true(hours_match(text, SUN, AT(10, 0)));
        assert_true(hours_match(text, MON, AT(10, 0)));
        assert_false(hours_match(text, TUE, AT(10, 0)));
        assert_false(hours_match(text, FRI, AT(10, 0)));
}

static void spaces_around_entries_are_allowed(void **state) {
        assert_true(hours_valid(" mon  08:00-09:00 ,tue 08:00-09:00 ", NULL));
}

static void unreadable_text_is_refused_with_a_reason_and_matches_never(void **state) {
        static const char *const bad[] = {
                "",
                " ",
                "mon",
                "mon 08:30",
                "mon 08:30-",
                "mon 8:30-17:15",
                "mon 08:30-17:60",
                "mon 25:00-26:00",
                "mon 24:00-06:00",
                "mon 08:00-24:01",
                "mon 08:00-08:00",
                "mon08:00-09:00",
                "mon,tue 08:00-09:00",
                "Mon 08:00-09:00",
                "monday 08:00-09:00",
                "mon- 08:00-09:00",
                "mon-xyz 08:00-09:00",
                "mon 08:00-09:00,",
                "mon 08:00-09:00;tue 08:00-09:00",
                "mon 08:00-09:00 tue",
                "daily",
                "daily-mon 08:00-09:00",
                "月 08:00-09:00",
                "mon 08.00-09.00",
                "mon\t08:00-09:00",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                const char *error = NULL;

                if (hours_valid(bad[i], &error))
                        fail_msg("\"%s\" was accepted", bad[i]);
                assert_non_null(error);
                assert_true(strlen(error) > 0);
                for (unsigned day = MON; day <= SUN; day++)
                        assert_false(hours_match(bad[i], day, AT(8, 30)));
                assert_false(hours_within(bad[i], NULL));
                assert_false(hours_within(NULL, bad[i]));
        }
}

static void sixteen_entries_are_the_most(void **state) {
        char text[512] = "mon 00:00-00:01";

        for (int i = 1; i < HOURS_MAX; i++)
                strcat(text, ",mon 00:00-00:01");
        assert_true(hours_valid(text, NULL));
        strcat(text, ",mon 00:00-00:01");
        assert_false(hours_valid(text, NULL));
}

static void a_time_outside_the_week_never_matches(void **state) {
        assert_false(hours_match("daily 00:00-24:00", 7, 0));
        assert_false(hours_match("daily 00:00-24:00", 0, 1440));
}

static void within_compares_every_minute_of_the_week(void **state) {
        static const char office[] = "mon-fri 08:30-17:15";

        assert_true(hours_within(office, office));
        assert_true(hours_within(office, NULL));
        assert_true(hours_within("mon 08:30-12:00, fri 13:00-17:15", office));
        assert_true(hours_within("mon 08:30-17:15", "mon 08:30-12:00, mon 12:00-17:15"));
        assert_false(hours_within("mon 08:29-12:00", office));
        assert_false(hours_within("mon 08:30-17:16", office));
        assert_false(hours_within("sat 09:00-10:00", office));
        assert_false(hours_within(NULL, office));
        assert_true(hours_within(NULL, "daily 00:00-24:00"));
        assert_true(hours_within("mon 00:00-06:00", "sun 22:00-06:00"));
        assert_false(hours_within("sun 00:00-06:00", "sun 22:00-06:00"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_text_is_always),
                cmocka_unit_test(bounds_are_half_open),
                cmocka_unit_test(entries_add_up),
                cmocka_unit_test(an_end_before_the_start_runs_past_midnight),
                cmocka_unit_test(midnight_is_an_end_in_both_spellings),
                cmocka_unit_test(a_range_of_days_wraps),
                cmocka_unit_test(spaces_around_entries_are_allowed),
                cmocka_unit_test(unreadable_text_is_refused_with_a_reason_and_matches_never),
                cmocka_unit_test(sixteen_entries_are_the_most),
                cmocka_unit_test(a_time_outside_the_week_never_matches),
                cmocka_unit_test(within_compares_every_minute_of_the_week),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
