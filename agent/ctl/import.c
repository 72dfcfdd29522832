/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/cell.h"
#include "ctl/ctl.h"
#include "ctl/encoding.h"
#include "ctl/table.h"
#include "util/clock.h"
#include "util/csv.h"
#include "util/json.h"
#include "util/text.h"

/* keishictl import: a CSV file, as Excel makes it, into the directory. The agent reads no files: the rows are read
 * here, by whoever calls, and go over the bus as JSON, in batches. In memory is one batch, however long the file. */

#define READ_SIZE     (64u * 1024u)
#define BATCH_ROWS    400u
#define BATCH_BYTES   (96u * 1024u)
#define ROW_BYTES     (48u * 1024u) /* of JSON; a row that fits the directory has a tenth */
#define ERRORS_MAX    20u           /* that are told */
#define PROGRESS_USEC (200 * USEC_PER_MSEC)

typedef struct BatchRow {
        uint64_t line;
        size_t cells; /* where its cells are in `cells`, one behind the other, NUL-terminated */
} BatchRow;

typedef struct Reading {
        Ctl *ctl;
        NounId noun;
        const char *path;
        bool replace, dry_run, begun;
        Encoding encoding;
        Codec *codec;
        CsvReader csv;
        uint64_t size, taken; /* bytes of the file; 0: not known */

        const char *fields[CSV_CELLS_MAX]; /* NULL: a column without a heading, and without cells */
        size_t n_columns;

        json_object *errors, *changes;
        size_t n_errors;

        BatchRow rows[BATCH_ROWS];
        size_t n_rows;
        char *json, *cells;
        size_t json_size, cells_size;
        uint64_t n_read, told_usec;
        bool progress;
} Reading;

#define BATCH_ROOM (BATCH_BYTES + ROW_BYTES + 256u)
#define CELLS_ROOM (BATCH_ROOM + CSV_RECORD_MAX * 3u)

/* ---- telling ---- */

/* Whether it is time to show how far it is. */
static bool progress_due(Reading *r) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);

        if (!r->progress || now - r->told_usec < PROGRESS_USEC)
                return false;
        r->told_usec = now;
        (void)fputs("\r\033[K", stderr);
        return true;
}

static void progress_end(const Reading *r) {
        if (r->progress)
                (void)fputs("\r\033[K", stderr);
}

/* Notes an error: line, column, field and text may be 0 or NULL. The text is what stands there. */
static ExitCode note_error(
        Reading *r, uint64_t line, size_t column, const char *field, const char *text, const char *why) {
        _cleanup_json_ json_object *o = json_object_new_object();
        _cleanup_free_ char *safe = NULL;

        r->n_errors++;
        if (json_object_array_length(r->errors) >= ERRORS_MAX)
                return CTL_DONE;
        safe = text ? text_escape(text, strnlen(text, 256), 120) : NULL;
        if (!o || (text && !safe) || json_set_uint(o, "line", line) < 0 ||
                (column > 0 && json_set_uint(o, "column", column) < 0) || json_set_string(o, "field", field) < 0 ||
                json_set_string(o, "text", safe) < 0 || json_set_string(o, "message", why) < 0 ||
                json_object_array_add(r->errors, o) < 0)
                return ctl_oom(r->ctl);
        TAKE_PTR(o);
        return CTL_DONE;
}

static unsigned long long get_uint(json_object *o, const char *name) {
        json_object *v;

        return json_object_object_get_ex(o, name, &v) ? (unsigned long long)json_object_get_int64(v) : 0;
}

