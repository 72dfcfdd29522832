/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/vault.h"

/* Whatever happens to a file, its reader gives either what was written, whole, or nothing and says why. scrypt is cheap
 * here (log_n of VAULT_LOG_N_MIN); what it costs is another matter. */

#define PASSPHRASE "ume ni uguisu"

typedef struct Buffer {
        unsigned char *data;
        size_t size, at;
        size_t limit; /* write: fails when it would be longer */
} Buffer;

static void buffer_done(Buffer *b) {
        free(b->data);
        *b = (Buffer){};
}

static int append(void *userdata, const void *data, size_t size) {
        Buffer *b = userdata;
        unsigned char *grown;

        if (b->limit > 0 && b->size + size > b->limit)
                return -ENOSPC;
        grown = realloc(b->data, b->size + size + 1);
        assert_non_null(grown);
        b->data = grown;
        memcpy(b->data + b->size, data, size);
        b->size += size;
        return 0;
}

static int take(void *userdata, void *data, size_t size, size_t *ret_size) {
        Buffer *b = userdata;
        size_t n = b->size - b->at < size ? b->size - b->at : size;

        if (n > 0)
                memcpy(data, b->data + b->at, n);
        b->at += n;
        *ret_size = n;
        return 0;
}

static char text_at(size_t i) {
        return (char)('a' + i % 23);
}

static Buffer make(size_t size) {
        VaultWriter *w = NULL;
        Buffer b = {};

        assert_int_equal(vault_writer_new(&w, PASSPHRASE, strlen(PASSPHRASE), VAULT_LOG_N_MIN, append, &b), 0);
        for (size_t i = 0; i < size; i++) {
                char c = text_at(i);

                assert_int_equal(vault_write(w, &c, 1), 0);
        }
        assert_int_equal(vault_finish(w), 0);
        assert_int_equal(vault_finish(w), -EPIPE);
        assert_int_equal(vault_write(w, "x", 1), -EPIPE);
        vault_writer_free(w);
        return b;
}

/* Reads to the end: what came of it, and how much text. */
static int read_through(Buffer *b, const char *passphrase, size_t *ret_size) {
        VaultReader *reader = NULL;
        size_t size = 0;
        int r;

        *ret_size = 0;
        b->at = 0;
        r = vault_reader_new(&reader, passphrase, strlen(passphrase), take, b);
        while (r == 0) {
                const char *data;
                size_t n;

                r = vault_read(reader, &data, &n);
                if (r != 0 || n == 0)
                        break;
                for (size_t i = 0; i < n; i++)
                        assert_int_equal(data[i], text_at(size + i)); /* never anything that was not written */
                size += n;
        }
        vault_reader_free(reader);
        *ret_size = size;
        return r;
}

#define CHUNK_WHOLE (4 + VAULT_CHUNK_SIZE + VAULT_TAG_SIZE)

static const size_t sizes[] = { 0, 1, 100, VAULT_CHUNK_SIZE - 1, VAULT_CHUNK_SIZE, VAULT_CHUNK_SIZE + 1,
        3 * VAULT_CHUNK_SIZE, 3 * VAULT_CHUNK_SIZE + 77 };

static void what_was_written_is_read_back(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_(buffer_done) Buffer b = make(sizes[i]);
                size_t size;

                assert_int_equal(read_through(&b, PASSPHRASE, &size), 0);
                assert_int_equal(size, sizes[i]);
                /* nothing of the text is to be seen */
                for (size_t k = 0; k + 8 < b.size; k++)
                        assert_true(memcmp(b.data + k, "abcdefgh", 8) != 0);
        }
}

static void two_files_of_one_text_have_nothing_in_common(void **state) {
        _cleanup_(buffer_done) Buffer a = make(500), b = make(500);

        assert_int_equal(a.size, b.size);
        assert_memory_not_equal(a.data + VAULT_HEADER_SIZE + 4, b.data + VAULT_HEADER_SIZE + 4, 500);
}

static void another_passphrase_is_told_from_damage(void **state) {
        static const char *const wrong[] = { "", "ume ni uguis", "ume ni uguisu ", "UME NI UGUISU" };
        _cleanup_(buffer_done) Buffer b = make(100);
        size_t size;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(read_through(&b, wrong[i], &size), VAULT_E_PASSPHRASE);
}

