/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/factor-wire.h"
#include "factor/public-key.h"
#include "login/authorize.h"
#include "login/bus.h"
#include "login/resolve.h"
#include "login/text.h"
#include "util/json.h"

/* What the files of the bus surface (…-bus.c, bus.c, authorize.c) share. */

#define BUS_ERROR_PREFIX "org.keishi1.Error."

/* Refusals that one uid gets recorded in a minute; further ones are counted, and told with the next one that is
 * recorded: nobody fills the disk by being refused. */
#define REFUSALS_PER_MINUTE 60u
#define REFUSED_UIDS        16u

typedef struct Refused {
        uid_t uid;
        unsigned recorded, counted;
        uint64_t since_usec; /* CLOCK_BOOTTIME; 0: free */
} Refused;

/* A card that was read for somebody who may register it. */
#define LOOKED_MAX 8u
typedef struct LookedCard {
        uid_t uid;
        uint64_t at_usec; /* CLOCK_BOOTTIME; 0: free */
        CardApplication application;
        unsigned char spki[PUBLIC_KEY_MAX];
        size_t size;
} LookedCard;

struct Bus {
        BusContext c;
        char *address;
        sd_bus *bus;
        sd_event_source *retry;
        uint64_t retry_usec;
        bool ready;
        uint64_t started_usec; /* CLOCK_REALTIME */

        Authorization *authorizations;
        unsigned n_authorizations;

        struct TrailReader *readers;  /* trail-bus.c */
        sd_event_source *review_idle; /* access-bus.c: a review is being read until it fires */
        Resolve *resolves;
        struct ImportRun *import; /* import-bus.c */
        struct ExportReader *exports;
        struct BackupReader *backup; /* restore-bus.c */
        struct RestoreRun *restore;
        struct Look *looks; /* credential-bus.c */
        LookedCard looked[LOOKED_MAX];
        struct KeyRun *key_run; /* key-bus.c */

        Refused refused[REFUSED_UIDS];

        uint64_t counts[_NOUN_MAX]; /* live rows, for Status; counted again only after a change */
        bool counted;
};

/* Answers a method call with org.keishi1.Error.NAME and a text for people. */
int bus_refuse(sd_bus_message *m, const char *name, const char *format, ...) _printf_(3, 4);
/* Answers with what a registry function returned: `r` is positive (REGISTRY_E_…) or a negative errno; `e` may be NULL.
 */
int bus_refuse_registry(sd_bus_message *m, int r, const RegistryError *e);
/* Answers with one JSON text. */
int bus_reply_json(sd_bus_message *m, json_object *o);

/* Starts an entry that says who calls: account, uid, person, name, unit. NULL when out of memory. */
Event *bus_event(EventKind kind, const Caller *caller);
/* Records CHANGE_REFUSED for a call; what is not known is NULL. See REFUSALS_PER_MINUTE. */
void bus_record_refusal(Bus *b, const Caller *caller, const char *method, const char *noun, const char *object,
        const char *reason, const char *detail);

/* Whether the account is one of the caller's person, or a shared ID that the caller may use: 1, 0 or a negative errno.
 */
int bus_account_is_callers(Bus *b, const Caller *caller, const char *account);

/* What a verdict is asked about. */
typedef struct CheckQuery {
        const char *account, *target, *service, *terminal; /* target and terminal may be NULL */
        const Account *nss, *target_nss;                   /* NULL: unknown to NSS */
        bool remote;
        uint64_t now_usec;
        bool clock_trusted;
} CheckQuery;
/* The verdict as a JSON object. 0, or as facts_judge(). */
int check_verdict(Bus *b, const CheckQuery *q, json_object **ret);

/* "password" or "card password, biometric": alternatives separated by commas. NULL when out of memory. */
char *factors_to_text(const unsigned *alternatives, size_t n);
/* Adds the combinations that a terminal of this class asks for, by family, as the member "factors". */
int factors_add(const Config *c, unsigned confidentiality, json_object *o);

