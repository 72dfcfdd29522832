/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/when.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "util/clock.h"

static bool digits(const char **s, unsigned n, int *ret) {
        int v = 0;

        for (; n > 0; n--, (*s)++) {
                if (**s < '0' || **s > '9')
                        return false;
                v = v * 10 + (**s - '0');
        }
        *ret = v;
        return true;
}

static bool literal(const char **s, char c) {
        if (**s != c)
                return false;
        (*s)++;
        return true;
}

/* Whether mktime() or timegm() took the fields as they are: it turns 30 February into a day of March. */
static bool same_day(const struct tm *a, const struct tm *b) {
        return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday;
}

/* "Z", "+HH:MM" or "-HH:MM" to seconds east of UTC. */
static bool parse_offset(const char **s, int *ret) {
        int sign, hours, minutes;

        if (literal(s, 'Z')) {
                *ret = 0;
                return true;
        }
        sign = **s == '-' ? -1 : 1;
        if (**s != '+' && **s != '-')
                return false;
        (*s)++;
        if (!digits(s, 2, &hours) || !literal(s, ':') || !digits(s, 2, &minutes) || hours > 23 || minutes > 59)
                return false;
        *ret = sign * (hours * 3600 + minutes * 60);
        return true;
}

static bool finish(struct tm *tm, bool utc, int offset, uint64_t *ret) {
        struct tm asked = *tm;
        time_t t;

        tm->tm_isdst = -1;
        t = utc ? timegm(tm) : mktime(tm);
        if (!same_day(&asked, tm) || t - offset <= 0)
                return false;
        *ret = (uint64_t)(t - offset) * USEC_PER_SEC;
        return true;
}

bool when_parse(const char *text, bool is_end, uint64_t *ret_usec) {
        const char *s = text;
        struct tm tm = {};
        uint64_t usec;
        int offset = 0;

        if (!digits(&s, 4, &tm.tm_year) || !literal(&s, '-') || !digits(&s, 2, &tm.tm_mon) || !literal(&s, '-') ||
                !digits(&s, 2, &tm.tm_mday))
                return false;
        if (tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31)
                return false;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;

        if (*s == '\0') {
                if (!finish(&tm, false, 0, &usec))
                        return false;
                if (is_end) {
                        tm.tm_mday++;
                        tm.tm_isdst = -1;
                        usec = (uint64_t)mktime(&tm) * USEC_PER_SEC;
                }
                *ret_usec = usec;
                return true;
        }

        if (*s != 'T' && *s != ' ')
                return false;
        s++;
        if (!digits(&s, 2, &tm.tm_hour) || !literal(&s, ':') || !digits(&s, 2, &tm.tm_min))
                return false;
        if (literal(&s, ':') && !digits(&s, 2, &tm.tm_sec))
                return false;
        if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59)
                return false;
        if (*s == '\0') {
                if (!finish(&tm, false, 0, &usec))
                        return false;
        } else if (!parse_offset(&s, &offset) || *s != '\0' || !finish(&tm, true, offset, &usec))
                return false;
        *ret_usec = usec;
        return true;
}

void when_format(uint64_t usec, char out[WHEN_SIZE]) {
        time_t t = (time_t)(usec / USEC_PER_SEC);
        char zone[8] = "";
        struct tm tm;
        size_t n;

        if (!localtime_r(&t, &tm)) {
                out[0] = '\0';
                return;
        }
        n = strftime(out, WHEN_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
        if (n > 0 && strftime(zone, sizeof(zone), "%z", &tm) == 5)
                snprintf(out + n, WHEN_SIZE - n, "%.3s:%.2s", zone, zone + 3);
}
