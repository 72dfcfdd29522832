/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "login/authorize.h"
#include "login/bus-internal.h"
#include "util/clock.h"

/* Calls under way, together and of one connection (law 4). */
#define AUTHORIZATIONS_MAX        128u
#define AUTHORIZATIONS_PER_SENDER 8u
#define AUTHORIZATIONS_PER_UID    16u

/* Accounts of one person that are looked at. */
#define OTHERS_MAX 32u

#define BUS_ANSWER_USEC    (10 * USEC_PER_SEC)
#define POLKIT_ANSWER_USEC (25 * USEC_PER_SEC)
#define POLKIT_PERSON_USEC (180 * USEC_PER_SEC)

/* next_other: NSS did not tell */
#define NOT_TOLD SIZE_MAX

struct Authorization {
        Bus *bus;
        sd_bus_message *m;
        sd_bus_slot *slot;
        LookupQuery *query;
        Ask ask;
        Caller caller;
        char *target;
        json_object *others; /* rows of the person's accounts, when their groups count, then of the target's */
        size_t next_other, n_own, n_others, n_targets;
        bool starting, answered;
        Authorization *next;
};

bool caller_is(const Caller *c, const char *person) {
        return person && *person && c->user.person && strcmp(c->user.person, person) == 0;
}

bool caller_of_unit(const Caller *c, Role role, const char *unit, const char **ret_deputy) {
        bool own = caller_has_own(c, ROLE_BIT(role)) && c->user.unit && unit && strcmp(c->user.unit, unit) == 0;

        if (ret_deputy)
                *ret_deputy = NULL;
        for (size_t i = 0; !own && unit && i < c->n_deputies; i++)
                if (c->deputies[i].role == role && strcmp(c->deputies[i].unit, unit) == 0) {
                        if (ret_deputy)
                                *ret_deputy = c->deputies[i].uuid;
                        return true;
                }
        return own;
}

static void drop_deputies(Caller *c) {
        for (size_t i = 0; i < c->n_deputies; i++) {
                free(c->deputies[i].unit);
                free(c->deputies[i].uuid);
        }
        free(c->deputies);
        c->deputies = NULL;
        c->n_deputies = 0;
}

static void drop_accounts(Account **list) {
        for (Account **i = list; i && *i; i++)
                account_unref(*i);
        free(list);
}

static Authorization *authorization_free(Authorization *a) {
        if (!a)
                return NULL;
        for (Authorization **p = &a->bus->authorizations; *p; p = &(*p)->next)
                if (*p == a) {
                        *p = a->next;
                        a->bus->n_authorizations--;
                        break;
                }
        a->slot = sd_bus_slot_unref(a->slot);
        if (a->query)
                lookup_query_cancel(a->query);
        sd_bus_message_unref(a->m);
        account_unref(a->caller.account);
        drop_accounts(a->caller.others);
        drop_accounts(a->caller.targets);
        drop_deputies(&a->caller);
        free(a->target);
        json_object_put(a->others);
        user_done(&a->caller.user);
        free(a);
        return NULL;
}

void authorize_drop_all(Bus *b) {
        while (b->authorizations)
                authorization_free(b->authorizations);
}

/* Answers with a refusal, records it, and ends. */
static void refuse(Authorization *a, const char *error, const char *reason, const char *text) {
        bus_record_refusal(a->bus, &a->caller, a->ask.method, a->ask.noun, a->ask.object, reason, text);
        (void)bus_refuse(a->m, error, "%s", text);
        authorization_free(a);
}

static void fail(Authorization *a, int r) {
        (void)sd_bus_reply_method_errnof(a->m, r, "Internal error");
        authorization_free(a);
}

static void allow(Authorization *a) {
        int r;

        r = sd_bus_message_rewind(a->m, true);
        if (r >= 0)
                r = a->ask.fn(a->bus, a->m, &a->caller);
        if (r < 0)
                fail(a, r);
        else
                authorization_free(a);
}

