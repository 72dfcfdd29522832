/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "keishi/paths.h"
#include "login/bus-internal.h"
#include "util/clock.h"
#include "util/text.h"

#define SYSTEM_BUS_ADDRESS "unix:path=/run/dbus/system_bus_socket"

#define RETRY_MIN_USEC (1 * USEC_PER_SEC)
#define RETRY_MAX_USEC (60 * USEC_PER_SEC)

int bus_refuse(sd_bus_message *m, const char *name, const char *format, ...) {
        char error[64], text[512];
        va_list ap;

        (void)snprintf(error, sizeof(error), BUS_ERROR_PREFIX "%s", name);
        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        return sd_bus_reply_method_errorf(m, error, "%s", text);
}

int bus_refuse_registry(sd_bus_message *m, int r, const RegistryError *e) {
        static const struct {
                const char *name, *text;
        } conditions[] = {
                [REGISTRY_E_NOT_FOUND] = { "NotFound", N_("There is no such row") },
                [REGISTRY_E_EXISTS] = { "Exists", N_("There is already a row of that name") },
                [REGISTRY_E_INVALID] = { "Invalid", N_("A field is unknown, missing or malformed") },
                [REGISTRY_E_OUTSIDE] = { "Outside", N_("The designation reaches outside its scope") },
                [REGISTRY_E_IN_USE] = { "InUse", N_("Other rows refer to it") },
                [REGISTRY_E_UNUSABLE] = { "Unusable", N_("The registry cannot be used now; nothing was changed") },
                [REGISTRY_E_NEWER] = { "Unusable", N_("The registry was written by a newer keishid") },
                [REGISTRY_E_CONFLICT] = { "Conflict", N_("The row was changed by somebody else; read it again") },
        };

        if (r < 0 || (size_t)r >= ELEMENTSOF(conditions) || !conditions[r].name)
                return r < 0 ? r : -EIO;
        if (e && *e->text)
                return bus_refuse(m, conditions[r].name, "%s", e->text);
        return bus_refuse(m, conditions[r].name, "%s", conditions[r].text);
}

int bus_reply_json(sd_bus_message *m, json_object *o) {
        const char *text = json_text(o);

        return text ? sd_bus_reply_method_return(m, "s", text) : -ENOMEM;
}

Event *bus_event(EventKind kind, const Caller *caller) {
        Event *e = NULL;

        if (event_new(&e, kind) < 0)
                return NULL;
        if (!caller)
                return e;
        if (caller->uid != (uid_t)-1)
                event_set_uint(e, FIELD_UID, caller->uid);
        if (caller->account)
                event_set(e, FIELD_ACCOUNT, caller->account->name);
        else if (caller->uid == 0)
                event_set(e, FIELD_ACCOUNT, "root");
        event_set(e, FIELD_PERSON, caller->user.person);
        event_set(e, FIELD_NAME, caller->user.name);
        event_set(e, FIELD_USER_UNIT, caller->user.unit);
        return e;
}

/* Whether a refusal of this uid is recorded; how many before it were only counted. A uid that is new takes the place of
 * the one that was refused longest ago. */
static bool may_record(Bus *b, uid_t uid, unsigned *ret_counted) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);
        Refused *f = NULL, *oldest = b->refused;

        for (Refused *i = b->refused; i < b->refused + REFUSED_UIDS && !f; i++) {
                if (i->since_usec != 0 && i->uid == uid)
                        f = i;
                if (i->since_usec < oldest->since_usec)
                        oldest = i;
        }
        if (!f) {
                f = oldest;
                *f = (Refused){ .uid = uid, .since_usec = now };
        } else if (now - f->since_usec >= 60 * USEC_PER_SEC) {
                f->since_usec = now;
                f->recorded = 0;
        }
        if (f->recorded >= REFUSALS_PER_MINUTE) {
                f->counted++;
                return false;
        }
        f->recorded++;
        *ret_counted = f->counted;
        f->counted = 0;
        return true;
}

