/* value.h -- the values of a chat template, as Python has them, and the memory and limits of one rendering.  Private to data/chat/.
 *
 * Values do not change, but for namespaces and iterators.  Every byte of a rendering lies in one arena, which is freed as a whole: nothing
 * is freed before, so a function that fails has nothing to clean up.  Templates come from strangers, so memory, steps, the depth
 * of recursion and the length of the output are limited; a limit that is exceeded is an error that names it.
 */
#ifndef DS_CHAT_VALUE_H
#define DS_CHAT_VALUE_H
#include "core/json.h"
#include <stdint.h>
#include <string.h>

enum {
    DS_JSTEPS  = 1 << 24,   /* steps of a rendering: a node of the tree, an element, or 64 bytes of text that are looked at */
    DS_JMEMORY = 256 << 20, /* bytes of its arena */
    DS_JOUTPUT = 64 << 20,  /* bytes of its text */
    DS_JDEPTH  = 1000,      /* nested evaluations: expressions, statements and macros that call macros; nested values */
    DS_JRANGE  = 100000     /* elements of range(), as in Jinja's sandbox */
};

/* ---- memory (arena.c) ------------------------------------------------------------------------------ */

typedef struct ds_jarena { /* {0} is empty */
    struct ds_jblock *block;
    size_t            used, most; /* bytes of all blocks; `most`: the limit, 0: DS_JMEMORY */
} ds_jarena;

rt_status ds_jalloc(ds_jarena *a, void **out, size_t n); /* n zeroed bytes */
/* Makes room for n bytes at *p, which holds `old` of them, by growing in place if it was allocated last. */
rt_status ds_jgrow(ds_jarena *a, void **p, size_t old, size_t n);
void      ds_jarena_free(ds_jarena *a);
#define DS_JNEW(a, ptr, n) ds_jalloc((a), (void **)&(ptr), (size_t)(n) * sizeof *(ptr))

/* ---- values -------------------------------------------------------------------------------------------- */

typedef enum ds_jkind {
    DS_JABSENT, /* no value: an argument that was not given */
    DS_JUNDEFINED,
    DS_JNONE,
    DS_JBOOL,
    DS_JINT,
    DS_JFLOAT,
    DS_JTEXT,
    DS_JLIST,
    DS_JTUPLE,
    DS_JDICT,
    DS_JVIEW, /* keys(), values() or items() of a dict */
    DS_JSPAN, /* range() */
    DS_JNAMESPACE,
    DS_JITER, /* what map, select and the like return: it can be read once */
    DS_JMACRO,
    DS_JMETHOD,
    DS_JFUNCTION,
    DS_JLOOP
} ds_jkind;

enum { DS_JKEYS = 1, DS_JVALUES = 2, DS_JITEMS = DS_JKEYS | DS_JVALUES }; /* `how` of a view */
enum { DS_JSAFE = 1 };                                                    /* `how` of a text that the filter `safe` marked */

typedef struct ds_jvalue ds_jvalue;
struct ds_jvalue {
    ds_jkind kind;
    int      how;
    union {
        int64_t                  i;        /* BOOL, INT */
        double                   f;        /* FLOAT */
        const char              *p;        /* TEXT: n bytes of UTF-8; UNDEFINED: why it is undefined, a C string */
        const ds_jvalue         *v;        /* LIST, TUPLE: n elements */
        struct ds_jdict         *dict;     /* DICT, VIEW, NAMESPACE */
        struct ds_jspan         *span;     /* SPAN */
        struct ds_jiter         *iter;     /* ITER */
        const struct ds_jmacro  *macro;    /* MACRO */
        const struct ds_jmethod *method;   /* METHOD */
        const struct ds_jrow    *function; /* FUNCTION */
        struct ds_jloop         *loop;     /* LOOP */
    };
    int64_t n;
};

typedef struct ds_jdict { /* pairs in the order in which their keys were first set */
    ds_jvalue *key, *value;
    int64_t    n, cap;
} ds_jdict;

typedef struct ds_jspan {
    int64_t start, stop, step, n; /* n: elements */
} ds_jspan;

typedef struct ds_jout { /* a text that grows in the arena; {0} is empty */
    char  *p;
    size_t n, cap;
} ds_jout;

