/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "factor/key-reply.h"

static Frame frame;
static const unsigned char some[37] = { 1, 2, 3 };

static void start(FactorStatus s) {
        frame_init(&frame, s);
}

static void add(FactorItem item, size_t size) {
        frame_add(&frame, item, some, size);
}

static int list(size_t n_fds, KeyListed *keys, size_t *n) {
        FactorStatus s;

        return key_list_reply(frame.bytes, frame.size, n_fds, &s, keys, n);
}

static void keys_are_listed(void **state) {
        KeyListed keys[HELPER_FDS_MAX];
        size_t n;

        start(FACTOR_OK);
        assert_int_equal(list(0, keys, &n), 0);
        assert_int_equal(n, 0);
        frame_add_uint(&frame, FACTOR_ITEM_KEY, 0);
        frame_add_uint(&frame, FACTOR_ITEM_KEY_FLAGS, 0);
        frame_add_uint(&frame, FACTOR_ITEM_KEY, 2);
        add(FACTOR_ITEM_AAGUID, 16);
        frame_add_uint(&frame, FACTOR_ITEM_KEY_FLAGS, KEY_FLAG_UV | KEY_FLAG_BIO);
        frame_add_uint(&frame, FACTOR_ITEM_TRIES, 5);
        frame_add_uint(&frame, FACTOR_ITEM_PIN_TRIES, 8);
        assert_int_equal(list(3, keys, &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(keys[0].flags, 0);
        assert_false(keys[0].has_aaguid || keys[0].has_tries);
        assert_int_equal(keys[1].index, 2);
        assert_true(keys[1].has_aaguid && keys[1].has_tries && keys[1].has_pin_tries);
        assert_int_equal(keys[1].tries, 5);
        assert_int_equal(keys[1].pin_tries, 8);
        /* one that was not sent */
        assert_int_equal(list(2, keys, &n), -EPROTO);
        /* one that was told already */
        frame_add_uint(&frame, FACTOR_ITEM_KEY, 2);
        assert_int_equal(list(3, keys, &n), -EPROTO);
}

static void a_list_is_nothing_else(void **state) {
        KeyListed keys[HELPER_FDS_MAX];
        size_t n;

        start(FACTOR_OK);
        frame_add_uint(&frame, FACTOR_ITEM_TRIES, 5);
        assert_int_equal(list(1, keys, &n), -EPROTO);
        start(FACTOR_OK);
        frame_add_uint(&frame, FACTOR_ITEM_KEY, 0);
        add(FACTOR_ITEM_SIGNATURE, 8);
        assert_int_equal(list(1, keys, &n), -EPROTO);
        start(FACTOR_OK);
        frame_add_uint(&frame, FACTOR_ITEM_KEY, 0);
        frame_add_uint(&frame, FACTOR_ITEM_TRIES, 5);
        frame_add_uint(&frame, FACTOR_ITEM_TRIES, 6);
        assert_int_equal(list(1, keys, &n), -EPROTO);
        start(FACTOR_TIMEOUT);
        frame_add_uint(&frame, FACTOR_ITEM_KEY, 0);
        assert_int_equal(list(1, keys, &n), -EPROTO);
        start(FACTOR_PROGRESS);
        assert_int_equal(list(1, keys, &n), -EPROTO);
        start((FactorStatus)_FACTOR_STATUS_MAX);
        assert_int_equal(list(1, keys, &n), -EPROTO);
        assert_int_equal(list(1, keys, &n), -EPROTO);
}

static int find(size_t n_fds, KeyFound *f) {
        return key_find_reply(frame.bytes, frame.size, n_fds, f);
}

static void matches_are_pairs_of_which_the_first_counts(void **state) {
        KeyFound f;

        start(FACTOR_OK);
        assert_int_equal(find(1, &f), -EPROTO);
        frame_add_uint(&frame, FACTOR_ITEM_KEY, 1);
        assert_int_equal(find(2, &f), -EPROTO);
        add(FACTOR_ITEM_CREDENTIAL, 16);
        assert_int_equal(find(1, &f), -EPROTO);
        assert_int_equal(find(2, &f), 0);
        assert_true(f.found && f.key == 1 && f.credential.size == 16);
        frame_add_uint(&frame, FACTOR_ITEM_KEY, 0);
        add(FACTOR_ITEM_CREDENTIAL, 8);
        assert_int_equal(find(2, &f), 0);
        assert_true(f.key == 1 && f.credential.size == 16);
        add(FACTOR_ITEM_CREDENTIAL, 16);
        assert_int_equal(find(2, &f), -EPROTO);
        start(FACTOR_NO_KEY);
        assert_int_equal(find(1, &f), 0);
        assert_false(f.found);
        frame_add_uint(&frame, FACTOR_ITEM_KEY, 0);
        add(FACTOR_ITEM_CREDENTIAL, 8);
        assert_int_equal(find(1, &f), -EPROTO);
        start(FACTOR_PROGRESS);
        assert_int_equal(find(1, &f), -EPROTO);
}

static int reply(FactorOperation o, KeyReply *k) {
        return key_reply(o, frame.bytes, frame.size, k);
}

static void an_assertion_is_whole_or_none(void **state) {
        KeyAsserted a;
        KeyReply k;

        start(FACTOR_OK);
        assert_int_equal(reply(FACTOR_KEY_ASSERT, &k), -EPROTO);
        add(FACTOR_ITEM_AUTH_DATA, 37);
        assert_int_equal(reply(FACTOR_KEY_ASSERT, &k), -EPROTO);
        add(FACTOR_ITEM_SIGNATURE, 8);
        assert_int_equal(reply(FACTOR_KEY_ASSERT, &k), 0);
        assert_int_equal(k.status, FACTOR_OK);
        assert_int_equal(k.auth_data.size, 37);
        assert_int_equal(k.signature.size, 8);
        assert_int_equal(k.credential.size, 0);
        assert_int_equal(key_assert_reply(frame.bytes, frame.size, &a), 0);
        assert_int_equal(a.status, FACTOR_OK);
        assert_int_equal(a.signature.size, 8);
        add(FACTOR_ITEM_SIGNATURE, 8);
        assert_int_equal(reply(FACTOR_KEY_ASSERT, &k), -EPROTO);

        start(FACTOR_WRONG);
        frame_add_uint(&frame, FACTOR_ITEM_TRIES, 4);
        assert_int_equal(reply(FACTOR_KEY_ASSERT, &k), 0);
        assert_true(k.has_tries && k.tries == 4 && !k.has_pin_tries);
        add(FACTOR_ITEM_AUTH_DATA, 37);
        assert_int_equal(reply(FACTOR_KEY_ASSERT, &k), -EPROTO);
}

static void a_registration_has_its_chain(void **state) {
        KeyReply k;

        start(FACTOR_OK);
        add(FACTOR_ITEM_CREDENTIAL, 16);
        add(FACTOR_ITEM_AUTH_DATA, 37);
        frame_add_text(&frame, FACTOR_ITEM_FORMAT, "packed");
        add(FACTOR_ITEM_SIGNATURE, 8);
        assert_int_equal(reply(FACTOR_KEY_MAKE, &k), 0);
        assert_string_equal(k.format, "packed");
        for (size_t i = 1; i <= KEY_CHAIN_MAX; i++) {
                add(FACTOR_ITEM_CERTIFICATE, i);
                assert_int_equal(reply(FACTOR_KEY_MAKE, &k), 0);
                assert_int_equal(k.n_certificates, i);
        }
        add(FACTOR_ITEM_CERTIFICATE, 9);
        assert_int_equal(reply(FACTOR_KEY_MAKE, &k), -EPROTO);
}

static void only_enrolment_has_progress(void **state) {
        KeyReply k;

        start(FACTOR_PROGRESS);
        frame_add_uint(&frame, FACTOR_ITEM_REMAINING, 4);
        assert_int_equal(reply(FACTOR_KEY_ENROLL, &k), 0);
        assert_true(k.has_remaining && !k.has_sample && k.remaining == 4);
        frame_add_uint(&frame, FACTOR_ITEM_SAMPLE, SAMPLE_TOO_FAST);
        assert_int_equal(reply(FACTOR_KEY_ENROLL, &k), 0);
        assert_int_equal(k.sample, SAMPLE_TOO_FAST);
        for (int o = 0; o < _FACTOR_OPERATION_MAX; o++)
                if (o != FACTOR_KEY_ENROLL)
                        assert_int_equal(reply((FactorOperation)o, &k), -EPROTO);
        start(FACTOR_OK);
        assert_int_equal(reply(FACTOR_KEY_ENROLL, &k), -EPROTO);
        add(FACTOR_ITEM_TEMPLATE, 16);
        assert_int_equal(reply(FACTOR_KEY_ENROLL, &k), 0);
        add(FACTOR_ITEM_TEMPLATE, 16);
        assert_int_equal(reply(FACTOR_KEY_ENROLL, &k), -EPROTO);
        assert_int_equal(reply(FACTOR_KEY_TEMPLATES, &k), 0);
        assert_int_equal(k.n_templates, 2);
        assert_int_equal(reply(FACTOR_KEY_REMOVE_TEMPLATE, &k), -EPROTO);
        start(FACTOR_OK);
        assert_int_equal(reply(FACTOR_KEY_REMOVE_TEMPLATE, &k), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(keys_are_listed),
                cmocka_unit_test(a_list_is_nothing_else),
                cmocka_unit_test(matches_are_pairs_of_which_the_first_counts),
                cmocka_unit_test(an_assertion_is_whole_or_none),
                cmocka_unit_test(a_registration_has_its_chain),
                cmocka_unit_test(only_enrolment_has_progress),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
