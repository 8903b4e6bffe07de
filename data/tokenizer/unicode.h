/* unicode.h -- Unicode properties as in Hugging Face's tokenizers (private to data/).
 *
 * Ids depend on the properties that a regex tests.  The tables (unicode_table.c, made by tests/peers/make_unicode.py) are those of
 * one pinned version, so that ids are the same on every machine and do not depend on the Unicode version of its libraries.
 */
#ifndef DS_UNICODE_H
#define DS_UNICODE_H
#include "core/memory.h"
#include "core/utf8.h"
#include <stdint.h>

enum { DS_CODE_POINTS = 0x110000 };

/* ---- unicode_table.c ------------------------------------------------------------------------ */

/* Runs of code points with one value, each written as first code << 8 | value; a run ends where the next begins. */
extern const uint32_t    ds_category_runs[], ds_script_runs[], ds_nfc_runs[], ds_cluster_runs[];
extern const int         ds_category_runs_n, ds_script_runs_n, ds_nfc_runs_n, ds_cluster_runs_n;
extern const char *const ds_category_names[], *const ds_script_names[]; /* "Lu"; "Greek"; the first script name is empty: no script */
extern const int ds_category_count, ds_script_count;

typedef struct ds_decomposition { /* full canonical decomposition; Hangul syllables are computed instead */
    uint32_t code;
    uint16_t at, n; /* position and length in ds_decomposed */
} ds_decomposition;
typedef struct ds_composition {
    uint32_t first, second, whole;
} ds_composition;
extern const ds_decomposition ds_decompositions[]; /* sorted by code */
extern const ds_decomposition ds_compatible[];     /* full compatibility decompositions that differ; sorted by code */
extern const uint32_t         ds_decomposed[];
extern const uint32_t         ds_combining[];    /* code << 8 | class, of all code points whose class is not 0 */
extern const ds_composition   ds_compositions[]; /* sorted by first, second */
extern const int              ds_decompositions_n, ds_compatible_n, ds_combining_n, ds_compositions_n;

/* ---- unicode.c ------------------------------------------------------------------------------ */

/* Returns the value of the run that contains c. */
int ds_run_of(const uint32_t *runs, int n, uint32_t c);
/* ds_utf8_decode returns the character at s, valid UTF-8 of `len` bytes.  ds_utf8_encode returns the number of bytes, 1 to 4. */
uint32_t             ds_utf8_decode(const char *s, size_t len);
size_t               ds_utf8_encode(uint32_t c, char out[4]);
static inline size_t ds_utf8_size(char first) /* bytes of a character, by its first byte */
{
    const unsigned char c = (unsigned char)first;
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}
int ds_is_space(uint32_t c); /* White_Space */
int ds_is_word(uint32_t c);  /* a single_word added token must not be next to such a character */

/* A set of code points: sorted, disjoint ranges.  {0} is empty. */
typedef struct ds_set {
    struct {
        uint32_t from, to; /* both inclusive */
    } * range;
    int64_t n, cap;
} ds_set;

rt_status ds_set_add(ds_set *s, uint32_t from, uint32_t to);
rt_status ds_set_join(ds_set *s, const ds_set *more);
rt_status ds_set_invert(ds_set *s);
rt_status ds_set_meet(ds_set *s, ds_set *other); /* intersection; `other` is overwritten */
int       ds_set_equal(const ds_set *a, const ds_set *b);
void      ds_set_free(ds_set *s);
/* Adds the characters of a regex's \p{NAME}: a category ("L", "Lu", "Letter"), a script or "Any"; *known = 0: the name is unknown. */
rt_status ds_set_property(ds_set *s, const char *name, size_t n, int *known);
rt_status ds_set_space(ds_set *s);
rt_status ds_set_word(ds_set *s);  /* a regex's \w */
rt_status ds_set_digit(ds_set *s); /* \d */
#endif
