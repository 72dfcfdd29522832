/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

#include "ctl/pam-stack.h"
#include "ctl/precondition.h"

/* A directory stands for the machine: /boot, /etc, /proc, /sys as files of the test's own. It cannot show that the
 * kernel and GRUB write what is assumed here. */

static char root[] = "/tmp/keishi-precondition-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static void make_directories(const char *path) {
        char text[512];

        (void)snprintf(text, sizeof(text), "%s", path);
        for (char *p = text + 1; (p = strchr(p, '/')); p++) {
                *p = '\0';
                (void)mkdir(text, 0755);
                *p = '/';
        }
}

static void put_bytes(const char *path, const char *bytes, size_t size) {
        char full[512];
        FILE *f;

        (void)snprintf(full, sizeof(full), "%s%s", root, path);
        make_directories(full);
        f = fopen(full, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, size, f), size);
        assert_int_equal(fclose(f), 0);
}

static void put(const char *path, const char *text) {
        put_bytes(path, text, strlen(text));
}

static void put_link(const char *path, const char *target) {
        char full[512];

        (void)snprintf(full, sizeof(full), "%s%s", root, path);
        make_directories(full);
        assert_int_equal(symlink(target, full), 0);
}

static int clear(void **state) {
        (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return mkdir(root, 0755);
}

static PreconditionState look(const char *id, const char *says) {
        for (const Precondition *p = preconditions; p->id; p++)
                if (strcmp(p->id, id) == 0) {
                        _cleanup_free_ char *detail = NULL;
                        PreconditionState state = p->check(root, &detail);

                        if (says) {
                                assert_non_null(detail);
                                assert_non_null(strstr(detail, says));
                        }
                        return state;
                }
        fail_msg("no precondition %s", id);
        return _PRECONDITION_STATE_MAX;
}

static void test_boot_loader_needs_superusers_and_a_password(void **state) {
        assert_int_equal(look("boot-loader-password", "another boot loader"), PRECONDITION_UNKNOWN);
        put("/boot/grub/grub.cfg", "set default=0\n");
        assert_int_equal(look("boot-loader-password", "no superusers"), PRECONDITION_MISSING);
        put("/boot/grub/grub.cfg",
                "# set superusers=\"root\"\nset superusers=\"\"\npassword_pbkdf2 root grub.pbkdf2\n");
        assert_int_equal(look("boot-loader-password", "no superusers"), PRECONDITION_MISSING);
        put("/boot/grub/grub.cfg", "set superusers=\"root\"\n");
        assert_int_equal(look("boot-loader-password", "no password"), PRECONDITION_MISSING);
        put("/boot/grub/grub.cfg", "set superusers=\"root\"\n  password_pbkdf2 root grub.pbkdf2.sha512\n");
        assert_int_equal(look("boot-loader-password", NULL), PRECONDITION_HELD);
}

static void test_rescue_shells_are_closed_by_masking_both(void **state) {
        assert_int_equal(look("rescue-shells", "rescue.service"), PRECONDITION_MISSING);
        put_link("/etc/systemd/system/rescue.service", "/dev/null");
        assert_int_equal(look("rescue-shells", "emergency.service"), PRECONDITION_MISSING);
        put_link("/etc/systemd/system/emergency.service", "/lib/systemd/system/emergency.service");
        assert_int_equal(look("rescue-shells", "emergency.service"), PRECONDITION_MISSING);
        put_link("/run/systemd/system/emergency.service", "/dev/null");
        assert_int_equal(look("rescue-shells", NULL), PRECONDITION_HELD);
        put_link("/etc/systemd/system/sysinit.target.wants/debug-shell.service",
                "/lib/systemd/system/debug-shell.service");
        assert_int_equal(look("rescue-shells", "debug-shell"), PRECONDITION_MISSING);
}

static void test_sysrq_may_only_sync_remount_and_reboot(void **state) {
        assert_int_equal(look("sysrq", "sysrq"), PRECONDITION_UNKNOWN);
        put("/proc/sys/kernel/sysrq", "438\n"); /* as Debian ships it */
        assert_int_equal(look("sysrq", "438"), PRECONDITION_MISSING);
        put("/proc/sys/kernel/sysrq", "1\n");
        assert_int_equal(look("sysrq", NULL), PRECONDITION_MISSING);
        put("/proc/sys/kernel/sysrq", "176\n");
        assert_int_equal(look("sysrq", NULL), PRECONDITION_HELD);
        put("/proc/sys/kernel/sysrq", "0\n");
        assert_int_equal(look("sysrq", NULL), PRECONDITION_HELD);
        put("/proc/sys/kernel/sysrq", "-1\n");
        assert_int_equal(look("sysrq", NULL), PRECONDITION_UNKNOWN);
}

static void test_only_system_accounts_may_linger(void **state) {
        assert_int_equal(look("linger", NULL), PRECONDITION_HELD);
        put("/var/lib/systemd/linger/root", "");
        assert_int_equal(look("linger", NULL), PRECONDITION_HELD);
        put("/var/lib/systemd/linger/nobody-such", "");
        assert_int_equal(look("linger", "nobody-such"), PRECONDITION_MISSING);
}

static void test_disk_encryption_is_followed_down_to_the_disks(void **state) {
        assert_int_equal(look("disk-encryption", "mountinfo"), PRECONDITION_UNKNOWN);
        put("/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:5 / /dev rw - devtmpfs udev rw\n");
        put("/sys/dev/block/8:1/size", "1\n");
        assert_int_equal(look("disk-encryption", "/dev/sda1"), PRECONDITION_MISSING);
        put("/proc/self/mountinfo", "22 1 254:1 / / rw shared:1 - ext4 /dev/mapper/vg-root rw\n");
        put("/sys/dev/block/254:1/dm/uuid", "LVM-abc\n");
        put("/sys/dev/block/254:1/slaves/dm-0/dm/uuid", "CRYPT-LUKS2-def-sda3_crypt\n");
        assert_int_equal(look("disk-encryption", NULL), PRECONDITION_HELD);
        put("/sys/dev/block/254:1/slaves/sdb1/size", "1\n"); /* a volume group that is half in the clear */
        assert_int_equal(look("disk-encryption", "not on dm-crypt"), PRECONDITION_MISSING);
        put("/proc/self/mountinfo", "22 1 0:30 / / rw - overlay overlay rw\n");
        assert_int_equal(look("disk-encryption", "no block device"), PRECONDITION_UNKNOWN);
}

static void test_secure_boot_is_the_byte_after_the_attributes(void **state) {
        static const char name[] = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

        assert_int_equal(look("secure-boot", "without UEFI"), PRECONDITION_MISSING);
        put("/sys/firmware/efi/fw_platform_size", "64\n");
        assert_int_equal(look("secure-boot", "no Secure Boot"), PRECONDITION_MISSING);
        put_bytes(name, "\6\0\0\0\0", 5);
        assert_int_equal(look("secure-boot", "off"), PRECONDITION_MISSING);
        put_bytes(name, "\6\0\0\0\1\1", 6);
        assert_int_equal(look("secure-boot", "off"), PRECONDITION_MISSING);
        put_bytes(name, "\6\0\0\0\1", 5);
        assert_int_equal(look("secure-boot", NULL), PRECONDITION_HELD);
}

static void test_lockdown_and_iommu(void **state) {
        assert_int_equal(look("kernel-lockdown", "no lockdown"), PRECONDITION_MISSING);
        put("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
        assert_int_equal(look("kernel-lockdown", "off"), PRECONDITION_MISSING);
        put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
        assert_int_equal(look("kernel-lockdown", NULL), PRECONDITION_HELD);
        assert_int_equal(look("iommu", "DMA"), PRECONDITION_MISSING);
        put("/sys/class/iommu/dmar0/size", "");
        assert_int_equal(look("iommu", NULL), PRECONDITION_HELD);
}

/* What Debian and pam-auth-update make, in small. */
static void put_debian_stacks(void) {
        put("/etc/pam.d/common-auth", "# comment\nauth [success=2 default=die ignore=ignore] "
                                      "pam_keishi.so\nauth\t[success=1 default=ignore]\tpam_unix.so try_first_pass\n"
                                      "auth requisite pam_deny.so\nauth required pam_permit.so\n");
        put("/etc/pam.d/common-account",
                "account [success=ok default=die] pam_keishi.so\naccount required pam_unix.so\n");
        put("/etc/pam.d/common-password",
                "password [success=1 default=ignore] pam_unix.so obscure yescrypt nullok_is_not_here\n");
        put("/etc/pam.d/login", "auth optional pam_faildelay.so delay=3000000\n@include common-auth\n@include "
                                "common-account\n-session optional pam_gnome_keyring.so\n");
        put("/etc/pam.d/su", "auth sufficient pam_rootok.so\n@include common-auth\n@include common-account\n");
        put("/etc/pam.d/runuser", "auth sufficient pam_rootok.so\nsession required pam_unix.so\n");
        put("/etc/pam.d/keishi-password", "auth required pam_unix.so\naccount required pam_permit.so\n");
        put("/etc/pam.d/lightdm-greeter", "auth required pam_permit.so\n@include common-account\n");
        put("/etc/pam.d/sudo.dpkg-old", "auth required pam_permit.so\n");
}

static void test_debians_own_stacks_are_fine(void **state) {
        put_debian_stacks();
        assert_int_equal(look("pam-foreign-modules", NULL), PRECONDITION_HELD);
        assert_int_equal(look("pam-auth", NULL), PRECONDITION_HELD);
        assert_int_equal(look("pam-account", NULL), PRECONDITION_HELD);
        assert_int_equal(look("nullok", NULL), PRECONDITION_HELD);
}

static void test_services_that_go_past_keishi_are_named(void **state) {
        put_debian_stacks();
        put("/etc/pam.d/lightdm-autologin", "auth required pam_permit.so\n@include common-account\n");
        put("/usr/lib/pam.d/vendor", "auth include common-auth\naccount required pam_permit.so\n");
        assert_int_equal(look("pam-auth", "lightdm-autologin"), PRECONDITION_MISSING);
        assert_int_equal(look("pam-account", "vendor"), PRECONDITION_MISSING);
        put("/etc/pam.d/vendor",
                "auth substack common-auth\naccount include common-account\n"); /* /etc goes before /usr/lib */
        assert_int_equal(look("pam-account", NULL), PRECONDITION_HELD);
}

static void test_foreign_modules_and_nullok_are_named_with_their_file(void **state) {
        put_debian_stacks();
        put("/etc/pam.d/sudo",
                "auth sufficient \\\n  /lib/security/pam_fprintd.so\n@include common-auth\n@include common-account\n");
        assert_int_equal(look("pam-foreign-modules", "pam_fprintd.so (sudo)"), PRECONDITION_MISSING);
        put("/etc/pam.d/common-auth", "auth required pam_unix.so nullok # here\n");
        assert_int_equal(look("nullok", "common-auth (pam_unix.so)"), PRECONDITION_MISSING);
        put("/etc/pam.d/common-auth", "auth required pam_unix.so # nullok\n");
        assert_int_equal(look("nullok", NULL), PRECONDITION_HELD);
}

static bool count_line(const PamLine *line, void *userdata) {
        (*(unsigned *)userdata)++;
        return false;
}

static void test_includes_that_go_round_end(void **state) {
        unsigned n = 0;

        put("/etc/pam.d/a", "auth required pam_deny.so\n@include b\n");
        put("/etc/pam.d/b", "@include a\n");
        assert_int_equal(pam_stack_read(root, "a", count_line, &n), -ELOOP);
        assert_int_equal(look("pam-auth", "/etc/pam.d/a"), PRECONDITION_UNKNOWN);
        assert_int_equal(pam_stack_read(root, "../shadow", count_line, &n), -EINVAL);
        assert_int_equal(pam_stack_read(root, "none", count_line, &n), -ENOENT);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_boot_loader_needs_superusers_and_a_password, clear),
                cmocka_unit_test_setup(test_rescue_shells_are_closed_by_masking_both, clear),
                cmocka_unit_test_setup(test_sysrq_may_only_sync_remount_and_reboot, clear),
                cmocka_unit_test_setup(test_only_system_accounts_may_linger, clear),
                cmocka_unit_test_setup(test_disk_encryption_is_followed_down_to_the_disks, clear),
                cmocka_unit_test_setup(test_secure_boot_is_the_byte_after_the_attributes, clear),
                cmocka_unit_test_setup(test_lockdown_and_iommu, clear),
                cmocka_unit_test_setup(test_debians_own_stacks_are_fine, clear),
                cmocka_unit_test_setup(test_services_that_go_past_keishi_are_named, clear),
                cmocka_unit_test_setup(test_foreign_modules_and_nullok_are_named_with_their_file, clear),
                cmocka_unit_test_setup(test_includes_that_go_round_end, clear),
        };
        int failed;

        if (!mkdtemp(root))
                return EXIT_FAILURE;
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return failed;
}
