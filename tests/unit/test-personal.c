/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "policy/date.h"
#include "policy/fold.h"
#include "policy/personal.h"
#include "util/cleanup.h"

static const Personal taro = {
        .account = "y.suzuki",
        .person = "P0012345",
        .name = "鈴木 ヨシオ",
        .birth = "1975-04-01",
};

static bool caught(const char *password, const Personal *p) {
        return password_is_personal(password, strlen(password), p);
}

static void all_are(const char *const *passwords, size_t n, const Personal *p, bool expected) {
        unsigned wrong = 0;

        for (size_t i = 0; i < n; i++)
                if (caught(passwords[i], p) != expected) {
                        print_error("%s: %s\n", passwords[i], expected ? "passed" : "refused");
                        wrong++;
                }
        assert_int_equal(wrong, 0);
}
#define ALL_REFUSED(p, ...)                                                                                            \
        do {                                                                                                           \
                static const char *const list[] = { __VA_ARGS__ };                                                     \
                all_are(list, ELEMENTSOF(list), p, true);                                                              \
        } while (0)
#define ALL_PASS(p, ...)                                                                                               \
        do {                                                                                                           \
                static const char *const list[] = { __VA_ARGS__ };                                                     \
                all_are(list, ELEMENTSOF(list), p, false);                                                             \
        } while (0)

static void western_dates_are_refused(void **state) {
        ALL_REFUSED(&taro, "19750401", "750401", "1975/4/1", "1975-04-01", "1975.4.1", "1975年4月1日", "1975年04月01日",
                "04011975", "010475", "4/1/1975", "1/4/1975", "01.04.1975", "75/4/1", "75-04-01", "7541", "'75.4.1",
                "197541", "1975 4 1", "1975_04_01", "1975:04:01", "1975#04#01", "0401", "4/01/75", "19750104",
                "04197501", "Apr 1, 1975", "1 April 1975", "APRIL011975", "1apr75", "1975ー04ー01", "1-9-7-5-0-4-0-1",
                "1975年4月1日生まれ", "1975・4・1", "1975〜04〜01");
}

static void japanese_dates_are_refused(void **state) {
        ALL_REFUSED(&taro, "S50.4.1", "s500401", "S50/04/01", "昭和50年4月1日", "昭和五十年四月一日", "昭50.4.1",
                "昭和五〇年四月一日", "一九七五年四月一日", "㍼50年4月1日", "S.50.4.1", "50.04.01", "500401",
                "showa500401", "Shouwa50.4.1", "SYOUWA50-4-1", "しょうわ50ねん0401", "ショウワ500401", "ｼｮｳﾜ500401",
                "昭和５０年４月１日", "五十年四月一日", "昭和伍拾年四月壱日", "しょうわ50ねん4がつ1にち", "H50.4.1",
                "昭和五拾年四月壱日");
}

static void full_width_and_half_width_are_the_same(void **state) {
        ALL_REFUSED(&taro, "１９７５０４０１", "１９７５／４／１", "Ｓ５０．４．１", "ｓ５００４０１",
                "１９７５－０４－０１", "１９７５　４　１", "ＳＵＺＵＫＩ", "ｐ００１２３４５", "ﾖｼｵﾖｼｵ",
                "よしおよしお", "鈴木ﾖｼｵ");
}

static void backwards_twice_and_with_little_added(void **state) {
        ALL_REFUSED(&taro, "10405791", "1/4/5791", "1.4.05S", "1975040119750401", "1975-04-01 1975-04-01",
                "1975040110405791", "x19750401", "19750401!", "ab19750401", "19750401abc!#", "#19750401pw",
                "19750401aaaaaaaaaaaa", "19750401!!!!!!!!", "S50.4.1!a", "--19750401--", "197504011234", "Suzuki1",
                "suzuki2026", "suzuki#2026", "ikuzus", "Suzuki19750401", "suzuki0401", "SuzukiSuzuki", "y-suzuki",
                "ysuzuki99", "Mr.Suzuki!", "suzuki123456789", "S50.4.1suzuki");
}

static void staff_numbers_are_refused(void **state) {
        ALL_REFUSED(&taro, "P0012345", "p0012345", "P-0012345", "P00-12345", "0012345", "12345", "54321", "5432100P",
                "12345abc", "12345 12345", "x12345y!", "Ｐ００１２３４５", "12345#suzuki", "19750401P0012345");
}

