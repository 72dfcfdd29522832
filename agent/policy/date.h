/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Dates of the Gregorian calendar, and how people write them. PURE. */

typedef struct Date {
        unsigned year, month, day;
} Date;

/* Reads YYYY-MM-DD; false when that is not a day of the calendar. */
bool date_parse(const char *text, Date *ret);
/* Reads a day as people and spreadsheets write it: 1975-04-01, 1975/4/1, 1975.4.1, 1975年4月1日, S50.4.1,
 * 昭和50年4月1日, 元 for a first year, full-width too. False when it is none, or not in that era. */
bool date_read(const char *text, Date *ret);
/* The same as YYYY-MM-DD in `buffer`, or the text itself when it is no day. */
#define DATE_TEXT_SIZE 16
const char *date_canonical(const char *text, char buffer[static DATE_TEXT_SIZE]);
/* Less than, equal to or greater than 0, as a is before, on or after b. */
int date_compare(Date a, Date b);

enum { DATE_YEAR, DATE_MONTH, DATE_DAY, _DATE_PART_MAX };

/* Folded (fold.h), letters and digits only. */
typedef struct DateText {
        uint32_t c[12];
        uint8_t n;
} DateText;

typedef struct DatePart {
        DateText texts[64];
        size_t n;
} DatePart;

/* In how many ways each part of a date is written; see personal.h. */
typedef struct DateWritings {
        DatePart parts[_DATE_PART_MAX];
} DateWritings;

/* False when `date` is not YYYY-MM-DD. */
bool date_writings(const char *date, DateWritings *ret);
