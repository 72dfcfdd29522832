/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <unistd.h>

#include "util/text.h"

struct Codec {
        iconv_t decode, encode;
};

Encoding encoding_from_string(const char *s) {
        static const char *const names[_ENCODING_MAX] = {
                [ENCODING_AUTO] = "auto",
                [ENCODING_UTF8] = "utf-8",
                [ENCODING_UTF8_BOM] = "utf-8-bom",
                [ENCODING_CP932] = "cp932",
        };

        for (Encoding e = 0; e < _ENCODING_MAX; e++)
                if (strcmp(names[e], s) == 0)
                        return e;
        return _ENCODING_INVALID;
}

/* iconv_open(3)'s error value. */
static bool is_open(iconv_t cd) {
        return cd != (iconv_t)-1; /* NOLINT(performance-no-int-to-ptr) */
}

int codec_new(Codec **ret) {
        Codec *c = malloc(sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->decode = iconv_open("UTF-8", "CP932");
        c->encode = iconv_open("CP932", "UTF-8");
        if (!is_open(c->decode) || !is_open(c->encode)) {
                codec_free(c);
                return -EINVAL;
        }
        *ret = c;
        return 0;
}

Codec *codec_free(Codec *c) {
        if (!c)
                return NULL;
        if (is_open(c->decode))
                iconv_close(c->decode);
        if (is_open(c->encode))
                iconv_close(c->encode);
        free(c);
        return NULL;
}

static int convert(iconv_t cd, const char *in, size_t size, char *out, size_t room, size_t *ret_at) {
        char *from = (char *)in, *to = out;
        size_t left = size;

        if (room == 0)
                return -E2BIG;
        room--;
        (void)iconv(cd, NULL, NULL, NULL, NULL);
        if (iconv(cd, &from, &left, &to, &room) == (size_t)-1) {
                if (errno == E2BIG)
                        return -E2BIG;
                *ret_at = size - left;
                return -EILSEQ;
        }
        *to = '\0';
        return 0;
}

int codec_decode(Codec *c, const char *in, size_t size, char *out, size_t room, size_t *ret_at) {
        return convert(c->decode, in, size, out, room, ret_at);
}

int codec_encode(Codec *c, const char *in, char *out, size_t room, size_t *ret_at) {
        size_t size = strlen(in);

        if (room == 0)
                return -E2BIG;
        *out = '\0';
        for (size_t at = 0, n; at < size; at += n) {
                char there[8], back[8];
                uint32_t code;
                size_t ignored, length;

                n = utf8_decode(in + at, size - at, &code);
                *ret_at = at;
                if (n == 0 || convert(c->encode, in + at, n, there, sizeof(there), &ignored) < 0 ||
                        convert(c->decode, there, strlen(there), back, sizeof(back), &ignored) < 0 ||
                        strncmp(back, in + at, n) != 0 || back[n] != '\0')
                        return -EILSEQ;
                length = strlen(there);
                if (length >= room)
                        return -E2BIG;
                memcpy(out, there, length + 1);
                out += length;
                room -= length;
        }
        return 0;
}

bool text_beyond_ascii(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                if ((unsigned char)text[i] >= 0x80)
                        return true;
        return false;
}

/* Whether bytes are UTF-8, a character cut off at the end apart (*ret_rest). */
static bool is_utf8(const char *data, size_t size, size_t *ret_rest) {
        uint32_t c;

        while (size > 0) {
                size_t n = utf8_decode(data, size, &c);

                if (n == 0) {
                        unsigned char first = (unsigned char)*data;
                        size_t wanted = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;

                        if (size >= wanted)
                                return false;
                        for (size_t i = 1; i < size; i++)
                                if (((unsigned char)data[i] & 0xc0) != 0x80)
                                        return false;
                        break;
                }
                data += n;
                size -= n;
        }
        *ret_rest = size;
        return true;
}

int encoding_find(int fd, const char *first, size_t size, bool whole, Encoding *ret) {
        enum { PIECE = 65536 };
        _cleanup_free_ char *buffer = NULL;
        size_t rest = 0;
        ssize_t n;

        if (!is_utf8(first, size, &rest)) {
                *ret = ENCODING_CP932;
                return 0;
        }
        buffer = whole ? malloc(PIECE) : NULL;
        if (whole && !buffer)
                return -ENOMEM;
        for (off_t at = (off_t)(size - rest); whole; at += n - (ssize_t)rest) {
                do
                        n = pread(fd, buffer, PIECE, at);
                while (n < 0 && errno == EINTR);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                if (!is_utf8(buffer, (size_t)n, &rest) || rest == (size_t)n) {
                        *ret = ENCODING_CP932;
                        return 0;
                }
        }
        *ret = ENCODING_UTF8;
        return 0;
}
