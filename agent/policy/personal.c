/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/personal.h"

#include <stdint.h>
#include <string.h>

#include "policy/date.h"
#include "policy/fold.h"
#include "util/cleanup.h"

#define LITTLE      6u /* characters that may be left */
#define WORD_MIN    3u /* of a part of an account or of a name in Latin letters */
#define DATE_MIN    4u
#define NUMBERS_MAX (PERSONAL_PASSWORD_MAX + PERSONAL_PASSWORD_MAX / 2)

/* A letter or digit, and which characters of the password it stands for. */
typedef struct Glyph {
        uint32_t c;
        uint16_t from, to;
} Glyph;

typedef struct Line {
        Glyph glyphs[NUMBERS_MAX]; /* 千 alone becomes four digits, of three bytes */
        size_t n;
} Line;

/* The password, taken apart; wiped at the end. */
typedef struct Work {
        uint32_t text[PERSONAL_PASSWORD_MAX];
        bool found[PERSONAL_PASSWORD_MAX]; /* belongs to something personal */
        bool free[PERSONAL_PASSWORD_MAX];  /* does not count when it is left */
        size_t n;
        Line line;
        size_t limit; /* so many characters left are enough; 0: nothing was found */
} Work;

static size_t smaller(size_t a, size_t b) {
        return a < b ? a : b;
}

static bool is_digit(uint32_t c) {
        return c >= '0' && c <= '9';
}

/* Letters and digits of any script; what is not Unicode counts as one. */
static bool is_letter(uint32_t c) {
        if (c < 0x80)
                return is_digit(c) || (c >= 'a' && c <= 'z');
        if (c >= 0x3000 && c <= 0x303f)
                return c == 0x3005 || c == 0x3006 || c == 0x3007; /* 々 〆 〇 */
        return !((c >= 0x80 && c <= 0xbf) || c == 0xd7 || c == 0xf7 || (c >= 0x2000 && c <= 0x206f) ||
                 (c >= 0x2190 && c <= 0x2bff) || c == 0x30fb || c == 0x30a0 || (c >= 0xfe30 && c <= 0xfe4f));
}

/* What stands between the parts of a date or a name. Signs like ! and # are more than that. */
static bool is_separator(uint32_t c) {
        static const char separators[] = " .-/_,:;'`|~\\+=*\t";

        return c < 0x80 ? c != 0 && strchr(separators, (int)c) : !is_letter(c);
}

static void line_add(Line *l, uint32_t c, size_t from, size_t to) {
        if (l->n < ELEMENTSOF(l->glyphs))
                l->glyphs[l->n++] = (Glyph){ .c = c, .from = (uint16_t)from, .to = (uint16_t)to };
}

static void line_reverse(Line *l) {
        for (size_t i = 0; i < l->n / 2; i++) {
                Glyph g = l->glyphs[i];

                l->glyphs[i] = l->glyphs[l->n - 1 - i];
                l->glyphs[l->n - 1 - i] = g;
        }
}

/* The letters and digits, as they are. */
static void line_letters(Work *w) {
        w->line.n = 0;
        for (size_t i = 0; i < w->n; i++)
                if (is_letter(w->text[i]))
                        line_add(&w->line, w->text[i], i, i + 1);
}

/* 0 to 9; 10, 100, 1000; -1 for what is no kanji numeral. */
static int kanji_number(uint32_t c) {
        static const struct {
                uint32_t c;
                int value;
        } numerals[] = {
                { 0x3007, 0 }, { 0x96f6, 0 },                /* 〇 零 */
                { 0x4e00, 1 }, { 0x58f1, 1 },                /* 一 壱 */
                { 0x4e8c, 2 }, { 0x5f10, 2 },                /* 二 弐 */
                { 0x4e09, 3 }, { 0x53c2, 3 },                /* 三 参 */
                { 0x56db, 4 }, { 0x516d, 6 },                /* 四 六 */
                { 0x4e94, 5 }, { 0x4f0d, 5 },                /* 五 伍 */
                { 0x4e03, 7 }, { 0x516b, 8 }, { 0x4e5d, 9 }, /* 七 八 九 */
                { 0x5341, 10 }, { 0x62fe, 10 },              /* 十 拾 */
                { 0x767e, 100 }, { 0x5343, 1000 },           /* 百 千 */
        };

        for (size_t i = 0; i < ELEMENTSOF(numerals); i++)
                if (numerals[i].c == c)
                        return numerals[i].value;
        return -1;
}

