/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ctl/table.h"
#include "util/text.h"

struct Table {
        size_t n_columns, n_cells;
        char **cells; /* row after row, the headings first */
};

typedef struct Range {
        uint32_t first, last;
} Range;

/* East_Asian_Width W and F, in blocks; sorted. Ambiguous ones count as narrow, as today's terminals do. */
static const Range wide[] = {
        { 0x1100, 0x115f },
        { 0x2e80, 0x303e },
        { 0x3041, 0x3247 },
        { 0x3250, 0x4dbf },
        { 0x4e00, 0xa4cf },
        { 0xa960, 0xa97f },
        { 0xac00, 0xd7a3 },
        { 0xf900, 0xfaff },
        { 0xfe10, 0xfe19 },
        { 0xfe30, 0xfe6f },
        { 0xff01, 0xff60 },
        { 0xffe0, 0xffe6 },
        { 0x16fe0, 0x18aff },
        { 0x1b000, 0x1b2ff },
        { 0x1f200, 0x1f265 },
        { 0x1f300, 0x1f64f },
        { 0x1f680, 0x1f6ff },
        { 0x1f900, 0x1f9ff },
        { 0x20000, 0x3fffd },
};
/* Combining marks and format characters that a terminal draws into the character before. */
static const Range narrow_zero[] = {
        { 0x0300, 0x036f },
        { 0x0483, 0x0489 },
        { 0x0591, 0x05bd },
        { 0x064b, 0x065f },
        { 0x1ab0, 0x1aff },
        { 0x1dc0, 0x1dff },
        { 0x200b, 0x200d },
        { 0x20d0, 0x20ff },
        { 0x302a, 0x302d },
        { 0x3099, 0x309a },
        { 0xfe00, 0xfe0f },
        { 0xfe20, 0xfe2f },
        { 0xe0100, 0xe01ef },
};

static bool in_ranges(const Range *ranges, size_t n, uint32_t c) {
        size_t low = 0;

        while (low < n) {
                size_t middle = low + (n - low) / 2;

                if (c < ranges[middle].first)
                        n = middle;
                else if (c > ranges[middle].last)
                        low = middle + 1;
                else
                        return true;
        }
        return false;
}

unsigned code_point_width(uint32_t c) {
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
                return 0;
        if (in_ranges(narrow_zero, ELEMENTSOF(narrow_zero), c))
                return 0;
        return in_ranges(wide, ELEMENTSOF(wide), c) ? 2 : 1;
}

size_t text_width(const char *s) {
        size_t size = strlen(s), width = 0;

        while (size > 0) {
                uint32_t c;
                size_t n = utf8_decode(s, size, &c);

                if (n == 0) { /* shown as one replacement character */
                        n = 1;
                        width++;
                } else
                        width += code_point_width(c);
                s += n;
                size -= n;
        }
        return width;
}

char *text_safe(const char *s) {
        size_t size = strlen(s), length = 0;
        char *out;

        out = malloc(size * 4 + 1);
        if (!out)
                return NULL;
        while (size > 0) {
                uint32_t c;
                size_t n = utf8_decode(s, size, &c);

                if (n > 0 && code_point_is_plain(c)) {
                        memcpy(out + length, s, n);
                        length += n;
                } else {
                        n = n > 0 ? n : 1;
                        for (size_t i = 0; i < n; i++)
                                length += (size_t)snprintf(out + length, 5, "\\x%02x", (unsigned char)s[i]);
                }
                s += n;
                size -= n;
        }
        out[length] = '\0';
        return out;
}

int table_new(Table **ret, const char *const *headings, size_t n_columns) {
        _cleanup_(table_free_p) Table *t = NULL;
        int r;

        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->n_columns = n_columns;
        r = table_add(t, headings);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i]);
        free(t->cells);
        free(t);
        return NULL;
}

int table_add(Table *t, const char *const *cells) {
        char **grown;

        grown = reallocarray(t->cells, t->n_cells + t->n_columns, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        t->cells = grown;
        for (size_t i = 0; i < t->n_columns; i++) {
                const char *text = cells[i] ? cells[i] : "";

                t->cells[t->n_cells] = text_safe(text);
                if (!t->cells[t->n_cells]) { /* only whole rows are kept */
                        for (; i > 0; i--)
                                free(t->cells[--t->n_cells]);
                        return -ENOMEM;
                }
                t->n_cells++;
        }
        return 0;
}

int table_print(const Table *t, FILE *f) {
        _cleanup_free_ size_t *widths = NULL;

        widths = calloc(t->n_columns, sizeof(*widths));
        if (!widths)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_cells; i++) {
                size_t width = text_width(t->cells[i]);

                if (width > widths[i % t->n_columns])
                        widths[i % t->n_columns] = width;
        }
        for (size_t i = 0; i < t->n_cells; i++) {
                size_t column = i % t->n_columns;

                (void)fputs(t->cells[i], f);
                if (column + 1 == t->n_columns) {
                        (void)fputc('\n', f);
                        continue;
                }
                for (size_t w = text_width(t->cells[i]); w < widths[column] + 2; w++)
                        (void)fputc(' ', f);
        }
        return ferror(f) ? -EIO : 0;
}