static int add_deputy(const char *uuid, const char *role, const char *unit, void *userdata) {
        Caller *c = userdata;
        Deputy *grown, *d;

        /* What else a table from elsewhere says, a unit has no such role to give. */
        if (!unit_role_valid(role))
                return 0;
        grown = reallocarray(c->deputies, c->n_deputies + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        c->deputies = grown;
        d = &grown[c->n_deputies];
        *d = (Deputy){ .role = _ROLE_INVALID, .unit = strdup(unit), .uuid = strdup(uuid) };
        c->n_deputies++;
        if (!d->unit || !d->uuid)
                return -ENOMEM;
        for (Role i = 0; i < _ROLE_MAX; i++)
                if (strcmp(role_to_string(i), role) == 0) {
                        d->role = i;
                        c->roles |= ROLE_BIT(i);
                }
        return 0;
}

/* A deputy's time has a beginning and an end, so it counts only while the clock does. */
static int find_deputies(Bus *b, Caller *c) {
        if (b->c.clock_trusted && !b->c.clock_trusted(b->c.userdata))
                return 0;
        return registry_deputies(b->c.registry, c->user.person, clock_usec(CLOCK_REALTIME), add_deputy, c);
}

/* Fills in the person and the roles from the registry as it is now. NULL when fine, else the text of the refusal and
 * its reason. */
static const char *find_person(Authorization *a, const char **ret_reason) {
        Caller *c = &a->caller;
        const Config *config = a->bus->c.config;
        _cleanup_free_ char *uuid = NULL, *why = NULL;
        bool trusted;
        int r;

        drop_deputies(c);
        user_done(&c->user);
        c->user = (User){};
        c->roles = c->own = 0;
        r = registry_user(a->bus->c.registry, c->account->name, &c->user);
        if (r == REGISTRY_E_NOT_FOUND) {
                *ret_reason = "unregistered";
                return N_("The calling account is not a registered user");
        }
        if (r != 0) {
                *ret_reason = "registry";
                return N_("The registry cannot be read");
        }
        if (c->user.retired || c->user.shared || !c->user.person || !*c->user.person)
                return NULL;
        /* As at a login: a clock that cannot be trusted ends no restriction. */
        trusted = !a->bus->c.clock_trusted || a->bus->c.clock_trusted(a->bus->c.userdata);
        r = registry_restriction(a->bus->c.registry, c->user.account, c->user.person,
                trusted ? clock_usec(CLOCK_REALTIME) : 0, &uuid, &why);
        if (r == 0)
                return NULL;
        if (r != REGISTRY_E_NOT_FOUND) {
                *ret_reason = "registry";
                return N_("The registry cannot be read");
        }
        for (Role role = 0; role < _ROLE_MAX; role++)
                if (config->role_groups[role] && account_in_group(c->account, config->role_groups[role]))
                        c->own |= ROLE_BIT(role);
        c->roles = c->own;
        if (find_deputies(a->bus, c) != 0) {
                *ret_reason = "registry";
                return N_("The registry cannot be read");
        }
        return NULL;
}

/* True when the caller's person and roles are good for what is asked; else it is answered. */
static bool person_may(Authorization *a) {
        const char *text, *reason = NULL;

        text = find_person(a, &reason);
        if (text) {
                refuse(a, strcmp(reason, "registry") == 0 ? "Unusable" : "Refused", reason, text);
                return false;
        }
        if (a->ask.roles && !caller_has(&a->caller, a->ask.roles)) {
                refuse(a, "Refused", "role", N_("The caller holds none of the roles that may do this"));
                return false;
        }
        return true;
}

static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Authorization *a = userdata;
        int authorized, challenge, r;

        if (sd_bus_message_is_method_error(reply, NULL)) {
                refuse(a, "Refused", "polkit", N_("polkit did not answer, and without it nothing is allowed"));
                return 0;
        }
        r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
        if (r >= 0)
                r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
        if (r < 0)
                refuse(a, "Refused", "polkit", N_("polkit's answer could not be read"));
        else if (!authorized && challenge)
                refuse(a, "Refused", "polkit",
                        N_("The caller has to prove who they are, and no agent of polkit could ask them"));
        else if (!authorized)
                refuse(a, "Refused", "polkit", N_("polkit refused"));
        else if (person_may(a)) /* again: asking took time */
                allow(a);
        return 0;
}

