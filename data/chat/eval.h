/* eval.h -- evaluating the tree of a chat template.  Private to data/chat/. */
#ifndef DS_CHAT_EVAL_H
#define DS_CHAT_EVAL_H
#include "data/chat/tree.h"

/* ---- names (scope.c) ------------------------------------------------------------------------------- */

typedef struct ds_jscope { /* names that are set, the last first; a scope sees those above it */
    struct ds_jscope   *up;
    struct ds_jbinding *first;
} ds_jscope;

/* A scope below `up` becomes the current one.  The caller sets r->scope back to what it was. */
rt_status ds_jscope_open(ds_jrun *r, ds_jscope *up);
rt_status ds_jset(ds_jrun *r, const char *name, size_t n, ds_jvalue v); /* in the current scope */
rt_status ds_jget(ds_jrun *r, const char *name, size_t n, ds_jvalue *out);
/* Sets what a target names to v: a name, a namespace's attribute, or several names to the elements of v. */
rt_status ds_jassign(ds_jrun *r, const ds_jnode *target, const ds_jvalue *v);

/* ---- expressions (eval.c) and statements (execute.c, loop.c) ------------------------------------------------ */

rt_status ds_jeval(ds_jrun *r, const ds_jnode *n, ds_jvalue *out);
enum { DS_JBREAK = 1, DS_JCONTINUE = 2 }; /* r->flow */
/* Executes statements, which write to r->out; stops early with r->flow set. */
rt_status ds_jexecute(ds_jrun *r, const ds_jnode *body);
/* Sets *text to what the statements write. */
rt_status ds_jcapture(ds_jrun *r, const ds_jnode *body, ds_jvalue *text);
rt_status ds_jfor(ds_jrun *r, const ds_jnode *n);
/* An attribute of `loop`; an absent value: there is none of this name. */
rt_status ds_jloop_attribute(ds_jrun *r, struct ds_jloop *l, const char *name, size_t n, ds_jvalue *out);

rt_status ds_jbinary(ds_jrun *r, const char *op, size_t n, const ds_jvalue *a, const ds_jvalue *b, ds_jvalue *out); /* operators.c */
rt_status ds_jsign(ds_jrun *r, int minus, const ds_jvalue *v, ds_jvalue *out);
/* attribute.c: of.name as a template reads it, an attribute or else an item, and of[key], an item or else an attribute.  *out is undefined
 * where there is neither.  ds_jpath is of["a"]["b"][0] for the path "a.b.0" or a number; undefined values on the way become `other`
 * unless that is absent or None. */
rt_status ds_jattribute(ds_jrun *r, const ds_jvalue *of, const char *name, size_t n, ds_jvalue *out);
rt_status ds_jmember(ds_jrun *r, const ds_jvalue *of, const ds_jvalue *key, ds_jvalue *out);
rt_status ds_jpath(ds_jrun *r, const ds_jvalue *of, const ds_jvalue *path, const ds_jvalue *other, ds_jvalue *out);

/* ---- calls (call.c) ------------------------------------------------------------------------------------------- */

typedef struct ds_jarguments { /* {0}: none */
    const ds_jvalue *v;        /* those without a name, n of them */
    int64_t          n;
    const ds_jdict  *named; /* NULL: none */
} ds_jarguments;

enum { DS_JPARAMETERS = 6 };
typedef struct ds_jcall {                   /* one call of a filter, test, method or function */
    const char          *what;              /* its name, for errors */
    const ds_jvalue     *self;              /* what is filtered or tested; whose method it is */
    ds_jvalue            v[DS_JPARAMETERS]; /* the values of its parameters; DS_JABSENT: not given */
    const ds_jarguments *all;
} ds_jcall;
typedef rt_status (*ds_jwork_fn)(ds_jrun *r, ds_jcall *c, ds_jvalue *out);

/* A row of a table of filters, tests, methods or functions. */
typedef struct ds_jrow {
    const char *name;
    /* Parameters separated by spaces: "x" required, "x?" optional; "/" before them: they cannot be given by name; "*": any arguments,
     * which fn reads from c->all. */
    const char *parameters;
    ds_jwork_fn fn;
} ds_jrow;

struct ds_jmethod {
    const ds_jrow *row;
    ds_jvalue      self;
};

rt_status ds_jread_arguments(ds_jrun *r, const ds_jnode *list, ds_jarguments *out);
/* Calls row.fn with the arguments of its parameters. */
rt_status      ds_jinvoke(ds_jrun *r, const ds_jrow *row, const ds_jvalue *self, const ds_jarguments *a, ds_jvalue *out);
rt_status      ds_jcall_value(ds_jrun *r, const ds_jvalue *callee, const ds_jarguments *a, ds_jvalue *out);
const ds_jrow *ds_jrow_named(const ds_jrow *rows, const char *name, size_t n); /* NULL: none; the last row has no name */

typedef struct ds_jmacro {
    const ds_jnode *node;
    ds_jscope      *scope; /* where it was defined */
} ds_jmacro;
rt_status ds_jcall_macro(ds_jrun *r, const ds_jmacro *m, const ds_jarguments *a, ds_jvalue *out);

/* ---- what templates may call ------------------------------------------------------------------------------------ */

const ds_jrow *ds_jfilter_named(const char *name, size_t n); /* filters.c */
const ds_jrow *ds_jtest_named(const char *name, size_t n);   /* tests.c */
/* methods.c: sets *out to v's method of this name; absent: Python's type has none, undefined: it would change v. */
rt_status      ds_jmethod_named(ds_jrun *r, const ds_jvalue *v, const char *name, size_t n, ds_jvalue *out);
const ds_jrow *ds_jfunction_named(const char *name, size_t n); /* functions.c */

extern const ds_jrow ds_jtext_filters[], ds_jlist_filters[], ds_jlazy_filters[]; /* filters_text.c, filters_list.c, filters_lazy.c */
extern const ds_jrow ds_jtext_methods[];                                         /* methods_text.c */

/* Reads an argument; an absent one leaves *v as it is.  RT_EINVAL: it has another type. */
rt_status ds_jargument_text(ds_jrun *r, const ds_jcall *c, int i, ds_jvalue *v);
rt_status ds_jargument_int(ds_jrun *r, const ds_jcall *c, int i, int64_t *v);
#endif