/* ---- one rendering ------------------------------------------------------------------------------------------ */

typedef struct ds_jrun {
    ds_jarena         arena;
    const char       *where; /* of the template, for errors */
    int               line, depth, flow;
    int64_t           steps;
    ds_jout          *out;
    struct ds_jscope *scope;
} ds_jrun;

/* Records an error of the template's line that is being evaluated: "WHERE, line N: ...".  RT_EINVAL. */
rt_status ds_jfail(const ds_jrun *r, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5), cold));
#define DS_JFAIL(r, ...) return ds_jfail((r), __FILE__, __LINE__, __VA_ARGS__)
#define DS_JCHECK(r, cond, ...)                  \
    do {                                         \
        if (!(cond)) DS_JFAIL((r), __VA_ARGS__); \
    } while (0)

rt_status ds_jwork(ds_jrun *r, int64_t bytes); /* counts a step that looks at so many bytes */
rt_status ds_jenter(ds_jrun *r);               /* begins a nested evaluation, which r->depth-- ends; call it only if that is reached */
rt_status ds_jput(ds_jrun *r, ds_jout *o, const char *p, size_t n);
rt_status ds_jputs(ds_jrun *r, ds_jout *o, const char *s);

/* ---- making values (value.c) ------------------------------------------------------------------------------ */

static inline ds_jvalue ds_jnone(void) { return (ds_jvalue){.kind = DS_JNONE}; }
static inline ds_jvalue ds_jbool(int yes) { return (ds_jvalue){.kind = DS_JBOOL, .i = yes != 0}; }
static inline ds_jvalue ds_jint(int64_t i) { return (ds_jvalue){.kind = DS_JINT, .i = i}; }
static inline ds_jvalue ds_jfloat(double f) { return (ds_jvalue){.kind = DS_JFLOAT, .f = f}; }
static inline ds_jvalue ds_jtext(const char *p, size_t n) { return (ds_jvalue){.kind = DS_JTEXT, .p = p, .n = (int64_t)n}; }
static inline ds_jvalue ds_jbuilt(const ds_jout *o) { return ds_jtext(o->p ? o->p : "", o->n); }
static inline ds_jvalue ds_jlist(const ds_jvalue *v, int64_t n) { return (ds_jvalue){.kind = DS_JLIST, .v = v, .n = n}; }
static inline ds_jvalue ds_jtuple(const ds_jvalue *v, int64_t n) { return (ds_jvalue){.kind = DS_JTUPLE, .v = v, .n = n}; }
static inline int       ds_jis(const ds_jvalue *v, const char *text) /* returns 1 if v is this text */
{
    return v->kind == DS_JTEXT && (size_t)v->n == strlen(text) && !memcmp(v->p, text, (size_t)v->n);
}

