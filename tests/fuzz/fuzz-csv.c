/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "fuzz.h"
#include "util/csv.h"

/* CSV. Whatever the bytes, and however they are cut into pieces, the same records come out; a record is bounded; what
 * csv_write() makes of its cells is read back as them, and no cell that was written is a formula. */

#define HASH_START UINT64_C(1469598103934665603)

static uint64_t hash(uint64_t h, const void *data, size_t size) {
        for (size_t i = 0; i < size; i++)
                h = (h ^ ((const unsigned char *)data)[i]) * UINT64_C(1099511628211);
        return h;
}

static void write_and_read_back(const CsvReader *c) {
        static char line[2 * (CSV_RECORD_MAX + CSV_CELLS_MAX) + 5 * CSV_CELLS_MAX];
        static CsvReader again;
        const char *data = line;
        size_t size = 0;

        for (size_t i = 0; i < c->n_cells; i++) {
                size += csv_write(csv_cell(c, i), line + size);
                line[size++] = i + 1 < c->n_cells ? ',' : '\n';
                require(size < sizeof(line));
        }
        csv_init(&again);
        if (csv_read(&again, &data, &size) != CSV_RECORD) {
                require(again.fault == CSV_FAULT_LONG); /* an apostrophe for each formula made it longer */
                return;
        }
        require(size == 0 && again.n_cells == c->n_cells);
        for (size_t i = 0; i < c->n_cells; i++) {
                require(!csv_is_formula(csv_cell(&again, i)));
                require(strcmp(csv_plain(csv_cell(&again, i)), csv_cell(c, i)) == 0);
        }
}

/* Reads it all in pieces of at most `piece` bytes; returns what tells the result. */
static uint64_t read_all(CsvReader *c, const char *data, size_t size, size_t piece, bool deep) {
        uint64_t h = HASH_START;
        CsvResult r = CSV_MORE;

        csv_init(c);
        while (r != CSV_BAD) {
                const char *at = data;
                size_t n = size < piece ? size : piece, left = n;

                r = n > 0 ? csv_read(c, &at, &left) : csv_finish(c);
                require(r != CSV_MORE || left == 0);
                data += n - left;
                size -= n - left;
                if (r == CSV_END)
                        break;
                if (r != CSV_RECORD)
                        continue;
                require(c->n_cells > 0 && c->n_cells <= CSV_CELLS_MAX);
                h = hash(h, &c->n_cells, sizeof(c->n_cells));
                for (size_t i = 0; i < c->n_cells; i++) {
                        require(strlen(csv_cell(c, i)) == c->cells[i].size && c->cells[i].size <= CSV_RECORD_MAX);
                        require(c->cells[i].line >= 1 && c->cells[i].line <= c->line);
                        h = hash(h, csv_cell(c, i), c->cells[i].size + 1);
                }
                if (deep)
                        write_and_read_back(c);
        }
        if (r == CSV_BAD) {
                require(c->fault > CSV_FAULT_NONE && c->fault < _CSV_FAULT_MAX && c->fault_line >= 1);
                require(strlen(csv_fault_text(c)) <= CSV_RECORD_MAX && csv_finish(c) == CSV_BAD);
                h = hash(h, &c->fault, sizeof(c->fault));
                h = hash(h, &c->fault_line, sizeof(c->fault_line));
        }
        return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static CsvReader c;
        uint64_t whole = read_all(&c, (const char *)data, size, SIZE_MAX, true);

        require(read_all(&c, (const char *)data, size, 1, false) == whole);
        require(read_all(&c, (const char *)data, size, 7, false) == whole);
        return 0;
}
