/* config_paths.c -- resolving the paths of a configuration: relative to its file, or of files installed with the program. */
#include "core/share.h"
#include "train/trainer.h"
#include <string.h>
#include <sys/stat.h>

rt_status tr_config_folder(rt_buf *out, const char *file)
{
    struct stat s;
    const char *slash = strrchr(file, '/');
    rt_buf_clear(out);
    if (!slash || stat(file, &s) || !S_ISREG(s.st_mode)) return rt_buf_str(out, "");
    return rt_buf_add(out, file, (size_t)(slash - file) + 1);
}

static rt_status resolve_text(cJSON *text, const char *folder)
{
    rt_buf      path = {0};
    const char *s    = text->valuestring;
    rt_status   st   = *s == '@' ? rt_share_path(&path, s) : rt_buf_fmt(&path, "%s%s", *s == '/' ? "" : folder, s);
    if (st == RT_OK && !cJSON_SetValuestring(text, path.p))
        st = rt_fail(RT_ENOMEM, __FILE__, __LINE__, "no memory for a path of the configuration");
    rt_buf_free(&path);
    return st;
}

rt_status tr_config_resolve(cJSON *value, const char *folder)
{
    cJSON *e;
    if (cJSON_IsString(value)) return resolve_text(value, folder);
    if (cJSON_IsArray(value)) cJSON_ArrayForEach(e, value) if (cJSON_IsString(e)) RT_TRY(resolve_text(e, folder));
    return RT_OK;
}
