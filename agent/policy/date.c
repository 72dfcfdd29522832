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

/* Whether there is such a day. */
static bool is_day(Date d) {
        static const unsigned days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        unsigned last;

        if (d.year == 0 || d.month == 0 || d.month > 12)
                return false;
        last = days[d.month - 1];
        if (d.month == 2 && ((d.year % 4 == 0 && d.year % 100 != 0) || d.year % 400 == 0))
                last++;
        return d.day > 0 && d.day <= last;
}

bool date_parse(const char *text, Date *ret) {
        Date d;

        if (strnlen(text, 11) != 10 || text[4] != '-' || text[7] != '-' || !digits(text, 4, &d.year) ||
                !digits(text + 5, 2, &d.month) || !digits(text + 8, 2, &d.day) || !is_day(d))
                return false;
        *ret = d;
        return true;
}

int date_compare(Date a, Date b) {
        unsigned x = (a.year * 100 + a.month) * 100 + a.day, y = (b.year * 100 + b.month) * 100 + b.day;

        return x < y ? -1 : x > y;
}

typedef struct Reader {
        uint32_t c[32];
        size_t n, at;
} Reader;

/* The era whose name is here, which is passed; or ELEMENTSOF(eras). The names of one era that begin with each other are
 * told apart by what has to follow. */
static size_t read_era(Reader *r) {
        uint32_t name[12];

        for (size_t i = 0; i < ELEMENTSOF(eras); i++)
                for (size_t k = 0; k < ELEMENTSOF(eras[i].names) && eras[i].names[k]; k++) {
                        size_t n = text_fold(eras[i].names[k], strlen(eras[i].names[k]), name, ELEMENTSOF(name));

                        if (n >= r->n || memcmp(r->c, name, n * sizeof(name[0])) != 0 ||
                                (r->c[n] != 0x5143 && (r->c[n] < '0' || r->c[n] > '9')))
                                continue;
                        r->at = n;
                        return i;
                }
        return ELEMENTSOF(eras);
}

/* 1 to `max` digits, or 元 when that is taken. */
static bool read_number(Reader *r, size_t max, bool first_year, unsigned *ret) {
        size_t from = r->at;
        unsigned v = 0;

        if (first_year && r->at < r->n && r->c[r->at] == 0x5143) {
                r->at++;
                *ret = 1;
                return true;
        }
        for (; r->at < r->n && r->at - from < max && r->c[r->at] >= '0' && r->c[r->at] <= '9'; r->at++)
                v = v * 10 + r->c[r->at] - '0';
        *ret = v;
        return r->at > from;
}

/* One of two separators; the same one is asked for at each place. */
static bool read_separator(Reader *r, uint32_t unit, uint32_t *separator) {
        uint32_t c = r->at < r->n ? r->c[r->at++] : 0;

        if (c == unit && (*separator == 0 || *separator == 0x5e74)) {
                *separator = 0x5e74; /* 年 stands for all three */
                return true;
        }
        if ((c != '-' && c != '/' && c != '.') || (*separator != 0 && *separator != c))
                return false;
        *separator = c;
        return true;
}

bool date_read(const char *text, Date *ret) {
        uint32_t separator = 0;
        Reader r = {};
        size_t era;
        Date d;

        r.n = text_fold(text, strlen(text), r.c, ELEMENTSOF(r.c));
        if (r.n == ELEMENTSOF(r.c))
                return false;
        era = read_era(&r);
        if (!read_number(&r, era < ELEMENTSOF(eras) ? 2 : 4, era < ELEMENTSOF(eras), &d.year) ||
                (era == ELEMENTSOF(eras) && r.at != 4) || !read_separator(&r, 0x5e74, &separator) ||
                !read_number(&r, 2, false, &d.month) || !read_separator(&r, 0x6708, &separator) ||
                !read_number(&r, 2, false, &d.day))
                return false;
        if (separator == 0x5e74 && (r.at >= r.n || r.c[r.at++] != 0x65e5))
                return false;
        if (era < ELEMENTSOF(eras))
                d.year = d.year == 0 ? 0 : eras[era].first.year + d.year - 1;
        if (r.at != r.n || !is_day(d))
                return false;
        if (era < ELEMENTSOF(eras) && (date_compare(d, eras[era].first) < 0 || date_compare(d, eras[era].last) > 0))
                return false;
        *ret = d;
        return true;
}

const char *date_canonical(const char *text, char buffer[static DATE_TEXT_SIZE]) {
        Date d;

        if (!date_read(text, &d))
                return text;
        (void)snprintf(buffer, DATE_TEXT_SIZE, "%04u-%02u-%02u", d.year % 10000, d.month % 100, d.day % 100);
        return buffer;
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
