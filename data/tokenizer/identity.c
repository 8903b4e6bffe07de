/* identity.c -- a digest of everything that determines ids (data/FORMAT.md defines the bytes).
 *
 * Two files that give every text the same ids may differ in spacing, the form of their merges, post-processor, decoder or chat
 * template.
 */
#include "data/tokenizer/parts.h"
#include <stdlib.h>
#include <string.h>

static void identity_add_int(rt_sha *h, int64_t v)
{
    unsigned char b[8];
    for (int i = 0; i < 8; i++) b[i] = (unsigned char)((uint64_t)v >> (8 * i));
    rt_sha_add(h, b, sizeof b);
}

static void add_bytes(rt_sha *h, const char *s, size_t n)
{
    identity_add_int(h, (int64_t)n);
    rt_sha_add(h, s, n);
}

/* Added tokens are hashed by their text; all other entries by the bytes that they represent. */
static rt_status add_entries(rt_sha *h, const ds_vocab *v)
{
    rt_buf    bytes = {0};
    rt_status st    = RT_OK;
    identity_add_int(h, v->used);
    for (int64_t id = 0; st == RT_OK && id < v->n; id++) {
        size_t n;
        if (!(v->entry[id].flags & DS_ENTRY_PRESENT)) continue;
        const char *s     = ds_vocab_text(v, (int32_t)id, &n);
        const int   added = (v->entry[id].flags & DS_ENTRY_ADDED) != 0;
        rt_buf_clear(&bytes);
        st = added ? rt_buf_add(&bytes, s, n) : ds_alphabet_decode(s, n, &bytes);
        identity_add_int(h, id);
        identity_add_int(h, added);
        add_bytes(h, bytes.p, bytes.len);
    }
    rt_buf_free(&bytes);
    return st;
}

static int identity_by_rank(const void *a, const void *b)
{
    const int32_t x = ((const ds_merge *)a)->rank, y = ((const ds_merge *)b)->rank;
    return (x > y) - (x < y);
}

static rt_status identity_add_merges(rt_sha *h, const ds_merges *m)
{
    ds_merge *list = NULL;
    int64_t   n    = 0;
    RT_TRY(RT_NEW(list, m->slots));
    for (int64_t i = 0; i < m->slots; i++)
        if (m->slot[i].key) list[n++] = m->slot[i];
    qsort(list, (size_t)n, sizeof *list, identity_by_rank);
    identity_add_int(h, n);
    for (int64_t i = 0; i < n; i++) {
        const uint64_t pair = list[i].key - 1;
        identity_add_int(h, (int64_t)(pair >> 32));
        identity_add_int(h, (int64_t)(pair & UINT32_MAX));
    }
    free(list);
    return RT_OK;
}

static void add_splitter(rt_sha *h, const ds_splitter *s)
{
    identity_add_int(h, s->n);
    for (int i = 0; i < s->n; i++) {
        identity_add_int(h, s->step[i].literal);
        identity_add_int(h, s->step[i].keep);
        add_bytes(h, s->step[i].pattern, strlen(s->step[i].pattern));
    }
}

static int by_id(const void *a, const void *b)
{
    const int32_t x = ((const ds_added_token *)a)->id, y = ((const ds_added_token *)b)->id;
    return (x > y) - (x < y);
}

static rt_status add_added(rt_sha *h, const ds_added *a)
{
    ds_added_token *list = NULL;
    RT_TRY(RT_NEW(list, a->n));
    if (a->n) memcpy(list, a->token, (size_t)a->n * sizeof *list);
    if (a->n) qsort(list, (size_t)a->n, sizeof *list, by_id);
    identity_add_int(h, a->n);
    for (int64_t i = 0; i < a->n; i++) {
        identity_add_int(h, list[i].id);
        identity_add_int(h, list[i].flags);
    }
    free(list);
    return RT_OK;
}

rt_status ds_tokenizer_identify(ds_tokenizer *t)
{
    static const char name[] = "retort tokenizer 1";
    rt_sha           *h      = NULL;
    RT_TRY(rt_sha_begin(&h));
    rt_sha_add(h, name, sizeof name);
    rt_status st = add_entries(h, &t->vocab);
    if (st == RT_OK) st = identity_add_merges(h, &t->merges);
    identity_add_int(h, t->ignore_merges);
    identity_add_int(h, t->nfc);
    identity_add_int(h, t->prefix_space);
    add_splitter(h, &t->splitter);
    if (st == RT_OK) st = add_added(h, &t->raw);
    if (st == RT_OK) st = add_added(h, &t->normalized);
    rt_sha_end(&h, st == RT_OK ? t->identity : NULL);
    return st;
}

/* ---- comparing ------------------------------------------------------------------------------ */

const char *ds_tokenizer_identity(const ds_tokenizer *t) { return t->identity; }
const char *ds_tokenizer_file(const ds_tokenizer *t) { return t->file; }
const char *ds_tokenizer_former(const ds_tokenizer *t) { return t->former; }

int ds_tokenizer_is(const ds_tokenizer *t, const char *noted)
{
    return !strcmp(noted, t->identity) || !strcmp(noted, t->file) || (*t->former && !strcmp(noted, t->former));
}

int ds_tokenizer_same(const ds_tokenizer *t, const char *a, const char *b)
{
    return !strcmp(a, b) || (t && ds_tokenizer_is(t, a) && ds_tokenizer_is(t, b));
}
