/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/identity.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "registry/noun.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/text.h"

#define META_TERMINAL "terminal"
#define META_SETUP    "setup"
#define META_IDENTITY "identity"
#define META_DOUBT    "identity-doubt" /* the machine that a new epoch was begun for, when it was not the right one */

#define KEY_TEXT_SIZE (2 * IDENTITY_KEY_SIZE + 1)
#define DOUBT_SIZE    (32u + (1u + _HARDWARE_MAX) * IDENTITY_DIGEST_SIZE)

/* What the terminal was bound to. */
typedef struct Bound {
        Machine machine;
        unsigned char key[IDENTITY_KEY_SIZE];
        uint64_t usec;
} Bound;

struct Identity {
        Registry *registry;
        char *root;
        IdentityState state;
        bool bound_known;
        Bound bound;
        Machine seen;
        char epoch[EPOCH_TEXT_MAX]; /* empty: none yet */

        /* between prepare and written */
        bool fresh_key, writing;
        Bound next;
        char next_epoch[EPOCH_TEXT_MAX];
};

static const char *const state_names[_IDENTITY_STATE_MAX] = {
        [IDENTITY_UNBOUND] = "unbound",
        [IDENTITY_RIGHT] = "right",
        [IDENTITY_OTHER_MACHINE_ID] = "other-machine-id",
        [IDENTITY_OTHER_HARDWARE] = "other-hardware",
        [IDENTITY_NO_MACHINE_ID] = "no-machine-id",
        [IDENTITY_NO_KEY] = "no-key",
        [IDENTITY_RETIRED] = "retired",
};

const char *identity_state_to_string(IdentityState s) {
        return s >= 0 && s < _IDENTITY_STATE_MAX ? state_names[s] : NULL;
}

IdentityState identity_compare(const Machine *bound, const Machine *seen, bool key_there) {
        unsigned before = 0, same = 0, fresh = 0;

        if (!*seen->id)
                return IDENTITY_NO_MACHINE_ID;
        if (strcmp(bound->id, seen->id) != 0)
                return IDENTITY_OTHER_MACHINE_ID;
        for (HardwareItem i = 0; i < _HARDWARE_MAX; i++) {
                const char *b = bound->hardware[i], *s = seen->hardware[i];

                before += *b != '\0';
                fresh += !*b && *s;
                if (!*b || !*s)
                        continue;
                if (strcmp(b, s) != 0)
                        return IDENTITY_OTHER_HARDWARE;
                same++;
        }
        if ((before > 0 && same == 0) || (before == 0 && fresh > 0))
                return IDENTITY_OTHER_HARDWARE;
        return key_there ? IDENTITY_RIGHT : IDENTITY_NO_KEY;
}

IdentityState identity_state(const Identity *i) {
        return i ? i->state : IDENTITY_UNBOUND;
}

bool identity_closes(const Identity *i) {
        switch (identity_state(i)) {
        case IDENTITY_UNBOUND:
        case IDENTITY_RIGHT:
        case IDENTITY_RETIRED:
                return false;
        default:
                return true;
        }
}

/* ---- epochs ---- */

unsigned epoch_number(const char *text) {
        _cleanup_free_ char *digits = text ? strndup(text, strcspn(text, "-")) : NULL;
        uint64_t n;

        return digits && parse_uint64(digits, 1, INT32_MAX, &n) == 0 ? (unsigned)n : 0;
}

static int epoch_make(unsigned number, char ret[static EPOCH_TEXT_MAX]) {
        uint64_t id;

        if (getrandom(&id, sizeof(id), 0) != sizeof(id))
                return -EIO;
        snprintf(ret, EPOCH_TEXT_MAX, "%u-%016" PRIx64, number, id);
        return 0;
}

/* ---- what is remembered ---- */

static void key_to_text(const unsigned char key[static IDENTITY_KEY_SIZE], char ret[static KEY_TEXT_SIZE]) {
        for (size_t i = 0; i < IDENTITY_KEY_SIZE; i++)
                snprintf(ret + 2 * i, 3, "%02x", key[i]);
}