static void names_are_refused(void **state) {
        ALL_REFUSED(&taro, "鈴木ヨシオ", "鈴木 よしお", "鈴木12", "ヨシオ2026", "鈴木鈴木", "オシヨ木鈴");
        ALL_REFUSED((&(Personal){ .account = "abe", .name = "Anna-Lena Abe" }), "annalena", "Lena.Abe", "abe", "abeabe",
                "LENA12345");
}

static void good_passwords_pass(void **state) {
        ALL_PASS(&taro, "", "a", "correct horse battery staple", "75 blue herons over the river",
                "four herons, 75 frogs, 1 pond", "Kd7#pQ2!vXz9", "tr0ub4dor&3", "x7$5%4^1&*(qz", "1975 was a good year",
                "April showers bring flowers", "20110311", "19750402x", "19750501", "S50.5.1", "S49.4.1",
                "昭和四十九年四月一日", "suzume no tojimari", "P0012346", "my aunt Suzuki has three cats",
                "moon-19750401-granite-owl", "さくらさくらやよいのそら", "桜の木の下で会いましょう", "日曜日は雨",
                "0401-granite-owl", "h50.4.1-harbour", "\xff\xfe\x80\x81", "98-76-54-32", "98765432");
}

/* Of a short account or date, less may be added before it is something else. */
static void little_is_less_of_what_is_short(void **state) {
        const Personal ab = { .account = "ab", .birth = "1975-04-01" };

        ALL_REFUSED(&ab, "ab", "abab", "ab7", "AB!x", "abab-abab", "0401xyw", "7541q!z");
        ALL_PASS(&ab, "abduction", "cabinet-Q7", "drab8#kQ", "0401xqwz", "7541qvzt", "s5041kqxvz");
}

static void nothing_known_refuses_nothing(void **state) {
        const Personal nobody = {}, empty = { "", "", "", "" }, bad = { .birth = "1975-02-29" },
                       signs = { .account = "-", .person = "...", .name = " " };

        ALL_PASS(&nobody, "", "19750401", "suzuki", "0000");
        ALL_PASS(&empty, "", "19750401", "suzuki", "0000");
        ALL_PASS(&bad, "", "19750229", "0229");
        ALL_PASS(&signs, "", "--", "....", "- -");
        ALL_REFUSED(&signs, "-", "...", " ", "．．．");
}

static bool year_is_written(const DateWritings *d, const char *year) {
        const DatePart *p = &d->parts[DATE_YEAR];
        uint32_t c[16];
        size_t n = text_fold(year, strlen(year), c, ELEMENTSOF(c));

        for (size_t i = 0; i < p->n; i++)
                if (p->texts[i].n == n && memcmp(p->texts[i].c, c, n * sizeof(c[0])) == 0)
                        return true;
        return false;
}

static void eras_begin_and_end_on_their_day(void **state) {
        static const struct {
                const char *birth, *year;
                bool expected;
        } days[] = {
                { "1868-01-24", "M1", false },
                { "1868-01-25", "M1", true },
                { "1912-07-29", "M45", true },
                { "1912-07-29", "T1", false },
                { "1912-07-30", "明治45", true },
                { "1912-07-30", "大正1", true },
                { "1912-07-31", "M45", false },
                { "1912-07-31", "T01", true },
                { "1926-12-24", "T15", true },
                { "1926-12-24", "S1", false },
                { "1926-12-25", "taisho15", true },
                { "1926-12-25", "showa1", true },
                { "1926-12-26", "T15", false },
                { "1926-12-26", "昭1", true },
                { "1989-01-07", "S64", true },
                { "1989-01-07", "H1", false },
                { "1989-01-08", "S64", false },
                { "1989-01-08", "㍻1", true },
                { "2019-04-30", "ヘイセイ31", true },
                { "2019-04-30", "R1", false },
                { "2019-05-01", "H31", false },
                { "2019-05-01", "㋿1", true },
        };
        DateWritings d;

        for (size_t i = 0; i < ELEMENTSOF(days); i++) {
                assert_true(date_writings(days[i].birth, &d));
                if (year_is_written(&d, days[i].year) != days[i].expected)
                        fail_msg("%s of %s", days[i].year, days[i].birth);
        }
        ALL_REFUSED(
                (&(Personal){ .birth = "1926-12-25" }), "昭和元年12月25日", "S元.12.25", "大正十五年十二月二十五日");
        ALL_REFUSED((&(Personal){ .birth = "1989-01-08" }), "平成元年一月八日", "H元.1.8", "H1.1.8", "h010108");
        ALL_REFUSED((&(Personal){ .birth = "2019-05-01" }), "㋿元年5月1日", "R1.5.1", "れいわがんねん5がつ1にち");
}