rt_status ds_jundefined(ds_jrun *r, ds_jvalue *out, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
rt_status ds_jdict_new(ds_jrun *r, ds_jdict **out);
/* Sets a pair.  RT_EINVAL: the key is a list, a dict or another value that Python cannot hash. */
rt_status ds_jdict_set(ds_jrun *r, ds_jdict *d, ds_jvalue key, ds_jvalue value);
/* Sets *out to the value of a key, or to NULL. */
rt_status ds_jdict_find(ds_jrun *r, const ds_jdict *d, const ds_jvalue *key, const ds_jvalue **out);
void      ds_jdict_remove(ds_jdict *d, const ds_jvalue *value);                 /* the pair whose value ds_jdict_find returned */
rt_status ds_jpair(ds_jrun *r, ds_jvalue key, ds_jvalue value, ds_jvalue *out); /* a tuple of two */
/* A value of parsed JSON, whose strings are borrowed. */
rt_status ds_jfrom_json(ds_jrun *r, const cJSON *o, ds_jvalue *out);

typedef struct ds_jvalues { /* a list that grows in the arena; {0} is empty */
    ds_jvalue *v;
    int64_t    n, cap;
} ds_jvalues;
rt_status ds_jadd(ds_jrun *r, ds_jvalues *l, ds_jvalue v);

/* ---- what Python says of values (compare.c) ------------------------------------------------------------------ */

const char          *ds_jtype(const ds_jvalue *v); /* "str", "dict", ... */
int                  ds_jtrue(const ds_jvalue *v);
rt_status            ds_jequal(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes);
rt_status            ds_jless(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes);       /* RT_EINVAL: they have no order */
rt_status            ds_jin(ds_jrun *r, const ds_jvalue *a, const ds_jvalue *b, int *yes);         /* a in b */
rt_status            ds_jsort(ds_jrun *r, ds_jvalue *v, const ds_jvalue *by, int64_t n, int down); /* stable; by[i] is the key of v[i] */
static inline int    ds_jnumber(const ds_jvalue *v) { return v->kind == DS_JBOOL || v->kind == DS_JINT || v->kind == DS_JFLOAT; }
static inline double ds_jreal(const ds_jvalue *v) { return v->kind == DS_JFLOAT ? v->f : (double)v->i; }

/* ---- texts of values (print.c, dump.c) ------------------------------------------------------------------------- */

rt_status ds_jstr(ds_jrun *r, ds_jout *o, const ds_jvalue *v);         /* appends str(v) */
rt_status ds_jrepr(ds_jrun *r, ds_jout *o, const ds_jvalue *v);        /* appends repr(v) */
rt_status ds_jstr_of(ds_jrun *r, const ds_jvalue *v, ds_jvalue *text); /* str(v) as a value */

typedef struct ds_jdump { /* the arguments of json.dumps */
    int         ascii, sort;
    const char *indent; /* NULL: one line */
    size_t      indent_n;
    const char *item, *key; /* separators */
    size_t      item_n, key_n;
} ds_jdump;
rt_status ds_jjson(ds_jrun *r, ds_jout *o, const ds_jvalue *v, const ds_jdump *how);

/* ---- sequences (iterate.c) ------------------------------------------------------------------------------------- */

typedef struct ds_jiter ds_jiter;
typedef rt_status (*ds_jnext)(ds_jrun *r, ds_jiter *i, ds_jvalue *out, int *got);
struct ds_jiter { /* `next` gives the next element; *got = 0 after the last */
    ds_jnext    next;
    ds_jvalue   of; /* what is read */
    int64_t     at;
    ds_jiter   *from; /* of a filter: what it filters, and its arguments */
    const void *how;
};
/* Begins to read the elements of v.  RT_EINVAL: Python cannot iterate over it. */
rt_status ds_jiterate(ds_jrun *r, const ds_jvalue *v, ds_jiter **out);
/* Sets *out to a list of all elements. */
rt_status ds_jelements(ds_jrun *r, const ds_jvalue *v, ds_jvalue *out);
rt_status ds_jlength(ds_jrun *r, const ds_jvalue *v, int64_t *n); /* len(v) */
/* obj[key] and obj[from:to:by], whose absent parts are None; *out is undefined where there is none. */
rt_status ds_jitem(ds_jrun *r, const ds_jvalue *of, const ds_jvalue *key, ds_jvalue *out);
rt_status ds_jslice(ds_jrun *r, const ds_jvalue *of, const ds_jvalue part[3], ds_jvalue *out);

/* ---- characters (characters.c) -------------------------------------------------------------------------------- */

int         ds_jspace(uint32_t c);                                         /* str.isspace of Python */
size_t      ds_jspace_at(const char *p, size_t n);                         /* bytes of the space at p; 0: none */
size_t      ds_jspace_before(const char *p, size_t n);                     /* bytes of the space at the end of p[0 .. n-1]; 0: none */
int64_t     ds_jchars(const char *p, size_t n);                            /* characters of n bytes */
size_t      ds_jchar_at(const char *p, size_t n, int64_t c);               /* offset of character c; n after the last */
int         ds_jprintable(uint32_t c);                                     /* str.isprintable */
const char *ds_jfind(const char *p, size_t n, const char *what, size_t m); /* NULL: none; m may be 0 */

typedef enum ds_jcase { DS_JUPPER, DS_JLOWER, DS_JTITLE } ds_jcase;
/* Appends the text in another case, as str.upper, str.lower and str.title do. */
rt_status ds_jput_case(ds_jrun *r, ds_jout *o, const char *p, size_t n, ds_jcase to);
/* Appends the first character in title case and the others in lower case, as str.capitalize does. */
rt_status ds_jput_capital(ds_jrun *r, ds_jout *o, const char *p, size_t n);
#endif
