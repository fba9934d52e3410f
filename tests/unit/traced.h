/* traced.h - a child that is led through some work instruction by instruction */
#ifndef TRACED_H
#define TRACED_H

#include <sys/types.h>

/* ThreadSanitizer sees no other process, and takes thousands of steps for one of ours: under it
 * suites leave out what leads a child all the way. */
#ifdef __SANITIZE_THREAD__
#define TRACED_IN_FULL 0
#else
#define TRACED_IN_FULL 1
#endif

/* Every step is a round trip between two processes: where there is far to go to the place of
 * interest, run to a change of a word first.
 *
 * A child that waits to be led into act. */
pid_t traced_begin(void (*act)(void));
/* On by one instruction; 0: act is done. */
int traced_step(pid_t pid);
/* On until the word at `watched` (shared with the child) has changed; act must change it. */
void traced_run_to_change(pid_t pid, const void *watched);
/* On to the end of act. */
void traced_run(pid_t pid);
/* Kill it (SIGKILL), wherever it is. */
void traced_end(pid_t pid);

#endif
