/* clock.h -- clocks, and the interrupt flag. */
#ifndef RT_CORE_CLOCK_H
#define RT_CORE_CLOCK_H
#include <stdint.h>

double  rt_now(void);       /* monotonic seconds */
int64_t rt_unix_time(void); /* seconds since 1970 */
void    rt_sleep(double seconds);

/* After this call, SIGINT, SIGTERM, SIGUSR1 (sent by batch systems before the time limit) and SIGHUP (unless it is ignored, as under
 * nohup) only set a flag, which long loops test between steps.  A second SIGINT ends the process at once with exit code 130; a SIGINT
 * within 0.1 s of the first is ignored as a launcher's copy.  The other signals may repeat: launchers and batch systems send several. */
void rt_interrupt_catch(void);
int  rt_interrupted(void); /* 1: the flag is set */
/* Sets the line printed on standard error if a second SIGINT ends the process; "": none. */
void rt_interrupt_last_words(const char *line);
#endif
