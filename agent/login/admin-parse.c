/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/admin-parse.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/text.h"

#define DEPTH_MAX 6u
#define CUT_ROOM  48u /* for " …[N bytes cut]", in its safe form */

/* ---- text with a cap ---- */

/* Collects bytes into a field. What does not fit is left out, at a character's end, and counted. */
typedef struct Sink {
        char *text;
        size_t room;      /* of the field */
        size_t room_safe; /* how long the safe form may become; SIZE_MAX: any */
        size_t size, size_safe, cut;
} Sink;

/* The length of the first character and of its safe form (event_set()). */
static size_t next_character(const char *s, size_t size, size_t *ret_safe) {
        uint32_t c;
        size_t n = utf8_decode(s, size, &c);

        if (n > 0 && c != '\\' && code_point_is_plain(c)) {
                *ret_safe = n;
                return n;
        }
        if (n == 0)
                n = 1;
        *ret_safe = 4 * n;
        return n;
}

static void sink_add(Sink *s, const char *text, size_t size) {
        while (size > 0) {
                size_t safe, n = next_character(text, size, &safe);

                if (s->cut > 0 || s->size + n >= s->room || s->size_safe + safe > s->room_safe)
                        s->cut += n;
                else {
                        memcpy(s->text + s->size, text, n);
                        s->size += n;
                        s->size_safe += safe;
                }
                text += n;
                size -= n;
        }
        s->text[s->size] = '\0';
}

static Sink sink_of(char *text, size_t room) {
        return (Sink){ .text = text, .room = room, .room_safe = SIZE_MAX };
}
#define SINK(field) sink_of(field, sizeof(field))

static Sink command_sink(AdminCommand *c) {
        return (Sink){
                .text = c->command,
                .room = sizeof(c->command) - CUT_ROOM,
                .room_safe = sizeof(c->command) - CUT_ROOM,
        };
}

static void command_finish(Sink *s) {
        if (s->cut > 0)
                (void)snprintf(s->text + s->size, CUT_ROOM, " …[%zu bytes cut]", s->cut);
}

/* ---- quoting ---- */

static bool needs_quotes(const char *s, size_t size) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-";

        for (size_t i = 0; i < size; i++)
                if (!strchr(plain, s[i]) && (unsigned char)s[i] < 0x80)
                        return true;
        return size == 0;
}

/* As sh takes it for one word, without a backslash, which would have to be escaped once more. */
static void add_word(Sink *s, const char *word, size_t size) {
        if (!needs_quotes(word, size))
                return sink_add(s, word, size);
        sink_add(s, "'", 1);
        while (size > 0) {
                const char *quote = memchr(word, '\'', size);
                size_t n = quote ? (size_t)(quote - word) : size;

                sink_add(s, word, n);
                if (quote) {
                        sink_add(s, "'\"'\"'", 5);
                        n++;
                }
                word += n;
                size -= n;
        }
        sink_add(s, "'", 1);
}

/* ---- JSON ---- */

typedef struct In {
        const char *p, *end;
        char *word; /* room for a string, as large as all of the text */
        size_t word_size;
} In;

static void skip_blanks(In *in) {
        while (in->p < in->end && (*in->p == ' ' || *in->p == '\t' || *in->p == '\n' || *in->p == '\r'))
                in->p++;
}

static bool take(In *in, char c) {
        skip_blanks(in);
        if (in->p == in->end || *in->p != c)
                return false;
        in->p++;
        return true;
}

static bool take_unit(In *in, uint32_t *ret) {
        uint32_t unit = 0;

        if (in->end - in->p < 4)
                return false;
        for (size_t i = 0; i < 4; i++) {
                char c = *in->p++;

                if (c >= '0' && c <= '9')
                        unit = unit << 4 | (uint32_t)(c - '0');
                else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                        unit = unit << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
                else
                        return false;
        }
        *ret = unit;
        return true;
}

static void put(In *in, uint32_t byte) {
        in->word[in->word_size++] = (char)byte;
}

