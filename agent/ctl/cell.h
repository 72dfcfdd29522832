/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "registry/noun.h"

/* Rows of the directory as cells of a CSV file. */

#define CELL_SIZE 4096u /* a cell with its NUL */

/* Whether rows of the noun are imported and exported. */
bool cell_noun(NounId noun);

/* The name of a field at the head of its column. */
const char *cell_heading(NounId noun, const char *field, bool japanese);
/* The field that a heading, in either language, means; "uuid" too. NULL: none. */
const char *cell_field(NounId noun, const char *heading);
const Field *cell_field_of(NounId noun, const char *name); /* NULL for "uuid" */

/* A cell as the agent takes it: the apostrophe taken away that makes a formula inert, はい and TRUE as yes, dates as
 * Excel writes them (2027/3/31 17:15) as RFC 3339. Returns `text` or `buffer`; NULL: *ret_error says what is wrong
 * (N_()). */
const char *cell_read(const Field *field, const char *text, char buffer[static CELL_SIZE], const char **ret_error);
/* A value of a row as a cell, before csv_write(). A date for what is the first or last moment of a day. */
const char *cell_text(const Field *field, json_object *value, bool japanese, char buffer[static 64]);
/* What a row is called: the values of its key, separated by spaces. */
void cell_key(NounId noun, json_object *row, char *out, size_t size);
