/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "registry/change.h"
#include "registry/noun.h"
#include "util/clock.h"

/* A unit gets another name (課名の変更). Units are named by many rows, and rights follow from the names being the same:
 * changed one by one they would end and begin meanwhile. So it is one transaction, with an entry for every row, after
 * which everybody may what they could before. Two units do not become one this way. */

#define UNIT_SIZE   128u
#define DETAIL_SIZE 1024u

typedef struct Rename {
        const char *old, *new;
        char old_selector[UNIT_SIZE + 8], new_selector[UNIT_SIZE + 8];
        NounId noun;
        bool oom;
} Rename;

/* Where units are named. */
static const struct {
        NounId noun;
        const char *field;
        bool selector;
} places[] = {
        { NOUN_USER, "unit", false },
        { NOUN_TERMINAL, "unit", false },
        { NOUN_SCOPE, "unit", false },
        { NOUN_SCOPE, "terminals", true },
        { NOUN_DESIGNATION, "terminals", true },
        { NOUN_DESIGNATION, "subject", true },
        { NOUN_DEPUTY, "unit", false },
};

static void edit(Row *row, void *userdata) {
        Rename *n = userdata;

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                const char *old = places[i].selector ? n->old_selector : n->old,
                           *new = places[i].selector ? n->new_selector : n->new;
                const Noun *noun = &registry_nouns[n->noun];

                for (size_t f = 0; places[i].noun == n->noun && f < noun->n_fields; f++) {
                        char **text = &row->values[f].text, *copy;

                        if (strcmp(noun->fields[f].name, places[i].field) != 0 || !*text || strcmp(*text, old) != 0)
                                continue;
                        copy = strdup(new);
                        if (!copy) {
                                n->oom = true;
                                return;
                        }
                        free(*text);
                        *text = copy;
                }
        }
}

static int list(Bus *b, size_t place, const char *unit, unsigned limit, json_object **ret, RegistryError *e) {
        _cleanup_json_ json_object *filter = json_object_new_object();
        char selector[UNIT_SIZE + 8];
        const char *text = unit;

        if (places[place].selector) {
                (void)snprintf(selector, sizeof(selector), "unit:%s", unit);
                text = selector;
        }
        if (!filter || json_set_string(filter, places[place].field, text) < 0)
                return -ENOMEM;
        return registry_row_list(b->c.registry, places[place].noun, filter, limit, ret, e);
}

/* Whether any row names the unit: 0, REGISTRY_E_NOT_FOUND, or that it cannot be a name. */
static int is_named(Bus *b, const char *unit, RegistryError *e) {
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_json_ json_object *rows = NULL;
                int r;

                r = list(b, i, unit, 1, &rows, e);
                if (r != 0 || json_object_array_length(rows) > 0)
                        return r;
        }
        return REGISTRY_E_NOT_FOUND;
}

static int rename_rows(Bus *b, const Caller *caller, Rename *n, size_t place, const char *detail, unsigned *count,
        const char **ret_text, const char **ret_why, RegistryError *e) {
        _cleanup_json_ json_object *rows = NULL;
        int r;

        n->noun = places[place].noun;
        r = list(b, place, n->old, 0, &rows, e);
        for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
                _cleanup_json_ json_object *before = NULL, *after = NULL;
                const char *id = json_string(json_object_array_get_idx(rows, i), "uuid"), *deputy = NULL;

                r = row_edit(b->c.registry, n->noun, id, edit, n, clock_usec(CLOCK_REALTIME), &before, &after, e);
                if (r == 0 && n->oom)
                        r = -ENOMEM;
                if (r != 0)
                        break;
                /* What a designation or a deputy's row gives stays what it was. */
                if (n->noun != NOUN_DESIGNATION && n->noun != NOUN_DEPUTY)
                        *ret_text = change_refused(b, caller, n->noun, before, after, ret_why, &deputy);
                if (*ret_text)
                        return 0;
                r = change_append(b, caller, EVENT_DIRECTORY_CHANGED, n->noun, before, after, detail, NULL);
                (*count)++;
        }
        return r;
}

static int do_rename(Bus *b, sd_bus_message *m, const Caller *caller) {
        const char *old, *new, *reason, *text = NULL, *why = NULL;
        char detail[DETAIL_SIZE];
        RegistryError e = {};
        unsigned count = 0;
        Rename n = {};
        int r;

        r = sd_bus_message_read(m, "sss", &old, &new, &reason);
        if (r < 0)
                return r;
        if (!*reason || strlen(reason) > REASON_TEXT_MAX)
                return bus_refuse(m, "Invalid", N_("A reason is needed, of at most 512 bytes"));
        if (!*old || !*new || strlen(old) > UNIT_SIZE || strlen(new) > UNIT_SIZE)
                return bus_refuse(
                        m, "Invalid", N_("The old and the new name of the unit are needed, of at most 128 bytes"));
        n.old = old;
        n.new = new;
        (void)snprintf(n.old_selector, sizeof(n.old_selector), "unit:%s", old);
        (void)snprintf(n.new_selector, sizeof(n.new_selector), "unit:%s", new);
        (void)snprintf(detail, sizeof(detail), "%s -> %s: %s", old, new, reason);

        r = registry_begin(b->c.registry);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        r = is_named(b, new, &e);
        if (r == 0)
                r = registry_error(&e, REGISTRY_E_EXISTS, "unit", "there is a unit \"%s\" already", shown(new).text);
        else if (r == REGISTRY_E_NOT_FOUND)
                r = is_named(b, old, &e);
        if (r == REGISTRY_E_NOT_FOUND)
                (void)registry_error(&e, r, "unit", "nothing is of a unit \"%s\"", shown(old).text);
        for (size_t i = 0; r == 0 && !text && i < ELEMENTSOF(places); i++)
                r = rename_rows(b, caller, &n, i, detail, &count, &text, &why, &e);
        if (text)
                return change_refuse(b, m, caller, "RenameUnit", n.noun, NULL, why, text);
        if (r != 0)
                return change_failed(b, m, caller, "RenameUnit", n.noun, NULL, r, &e);
        r = change_commit(b, _NOUN_INVALID);
        return r != 0 ? bus_refuse_registry(m, r, NULL) : sd_bus_reply_method_return(m, "u", (uint32_t)count);
}

int unit_bus_rename(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){
                        .method = "RenameUnit",
                        .action = ACTION_CHANGE,
                        .roles = change_roles(NOUN_SCOPE),
                        .noun = "unit",
                        .others = true,
                        .fn = do_rename,
                });
}