/* Each kind of byte: of the header, a length, a text, a tag, and either side of each border. */
static void a_file_that_is_cut_off_anywhere_is_known_to_be(void **state) {
        _cleanup_(buffer_done) Buffer b = make(VAULT_CHUNK_SIZE + 200);
        size_t whole = b.size, size;
        static const size_t around[] = { 0, VAULT_HEADER_SIZE, VAULT_HEADER_SIZE + 4,
                VAULT_HEADER_SIZE + 4 + VAULT_CHUNK_SIZE, VAULT_HEADER_SIZE + CHUNK_WHOLE,
                VAULT_HEADER_SIZE + CHUNK_WHOLE + 4, VAULT_HEADER_SIZE + CHUNK_WHOLE + 4 + 200 };

        for (size_t n = 0; n < VAULT_HEADER_SIZE; n++) {
                int r;

                b.size = n;
                r = read_through(&b, PASSPHRASE, &size);
                assert_true(r == VAULT_E_CUT || (n < 16 && r == VAULT_E_FOREIGN));
        }
        for (size_t i = 0; i < ELEMENTSOF(around); i++)
                for (size_t k = 0; k <= 20; k++) {
                        size_t n = around[i] + k < 10 ? 0 : around[i] + k - 10;

                        if (n >= whole || n < VAULT_HEADER_SIZE)
                                continue;
                        b.size = n;
                        assert_int_equal(read_through(&b, PASSPHRASE, &size), VAULT_E_CUT);
                }
        b.size = whole;
        assert_int_equal(read_through(&b, PASSPHRASE, &size), 0);
}

static void a_bit_that_is_turned_anywhere_is_noticed(void **state) {
        _cleanup_(buffer_done) Buffer b = make(VAULT_CHUNK_SIZE + 40);
        size_t size;

        for (size_t at = 0; at < b.size; at += at < 120 || at > b.size - 90 ? 1 : 997)
                for (unsigned bit = 0; bit < 8; bit++) {
                        int r;

                        b.data[at] ^= (unsigned char)(1u << bit);
                        r = read_through(&b, PASSPHRASE, &size);
                        b.data[at] ^= (unsigned char)(1u << bit);
                        if (r <= 0)
                                fail_msg("byte %zu, bit %u: %d", at, bit, r);
                        if (at < VAULT_HEADER_SIZE)
                                assert_int_equal(size, 0);
                }
}

static void a_later_version_is_refused_as_that(void **state) {
        static const struct {
                size_t at;
                unsigned char value;
        } later[] = { { 17, 2 }, { 16, 1 }, { 18, 19 }, { 18, 64 }, { 18, 255 }, { 18, 3 }, { 19, 16 }, { 20, 2 },
                { 20, 255 }, { 21, 1 }, { 22, 0xff }, { 26, 1 } };
        _cleanup_(buffer_done) Buffer b = make(40);
        size_t size;

        for (size_t i = 0; i < ELEMENTSOF(later); i++) {
                unsigned char was = b.data[later[i].at];

                b.data[later[i].at] = later[i].value;
                assert_int_equal(read_through(&b, PASSPHRASE, &size), VAULT_E_NEWER);
                b.data[later[i].at] = was;
        }
        b.data[17] = 0;
        assert_int_equal(read_through(&b, PASSPHRASE, &size), VAULT_E_FOREIGN);
}

