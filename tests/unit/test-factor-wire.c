/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "factor/factor-wire.h"

static void items_come_back_in_their_order(void **state) {
        static const unsigned char digest[32] = { 1, 2, 3 };
        FrameReader r;
        FrameItem i;
        Frame f;

        frame_init(&f, FACTOR_CARD_SIGN);
        frame_add_text(&f, FACTOR_ITEM_READER, "読取装置 00");
        frame_add_uint(&f, FACTOR_ITEM_APPLICATION, CARD_JPKI);
        frame_add(&f, FACTOR_ITEM_DIGEST, digest, sizeof(digest));
        assert_false(f.overflow);
        assert_int_equal(frame_open(&r, f.bytes, f.size), 0);
        assert_int_equal(r.what, FACTOR_CARD_SIGN);
        assert_true(frame_next(&r, &i));
        assert_int_equal(i.item, FACTOR_ITEM_READER);
        assert_int_equal(i.size, strlen("読取装置 00"));
        assert_true(frame_next(&r, &i));
        assert_int_equal(i.item, FACTOR_ITEM_APPLICATION);
        assert_int_equal(i.number, CARD_JPKI);
        assert_true(frame_next(&r, &i));
        assert_memory_equal(i.bytes, digest, sizeof(digest));
        assert_false(frame_next(&r, &i));
}

static void a_frame_that_is_cut_anywhere_is_refused(void **state) {
        FrameReader r;
        Frame f;

        frame_init(&f, FACTOR_OK);
        frame_add_uint(&f, FACTOR_ITEM_TRIES, 3);
        frame_add_text(&f, FACTOR_ITEM_RP, "keishi.example.jp");
        for (size_t n = 0; n < f.size; n++)
                assert_int_equal(frame_open(&r, f.bytes, n), -EPROTO);
        assert_int_equal(frame_open(&r, f.bytes, f.size), 0);
}

static void refuse(FactorItem item, const void *value, size_t size) {
        FrameReader r;
        Frame f;

        frame_init(&f, FACTOR_OK);
        frame_add(&f, item, value, size);
        assert_int_equal(frame_open(&r, f.bytes, f.size), -EPROTO);
}

static void what_the_table_does_not_know_is_refused(void **state) {
        uint32_t n;

        refuse((FactorItem)0, "x", 1);
        refuse(_FACTOR_ITEM_MAX, "x", 1);
        refuse(FACTOR_ITEM_READER, "", 0);
        refuse(FACTOR_ITEM_READER, "a\x1b[2J", 5);
        refuse(FACTOR_ITEM_READER, "\xff", 1);
        refuse(FACTOR_ITEM_DIGEST, "short", 5);
        refuse(FACTOR_ITEM_TRIES, "abc", 3);
        n = 256, refuse(FACTOR_ITEM_TRIES, &n, sizeof(n));
        n = 0, refuse(FACTOR_ITEM_CARD, &n, sizeof(n));
        n = _CARD_STATE_MAX, refuse(FACTOR_ITEM_CARD, &n, sizeof(n));
        n = 8, refuse(FACTOR_ITEM_KEY, &n, sizeof(n));
        n = UINT32_MAX, refuse(FACTOR_ITEM_KEY_FLAGS, &n, sizeof(n));
}

static void what_does_not_fit_is_marked_and_not_cut(void **state) {
        static unsigned char certificate[FACTOR_CERTIFICATE_MAX];
        FrameReader r;
        Frame f;

        frame_init(&f, FACTOR_OK);
        for (unsigned i = 0; i < 3; i++)
                frame_add(&f, FACTOR_ITEM_CERTIFICATE, certificate, sizeof(certificate));
        assert_true(f.overflow);
        assert_int_equal(frame_open(&r, f.bytes, f.size), 0);
        frame_done(&f);
        for (size_t i = 0; i < sizeof(f.bytes); i++)
                assert_int_equal(f.bytes[i], 0);
}

static void every_value_has_a_name(void **state) {
        for (unsigned o = 1; o < _FACTOR_OPERATION_MAX; o++)
                assert_non_null(factor_operation_to_string((FactorOperation)o));
        for (unsigned s = 1; s < _FACTOR_STATUS_MAX; s++)
                assert_non_null(factor_status_to_string((FactorStatus)s));
        assert_null(factor_operation_to_string(_FACTOR_OPERATION_MAX));
        assert_null(factor_status_to_string((FactorStatus)0));
        assert_null(card_application_to_string(_CARD_APPLICATION_MAX));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(items_come_back_in_their_order),
                cmocka_unit_test(a_frame_that_is_cut_anywhere_is_refused),
                cmocka_unit_test(what_the_table_does_not_know_is_refused),
                cmocka_unit_test(what_does_not_fit_is_marked_and_not_cut),
                cmocka_unit_test(every_value_has_a_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
