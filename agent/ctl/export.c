/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/cell.h"
#include "ctl/ctl.h"
#include "ctl/encoding.h"
#include "ctl/table.h"
#include "util/csv.h"
#include "util/json.h"

/* keishictl export: all rows of a noun as CSV, as Excel reads it. A file appears under its name only when it is
 * complete. */

#define PAGE_ROWS  500u
#define ERRORS_MAX 20u
#define LINE_ROOM  (2u * CELL_SIZE + 8u)

typedef struct Export {
        Ctl *ctl;
        NounId noun;
        Encoding encoding;
        bool japanese, ids, private;
        Codec *codec;
        FILE *file;
        uint64_t rows;
        unsigned errors;
} Export;

/* Writes a cell and what follows it. */
static ExitCode put_cell(Export *e, const char *text, const char *key, const char *heading, bool last) {
        char line[LINE_ROOM], encoded[LINE_ROOM];
        const char *out = line;
        size_t at = 0;

        if (strlen(text) >= CELL_SIZE)
                return ctl_error(e->ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
        (void)csv_write(text, line);
        if (e->encoding == ENCODING_CP932 && text_beyond_ascii(line, strlen(line))) {
                if (codec_encode(e->codec, line, encoded, sizeof(encoded), &at) < 0) {
                        _cleanup_free_ char *shown = text_safe(line + at), *safe_key = text_safe(key);

                        if (!shown || !safe_key)
                                return ctl_oom(e->ctl);
                        if (++e->errors <= ERRORS_MAX)
                                (void)ctl_error(e->ctl, CTL_INVALID, _("%s, %s: CP932 has no character for \"%s\""),
                                        safe_key, heading, shown);
                        return CTL_DONE;
                }
                out = encoded;
        }
        if (fputs(out, e->file) < 0 || fputs(last ? "\r\n" : ",", e->file) < 0)
                return ctl_error(e->ctl, CTL_FAILED, "%s", strerror(errno));
        return CTL_DONE;
}

/* Fields that are written; those that keishi keeps itself are not for a file to change, and private ones are written
 * only when that is asked for. */
static size_t columns_of(const Export *e, const Field **ret) {
        const Noun *noun = &registry_nouns[e->noun];
        size_t n = 0;

        for (size_t i = 0; i < noun->n_fields; i++)
                if (!noun->fields[i].kept && (e->private || !noun->fields[i].private))
                        ret[n++] = &noun->fields[i];
        if (e->ids)
                ret[n++] = NULL;
        return n;
}

static ExitCode put_row(Export *e, json_object *row) {
        const Field *columns[NOUN_FIELDS_MAX + 1];
        size_t n = columns_of(e, columns);
        char key[1024];

        if (row)
                cell_key(e->noun, row, key, sizeof(key));
        for (size_t i = 0; i < n; i++) {
                const Field *f = columns[i];
                const char *name = f ? f->name : "uuid", *heading = cell_heading(e->noun, name, e->japanese), *text;
                json_object *value = NULL;
                char buffer[64];
                ExitCode code;

                if (row)
                        (void)json_object_object_get_ex(row, name, &value);
                if (row && f && f->private && value && strcmp(json_object_get_string(value), PRIVATE_SET) == 0)
                        return ctl_error(e->ctl, CTL_REFUSED, _("only the system manager exports private fields"));
                text = row ? cell_text(f, value, e->japanese, buffer) : heading;
                code = put_cell(e, text, row ? key : "", heading, i + 1 == n);
                if (code != CTL_DONE)
                        return code;
        }
        return CTL_DONE;
}

static ExitCode put_rows(Export *e) {
        uint64_t after = 0, last;
        bool end = false;

        while (!end) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                _cleanup_json_ json_object *rows = NULL;
                const char *text;
                ExitCode code;

                code = client_call(e->ctl, &reply, "Export", "stu", noun_to_string(e->noun), after, PAGE_ROWS);
                if (code != CTL_DONE)
                        return code;
                if (sd_bus_message_read(reply, "st", &text, &last) < 0 || !(rows = json_tokener_parse(text)) ||
                        !json_object_is_type(rows, json_type_array))
                        return ctl_error(e->ctl, CTL_FAILED, "%s", _("keishid's answer cannot be read"));
                for (size_t i = 0; i < json_object_array_length(rows); i++) {
                        code = put_row(e, json_object_array_get_idx(rows, i));
                        if (code != CTL_DONE)
                                return code;
                        e->rows++;
                }
                end = last == after;
                after = last;
        }
        return CTL_DONE;
}