static void ask_polkit(Authorization *a) {
        bool interactive = sd_bus_message_get_allow_interactive_authorization(a->m) > 0;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(a->bus->bus, &call, "org.freedesktop.PolicyKit1",
                "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(call, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s", a->caller.sender,
                        a->ask.action, 0, interactive ? 1u : 0u, "");
        if (r >= 0)
                r = sd_bus_call_async(a->bus->bus, &a->slot, call, on_polkit, a,
                        interactive ? POLKIT_PERSON_USEC : POLKIT_ANSWER_USEC);
        if (r < 0)
                fail(a, r);
}

static void decide(Authorization *a) {
        if (a->ask.action)
                ask_polkit(a);
        else
                allow(a);
}

static void on_other(int r, Account *account, void *userdata);

/* Looks the person's other accounts up, one after the other. One that NSS does not know has no groups; one that it does
 * not tell about is a reason to refuse. */
static void look_at_others(Authorization *a) {
        while (a->next_other < json_object_array_length(a->others)) {
                const char *account = json_string(json_object_array_get_idx(a->others, a->next_other), "account");
                LookupQuery *query = NULL;
                int r;

                if (!account || strcmp(account, a->caller.account->name) == 0) {
                        a->next_other++;
                        continue;
                }
                a->answered = false;
                a->starting = true;
                r = lookup_name(a->bus->c.lookup, account, on_other, a, &query);
                a->starting = false;
                if (r < 0) {
                        fail(a, r);
                        return;
                }
                if (!a->answered) {
                        a->query = query;
                        return;
                }
                if (a->next_other == NOT_TOLD) /* set by on_other() */
                        break;
        }
        if (a->next_other == NOT_TOLD)
                refuse(a, "Unavailable", "lookup", N_("The name service does not answer; try again later"));
        else
                decide(a);
}

static void on_other(int r, Account *account, void *userdata) {
        Authorization *a = userdata;

        a->query = NULL;
        a->answered = true;
        if (r == 0 && a->next_other < a->n_own)
                a->caller.others[a->n_others++] = account_ref(account);
        else if (r == 0)
                a->caller.targets[a->n_targets++] = account_ref(account);
        if (r == 0 || r == LOOKUP_E_UNKNOWN)
                a->next_other++;
        else
                a->next_other = NOT_TOLD;
        if (!a->starting)
                look_at_others(a);
}