/* FILE:LINE: column 3 (氏名) "…": what is wrong */
static ExitCode print_error(const Reading *r, json_object *error) {
        const char *text = json_string(error, "text"), *field = json_string(error, "field"),
                   *message = json_string(error, "message");
        _cleanup_free_ char *path = text_safe(r->path), *why = text_safe(message ? message : "");
        unsigned long long column = get_uint(error, "column");

        if (!path || !why)
                return ctl_oom(r->ctl);
        (void)fprintf(stderr, "%s:%llu: ", path, get_uint(error, "line"));
        if (column > 0)
                (void)fprintf(stderr, _("column %llu"), column);
        if (field && *field)
                (void)fprintf(stderr, " (%s)", field);
        if (text)
                (void)fprintf(stderr, " \"%s\"", text);
        (void)fprintf(stderr, "%s%s\n", column > 0 || field || text ? ": " : "", why);
        return CTL_DONE;
}

static ExitCode tell_errors(Reading *r) {
        _cleanup_json_ json_object *o = NULL;
        size_t n = json_object_array_length(r->errors);

        progress_end(r);
        if (r->ctl->json) {
                o = json_object_new_object();
                if (!o || json_set_string(o, "error", "invalid") < 0 ||
                        json_set_string(o, "message", _("nothing was changed")) < 0 ||
                        json_set(o, "errors", json_object_get(r->errors)) < 0)
                        return ctl_oom(r->ctl);
                (void)fprintf(stderr, "%s\n", json_text(o));
                return CTL_INVALID;
        }
        for (size_t i = 0; i < n; i++) {
                ExitCode code = print_error(r, json_object_array_get_idx(r->errors, i));

                if (code != CTL_DONE)
                        return code;
        }
        if (r->n_errors > n)
                (void)fprintf(stderr, _("… and %zu more\n"), r->n_errors - n);
        return ctl_error(r->ctl, CTL_INVALID, "%s", _("nothing was changed"));
}

static bool too_many_errors(const Reading *r) {
        return r->n_errors >= ERRORS_MAX;
}

/* ---- batches ---- */

static void put_json(Reading *r, const char *text, size_t size) {
        memcpy(r->json + r->json_size, text, size);
        r->json_size += size;
}

/* A JSON string. False: the row is longer than one can be. */
static bool put_string(Reading *r, const char *text, size_t row_start) {
        put_json(r, "\"", 1);
        for (; *text; text++) {
                char escaped[8];
                unsigned char c = (unsigned char)*text;

                if (r->json_size - row_start > ROW_BYTES - sizeof(escaped))
                        return false;
                if (c == '"' || c == '\\') {
                        escaped[0] = '\\';
                        escaped[1] = (char)c;
                        put_json(r, escaped, 2);
                } else if (c < 0x20) {
                        (void)snprintf(escaped, sizeof(escaped), "\\u%04x", c);
                        put_json(r, escaped, 6);
                } else
                        put_json(r, text, 1);
        }
        put_json(r, "\"", 1);
        return true;
}

/* The column of a field, from 1; 0: none. */
static size_t column_of(const Reading *r, const char *field) {
        for (size_t i = 0; i < r->n_columns; i++)
                if (r->fields[i] && strcmp(r->fields[i], field) == 0)
                        return i + 1;
        return 0;
}

/* The text that stood in a column of a line of the batch; NULL when there is none. */
static const char *cell_of(const Reading *r, uint64_t line, size_t column) {
        for (size_t i = 0; i < r->n_rows && column > 0; i++)
                if (r->rows[i].line == line) {
                        const char *text = r->cells + r->rows[i].cells;

                        for (size_t c = 1; c < column; c++)
                                text += strlen(text) + 1;
                        return text;
                }
        return NULL;
}

static ExitCode take_answer(Reading *r, json_object *answer) {
        json_object *errors = NULL, *changes = NULL;

        (void)json_object_object_get_ex(answer, "errors", &errors);
        (void)json_object_object_get_ex(answer, "changes", &changes);
        for (size_t i = 0; errors && i < json_object_array_length(errors); i++) {
                json_object *error = json_object_array_get_idx(errors, i);
                const char *field = json_string(error, "field"), *text = json_string(error, "text");
                size_t column = field ? column_of(r, field) : 0;
                uint64_t line = get_uint(error, "line");
                ExitCode code;

                code = note_error(r, line, column, column > 0 ? field : NULL, cell_of(r, line, column),
                        text && *text ? gettext(text) : _("refused"));
                if (code != CTL_DONE)
                        return code;
        }
        for (size_t i = 0; changes && i < json_object_array_length(changes); i++)
                if (json_object_array_add(r->changes, json_object_get(json_object_array_get_idx(changes, i))) < 0)
                        return ctl_oom(r->ctl);
        return CTL_DONE;
}

