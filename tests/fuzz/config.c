/* config.c -- a hostile config.json.  One that is accepted can be written and is then accepted again. */
#include "model/files.h"
#include "tests/support/fuzz.h"
#include <stdio.h>

rt_status fuzz_one(const uint8_t *data, size_t n)
{
    md_config c;
    md_model *m = NULL;
    fuzz_write("config.json", data, n);
    RT_TRY(md_config_read(&c, fuzz_dir()));
    fuzz_must(md_meta(&m, &c));
    fuzz_must(md_config_write(m, fuzz_dir(), KN_REAL));
    md_destroy(&m);
    fuzz_must(md_config_read(&c, fuzz_dir()));
    remove(fuzz_path("generation_config.json"));
    return RT_OK;
}
