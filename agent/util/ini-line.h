/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* Lines of strict INI: what inih would take in another way than people mean it is found before inih sees it. */

/* inih cuts lines at 200 bytes, line end and zero included, and reads the rest as a line of its own. */
#define INI_LINE_BYTES_MAX 197u

typedef enum IniLine {
        INI_LINE_WRONG,
        INI_LINE_NOTHING, /* blank, or a comment */
        INI_LINE_SECTION, /* begins with [ */
        INI_LINE_VALUE,
} IniLine;

/* Looks at a line without its end. *size becomes the size without blanks at the end. `comment` are the characters that
 * may not stand inside a value, because they begin a comment elsewhere. *ret_why, written for INI_LINE_WRONG, is static
 * and says what is wrong. */
IniLine ini_line_look(const char *line, size_t *size, const char *comment, const char **ret_why);

/* Gives inih the line at *at as fgets() would, with its end, and moves *at behind it. NULL when there is no room. */
char *ini_line_give(char *buffer, size_t room, const char **at);