/* Appends the rows of a person's accounts, and makes room for what NSS will tell about them. */
static int list_accounts(Authorization *a, const char *person, Account ***ret) {
        _cleanup_json_ json_object *filter = json_object_new_object(), *rows = NULL;
        int r;

        if (!filter || json_set_string(filter, "person", person) < 0)
                return -ENOMEM;
        r = registry_row_list(a->bus->c.registry, NOUN_USER, filter, OTHERS_MAX + 1, &rows, NULL);
        if (r != 0)
                return r < 0 ? r : -EIO;
        if (json_object_array_length(rows) > OTHERS_MAX)
                return -E2BIG;
        for (size_t i = 0; i < json_object_array_length(rows); i++)
                if (json_object_array_add(a->others, json_object_get(json_object_array_get_idx(rows, i))) < 0)
                        return -ENOMEM;
        *ret = calloc(json_object_array_length(rows) + 1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
}

static int list_others(Authorization *a) {
        int r = 0;

        a->others = json_object_new_array();
        if (!a->others)
                return -ENOMEM;
        if (a->ask.others)
                r = list_accounts(a, a->caller.user.person, &a->caller.others);
        a->n_own = json_object_array_length(a->others);
        if (r == 0 && a->target && !caller_is(&a->caller, a->target))
                r = list_accounts(a, a->target, &a->caller.targets);
        return r;
}

static void on_account(int r, Account *account, void *userdata) {
        Authorization *a = userdata;

        a->query = NULL;
        if (r < 0) {
                fail(a, r);
                return;
        }
        if (r == LOOKUP_E_UNKNOWN) {
                refuse(a, "Refused", "unregistered", N_("The calling uid has no account"));
                return;
        }
        if (r != 0) {
                refuse(a, "Unavailable", "lookup", N_("The name service does not answer; try again later"));
                return;
        }
        if (account->uid != a->caller.uid) {
                refuse(a, "Refused", "lookup", N_("The name service contradicts itself about the caller"));
                return;
        }
        a->caller.account = account_ref(account);
        if (!person_may(a))
                return;
        if (!a->ask.others && !a->target) {
                decide(a);
                return;
        }
        r = list_others(a);
        if (r < 0)
                fail(a, r);
        else
                look_at_others(a);
}

static int on_uid(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Authorization *a = userdata;
        LookupQuery *query = NULL;
        unsigned same = 0;
        uint32_t uid;
        int r;

        a->slot = sd_bus_slot_unref(a->slot);
        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "u", &uid) < 0) {
                /* gone, or the bus daemon will not say: nobody is nobody */
                (void)bus_refuse(a->m, "Refused", N_("The caller could not be identified"));
                authorization_free(a);
                return 0;
        }
        a->caller.uid = uid;
        for (Authorization *i = a->bus->authorizations; i; i = i->next)
                same += i->caller.uid == uid;
        if (uid != 0 && same > AUTHORIZATIONS_PER_UID) {
                (void)bus_refuse(a->m, "Unavailable", N_("Too many calls at once; try again later"));
                authorization_free(a);
                return 0;
        }
        if (a->ask.root) {
                if (uid != 0)
                        refuse(a, "Refused", "role", N_("Only root may set up a terminal"));
                else
                        allow(a);
                return 0;
        }
        if (uid == 0 && a->ask.or_root) {
                allow(a);
                return 0;
        }
        if (uid == 0) {
                refuse(a, "Refused", "role", N_("root holds no role: call as yourself, from your own account"));
                return 0;
        }
        /* a cached answer calls on_account() at once, and `a` may be gone then: nothing of it is touched unless a query
         * is under way */
        r = lookup_uid(a->bus->c.lookup, uid, on_account, a, &query);
        if (r < 0)
                fail(a, r);
        else if (query)
                a->query = query;
        return 0;
}

int authorize(Bus *b, sd_bus_message *m, const Ask *ask) {
        const char *sender = sd_bus_message_get_sender(m);
        unsigned same = 0;
        Authorization *a;
        int r;

        if (!sender)
                return bus_refuse(m, "Refused", N_("The caller could not be identified"));
        for (Authorization *i = b->authorizations; i; i = i->next)
                same += strcmp(i->caller.sender, sender) == 0;
        if (same >= AUTHORIZATIONS_PER_SENDER || b->n_authorizations >= AUTHORIZATIONS_MAX)
                return bus_refuse(m, "Unavailable", N_("Too many calls at once; try again later"));

        a = calloc(1, sizeof(*a));
        if (!a)
                return -ENOMEM;
        a->bus = b;
        a->m = sd_bus_message_ref(m);
        a->ask = *ask;
        a->ask.target = NULL;
        a->caller.sender = sender;
        a->caller.uid = (uid_t)-1;
        a->next = b->authorizations;
        b->authorizations = a;
        b->n_authorizations++;
        if (ask->target && !(a->target = strdup(ask->target))) {
                authorization_free(a);
                return -ENOMEM;
        }

        r = sd_bus_call_method_async(b->bus, &a->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                "org.freedesktop.DBus", "GetConnectionUnixUser", on_uid, a, "s", sender);
        if (r < 0) {
                authorization_free(a);
                return r;
        }
        return 1;
}
