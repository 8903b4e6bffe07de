/* unicode.h -- Unicode as Hugging Face's tokenizers have it (private to data/).
 *
 * Ids depend on what a regex takes a character for.  The tables (unicode_table.c, made by tests/peers/make_unicode.py) are those of
 * one pinned version, so that ids are the same on every machine, whatever its libraries know of Unicode.
 */
#ifndef DS_UNICODE_H
#define DS_UNICODE_H
#include "core/json.h" /* rt_utf8_length */
#include "core/memory.h"
#include <stdint.h>

enum { DS_CODE_POINTS = 0x110000 };

/* ---- unicode_table.c ------------------------------------------------------------------------ */

/* Runs of code points of one value, each code << 8 | value: to the next run's. */
extern const uint32_t    ds_category_runs[], ds_script_runs[], ds_nfc_runs[];
extern const int         ds_category_runs_n, ds_script_runs_n, ds_nfc_runs_n;
extern const char *const ds_category_names[], *const ds_script_names[]; /* "Lu"; "Greek", the first is no script */
extern const int ds_category_count, ds_script_count;

typedef struct ds_decomposition { /* full and canonical, of all but Hangul syllables */
    uint32_t code;
    uint16_t at, n; /* in ds_decomposed */
} ds_decomposition;
typedef struct ds_composition {
    uint32_t first, second, whole;
} ds_composition;
extern const ds_decomposition ds_decompositions[]; /* by code */
extern const uint32_t         ds_decomposed[];
extern const uint32_t         ds_combining[];    /* code << 8 | class, of all whose class is not 0 */
extern const ds_composition   ds_compositions[]; /* by first, second */
extern const int              ds_decompositions_n, ds_combining_n, ds_compositions_n;

/* ---- unicode.c ------------------------------------------------------------------------------ */

/* The value of the run that holds c. */
int ds_run_of(const uint32_t *runs, int n, uint32_t c);
/* The character at s, which is valid UTF-8 of `len` bytes; and the other way, 1 to 4 bytes. */
uint32_t             ds_utf8_decode(const char *s, size_t len);
size_t               ds_utf8_encode(uint32_t c, char out[4]);
static inline size_t ds_utf8_size(char first) /* of a character, by its first byte */
{
    const unsigned char c = (unsigned char)first;
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}
int ds_is_space(uint32_t c); /* White_Space */
int ds_is_word(uint32_t c);  /* what a single_word added token does not stand beside */

/* A set of code points: ranges, ascending and apart.  {0} is empty. */
typedef struct ds_set {
    struct {
        uint32_t from, to; /* both inside */
    } * range;
    int64_t n, cap;
} ds_set;

rt_status ds_set_add(ds_set *s, uint32_t from, uint32_t to);
rt_status ds_set_join(ds_set *s, const ds_set *more);
rt_status ds_set_invert(ds_set *s);
rt_status ds_set_meet(ds_set *s, ds_set *other); /* what both hold; `other` is used up */
int       ds_set_equal(const ds_set *a, const ds_set *b);
void      ds_set_free(ds_set *s);
/* Add what a regex's \p{NAME} stands for: a category ("L", "Lu", "Letter"), a script, "Any"; *known = 0: nothing of the name. */
rt_status ds_set_property(ds_set *s, const char *name, size_t n, int *known);
rt_status ds_set_space(ds_set *s);
rt_status ds_set_word(ds_set *s);  /* a regex's \w */
rt_status ds_set_digit(ds_set *s); /* \d */
#endif
