/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "factor/card.h"

/* What piv.c, jpki.c and apdu.c make of cards that tests/double/card.py is not: a script of commands that have to come
 * and of what is answered. */

typedef struct Step {
        const char *command; /* hexadecimal digits that it begins with */
        const char *reply;
        size_t filler; /* bytes of 00 before it */
} Step;

typedef struct Script {
        const Step *at;
        unsigned resets;
} Script;

static size_t from_hex(const char *hex, unsigned char *bytes) {
        size_t n = strlen(hex) / 2;

        for (size_t i = 0; i < n; i++) {
                const char digits[] = { hex[2 * i], hex[2 * i + 1], 0 };

                bytes[i] = (unsigned char)strtoul(digits, NULL, 16);
        }
        return n;
}

static FactorStatus transmit(
        void *userdata, const unsigned char *command, size_t length, unsigned char *reply, size_t *size) {
        unsigned char expected[300];
        Script *s = userdata;
        size_t n;

        assert_non_null(s->at->command);
        n = from_hex(s->at->command, expected);
        assert_true(length >= n);
        assert_memory_equal(command, expected, n);
        memset(reply, 0, s->at->filler);
        *size = s->at->filler + from_hex(s->at->reply, reply + s->at->filler);
        s->at++;
        return FACTOR_OK;
}

static FactorStatus reset(void *userdata) {
        ((Script *)userdata)->resets++;
        return FACTOR_OK;
}

#define SELECT_PIV  "00a4040009a00000030800001000"
#define SELECT_JPKI "00a4040c0ad392f000260100000001"

static FactorStatus prove(Script *s, CardApplication application, CardAlgorithm algorithm, CardAnswer *ret) {
        static const unsigned char digest[DIGEST_SIZE];
        unsigned char pin[] = "123456";
        const CardLink link = { transmit, reset, s, false };
        FactorStatus r;

        r = card_prove(&link,
                &(CardQuestion){ .application = application,
                        .algorithm = algorithm,
                        .pin = pin,
                        .pin_size = application == CARD_JPKI ? 4 : 6,
                        .digest = { digest, sizeof(digest) } },
                ret);
        assert_null(s->at->command); /* all of it has come */
        return r;
}

static void read_one(Script *s, CardContents contents[CARD_KINDS], size_t n, FactorStatus expected) {
        const CardLink link = { transmit, reset, s, false };
        size_t found = 0;

        assert_int_equal(card_read(&link, contents, &found), expected);
        assert_int_equal(found, n);
        assert_null(s->at->command);
}

static void a_piv_card_that_says_nothing_about_itself_is_one(void **state) {
        static CardContents contents[CARD_KINDS];
        static const Step steps[] = {
                { SELECT_PIV, "9000" },
                { "00200080", "6700" },
                { "00cb3fff055c035fc105", "6a82" },
                { SELECT_JPKI, "6a82" },
                { 0 },
        };

        read_one(&(Script){ steps }, contents, 1, FACTOR_OK);
        assert_int_equal(contents[0].application, CARD_PIV);
        assert_false(contents[0].has_tries);
        assert_int_equal(contents[0].size, 0);
}

static void a_reply_of_zeros_is_misbehaviour_however_long(void **state) {
        static CardContents contents[CARD_KINDS];
        static const Step steps[] = {
                { SELECT_PIV, "9000" },
                { "00200080", "63c3" },
                { "00cb3fff", "9000", 300 },
                { 0 },
        };

        read_one(&(Script){ steps }, contents, 0, FACTOR_MISBEHAVED);
}

static void a_length_that_the_card_asks_for_is_given_once(void **state) {
        static CardContents contents[CARD_KINDS];
        static const Step steps[] = {
                { SELECT_PIV, "6a82" },
                { SELECT_JPKI, "9000" },
                { "00a4020c020018", "9000" },
                { "00200080", "63c0" },
                { "00a4020c02000a", "9000" },
                { "00b0000000", "6c04" },
                { "00b0000004", "300201059000" },
                { 0 },
        };

        read_one(&(Script){ steps }, contents, 1, FACTOR_OK);
        assert_int_equal(contents[0].application, CARD_JPKI);
        assert_true(contents[0].has_tries);
        assert_int_equal(contents[0].tries, 0);
        assert_int_equal(contents[0].size, 4);
        static const Step endless[] = {
                { SELECT_PIV, "6c10" },
                { SELECT_PIV, "6c10" },
                { 0 },
        };
        read_one(&(Script){ endless }, contents, 0, FACTOR_MISBEHAVED);
}

