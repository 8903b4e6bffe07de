/* columns.c -- the tables of a shard's columns, document columns and attributes. */
#include "data/shard/columns.h"
#include <stddef.h>
#include <string.h>

const ds_column ds_columns[DS_COLS] = {
    [COL_IDS]          = {"/ids", DS_I32, '1', offsetof(ds_doc, ids)},
    [COL_PROMPT]       = {"/prompt_mask", DS_U8, '1', offsetof(ds_doc, prompt_mask)},
    [COL_TARGET]       = {"/target_id", DS_I32, '1', offsetof(ds_doc, target_id)},
    [COL_VALID]        = {"/valid", DS_U8, '1', offsetof(ds_doc, rows.valid)},
    [COL_TOPK_IDS]     = {"/topk_ids", DS_I32, 'k', offsetof(ds_doc, rows.topk_ids)},
    [COL_TOPK_LOGPROB] = {"/topk_logprob", DS_F32, 'k', offsetof(ds_doc, rows.topk_logprob)},
    [COL_ACTUAL]       = {"/actual_logprob", DS_F32, '1', offsetof(ds_doc, rows.actual_logprob)},
    [COL_REST]         = {"/rest_mass", DS_F32, '1', offsetof(ds_doc, rows.tail_mass)},
    [COL_TAIL]         = {"/tail_ids", DS_I32, 'm', offsetof(ds_doc, rows.tail_ids)},
    [COL_ENTROPY]      = {"/rest_entropy", DS_F32, '1', offsetof(ds_doc, rows.tail_entropy)},
    [COL_WEIGHT]       = {"/weight", DS_F32, '1', offsetof(ds_doc, weight)},
    [COL_SKETCH]       = {"/sketch", DS_U8, 's', offsetof(ds_doc, rows.encoded)},
};

const char *const ds_text_names[DS_TEXTS] = {"/doc/request", "/doc/recipe", "/doc/topic", "/doc/finish", "/doc/seed", "/doc/meta"};

#define TEXT(field) offsetof(ds_info, field), sizeof((ds_info *)0)->field
const ds_attribute ds_attributes[DS_ATTRIBUTES] = {
    {"tokenizer_sha256", TEXT(tokenizer), 1, 0},
    {"teacher", TEXT(teacher), 1, 0},
    {"dialect", TEXT(dialect), 1, 0},
    {"sampling", TEXT(sampling), 1, 0},
    {"endpoint", TEXT(endpoint), 0, 0}, /* not content: a free port differs from run to run */
    {"probe", TEXT(probe), 0, 0},
    {"prices", TEXT(prices), 0, 0},
    {"program", TEXT(program), 0, 0},
    {"dtype", TEXT(dtype), 0, 1}, /* not content: the rows that it affects are */
    {"gemm", TEXT(gemm), 0, 1},
};

int ds_column_used(const ds_info *info, int c) { return c <= COL_PROMPT || (info->soft && ds_column_width(info, c) > 0); }

int64_t ds_column_width(const ds_info *info, int c)
{
    const char per = ds_columns[c].per;
    return per == 'k' ? info->k : per == 'm' ? info->m : per == 's' ? info->codec_bytes : 1;
}

size_t ds_column_size(int c) { return ds_columns[c].type == DS_U8 ? 1 : 4; }

const void *ds_column_get(const ds_doc *d, int c)
{
    const void *p;
    memcpy(&p, (const char *)d + ds_columns[c].at, sizeof p);
    return p;
}

void ds_column_set(ds_doc *d, int c, const void *values) { memcpy((char *)d + ds_columns[c].at, &values, sizeof values); }

int64_t ds_rows_a_part(const ds_info *info)
{
    int64_t row = 0;
    for (int c = 0; c < DS_COLS; c++) row += ds_column_width(info, c) * (int64_t)ds_column_size(c);
    return DS_CHUNK_BYTES / row > DS_CHUNK ? DS_CHUNK : DS_CHUNK_BYTES / row + 1;
}

ds_h5_spec ds_column_spec(const ds_info *info, int c)
{
    const ds_column *d     = &ds_columns[c];
    const int64_t    width = ds_column_width(info, c), row = width > 0 ? width * (int64_t)ds_column_size(c) : 1;
    return (ds_h5_spec){.name  = d->name,
                        .type  = d->type,
                        .width = d->per == '1' ? 0 : width,
                        .chunk = row * DS_CHUNK <= DS_CHUNK_BYTES ? DS_CHUNK : DS_CHUNK_BYTES / row,
                        .gzip  = DS_GZIP};
}

int ds_id_fits(const ds_info *i, const int32_t *v, int64_t at, int64_t width, int entry)
{
    const int last = (at + 1) % width == 0;
    return v[at] >= 0 ? v[at] < i->vocab : entry && i->former && v[at] == -1 && (last || v[at + 1] == -1);
}

int ds_info_fits(const ds_info *i)
{
    if (!i->soft) return i->k == 0 && i->m == 0 && i->codec_bytes == 0;
    const int k_ok = i->k >= 0 && i->k <= DS_MAX_K && i->k <= (i->former ? i->former : i->vocab), m_ok = i->m >= 0 && i->m <= DS_MAX_K;
    return k_ok && m_ok && i->codec_bytes >= 0 && i->codec_bytes <= DS_MAX_SKETCH && i->k + i->m + i->codec_bytes > 0;
}