void bus_record_refusal(Bus *b, const Caller *caller, const char *method, const char *noun, const char *object,
        const char *reason, const char *detail) {
        _cleanup_(event_free_p) Event *e = bus_event(EVENT_CHANGE_REFUSED, caller);
        unsigned counted;

        if (!e || !may_record(b, caller->uid, &counted))
                return;
        if (counted > 0)
                event_set_uint(e, FIELD_COUNT, (uint64_t)counted + 1);
        event_set(e, FIELD_NOUN, noun);
        event_set(e, FIELD_OBJECT, object);
        event_set(e, FIELD_RESULT, "refused");
        event_set(e, FIELD_RULE, "default");
        event_set(e, FIELD_REASON, reason);
        event_setf(e, FIELD_DETAIL, "%s: %s", method, detail);
        trail_record_closing(b->c.trail, e);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Add", SD_BUS_ARGS("s", noun, "s", fields), SD_BUS_RESULT("s", row), registry_bus_add,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Change", SD_BUS_ARGS("s", noun, "s", id, "s", fields), SD_BUS_RESULT("s", row),
                registry_bus_change, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("s", noun, "s", id, "s", reason), SD_BUS_NO_RESULT,
                registry_bus_remove, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Get", SD_BUS_ARGS("s", noun, "s", id), SD_BUS_RESULT("s", row), registry_bus_get,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("List", SD_BUS_ARGS("s", noun, "s", filter), SD_BUS_RESULT("s", rows),
                registry_bus_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Hire", SD_BUS_ARGS("s", document), SD_BUS_RESULT("s", result), staff_bus_hire,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Transfer", SD_BUS_ARGS("s", account, "s", document), SD_BUS_RESULT("s", result),
                staff_bus_transfer, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Retire", SD_BUS_ARGS("s", account, "s", reason), SD_BUS_RESULT("s", result),
                staff_bus_retire, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RenameUnit", SD_BUS_ARGS("s", old, "s", new, "s", reason), SD_BUS_RESULT("u", rows),
                unit_bus_rename, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AccessReview", SD_BUS_ARGS("t", after, "s", filter),
                SD_BUS_RESULT("s", page, "t", last), access_bus_review, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AccessReviewed", SD_BUS_ARGS("s", document), SD_BUS_RESULT("u", reviewed),
                access_bus_reviewed, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Export", SD_BUS_ARGS("s", noun, "t", after, "u", limit),
                SD_BUS_RESULT("s", rows, "t", last), export_bus_rows, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ImportBegin", SD_BUS_ARGS("s", noun, "s", options), SD_BUS_NO_RESULT, import_bus_begin,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ImportRows", SD_BUS_ARGS("s", rows), SD_BUS_RESULT("s", result), import_bus_rows,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ImportCommit", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", result), import_bus_commit,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "ImportAbort", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, import_bus_abort, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Backup", SD_BUS_ARGS("t", after), SD_BUS_RESULT("s", page, "t", last),
                restore_bus_backup, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "RestoreBegin", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, restore_bus_begin, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RestoreRows", SD_BUS_ARGS("s", noun, "s", rows), SD_BUS_RESULT("u", staged),
                restore_bus_rows, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RestoreCommit", SD_BUS_ARGS("s", document), SD_BUS_RESULT("s", result),
                restore_bus_commit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "RestoreAbort", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, restore_bus_abort, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("ImportProgress", SD_BUS_ARGS("t", done, "t", total), 0),
        SD_BUS_METHOD_WITH_ARGS(
                "CardLook", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", found), credential_bus_look, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CardRegister", SD_BUS_ARGS("s", document), SD_BUS_RESULT("s", row),
                credential_bus_register_card, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "KeyLook", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", found), key_bus_look, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("KeyRegister", SD_BUS_ARGS("s", document), SD_BUS_RESULT("s", row), key_bus_register,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("KeyProgress", SD_BUS_ARGS("s", step, "u", sample, "u", remaining), 0),
        SD_BUS_METHOD_WITH_ARGS("CredentialAct", SD_BUS_ARGS("s", act, "s", kind, "s", whom, "s", reason),
                SD_BUS_RESULT("s", row), credential_bus_act, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Check", SD_BUS_ARGS("s", request), SD_BUS_RESULT("s", verdict), check_bus_check,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CheckAll", SD_BUS_ARGS("s", requests), SD_BUS_RESULT("s", verdicts),
                check_bus_check_all, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AttemptList", SD_BUS_ARGS("s", account), SD_BUS_RESULT("s", attempts),
                attempt_bus_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AttemptRelease", SD_BUS_ARGS("s", account, "s", origin, "s", reason),
                SD_BUS_RESULT("u", released), attempt_bus_release, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("TrailList", SD_BUS_ARGS("t", after, "u", limit, "s", filter),
                SD_BUS_RESULT("s", entries, "t", last), trail_bus_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Audit", SD_BUS_ARGS("s", request), SD_BUS_RESULT("s", facts), audit_bus_audit,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Status", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", status), status_bus_status, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ConfirmClock", SD_BUS_ARGS("s", reason), SD_BUS_NO_RESULT, status_bus_confirm_clock,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AcceptDrift", SD_BUS_ARGS("s", state, "s", reason), SD_BUS_RESULT("u", files),
                drift_bus_accept, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Enrol", SD_BUS_ARGS("s", terminal, "s", reason), SD_BUS_RESULT("s", identity),
                identity_bus_enrol, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RetireTerminal", SD_BUS_ARGS("s", terminal, "s", reason), SD_BUS_RESULT("s", result),
                identity_bus_retire, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetupFinished", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, drift_bus_setup_finished,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Hardened", SD_BUS_ARGS("s", document), SD_BUS_NO_RESULT, harden_bus_hardened,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Setup", SD_BUS_ARGS("s", document), SD_BUS_RESULT("s", result), setup_bus_setup,
                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int connect_bus(Bus *b);

static void disconnect_bus(Bus *b) {
        b->ready = false;
        authorize_drop_all(b);
        resolve_drop_all(b);
        credential_bus_done(b);
        key_bus_done(b);
        trail_bus_done(b);
        access_bus_done(b);
        export_bus_done(b);
        restore_bus_done(b);
        import_bus_disconnected(b);
        if (b->bus) {
                (void)sd_bus_detach_event(b->bus);
                sd_bus_close(b->bus);
                b->bus = sd_bus_unref(b->bus);
        }
}

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        Bus *b = userdata;

        disconnect_bus(b);
        (void)connect_bus(b);
        return 0;
}

/* Tries again from the loop, never from within a callback of the connection that is given up. */
static void retry_later(Bus *b) {
        uint64_t wait = b->retry_usec;

        b->ready = false;
        b->retry_usec = wait * 2 < RETRY_MAX_USEC ? wait * 2 : RETRY_MAX_USEC;
        b->retry = sd_event_source_unref(b->retry);
        (void)sd_event_add_time_relative(b->c.event, &b->retry, CLOCK_BOOTTIME, wait, USEC_PER_SEC / 4, on_retry, b);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        retry_later(userdata);
        return 0;
}

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;
        uint32_t result;

        if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "u", &result) < 0 ||
                (result != 1 && result != 4)) {
                retry_later(b); /* the bus's policy forbids it, or another has the name */
                return 0;
        }
        b->ready = true;
        b->retry_usec = RETRY_MIN_USEC;
        return 0;
}

