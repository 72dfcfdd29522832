/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

/* The files that decide who is let in and who becomes an administrator: the agent's configuration, the PAM stacks, the
 * module itself, sudoers. Reading them; what is done about it is drift.h. */

typedef struct WatchedFile {
        char *path;  /* without the prefix */
        char *state; /* "SHA256 MODE UID:GID", "directory MODE UID:GID", or in words why there is no hash */
        char *text;  /* of a small text file, values of secrets left out; else NULL */
} WatchedFile;

typedef struct FileList {
        WatchedFile *files; /* by path */
        size_t n;
} FileList;
void file_list_done(FileList *l);

/* Where to listen: a directory, and which of its entries count (NULL: all that are not hidden). */
typedef struct WatchedPlace {
        const char *directory;
        const char *const *names;
        const char *listen_for; /* further entries, whose coming and going is of interest, separated by blanks; NULL */
        bool text, secrets;     /* of text files the lines are kept; they may hold secrets */
} WatchedPlace;
extern const WatchedPlace watched_places[];
extern const size_t n_watched_places;
/* Whether a change of this entry is one to look at. */
bool watched_place_concerns(const WatchedPlace *p, const char *name);

/* Reads all of them under the prefix. What cannot be read is a state, not an error; -ENOMEM. */
int files_scan(const char *root, FileList *ret);

/* A state as a member of an event: {"hash":…,"access":…}, or {"state":…}; with the lines that only this side has, from
 * the first to the last that differ. NULL when out of memory. `other` may be NULL. */
json_object *file_state_json(const char *state, const char *text, const char *other);