static void chunks_in_another_order_do_not_open(void **state) {
        _cleanup_(buffer_done) Buffer b = make(3 * VAULT_CHUNK_SIZE + 5), other = make(3 * VAULT_CHUNK_SIZE + 5);
        unsigned char *first = b.data + VAULT_HEADER_SIZE, *second = first + CHUNK_WHOLE;
        unsigned char *kept = malloc(CHUNK_WHOLE);
        size_t size;

        assert_non_null(kept);
        memcpy(kept, first, CHUNK_WHOLE);
        memcpy(first, second, CHUNK_WHOLE);
        assert_int_equal(read_through(&b, PASSPHRASE, &size), VAULT_E_DAMAGED);
        assert_int_equal(size, 0);
        memcpy(second, kept, CHUNK_WHOLE); /* exchanged */
        assert_int_equal(read_through(&b, PASSPHRASE, &size), VAULT_E_DAMAGED);
        memcpy(second, first, CHUNK_WHOLE);
        memcpy(first, kept, CHUNK_WHOLE);
        assert_int_equal(read_through(&b, PASSPHRASE, &size), 0);

        memmove(second, second + CHUNK_WHOLE, b.size - VAULT_HEADER_SIZE - 2 * CHUNK_WHOLE); /* one is missing */
        b.size -= CHUNK_WHOLE;
        assert_int_equal(read_through(&b, PASSPHRASE, &size), VAULT_E_DAMAGED);
        assert_int_equal(size, VAULT_CHUNK_SIZE);

        memcpy(other.data + VAULT_HEADER_SIZE, kept, CHUNK_WHOLE); /* of another file */
        assert_int_equal(read_through(&other, PASSPHRASE, &size), VAULT_E_DAMAGED);
        free(kept);
}

static void a_length_that_was_made_up_costs_nothing(void **state) {
        static const uint32_t lengths[] = { 0, 1, VAULT_CHUNK_SIZE - 1, VAULT_CHUNK_SIZE + 1, UINT32_C(0x7fffffff),
                UINT32_C(0xffffffff), UINT32_C(0x80000000), UINT32_C(0x80010001) };
        _cleanup_(buffer_done) Buffer b = make(VAULT_CHUNK_SIZE + 5);
        size_t size;

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                for (unsigned k = 0; k < 4; k++)
                        b.data[VAULT_HEADER_SIZE + k] = (unsigned char)(lengths[i] >> (24 - 8 * k));
                assert_int_equal(read_through(&b, PASSPHRASE, &size), VAULT_E_DAMAGED);
        }
}

static void what_stands_behind_the_end_is_noticed(void **state) {
        _cleanup_(buffer_done) Buffer b = make(70);
        size_t size;

        assert_int_equal(append(&b, "", 1), 0);
        assert_int_equal(read_through(&b, PASSPHRASE, &size), VAULT_E_DAMAGED);
        assert_int_equal(size, 0);
}

static void other_files_are_foreign(void **state) {
        static const char *const files[] = { "", "SQLite format 3", "PK\3\4", "account,person,name\r\n",
                "keishi backup\n" };
        size_t size;

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_(buffer_done) Buffer b = {};
                int r;

                assert_int_equal(append(&b, files[i], strlen(files[i])), 0);
                r = read_through(&b, PASSPHRASE, &size);
                assert_true(r == VAULT_E_FOREIGN || r == VAULT_E_CUT);
        }
}

static void a_disk_that_fills_up_ends_the_writing(void **state) {
        for (size_t limit = 1; limit < VAULT_HEADER_SIZE + 2 * CHUNK_WHOLE; limit += 7001) {
                _cleanup_(buffer_done) Buffer b = { .limit = limit };
                _cleanup_(vault_writer_free_p) VaultWriter *w = NULL;
                char text[1000] = "";
                int r;

                r = vault_writer_new(&w, PASSPHRASE, strlen(PASSPHRASE), VAULT_LOG_N_MIN, append, &b);
                for (unsigned i = 0; r == 0 && i < 200; i++)
                        r = vault_write(w, text, sizeof(text));
                if (r == 0)
                        r = vault_finish(w);
                assert_int_equal(r, -ENOSPC);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_was_written_is_read_back),
                cmocka_unit_test(two_files_of_one_text_have_nothing_in_common),
                cmocka_unit_test(another_passphrase_is_told_from_damage),
                cmocka_unit_test(a_file_that_is_cut_off_anywhere_is_known_to_be),
                cmocka_unit_test(a_bit_that_is_turned_anywhere_is_noticed),
                cmocka_unit_test(a_later_version_is_refused_as_that),
                cmocka_unit_test(chunks_in_another_order_do_not_open),
                cmocka_unit_test(a_length_that_was_made_up_costs_nothing),
                cmocka_unit_test(what_stands_behind_the_end_is_noticed),
                cmocka_unit_test(other_files_are_foreign),
                cmocka_unit_test(a_disk_that_fills_up_ends_the_writing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
