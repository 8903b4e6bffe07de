/* tree.h -- a chat template as tokens and as a tree.  Private to data/chat/.
 *
 * The language is Jinja 3.1's with trim_blocks, lstrip_blocks and loop controls.  A construct that is not known here is an error that names it.
 */
#ifndef DS_CHAT_TREE_H
#define DS_CHAT_TREE_H
#include "data/chat/value.h"

enum {
    DS_JSOURCE = 1 << 20,  /* bytes of a template */
    DS_JTREE   = 64 << 20, /* bytes of its tokens and tree */
    DS_JNEST   = 200       /* nested expressions and statements */
};

/* ---- tokens (lexer.c) ------------------------------------------------------------------------------ */

typedef enum ds_jtype_of_token {
    DS_JT_END, /* of the template */
    DS_JT_DATA,
    DS_JT_BLOCK,     /* {% */
    DS_JT_BLOCK_END, /* %} */
    DS_JT_PRINT,     /* {{ */
    DS_JT_PRINT_END, /* }} */
    DS_JT_NAME,
    DS_JT_STRING, /* with its quotes */
    DS_JT_INT,
    DS_JT_FLOAT,
    DS_JT_OPERATOR
} ds_jtype_of_token;

typedef struct ds_jtoken {
    ds_jtype_of_token type;
    int               line;
    const char       *p;
    size_t            n;
} ds_jtoken;

/* Divides n bytes of UTF-8, in which lines end with "\n", into tokens, the last of which is DS_JT_END. */
rt_status ds_jlex(ds_jarena *a, const char *source, size_t n, const char *where, const ds_jtoken **out);

/* ---- the tree ------------------------------------------------------------------------------------------ */

typedef enum ds_jnode_kind {
    /* expressions */
    DS_JN_CONST,     /* value */
    DS_JN_NAME,      /* name */
    DS_JN_TUPLE,     /* list */
    DS_JN_LIST,      /* list */
    DS_JN_DICT,      /* list: key, value, key, value, ... */
    DS_JN_ATTRIBUTE, /* a.name */
    DS_JN_ITEM,      /* a[b] */
    DS_JN_SLICE,     /* a[b:c:d]; b, c and d may be NULL */
    DS_JN_CALL,      /* a(list) */
    DS_JN_FILTER,    /* a|name(list); a NULL: the text of a block */
    DS_JN_TEST,      /* a is name(list) */
    DS_JN_KEYWORD,   /* in a list of arguments: name=a */
    DS_JN_NOT,
    DS_JN_NEGATIVE,
    DS_JN_POSITIVE,
    DS_JN_AND,
    DS_JN_OR,
    DS_JN_BINARY,  /* a name b: + - * / // % ** */
    DS_JN_CONCAT,  /* list joined by ~ */
    DS_JN_COMPARE, /* a, then list of OPERAND */
    DS_JN_OPERAND, /* name a: == != < <= > >= in, not in */
    DS_JN_CHOICE,  /* b if a else c; c may be NULL */
    /* statements */
    DS_JN_TEXT,         /* name */
    DS_JN_PRINT,        /* a */
    DS_JN_IF,           /* a: body, else `other`, which may be an IF; a NULL: always */
    DS_JN_FOR,          /* a in b if c: body, else other */
    DS_JN_SET,          /* a = b */
    DS_JN_SET_BLOCK,    /* a = body, filtered by b */
    DS_JN_MEMBER,       /* as a target: the attribute `name` of the namespace a */
    DS_JN_MACRO,        /* name(list): body; uses */
    DS_JN_CALL_BLOCK,   /* a, a CALL: `other`, a MACRO, is its caller */
    DS_JN_FILTER_BLOCK, /* body, filtered by b */
    DS_JN_WITH,         /* list of SET: body */
    DS_JN_SCOPE,        /* body, in a scope of its own */
    DS_JN_BREAK,
    DS_JN_CONTINUE
} ds_jnode_kind;

