/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "factor/card-reply.h"
#include "login/factor-plan.h"
#include "login/local.h"
#include "util/cleanup.h"

/* What is asked for next, who is at the terminal itself, and what the card worker's replies mean. */

#define P FACTOR_PASSWORD
#define C FACTOR_CARD
#define B FACTOR_BIOMETRIC

/* "card biometric, card password, password" */
static const FactorSet three = {
        .alternatives = { C | B, C | P, P },
        .order = { { C, B }, { C, P }, { P } },
        .n = 3,
};

static void test_factors_follow_in_their_order(void **state) {
        FactorPlan p;

        assert_true(factor_plan_begin(&p, &three, WAY_LOCAL));
        assert_int_equal(factor_plan_next(&p), C | P);
        factor_plan_choose(&p, C);
        assert_int_equal(factor_plan_next(&p), C);
        factor_plan_verified(&p, C);
        assert_int_equal(factor_plan_next(&p), B | P);
        factor_plan_choose(&p, B);
        factor_plan_verified(&p, B);
        assert_int_equal(factor_plan_next(&p), 0);
}

static void test_a_choice_closes_what_begins_otherwise(void **state) {
        FactorPlan p;

        assert_true(factor_plan_begin(&p, &three, WAY_LOCAL));
        factor_plan_choose(&p, P);
        factor_plan_verified(&p, P);
        assert_int_equal(factor_plan_next(&p), 0);
}

static void test_from_afar_and_through_one_string_only_what_serves_there(void **state) {
        static const FactorSet devices = { .alternatives = { C, B | P }, .order = { { C }, { P, B } }, .n = 2 };
        static const FactorSet finger = { .alternatives = { C, B }, .order = { { C }, { B } }, .n = 2 };
        FactorPlan p;

        assert_true(factor_plan_begin(&p, &three, WAY_AFAR));
        assert_int_equal(factor_plan_next(&p), P);
        assert_true(factor_plan_begin(&p, &three, WAY_ONE_TEXT));
        assert_int_equal(factor_plan_next(&p), P);
        assert_false(factor_plan_begin(&p, &devices, WAY_AFAR));
        assert_false(factor_plan_begin(&p, &devices, WAY_ONE_TEXT));
        assert_true(factor_plan_begin(&p, &finger, WAY_ONE_TEXT));
        assert_int_equal(factor_plan_next(&p), B);
        assert_false(factor_plan_begin(&p, &finger, WAY_AFAR));
        assert_false(factor_plan_begin(&p, &(FactorSet){}, WAY_LOCAL));
}

