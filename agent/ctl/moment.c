/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/moment.h"
#include "util/clock.h"
#include "util/text.h"

/* Reads exactly `digits` decimal digits and moves on. */
static bool read_number(const char **p, unsigned digits, int min, int max, int *ret) {
        int v = 0;

        for (unsigned i = 0; i < digits; i++, (*p)++) {
                if (**p < '0' || **p > '9')
                        return false;
                v = v * 10 + (**p - '0');
        }
        *ret = v;
        return v >= min && v <= max;
}

static bool skip(const char **p, char c) {
        if (**p != c)
                return false;
        (*p)++;
        return true;
}

/* HH:MM[:SS] up to the end of the text. */
static bool read_clock(const char *p, struct tm *tm) {
        tm->tm_sec = 0;
        if (!read_number(&p, 2, 0, 23, &tm->tm_hour) || !skip(&p, ':') || !read_number(&p, 2, 0, 59, &tm->tm_min))
                return false;
        if (skip(&p, ':') && !read_number(&p, 2, 0, 59, &tm->tm_sec))
                return false;
        return *p == '\0';
}

static bool read_day(const char **p, struct tm *tm) {
        if (!read_number(p, 4, 1970, 9999, &tm->tm_year) || !skip(p, '-') || !read_number(p, 2, 1, 12, &tm->tm_mon) ||
                !skip(p, '-') || !read_number(p, 2, 1, 31, &tm->tm_mday))
                return false;
        tm->tm_year -= 1900;
        tm->tm_mon -= 1;
        return true;
}

int moment_parse(const char *text, bool end, uint64_t *ret_usec) {
        uint64_t now = clock_usec(CLOCK_REALTIME);
        time_t seconds = (time_t)(now / USEC_PER_SEC);
        struct tm tm = {}, made;
        const char *p = text;
        bool day_only = false;

        if (strcmp(text, "now") == 0) {
                *ret_usec = now;
                return 0;
        }
        if (*text == '@')
                return parse_uint64(text + 1, 0, INT64_MAX, ret_usec);

        tzset();
        if (strlen(text) >= 8 && text[4] == '-') {
                if (!read_day(&p, &tm))
                        return -EINVAL;
                if (*p == '\0')
                        day_only = true;
                else if ((!skip(&p, ' ') && !skip(&p, 'T')) || !read_clock(p, &tm))
                        return -EINVAL;
        } else if (!localtime_r(&seconds, &tm) || !read_clock(p, &tm))
                return -EINVAL;
        if (day_only && end) {
                tm.tm_hour = 23;
                tm.tm_min = tm.tm_sec = 59;
        }
        tm.tm_isdst = -1;
        made = tm;
        seconds = mktime(&made);
        if (seconds < 0 || made.tm_mday != tm.tm_mday || made.tm_mon != tm.tm_mon)
                return -ERANGE; /* the 31st of a month of 30 days */
        *ret_usec = (uint64_t)seconds * USEC_PER_SEC + (day_only && end ? USEC_PER_SEC - 1 : 0);
        return 0;
}

void moment_format(uint64_t usec, char ret[static MOMENT_TEXT_MAX]) {
        time_t seconds = (time_t)(usec / USEC_PER_SEC);
        struct tm tm;

        *ret = '\0';
        if (usec == 0)
                return;
        tzset();
        if (!localtime_r(&seconds, &tm) || strftime(ret, MOMENT_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                (void)snprintf(ret, MOMENT_TEXT_MAX, "@%llu", (unsigned long long)usec);
}
