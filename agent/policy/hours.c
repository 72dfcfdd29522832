/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/hours.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "util/cleanup.h"

#define DAY_MINUTES  1440u
#define WEEK_MINUTES (7u * DAY_MINUTES)

/* One entry: on each of `days` (bit 0 = Monday) from minute `start`, for `length` minutes, possibly into the next day.
 */
typedef struct Span {
        unsigned days;
        unsigned start;
        unsigned length;
} Span;

typedef struct Cursor {
        const char *at;
        const char *error;
} Cursor;

static void skip_spaces(Cursor *c) {
        while (*c->at == ' ')
                c->at++;
}

static bool parse_day(Cursor *c, unsigned *ret) {
        static const char names[7][4] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

        for (unsigned i = 0; i < ELEMENTSOF(names); i++)
                if (strncmp(c->at, names[i], 3) == 0) {
                        c->at += 3;
                        *ret = i;
                        return true;
                }
        c->error = "a day must be one of mon tue wed thu fri sat sun, a range like mon-fri, or daily";
        return false;
}

static bool parse_days(Cursor *c, unsigned *ret) {
        unsigned first, last, days = 0;

        if (strncmp(c->at, "daily", 5) == 0) {
                c->at += 5;
                *ret = 0x7f;
                return true;
        }
        if (!parse_day(c, &first))
                return false;
        last = first;
        if (*c->at == '-') {
                c->at++;
                if (!parse_day(c, &last))
                        return false;
        }
        for (unsigned d = first;; d = (d + 1) % 7) {
                days |= 1u << d;
                if (d == last)
                        break;
        }
        *ret = days;
        return true;
}

static bool parse_digits(Cursor *c, unsigned max, unsigned *ret) {
        const char *s = c->at;
        unsigned v;

        if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
                return false;
        v = (unsigned)(s[0] - '0') * 10 + (unsigned)(s[1] - '0');
        if (v > max)
                return false;
        c->at += 2;
        *ret = v;
        return true;
}

static bool parse_time(Cursor *c, bool is_end, unsigned *ret) {
        unsigned hour, minute;

        if (!parse_digits(c, 24, &hour) || *c->at++ != ':' || !parse_digits(c, 59, &minute)) {
                c->error = "a time must be HH:MM, from 00:00 to 24:00";
                return false;
        }
        if (hour == 24 && (!is_end || minute > 0)) {
                c->error = "24:00 is the last time of a day, and can only be an end";
                return false;
        }
        *ret = hour * 60 + minute;
        return true;
}

static bool parse_span(Cursor *c, Span *ret) {
        unsigned days, start, end;

        skip_spaces(c);
        if (!parse_days(c, &days))
                return false;
        if (*c->at != ' ') {
                c->error = "after the days a space and the hours must follow, as in mon-fri 08:30-17:15";
                return false;
        }
        skip_spaces(c);
        if (!parse_time(c, false, &start))
                return false;
        if (*c->at != '-') {
                c->error = "hours must be written HH:MM-HH:MM";
                return false;
        }
        c->at++;
        if (!parse_time(c, true, &end))
                return false;
        if (start == end) {
                c->error = "start and end are the same; the whole day is 00:00-24:00";
                return false;
        }
        skip_spaces(c);

        *ret = (Span){ .days = days, .start = start, .length = end > start ? end - start : end + DAY_MINUTES - start };
        return true;
}

/* Number of spans, or -1 with *ret_error set. */
static int parse_hours(const char *text, Span spans[HOURS_MAX], const char **ret_error) {
        Cursor c = { .at = text };
        int n = 0;

        for (;;) {
                if (n == HOURS_MAX) {
                        *ret_error = "more than 16 entries";
                        return -1;
                }
                if (!parse_span(&c, &spans[n])) {
                        *ret_error = c.error;
                        return -1;
                }
                n++;
                if (*c.at == '\0')
                        return n;
                if (*c.at != ',') {
                        *ret_error = "entries must be separated by commas";
                        return -1;
                }
                c.at++;
        }
}

bool hours_valid(const char *text, const char **ret_error) {
        Span spans[HOURS_MAX];
        const char *error;

        if (parse_hours(text, spans, &error) >= 0)
                return true;
        if (ret_error)
                *ret_error = error;
        return false;
}

bool hours_match(const char *text, unsigned weekday, unsigned minute) {
        Span spans[HOURS_MAX];
        const char *error;
        int n;

        if (!text)
                return true;
        if (weekday > 6 || minute >= DAY_MINUTES)
                return false;
        n = parse_hours(text, spans, &error);
        for (int i = 0; i < n; i++) {
                unsigned yesterday = (weekday + 6) % 7;

                if ((spans[i].days & 1u << weekday) != 0 && minute >= spans[i].start &&
                        minute - spans[i].start < spans[i].length)
                        return true;
                if ((spans[i].days & 1u << yesterday) != 0 && minute + DAY_MINUTES < spans[i].start + spans[i].length)
                        return true;
        }
        return false;
}

/* Marks the minutes of the week; false when the text cannot be read. */
static bool fill_week(const char *text, uint8_t week[WEEK_MINUTES / 8]) {
        Span spans[HOURS_MAX];
        const char *error;
        int n;

        if (!text) {
                memset(week, 0xff, WEEK_MINUTES / 8);
                return true;
        }
        memset(week, 0, WEEK_MINUTES / 8);
        n = parse_hours(text, spans, &error);
        for (int i = 0; i < n; i++)
                for (unsigned day = 0; day < 7; day++) {
                        if ((spans[i].days & 1u << day) == 0)
                                continue;
                        for (unsigned m = 0; m < spans[i].length; m++) {
                                unsigned at = (day * DAY_MINUTES + spans[i].start + m) % WEEK_MINUTES;

                                week[at / 8] |= (uint8_t)(1u << at % 8);
                        }
                }
        return n >= 0;
}

bool hours_within(const char *inner, const char *outer) {
        uint8_t a[WEEK_MINUTES / 8], b[WEEK_MINUTES / 8];
        const char *error;

        if (inner && (!outer || strcmp(inner, outer) == 0))
                return hours_valid(inner, &error);
        if (!fill_week(inner, a) || !fill_week(outer, b))
                return false;
        for (size_t i = 0; i < sizeof(a); i++)
                if ((a[i] & ~b[i]) != 0)
                        return false;
        return true;
}
