/* licence.c -- the licence that a model names (licence.h). */
#include "model/licence.h"
#include "core/file.h"
#include "model/gguf_model.h"
#include <string.h>

enum { MOST_FILE = 4 << 20 };

/* Appends n bytes without the spaces and quotes around them. */
static rt_status add_trimmed(rt_buf *out, const char *s, size_t n)
{
    static const char around[] = " \t\r\"'#";
    while (n && strchr(around, *s)) s++, n--;
    while (n && strchr(around, s[n - 1])) n--;
    return rt_buf_add(out, s, n < MD_LICENCE_LENGTH ? n : MD_LICENCE_LENGTH);
}

/* Appends the value of a line "KEY value" of the front matter, which stands between two lines "---" at the beginning of a text. */
static rt_status add_front_value(rt_buf *out, const char *text, const char *key)
{
    if (strncmp(text, "---", 3) != 0) return RT_OK;
    for (const char *line = strchr(text, '\n'); line && strncmp(line + 1, "---", 3) != 0; line = strchr(line + 1, '\n'))
        if (!strncmp(line + 1, key, strlen(key))) return add_trimmed(out, line + 1 + strlen(key), strcspn(line + 1 + strlen(key), "\n"));
    return RT_OK;
}

static rt_status of_card(rt_buf *out, const char *text)
{
    RT_TRY(add_front_value(out, text, "license:"));
    if (!out->len || strcmp(out->p, "other") != 0) return RT_OK;
    rt_buf_clear(out);
    RT_TRY(add_front_value(out, text, "license_name:"));
    return out->len ? RT_OK : rt_buf_str(out, "other");
}

static rt_status of_first_line(rt_buf *out, const char *text)
{
    text += strspn(text, " \t\r\n");
    return add_trimmed(out, text, strcspn(text, "\n"));
}

static rt_status of_folder(rt_buf *out, const char *dir)
{
    static const char *const names[] = {"README.md", "LICENSE", "LICENSE.md", "LICENSE.txt"};
    rt_buf                   path = {0}, text = {0};
    rt_status                st = RT_OK;
    for (int i = 0; i < 4 && !out->len; i++) {
        RT_TRY_OR(rt_path_inside(&path, dir, names[i]), out);
        if (!rt_file_exists(path.p)) continue;
        RT_TRY_OR(rt_file_read(&text, path.p, MOST_FILE), out);
        RT_TRY_OR((i ? of_first_line : of_card)(out, text.p), out);
    }
out:
    rt_buf_free(&path), rt_buf_free(&text);
    return st;
}

static rt_status of_gguf(rt_buf *out, const char *path)
{
    md_gguf      *g = NULL;
    md_gguf_array a;
    size_t        n = 0;
    RT_TRY(md_gguf_open(&g, path));
    rt_status st = md_gguf_elements(g, "general.license", MD_GGUF_TEXT, &a);
    if (st == RT_OK && a.n) {
        const char *text = md_gguf_take_text(&a, &n);
        st               = add_trimmed(out, text, n);
    }
    md_gguf_close(&g);
    return st;
}

rt_status md_licence(rt_buf *out, const char *path)
{
    rt_buf    gguf = {0};
    rt_status st   = md_gguf_locate(&gguf, path);
    rt_buf_clear(out);
    if (st == RT_OK) st = rt_buf_str(out, "");
    if (st == RT_OK) st = gguf.len ? of_gguf(out, gguf.p) : of_folder(out, path);
    if (st == RT_OK) rt_text_clean(out->p);
    rt_buf_free(&gguf);
    return st;
}
