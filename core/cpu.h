/* cpu.h -- the name of this machine's CPU. */
#ifndef RT_CORE_CPU_H
#define RT_CORE_CPU_H
#include "core/memory.h"

/* Appends the model as /proc/cpuinfo has it, without what changes with the microcode or the clock: "AMD EPYC, family 25, model 1";
 * "implementer 0x41, part 0xd0c" on ARM; "unknown CPU". */
rt_status rt_cpu_name(rt_buf *out);
#endif
