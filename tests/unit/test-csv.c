/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/csv.h"

static CsvReader reader;

/* Everything that comes out of `text`, handed in in pieces of `piece` bytes: cells in [], records in {}; ! and the
 * fault with line and cell at the end. */
static void read_as(const char *text, size_t size, size_t piece, char *out) {
        CsvResult r = CSV_MORE;
        const char *data = text;

        csv_init(&reader);
        *out = '\0';
        do {
                size_t n = size < piece ? size : piece, left = n;

                r = n > 0 ? csv_read(&reader, &data, &left) : csv_finish(&reader);
                size -= n - left;
                if (r == CSV_RECORD) {
                        out += sprintf(out, "{");
                        for (size_t i = 0; i < reader.n_cells; i++)
                                out += sprintf(out, "[%s]", csv_cell(&reader, i));
                        out += sprintf(out, "}%s", reader.ended ? "" : "~");
                }
        } while (r != CSV_BAD && r != CSV_END);
        if (r == CSV_BAD)
                sprintf(out, "!%d line %llu cell %zu \"%s\"", (int)reader.fault, (unsigned long long)reader.fault_line,
                        reader.fault_cell, csv_fault_text(&reader));
}

static void expect(const char *text, const char *wanted) {
        for (size_t piece = 1; piece < 20; piece += 3) {
                char out[512];

                read_as(text, strlen(text), piece, out);
                assert_string_equal(out, wanted);
        }
}

static void test_what_excel_writes_is_read(void **state) {
        expect("a,b\r\n1,2\r\n", "{[a][b]}{[1][2]}");
        expect("\"a,b\",\"c\"\"d\"\r\n\"x\r\ny\",\"\"\r\n", "{[a,b][c\"d]}{[x\r\ny][]}");
        expect("a,b,\r\n,,\r\n", "{[a][b][]}{[][][]}");
        expect("\r\n\r\n", "{[]}{[]}");
        expect("", "");
        expect("氏名,所属\r\n髙﨑,会計課\r\n", "{[氏名][所属]}{[髙﨑][会計課]}");
}

static void test_lf_alone_and_a_missing_last_line_end_are_taken_and_told(void **state) {
        expect("a,b\n1,2\n", "{[a][b]}{[1][2]}");
        expect("a,b\n1,2", "{[a][b]}{[1][2]}~");
        expect("a,", "{[a][]}~");
        expect("\"a\"", "{[a]}~");
}

static void test_what_excel_does_not_write_is_refused_with_its_place(void **state) {
        expect("a\r\n1,b\"c\r\n", "{[a]}!1 line 2 cell 1 \"b\"");
        expect("a\r\n\"b\"c\r\n", "{[a]}!2 line 2 cell 0 \"b\"");
        expect("a\r\n1,\"b\r\nc\r\n", "{[a]}!3 line 2 cell 1 \"b\r\nc\r\n\"");
        expect("a\rb", "!4 line 1 cell 0 \"a\"");
        expect("a\r", "!4 line 1 cell 0 \"a\"");
}

static void test_a_zero_byte_is_refused(void **state) {
        char out[128];

        read_as("a\0b", 3, 3, out);
        assert_string_equal(out, "!5 line 1 cell 0 \"a\"");
}

static void test_lines_are_those_of_the_file_and_not_of_the_records(void **state) {
        const char text[] = "a\r\n\"x\r\ny\",b\r\nc,d\"\r\n", *data = text;
        size_t size = strlen(text);

        csv_init(&reader);
        assert_int_equal(csv_read(&reader, &data, &size), CSV_RECORD);
        assert_int_equal(csv_read(&reader, &data, &size), CSV_RECORD);
        assert_int_equal(reader.cells[0].line, 2);
        assert_int_equal(reader.cells[1].line, 3);
        assert_int_equal(csv_read(&reader, &data, &size), CSV_BAD);
        assert_int_equal(reader.fault_line, 4);
        assert_int_equal(csv_read(&reader, &data, &size), CSV_BAD);
}

static void test_a_record_is_bounded(void **state) {
        _cleanup_free_ char *text = malloc(CSV_RECORD_MAX + 16);
        const char *data = text;
        size_t size;

        memset(text, 'a', CSV_RECORD_MAX + 1);
        text[CSV_RECORD_MAX] = '\n';
        size = CSV_RECORD_MAX + 1;
        csv_init(&reader);
        assert_int_equal(csv_read(&reader, &data, &size), CSV_RECORD);
        text[CSV_RECORD_MAX] = 'a';
        data = text;
        size = CSV_RECORD_MAX + 1;
        csv_init(&reader);
        assert_int_equal(csv_read(&reader, &data, &size), CSV_BAD);
        assert_int_equal(reader.fault, CSV_FAULT_LONG);

        memset(text, ',', CSV_CELLS_MAX);
        text[CSV_CELLS_MAX - 1] = '\n';
        data = text;
        size = CSV_CELLS_MAX;
        csv_init(&reader);
        assert_int_equal(csv_read(&reader, &data, &size), CSV_RECORD);
        assert_int_equal(reader.n_cells, CSV_CELLS_MAX);
        text[CSV_CELLS_MAX - 1] = ',';
        data = text;
        size = CSV_CELLS_MAX;
        csv_init(&reader);
        assert_int_equal(csv_read(&reader, &data, &size), CSV_MORE);
        assert_int_equal(csv_finish(&reader), CSV_BAD);
        assert_int_equal(reader.fault, CSV_FAULT_CELLS);
}

static void written(const char *text, const char *wanted) {
        char out[128];

        assert_int_equal(csv_write(text, out), strlen(wanted));
        assert_string_equal(out, wanted);
}

static void test_formulas_are_written_inert(void **state) {
        written("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0");
        written("+81-3", "'+81-3");
        written("-1", "'-1");
        written("@SUM(1,2)", "\"'@SUM(1,2)\"");
        written("\tx", "'\tx");
        written("\rx", "\"'\rx\"");
        written("＝1", "'＝1");
        written("＋1", "'＋1");
        written("－1", "'－1");
        written("＠1", "'＠1");
        written("'=1", "''=1");
        written("'tis", "'tis");
        written("a=b", "a=b");
        written("", "");
        written("say \"hi\"", "\"say \"\"hi\"\"\"");
        written("a\nb", "\"a\nb\"");
}

static void test_what_was_written_is_read_as_it_was(void **state) {
        static const char *const texts[] = { "=1", "'=1", "''+1", "'", "''", "'tis", "x", "", "＝1", "'＝1", "\t" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                char out[64];

                csv_write(texts[i], out);
                assert_false(csv_is_formula(out));
                assert_string_equal(csv_plain(out), texts[i]);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_excel_writes_is_read),
                cmocka_unit_test(test_lf_alone_and_a_missing_last_line_end_are_taken_and_told),
                cmocka_unit_test(test_what_excel_does_not_write_is_refused_with_its_place),
                cmocka_unit_test(test_a_zero_byte_is_refused),
                cmocka_unit_test(test_lines_are_those_of_the_file_and_not_of_the_records),
                cmocka_unit_test(test_a_record_is_bounded),
                cmocka_unit_test(test_formulas_are_written_inert),
                cmocka_unit_test(test_what_was_written_is_read_as_it_was),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