static int hex_value(char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool key_from_text(const char *text, unsigned char ret[static IDENTITY_KEY_SIZE]) {
        if (!text || strlen(text) != KEY_TEXT_SIZE - 1)
                return false;
        for (size_t i = 0; i < IDENTITY_KEY_SIZE; i++) {
                int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                ret[i] = (unsigned char)(high << 4 | low);
        }
        return true;
}

static bool digest_from_text(const char *text, char ret[static IDENTITY_DIGEST_SIZE]) {
        if (!text || strlen(text) != IDENTITY_DIGEST_SIZE - 1)
                return false;
        memcpy(ret, text, IDENTITY_DIGEST_SIZE);
        return true;
}

/* What cannot be read any more is bound to nothing, and so to no machine. */
static void bound_parse(const char *text, Bound *ret) {
        _cleanup_json_ json_object *o = NULL;
        json_object *hardware = NULL, *usec;

        *ret = (Bound){};
        if (json_parse_object(text, &o) < 0 || !key_from_text(json_string(o, "key"), ret->key) ||
                !digest_from_text(json_string(o, "machine"), ret->machine.id))
                return;
        (void)json_object_object_get_ex(o, "hardware", &hardware);
        for (HardwareItem i = 0; hardware && i < _HARDWARE_MAX; i++)
                (void)digest_from_text(json_string(hardware, hardware_item_to_string(i)), ret->machine.hardware[i]);
        if (json_object_object_get_ex(o, "bound_usec", &usec))
                ret->usec = json_object_get_uint64(usec);
}

/* Digits only, so no JSON library is needed; json-c makes half of a text when memory runs out, and does not say so. */
static int bound_write(Identity *i, const Bound *b) {
        char key[KEY_TEXT_SIZE], text[1024];
        size_t n;

        key_to_text(b->key, key);
        n = (size_t)snprintf(text, sizeof(text),
                "{\"machine\":\"%s\",\"key\":\"%s\",\"bound_usec\":%" PRIu64 ",\"hardware\":{", b->machine.id, key,
                b->usec);
        for (unsigned h = 0, first = 1; h < _HARDWARE_MAX; h++) {
                if (!*b->machine.hardware[h])
                        continue;
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"%s\":\"%s\"", first ? "" : ",",
                        hardware_item_to_string((HardwareItem)h), b->machine.hardware[h]);
                first = 0;
        }
        (void)snprintf(text + n, sizeof(text) - n, "}}");
        return registry_meta_set(i->registry, META_IDENTITY, text);
}

/* Whether there is such a fact: 1, 0 or as registry_meta_get(). */
static int meta_there(Registry *r, const char *name, int *ret_error) {
        _cleanup_free_ char *text = NULL;
        int q = registry_meta_get(r, name, &text);

        *ret_error = q == REGISTRY_E_NOT_FOUND ? 0 : q;
        return q == 0;
}

static int load(Identity *i) {
        _cleanup_free_ char *identity = NULL, *epoch = NULL;
        int r;

        r = registry_meta_get(i->registry, TRAIL_META_EPOCH, &epoch);
        if (r == 0)
                snprintf(i->epoch, sizeof(i->epoch), "%s", epoch);
        else if (r != REGISTRY_E_NOT_FOUND)
                return r;
        r = registry_meta_get(i->registry, META_IDENTITY, &identity);
        if (r == 0)
                bound_parse(identity, &i->bound);
        i->bound_known = r == 0;
        return r == REGISTRY_E_NOT_FOUND ? 0 : r;
}

/* ---- the start ---- */

static void doubt_text(const Identity *i, char ret[static DOUBT_SIZE]) {
        size_t n = (size_t)snprintf(ret, DOUBT_SIZE, "%s %s", identity_state_to_string(i->state), i->seen.id);

        for (HardwareItem h = 0; h < _HARDWARE_MAX; h++)
                n += (size_t)snprintf(ret + n, DOUBT_SIZE - n, " %s", i->seen.hardware[h]);
}

/* Once for each machine that the disk finds itself in. */
static int begin_doubtful_epoch(Identity *i) {
        _cleanup_free_ char *known = NULL;
        char doubt[DOUBT_SIZE], epoch[EPOCH_TEXT_MAX];
        int r;

        doubt_text(i, doubt);
        r = registry_meta_get(i->registry, META_DOUBT, &known);
        if (r == 0 && strcmp(known, doubt) == 0)
                return 0;
        r = epoch_make(epoch_number(i->epoch) + 1, epoch);
        if (r == 0)
                r = registry_begin(i->registry);
        if (r != 0)
                return r;
        r = registry_meta_set(i->registry, META_DOUBT, doubt);
        if (r == 0)
                r = registry_meta_set(i->registry, TRAIL_META_EPOCH, epoch);
        if (r == 0)
                r = registry_commit(i->registry);
        if (r != 0) {
                registry_rollback(i->registry);
                return r;
        }
        memcpy(i->epoch, epoch, sizeof(epoch));
        return 0;
}

static IdentityState judge(Identity *i) {
        int key = key_settle(i->root, i->bound.key);

        return identity_compare(&i->bound.machine, &i->seen, key == 0);
}