static int connect_bus(Bus *b) {
        const char *address = b->address;
        int r;

        if (!address)
                address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
        r = sd_bus_new(&b->bus);
        if (r >= 0)
                r = sd_bus_set_address(b->bus, address ? address : SYSTEM_BUS_ADDRESS);
        if (r >= 0)
                r = sd_bus_set_bus_client(b->bus, 1);
        if (r >= 0)
                r = sd_bus_set_description(b->bus, "system");
        if (r >= 0)
                r = sd_bus_start(b->bus);
        if (r >= 0)
                r = sd_bus_attach_event(b->bus, b->c.event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(b->bus, NULL, KEISHI_BUS_PATH, KEISHI_BUS_NAME ".Manager", vtable, b);
        if (r >= 0)
                r = sd_bus_match_signal_async(b->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                        "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, b);
        if (r >= 0)
                r = sd_bus_request_name_async(b->bus, NULL, KEISHI_BUS_NAME, 0, on_name, b);
        if (r < 0)
                retry_later(b);
        return r;
}

int bus_new(Bus **ret, const BusContext *context, const char *address) {
        _cleanup_(bus_free_p) Bus *b = NULL;
        int r;

        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        b->c = *context;
        b->c.event = sd_event_ref(context->event);
        b->retry_usec = RETRY_MIN_USEC;
        b->started_usec = clock_usec(CLOCK_REALTIME);
        if (address) {
                b->address = strdup(address);
                if (!b->address)
                        return -ENOMEM;
        }
        r = import_bus_start(b);
        if (r < 0)
                return r;
        restore_bus_start(b);
        (void)connect_bus(b); /* a bus that is not there yet is tried again */
        *ret = TAKE_PTR(b);
        return 0;
}

Bus *bus_free(Bus *b) {
        if (!b)
                return NULL;
        disconnect_bus(b);
        import_bus_done(b);
        credential_bus_done(b);
        key_bus_done(b);
        b->retry = sd_event_source_unref(b->retry);
        sd_event_unref(b->c.event);
        free(b->address);
        free(b);
        return NULL;
}

sd_bus *bus_connection(const Bus *b) {
        return b && b->bus && sd_bus_is_ready(b->bus) > 0 ? b->bus : NULL;
}

bool bus_ready(const Bus *b) {
        return b && b->ready;
}
