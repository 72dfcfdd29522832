/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "config/key.h"
#include "fuzz.h"

/* keishid.conf. Either everything is set and in range, or there is an error that names the file. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(config_free_p) Config *c = NULL;
        _cleanup_free_ char *error = NULL, *text = NULL;
        const ConfigKey *keys;
        size_t n;

        text = malloc(size + 1);
        require(text);
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';

        if (config_parse(&c, "keishid.conf", text, size, &error) < 0) {
                require(!c);
                require(error && strncmp(error, "keishid.conf:", 13) == 0);
                return 0;
        }

        require(!error);
        require(c->hash && strlen(c->hash) == 64);
        keys = config_keys(&n);
        for (size_t i = 0; i < n; i++) {
                const char *at = (const char *)c + keys[i].offset;

                if (keys[i].type == KEY_DURATION)
                        require(*(const uint64_t *)at >= keys[i].min && *(const uint64_t *)at <= keys[i].max);
                if (keys[i].type == KEY_LOCALE || keys[i].type == KEY_GROUP)
                        require(*(char *const *)at);
                if (keys[i].type == KEY_FACTORS && keys[i].family >= 0)
                        require(config_factors(c, keys[i].family, (unsigned)keys[i].min)->n > 0 ||
                                keys[i].family == FAMILY_REMOTE);
        }
        require(c->attempts_max >= 1 && c->connections_per_uid >= 1 && c->staff_uid_min >= 1);
        return 0;
}
