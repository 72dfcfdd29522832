/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "login/bus-internal.h"
#include "util/text.h"

/* Hardened: root's keishictl setup --harden says what it closed; with --undo, what it is about to open and then what it
 * opened (law 6: what opens needs its record first). */

static const char *const actions[] = { "harden", "undo" }, *const results[] = { "begun", "done", "failed" };

static bool one_of(const char *text, const char *const *list, size_t n) {
        for (size_t i = 0; text && i < n; i++)
                if (strcmp(list[i], text) == 0)
                        return true;
        return false;
}

static int do_hardened(Bus *b, sd_bus_message *m, const Caller *caller) {
        static const char *const members[] = { "action", "result", "steps", NULL };
        _cleanup_json_ json_object *document = NULL;
        _cleanup_(event_free_p) Event *e = NULL;
        json_object *steps = NULL;
        const char *text;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (json_parse_object(text, &document) < 0 || !json_only_has(document, members, NULL) ||
                !one_of(json_string(document, "action"), actions, ELEMENTSOF(actions)) ||
                !one_of(json_string(document, "result"), results, ELEMENTSOF(results)) ||
                !json_object_object_get_ex(document, "steps", &steps))
                return bus_refuse(m, "Invalid", N_("The document is not one of setup --harden"));
        e = bus_event(EVENT_HARDENED, caller);
        if (!e)
                return -ENOMEM;
        event_set(e, FIELD_NOUN, "setup");
        event_set(e, FIELD_RESULT, json_string(document, "result"));
        event_set(e, FIELD_DETAIL, json_string(document, "action"));
        event_set(e, FIELD_AFTER, json_text(steps));
        r = trail_record(b->c.trail, e);
        return r != 0 ? bus_refuse_registry(m, r, NULL) : sd_bus_reply_method_return(m, NULL);
}

int harden_bus_hardened(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m, &(Ask){ .method = "Hardened", .noun = "setup", .root = true, .fn = do_hardened });
}