/* Adds a number in kanji, from `from` on; returns where it ends. 五十 is 50, and so is 五〇. */
static size_t line_number(Work *w, size_t from) {
        unsigned total = 0, last = 0, divisor = 1;
        bool units = false;
        size_t to;

        for (to = from; to < w->n && kanji_number(w->text[to]) >= 0; to++)
                units = units || kanji_number(w->text[to]) >= 10;
        if (!units) {
                for (size_t i = from; i < to; i++)
                        line_add(&w->line, (uint32_t)('0' + kanji_number(w->text[i])), i, i + 1);
                return to;
        }
        for (size_t i = from; i < to; i++) {
                unsigned value = (unsigned)kanji_number(w->text[i]);

                if (value < 10) {
                        last = value;
                        continue;
                }
                total += (last > 0 ? last : 1) * value;
                last = 0;
        }
        total += last;
        while (total / divisor >= 10)
                divisor *= 10;
        for (; divisor > 0; divisor /= 10)
                line_add(&w->line, '0' + total / divisor % 10, from, to);
        return to;
}

/* How many characters of what follows a number in a date are here. */
static size_t unit_at(const Work *w, size_t at) {
        static const uint32_t units[][2] = {
                { 0x5e74 },         /* 年 */
                { 0x6708 },         /* 月 */
                { 0x65e5 },         /* 日 */
                { 0x30fc },         /* ー, typed for - */
                { 0x306d, 0x3093 }, /* ねん */
                { 0x304c, 0x3064 }, /* がつ */
                { 0x306b, 0x3061 }, /* にち */
        };

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                size_t n = units[i][1] != 0 ? 2 : 1;

                if (w->n - at >= n && memcmp(w->text + at, units[i], n * sizeof(units[i][0])) == 0)
                        return n;
        }
        return 0;
}

/* How many characters of a first year are here: 元, or がん before ねん. */
static size_t first_year_at(const Work *w, size_t at) {
        static const uint32_t kana[] = { 0x304c, 0x3093, 0x306d, 0x3093 };

        if (w->text[at] == 0x5143)
                return 1;
        return w->n - at >= ELEMENTSOF(kana) && memcmp(w->text + at, kana, sizeof(kana)) == 0 ? 2 : 0;
}

/* The letters and digits, with numbers in kanji as digits, and without 年, 月 and 日 behind a number. */
static void line_numbers(Work *w) {
        bool number = false;
        size_t n;

        w->line.n = 0;
        for (size_t i = 0; i < w->n;) {
                uint32_t c = w->text[i];

                if (number && (n = unit_at(w, i)) > 0) {
                        for (; n > 0; n--)
                                w->free[i++] = true;
                } else if (kanji_number(c) >= 0) {
                        i = line_number(w, i);
                        number = true;
                } else if ((n = first_year_at(w, i)) > 0) {
                        line_add(&w->line, '1', i, i + n);
                        i += n;
                        number = true;
                } else {
                        if (is_letter(c)) {
                                line_add(&w->line, c, i, i + 1);
                                number = is_digit(c);
                        }
                        i++;
                }
        }
}

/* The glyphs from..to belong to the person; `limit`: see Work. */
static void found(Work *w, size_t from, size_t to, size_t limit) {
        for (size_t i = from; i < to; i++)
                for (size_t k = w->line.glyphs[i].from; k < w->line.glyphs[i].to; k++)
                        w->found[k] = true;
        if (w->limit < limit)
                w->limit = limit;
}

