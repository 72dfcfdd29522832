/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy-fixture.h"

/* What a verdict says, keeps and names; patterns; a terminal on trial. */

static void a_grant_names_designation_and_business(void **state) {
        Facts f = facts();
        Candidate c = candidate();
        Verdict v = decide(&f, &c, 1);

        assert_true(v.granted);
        assert_string_equal(v.designation, "d-1");
        assert_string_equal(v.business, "会計事務");
}

static void the_most_telling_reason_is_kept(void **state) {
        Candidate clock = candidate(), hours = candidate(), expired = candidate(), class = candidate(),
                  none = candidate();
        Facts f = facts();
        Verdict v;

        clock.designation = "clock";
        hours.designation = "hours";
        hours.bounds.hours = "mon 08:30-17:15";
        expired.designation = "expired";
        expired.bounds.until_usec = 1;
        class.designation = "class";
        class.confidentiality_max = 3;
        none.bounds.terminal = "KEIRI-02";

        v = decide(&f, (Candidate[]){ none, class, expired, hours, expired, class, none }, 7);
        assert_int_equal(v.reason, REASON_HOURS);
        assert_string_equal(v.rule, "designation:hours");

        v = decide(&f, (Candidate[]){ expired, class, none }, 3);
        assert_int_equal(v.reason, REASON_EXPIRED);
        v = decide(&f, (Candidate[]){ none, class }, 2);
        assert_int_equal(v.reason, REASON_CLASS);

        f.clock_trusted = false;
        v = decide(&f, (Candidate[]){ hours, class, none }, 3);
        assert_int_equal(v.reason, REASON_CLOCK);
        assert_string_equal(v.rule, "designation:hours");

        f.clock_trusted = true;
        v = decide(&f, (Candidate[]){ none, hours, clock }, 3);
        assert_true(v.granted);
        assert_string_equal(v.rule, "designation:clock");
}

static void a_final_refusal_stays_one_whatever_is_offered(void **state) {
        Candidate c = candidate();
        Facts f = facts();
        Verdict v;

        f.restriction = "r-1";
        assert_int_equal(verdict_begin(&v, &f), VERDICT_DONE);
        f.restriction = NULL;
        assert_false(verdict_offer(&v, &f, &c));
        assert_false(v.granted);
        assert_int_equal(v.reason, REASON_RESTRICTED);
}

static void a_grant_stays_one(void **state) {
        Candidate c = candidate(), other = candidate();
        Facts f = facts();
        Verdict v = decide(&f, &c, 1);

        other.bounds.terminal = "KEIRI-02";
        assert_true(verdict_offer(&v, &f, &other));
        assert_string_equal(v.designation, "d-1");
}

static void long_names_are_cut_and_terminated(void **state) {
        char business[512];
        Candidate c = candidate();
        Facts f = facts();
        Verdict v;

        memset(business, 'b', sizeof(business) - 1);
        business[sizeof(business) - 1] = '\0';
        c.business = business;
        v = decide(&f, &c, 1);
        assert_true(v.granted);
        assert_int_equal(strlen(v.business), sizeof(v.business) - 1);
}