static ExitCode send_batch(Reading *r) {
        _cleanup_json_ json_object *answer = NULL;
        ExitCode code;

        if (r->n_rows == 0)
                return CTL_DONE;
        put_json(r, "]", 2);
        code = client_call_json(r->ctl, &answer, "ImportRows", "s", r->json);
        if (code == CTL_DONE)
                code = take_answer(r, answer);
        r->n_read += r->n_rows;
        r->n_rows = r->json_size = r->cells_size = 0;
        if (progress_due(r)) {
                (void)fprintf(stderr, _("%llu rows read"), (unsigned long long)r->n_read);
                if (r->size > 0)
                        (void)fprintf(stderr, " (%u %%)",
                                (unsigned)(r->taken * 100 / (r->size > r->taken ? r->size : r->taken)));
                (void)fflush(stderr);
        }
        return code;
}

/* ---- records ---- */

/* The cell as UTF-8, in r->cells. NULL: it is not in the encoding; the error is noted. */
static ExitCode decode_cell(Reading *r, size_t column, const char **ret) {
        const char *text = csv_cell(&r->csv, column);
        size_t size = r->csv.cells[column].size, at = 0;
        char *out = r->cells + r->cells_size;
        bool good;

        if (r->encoding == ENCODING_CP932 && text_beyond_ascii(text, size))
                good = codec_decode(r->codec, text, size, out, CELLS_ROOM - r->cells_size, &at) == 0;
        else {
                good = utf8_valid(text, size);
                memcpy(out, text, size + 1);
        }
        *ret = good ? out : NULL;
        if (good) {
                r->cells_size += strlen(out) + 1;
                return CTL_DONE;
        }
        return note_error(r, r->csv.cells[column].line, column + 1, r->fields[column], text + at,
                r->encoding == ENCODING_CP932 ? _("this is not CP932; say what it is with --encoding")
                                              : _("this is not UTF-8; say what it is with --encoding"));
}

static ExitCode begin(Reading *r) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_json_ json_object *options = json_object_new_object(), *columns = json_object_new_array();
        const char *name = strrchr(r->path, '/');
        _cleanup_free_ char *file = NULL;
        ExitCode code;

        name = name ? name + 1 : r->path;
        file = text_escape(name, strlen(name), 200);
        if (!options || !columns || !file)
                return ctl_oom(r->ctl);
        for (size_t i = 0; i < r->n_columns; i++)
                if (r->fields[i] && json_object_array_add(columns, json_object_new_string(r->fields[i])) < 0)
                        return ctl_oom(r->ctl);
        if (json_set(options, "columns", TAKE_PTR(columns)) < 0 ||
                json_set_boolean(options, "replace", r->replace) < 0 ||
                json_set_boolean(options, "dry_run", r->dry_run) < 0 || json_set_string(options, "file", file) < 0)
                return ctl_oom(r->ctl);
        code = client_call(r->ctl, &reply, "ImportBegin", "ss", noun_to_string(r->noun), json_text(options));
        r->begun = code == CTL_DONE;
        return code;
}

/* What a column may be headed, for an error. */
static void known_headings(NounId noun, char *out, size_t size) {
        const Noun *n = &registry_nouns[noun];
        size_t used = 0;

        *out = '\0';
        for (size_t i = 0; i < n->n_fields; i++) {
                int written;

                if (n->fields[i].kept)
                        continue;
                written = snprintf(out + used, size - used, "%s%s/%s", used > 0 ? ", " : "", n->fields[i].name,
                        cell_heading(noun, n->fields[i].name, true));

                if (written < 0 || (size_t)written >= size - used)
                        return;
                used += (size_t)written;
        }
}

