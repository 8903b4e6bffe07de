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

/* Added tokens and entries of characters are hashed by their text, byte-level entries by the bytes that they represent. */
static rt_status add_entries(rt_sha *h, const ds_vocab *v, int byte_level)
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
        st = added || !byte_level ? rt_buf_add(&bytes, s, n) : ds_alphabet_decode(s, n, &bytes);
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

/* ---- form 1: byte-level BPE --------------------------------------------------------------------- */

/* NFC, a space before the text and regexes are all that form 1 has around the model. */
static int has_form_1(const ds_tokenizer *t)
{
    for (int i = 0; i < t->normalizer.n; i++)
        if (strcmp(t->normalizer.step[i].type, "NFC")) return 0;
    for (int i = 0; i < t->pre.n; i++)
        if (t->pre.step[i].kind == DS_PRE_METASPACE) return 0;
    return t->pre.byte_level;
}

static void identity_add_bytes_chain(rt_sha *h, const ds_tokenizer *t)
{
    int space = 0, regexes = 0;
    for (int i = 0; i < t->pre.n; i++) space |= t->pre.step[i].kind == DS_PRE_SPACE, regexes += t->pre.step[i].splitter.n;
    identity_add_int(h, t->ignore_merges);
    identity_add_int(h, t->normalizer.n > 0);
    identity_add_int(h, space);
    identity_add_int(h, regexes);
    for (int i = 0; i < t->pre.n; i++) add_splitter(h, &t->pre.step[i].splitter);
}

/* ---- form 2: any other ------------------------------------------------------------------------------ */

static void identity_add_normalizer(rt_sha *h, const ds_normalizer *z)
{
    identity_add_int(h, z->n);
    for (int i = 0; i < z->n; i++) {
        const ds_norm_step *s = &z->step[i];
        add_bytes(h, s->type, strlen(s->type));
        add_bytes(h, s->from.p, s->from.len);
        add_bytes(h, s->to.p, s->to.len);
        identity_add_int(h, s->left);
        identity_add_int(h, s->right);
        identity_add_int(h, s->regex.n);
        add_splitter(h, &s->regex);
    }
}

static void identity_add_pre(rt_sha *h, const ds_pre *p)
{
    identity_add_int(h, p->byte_level);
    identity_add_int(h, p->n);
    for (int i = 0; i < p->n; i++) {
        const ds_pre_step *s = &p->step[i];
        identity_add_int(h, s->kind);
        add_bytes(h, s->mark.p, s->mark.len);
        identity_add_int(h, s->scheme);
        identity_add_int(h, s->cut);
        identity_add_int(h, s->splitter.n);
        add_splitter(h, &s->splitter);
    }
}

static void identity_add_scores(rt_sha *h, const ds_unigram *u)
{
    identity_add_int(h, u->n);
    for (int64_t i = 0; i < u->n; i++) {
        int64_t bits;
        memcpy(&bits, &u->score[i], sizeof bits);
        identity_add_int(h, bits);
    }
    identity_add_int(h, u->byte_fallback);
    identity_add_int(h, u->unk);
}

static void identity_add_chain(rt_sha *h, const ds_tokenizer *t)
{
    identity_add_int(h, t->is_unigram);
    if (t->is_unigram) identity_add_scores(h, &t->unigram);
    identity_add_int(h, t->ignore_merges);
    identity_add_int(h, t->symbols.byte_fallback);
    identity_add_int(h, t->symbols.fuse_unk);
    identity_add_int(h, t->symbols.unk);
    identity_add_normalizer(h, &t->normalizer);
    identity_add_pre(h, &t->pre);
}

rt_status ds_tokenizer_identify(ds_tokenizer *t)
{
    static const char names[][19] = {"retort tokenizer 1", "retort tokenizer 2"};
    const int         first       = has_form_1(t);
    rt_sha           *h           = NULL;
    RT_TRY(rt_sha_begin(&h));
    rt_sha_add(h, names[!first], sizeof *names);
    rt_status st = add_entries(h, &t->vocab, t->pre.byte_level);
    if (st == RT_OK) st = identity_add_merges(h, &t->merges);
    (first ? identity_add_bytes_chain : identity_add_chain)(h, t);
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
