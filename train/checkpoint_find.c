/* checkpoint_find.c -- finding the newest intact checkpoint and the damaged ones in an output folder, and removing a run. */
#include "core/file.h"
#include "train/state.h"
#include "train/trainer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int tr_is_checkpoint(const char *name, int64_t *step)
{
    if (strncmp(name, "step-", 5) || strlen(name) != 13 || strspn(name + 5, "0123456789") != 8) return 0;
    *step = strtoll(name + 5, NULL, 10);
    return *step > 0;
}

tr_name tr_checkpoint_part(const char *name)
{
    char    whole[14];
    int64_t step;
    snprintf(whole, sizeof whole, "%s", name);
    if (!tr_is_checkpoint(whole, &step)) return TR_OTHERS;
    const char  *rest = name + 13;
    const size_t n    = strlen(".damaged");
    if (!*rest) return TR_WHOLE;
    if (!strcmp(rest, ".tmp")) return TR_HALF;
    if (strncmp(rest, ".damaged", n) || (rest[n] && (rest[n] != '.' || !rest[n + 1]))) return TR_OTHERS;
    return rest[n + strspn(rest + n, ".0123456789")] ? TR_OTHERS : TR_ASIDE;
}

static rt_status check_file(const char *dir, const cJSON *e)
{
    char        hex[RT_SHA_HEX], path[4096];
    const char *want = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "sha256"));
    RT_CHECK(want && !strchr(e->string, '/'), RT_EFORMAT, "manifest.json: the entry \"%.80s\" has no \"sha256\"", e->string);
    snprintf(path, sizeof path, "%s/%s", dir, e->string);
    RT_TRY(rt_sha_file(path, hex));
    RT_CHECK(!strcmp(hex, want), RT_EFORMAT, "%s has SHA-256 %.12s..., but manifest.json records %.12s...", e->string, hex, want);
    return RT_OK;
}

static rt_status check_named(const cJSON *files, const char *name)
{
    RT_CHECK(cJSON_GetObjectItemCaseSensitive(files, name), RT_EFORMAT, "manifest.json does not name %s", name);
    return RT_OK;
}

static rt_status found_check_all(const char *dir, const cJSON *files)
{
    const cJSON *e;
    RT_TRY(check_named(files, "model.safetensors"));
    cJSON_ArrayForEach(e, files) RT_TRY(check_file(dir, e));
    return RT_OK;
}

/* RT_EFORMAT: the manifest is of another step; the folder was renamed, or its files were replaced by another checkpoint's. */
static rt_status check_manifest_step(const cJSON *manifest, int64_t step)
{
    const double says = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(manifest, "step"));
    RT_CHECK(says == (double)step, RT_EFORMAT, "manifest.json is of step %.0f, but the folder's name is of step %lld", says,
             (long long)step);
    return RT_OK;
}

static rt_status check_state(const char *dir, const cJSON *files, int64_t step)
{
    char    name[TR_STATE_NAME];
    int     parts;
    int64_t says;
    RT_TRY(tr_state_parts(dir, &parts));
    for (int k = 0; k < parts; k++) {
        tr_state_name(name, k, parts);
        RT_TRY(check_named(files, name));
        RT_TRY(tr_state_step(dir, k, parts, &says));
        RT_CHECK(says == step, RT_EFORMAT, "%s is of step %lld, but the folder's name is of step %lld", name, (long long)says,
                 (long long)step);
    }
    return RT_OK;
}

rt_status tr_checkpoint_verify(const char *dir, int64_t step)
{
    char   path[4096];
    cJSON *o;
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    RT_TRY(rt_json_read(&o, path, 0));
    const cJSON *files = cJSON_GetObjectItemCaseSensitive(o, "files");
    rt_status    st    = check_manifest_step(o, step);
    if (st == RT_OK) st = found_check_all(dir, files);
    if (st == RT_OK) st = check_state(dir, files, step);
    cJSON_Delete(o);
    return st;
}

/* Examines one entry of the folder; the entries are visited from the newest on. */
static rt_status found_look_at(tr_found *f, const char *out, const char *name)
{
    int64_t       step;
    const tr_name part = tr_checkpoint_part(name);
    f->traces |= part != TR_OTHERS || !strcmp(name, "metrics.jsonl");
    f->aside += part == TR_ASIDE;
    if (f->step || !tr_is_checkpoint(name, &step)) return RT_OK;
    RT_TRY(rt_path(&f->dir, out, name));
    if (tr_checkpoint_verify(f->dir.p, step) == RT_OK) f->step = step;
    else {
        if (!f->damaged) f->damaged = step;
        return rt_buf_fmt(&f->why, "%s%s/%s is damaged: %s", f->why.len ? "; " : "", out, name, rt_error_text());
    }
    return RT_OK;
}

rt_status tr_checkpoint_find(const char *out, tr_found *f)
{
    char    **names;
    int       n;
    tr_found  found = {0};
    rt_status st    = RT_OK;
    *f              = found;
    if (!rt_file_exists(out)) return RT_OK;
    RT_TRY(rt_dir_list(&names, &n, out));
    for (int i = n - 1; st == RT_OK && i >= 0; i--) st = found_look_at(&found, out, names[i]);
    rt_names_free(&names, n);
    if (!found.step) rt_buf_free(&found.dir);
    if (st != RT_OK) tr_found_free(&found);
    else *f = found;
    return st;
}

