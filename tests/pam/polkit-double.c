/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

/* polkit-double FILE: stands for polkitd on the private bus of the tests. It answers CheckAuthorization as FILE says at
 * that moment (yes, no, challenge, error, silent; hold: not before FILE says something else), and appends each question
 * to FILE.log: kind of subject, its bus name, action, flags. It shows what keishid asks and how it takes each answer;
 * it cannot show polkit's own rules, nor a person being asked. */

static const char *path;

static void read_answer(char answer[static 16]) {
        FILE *f = fopen(path, "re");

        *answer = '\0';
        if (f && fgets(answer, 16, f))
                answer[strcspn(answer, "\n")] = '\0';
        if (f)
                fclose(f);
}

static int on_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *kind, *key, *name, *action;
        char answer[16], log[4096];
        unsigned flags;
        FILE *f;
        int r;

        r = sd_bus_message_enter_container(m, 'r', "sa{sv}");
        if (r >= 0)
                r = sd_bus_message_read(m, "sa{sv}", &kind, 1, &key, "s", &name);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = sd_bus_message_read(m, "s", &action);
        if (r >= 0)
                r = sd_bus_message_skip(m, "a{ss}");
        if (r >= 0)
                r = sd_bus_message_read(m, "u", &flags);
        if (r < 0)
                return r;

        (void)snprintf(log, sizeof(log), "%s.log", path);
        f = fopen(log, "ae");
        if (f) {
                (void)fprintf(f, "%s %s=%s %s %u\n", kind, key, name, action, flags);
                fclose(f);
        }
        read_answer(answer);
        while (strcmp(answer, "hold") == 0) {
                (void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
                read_answer(answer);
        }
        if (strcmp(answer, "silent") == 0)
                return 1;
        if (strcmp(answer, "error") == 0)
                return sd_bus_reply_method_errorf(m, "org.freedesktop.PolicyKit1.Error.Failed", "as told");
        return sd_bus_reply_method_return(
                m, "(bba{ss})", strcmp(answer, "yes") == 0, strcmp(answer, "challenge") == 0, 0);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", on_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int main(int argc, char **argv) {
        sd_bus *bus = NULL;
        int r;

        if (argc != 2)
                return EXIT_FAILURE;
        path = argv[1];
        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
                        "org.freedesktop.PolicyKit1.Authority", vtable, NULL);
        if (r >= 0)
                r = sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0);
        if (r >= 0) {
                (void)puts("ready");
                (void)fflush(stdout);
        }
        while (r >= 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        (void)fprintf(stderr, "polkit-double: %s\n", strerror(-r));
        return EXIT_FAILURE;
}
