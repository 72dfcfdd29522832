/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "ctl/cell.h"
#include "ctl/encoding.h"
#include "util/json.h"

static void read_as(NounId noun, const char *field, const char *text, const char *wanted) {
        char buffer[CELL_SIZE];
        const char *error = NULL, *got = cell_read(cell_field_of(noun, field), text, buffer, &error);

        if (!wanted) {
                assert_null(got);
                assert_non_null(error);
                return;
        }
        assert_non_null(got);
        assert_string_equal(got, wanted);
}

static void test_cells_are_read_as_excel_writes_them(void **state) {
        read_as(NOUN_USER, "shared", "TRUE", "yes");
        read_as(NOUN_USER, "shared", "はい", "yes");
        read_as(NOUN_USER, "shared", "0", "no");
        read_as(NOUN_USER, "shared", "maybe", NULL);
        read_as(NOUN_USER, "shared", "", "");
        read_as(NOUN_SCOPE, "until", "2027/3/31", "2027-03-31");
        read_as(NOUN_SCOPE, "until", "2027/03/31 8:05", "2027-03-31T08:05:00");
        read_as(NOUN_SCOPE, "until", "2027/3/31 17:15:30", "2027-03-31T17:15:30");
        read_as(NOUN_SCOPE, "until", "2027/3/31x", "2027/3/31x");
        read_as(NOUN_SCOPE, "until", "2027-03-31", "2027-03-31");
        read_as(NOUN_USER, "birth", "1975/4/1", "1975-04-01");
        read_as(NOUN_USER, "birth", "S50.4.1", "1975-04-01");
        read_as(NOUN_USER, "birth", "昭和50年4月1日", "1975-04-01");
        read_as(NOUN_USER, "birth", "1975/2/29", "1975/2/29");
        read_as(NOUN_USER, "birth", "", "");
        read_as(NOUN_USER, "name", "'=1", "=1");
        read_as(NOUN_USER, "name", "'tis", "'tis");
}

static void written(NounId noun, const char *field, const char *json, bool japanese, const char *wanted) {
        _cleanup_json_ json_object *o = NULL;
        json_object *value = NULL;
        char buffer[64];

        assert_int_equal(json_parse_object(json, &o), 0);
        (void)json_object_object_get_ex(o, "v", &value);
        assert_string_equal(cell_text(cell_field_of(noun, field), value, japanese, buffer), wanted);
}

static void test_moments_that_bound_a_day_are_written_as_dates(void **state) {
        written(NOUN_SCOPE, "from", "{\"v\":\"2026-04-01T00:00:00+09:00\"}", false, "2026-04-01");
        written(NOUN_SCOPE, "until", "{\"v\":\"2027-04-01T00:00:00+09:00\"}", false, "2027-03-31");
        written(NOUN_SCOPE, "until", "{\"v\":\"2028-03-01T00:00:00+09:00\"}", false, "2028-02-29");
        written(NOUN_SCOPE, "until", "{\"v\":\"2027-03-31T17:15:00+09:00\"}", false, "2027-03-31T17:15:00+09:00");
        written(NOUN_SCOPE, "remote", "{\"v\":true}", false, "yes");
        written(NOUN_SCOPE, "remote", "{\"v\":false}", true, "いいえ");
        written(NOUN_SCOPE, "hours", "{}", true, "");
        written(NOUN_SCOPE, "confidentiality", "{\"v\":2}", true, "2");
}

static void test_every_heading_means_its_field_in_both_languages(void **state) {
        for (NounId n = 0; n < _NOUN_MAX; n++)
                for (size_t i = 0; cell_noun(n) && i < registry_nouns[n].n_fields; i++) {
                        const Field *f = &registry_nouns[n].fields[i];

                        if (f->kept) {
                                assert_null(cell_field(n, f->name));
                                continue;
                        }
                        assert_string_equal(cell_field(n, f->name), f->name);
                        assert_string_not_equal(cell_heading(n, f->name, true), f->name);
                        assert_string_equal(cell_field(n, cell_heading(n, f->name, true)), f->name);
                }
        assert_string_equal(cell_field(NOUN_USER, "氏名"), "name");
        assert_string_equal(cell_field(NOUN_USER, "ID"), "uuid");
        assert_null(cell_field(NOUN_USER, "範囲"));
        assert_null(cell_field(NOUN_USER, ""));
}

static void test_cp932_takes_excels_characters_and_refuses_what_would_come_back_otherwise(void **state) {
        static const char *const bad[] = { "x𠮷", "x¥", "x〜", "x—", "x−" };
        _cleanup_(codec_free_p) Codec *c = NULL;
        char there[64], back[64];
        size_t at = 0;

        assert_int_equal(codec_new(&c), 0);
        assert_int_equal(codec_encode(c, "髙﨑①～－ｱ\\a", there, sizeof(there), &at), 0);
        assert_int_equal(codec_decode(c, there, strlen(there), back, sizeof(back), &at), 0);
        assert_string_equal(back, "髙﨑①～－ｱ\\a");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(codec_encode(c, bad[i], there, sizeof(there), &at), -EILSEQ);
                assert_int_equal(at, 1);
        }
        assert_int_equal(codec_decode(c, "a\x81", 2, back, sizeof(back), &at), -EILSEQ);
        assert_int_equal(at, 1);
        assert_int_equal(codec_encode(c, "髙﨑", there, 4, &at), -E2BIG);
        assert_int_equal(codec_decode(c, "\x8e\x81\x96\xbc", 4, back, 5, &at), -E2BIG);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cells_are_read_as_excel_writes_them),
                cmocka_unit_test(test_moments_that_bound_a_day_are_written_as_dates),
                cmocka_unit_test(test_every_heading_means_its_field_in_both_languages),
                cmocka_unit_test(test_cp932_takes_excels_characters_and_refuses_what_would_come_back_otherwise),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
