/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/check.h"
#include "ctl/encoding.h"
#include "ctl/table.h"
#include "util/csv.h"
#include "util/json.h"
#include "util/text.h"

/* keishictl check --all: verdicts on a list, before a rollout or after a change of rules. The list is CSV: user,
 * terminal (empty: the one here), and perhaps service; a first line of exactly these words is a heading. */

/* Requests of one call: the agent does nothing else while it judges them (CheckAll, org.keishi1(5)). */
#define BATCH     1000u
#define READ_SIZE 65536u
#define CELL_ROOM 1024u

typedef struct Batch {
        Ctl *ctl;
        const char *path;
        const uint64_t *at; /* or NULL */
        Encoding encoding;
        Codec *codec;
        json_object *requests, *lines;
        json_object *verdicts; /* of all */
        unsigned refused;
} Batch;

/* The verdicts of what was collected. */
static ExitCode ask(Batch *b) {
        _cleanup_json_ json_object *answers = NULL;
        size_t n = json_object_array_length(b->requests);
        const char *text;
        ExitCode code;

        if (n == 0)
                return CTL_DONE;
        text = json_text(b->requests);
        if (!text)
                return ctl_oom(b->ctl);
        code = client_call_json(b->ctl, &answers, "CheckAll", "s", text);
        if (code != CTL_DONE)
                return code;
        if (!json_object_is_type(answers, json_type_array) || json_object_array_length(answers) != n)
                return ctl_error(b->ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        for (size_t i = 0; i < n; i++) {
                json_object *verdict = json_object_array_get_idx(answers, i);

                if (!json_object_is_type(verdict, json_type_object) ||
                        json_set(verdict, "line", json_object_get(json_object_array_get_idx(b->lines, i))) < 0)
                        return ctl_oom(b->ctl);
                b->refused += !json_boolean(verdict, "granted");
                if (json_object_array_add(b->verdicts, json_object_get(verdict)) < 0) {
                        json_object_put(verdict);
                        return ctl_oom(b->ctl);
                }
        }
        json_object_put(b->requests);
        json_object_put(b->lines);
        b->requests = json_object_new_array();
        b->lines = json_object_new_array();
        return b->requests && b->lines ? CTL_DONE : ctl_oom(b->ctl);
}

static ExitCode wrong(const Batch *b, uint64_t line, size_t cell, const char *text, const char *what) {
        _cleanup_free_ char *shown = text_escape(text, strlen(text), 64);

        return ctl_error(b->ctl, CTL_INVALID, _("%s:%" PRIu64 ", column %zu, \"%s\": %s"), b->path, line, cell + 1,
                shown ? shown : "", what);
}

static ExitCode take_record(Batch *b, const CsvReader *c) {
        static const char *const names[] = { "user", "terminal", "service" };
        _cleanup_json_ json_object *request = NULL;
        char decoded[CELL_ROOM];
        json_object *line;
        size_t at;

        if (c->n_cells == 1 && !*csv_cell(c, 0))
                return CTL_DONE; /* a blank line */
        if (c->n_cells > ELEMENTSOF(names))
                return wrong(b, c->cells[3].line, 3, csv_cell(c, 3), _("a line is user,terminal,service"));
        request = json_object_new_object();
        if (!request)
                return ctl_oom(b->ctl);
        for (size_t i = 0; i < c->n_cells; i++) {
                const char *text = csv_plain(csv_cell(c, i));

                if (b->encoding == ENCODING_CP932 && text_beyond_ascii(text, strlen(text))) {
                        if (codec_decode(b->codec, text, strlen(text), decoded, sizeof(decoded), &at) < 0)
                                return wrong(b, c->cells[i].line, i, text, _("neither UTF-8 nor CP932"));
                        text = decoded;
                } else if (!utf8_valid(text, strlen(text)))
                        return wrong(b, c->cells[i].line, i, text, _("neither UTF-8 nor CP932"));
                if (i == 0 && !account_valid(text))
                        return wrong(b, c->cells[i].line, i, text, _("not the name of an account"));
                if (*text && json_set_string(request, names[i], text) < 0)
                        return ctl_oom(b->ctl);
        }
        if (b->at && json_set_uint(request, "at", *b->at) < 0)
                return ctl_oom(b->ctl);
        line = json_object_new_int64((int64_t)c->cells[0].line);
        if (!line || json_object_array_add(b->lines, line) < 0) {
                json_object_put(line);
                return ctl_oom(b->ctl);
        }
        if (json_object_array_add(b->requests, json_object_get(request)) < 0) {
                json_object_put(request);
                return ctl_oom(b->ctl);
        }
        return json_object_array_length(b->requests) == BATCH ? ask(b) : CTL_DONE;
}

static bool is_heading(const CsvReader *c) {
        return c->cells[0].line == 1 && c->n_cells >= 2 && strcmp(csv_cell(c, 0), "user") == 0 &&
               strcmp(csv_cell(c, 1), "terminal") == 0 &&
               (c->n_cells == 2 || (c->n_cells == 3 && strcmp(csv_cell(c, 2), "service") == 0));
}

static ExitCode take(Batch *b, CsvReader *c, CsvResult result) {
        switch (result) {
        case CSV_RECORD:
                return is_heading(c) ? CTL_DONE : take_record(b, c);
        case CSV_BAD:
                return wrong(b, c->fault_line, c->fault_cell, csv_fault_text(c), _("not CSV as Excel writes it"));
        default:
                return CTL_DONE;
        }
}

/* A whole line each time, from a file that may be larger than memory. */
static ExitCode read_all(Batch *b, int fd, CsvReader *c, char *buffer) {
        bool first = true;
        CsvResult result;
        struct stat st;
        ExitCode code;
        ssize_t n;

        for (;;) {
                const char *data = buffer;
                size_t size;

                n = read(fd, buffer, READ_SIZE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return ctl_error(b->ctl, CTL_FAILED, "%s: %s", b->path, strerror(errno));
                if (n == 0)
                        break;
                size = (size_t)n;
                if (first && size >= 3 && memcmp(data, ENCODING_BOM, 3) == 0) {
                        b->encoding = ENCODING_UTF8;
                        data += 3;
                        size -= 3;
                } else if (first) {
                        bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
                        int r = encoding_find(fd, data, size, regular, &b->encoding);

                        if (r < 0)
                                return ctl_error(b->ctl, CTL_FAILED, "%s: %s", b->path, strerror(-r));
                }
                first = false;
                while ((result = csv_read(c, &data, &size)) != CSV_MORE) {
                        code = take(b, c, result);
                        if (code != CTL_DONE)
                                return code;
                }
        }
        while ((result = csv_finish(c)) != CSV_END) {
                code = take(b, c, result);
                if (code != CTL_DONE)
                        return code;
        }
        return ask(b);
}

static ExitCode show(const Batch *b) {
        _cleanup_(table_free_p) Table *t = NULL;
        size_t n = json_object_array_length(b->verdicts);

        if (b->ctl->json)
                return ctl_print_json(b->ctl, b->verdicts);
        if (table_new(&t,
                    (const char *const[]){
                            _("USER"), _("NAME"), _("TERMINAL"), _("SERVICE"), _("VERDICT"), _("WHY"), _("RULE") },
                    7) < 0)
                return ctl_oom(b->ctl);
        for (size_t i = 0; i < n; i++) {
                json_object *v = json_object_array_get_idx(b->verdicts, i);

                if (table_add(t, (const char *const[]){ json_string(v, "account"), json_string(v, "name"),
                                         json_string(v, "terminal"), json_string(v, "service"), check_verdict_text(v),
                                         check_reason_text(json_string(v, "reason")), json_string(v, "rule") }) < 0)
                        return ctl_oom(b->ctl);
        }
        if (table_print(t, stdout) < 0)
                return CTL_FAILED;
        (void)printf(_("%zu looked at, %u refused\n"), n, b->refused);
        return CTL_DONE;
}

ExitCode check_all(Ctl *ctl, const char *path, const uint64_t *at) {
        _cleanup_free_ CsvReader *c = malloc(sizeof(*c));
        _cleanup_free_ char *buffer = malloc(READ_SIZE);
        _cleanup_close_ int fd = -EBADF;
        Batch b = { .ctl = ctl, .path = path, .at = at };
        ExitCode code;

        fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return ctl_error(ctl, CTL_FAILED, "%s: %s", path, strerror(errno));
        b.requests = json_object_new_array();
        b.lines = json_object_new_array();
        b.verdicts = json_object_new_array();
        if (codec_new(&b.codec) < 0)
                b.codec = NULL;
        if (c && buffer && b.codec && b.requests && b.lines && b.verdicts) {
                csv_init(c);
                code = read_all(&b, fd, c, buffer);
                if (code == CTL_DONE)
                        code = show(&b);
        } else
                code = ctl_oom(ctl);
        json_object_put(b.requests);
        json_object_put(b.lines);
        json_object_put(b.verdicts);
        codec_free(b.codec);
        return code == CTL_DONE && b.refused > 0 ? CTL_REFUSED : code;
}