/* \uXXXX, behind the u. It takes six bytes or twelve, and gives at most four. */
static bool take_code_point(In *in) {
        uint32_t c, low;

        if (!take_unit(in, &c) || c == 0)
                return false;
        if (c >= 0xd800 && c <= 0xdfff) {
                if (c >= 0xdc00 || in->end - in->p < 6 || in->p[0] != '\\' || in->p[1] != 'u')
                        return false;
                in->p += 2;
                if (!take_unit(in, &low) || low < 0xdc00 || low > 0xdfff)
                        return false;
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        }
        if (c < 0x80)
                put(in, c);
        else if (c < 0x800) {
                put(in, 0xc0 | c >> 6);
                put(in, 0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
                put(in, 0xe0 | c >> 12);
                put(in, 0x80 | (c >> 6 & 0x3f));
                put(in, 0x80 | (c & 0x3f));
        } else {
                put(in, 0xf0 | c >> 18);
                put(in, 0x80 | (c >> 12 & 0x3f));
                put(in, 0x80 | (c >> 6 & 0x3f));
                put(in, 0x80 | (c & 0x3f));
        }
        return true;
}

static bool take_escape(In *in) {
        static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
        const char *at;

        if (in->p == in->end)
                return false;
        if (*in->p == 'u') {
                in->p++;
                return take_code_point(in);
        }
        at = *in->p ? strchr(names, *in->p) : NULL;
        if (!at)
                return false;
        in->p++;
        put(in, (unsigned char)values[at - names]);
        return true;
}

/* A string, into in->word. Bytes beyond ASCII stay as they are: sudo does not care whether they are UTF-8. */
static bool take_string(In *in) {
        in->word_size = 0;
        if (!take(in, '"'))
                return false;
        while (in->p < in->end && *in->p != '"') {
                unsigned char c = (unsigned char)*in->p++;

                if (c < 0x20)
                        return false;
                if (c != '\\')
                        put(in, c);
                else if (!take_escape(in))
                        return false;
        }
        return take(in, '"');
}

static bool word_is(const In *in, const char *text) {
        return strlen(text) == in->word_size && memcmp(in->word, text, in->word_size) == 0;
}

static bool take_number(In *in, int64_t *ret) {
        int64_t value = 0;
        bool minus;
        size_t n = 0;

        skip_blanks(in);
        minus = in->p < in->end && *in->p == '-';
        in->p += minus;
        for (; in->p < in->end && *in->p >= '0' && *in->p <= '9'; in->p++, n++) {
                if (n == 18)
                        return false;
                value = value * 10 + (*in->p - '0');
        }
        *ret = minus ? -value : value;
        return n > 0;
}

static bool take_literal(In *in) {
        static const char *const literals[] = { "true", "false", "null" };

        skip_blanks(in);
        for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
                size_t n = strlen(literals[i]);

                if ((size_t)(in->end - in->p) >= n && memcmp(in->p, literals[i], n) == 0) {
                        in->p += n;
                        return true;
                }
        }
        return false;
}

static bool skip_value(In *in, unsigned depth) {
        int64_t number;
        bool object;

        skip_blanks(in);
        if (in->p == in->end || depth > DEPTH_MAX)
                return false;
        switch (*in->p) {
        case '"':
                return take_string(in);
        case '{':
        case '[':
                object = *in->p++ == '{';
                if (take(in, object ? '}' : ']'))
                        return true;
                do {
                        if (object && (!take_string(in) || !take(in, ':')))
                                return false;
                        if (!skip_value(in, depth + 1))
                                return false;
                } while (take(in, ','));
                return take(in, object ? '}' : ']');
        default:
                return take_literal(in) || take_number(in, &number);
        }
}

/* ---- sudo's event ---- */

typedef struct Field {
        const char *name;
        size_t offset, room;
} Field;

#define FIELD(name, member)                                                                                            \
        { name, offsetof(AdminCommand, member), sizeof(((AdminCommand *)NULL)->member) }

static const Field fields[] = {
        FIELD("submituser", user),
        FIELD("runuser", target),
        FIELD("rungroup", group),
        FIELD("ttyname", tty),
        FIELD("submitcwd", cwd),
        FIELD("reason", reason),
        FIELD("signal", signal),
        FIELD("uuid", id),
        FIELD("command", command),
};

/* The event's `command` is the program that is run; of its arguments the first is its name and not shown. */
static bool take_arguments(In *in, Sink *words) {
        if (!take(in, '['))
                return false;
        if (take(in, ']'))
                return true;
        for (bool first = true; first || take(in, ','); first = false) {
                if (!take_string(in))
                        return false;
                if (first)
                        continue;
                sink_add(words, " ", 1);
                add_word(words, in->word, in->word_size);
        }
        return take(in, ']');
}

static bool take_member(In *in, AdminCommand *c, Sink *words, uint32_t *seen) {
        int64_t number;

        if (!take_string(in))
                return false;
        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
                Sink s = sink_of((char *)c + fields[i].offset, fields[i].room);

                if (!word_is(in, fields[i].name))
                        continue;
                if (*seen & UINT32_C(1) << i || !take(in, ':') || !take_string(in))
                        return false;
                *seen |= UINT32_C(1) << i;
                if (fields[i].offset == offsetof(AdminCommand, command))
                        add_word(words, in->word, in->word_size);
                else
                        sink_add(&s, in->word, in->word_size);
                return true;
        }
        if (word_is(in, "runargv"))
                return words->size > 0 && take(in, ':') && take_arguments(in, words);
        if (!word_is(in, "exit_value"))
                return take(in, ':') && skip_value(in, 0);
        if (!take(in, ':') || !take_number(in, &number) || number < -1 || number > INT32_MAX)
                return false;
        c->exit_status = (int32_t)number;
        return true;
}

