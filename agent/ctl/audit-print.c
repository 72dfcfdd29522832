/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ctl/audit.h"
#include "ctl/moment.h"
#include "ctl/table.h"
#include "util/json.h"

/* The audit report for people: as text, and as an HTML page that needs nothing but itself and prints well. */

static const char *state_text(const char *state) {
        static const struct {
                const char *state, *text;
        } texts[] = {
                { "yes", N_("in force") },
                { "partly", N_("PARTLY") },
                { "no", N_("NOT IN FORCE") },
                { "absent", N_("not in this version") },
                { "held", N_("closed") },
                { "missing", N_("OPEN") },
                { "unknown", N_("unknown") },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (state && strcmp(state, texts[i].state) == 0)
                        return _(texts[i].text);
        return state ? state : "";
}

static json_object *array_of(json_object *o, const char *name) {
        json_object *array;

        return json_object_object_get_ex(o, name, &array) && json_object_is_type(array, json_type_array) ? array : NULL;
}

static void time_of(json_object *o, const char *name, char ret[static MOMENT_TEXT_MAX]) {
        json_object *value;

        moment_format(json_object_object_get_ex(o, name, &value) ? json_object_get_uint64(value) : 0, ret);
}

static const char *terminal_name(json_object *report) {
        json_object *status, *terminal;
        const char *name = NULL;

        if (json_object_object_get_ex(report, "status", &status) &&
                json_object_object_get_ex(status, "terminal", &terminal) && terminal)
                name = json_string(terminal, "name");
        return name ? name : "?";
}

/* ---- text ---- */

static void text_line(FILE *f, const char *before, const char *text) {
        _cleanup_free_ char *safe = text_safe(text ? text : "");

        (void)fprintf(f, "%s%s\n", before, safe ? safe : "");
}

static void text_lines(FILE *f, const char *before, json_object *array) {
        for (size_t i = 0; array && i < json_object_array_length(array); i++)
                text_line(f, before, json_object_get_string(json_object_array_get_idx(array, i)));
}

int audit_print_text(json_object *report, FILE *f) {
        json_object *rows = array_of(report, "rows"), *preconditions_found = array_of(report, "preconditions");
        _cleanup_free_ char *terminal = text_safe(terminal_name(report));
        char when[MOMENT_TEXT_MAX];

        time_of(report, "time_usec", when);
        (void)fprintf(f, _("Audit of the terminal %s, %s, keishi %s\n\n"), terminal ? terminal : "?", when,
                json_string(report, "version"));
        for (size_t i = 0; rows && i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);

                (void)fprintf(f, "%-4s[%s] %s\n", json_string(row, "row"), state_text(json_string(row, "state")),
                        json_string(row, "title"));
                time_of(row, "since_usec", when);
                if (*when)
                        (void)fprintf(f, "      %s %s\n", _("since"), when);
                text_lines(f, "      + ", array_of(row, "evidence"));
                text_lines(f, "      - ", array_of(row, "lacking"));
        }
        (void)fprintf(f, "\n%s\n", _("What keishi rests on, and cannot close by itself:"));
        for (size_t i = 0; preconditions_found && i < json_object_array_length(preconditions_found); i++) {
                json_object *p = json_object_array_get_idx(preconditions_found, i);

                (void)fprintf(f, "  [%s] %s\n", state_text(json_string(p, "state")), json_string(p, "title"));
                if (json_string(p, "detail"))
                        text_line(f, "      ", json_string(p, "detail"));
                if (json_string(p, "closing"))
                        (void)fprintf(f, "      %s %s\n", _("to close it:"), json_string(p, "closing"));
        }
        (void)fprintf(f, "\n%s\n",
                json_boolean(report, "all_in_force") ? _("All that this version covers is in force.")
                                                     : _("Not everything that this version covers is in force."));
        return ferror(f) ? -EIO : 0;
}

/* ---- HTML ---- */

static const char style[] =
        "body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#111;background:#fff}"
        "table{border-collapse:collapse;width:100%}th,td{border:1px solid #777;padding:.3em .5em;vertical-align:top;"
        "text-align:left}th{background:#eee}ul{margin:.2em 0;padding-left:1.2em}.yes,.held{background:#dfd}"
        ".partly,.unknown{background:#ffd}.no,.missing{background:#fdd}.absent{color:#555}"
        "@media "
        "print{body{margin:0;max-width:none;font-size:9pt}tr{break-inside:avoid}thead{display:table-header-group}"
        "th,.yes,.held,.partly,.unknown,.no,.missing{background:none}}";

