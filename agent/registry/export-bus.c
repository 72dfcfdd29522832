/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <malloc.h>
#include <string.h>

#include "login/bus-internal.h"
#include "registry/change.h"
#include "registry/import.h"
#include "registry/json.h"
#include "util/clock.h"

/* All rows of a noun, page by page, for `keishictl export`. An export is one connection, from its first page (which
 * polkit is asked about) to its last; it shows one state of the directory, so it ends when the noun changes meanwhile.
 */

#define READERS_MAX      8u
#define READER_IDLE_USEC (60 * USEC_PER_SEC)
#define PAGE_ROWS        500u

typedef struct ExportReader {
        char *sender;
        NounId noun;
        uint64_t last, generation, used_usec;
        struct ExportReader *next;
} ExportReader;

static ExportReader *reader_free(ExportReader *e) {
        if (!e)
                return NULL;
        free(e->sender);
        free(e);
        return NULL;
}

void export_bus_done(Bus *b) {
        while (b->exports) {
                ExportReader *next = b->exports->next;

                reader_free(b->exports);
                b->exports = next;
        }
}

static ExportReader *reader_find(Bus *b, const char *sender, NounId noun, uint64_t after) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);

        for (ExportReader *e = b->exports; e; e = e->next)
                if (after > 0 && e->noun == noun && e->last == after && strcmp(e->sender, sender) == 0 &&
                        now - e->used_usec < READER_IDLE_USEC)
                        return e;
        return NULL;
}

static int reader_new(Bus *b, const char *sender, NounId noun, ExportReader **ret) {
        ExportReader *e = calloc(1, sizeof(*e)), **last = &b->exports;
        unsigned n = 0;

        if (!e)
                return -ENOMEM;
        e->sender = strdup(sender);
        if (!e->sender) {
                reader_free(e);
                return -ENOMEM;
        }
        e->noun = noun;
        e->generation = registry_generation(b->c.registry, noun);
        e->next = b->exports;
        b->exports = e;
        for (; *last; last = &(*last)->next)
                if (++n > READERS_MAX) {
                        *last = reader_free(*last);
                        break;
                }
        *ret = e;
        return 0;
}

static void reader_drop(Bus *b, ExportReader *e) {
        for (ExportReader **p = &b->exports; *p; p = &(*p)->next)
                if (*p == e) {
                        *p = e->next;
                        reader_free(e);
                        return;
                }
}

static int do_export(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *rows = NULL;
        const char *noun_text, *text;
        ExportReader *reader;
        uint64_t after, last;
        uint32_t limit;
        NounId noun;
        int r;

        r = sd_bus_message_read(m, "stu", &noun_text, &after, &limit);
        if (r < 0)
                return r;
        noun = noun_from_string(noun_text);
        reader = reader_find(b, caller->sender, noun, after);
        if (import_busy(b->c.registry, noun))
                return bus_refuse(m, "Unavailable", N_("An import is being applied; try again in a few seconds"));
        if (after > 0 && !reader)
                return bus_refuse(
                        m, "Refused", N_("There is no export of this connection that could go on from there"));
        if (!reader) {
                r = reader_new(b, caller->sender, noun, &reader);
                if (r < 0)
                        return r;
        }
        if (reader->generation != registry_generation(b->c.registry, noun)) {
                reader_drop(b, reader);
                return bus_refuse(m, "Conflict", N_("The directory was changed while it was read; export it again"));
        }
        r = registry_row_page(
                b->c.registry, noun, after, limit == 0 || limit > PAGE_ROWS ? PAGE_ROWS : limit, &rows, &last);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        for (size_t i = 0; caller_has(caller, change_roles(noun)) && i < json_object_array_length(rows); i++) {
                r = registry_row_reveal(b->c.registry, noun, json_object_array_get_idx(rows, i));
                if (r != 0)
                        return bus_refuse_registry(m, r, NULL);
        }
        reader->last = last;
        reader->used_usec = clock_usec(CLOCK_BOOTTIME);
        text = json_text(rows);
        if (!text)
                return -ENOMEM;
        r = sd_bus_reply_method_return(m, "st", text, last);
        if (last == after) { /* the end */
                reader_drop(b, reader);
                json_object_put(TAKE_PTR(rows));
                (void)sqlite3_db_release_memory(registry_db(b->c.registry));
                (void)malloc_trim(0);
        }
        return r;
}

int export_bus_rows(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(m), *noun_text;
        Bus *b = userdata;
        uint64_t after;
        uint32_t limit;
        NounId noun;
        int r;

        r = sd_bus_message_read(m, "stu", &noun_text, &after, &limit);
        if (r < 0)
                return r;
        noun = noun_from_string(noun_text);
        if (noun == _NOUN_INVALID)
                return bus_refuse(m, "Invalid", N_("There is no such kind of row"));
        return authorize(b, m,
                &(Ask){
                        .method = "Export",
                        .action = sender && reader_find(b, sender, noun, after) ? NULL : ACTION_READ,
                        .roles = ROLES_ALL,
                        .noun = noun_text,
                        .fn = do_export,
                });
}