void tr_found_free(tr_found *f)
{
    rt_buf_free(&f->dir);
    rt_buf_free(&f->why);
    *f = (tr_found){0};
}

/* Renames a damaged checkpoint and keeps its content, so that it neither counts as a checkpoint nor is found again. */
static rt_status set_aside(const char *out, const char *name)
{
    char from[4096], to[4096];
    snprintf(from, sizeof from, "%s/%s", out, name);
    snprintf(to, sizeof to, "%s/%s.damaged", out, name);
    for (int i = 2; rt_file_exists(to); i++) snprintf(to, sizeof to, "%s/%s.damaged.%d", out, name, i);
    RT_CHECK(!rename(from, to), rt_status_of_errno(errno), "%s: cannot be renamed: %s", from, strerror(errno));
    return RT_OK;
}

rt_status tr_checkpoint_set_aside(const char *out, int64_t newer_than)
{
    char    **names;
    int       n;
    int64_t   step;
    rt_status st = RT_OK;
    char      latest[32];
    RT_TRY(rt_dir_list(&names, &n, out));
    for (int i = 0; st == RT_OK && i < n; i++)
        if (tr_is_checkpoint(names[i], &step) && step > newer_than) st = set_aside(out, names[i]);
    rt_names_free(&names, n);
    snprintf(latest, sizeof latest, "step-%08lld", (long long)newer_than);
    return st == RT_OK ? tr_point(out, "latest", latest) : st;
}

/* ---- removing the files of a run ------------------------------------------------------------------------ */

static int is_part(const char *file)
{
    static const char *const own[] = {"model.safetensors", "config.json", "generation_config.json", "retort-train.json", "manifest.json"};
    char                     name[64];
    const char              *tmp = strstr(file, ".tmp.");
    int                      part, parts;
    snprintf(name, sizeof name, "%.*s", tmp ? (int)(tmp - file) : (int)strlen(file), file);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcmp(own[i], name)) return 1;
    for (int i = 0; ds_tokenizer_part(i); i++)
        if (!strcmp(ds_tokenizer_part(i), name)) return 1;
    return tr_is_state(name, &part, &parts);
}

static rt_status check_step(const char *path)
{
    char    **names;
    int       n;
    rt_status st = RT_OK;
    RT_TRY(rt_dir_list(&names, &n, path));
    for (int i = 0; st == RT_OK && i < n; i++)
        if (!is_part(names[i]))
            st = rt_fail(RT_EINVAL, __FILE__, __LINE__,
                         "%s/%s is not a file of a run, so --force does not remove it; move it to another folder", path, names[i]);
    rt_names_free(&names, n);
    return st;
}

static rt_status check_metrics(const char *path)
{
    static const char begin[]             = "{\"step\":";
    char              found[sizeof begin] = "";
    FILE             *f                   = fopen(path, "r");
    const size_t      n                   = f ? fread(found, 1, sizeof begin - 1, f) : 0;
    if (f) fclose(f);
    RT_CHECK(f && !strncmp(found, begin, n), RT_EINVAL,
             "%s does not hold the metrics of a run, so --force does not remove it; move it to another folder", path);
    return RT_OK;
}

/* Sets *ours to 1 if the entry belongs to a run and may be removed.  RT_EINVAL: it has the name of such an entry, but its type
 * or content is different. */
static rt_status check_entry(const char *path, const char *name, int *ours)
{
    struct stat s;
    const int   step = tr_checkpoint_part(name) != TR_OTHERS, link = !strcmp(name, "latest") || !strcmp(name, "best");
    *ours = step || link || !strcmp(name, "metrics.jsonl") || !strcmp(name, "metrics.lost.jsonl");
    if (!*ours) return RT_OK;
    RT_CHECK(!lstat(path, &s) && (step   ? S_ISDIR(s.st_mode)
                                  : link ? S_ISLNK(s.st_mode)
                                         : S_ISREG(s.st_mode)),
             RT_EINVAL, "%s is not a %s, so --force does not remove it; move it to another folder", path,
             step   ? "checkpoint folder"
             : link ? "link to a checkpoint"
                    : "metrics file");
    return step ? check_step(path) : link ? RT_OK : check_metrics(path);
}

static rt_status each_entry(const char *out, int remove)
{
    char    **names;
    int       n, ours;
    rt_buf    path = {0};
    rt_status st   = RT_OK;
    RT_TRY(rt_dir_list(&names, &n, out));
    for (int i = 0; st == RT_OK && i < n; i++) {
        st = rt_path(&path, out, names[i]);
        if (st == RT_OK) st = check_entry(path.p, names[i], &ours);
        if (st == RT_OK && ours && remove) st = rt_dir_remove(path.p);
    }
    rt_names_free(&names, n);
    rt_buf_free(&path);
    return st;
}

rt_status tr_checkpoint_remove_all(const char *out)
{
    RT_TRY(each_entry(out, 0)); /* checks all entries before the first is removed */
    return each_entry(out, 1);
}
