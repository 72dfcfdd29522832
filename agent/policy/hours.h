/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* Hours of a week: comma-separated `DAYS HH:MM-HH:MM`, DAYS a day (mon…sun), a range (mon-fri, sat-mon wraps), or
 * daily. An end before the start runs past midnight (the day is that of the start); 24:00 is allowed as an end. PURE.
 */

#define HOURS_MAX 16

/* Whether `text` can be read. *ret_error (static text, English) says why not. */
bool hours_valid(const char *text, const char **ret_error);
/* Whether the minute of that weekday (0 = Monday) lies in `text`; NULL text is always. Invalid text is never. */
bool hours_match(const char *text, unsigned weekday, unsigned minute);
/* Whether every minute of the week in `inner` is also in `outer` (NULL: always). Invalid text on either side: false. */
bool hours_within(const char *inner, const char *outer);