static bool take_kind(In *in, AdminCommand *c) {
        static const char *const names[] = {
                [ADMIN_ACCEPTED] = "accept",
                [ADMIN_REFUSED] = "reject",
                [ADMIN_ALERT] = "alert",
                [ADMIN_EXITED] = "exit",
        };

        if (!take_string(in))
                return false;
        for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (word_is(in, names[i])) {
                        c->kind = i;
                        return true;
                }
        return false;
}

/* {"sudo":{KIND:{…}}} and nothing after it. sudo writes the name of the program before its arguments. */
static bool take_event(In *in, AdminCommand *c) {
        Sink words = command_sink(c);
        uint32_t seen = 0;

        if (!take(in, '{') || !take_string(in) || !word_is(in, "sudo") || !take(in, ':') || !take(in, '{') ||
                !take_kind(in, c) || !take(in, ':') || !take(in, '{'))
                return false;
        do
                if (!take_member(in, c, &words, &seen))
                        return false;
        while (take(in, ','));
        for (unsigned i = 0; i < 3; i++)
                if (!take(in, '}'))
                        return false;
        skip_blanks(in);
        command_finish(&words);
        return in->p == in->end && ((*c->user && *c->command) || c->kind >= ADMIN_ALERT);
}

static void strip_dev(char *tty) {
        size_t n = strlen(tty);

        if (n >= 5 && memcmp(tty, "/dev/", 5) == 0)
                memmove(tty, tty + 5, n - 5 + 1);
}

static void unparsed(AdminCommand *c, const char *message, size_t size) {
        Sink s = SINK(c->reason);

        *c = (AdminCommand){ .kind = ADMIN_UNPARSED, .exit_status = -1 };
        sink_add(&s, message, size);
}

static bool contains(const char *text, size_t size, const char *what) {
        return memmem(text, size, what, strlen(what)) != NULL;
}

int admin_parse_sudo(const char *message, size_t size, AdminCommand *ret) {
        static const char cookie[] = "@cee:";
        size_t n = strlen(cookie);
        bool event = size >= n && memcmp(message, cookie, n) == 0, done;
        In in = { .p = message + n, .end = message + size };

        *ret = (AdminCommand){ .exit_status = -1 };
        if (!event || size > ADMIN_MESSAGE_MAX || memchr(message, '\0', size)) {
                if (!event && !contains(message, size, "COMMAND="))
                        return -ENOMSG;
                unparsed(ret, message, size);
                return 0;
        }
        in.word = malloc(size);
        if (!in.word)
                return -ENOMEM;
        done = take_event(&in, ret);
        free(in.word);
        if (!done)
                unparsed(ret, message, size);
        strip_dev(ret->tty);
        return 0;
}

/* ---- pkexec ---- */

/* Copies what is between *at and the first `end` behind it, and moves *at behind that. */
static bool take_until(const char **at, const char *end, const char *what, Sink *s) {
        const char *found = memmem(*at, (size_t)(end - *at), what, strlen(what));

        if (!found)
                return false;
        sink_add(s, *at, (size_t)(found - *at));
        *at = found + strlen(what);
        return true;
}

/* The caller chooses working directory and command, which stand last: what looks like a bracket in the directory can
 * shift text between the two, and nothing else. */
int admin_parse_pkexec(const char *message, size_t size, AdminCommand *ret) {
        static const char said[] = ": Executing command [USER=";
        const char *at = message, *end = message + size;
        AdminCommand c = { .kind = ADMIN_ACCEPTED, .source = ADMIN_PKEXEC, .exit_status = -1 };
        Sink user = SINK(c.user), target = SINK(c.target), tty = SINK(c.tty), cwd = SINK(c.cwd);
        Sink words = command_sink(&c);

        if (size == 0 || size > ADMIN_MESSAGE_MAX || memchr(message, '\0', size) || end[-1] != ']')
                return -ENOMSG;
        if (!take_until(&at, end, said, &user) || !take_until(&at, end, "] [TTY=", &target) ||
                !take_until(&at, end, "] [CWD=", &tty) || !take_until(&at, end, "] [COMMAND=", &cwd))
                return -ENOMSG;
        if (!account_valid(c.user) || !account_valid(c.target) || end - at <= 1)
                return -ENOMSG;
        sink_add(&words, at, (size_t)(end - at) - 1);
        command_finish(&words);
        if (strcmp(c.tty, "unknown") == 0)
                *c.tty = '\0';
        strip_dev(c.tty);
        *ret = c;
        return 0;
}