static ExitCode take_header(Reading *r) {
        char known[512], why[640];

        for (size_t i = 0; i < r->csv.n_cells; i++) {
                const char *text, *field;
                ExitCode code;

                r->fields[i] = NULL;
                code = decode_cell(r, i, &text);
                if (code != CTL_DONE)
                        return code;
                if (!text || *text == '\0')
                        continue;
                text = csv_plain(text);
                field = cell_field(r->noun, text);
                if (!field) {
                        known_headings(r->noun, known, sizeof(known));
                        (void)snprintf(why, sizeof(why), _("there is no such column; there are %s"), known);
                        code = note_error(r, r->csv.cells[i].line, i + 1, NULL, text, why);
                } else if (column_of(r, field) > 0)
                        code = note_error(r, r->csv.cells[i].line, i + 1, NULL, text, _("stands twice"));
                r->fields[i] = field;
                if (code != CTL_DONE)
                        return code;
                r->n_columns = i + 1;
        }
        r->cells_size = 0;
        if (r->n_errors > 0)
                return CTL_DONE;
        if (r->n_columns == 0)
                return note_error(r, 1, 0, NULL, NULL, _("the first line has to be the names of the columns"));
        return begin(r);
}

static bool record_empty(const CsvReader *c) {
        for (size_t i = 0; i < c->n_cells; i++)
                if (c->cells[i].size > 0)
                        return false;
        return true;
}

/* Whether the record has cells for the columns. Excel leaves empty cells at the end of a line out at times, and adds
 * some. */
static ExitCode check_cells(Reading *r, bool *ret_good) {
        uint64_t line = r->csv.cells[0].line;
        char why[160];

        *ret_good = false;
        for (size_t i = 0; i < r->csv.n_cells; i++)
                if ((i >= r->n_columns || !r->fields[i]) && r->csv.cells[i].size > 0)
                        return note_error(r, line, i + 1, NULL, NULL, _("the column of this cell has no heading"));
        if (r->csv.n_cells < r->n_columns && !r->csv.ended) {
                (void)snprintf(why, sizeof(why), _("the file ends here, after %zu of %zu cells: it was cut off"),
                        r->csv.n_cells, r->n_columns);
                return note_error(r, line, 0, NULL, NULL, why);
        }
        *ret_good = true;
        return CTL_DONE;
}

static ExitCode take_row(Reading *r) {
        size_t start = r->json_size, cells = r->cells_size, errors = r->n_errors;
        char number[32];
        bool good;
        ExitCode code;

        code = check_cells(r, &good);
        if (code != CTL_DONE || !good)
                return code;
        (void)snprintf(
                number, sizeof(number), "%c[%llu", r->n_rows > 0 ? ',' : '[', (unsigned long long)r->csv.cells[0].line);
        put_json(r, number, strlen(number));
        for (size_t i = 0; i < r->n_columns; i++) {
                const Field *field = r->fields[i] ? cell_field_of(r->noun, r->fields[i]) : NULL;
                const char *text = "", *value, *error = NULL;
                char buffer[CELL_SIZE];

                if (i < r->csv.n_cells) {
                        code = decode_cell(r, i, &text);
                        if (code != CTL_DONE)
                                return code;
                } else
                        r->cells[r->cells_size++] = '\0';
                if (!text || !r->fields[i])
                        continue;
                value = cell_read(field, text, buffer, &error);
                put_json(r, ",", 1);
                if (value && !put_string(r, value, start)) {
                        value = NULL;
                        error = N_("is longer than anything that there is room for");
                }
                if (!value)
                        code = note_error(r, r->csv.cells[i].line, i + 1, r->fields[i], text, _(error));
                if (code != CTL_DONE)
                        return code;
                if (!value)
                        break;
        }
        if (r->n_errors > errors) { /* it is not sent */
                r->json_size = start;
                r->cells_size = cells;
                return CTL_DONE;
        }
        put_json(r, "]", 1);
        r->rows[r->n_rows++] = (BatchRow){ .line = r->csv.cells[0].line, .cells = cells };
        return r->n_rows == BATCH_ROWS || r->json_size >= BATCH_BYTES || r->cells_size >= BATCH_BYTES ? send_batch(r)
                                                                                                      : CTL_DONE;
}

