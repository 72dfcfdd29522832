/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/lifecycle.h"

#include <errno.h>
#include <string.h>

#include "keishi/paths.h"

#define META_RUNNING "running" /* boot id of the run that has not stopped yet */

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

bool lifecycle_power_was_cut(Registry *registry, const char *boot_id) {
        _cleanup_free_ char *running = NULL;

        return registry_meta_get(registry, META_RUNNING, &running) == 0 && strcmp(running, boot_id) != 0;
}

static int record_started(Registry *registry, Trail *trail, const Config *config, const char *boot_id) {
        _cleanup_free_ char *running = NULL;
        char day[CONFIG_DAY_TEXT_MAX], observe[96] = "";
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
        return r;
}

int lifecycle_started(Registry *registry, Trail *trail, const Config *config, const char *boot_id) {
        int r;

        r = registry_begin(registry);
        if (r != 0)
                return r;
        r = record_started(registry, trail, config, boot_id);
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