static void test_who_is_at_the_terminal_itself(void **state) {
        static const struct {
                const char *name;
                LocalFacts facts;
                bool local;
        } cases[] = {
                { "getty", { .root = true, .on_vt = true, .console_family = true }, true },
                { "greeter", { .root = true, .greeter = true, .console_family = true }, true },
                { "a greeter's unit, another service", { .root = true, .greeter = true }, false },
                { "a greeter's unit, not root", { .greeter = true, .console_family = true }, false },
                { "greeter by XDMCP", { .remote = true, .root = true, .greeter = true, .console_family = true },
                        false },
                { "a job of root's", { .root = true }, false },
                { "a stray process with a virtual terminal", { .on_vt = true }, false },
                { "console session", { .in_session = true, .active_seat = true, .on_vt = true }, true },
                { "graphical session", { .in_session = true, .active_seat = true }, true },
                { "session in the background", { .in_session = true, .on_vt = true }, false },
                { "tmux of a session here, its user logged in from afar as well",
                        { .in_session = true, .active_seat = true, .user_remote = true }, false },
                { "console session, its user logged in from afar as well",
                        { .in_session = true, .active_seat = true, .on_vt = true, .user_remote = true }, true },
                { "sudo in a remote session", { .remote = true, .root = true, .in_session = true }, false },
                { "a tunnel back to this machine",
                        { .remote = true, .root = true, .in_session = true, .active_seat = true }, false },
                { "desktop program", { .in_manager = true, .user_on_seat = true }, true },
                { "lingering program", { .in_manager = true }, false },
                { "desktop program of who is logged in from afar too",
                        { .in_manager = true, .user_on_seat = true, .user_remote = true }, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (local_decide(&cases[i].facts) != cases[i].local)
                        fail_msg("%s", cases[i].name);
}

/* ---- replies ---- */

static Frame frame;
static CardFoundReader readers[FACTOR_READERS_MAX];

static int find(size_t *ret_n) {
        FactorStatus status;

        return card_find_reply(frame.bytes, frame.size, &status, readers, ret_n);
}

static void test_a_reply_is_taken_apart(void **state) {
        size_t n = 0;

        frame_init(&frame, FACTOR_OK);
        frame_add_text(&frame, FACTOR_ITEM_READER, "A");
        frame_add_uint(&frame, FACTOR_ITEM_CARD, CARD_ABSENT);
        frame_add_text(&frame, FACTOR_ITEM_READER, "B");
        frame_add_uint(&frame, FACTOR_ITEM_CARD, CARD_PRESENT);
        frame_add_uint(&frame, FACTOR_ITEM_APPLICATION, CARD_PIV);
        frame_add_uint(&frame, FACTOR_ITEM_TRIES, 3);
        frame_add(&frame, FACTOR_ITEM_CERTIFICATE, "abc", 3);
        frame_add_uint(&frame, FACTOR_ITEM_APPLICATION, CARD_JPKI);
        frame_add_uint(&frame, FACTOR_ITEM_TOO_LONG, 40000);
        assert_int_equal(find(&n), 0);
        assert_int_equal(n, 2);
        assert_string_equal(readers[1].name, "B");
        assert_int_equal(readers[0].state, CARD_ABSENT);
        assert_int_equal(readers[1].n, 2);
        assert_true(readers[1].applications[0].has_tries);
        assert_int_equal(readers[1].applications[0].certificate.size, 3);
        assert_false(readers[1].applications[1].has_tries);
        assert_true(readers[1].applications[1].too_long);
}

static void refused(void) {
        size_t n;

        assert_int_equal(find(&n), -71 /* -EPROTO */);
}

static void test_replies_out_of_order_or_of_too_much_are_refused_whole(void **state) {
        CardSigned s;
        bool card;

        frame_init(&frame, FACTOR_OK);
        frame_add_uint(&frame, FACTOR_ITEM_CARD, CARD_PRESENT);
        refused();
        frame_init(&frame, FACTOR_OK);
        frame_add_text(&frame, FACTOR_ITEM_READER, "A");
        frame_add_uint(&frame, FACTOR_ITEM_TRIES, 3);
        refused();
        frame_init(&frame, FACTOR_OK);
        frame_add_text(&frame, FACTOR_ITEM_READER, "A");
        frame_add_uint(&frame, FACTOR_ITEM_APPLICATION, CARD_PIV); /* without a card */
        refused();
        frame_init(&frame, FACTOR_NO_READER);
        frame_add_text(&frame, FACTOR_ITEM_READER, "A");
        refused();
        frame_init(&frame, FACTOR_PROGRESS);
        refused();
        frame_init(&frame, _FACTOR_STATUS_MAX);
        refused();
        frame_init(&frame, FACTOR_OK);
        for (unsigned i = 0; i <= FACTOR_READERS_MAX; i++)
                frame_add_text(&frame, FACTOR_ITEM_READER, "A");
        refused();
        frame_init(&frame, FACTOR_OK);
        frame_add_text(&frame, FACTOR_ITEM_READER, "A");
        frame_add_uint(&frame, FACTOR_ITEM_CARD, CARD_PRESENT);
        for (unsigned i = 0; i <= CARD_APPLICATIONS_MAX; i++)
                frame_add_uint(&frame, FACTOR_ITEM_APPLICATION, CARD_PIV);
        refused();

        frame_init(&frame, FACTOR_OK); /* signed, and no signature */
        assert_int_equal(card_sign_reply(frame.bytes, frame.size, &s), -71);
        frame_init(&frame, FACTOR_WRONG);
        frame_add(&frame, FACTOR_ITEM_SIGNATURE, "abc", 3);
        assert_int_equal(card_sign_reply(frame.bytes, frame.size, &s), -71);
        frame_init(&frame, FACTOR_WRONG);
        frame_add_uint(&frame, FACTOR_ITEM_TRIES, 2);
        assert_int_equal(card_sign_reply(frame.bytes, frame.size, &s), 0);
        assert_true(s.has_tries);
        assert_int_equal(s.tries, 2);

        frame_init(&frame, FACTOR_OK);
        assert_false(card_watch_reply(frame.bytes, frame.size, &card));
        assert_false(card);
        frame_init(&frame, FACTOR_PROGRESS);
        frame_add_text(&frame, FACTOR_ITEM_READER, "A");
        assert_true(card_watch_reply(frame.bytes, frame.size, &card));
        assert_false(card);
        frame_add_uint(&frame, FACTOR_ITEM_CARD, CARD_MUTE);
        assert_true(card_watch_reply(frame.bytes, frame.size, &card));
        assert_true(card);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_factors_follow_in_their_order),
                cmocka_unit_test(test_a_choice_closes_what_begins_otherwise),
                cmocka_unit_test(test_from_afar_and_through_one_string_only_what_serves_there),
                cmocka_unit_test(test_who_is_at_the_terminal_itself),
                cmocka_unit_test(test_a_reply_is_taken_apart),
                cmocka_unit_test(test_replies_out_of_order_or_of_too_much_are_refused_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
