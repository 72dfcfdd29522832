/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CSV, taken apart strictly: RFC 4180, as Excel writes it. Cells are separated by commas and records by CRLF (LF alone
 * is taken too); a cell that begins with a quotation mark ends with one, has "" for each inside, and may have commas
 * and line ends in it. What Excel does not write is an error: a quotation mark inside a cell that does not begin with
 * one, text behind a closing one, a CR alone, a zero byte. Nothing here allocates or reads: bytes are handed in, in
 * pieces of any size, and records come out; a record is bounded, so that no input makes this grow. Bytes of UTF-8 and
 * of CP932 are taken alike: no byte of a character of theirs is one that CSV gives a meaning. */

#define CSV_RECORD_MAX (64u * 1024u) /* bytes of the cells of a record */
#define CSV_CELLS_MAX  64u

typedef enum CsvFault {
        CSV_FAULT_NONE,
        CSV_FAULT_QUOTE,        /* a quotation mark inside a cell that does not begin with one */
        CSV_FAULT_AFTER_QUOTE,  /* text behind the closing quotation mark */
        CSV_FAULT_UNTERMINATED, /* the input ends inside a quoted cell */
        CSV_FAULT_CR,           /* a CR without LF outside quotation marks */
        CSV_FAULT_ZERO,         /* a zero byte: UTF-16, or no text */
        CSV_FAULT_LONG,         /* more than CSV_RECORD_MAX */
        CSV_FAULT_CELLS,        /* more than CSV_CELLS_MAX */
        _CSV_FAULT_MAX,
} CsvFault;

typedef enum CsvResult {
        CSV_MORE,   /* everything is taken, and no record complete */
        CSV_RECORD, /* cells[0..n_cells-1] */
        CSV_END,    /* csv_finish(): nothing is left */
        CSV_BAD,    /* fault, fault_line, fault_cell; from then on always */
} CsvResult;

typedef struct CsvCell {
        uint32_t at, size; /* in the reader's text, NUL-terminated there */
        uint64_t line;     /* on which it begins, from 1 */
} CsvCell;

typedef struct CsvReader {
        /* the record that was returned; until the next call */
        CsvCell cells[CSV_CELLS_MAX];
        size_t n_cells;
        bool ended; /* by a line end, not by the end of the input */

        CsvFault fault;
        uint64_t fault_line;
        size_t fault_cell; /* from 0; what it has so far is csv_fault_text() */

        uint64_t line;
        int state;
        bool returned;
        uint32_t size;
        char text[CSV_RECORD_MAX + CSV_CELLS_MAX];
} CsvReader;

void csv_init(CsvReader *c);
/* Takes bytes from *data until a record is complete; moves both on. */
CsvResult csv_read(CsvReader *c, const char **data, size_t *size);
/* There are no more bytes. */
CsvResult csv_finish(CsvReader *c);
static inline const char *csv_cell(const CsvReader *c, size_t i) {
        return c->text + c->cells[i].at;
}
/* The beginning of the cell in which the fault is. */
const char *csv_fault_text(CsvReader *c);

/* A spreadsheet takes a cell that begins with = + - @ TAB CR (or with a full-width ＝ ＋ － ＠, in Japanese) for a
 * formula, and runs it. Such a text is written with an apostrophe before it, which makes it text there; so is one that
 * has apostrophes and then one of these, so that taking one apostrophe away always gives what was there. */
bool csv_is_formula(const char *text);
/* The text that csv_write() was given: without the apostrophe, when that stands before what would be a formula. */
const char *csv_plain(const char *text);
/* Writes a cell, inert and in quotation marks where it needs them, at most 2 × strlen(text) + 4 bytes with the NUL.
 * Returns its length. */
size_t csv_write(const char *text, char *out);
