/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/date.h"

#include <stdio.h>
#include <string.h>

#include "policy/fold.h"
#include "util/cleanup.h"

/* First and last day, and the names: letter, kanji long and short, hiragana (katakana are folded to it), and the usual
 * spellings in Latin letters. 明治 and 大正 ended on the day on which the next era began. */
static const struct {
        Date first, last;
        const char *names[8];
} eras[] = {
        { { 1868, 1, 25 }, { 1912, 7, 30 }, { "m", "明治", "明", "めいじ", "meiji", "meizi" } },
        { { 1912, 7, 30 }, { 1926, 12, 25 },
                { "t", "大正", "大", "たいしょう", "taisho", "taishou", "taisyo", "taisyou" } },
        { { 1926, 12, 25 }, { 1989, 1, 7 }, { "s", "昭和", "昭", "しょうわ", "showa", "shouwa", "syowa", "syouwa" } },
        { { 1989, 1, 8 }, { 2019, 4, 30 }, { "h", "平成", "平", "へいせい", "heisei" } },
        { { 2019, 5, 1 }, { 9999, 12, 31 }, { "r", "令和", "令", "れいわ", "reiwa" } },
};

static const char *const months[] = { "january", "february", "march", "april", "may", "june", "july", "august",
        "september", "october", "november", "december" };

static bool digits(const char *text, size_t n, unsigned *ret) {
        unsigned v = 0;

        for (size_t i = 0; i < n; i++) {
                if (text[i] < '0' || text[i] > '9')
                        return false;
                v = v * 10 + (unsigned)(text[i] - '0');
        }
        *ret = v;
        return true;
}

bool date_parse(const char *text, Date *ret) {
        static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        unsigned last;
        Date d;

        if (strnlen(text, 11) != 10 || text[4] != '-' || text[7] != '-' || !digits(text, 4, &d.year) ||
                !digits(text + 5, 2, &d.month) || !digits(text + 8, 2, &d.day))
                return false;
        if (d.year == 0 || d.month == 0 || d.month > 12)
                return false;
        last = days[d.month - 1];
        if (d.month == 2 && ((d.year % 4 == 0 && d.year % 100 != 0) || d.year % 400 == 0))
                last++;
        if (d.day == 0 || d.day > last)
                return false;
        *ret = d;
        return true;
}

int date_compare(Date a, Date b) {
        unsigned x = (a.year * 100 + a.month) * 100 + a.day, y = (b.year * 100 + b.month) * 100 + b.day;

        return x < y ? -1 : x > y;
}

/* `name`, and `value` with at least `width` digits (0: none). */
static void add(DatePart *p, const char *name, unsigned value, int width) {
        char text[64];
        DateText *t;

        if (p->n >= ELEMENTSOF(p->texts))
                return;
        t = &p->texts[p->n];
        if (width > 0)
                snprintf(text, sizeof(text), "%s%0*u", name, width, value);
        else
                snprintf(text, sizeof(text), "%s", name);
        t->n = (uint8_t)text_fold(text, strlen(text), t->c, ELEMENTSOF(t->c));
        for (size_t i = 0; i < p->n; i++)
                if (p->texts[i].n == t->n && memcmp(p->texts[i].c, t->c, t->n * sizeof(t->c[0])) == 0)
                        return;
        p->n++;
}

/* With a zero before a single digit, and without. */
static void add_number(DatePart *p, const char *name, unsigned value) {
        add(p, name, value, 2);
        add(p, name, value, 1);
}

bool date_writings(const char *date, DateWritings *ret) {
        DatePart *year = &ret->parts[DATE_YEAR], *month = &ret->parts[DATE_MONTH];
        char name[16];
        Date d;

        if (!date_parse(date, &d))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(ret->parts); i++)
                ret->parts[i].n = 0;

        add(year, "", d.year, 4);
        add(year, "", d.year % 100, 2);
        for (size_t i = 0; i < ELEMENTSOF(eras); i++) {
                if (date_compare(d, eras[i].first) < 0 || date_compare(d, eras[i].last) > 0)
                        continue;
                add_number(year, "", d.year - eras[i].first.year + 1);
                for (size_t k = 0; k < ELEMENTSOF(eras[i].names) && eras[i].names[k]; k++)
                        add_number(year, eras[i].names[k], d.year - eras[i].first.year + 1);
        }

        add_number(month, "", d.month);
        add(month, months[d.month - 1], 0, 0);
        for (int n = 3; n <= 4; n++) {
                snprintf(name, sizeof(name), "%.*s", n, months[d.month - 1]);
                if (n == 3 || d.month == 9)
                        add(month, name, 0, 0);
        }
        add_number(&ret->parts[DATE_DAY], "", d.day);
        return true;
}