static bool glyphs_are(const Line *l, size_t at, const uint32_t *word, size_t n) {
        if (n > l->n || at > l->n - n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (l->glyphs[at + i].c != word[i])
                        return false;
        return true;
}

static void find_word(Work *w, const uint32_t *word, size_t n) {
        if (n == 0)
                return;
        for (size_t i = 0; i < w->line.n; i++)
                if (glyphs_are(&w->line, i, word, n))
                        found(w, i, i + n, smaller(LITTLE, 2 * n));
}

/* The whole, without its punctuation; with `parts`, also each of its words that is long enough: two characters of
 * Japanese, WORD_MIN of ASCII. */
static void find_text(Work *w, const char *text, bool parts) {
        uint32_t folded[PERSONAL_TEXT_MAX], word[PERSONAL_TEXT_MAX];
        size_t n, n_word = 0, start = 0;

        if (!text)
                return;
        n = text_fold(text, strnlen(text, sizeof(folded) / sizeof(folded[0])), folded, ELEMENTSOF(folded));
        if (n > 0 && n == w->n && memcmp(folded, w->text, n * sizeof(folded[0])) == 0) {
                memset(w->found, true, n); /* whatever it is made of */
                w->limit = LITTLE;
        }
        for (size_t i = 0; i <= n; i++) {
                if (i < n && is_letter(folded[i])) {
                        word[n_word++] = folded[i];
                        continue;
                }
                if (parts && n_word - start >= (n_word > start && word[start] >= 0x80 ? 2 : WORD_MIN))
                        find_word(w, word + start, n_word - start);
                start = n_word;
        }
        find_word(w, word, n_word);
}

/* A staff number also without the letters and zeros before it. */
static void find_number(Work *w, const char *person) {
        find_text(w, person, true);
        if (!person)
                return;
        person += strcspn(person, "123456789");
        if (strlen(person) >= WORD_MIN)
                find_text(w, person, false);
}

/* An account of a directory also without its domain. */
static void find_account(Work *w, const char *account) {
        char local[PERSONAL_TEXT_MAX];
        const char *end;

        find_text(w, account, false);
        if (!account)
                return;
        end = strrchr(account, '\\');
        if (end)
                account = end + 1;
        end = strchr(account, '@');
        if (strlen(account) >= sizeof(local))
                return;
        memcpy(local, account, strlen(account) + 1);
        if (end)
                local[end - account] = '\0';
        find_text(w, local, true);
}

/* From `at` on, each way in which the parts order[0..n-1] follow each other. */
static void find_parts(Work *w, const DateWritings *d, const uint8_t *order, size_t n, size_t start, size_t at) {
        const DatePart *part = &d->parts[order[0]];

        for (size_t i = 0; i < part->n; i++) {
                const DateText *t = &part->texts[i];

                if (!glyphs_are(&w->line, at, t->c, t->n))
                        continue;
                if (n > 1)
                        find_parts(w, d, order + 1, n - 1, start, at + t->n);
                else if (at + t->n - start >= DATE_MIN)
                        found(w, start, at + t->n, smaller(LITTLE, at + t->n - start));
        }
}

static void find_date(Work *w, const DateWritings *d) {
        static const uint8_t orders[][3] = {
                { DATE_YEAR, DATE_MONTH, DATE_DAY },
                { DATE_YEAR, DATE_DAY, DATE_MONTH },
                { DATE_MONTH, DATE_DAY, DATE_YEAR },
                { DATE_MONTH, DATE_YEAR, DATE_DAY },
                { DATE_DAY, DATE_MONTH, DATE_YEAR },
                { DATE_DAY, DATE_YEAR, DATE_MONTH },
        };
        static const uint8_t without_year[][2] = { { DATE_MONTH, DATE_DAY }, { DATE_DAY, DATE_MONTH } };

        for (size_t at = 0; at < w->line.n; at++) {
                for (size_t i = 0; i < ELEMENTSOF(orders); i++)
                        find_parts(w, d, orders[i], 3, at, at);
                for (size_t i = 0; i < ELEMENTSOF(without_year); i++)
                        find_parts(w, d, without_year[i], 2, at, at);
        }
}

static void find_words(Work *w, const Personal *p) {
        find_account(w, p->account);
        find_number(w, p->person);
        find_text(w, p->name, true);
}

/* What is left counts, but not the rest of a run. */
static size_t left(const Work *w) {
        size_t n = 0;

        for (size_t i = 0; i < w->n; i++) {
                if (w->found[i] || w->free[i] || is_separator(w->text[i]))
                        continue;
                if (i > 0 && !w->found[i - 1] && w->text[i] + 1 >= w->text[i - 1] && w->text[i] <= w->text[i - 1] + 1)
                        continue;
                n++;
        }
        return n;
}

bool password_is_personal(const char *password, size_t size, const Personal *p) {
        DateWritings date;
        Work w = {};
        bool personal;

        w.n = text_fold(password, smaller(size, PERSONAL_PASSWORD_MAX), w.text, ELEMENTSOF(w.text));
        line_letters(&w);
        find_words(&w, p);
        line_reverse(&w.line);
        find_words(&w, p);
        if (p->birth && date_writings(p->birth, &date)) {
                line_numbers(&w);
                find_date(&w, &date);
                line_reverse(&w.line);
                find_date(&w, &date);
        }
        personal = left(&w) < w.limit;
        explicit_bzero(&w, sizeof(w));
        return personal;
}