static void escape(FILE *f, const char *text) {
        _cleanup_free_ char *safe = text_safe(text ? text : "");

        for (const char *p = safe; p && *p; p++)
                switch (*p) {
                case '&':
                        (void)fputs("&amp;", f);
                        break;
                case '<':
                        (void)fputs("&lt;", f);
                        break;
                case '>':
                        (void)fputs("&gt;", f);
                        break;
                case '"':
                        (void)fputs("&quot;", f);
                        break;
                case '\'':
                        (void)fputs("&#39;", f);
                        break;
                default:
                        (void)fputc(*p, f);
                }
}

static void element(FILE *f, const char *open, const char *text, const char *close_tag) {
        (void)fputs(open, f);
        escape(f, text);
        (void)fputs(close_tag, f);
}

static void html_list(FILE *f, json_object *array) {
        (void)fputs("<td>", f);
        if (array && json_object_array_length(array) > 0) {
                (void)fputs("<ul>", f);
                for (size_t i = 0; i < json_object_array_length(array); i++)
                        element(f, "<li>", json_object_get_string(json_object_array_get_idx(array, i)), "</li>");
                (void)fputs("</ul>", f);
        }
        (void)fputs("</td>", f);
}

static void html_state(FILE *f, json_object *o) {
        element(f, "<td class=\"", json_string(o, "state"), "\">");
        escape(f, state_text(json_string(o, "state")));
        (void)fputs("</td>", f);
}

static void html_heading(FILE *f, const char *const *headings) {
        (void)fputs("<table><thead><tr>", f);
        for (; *headings; headings++)
                element(f, "<th>", *headings, "</th>");
        (void)fputs("</tr></thead><tbody>\n", f);
}

static void html_rows(FILE *f, json_object *rows) {
        html_heading(f,
                (const char *const[]){ "", _("rule"), _("in force?"), _("since"), _("evidence"), _("lacking"), NULL });
        for (size_t i = 0; rows && i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);
                char when[MOMENT_TEXT_MAX];

                time_of(row, "since_usec", when);
                element(f, "<tr><td>", json_string(row, "row"), "</td>");
                element(f, "<td>", json_string(row, "title"), "</td>");
                html_state(f, row);
                element(f, "<td>", when, "</td>");
                html_list(f, array_of(row, "evidence"));
                html_list(f, array_of(row, "lacking"));
                (void)fputs("</tr>\n", f);
        }
        (void)fputs("</tbody></table>\n", f);
}

static void html_preconditions(FILE *f, json_object *array) {
        element(f, "<h2>", _("What keishi rests on, and cannot close by itself:"), "</h2>\n");
        html_heading(f, (const char *const[]){ _("precondition"), _("closed?"), _("seen"), _("to close it:"), NULL });
        for (size_t i = 0; array && i < json_object_array_length(array); i++) {
                json_object *p = json_object_array_get_idx(array, i);

                element(f, "<tr><td>", json_string(p, "title"), "</td>");
                html_state(f, p);
                element(f, "<td>", json_string(p, "detail"), "</td>");
                element(f, "<td>", json_string(p, "closing"), "</td></tr>\n");
        }
        (void)fputs("</tbody></table>\n", f);
}

int audit_print_html(json_object *report, FILE *f) {
        char when[MOMENT_TEXT_MAX];

        time_of(report, "time_usec", when);
        /* translators: the language of the HTML page, RFC 5646 */
        element(f, "<!DOCTYPE html>\n<html lang=\"", _("en"), "\"><head><meta charset=\"utf-8\"><title>");
        escape(f, _("Audit"));
        element(f, " ", terminal_name(report), "</title><style>");
        (void)fputs(style, f);
        element(f, "</style></head><body>\n<h1>", _("Audit"), " ");
        element(f, "", terminal_name(report), "</h1>\n");
        element(f, "<p>", when, ", keishi ");
        element(f, "", json_string(report, "version"), "</p>\n");
        element(f, "<p><strong>",
                json_boolean(report, "all_in_force") ? _("All that this version covers is in force.")
                                                     : _("Not everything that this version covers is in force."),
                "</strong></p>\n");
        html_rows(f, array_of(report, "rows"));
        html_preconditions(f, array_of(report, "preconditions"));
        (void)fputs("</body></html>\n", f);
        return ferror(f) ? -EIO : 0;
}