static void patterns_know_star_and_question_mark_only(void **state) {
        static const struct {
                const char *pattern, *text;
                bool match;
        } table[] = {
                { "KEIRI-*", "KEIRI-01", true },
                { "KEIRI-*", "KEIRI-", true },
                { "KEIRI-*", "KEIRI", false },
                { "*", "", true },
                { "", "", true },
                { "", "a", false },
                { "*-01", "KEIRI-01", true },
                { "*-01", "KEIRI-01-02", false },
                { "K*I*1", "KEIRI-01", true },
                { "K*X*1", "KEIRI-01", false },
                { "**1", "KEIRI-01", true },
                { "KEIRI-0?", "KEIRI-01", true },
                { "KEIRI-0?", "KEIRI-0", false },
                { "KEIRI-0?", "KEIRI-011", false },
                { "会計?-01", "会計課-01", true },
                { "会計??01", "会計課01", false },
                { "*課-01", "会計課-01", true },
                { "[A-Z]*", "KEIRI-01", false },
                { "[A-Z]", "[A-Z]", true },
                { "keiri-*", "KEIRI-01", false },
                { "a*b", "aXbXc", false },
                { "?", "\xff", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (pattern_match(table[i].pattern, table[i].text) != table[i].match)
                        fail_msg("\"%s\" and \"%s\"", table[i].pattern, table[i].text);
}

static void names_go_both_ways(void **state) {
        for (Family f = 0; f < _FAMILY_MAX; f++)
                assert_int_equal(family_from_string(family_to_string(f)), f);
        for (SubjectKind k = 0; k < _SUBJECT_MAX; k++)
                assert_int_equal(subject_kind_from_string(subject_kind_to_string(k)), k);
        for (TerminalKind k = 0; k < _TERMINAL_KIND_MAX; k++)
                assert_int_equal(terminal_kind_from_string(terminal_kind_to_string(k)), k);
        for (Reason r = 0; r < _REASON_MAX; r++)
                assert_non_null(reason_to_string(r));
        assert_int_equal(family_from_string("Console"), _FAMILY_INVALID);
        assert_int_equal(family_from_string(NULL), _FAMILY_INVALID);
        assert_null(family_to_string(_FAMILY_INVALID));
        assert_null(reason_to_string(_REASON_MAX));
}

/* ---- a terminal on trial ---- */

static Verdict observe(const Facts *f, const Candidate *candidates, size_t n) {
        Verdict v = decide(f, candidates, n);

        verdict_observe(&v, f);
        return v;
}

static void on_trial_a_refusal_is_let_in_with_its_real_rule_and_reason(void **state) {
        Candidate c = candidate();
        Facts f = facts();
        Verdict v;

        v = observe(&f, &c, 1);
        assert_true(v.granted);
        assert_false(v.observed);
        assert_int_equal(v.reason, REASON_GRANTED);

        v = observe(&f, NULL, 0);
        assert_true(v.granted && v.observed);
        assert_int_equal(v.reason, REASON_DEFAULT);
        assert_string_equal(v.rule, "default");

        c.bounds.hours = "sat 09:00-12:00";
        v = observe(&f, &c, 1);
        assert_true(v.granted && v.observed);
        assert_int_equal(v.reason, REASON_HOURS);
        assert_string_equal(v.rule, "designation:d-1");
        assert_string_equal(v.designation, "");

        f.authenticated = false;
        assert_int_equal(observe(&f, &c, 1).reason, REASON_NOT_AUTHENTICATED);
        assert_true(observe(&f, &c, 1).observed);
        f.terminal = NULL;
        assert_true(observe(&f, &c, 1).observed);
        f.registered = false;
        assert_true(observe(&f, &c, 1).observed);
        f.family = _FAMILY_INVALID;
        assert_true(observe(&f, &c, 1).observed);

        f = facts();
        f.cloned = true;
        assert_false(observe(&f, &c, 1).granted);
        assert_int_equal(observe(&f, &c, 1).reason, REASON_CLONED);
        f = facts();
        f.terminal_retired = true;
        assert_false(observe(&f, &c, 1).granted);
}

static void on_trial_the_restricted_and_the_retired_stay_out_whatever_else_is_wrong(void **state) {
        for (unsigned i = 0; i < 8; i++) {
                Facts f = facts();
                Verdict v;

                if (i & 1)
                        f.terminal = NULL;
                if (i & 2)
                        f.registered = false;
                if (i & 4)
                        f.family = _FAMILY_INVALID;
                f.restriction = "r-1";
                v = observe(&f, NULL, 0);
                assert_false(v.granted || v.observed);
                assert_int_equal(v.reason, REASON_RESTRICTED);
                assert_string_equal(v.rule, "restriction:r-1");
                f.restriction = NULL;
                f.retired = true;
                v = observe(&f, NULL, 0);
                assert_false(v.granted || v.observed);
                assert_int_equal(v.reason, REASON_RETIRED);
                f.retired = false;
                f.target = "root";
                f.target_retired = true;
                assert_int_equal(observe(&f, NULL, 0).reason, REASON_TARGET);
                f.target_retired = false;
                f.target_restriction = "r-2";
                v = observe(&f, NULL, 0);
                assert_false(v.granted);
                assert_string_equal(v.rule, "restriction:r-2");
        }
}

static void on_trial_a_name_that_nss_does_not_know_is_nobody(void **state) {
        Facts f = facts();

        f.known = f.registered = false;
        assert_false(observe(&f, NULL, 0).granted);
        f.known = true;
        f.account = NULL;
        assert_false(observe(&f, NULL, 0).granted);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_grant_names_designation_and_business),
                cmocka_unit_test(the_most_telling_reason_is_kept),
                cmocka_unit_test(a_final_refusal_stays_one_whatever_is_offered),
                cmocka_unit_test(a_grant_stays_one),
                cmocka_unit_test(on_trial_a_refusal_is_let_in_with_its_real_rule_and_reason),
                cmocka_unit_test(on_trial_the_restricted_and_the_retired_stay_out_whatever_else_is_wrong),
                cmocka_unit_test(on_trial_a_name_that_nss_does_not_know_is_nobody),
                cmocka_unit_test(long_names_are_cut_and_terminated),
                cmocka_unit_test(patterns_know_star_and_question_mark_only),
                cmocka_unit_test(names_go_both_ways),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
