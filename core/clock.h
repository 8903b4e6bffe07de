/* clock.h -- time, and the flag that Ctrl-C sets. */
#ifndef RT_CORE_CLOCK_H
#define RT_CORE_CLOCK_H
#include <stdint.h>

double  rt_now(void);       /* monotonic seconds */
int64_t rt_unix_time(void); /* seconds since 1970 */
void    rt_sleep(double seconds);

/* From the first call on, SIGINT, SIGTERM, SIGUSR1 (what batch systems send before the end) and SIGHUP (unless it is ignored, as under
 * nohup) only set a flag that long loops look at between steps.  A second Ctrl-C ends the process at once, with 130; one within a tenth of
 * a second is the echo of a launcher.  The other signals may come again: launchers and batch systems send several. */
void rt_interrupt_catch(void);
int  rt_interrupted(void);
/* A line for standard error if a second Ctrl-C ends the process; "": none. */
void rt_interrupt_last_words(const char *line);
#endif
