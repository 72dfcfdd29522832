/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/csv.h"

#include <string.h>

enum {
        STATE_CELL,   /* at the beginning of a cell */
        STATE_PLAIN,  /* in a cell without quotation marks */
        STATE_QUOTED, /* behind an opening one */
        STATE_QUOTE,  /* behind one in a quoted cell: its end, or the first of two */
        STATE_CR,     /* behind a CR that has to be followed by LF */
};

void csv_init(CsvReader *c) {
        c->n_cells = c->size = 0;
        c->ended = c->returned = false;
        c->fault = CSV_FAULT_NONE;
        c->fault_line = 0;
        c->fault_cell = 0;
        c->line = 1;
        c->state = STATE_CELL;
}

static CsvResult bad(CsvReader *c, CsvFault fault) {
        c->fault = fault;
        c->fault_line = c->line;
        c->fault_cell = c->n_cells > 0 ? c->n_cells - 1 : 0;
        return CSV_BAD;
}

/* Begins a cell. */
static bool cell_begin(CsvReader *c) {
        if (c->n_cells == CSV_CELLS_MAX)
                return false;
        c->cells[c->n_cells++] = (CsvCell){ .at = c->size, .line = c->line };
        return true;
}

static void cell_end(CsvReader *c) {
        CsvCell *cell = &c->cells[c->n_cells - 1];

        cell->size = c->size - cell->at;
        c->text[c->size++] = '\0'; /* there is room for one for each cell */
}

static bool put(CsvReader *c, char byte) {
        if (c->size - (c->n_cells - 1) >= CSV_RECORD_MAX)
                return false;
        c->text[c->size++] = byte;
        return true;
}

static CsvResult record(CsvReader *c, bool ended) {
        c->ended = ended;
        c->returned = true;
        c->state = STATE_CELL;
        return CSV_RECORD;
}

/* One byte. CSV_MORE: go on. */
static CsvResult take(CsvReader *c, char byte) {
        if (byte == '\0')
                return bad(c, CSV_FAULT_ZERO);

        switch (c->state) {
        case STATE_CR:
                if (byte != '\n')
                        return bad(c, CSV_FAULT_CR);
                c->line++;
                return record(c, true);
        case STATE_CELL:
                if (!cell_begin(c))
                        return bad(c, CSV_FAULT_CELLS);
                if (byte == '"') {
                        c->state = STATE_QUOTED;
                        return CSV_MORE;
                }
                c->state = STATE_PLAIN;
                break;
        case STATE_QUOTED:
                if (byte == '"') {
                        c->state = STATE_QUOTE;
                        return CSV_MORE;
                }
                c->line += byte == '\n';
                return put(c, byte) ? CSV_MORE : bad(c, CSV_FAULT_LONG);
        case STATE_QUOTE:
                if (byte == '"') {
                        c->state = STATE_QUOTED;
                        return put(c, byte) ? CSV_MORE : bad(c, CSV_FAULT_LONG);
                }
                if (byte != ',' && byte != '\r' && byte != '\n')
                        return bad(c, CSV_FAULT_AFTER_QUOTE);
                break;
        default:
                break;
        }

        switch (byte) {
        case ',':
                cell_end(c);
                c->state = STATE_CELL;
                return CSV_MORE;
        case '\r':
                cell_end(c);
                c->state = STATE_CR;
                return CSV_MORE;
        case '\n':
                cell_end(c);
                c->line++;
                return record(c, true);
        case '"':
                return bad(c, CSV_FAULT_QUOTE);
        default:
                return put(c, byte) ? CSV_MORE : bad(c, CSV_FAULT_LONG);
        }
}

static void next(CsvReader *c) {
        if (!c->returned)
                return;
        c->returned = false;
        c->n_cells = c->size = 0;
}

CsvResult csv_read(CsvReader *c, const char **data, size_t *size) {
        CsvResult r = c->fault == CSV_FAULT_NONE ? CSV_MORE : CSV_BAD;

        if (r == CSV_MORE)
                next(c);
        while (r == CSV_MORE && *size > 0) {
                r = take(c, **data);
                (*data)++;
                (*size)--;
        }
        return r;
}

CsvResult csv_finish(CsvReader *c) {
        if (c->fault != CSV_FAULT_NONE)
                return CSV_BAD;
        next(c);
        switch (c->state) {
        case STATE_QUOTED:
                c->line = c->cells[c->n_cells - 1].line; /* where it began tells more than where the input ends */
                return bad(c, CSV_FAULT_UNTERMINATED);
        case STATE_CR:
                return bad(c, CSV_FAULT_CR);
        case STATE_CELL:
                if (c->n_cells == 0)
                        return CSV_END;
                if (!cell_begin(c)) /* the input ends behind a comma */
                        return bad(c, CSV_FAULT_CELLS);
                break;
        default:
                break;
        }
        cell_end(c);
        return record(c, false);
}

const char *csv_fault_text(CsvReader *c) {
        if (c->n_cells == 0)
                return "";
        c->text[c->size < sizeof(c->text) ? c->size : sizeof(c->text) - 1] = '\0';
        return c->text + c->cells[c->n_cells - 1].at;
}

bool csv_is_formula(const char *text) {
        static const char *const signs[] = { "=", "+", "-", "@", "\t", "\r", "\xef\xbc\x9d", "\xef\xbc\x8b",
                "\xef\xbc\x8d", "\xef\xbc\xa0" };

        for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
                if (strncmp(text, signs[i], strlen(signs[i])) == 0)
                        return true;
        return false;
}

const char *csv_plain(const char *text) {
        size_t n = strspn(text, "'");

        return n > 0 && csv_is_formula(text + n) ? text + 1 : text;
}

size_t csv_write(const char *text, char *out) {
        bool inert = csv_is_formula(text + strspn(text, "'"));
        bool quoted = strpbrk(text, ",\"\r\n") != NULL;
        char *p = out;

        if (quoted)
                *p++ = '"';
        if (inert)
                *p++ = '\'';
        for (; *text; text++) {
                if (*text == '"')
                        *p++ = '"';
                *p++ = *text;
        }
        if (quoted)
                *p++ = '"';
        *p = '\0';
        return (size_t)(p - out);
}
