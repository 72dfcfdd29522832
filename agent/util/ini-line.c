/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/ini-line.h"

#include <stdint.h>
#include <string.h>

#include "util/text.h"

static IniLine wrong(const char **ret_why, const char *why) {
        *ret_why = why;
        return INI_LINE_WRONG;
}

IniLine ini_line_look(const char *line, size_t *size, const char *comment, const char **ret_why) {
        size_t left = *size;
        const char *equals;

        if (left > INI_LINE_BYTES_MAX)
                return wrong(ret_why, "the line is longer than 197 bytes");
        for (size_t i = 0, n; i < left; i += n) {
                uint32_t c;

                n = utf8_decode(line + i, left - i, &c);
                if (n == 0)
                        return wrong(ret_why, "the line is not UTF-8");
                if (c != '\t' && !code_point_is_plain(c))
                        return wrong(ret_why, "the line has a control character");
        }
        while (left > 0 && (line[left - 1] == ' ' || line[left - 1] == '\t'))
                left--;
        *size = left;
        if (left == 0 || line[0] == '#' || line[0] == ';')
                return INI_LINE_NOTHING;
        if (line[0] == ' ' || line[0] == '\t')
                return wrong(ret_why, "the line is indented; a value ends with its line");
        if (line[0] == '[')
                return line[left - 1] == ']' ? INI_LINE_SECTION
                                             : wrong(ret_why, "a section is [Name], alone on its line");
        equals = memchr(line, '=', left);
        if (!equals)
                return wrong(ret_why, "neither [Section], Key=value nor a # comment");
        if (memchr(line, ':', (size_t)(equals - line)))
                return wrong(ret_why, "a key is separated from its value by =, not by :");
        for (; *comment; comment++)
                if (memchr(line, *comment, left))
                        return wrong(ret_why, "a comment has a line of its own");
        return INI_LINE_VALUE;
}

char *ini_line_give(char *buffer, size_t room, const char **at) {
        size_t size = strcspn(*at, "\n");

        if (size + 2 > room)
                return NULL;
        memcpy(buffer, *at, size);
        buffer[size] = '\n';
        buffer[size + 1] = '\0';
        *at += size;
        if (**at)
                ++*at;
        return buffer;
}