static void accounts_of_directories_count_without_their_domain(void **state) {
        const Personal p = { .account = "SITE\\hanako.ito@example.org" };

        ALL_REFUSED(&p, "hanako.ito", "hanakoito1", "hanako99", "otiokanah");
        ALL_PASS(&p, "example-harbour", "site visits on Monday");
}

static void any_bytes_and_any_size_are_taken(void **state) {
        static char large[5000];
        uint32_t state_of_random = 1;

        for (int round = 0; round < 200; round++) {
                for (size_t i = 0; i < sizeof(large); i++) {
                        state_of_random = state_of_random * 1664525u + 1013904223u;
                        large[i] = (char)(state_of_random >> 24);
                }
                assert_false(password_is_personal(large, sizeof(large), &taro));
        }
        memset(large, '1', sizeof(large));
        assert_false(password_is_personal(large, sizeof(large), &taro));
        for (size_t i = 0; i + 3 <= sizeof(large); i += 3)
                memcpy(large + i, "千", 3);
        assert_false(password_is_personal(large, sizeof(large), &taro));
        for (size_t i = 0; i + 8 <= sizeof(large); i += 8)
                memcpy(large + i, "19750401", 8);
        assert_true(password_is_personal(large, sizeof(large), &taro));
        assert_true(password_is_personal("19750401\0\0\0", 11, &taro));
}

static void folding_is_nfkc_of_what_is_typed_in_japanese(void **state) {
        static const struct {
                const char *from, *to;
        } table[] = {
                { "ＡＺａｚ０９！～", "azaz09!~" },
                { "ｶﾞｷﾞﾊﾟﾋﾟﾎﾞｳﾞﾀﾞﾂﾞ", "がぎぱぴぼゔだづ" },
                { "ｱﾞｯﾟ", "あ\u3099っ\u309a" },
                { "カ\u3099", "が" },
                { "か゛", "が" },
                { "ァヶヴヽ", "ぁゖゔゝ" },
                { "ｰ･｡｢｣､", "ー・。「」、" },
                { "　", " " },
                { "㍻㍼㍽㍾㋿", "平成昭和大正明治令和" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint32_t a[64], b[64];
                size_t n = text_fold(table[i].from, strlen(table[i].from), a, 64),
                       m = text_fold(table[i].to, strlen(table[i].to), b, 64);

                assert_int_equal(n, m);
                assert_memory_equal(a, b, n * sizeof(a[0]));
        }
}

static void a_date_is_one_of_the_calendar(void **state) {
        static const char *const bad[] = { "", "1975", "1975-4-1", "1975-04-31", "1900-02-29", "1975-13-01",
                "1975-00-10", "1975-01-00", "1975-01-32", "0000-01-01", "1975/04/01", "1975-04-01 ", " 1975-04-01",
                "19750-4-01", "1975-04-0x", "１９７５-04-01" };
        Date d, e;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(date_parse(bad[i], &d));
        assert_true(date_parse("2000-02-29", &d));
        assert_int_equal(d.year * 10000 + d.month * 100 + d.day, 20000229);
        assert_true(date_parse("2000-03-01", &e));
        assert_true(date_compare(d, e) < 0 && date_compare(e, d) > 0 && date_compare(d, d) == 0);
}

static void a_date_is_read_as_people_write_it(void **state) {
        static const struct {
                const char *text, *date;
        } table[] = {
                { "1975-04-01", "1975-04-01" },
                { "1975/4/1", "1975-04-01" },
                { "1975.04.1", "1975-04-01" },
                { "1975年4月1日", "1975-04-01" },
                { "１９７５／４／１", "1975-04-01" },
                { "S50.4.1", "1975-04-01" },
                { "s50/04/01", "1975-04-01" },
                { "昭和50年4月1日", "1975-04-01" },
                { "㍼50.4.1", "1975-04-01" },
                { "昭50.4.1", "1975-04-01" },
                { "H元.1.8", "1989-01-08" },
                { "平成元年1月8日", "1989-01-08" },
                { "平成1年1月8日", "1989-01-08" },
                { "S64.1.7", "1989-01-07" },
                { "R1.5.1", "2019-05-01" },
                { "H12.2.29", "2000-02-29" },
        };
        static const char *const bad[] = { "", "S", "S50", "S50.4", "S50.4.", "S50.4.1x", "S64.1.8", "H1.1.7", "H0.1.8",
                "S050.4.1", "75.4.1", "19750401", "1975-4/1", "1975年4月1", "1975.4月1日", "1975-04-01 ", "S50.2.29",
                "1975-13-1", "元-4-1", "X50.4.1", "S50.4.001",
                "1975年4月1日生まれの人は昭和五十年生まれといいますので" };
        char buffer[DATE_TEXT_SIZE];
        Date d;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_string_equal(date_canonical(table[i].text, buffer), table[i].date);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                if (date_read(bad[i], &d))
                        fail_msg("%s was read", bad[i]);
                assert_ptr_equal(date_canonical(bad[i], buffer), bad[i]);
        }
}

