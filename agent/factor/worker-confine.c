/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a worker can still do once it is about to read a device's bytes. The filter is made here and not by libseccomp,
 * which would add a sixth of a millisecond to each start. */

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "factor/worker.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCHITECTURE AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define ARCHITECTURE AUDIT_ARCH_S390X
#elif defined(__i386__)
#define ARCHITECTURE AUDIT_ARCH_I386
#elif defined(__arm__)
#define ARCHITECTURE AUDIT_ARCH_ARM
#else
#define ARCHITECTURE 0u
#endif
_Static_assert(ARCHITECTURE != 0, "the filter does not know this architecture");

#define X32_BIT 0x40000000u

#define INSTRUCTIONS_MAX 320

typedef struct Filter {
        struct sock_filter code[INSTRUCTIONS_MAX];
        unsigned short n;
        bool full;
} Filter;

static void filter_add(Filter *f, struct sock_filter instruction) {
        if (f->n == INSTRUCTIONS_MAX)
                f->full = true;
        else
                f->code[f->n++] = instruction;
}

static void filter_load(Filter *f, size_t offset) {
        filter_add(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void filter_answer(Filter *f, unsigned answer) {
        filter_add(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer));
}

static void filter_call(Filter *f, int call, unsigned answer) {
        filter_add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1));
        filter_answer(f, answer);
}

/* Allows a call when the bits `mask` of an argument are `bits`; kills otherwise. */
static void filter_call_bits(Filter *f, int call, unsigned argument, unsigned mask, unsigned bits) {
        size_t offset = offsetof(struct seccomp_data, args) + argument * sizeof(__u64);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        offset += sizeof(__u32);
#endif
        filter_add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 5));
        filter_load(f, offset);
        filter_add(f, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
        filter_add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1));
        filter_answer(f, SECCOMP_RET_ALLOW);
        filter_answer(f, SECCOMP_RET_KILL_PROCESS);
}

/* Descriptors that are open, memory, threads, time. */
static const int allowed[] = {
        SYS_read,
        SYS_write,
        SYS_readv,
        SYS_writev,
        SYS_recvmsg,
        SYS_sendmsg,
        SYS_recvfrom,
        SYS_sendto,
        SYS_ppoll,
#ifdef SYS_poll
        SYS_poll,
#endif
#ifdef SYS_select
        SYS_select,
#endif
        SYS_pselect6,
        SYS_close,
        SYS_fcntl,
        SYS_futex,
        SYS_munmap,
        SYS_mremap,
        SYS_madvise,
        SYS_brk,
        SYS_set_robust_list,
        SYS_rseq,
        SYS_sched_yield,
        SYS_sched_getaffinity,
        SYS_rt_sigprocmask,
        SYS_rt_sigaction,
        SYS_rt_sigreturn,
        SYS_sigaltstack,
        SYS_restart_syscall,
        SYS_clock_gettime,
        SYS_clock_nanosleep,
        SYS_nanosleep,
        SYS_gettimeofday,
        SYS_setitimer,
        SYS_getpid,
        SYS_gettid,
        SYS_tgkill,
        SYS_getrandom,
        SYS_exit,
        SYS_exit_group,
};

/* What libraries try and can do without: files (openssl.cnf, the number of processors), names of threads and memory. */
static const int refused[] = {
#ifdef SYS_open
        SYS_open,
#endif
#ifdef SYS_stat
        SYS_stat,
#endif
#ifdef SYS_access
        SYS_access,
#endif
#ifdef SYS_readlink
        SYS_readlink,
#endif
        SYS_openat,
#ifdef SYS_newfstatat
        SYS_newfstatat,
#endif
        SYS_statx,
        SYS_faccessat,
        SYS_readlinkat,
        SYS_prctl,
};

static int filter_install(const int *calls) {
        Filter f = { .n = 0 };

        filter_load(&f, offsetof(struct seccomp_data, arch));
        filter_add(&f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
        filter_answer(&f, SECCOMP_RET_KILL_PROCESS);
        filter_load(&f, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
        filter_add(&f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
        filter_answer(&f, SECCOMP_RET_KILL_PROCESS);
#endif
        for (size_t i = 0; i < ELEMENTSOF(allowed); i++)
                filter_call(&f, allowed[i], SECCOMP_RET_ALLOW);
        for (; calls && *calls >= 0; calls++)
                filter_call(&f, *calls, SECCOMP_RET_ALLOW);
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                filter_call(&f, refused[i], SECCOMP_RET_ERRNO | EACCES);
        /* Threads are made by clone(), whose flags can be looked at, when clone3() is not there. */
        filter_call(&f, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
        filter_call_bits(&f, SYS_clone, 0, CLONE_THREAD, CLONE_THREAD);
#ifdef SYS_mmap
        filter_call_bits(&f, SYS_mmap, 2, PROT_EXEC, 0);
#endif
#ifdef SYS_mmap2
        filter_call_bits(&f, SYS_mmap2, 2, PROT_EXEC, 0);
#endif
        filter_call_bits(&f, SYS_mprotect, 2, PROT_EXEC, 0);
        filter_answer(&f, SECCOMP_RET_KILL_PROCESS);
        if (f.full)
                return -E2BIG;
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){ f.n, f.code }) < 0 ? -errno : 0;
}

/* No rule: no file at all. A kernel without landlock has only the filter. */
static void files_close(void) {
        const struct landlock_ruleset_attr none = { .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
        _cleanup_close_ int fd = (int)syscall(SYS_landlock_create_ruleset, &none, sizeof(none), 0);

        if (fd >= 0)
                (void)syscall(SYS_landlock_restrict_self, fd, 0);
}

#ifdef WORKER_SANITIZED
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

int worker_confine(const int *calls) {
        /* Sanitizers open files and trace their own process. */
        if (sanitized)
                return 0;
        files_close();
        return filter_install(calls);
}
