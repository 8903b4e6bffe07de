/* replay_server.c -- replay.h as a program for scripts: replay_server PORT_FILE [FAULT FAULTS [TOKENIZER_SHA [TOKENIZER_DIR]]].
 *
 * FAULT is "none", "500", "busy" (429 with a Retry-After of three years), "slow" or "chat" (a plain server).  The tokenizer
 * decodes the ids of completions.  SIGTERM ends the program.
 */
#include "core/clock.h"
#include "core/file.h"
#include "tests/support/replay.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    char           port[16];
    const char    *fault = argc > 2 ? argv[2] : "none";
    ds_tokenizer  *words = NULL;
    replay_options o     = {.fault = REPLAY_500, .faults = argc > 3 ? atoi(argv[3]) : 0, .plain = !strcmp(fault, "chat")};
    if (argc > 4) o.tokenizer = argv[4];
    if (argc > 5 && ds_tokenizer_load(&words, argv[5]) != RT_OK) return 2;
    o.words = words;
    if (!strcmp(fault, "busy")) o.fault = REPLAY_LIMIT, o.retry_after = "99999999", o.only = "[0,"; /* spares the probe */
    else if (strcmp(fault, "500") != 0) o.faults = 0;
    if (!strcmp(fault, "slow")) o.delay = 0.2;
    rt_interrupt_catch();
    replay *r = replay_start(&o);
    if (!r || argc < 2) return 2;
    snprintf(port, sizeof port, "%d\n", replay_port(r));
    if (rt_file_write(argv[1], port, strlen(port)) != RT_OK) return 2;
    while (!rt_interrupted()) rt_sleep(0.05);
    replay_stop(&r);
    ds_tokenizer_destroy(&words);
    return 0;
}