static void a_blocked_card_is_shown_no_pin(void **state) {
        static const Step by_status[] = { { SELECT_PIV, "9000" }, { "00200080", "6983" }, { 0 } };
        static const Step by_count[] = {
                { SELECT_JPKI, "9000" },
                { "00a4020c020018", "9000" },
                { "00200080", "63c0" },
                { 0 },
        };
        CardAnswer answer;

        assert_int_equal(prove(&(Script){ by_status }, CARD_PIV, CARD_P256, &answer), FACTOR_BLOCKED);
        assert_int_equal(prove(&(Script){ by_count }, CARD_JPKI, CARD_RSA_2048, &answer), FACTOR_BLOCKED);
        assert_true(answer.has_tries);
        assert_int_equal(answer.tries, 0);
}

static void what_verify_says_is_told_apart(void **state) {
        static const struct {
                const char *sw;
                FactorStatus status;
                bool has_tries;
                unsigned tries;
        } cases[] = {
                { "63c2", FACTOR_WRONG, true, 2 },
                { "63c0", FACTOR_WRONG, true, 0 },
                { "6983", FACTOR_WRONG, true, 0 },
                { "6300", FACTOR_WRONG, false, 0 },
                { "6a80", FACTOR_PIN_LENGTH, false, 0 },
                { "6700", FACTOR_PIN_LENGTH, false, 0 },
                { "6985", FACTOR_UNSUPPORTED, false, 0 },
                { "6f00", FACTOR_MISBEHAVED, false, 0 },
                { "6110", FACTOR_MISBEHAVED, false, 0 },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const Step steps[] = {
                        { SELECT_PIV, "9000" },
                        { "00200080", "63c3" },
                        { "0020008008313233343536ffff", cases[i].sw },
                        { 0 },
                };
                CardAnswer answer;

                assert_int_equal(prove(&(Script){ steps }, CARD_PIV, CARD_P256, &answer), cases[i].status);
                assert_int_equal(answer.has_tries && cases[i].status == FACTOR_WRONG, cases[i].has_tries);
                assert_true(!cases[i].has_tries || answer.tries == cases[i].tries);
        }
}

static void a_card_that_keeps_a_pin_over_its_reset_is_still_asked(void **state) {
        static const Step steps[] = {
                { SELECT_PIV, "9000" },
                { "00200080", "9000" },
                { SELECT_PIV, "9000" },
                { "00200080", "9000" },
                { "0020008008", "63c1" },
                { 0 },
        };
        Script script = { steps };
        CardAnswer answer;

        assert_int_equal(prove(&script, CARD_PIV, CARD_P256, &answer), FACTOR_WRONG);
        assert_int_equal(script.resets, 1);
        assert_int_equal(answer.tries, 1);
}

static void lengths_of_tlv_are_taken_as_written_and_no_further(void **state) {
        static const struct {
                const char *hex;
                bool is_object, is_sequence;
        } cases[] = {
                { "3000", true, true },
                { "30020500", true, true },
                { "3081020500", true, false }, /* a longer form than needed */
                { "308000000000", false, false },
                { "30840000000100", false, false },
                { "30020500ff", true, false }, /* a byte behind */
                { "300305", false, false },
                { "30", false, false },
                { "1f", false, false },
                { "7f490100", true, false },
                { "1fffff7f0100", false, false },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                unsigned char bytes[32];
                Bytes b = { bytes, from_hex(cases[i].hex, bytes) };

                assert_int_equal(der_is_sequence(b), cases[i].is_sequence);
                assert_int_equal(tlv_take(&b, &(Tlv){ 0 }), cases[i].is_object);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_piv_card_that_says_nothing_about_itself_is_one),
                cmocka_unit_test(a_reply_of_zeros_is_misbehaviour_however_long),
                cmocka_unit_test(a_length_that_the_card_asks_for_is_given_once),
                cmocka_unit_test(a_blocked_card_is_shown_no_pin),
                cmocka_unit_test(what_verify_says_is_told_apart),
                cmocka_unit_test(a_card_that_keeps_a_pin_over_its_reset_is_still_asked),
                cmocka_unit_test(lengths_of_tlv_are_taken_as_written_and_no_further),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