/* Method handlers, in the order of the vtable. */
int registry_bus_add(sd_bus_message *m, void *userdata, sd_bus_error *error);
int registry_bus_change(sd_bus_message *m, void *userdata, sd_bus_error *error);
int registry_bus_remove(sd_bus_message *m, void *userdata, sd_bus_error *error);
int registry_bus_get(sd_bus_message *m, void *userdata, sd_bus_error *error);
int registry_bus_list(sd_bus_message *m, void *userdata, sd_bus_error *error);
int staff_bus_hire(sd_bus_message *m, void *userdata, sd_bus_error *error);
int staff_bus_transfer(sd_bus_message *m, void *userdata, sd_bus_error *error);
int staff_bus_retire(sd_bus_message *m, void *userdata, sd_bus_error *error);
int unit_bus_rename(sd_bus_message *m, void *userdata, sd_bus_error *error);
int access_bus_review(sd_bus_message *m, void *userdata, sd_bus_error *error);
int access_bus_reviewed(sd_bus_message *m, void *userdata, sd_bus_error *error);
int credential_bus_look(sd_bus_message *m, void *userdata, sd_bus_error *error);
int credential_bus_register_card(sd_bus_message *m, void *userdata, sd_bus_error *error);
int key_bus_look(sd_bus_message *m, void *userdata, sd_bus_error *error);
int key_bus_register(sd_bus_message *m, void *userdata, sd_bus_error *error);
int credential_bus_act(sd_bus_message *m, void *userdata, sd_bus_error *error);
int export_bus_rows(sd_bus_message *m, void *userdata, sd_bus_error *error);
int import_bus_begin(sd_bus_message *m, void *userdata, sd_bus_error *error);
int import_bus_rows(sd_bus_message *m, void *userdata, sd_bus_error *error);
int import_bus_commit(sd_bus_message *m, void *userdata, sd_bus_error *error);
int import_bus_abort(sd_bus_message *m, void *userdata, sd_bus_error *error);
int restore_bus_backup(sd_bus_message *m, void *userdata, sd_bus_error *error);
int restore_bus_begin(sd_bus_message *m, void *userdata, sd_bus_error *error);
int restore_bus_rows(sd_bus_message *m, void *userdata, sd_bus_error *error);
int restore_bus_commit(sd_bus_message *m, void *userdata, sd_bus_error *error);
int restore_bus_abort(sd_bus_message *m, void *userdata, sd_bus_error *error);
int check_bus_check(sd_bus_message *m, void *userdata, sd_bus_error *error);
int check_bus_check_all(sd_bus_message *m, void *userdata, sd_bus_error *error);
int attempt_bus_list(sd_bus_message *m, void *userdata, sd_bus_error *error);
int attempt_bus_release(sd_bus_message *m, void *userdata, sd_bus_error *error);
int audit_bus_audit(sd_bus_message *m, void *userdata, sd_bus_error *error);
int trail_bus_list(sd_bus_message *m, void *userdata, sd_bus_error *error);
int status_bus_status(sd_bus_message *m, void *userdata, sd_bus_error *error);
int status_bus_confirm_clock(sd_bus_message *m, void *userdata, sd_bus_error *error);
int drift_bus_accept(sd_bus_message *m, void *userdata, sd_bus_error *error);
int drift_bus_setup_finished(sd_bus_message *m, void *userdata, sd_bus_error *error);
int harden_bus_hardened(sd_bus_message *m, void *userdata, sd_bus_error *error);
int identity_bus_enrol(sd_bus_message *m, void *userdata, sd_bus_error *error);
int identity_bus_retire(sd_bus_message *m, void *userdata, sd_bus_error *error);
int setup_bus_setup(sd_bus_message *m, void *userdata, sd_bus_error *error);

void trail_bus_done(Bus *b);
void access_bus_done(Bus *b);

/* A reading page by page, by one connection and one filter: polkit is asked at its beginning. Whether a call goes on
 * with one, and where it got to then (`after` as it was called with). */
bool bus_reading_goes_on(Bus *b, const char *sender, uint64_t after, const char *filter);
int bus_reading_note(Bus *b, const char *sender, uint64_t after, const char *filter, uint64_t last);

/* Goes on with an import that was interrupted. */
int import_bus_start(Bus *b);
/* The connection to the bus is gone: an import that was not decided is given up. */
void import_bus_disconnected(Bus *b);
void import_bus_done(Bus *b);
void export_bus_done(Bus *b);
/* The connection to the bus is gone: backups and restores under way are given up. */
void restore_bus_done(Bus *b);
/* At the start: what a restore that was interrupted has staged is thrown away. */
void restore_bus_start(Bus *b);
/* Whether rows of an import are staged or being applied. */
bool import_bus_under_way(const Bus *b);
void credential_bus_done(Bus *b);
void key_bus_done(Bus *b);
