/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Passwords that say who they belong to (R7). PURE: nothing is allocated, logged or kept, and nothing depends on the
 * locale; the time is bounded by the sizes below. */

/* What lies behind it is not looked at. */
#define PERSONAL_PASSWORD_MAX 1024u
#define PERSONAL_TEXT_MAX     256u

/* Each may be NULL, when it is not known. */
typedef struct Personal {
        const char *account;
        const char *person; /* staff number (職員番号) */
        const char *name;
        const char *birth; /* YYYY-MM-DD; anything else counts as not known */
} Personal;

/* Whether the password is made of what is known about the person: account, staff number, name or parts of it, birth
 * date, in any usual writing, forwards or backwards, once or several times, alone, together, or with little added.
 *
 * Compared is what text_fold() gives, with all punctuation and spaces left out. Dates are found with the year in four
 * digits, in two, or in the eras in which that day lies (明治 from 1868-01-25, 大正 1912-07-30, 昭和 1926-12-25, 平成
 * 1989-01-08, 令和 2019-05-01; the last day of 明治 and of 大正 is also the first of the next era), the era as letter,
 * in kanji, kana or Latin letters or left out, its first year also as 元; month and day with or without zero, the month
 * also in English; year, month and day in any order, or month and day alone; numbers in kanji too (五十, 一九七五).
 *
 * Little is what a guesser would try: fewer than six characters are left when all that has been found is taken out;
 * fewer, when what has been found is short: fewer than a date of four or five characters has itself, fewer than twice
 * the length of a name of one or two. Not counted are spaces, . - / _ , : ; ' and their like, 年月日 behind a number,
 * and all but the first character of a run like aaaa, 1234 or 9876.
 */
bool password_is_personal(const char *password, size_t size, const Personal *p);