static ExitCode put_all(Export *e) {
        ExitCode code;

        if (e->encoding == ENCODING_UTF8_BOM && fputs(ENCODING_BOM, e->file) < 0)
                return ctl_error(e->ctl, CTL_FAILED, "%s", strerror(errno));
        code = put_row(e, NULL);
        if (code == CTL_DONE)
                code = put_rows(e);
        if (code == CTL_DONE && e->errors > 0)
                code = ctl_error(e->ctl, CTL_INVALID,
                        _("%u cells cannot be written in CP932; write UTF-8, which Excel reads too"), e->errors);
        if (code == CTL_DONE && fflush(e->file) != 0)
                code = ctl_error(e->ctl, CTL_FAILED, "%s", strerror(errno));
        return code;
}

/* To a file beside the one that is wanted, and then to its name: nobody finds half of it there. It has what only who
 * exports may see, so nobody else may read it. */
static ExitCode to_file(Export *e, const char *path) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;
        ExitCode code;

        if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
                temporary = NULL;
                return ctl_oom(e->ctl);
        }
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return ctl_error(e->ctl, CTL_FAILED, "%s: %s", path, strerror(errno));
        e->file = fdopen(fd, "w");
        if (!e->file) {
                (void)unlink(temporary);
                return ctl_oom(e->ctl);
        }
        TAKE_FD(fd);
        code = put_all(e);
        if (code == CTL_DONE && fsync(fileno(e->file)) < 0)
                code = ctl_error(e->ctl, CTL_FAILED, "%s: %s", path, strerror(errno));
        if (fclose(e->file) != 0 && code == CTL_DONE)
                code = ctl_error(e->ctl, CTL_FAILED, "%s: %s", path, strerror(errno));
        if (code == CTL_DONE && rename(temporary, path) < 0)
                code = ctl_error(e->ctl, CTL_FAILED, "%s: %s", path, strerror(errno));
        if (code != CTL_DONE)
                (void)unlink(temporary);
        return code;
}

static ExitCode run(Ctl *ctl, const Verb *verb, const Args *args) {
        const char *encoding = args_get(args, "encoding"), *lang = args_get(args, "lang"),
                   *locale = setlocale(LC_MESSAGES, NULL), *path = args->n_positional > 1 ? args->positional[1] : "-";
        _cleanup_(codec_free_p) Codec *codec = NULL;
        Export e = {
                .ctl = ctl,
                .noun = noun_from_string(args->positional[0]),
                .encoding = encoding ? encoding_from_string(encoding) : ENCODING_UTF8_BOM,
                .japanese = lang ? strcmp(lang, "ja") == 0 : locale && strncmp(locale, "ja", 2) == 0,
                .ids = args_has(args, "ids"),
                .private = args_has(args, "private"),
                .file = stdout,
        };
        ExitCode code;

        if (!cell_noun(e.noun))
                return ctl_error(ctl, CTL_USAGE, _("\"%s\" is not user, member, terminal, scope or designation"),
                        args->positional[0]);
        if (e.encoding == _ENCODING_INVALID || e.encoding == ENCODING_AUTO)
                return ctl_error(ctl, CTL_USAGE, _("--encoding is utf-8, utf-8-bom or cp932"));
        if (lang && strcmp(lang, "ja") != 0 && strcmp(lang, "en") != 0)
                return ctl_error(ctl, CTL_USAGE, _("--lang is ja or en"));
        if (e.encoding == ENCODING_CP932) {
                if (codec_new(&codec) < 0)
                        return ctl_error(ctl, CTL_FAILED, "%s", _("this system cannot convert CP932"));
                e.codec = codec;
        }
        if (strcmp(path, "-") == 0)
                return put_all(&e);
        code = to_file(&e, path);
        if (code != CTL_DONE)
                return code;
        if (ctl->json)
                (void)printf("{\"rows\":%llu}\n", (unsigned long long)e.rows);
        else
                (void)printf(_("%llu rows written\n"), (unsigned long long)e.rows);
        return CTL_DONE;
}

static const OptionSpec options[] = {
        { "encoding", N_("ENCODING"), N_("utf-8-bom (which Excel knows), utf-8 or cp932") },
        { "lang", N_("LANG"), N_("headings in ja or en; else as the locale says") },
        { "private", NULL, N_("birth dates too (the system manager)") },
        { "ids", NULL, N_("a column with the ID of each row") },
        {},
};

const Verb export_verbs[] = {
        { "export", NULL, N_("NOUN [FILE]"), N_("write the rows of a kind to a CSV file"), 1, 2, options, run,
                _NOUN_INVALID },
        {},
};
