/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/table.h"

static void test_kanji_kana_and_full_width_letters_take_two_columns(void **state) {
        assert_int_equal(text_width("山田花子"), 8);
        assert_int_equal(text_width("ヤマダ"), 6);
        assert_int_equal(text_width("Ａ１"), 4);
        assert_int_equal(text_width("（株）"), 6);
        assert_int_equal(text_width("、。"), 4);
        assert_int_equal(text_width("𠮷野家"), 6); /* U+20BB7, outside of the basic plane */
        assert_int_equal(text_width("髙﨑"), 4);
}

static void test_half_width_kana_and_latin_take_one_column(void **state) {
        assert_int_equal(text_width("ﾔﾏﾀﾞ"), 4);
        assert_int_equal(text_width("hanako"), 6);
        assert_int_equal(text_width("é"), 1);
        assert_int_equal(text_width("①"), 1); /* ambiguous: narrow */
}

static void test_combining_marks_take_none(void **state) {
        assert_int_equal(text_width("e\xcc\x81"), 1);          /* e + U+0301 */
        assert_int_equal(text_width("か\xe3\x82\x99"), 2);     /* か + U+3099, the combining dakuten */
        assert_int_equal(text_width("葛\xf3\xa0\x84\x80"), 2); /* with a variation selector of the ideographic kind */
        assert_int_equal(text_width("\xe2\x80\x8b"), 0);       /* zero width space */
}

static void test_broken_utf8_is_counted_and_does_not_stop(void **state) {
        assert_int_equal(text_width("a\xff"
                                    "b"),
                3);
        assert_int_equal(text_width("\xe5\xb1"), 2);
        assert_int_equal(text_width(""), 0);
}

static void test_text_is_safe_for_terminals(void **state) {
        static const struct {
                const char *text, *safe;
        } cases[] = {
                { "山田", "山田" },
                { "a\x1b[31m", "a\\x1b[31m" },
                { "a\nb\tc", "a\\x0ab\\x09c" },
                { "\xe2\x80\xae"
                  "abc",
                        "\\xe2\\x80\\xaeabc" }, /* right-to-left override */
                { "\xc2\x9b"
                  "31m",
                        "\\xc2\\x9b31m" }, /* C1 CSI */
                { "\xff", "\\xff" },
                { "C:\\x", "C:\\x" },
                { "", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *safe = text_safe(cases[i].text);

                assert_string_equal(safe, cases[i].safe);
        }
}

static void print_to(const Table *t, char **ret) {
        size_t size;
        FILE *f = open_memstream(ret, &size);

        assert_non_null(f);
        assert_int_equal(table_print(t, f), 0);
        fclose(f);
}

static void test_columns_start_at_the_same_place_whatever_the_widths(void **state) {
        static const char *const headings[] = { "NAME", "UNIT", "X" };
        _cleanup_(table_free_p) Table *t = NULL;
        _cleanup_free_ char *text = NULL;

        assert_int_equal(table_new(&t, headings, 3), 0);
        assert_int_equal(table_add(t, (const char *const[]){ "山田花子", "会計課", "1" }), 0);
        assert_int_equal(table_add(t, (const char *const[]){ "Li", NULL, "2" }), 0);
        assert_int_equal(table_add(t, (const char *const[]){ "a\nb", "広報", "3" }), 0);
        print_to(t, &text);
        assert_string_equal(text, "NAME      UNIT    X\n"
                                  "山田花子  会計課  1\n"
                                  "Li                2\n"
                                  "a\\x0ab    広報    3\n");
}

static void test_the_ranges_are_sorted_and_do_not_overlap(void **state) {
        /* a binary search over an unsorted table would find some of them only: each block's ends are looked up */
        static const uint32_t two[] = { 0x1100, 0x115f, 0x2e80, 0x303e, 0x3041, 0x4dbf, 0x4e00, 0x9fff, 0xa4cf, 0xac00,
                0xd7a3, 0xf900, 0xfaff, 0xfe30, 0xff01, 0xff60, 0xffe0, 0xffe6, 0x1f300, 0x1f64f, 0x20000, 0x3fffd };
        static const uint32_t none[] = { 0x0300, 0x036f, 0x0483, 0x200b, 0x200d, 0x20d0, 0x302a, 0x3099, 0x309a, 0xfe00,
                0xfe0f, 0xe0100, 0xe01ef };
        static const uint32_t one[] = { 'a', 0xa0, 0x370, 0x2014, 0x303f, 0xff61, 0xffdc, 0x2460 };

        for (size_t i = 0; i < ELEMENTSOF(two); i++)
                assert_int_equal(code_point_width(two[i]), 2);
        for (size_t i = 0; i < ELEMENTSOF(none); i++)
                assert_int_equal(code_point_width(none[i]), 0);
        for (size_t i = 0; i < ELEMENTSOF(one); i++)
                assert_int_equal(code_point_width(one[i]), 1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kanji_kana_and_full_width_letters_take_two_columns),
                cmocka_unit_test(test_half_width_kana_and_latin_take_one_column),
                cmocka_unit_test(test_combining_marks_take_none),
                cmocka_unit_test(test_broken_utf8_is_counted_and_does_not_stop),
                cmocka_unit_test(test_text_is_safe_for_terminals),
                cmocka_unit_test(test_columns_start_at_the_same_place_whatever_the_widths),
                cmocka_unit_test(test_the_ranges_are_sorted_and_do_not_overlap),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
