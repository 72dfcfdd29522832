/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "util/cleanup.h"

/* Columns for people. Cells are made safe for a terminal (what is not plain text is written as \xNN) and padded by the
 * columns that they take there: two for East Asian wide and full-width characters (Unicode Standard Annex #11), none
 * for combining ones. */

typedef struct Table Table;

int table_new(Table **ret, const char *const *headings, size_t n_columns);
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free)

/* Copies one row of n_columns cells; NULL is an empty cell. */
int table_add(Table *t, const char *const *cells);
int table_print(const Table *t, FILE *f);

/* Columns that a text takes on a terminal. */
size_t text_width(const char *s);
unsigned code_point_width(uint32_t c);

/* Copies text with what is not plain (controls, bidirectional controls, broken UTF-8) as \xNN; backslashes stay, since
 * text from trails has its own. NULL when out of memory. */
char *text_safe(const char *s);
