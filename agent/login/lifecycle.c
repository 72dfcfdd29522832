/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/lifecycle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#include "keishi/paths.h"
#include "util/io.h"

#define META_RUNNING  "running" /* boot id of the run that has not stopped yet */
#define META_PAM_HASH "pam-hash"
#define PAM_FILE_MAX  (256u * 1024)

static void evp_md_ctx_free_p(EVP_MD_CTX **c) {
        EVP_MD_CTX_free(*c);
}

static int is_visible(const struct dirent *d) {
        return d->d_name[0] != '.';
}

/* SHA-256 over name and content of every file, in the order of names, as hexadecimal. */
static int hash_directory(const char *path, char ret[65]) {
        _cleanup_(evp_md_ctx_free_p) EVP_MD_CTX *c = EVP_MD_CTX_new();
        unsigned char digest[EVP_MAX_MD_SIZE];
        _cleanup_close_ int fd = -EBADF;
        struct dirent **entries;
        unsigned size = 0;
        int n, r = 0;

        if (!c || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = scandirat(fd, ".", &entries, is_visible, alphasort);
        if (n < 0)
                return -errno;
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *content = NULL;
                const char *name = entries[i]->d_name;
                size_t length = 0;
                struct stat st;

                if (r == 0 && fstatat(fd, name, &st, 0) == 0 && S_ISREG(st.st_mode)) {
                        r = io_read_file(fd, name, PAM_FILE_MAX, &content, &length);
                        if (r == 0 && (EVP_DigestUpdate(c, name, strlen(name) + 1) != 1 ||
                                              EVP_DigestUpdate(c, &length, sizeof(length)) != 1 ||
                                              EVP_DigestUpdate(c, content, length) != 1))
                                r = -ENOMEM;
                }
                free(entries[i]);
        }
        free(entries);
        if (r < 0)
                return r;
        if (EVP_DigestFinal_ex(c, digest, &size) != 1)
                return -ENOMEM;
        for (unsigned i = 0; i < size; i++)
                snprintf(ret + 2 * i, 3, "%02x", digest[i]);
        return 0;
}

static int append(Trail *trail, EventKind kind, const char *path, const char *hash, const char *detail) {
        _cleanup_(event_free_p) Event *e = NULL;
        int r;

        r = event_new(&e, kind);
        if (r < 0)
                return r;
        event_set(e, FIELD_PATH, path);
        event_set(e, FIELD_HASH, hash);
        event_set(e, FIELD_DETAIL, detail);
        event_set(e, FIELD_RESULT, "done");
        return trail_append(trail, e);
}

static int record_started(
        Registry *registry, Trail *trail, const Config *config, const char *pam_dir, const char *boot_id) {
        _cleanup_free_ char *running = NULL, *seen = NULL;
        char hash[65] = "", day[CONFIG_DAY_TEXT_MAX], observe[96] = "";
        int r;

        if (config->observe) {
                config_observe_day(config, day);
                (void)snprintf(observe, sizeof(observe),
                        "Mode=observe until %s: refuses only the restricted and the retired", day);
        }
        r = registry_meta_get(registry, META_RUNNING, &running);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        if (r == 0) {
                r = append(trail, EVENT_AGENT_CRASHED, NULL, NULL,
                        strcmp(running, boot_id) == 0 ? "the agent was killed or crashed"
                                                      : "the machine stopped without an orderly shutdown");
                if (r != 0)
                        return r;
        }
        r = registry_meta_set(registry, META_RUNNING, boot_id);
        if (r == 0)
                r = append(trail, EVENT_AGENT_STARTED, NULL, NULL, "keishid " KEISHI_VERSION);
        if (r == 0)
                r = append(trail, EVENT_POLICY_LOADED, KEISHI_CONFIG_FILE, config->hash, observe);
        if (r != 0)
                return r;

        r = registry_meta_get(registry, META_PAM_HASH, &seen);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        r = hash_directory(pam_dir, hash);
        if (r < 0)
                return append(trail, EVENT_PAM_STACK, pam_dir, NULL, strerror(-r));
        if (seen && strcmp(seen, hash) == 0)
                return 0;
        r = append(trail, EVENT_PAM_STACK, pam_dir, hash, seen ? "changed" : "first seen");
        return r != 0 ? r : registry_meta_set(registry, META_PAM_HASH, hash);
}

int lifecycle_started(
        Registry *registry, Trail *trail, const Config *config, const char *pam_dir, const char *boot_id) {
        int r;

        r = registry_begin(registry);
        if (r != 0)
                return r;
        r = record_started(registry, trail, config, pam_dir, boot_id);
        if (r == 0)
                r = registry_commit(registry);
        if (r != 0) {
                registry_rollback(registry);
                return r;
        }
        trail_kick(trail);
        return 0;
}

void lifecycle_stopped(Registry *registry, Trail *trail) {
        _cleanup_(event_free_p) Event *e = NULL;

        if (event_new(&e, EVENT_AGENT_STOPPED) < 0)
                return;
        event_set(e, FIELD_RESULT, "done");
        if (registry_begin(registry) == 0) {
                if (registry_meta_set(registry, META_RUNNING, NULL) == 0 && trail_append(trail, e) == 0 &&
                        registry_commit(registry) == 0) {
                        trail_kick(trail);
                        return;
                }
                registry_rollback(registry);
        }
        trail_record_closing(trail, e);
}
