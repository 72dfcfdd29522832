/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "login/bus-internal.h"
#include "registry/import.h"

/* What import-bus.c (the methods) and import-run.c (an import on its way) share. */

#define REFUSALS_MAX 16u /* of one call, that are recorded */

typedef enum State {
        STATE_NONE,
        STATE_STAGING,
        STATE_SCANNING,  /* committing: what is there and not in the file */
        STATE_SCREENING, /* committing: who are those that rights are taken from */
        STATE_APPLYING,
        STATE_PURGING,
} State;

struct ImportRun {
        Bus *bus;
        State state;
        Import *import;
        NounId noun;
        bool replace, dry_run, failed;

        /* the caller, until the decision */
        char *sender;
        Caller caller;
        sd_bus_slot *gone;
        sd_event_source *deadline;
        uint64_t began_usec;
        json_object *removed;
        json_object *screen; /* accounts that rights are taken from, and who is asked about next */
        size_t screened;
        LookupQuery *query;
        bool starting, answered;

        json_object *who;          /* the caller and the file, as the trail tells them */
        sd_bus_message *committer; /* the call of ImportCommit, until it is answered */
        uint64_t told_usec;

        sd_event_source *work, *retry;
};

/* Refusals that are to be recorded when no transaction is open any more. */
typedef struct Refusals {
        unsigned n;
        struct {
                char uuid[40], text[256];
                const char *reason;
        } refused[REFUSALS_MAX];
} Refusals;

/* One asking whether rows may be written. */
typedef struct Asking {
        struct ImportRun *run;
        bool scanning; /* rows that are there, and not in the file */
        const char *text, *reason;
        RegistryError unusable; /* why the import cannot go on */
        Refusals refusals;
} Asking;

/* Keeps who calls beyond the call. */
int import_caller_copy(const Caller *from, const char *sender, Caller *ret);
void import_caller_done(Caller *c);
/* The caller and the file, as the trail tells them. */
int import_who(const Caller *c, const char *file, json_object **ret);

/* Goes on with the import in this state, whenever the loop has nothing else to do. */
void import_run_work(struct ImportRun *run, State state);
int import_run_on_work(sd_event_source *s, void *userdata);
/* Whether the import can still be given up. */
bool import_undecided(const struct ImportRun *run);
/* The end of an import, good or bad. What is staged and not decided is thrown away, bit by bit. */
void import_run_end(struct ImportRun *run);
/* Everything is staged: asks NSS about those that rights are taken from, then decides. Answers the committer. */
void import_run_screen(struct ImportRun *run);

/* How many rows of each outcome, as a JSON object; NULL when out of memory. */
json_object *import_result(const struct ImportRun *run);

void import_refusal_note(Refusals *f, const char *uuid, const char *reason, const char *text);
void import_refusals_record(struct ImportRun *run, const char *method, const Refusals *f);
/* import_permit_fn, with an Asking. Of the rows that a file does not have, those that are another unit's stay; one that
 * is about the caller ends the import, as one in the file would. */
int import_permit_row(json_object *before, json_object *after, void *userdata, char deputy[static 37]);
