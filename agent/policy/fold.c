/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/fold.h"

#include "util/cleanup.h"
#include "util/text.h"

#define VOICED      0x3099u /* combining */
#define HALF_VOICED 0x309au

/* U+FF61..U+FF9F, as Unicode's <narrow> decompositions. */
static const uint16_t half_width[] = { 0x3002, 0x300c, 0x300d, 0x3001, 0x30fb, 0x30f2, 0x30a1, 0x30a3, 0x30a5, 0x30a7,
        0x30a9, 0x30e3, 0x30e5, 0x30e7, 0x30c3, 0x30fc, 0x30a2, 0x30a4, 0x30a6, 0x30a8, 0x30aa, 0x30ab, 0x30ad, 0x30af,
        0x30b1, 0x30b3, 0x30b5, 0x30b7, 0x30b9, 0x30bb, 0x30bd, 0x30bf, 0x30c1, 0x30c4, 0x30c6, 0x30c8, 0x30ca, 0x30cb,
        0x30cc, 0x30cd, 0x30ce, 0x30cf, 0x30d2, 0x30d5, 0x30d8, 0x30db, 0x30de, 0x30df, 0x30e0, 0x30e1, 0x30e2, 0x30e4,
        0x30e6, 0x30e8, 0x30e9, 0x30ea, 0x30eb, 0x30ec, 0x30ed, 0x30ef, 0x30f3, VOICED, HALF_VOICED };

/* Era names in one square. */
static const struct {
        uint32_t square;
        uint32_t name[2];
} squares[] = {
        { 0x337e, { 0x660e, 0x6cbb } }, /* 明治 */
        { 0x337d, { 0x5927, 0x6b63 } }, /* 大正 */
        { 0x337c, { 0x662d, 0x548c } }, /* 昭和 */
        { 0x337b, { 0x5e73, 0x6210 } }, /* 平成 */
        { 0x32ff, { 0x4ee4, 0x548c } }, /* 令和 */
};

static uint32_t fold_one(uint32_t c) {
        if (c >= 0xff01 && c <= 0xff5e)
                c -= 0xff01 - '!';
        else if (c == 0x3000)
                c = ' ';
        else if (c == 0xffe5)
                c = 0xa5;
        else if (c >= 0xff61 && c <= 0xff9f)
                c = half_width[c - 0xff61];
        if (c >= 'A' && c <= 'Z')
                return c - 'A' + 'a';
        if ((c >= 0x30a1 && c <= 0x30f6) || c == 0x30fd || c == 0x30fe)
                return c - 0x60;
        if (c == 0x309b || c == 0x309c)
                return c - 2;
        return c;
}

/* The hiragana with its voicing mark as one code point; 0 when there is none such. */
static uint32_t compose(uint32_t kana, uint32_t mark) {
        bool h_row = kana >= 0x306f && kana <= 0x307b && (kana - 0x306f) % 3 == 0;

        if (mark == HALF_VOICED)
                return h_row ? kana + 2 : 0;
        if (kana == 0x3046)
                return 0x3094;
        if (h_row || (kana >= 0x304b && kana <= 0x3061 && kana % 2 == 1) ||
                (kana >= 0x3064 && kana <= 0x3068 && kana % 2 == 0))
                return kana + 1;
        return 0;
}

size_t text_fold(const char *text, size_t size, uint32_t *out, size_t cap) {
        size_t n = 0;

        while (size > 0 && n < cap) {
                uint32_t c = 0, composed;
                size_t bytes = utf8_decode(text, size, &c);

                if (bytes == 0) {
                        c = FOLD_BYTE + (unsigned char)*text;
                        bytes = 1;
                }
                text += bytes;
                size -= bytes;

                c = fold_one(c);
                if (n > 0 && (c == VOICED || c == HALF_VOICED) && (composed = compose(out[n - 1], c)) != 0) {
                        out[n - 1] = composed;
                        continue;
                }
                for (size_t i = 0; i < ELEMENTSOF(squares); i++)
                        if (squares[i].square == c && n + 1 < cap) {
                                out[n++] = squares[i].name[0];
                                c = squares[i].name[1];
                        }
                out[n++] = c;
        }
        return n;
}