static ExitCode take_record(Reading *r) {
        if (record_empty(&r->csv))
                return CTL_DONE;
        return r->n_columns == 0 ? take_header(r) : take_row(r);
}

static ExitCode note_fault(Reading *r) {
        static const char *const texts[_CSV_FAULT_MAX] = {
                [CSV_FAULT_QUOTE] = N_("a quotation mark stands inside a cell that does not begin with one"),
                [CSV_FAULT_AFTER_QUOTE] = N_("text stands behind the closing quotation mark"),
                [CSV_FAULT_UNTERMINATED] = N_("the quotation mark that begins here has no end"),
                [CSV_FAULT_CR] = N_("a line ends with CR alone; save the file as CSV (not for Macintosh)"),
                [CSV_FAULT_ZERO] = N_("this is not text in UTF-8 or CP932 (it may be UTF-16); save it as CSV"),
                [CSV_FAULT_LONG] = N_("the line is longer than a row can be; a quotation mark may be missing"),
                [CSV_FAULT_CELLS] = N_("the line has more cells than there are columns"),
        };
        _cleanup_free_ char *copy = strdup(csv_fault_text(&r->csv));
        char decoded[512];
        size_t at;

        if (!copy)
                return ctl_oom(r->ctl);
        if (strlen(copy) > 80)
                copy[80] = '\0';
        if (r->encoding == ENCODING_CP932 &&
                codec_decode(r->codec, copy, strlen(copy), decoded, sizeof(decoded), &at) == 0)
                return note_error(r, r->csv.fault_line, r->csv.fault_cell + 1, NULL, decoded, _(texts[r->csv.fault]));
        return note_error(r, r->csv.fault_line, r->csv.fault_cell + 1, NULL, copy, _(texts[r->csv.fault]));
}

/* ---- the file ---- */

static ssize_t read_some(int fd, char *buffer, size_t size) {
        ssize_t n;

        do
                n = read(fd, buffer, size);
        while (n < 0 && errno == EINTR);
        return n;
}

static ExitCode feed(Reading *r, const char *data, size_t size) {
        while (!too_many_errors(r)) {
                CsvResult result = csv_read(&r->csv, &data, &size);
                ExitCode code = CTL_DONE;

                if (result == CSV_MORE)
                        return CTL_DONE;
                if (result == CSV_BAD)
                        return note_fault(r);
                code = take_record(r);
                if (code != CTL_DONE)
                        return code;
        }
        return CTL_DONE;
}

static bool over(const Reading *r) {
        return r->csv.fault != CSV_FAULT_NONE || too_many_errors(r) || (r->n_errors > 0 && !r->begun);
}

