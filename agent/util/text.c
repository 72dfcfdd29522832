/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

size_t utf8_decode(const char *s, size_t size, uint32_t *ret) {
        const unsigned char *u = (const unsigned char *)s;
        static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t c;
        size_t n;

        if (size == 0)
                return 0;

        if (u[0] < 0x80)
                n = 1, c = u[0];
        else if ((u[0] & 0xe0) == 0xc0)
                n = 2, c = u[0] & 0x1f;
        else if ((u[0] & 0xf0) == 0xe0)
                n = 3, c = u[0] & 0x0f;
        else if ((u[0] & 0xf8) == 0xf0)
                n = 4, c = u[0] & 0x07;
        else
                return 0;

        if (n > size)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((u[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (u[i] & 0x3f);
        }
        if (c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;

        *ret = c;
        return n;
}

bool utf8_valid(const char *s, size_t size) {
        uint32_t c;

        for (size_t n; size > 0; s += n, size -= n) {
                n = utf8_decode(s, size, &c);
                if (n == 0)
                        return false;
        }
        return true;
}

bool code_point_is_plain(uint32_t c) {
        if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
                return false;
        if (c == 0x061c || c == 0x200e || c == 0x200f || c == 0xfeff)
                return false;
        if (c >= 0x2028 && c <= 0x202e)
                return false;
        if (c >= 0x2066 && c <= 0x2069)
                return false;
        if ((c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe)
                return false;
        return true;
}

char *text_escape(const char *s, size_t size, size_t cap) {
        static const char ellipsis[] = "\xe2\x80\xa6", digits[] = "0123456789abcdef";
        size_t fits = 0; /* how long the result was when an ellipsis still fitted behind it */
        size_t length = 0;
        char *out;

        out = malloc(cap + 1);
        if (!out)
                return NULL;

        while (size > 0) {
                char piece[4 * 4];
                size_t piece_size, n;
                uint32_t c;

                if (*s >= ' ' && *s <= '~' && *s != '\\') {
                        piece[0] = *s;
                        piece_size = n = 1;
                } else if ((n = utf8_decode(s, size, &c)) > 0 && code_point_is_plain(c) && c != '\\') {
                        memcpy(piece, s, n);
                        piece_size = n;
                } else {
                        if (n == 0)
                                n = 1;
                        piece_size = 0;
                        for (size_t i = 0; i < n; i++) {
                                unsigned char b = (unsigned char)s[i];

                                piece[piece_size++] = '\\';
                                piece[piece_size++] = 'x';
                                piece[piece_size++] = digits[b >> 4];
                                piece[piece_size++] = digits[b & 15];
                        }
                }

                if (length + piece_size > cap) {
                        length = fits;
                        if (cap >= strlen(ellipsis)) {
                                memcpy(out + length, ellipsis, strlen(ellipsis));
                                length += strlen(ellipsis);
                        }
                        break;
                }
                memcpy(out + length, piece, piece_size);
                length += piece_size;
                if (length + strlen(ellipsis) <= cap)
                        fits = length;
                s += n;
                size -= n;
        }

        out[length] = '\0';
        return out;
}

bool account_valid(const char *name) {
        size_t size = strlen(name);
        uint32_t c;

        if (size == 0 || size > 255 || name[0] == '-' || name[0] == '+')
                return false;
        for (size_t n; size > 0; name += n, size -= n) {
                n = utf8_decode(name, size, &c);
                if (n == 0 || !code_point_is_plain(c) || c == ' ' || c == 0xa0 || c == 0x3000)
                        return false;
                if (c < 0x80 && strchr("/:,", (int)c))
                        return false;
        }
        return true;
}

int parse_uint64(const char *s, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t v = 0;

        if (!*s)
                return -EINVAL;
        for (; *s; s++) {
                unsigned d;

                if (*s < '0' || *s > '9')
                        return -EINVAL;
                d = (unsigned)(*s - '0');
                if (v > (UINT64_MAX - d) / 10)
                        return -ERANGE;
                v = v * 10 + d;
        }
        if (v < min || v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}
