/* clock.h -- time, and the flag that Ctrl-C sets. */
#ifndef RT_CORE_CLOCK_H
#define RT_CORE_CLOCK_H
#include <stdint.h>

double  rt_now(void);       /* monotonic seconds */
int64_t rt_unix_time(void); /* seconds since 1970 */
void    rt_sleep(double seconds);

/* From the first call on, SIGINT and SIGTERM only set a flag that long loops
 * look at between steps; a second one ends the process at once. */
void rt_interrupt_catch(void);
int  rt_interrupted(void);
#endif