/* The other way round: writings are put together here, from the calendar of libc, and each must be found. */
typedef struct Sweep {
        Personal p;
        char birth[16];
        unsigned tried, missed;
} Sweep;

static void sweep_try(Sweep *s, const char *text) {
        s->tried++;
        if (caught(text, &s->p))
                return;
        if (s->missed++ < 20)
                print_error("%s of %s passed\n", text, s->birth);
}

/* As it is; in full-width characters; backwards; twice; with little around it. */
static void sweep_forms(Sweep *s, const char *text) {
        char form[512];
        size_t size = strlen(text), n = 0;

        sweep_try(s, text);
        for (const char *c = text; *c; c++)
                if (*c > ' ' && *c <= '~') {
                        unsigned full = 0xff01u + (unsigned)(*c - '!');

                        form[n++] = (char)(0xe0 | full >> 12);
                        form[n++] = (char)(0x80 | (full >> 6 & 0x3f));
                        form[n++] = (char)(0x80 | (full & 0x3f));
                } else
                        form[n++] = *c;
        form[n] = '\0';
        sweep_try(s, form);
        for (size_t i = 0; i < size; i++)
                form[i] = text[size - 1 - i];
        form[size] = '\0';
        if (!strpbrk(text, "\xe4\xe5\xe6\xe3")) /* single bytes only */
                sweep_try(s, form);
        snprintf(form, sizeof(form), "%s%s", text, text);
        sweep_try(s, form);
        snprintf(form, sizeof(form), "x!%s", text);
        sweep_try(s, form);
        snprintf(form, sizeof(form), "%s#K", text);
        sweep_try(s, form);
}

static void kanji(unsigned value, char *ret) {
        static const char *const digit[] = { "", "一", "二", "三", "四", "五", "六", "七", "八", "九" };

        sprintf(ret, "%s%s%s", value >= 20 ? digit[value / 10] : "", value >= 10 ? "十" : "", digit[value % 10]);
}

static void sweep_era(Sweep *s, char letter, const char *long_name, unsigned year, const struct tm *t) {
        unsigned month = (unsigned)t->tm_mon + 1, day = (unsigned)t->tm_mday;
        char text[256], y[32], m[32], d[32];

        for (const char *separator = "./- "; *separator; separator++) {
                sprintf(text, "%c%u%c%u%c%u", letter, year, *separator, month, *separator, day);
                sweep_forms(s, text);
                sprintf(text, "%c%02u%c%02u%c%02u", letter + 32, year, *separator, month, *separator, day);
                sweep_forms(s, text);
        }
        sprintf(text, "%c%02u%02u%02u", letter, year, month, day);
        sweep_forms(s, text);
        sprintf(text, "%02u%02u%02u", year, month, day);
        sweep_forms(s, text);
        sprintf(text, "%s%u年%u月%u日", long_name, year, month, day);
        sweep_forms(s, text);
        kanji(year, y), kanji(month, m), kanji(day, d);
        sprintf(text, "%s%s年%s月%s日", long_name, year == 1 ? "元" : y, m, d);
        sweep_forms(s, text);
}

