/* traced.c - a child that is led through some work instruction by instruction */
#include "traced.h"

#include <check.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int stopped_by(pid_t pid)
{
    int status = 0;

    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) /* asked at every step: no ck_assert */
        ck_abort_msg("the traced child died by itself: %d", status);
    return WSTOPSIG(status);
}

/* SIGSTOP is the child's own word: it is ready, or it is done. */
pid_t traced_begin(void (*act)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        act();
        raise(SIGSTOP);
        _exit(0);
    }
    ck_assert_int_eq(stopped_by(pid), SIGSTOP);
    return pid;
}

int traced_step(pid_t pid)
{
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0)
        ck_abort_msg("the child cannot be led on");
    return stopped_by(pid) != SIGSTOP;
}

#ifdef __x86_64__

/* The processor itself watches: a data breakpoint on writes of four bytes. */
#define DEBUG_REGISTER(n) ((void *)(offsetof(struct user, u_debugreg) + (n) * sizeof(long)))
#define ON_WRITE_OF_4 ((void *)(1L | 1L << 16 | 3L << 18))

static int watch(pid_t pid, const void *watched)
{
    return ptrace(PTRACE_POKEUSER, pid, DEBUG_REGISTER(0), (void *)watched) == 0
        && ptrace(PTRACE_POKEUSER, pid, DEBUG_REGISTER(7), ON_WRITE_OF_4) == 0;
}

static void unwatch(pid_t pid)
{
    ck_assert_int_eq(ptrace(PTRACE_POKEUSER, pid, DEBUG_REGISTER(7), NULL), 0);
}

#else

static int watch(pid_t pid, const void *watched)
{
    return 0;
}

static void unwatch(pid_t pid)
{
}

#endif

void traced_run_to_change(pid_t pid, const void *watched)
{
    const volatile unsigned *word = watched;
    unsigned before = *word;

    if (!watch(pid, watched)) { /* by small steps, then */
        while (*word == before)
            ck_assert(traced_step(pid));
        return;
    }
    while (*word == before) {
        ck_assert_int_eq(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
        ck_assert_int_eq(stopped_by(pid), SIGTRAP);
    }
    unwatch(pid);
}

void traced_run(pid_t pid)
{
    ck_assert_int_eq(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    ck_assert_int_eq(stopped_by(pid), SIGSTOP);
}

void traced_end(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