int identity_new(Identity **ret, Registry *registry, const char *root) {
        _cleanup_(identity_free_p) Identity *i = NULL;
        _cleanup_(terminal_done) Terminal self = {};
        int r;

        i = calloc(1, sizeof(*i));
        if (!i)
                return -ENOMEM;
        i->registry = registry;
        i->root = strdup(root);
        if (!i->root)
                return -ENOMEM;
        r = load(i);
        if (r == 0)
                r = machine_look(i->root, &i->seen);
        if (r != 0)
                return r;
        if (i->bound_known) {
                r = registry_terminal_self(registry, &self);
                if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                        return r;
                if (self.retired) {
                        i->state = IDENTITY_RETIRED;
                        (void)key_erase(i->root); /* the power may have gone before it was */
                } else
                        i->state = judge(i);
        } else
                key_abandon(i->root);
        if (identity_closes(i))
                (void)begin_doubtful_epoch(i); /* else at the next start */
        *ret = TAKE_PTR(i);
        return 0;
}

Identity *identity_free(Identity *i) {
        if (!i)
                return NULL;
        free(i->root);
        free(i);
        return NULL;
}

static const char *state_detail(IdentityState s) {
        switch (s) {
        case IDENTITY_OTHER_MACHINE_ID:
                return "the machine-id is another: this is a copied disk, or a system that was installed anew";
        case IDENTITY_OTHER_HARDWARE:
                return "the hardware is other: this is a copied disk, or a board that was exchanged";
        case IDENTITY_NO_MACHINE_ID:
                return "/etc/machine-id is missing or holds none";
        case IDENTITY_NO_KEY:
                return "the agent's key is missing, or is another: the registry was copied without it, or the reverse";
        default:
                return NULL;
        }
}

static void record_mismatch(const Identity *i, Trail *trail) {
        _cleanup_(event_free_p) Event *e = NULL;

        if (event_new(&e, EVENT_IDENTITY_MISMATCH) < 0)
                return;
        event_set(e, FIELD_REASON, identity_state_to_string(i->state));
        event_set(e, FIELD_RESULT, "refused");
        event_setf(e, FIELD_DETAIL, "%s; staff are refused until keishictl terminal enrol", state_detail(i->state));
        trail_record_closing(trail, e);
}

/* The disk is back where it was enrolled. The epoch that was begun elsewhere goes on: it is this disk's alone. */
static int forget_doubt(Identity *i, Trail *trail) {
        _cleanup_(event_free_p) Event *e = NULL;
        int r, error;

        if (!meta_there(i->registry, META_DOUBT, &error))
                return error;
        r = event_new(&e, EVENT_IDENTITY_BOUND);
        if (r < 0)
                return r;
        event_set(e, FIELD_RESULT, "right-again");
        r = registry_begin(i->registry);
        if (r == 0)
                r = registry_meta_set(i->registry, META_DOUBT, NULL);
        if (r == 0)
                r = trail_append(trail, e);
        if (r == 0)
                r = registry_commit(i->registry);
        if (r != 0) {
                registry_rollback(i->registry);
                return r;
        }
        trail_kick(trail);
        return 0;
}

/* A terminal that was set up before there were identities. */
static int bind_once(Identity *i, Trail *trail) {
        _cleanup_(event_free_p) Event *e = NULL;
        _cleanup_free_ char *uuid = NULL;
        int r, error;

        if (!meta_there(i->registry, META_SETUP, &error))
                return error;
        r = registry_meta_get(i->registry, META_TERMINAL, &uuid);
        if (r != 0)
                return r == REGISTRY_E_NOT_FOUND ? 0 : r;
        r = identity_prepare(i);
        if (r == IDENTITY_E_NO_MACHINE) {
                i->state = IDENTITY_NO_MACHINE_ID;
                record_mismatch(i, trail);
                return 0;
        }
        if (r < 0)
                return 0; /* no room for a key: it goes on as it was, status tells, and the next start tries again */
        r = event_new(&e, EVENT_IDENTITY_BOUND);
        if (r < 0)
                return r;
        event_set(e, FIELD_DETAIL, "set up before terminals had an identity: bound to this machine at the start");
        r = registry_begin(i->registry);
        if (r == 0)
                r = identity_write(i, trail, uuid, e, NULL);
        if (r == 0)
                r = registry_commit(i->registry);
        if (r != 0)
                registry_rollback(i->registry);
        identity_written(i, trail, r == 0);
        if (r == 0)
                trail_kick(trail);
        /* Without its row the terminal is unknown, which closes it anyway. */
        return r == REGISTRY_E_NOT_FOUND ? 0 : r;
}

int identity_start(Identity *i, Trail *trail) {
        if (identity_closes(i)) {
                record_mismatch(i, trail);
                return 0;
        }
        if (i->state == IDENTITY_RIGHT)
                return forget_doubt(i, trail);
        return i->state == IDENTITY_UNBOUND ? bind_once(i, trail) : 0;
}