enum { DS_JUSES_VARARGS = 1, DS_JUSES_KWARGS = 2, DS_JUSES_CALLER = 4 }; /* names that the body of a macro reads */

typedef struct ds_jnode ds_jnode;
struct ds_jnode {
    ds_jnode_kind kind;
    int           line, uses;
    const char   *name; /* n bytes, no C string */
    size_t        n;
    ds_jvalue     value;
    ds_jnode     *a, *b, *c, *d, *list, *body, *other, *next; /* next: in the list or body of another node */
};

/* Parses a template; the tree lies in the arena and borrows `source`.  RT_EFORMAT: "WHERE, line N: ...". */
rt_status ds_jparse(ds_jarena *a, const char *source, size_t n, const char *where, ds_jnode **out);

/* ---- the parser (parser.c), which expression.c and statement.c share ------------------------------------ */

typedef struct ds_jparser {
    ds_jarena       *arena;
    const char      *where;
    const ds_jtoken *t; /* the current token */
    int              depth, loops;
    int              uses;
    int              later;   /* 1: inside an `if`, where Jinja refuses an unknown filter only when it is reached */
    const ds_jnode  *unknown; /* the first filter or test elsewhere that is not known */
} ds_jparser;

#define DS_JSYNTAX(p, cond, ...)                                                                   \
    do {                                                                                           \
        if (!(cond)) return ds_jsyntax((p)->where, (p)->t->line, __FILE__, __LINE__, __VA_ARGS__); \
    } while (0)
rt_status ds_jsyntax(const char *where, int at, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6), cold));

rt_status ds_jnode_new(ds_jparser *p, ds_jnode_kind kind, ds_jnode **out); /* of the current token's line */
int       ds_jis_name(const ds_jtoken *t, const char *name);
int       ds_jis_operator(const ds_jtoken *t, const char *text);
int       ds_jskip_name(ds_jparser *p, const char *name); /* returns 1 and moves on if it is the current token */
int       ds_jskip_operator(ds_jparser *p, const char *text);
rt_status ds_jexpect_operator(ds_jparser *p, const char *text);
rt_status ds_jexpect_name(ds_jparser *p, const char **name, size_t *n); /* any name */
rt_status ds_jnest(ds_jparser *p);                                      /* begins a nested part, which p->depth-- ends */

typedef struct ds_jchain { /* a list of nodes that grows; {0} is empty */
    ds_jnode *first, **end;
} ds_jchain;
void      ds_jchain_add(ds_jchain *c, ds_jnode *n);
rt_status ds_jjoin(ds_jparser *p, ds_jnode_kind kind, ds_jnode *a, ds_jnode *b, ds_jnode **out); /* a node with two operands */

/* expression.c */
rt_status ds_jparse_expression(ds_jparser *p, ds_jnode **out);
rt_status ds_jparse_simple(ds_jparser *p, ds_jnode **out); /* without `a if b else c` */
/* Expressions separated by commas are a tuple. */
rt_status ds_jparse_tuple(ds_jparser *p, int simple, ds_jnode **out);

/* primary.c */
rt_status ds_jparse_primary(ds_jparser *p, ds_jnode **out);
rt_status ds_jparse_postfix(ds_jparser *p, ds_jnode *of, ds_jnode **out);            /* .name, [...], (...) */
rt_status ds_jparse_applied(ds_jparser *p, ds_jnode *of, ds_jnode **out);            /* |filter, is test */
rt_status ds_jparse_arguments(ds_jparser *p, ds_jnode **out);                        /* ( ... ) */
rt_status ds_jparse_filters(ds_jparser *p, ds_jnode *of, int begun, ds_jnode **out); /* begun: without the first "|" */

/* constant.c: the value of a token of type STRING, INT or FLOAT. */
rt_status ds_jparse_constant(ds_jparser *p, ds_jvalue *out);
#endif
