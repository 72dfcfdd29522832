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

#include "util/json.h"

static void check(const char *text, int expected) {
        _cleanup_json_ json_object *o = NULL;

        assert_int_equal(json_parse_object(text, &o), expected);
        assert_int_equal(o != NULL, expected == 0);
}

static void test_one_object_and_nothing_else_is_taken(void **state) {
        check("{}", 0);
        check("", 0);
        check(" {\"a\": 1} \n", 0);
        check("{\"a\":[{\"b\":null}],\"c\":\"x:y{\\\"z\\\":\"}", 0);
        check("[]", -EINVAL);
        check("null", -EINVAL);
        check("1", -EINVAL);
        check("{} {}", -EINVAL);
        check("{}x", -EINVAL);
        check("{", -EINVAL);
        check("{'a':1}", -EINVAL);
        check("{\"a\":1,}", -EINVAL);
        check("{\"a\":tru}", -EINVAL);
        check("{\"a\":\"\xff\"}", -EINVAL);
        check("// x\n{}", -EINVAL);
}

static void test_a_name_given_twice_is_refused_at_any_depth(void **state) {
        check("{\"a\":1,\"a\":2}", -EINVAL);
        check("{\"a\":{\"b\":1,\"b\":1}}", -EINVAL);
        check("{\"a\":[{\"b\":1},{\"b\":1}]}", 0);
        check("{\"a\":1,\"\\u0061\":2}", -EINVAL);
}

static void test_a_zero_character_in_a_string_is_refused(void **state) {
        check("{\"a\":\"x\\u0000y\"}", -EINVAL);
        check("{\"a\":[\"\\u0000\"]}", -EINVAL);
}

static void test_depth_and_size_are_bounded(void **state) {
        _cleanup_free_ char *large = malloc(JSON_TEXT_MAX + 2);

        check("{\"a\":{\"a\":{\"a\":{\"a\":1}}}}", 0);
        check("{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}", -EINVAL);
        assert_non_null(large);
        memset(large, ' ', JSON_TEXT_MAX + 1);
        large[JSON_TEXT_MAX + 1] = '\0';
        check(large, -E2BIG);
}

static void test_members_are_read_by_their_type(void **state) {
        _cleanup_json_ json_object *o = NULL;
        static const char *const names[] = { "s", "b", NULL };
        const char *name;

        assert_int_equal(json_parse_object("{\"s\":\"x\",\"b\":true,\"n\":1}", &o), 0);
        assert_string_equal(json_string(o, "s"), "x");
        assert_null(json_string(o, "n"));
        assert_null(json_string(o, "none"));
        assert_true(json_boolean(o, "b"));
        assert_false(json_boolean(o, "s"));
        assert_false(json_only_has(o, names, &name));
        assert_string_equal(name, "n");
}

/* json-c 0.18 refuses them when it is strict. */
static void test_characters_beyond_ascii_are_taken_and_kept(void **state) {
        static const char text[] = "{\"名前\":\"é桜𠮷\\\\\"}";
        _cleanup_json_ json_object *o = NULL;

        assert_int_equal(json_parse_object(text, &o), 0);
        assert_string_equal(json_string(o, "名前"), "é桜𠮷\\");
        check("{\"a\":\"\\桜\"}", -EINVAL);
        check("{\"a\":桜}", -EINVAL);
        check("桜", -EINVAL);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_object_and_nothing_else_is_taken),
                cmocka_unit_test(test_a_name_given_twice_is_refused_at_any_depth),
                cmocka_unit_test(test_a_zero_character_in_a_string_is_refused),
                cmocka_unit_test(test_depth_and_size_are_bounded),
                cmocka_unit_test(test_characters_beyond_ascii_are_taken_and_kept),
                cmocka_unit_test(test_members_are_read_by_their_type),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