/* ---- binding ---- */

int identity_prepare(Identity *i) {
        int r;

        r = machine_look(i->root, &i->seen);
        if (r < 0)
                return r;
        if (!*i->seen.id)
                return IDENTITY_E_NO_MACHINE;
        i->next = (Bound){ .machine = i->seen, .usec = clock_usec(CLOCK_REALTIME) };
        r = key_make(i->root, i->next.key);
        i->fresh_key = r == 0;
        return r;
}

typedef struct Edit {
        unsigned floor; /* number of the epoch before */
        unsigned number;
        const char *key;
        bool oom;
} Edit;

static void edit_row(Row *row, void *userdata) {
        Edit *e = userdata;
        char *key = strdup(e->key);

        e->oom = !key;
        e->number = (row->values[TERMINAL_F_EPOCH].number > (int64_t)e->floor
                                    ? (unsigned)row->values[TERMINAL_F_EPOCH].number
                                    : e->floor) +
                    1;
        row->values[TERMINAL_F_EPOCH].number = e->number;
        row->values[TERMINAL_F_RETIRED].number = 0;
        free(row->values[TERMINAL_F_KEY].text);
        row->values[TERMINAL_F_KEY].text = key;
}

int identity_write(Identity *i, Trail *trail, const char *uuid, Event *event, RegistryError *error) {
        _cleanup_json_ json_object *before = NULL, *after = NULL;
        Edit edit = { .floor = epoch_number(i->epoch) };
        const Bound *next = i->fresh_key ? &i->next : &i->bound;
        char key[KEY_TEXT_SIZE];
        int r;

        i->writing = true;
        key_to_text(next->key, key);
        edit.key = key;
        r = registry_meta_set(i->registry, META_TERMINAL, uuid);
        if (r == 0)
                r = row_edit(i->registry, NOUN_TERMINAL, uuid, edit_row, &edit, clock_usec(CLOCK_REALTIME), &before,
                        &after, error);
        if (r == 0 && edit.oom)
                r = -ENOMEM;
        if (r == 0)
                r = epoch_make(edit.number, i->next_epoch);
        if (r == 0)
                r = registry_meta_set(i->registry, TRAIL_META_EPOCH, i->next_epoch);
        if (r == 0)
                r = registry_meta_set(i->registry, META_DOUBT, NULL);
        if (r == 0)
                r = bound_write(i, next);
        if (r != 0)
                return r;
        trail_read_terminal(trail);
        event_set(event, FIELD_RESULT, "done");
        event_set(event, FIELD_NOUN, noun_to_string(NOUN_TERMINAL));
        event_set(event, FIELD_OBJECT, uuid);
        event_set(event, FIELD_BEFORE, json_text(before));
        event_set(event, FIELD_AFTER, json_text(after));
        return trail_append(trail, event);
}

void identity_written(Identity *i, Trail *trail, bool committed) {
        if (committed && i->writing) {
                if (i->fresh_key)
                        i->bound = i->next;
                memcpy(i->epoch, i->next_epoch, sizeof(i->epoch));
                i->bound_known = true;
                i->state = judge(i);
        } else {
                if (i->fresh_key)
                        key_abandon(i->root);
                trail_read_terminal(trail);
        }
        i->fresh_key = i->writing = false;
}

int identity_retire(Identity *i) {
        i->state = IDENTITY_RETIRED;
        return key_erase(i->root);
}

/* ---- telling ---- */

int identity_json(const Identity *i, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object(), *hardware = json_object_new_array();
        char key[KEY_TEXT_SIZE] = "";

        if (!o || !hardware)
                return -ENOMEM;
        if (i && i->bound_known)
                key_to_text(i->bound.key, key);
        for (HardwareItem n = 0; i && n < _HARDWARE_MAX; n++) {
                json_object *name =
                        *i->bound.machine.hardware[n] ? json_object_new_string(hardware_item_to_string(n)) : NULL;

                if (name && json_object_array_add(hardware, name) < 0) {
                        json_object_put(name);
                        return -ENOMEM;
                }
        }
        if (json_set_string(o, "state", identity_state_to_string(identity_state(i))) < 0 ||
                json_set_boolean(o, "closes", identity_closes(i)) < 0 ||
                json_set_string(o, "epoch", i && *i->epoch ? i->epoch : NULL) < 0 ||
                json_set_string(o, "key", *key ? key : NULL) < 0 ||
                json_set_uint(o, "bound_usec", i ? i->bound.usec : 0) < 0 ||
                json_set(o, "hardware", TAKE_PTR(hardware)) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}