static ExitCode read_file(Reading *r, int fd, bool regular) {
        _cleanup_free_ char *buffer = malloc(READ_SIZE);
        bool first = true;
        ExitCode code = CTL_DONE;

        if (!buffer)
                return ctl_oom(r->ctl);
        csv_init(&r->csv);
        while (code == CTL_DONE && !over(r)) {
                ssize_t n = read_some(fd, buffer, READ_SIZE);
                size_t skip = 0;

                if (n < 0)
                        return ctl_error(r->ctl, CTL_FAILED, "%s: %s", r->path, strerror(errno));
                if (first && n >= 3 && memcmp(buffer, ENCODING_BOM, 3) == 0) {
                        skip = 3;
                        r->encoding = ENCODING_UTF8;
                }
                if (first && r->encoding == ENCODING_AUTO) {
                        int e = encoding_find(fd, buffer, (size_t)n, regular, &r->encoding);

                        if (e < 0)
                                return ctl_error(r->ctl, CTL_FAILED, "%s: %s", r->path, strerror(-e));
                }
                first = false;
                if (n == 0)
                        break;
                r->taken += (uint64_t)n;
                code = feed(r, buffer + skip, (size_t)n - skip);
        }
        if (code != CTL_DONE || over(r))
                return code;
        switch (csv_finish(&r->csv)) {
        case CSV_BAD:
                return note_fault(r);
        case CSV_RECORD:
                code = take_record(r);
                break;
        default:
                break;
        }
        if (code == CTL_DONE && r->n_columns == 0 && r->n_errors == 0)
                code = note_error(r, 1, 0, NULL, NULL, _("the first line has to be the names of the columns"));
        return code == CTL_DONE ? send_batch(r) : code;
}

/* ---- the difference ---- */

static void print_fields(const Reading *r, json_object *before, json_object *after) {
        const Noun *n = &registry_nouns[r->noun];

        for (size_t i = 0; i < n->n_fields; i++) {
                json_object *a = NULL, *b = NULL;
                char old_buffer[64], new_buffer[64];
                const char *old, *new;

                (void)json_object_object_get_ex(before, n->fields[i].name, &a);
                (void)json_object_object_get_ex(after, n->fields[i].name, &b);
                old = cell_text(&n->fields[i], a, false, old_buffer);
                new = cell_text(&n->fields[i], b, false, new_buffer);
                if (strcmp(old, new) != 0)
                        (void)printf("  %s: \"%s\" → \"%s\"", n->fields[i].name, old, new);
        }
}

static void print_changes(const Reading *r, json_object *result) {
        json_object *removed = NULL;
        char key[1024];

        for (size_t i = 0; i < json_object_array_length(r->changes); i++) {
                json_object *change = json_object_array_get_idx(r->changes, i), *before = NULL, *after = NULL;

                (void)json_object_object_get_ex(change, "before", &before);
                (void)json_object_object_get_ex(change, "after", &after);
                cell_key(r->noun, after, key, sizeof(key));
                (void)printf("%c %s", before ? '~' : '+', key);
                if (before)
                        print_fields(r, before, after);
                (void)putchar('\n');
        }
        (void)json_object_object_get_ex(result, "removed_rows", &removed);
        for (size_t i = 0; removed && i < json_object_array_length(removed); i++) {
                cell_key(r->noun, json_object_array_get_idx(removed, i), key, sizeof(key));
                (void)printf("- %s\n", key);
        }
        if (removed && get_uint(result, "removed") > json_object_array_length(removed))
                (void)printf(_("- … and %llu more\n"),
                        get_uint(result, "removed") - (unsigned long long)json_object_array_length(removed));
}

static ExitCode print_result(Reading *r, json_object *result) {
        if (r->ctl->json) {
                if (json_set_boolean(result, "dry_run", r->dry_run) < 0 ||
                        (r->dry_run && json_set(result, "changes", json_object_get(r->changes)) < 0))
                        return ctl_oom(r->ctl);
                return ctl_print_json(r->ctl, result);
        }
        if (r->dry_run)
                print_changes(r, result);
        (void)printf(_("%llu added, %llu changed, %llu removed, %llu unchanged"), get_uint(result, "added"),
                get_uint(result, "changed"), get_uint(result, "removed"), get_uint(result, "unchanged"));
        (void)printf("%s\n", r->dry_run ? _(" — a dry run: nothing was written") : "");
        return CTL_DONE;
}

static void on_progress(uint64_t done, uint64_t total, void *userdata) {
        Reading *r = userdata;

        if (!progress_due(r))
                return;
        (void)fprintf(stderr, _("%llu of %llu rows written"), (unsigned long long)done, (unsigned long long)total);
        (void)fflush(stderr);
}