static void sweep_western(Sweep *s, const struct tm *t) {
        static const char *const months[] = { "January", "February", "March", "April", "May", "June", "July", "August",
                "September", "October", "November", "December" };
        unsigned year = (unsigned)t->tm_year + 1900, month = (unsigned)t->tm_mon + 1, day = (unsigned)t->tm_mday;
        char text[128];

        for (const char *separator = "./-"; *separator; separator++) {
                sprintf(text, "%04u%c%02u%c%02u", year, *separator, month, *separator, day);
                sweep_forms(s, text);
                sprintf(text, "%02u%c%02u%c%04u", day, *separator, month, *separator, year);
                sweep_forms(s, text);
                sprintf(text, "%02u%c%02u%c%02u", month, *separator, day, *separator, year % 100);
                sweep_forms(s, text);
        }
        sprintf(text, "%04u%02u%02u", year, month, day);
        sweep_forms(s, text);
        sprintf(text, "%02u%02u%02u", year % 100, month, day);
        sweep_forms(s, text);
        sprintf(text, "%02u%02u%04u", month, day, year);
        sweep_forms(s, text);
        sprintf(text, "%02u%02u%04u", day, month, year);
        sweep_forms(s, text);
        sprintf(text, "%02u%02u%02u", day, month, year % 100);
        sweep_forms(s, text);
        sprintf(text, "%02u%02u%02u", month, day, year % 100);
        sweep_forms(s, text);
        sprintf(text, "%u %s %u", day, months[t->tm_mon], year);
        sweep_forms(s, text);
        sprintf(text, "%.3s%02u%u", months[t->tm_mon], day, year);
        sweep_forms(s, text);
        sprintf(text, "%s %u,%02u", months[t->tm_mon], day, year % 100);
        sweep_forms(s, text);
        for (const char *separator = "./-_ "; *separator; separator++) {
                sprintf(text, "%u%c%u%c%u", year, *separator, month, *separator, day);
                sweep_forms(s, text);
                sprintf(text, "%u%c%u%c%u", month, *separator, day, *separator, year);
                sweep_forms(s, text);
                sprintf(text, "%u%c%u%c%u", day, *separator, month, *separator, year);
                sweep_forms(s, text);
        }
        sprintf(text, "%u年%u月%u日", year, month, day);
        sweep_forms(s, text);
}

static void every_writing_of_eighty_years_is_found(void **state) {
        Sweep s = {};

        for (time_t at = -1262304000; at < 1293840000; at += 61 * 86400) { /* 1930-01-01 .. 2011-01-01 */
                struct tm t;
                unsigned year;

                assert_non_null(gmtime_r(&at, &t));
                assert_true(strftime(s.birth, sizeof(s.birth), "%Y-%m-%d", &t) == 10);
                s.p.birth = s.birth;
                year = (unsigned)t.tm_year + 1900;
                sweep_western(&s, &t);
                if (strcmp(s.birth, "1989-01-08") < 0)
                        sweep_era(&s, 'S', "昭和", year - 1925, &t);
                else
                        sweep_era(&s, 'H', "平成", year - 1988, &t);
        }
        assert_true(s.tried > 100000);
        assert_int_equal(s.missed, 0);
}

static void chance_is_hardly_ever_refused(void **state) {
        static const char letters[] = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.!#%+";
        uint32_t random = 7;
        unsigned refused = 0;
        char password[11] = "";

        for (unsigned i = 0; i < 100000; i++) {
                for (size_t k = 0; k < sizeof(password) - 1; k++) {
                        random = random * 1664525u + 1013904223u;
                        password[k] = letters[(random >> 16) % (sizeof(letters) - 1)];
                }
                refused += caught(password, &taro);
        }
        assert_true(refused < 10);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(western_dates_are_refused),
                cmocka_unit_test(japanese_dates_are_refused),
                cmocka_unit_test(full_width_and_half_width_are_the_same),
                cmocka_unit_test(backwards_twice_and_with_little_added),
                cmocka_unit_test(staff_numbers_are_refused),
                cmocka_unit_test(names_are_refused),
                cmocka_unit_test(good_passwords_pass),
                cmocka_unit_test(little_is_less_of_what_is_short),
                cmocka_unit_test(nothing_known_refuses_nothing),
                cmocka_unit_test(eras_begin_and_end_on_their_day),
                cmocka_unit_test(accounts_of_directories_count_without_their_domain),
                cmocka_unit_test(any_bytes_and_any_size_are_taken),
                cmocka_unit_test(folding_is_nfkc_of_what_is_typed_in_japanese),
                cmocka_unit_test(a_date_is_one_of_the_calendar),
                cmocka_unit_test(a_date_is_read_as_people_write_it),
                cmocka_unit_test(chance_is_hardly_ever_refused),
                cmocka_unit_test(every_writing_of_eighty_years_is_found),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