static ExitCode commit(Reading *r) {
        _cleanup_json_ json_object *result = NULL;
        ExitCode code;

        r->told_usec = 0; /* that writing has begun is shown at once */
        code = client_call_watched(r->ctl, &result, "ImportCommit", on_progress, r);
        progress_end(r);
        return code == CTL_DONE ? print_result(r, result) : code;
}

static ExitCode import_file(Reading *r, int fd, bool regular) {
        ExitCode code;

        code = read_file(r, fd, regular);
        if (code == CTL_DONE && r->n_errors == 0)
                return commit(r);
        if (r->begun) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                ExitCode aborted = client_call(r->ctl, &reply, "ImportAbort", NULL);

                if (code == CTL_DONE && aborted != CTL_DONE)
                        code = aborted;
        }
        return r->n_errors > 0 ? tell_errors(r) : code;
}

static void reading_done(Reading **r) {
        if (!*r)
                return;
        codec_free((*r)->codec);
        json_object_put((*r)->errors);
        json_object_put((*r)->changes);
        free((*r)->json);
        free((*r)->cells);
        free(*r);
}

static ExitCode run(Ctl *ctl, const Verb *verb, const Args *args) {
        const char *encoding = args_get(args, "encoding");
        _cleanup_(reading_done) Reading *r = calloc(1, sizeof(*r));
        _cleanup_close_ int opened = -EBADF;
        struct stat st;
        int fd;

        if (!r)
                return ctl_oom(ctl);
        r->ctl = ctl;
        r->path = args->positional[1];
        r->noun = noun_from_string(args->positional[0]);
        r->replace = args_has(args, "replace");
        r->dry_run = args_has(args, "dry-run");
        r->encoding = encoding ? encoding_from_string(encoding) : ENCODING_AUTO;
        r->progress = !ctl->json && isatty(STDERR_FILENO) > 0;
        r->errors = json_object_new_array();
        r->changes = json_object_new_array();
        r->json = malloc(BATCH_ROOM);
        r->cells = malloc(CELLS_ROOM + CSV_RECORD_MAX * 3u);
        if (!r->errors || !r->changes || !r->json || !r->cells)
                return ctl_oom(ctl);
        if (!cell_noun(r->noun))
                return ctl_error(ctl, CTL_USAGE, _("\"%s\" is not user, member, terminal, scope or designation"),
                        args->positional[0]);
        if (r->encoding == _ENCODING_INVALID || r->encoding == ENCODING_UTF8_BOM)
                return ctl_error(ctl, CTL_USAGE, _("--encoding is utf-8, cp932 or auto"));
        if (codec_new(&r->codec) < 0)
                return ctl_error(ctl, CTL_FAILED, "%s", _("this system cannot convert CP932"));

        if (strcmp(r->path, "-") == 0)
                fd = STDIN_FILENO;
        else {
                fd = opened = open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
                if (fd < 0)
                        return ctl_error(ctl, CTL_FAILED, "%s: %s", r->path, strerror(errno));
        }
        if (fstat(fd, &st) < 0)
                return ctl_error(ctl, CTL_FAILED, "%s: %s", r->path, strerror(errno));
        if (S_ISREG(st.st_mode))
                r->size = (uint64_t)st.st_size;
        return import_file(r, fd, S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) == 0);
}

static const OptionSpec options[] = {
        { "encoding", N_("ENCODING"), N_("utf-8, cp932 (Excel's Shift_JIS) or auto") },
        { "dry-run", NULL, N_("only show what would be added, changed and removed") },
        { "replace", NULL, N_("remove rows that are not in the file") },
        {},
};

const Verb import_verbs[] = {
        { "import", NULL, N_("NOUN FILE"), N_("take rows from a CSV file, all of them or none"), 2, 2, options, run,
                _NOUN_INVALID },
        {},
};
