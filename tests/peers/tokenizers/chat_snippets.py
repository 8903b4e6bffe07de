"""Templates of one construct each, and the values that they are rendered with: snippets() yields (name, template).

chat.py renders them with Jinja as transformers sets it up, and with retort; make_chat_cases.py keeps them with their results for the unit test.
"""
import itertools

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "  caf\u00e9 \"x\" it's\n", "n": 3},
    {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "image"}], "name": None},
]
VALUES = {
    "s": "Hello, World", "t": " a,b,,c ", "u": "\u00c9t\u00e9 stra\u00dfe \u01c6 \u039f\u0394\u039f\u03a3 \U0001f600", "w": " \t\u00a0x\u3000y\u2003\n", "e": "",
    "q": "it's", "qq": "a\"b'c", "c": "tab\there\\ \u200b \x7f\x00 \u2028", "html": "<a href='x'>&\"</a>",
    "i": 7, "z": 0, "neg": -7, "f": 2.5, "big": 1e16, "small": 0.00001, "third": 0.1, "whole": 3.0, "yes": True, "no": False, "nil": None,
    "l": [3, 1, 2], "names": ["b", "A", "a", "C", "B"], "mixed": [1, "x", None, 2.0, True, [1], {"k": 1}], "empty": [], "nested": [[1, [2, 3]], [4]],
    "d": {"b": 1, "a": [1, 2], "C": {"x": None}, "items": "own"}, "ed": {}, "rows": [{"n": 2, "k": "x", "in": {"v": 1}}, {"n": 1, "k": "Y"}, {"n": 2, "k": "y"}],
    "lines": "one\n  two\n\nthree\n", "odd": "a\r\nb\rc\x0bd\u2028e", "number": " 42 ", "real": "3.75", "bad": "4x",
}

EXPRESSIONS = r"""
s
s ~ 1 ~ none ~ true ~ 1.0 ~ [1]
mixed
d
nested
(1,)
(1, 'a')
()
[]
{}
q
[q]
[qq]
[c]
[u]
[html]
[s, t]
{'a': {'b': [1, none]}}
{1: 2, none: 3, 1.5: 4, true: 5}
1 + 2
1 - 2
i * 2
i / 2
i // 2
neg // 2
neg % 3
i % -3
f % 2
neg % 2.5
f // 1
-7.5 // 2
2 ** 10
2 ** -1
2 ** 0.5
-2 ** 2
2 ** 3 ** 2
-i
+i
- -i
not yes
not not s
1 + 2 * 3
(1 + 2) * 3
'a' * 3
3 * 'ab'
[1] * 2
(1, 2) * 2
'a' * -1
[1] + [2]
(1,) + (2,)
'a' + 'b'
true + 1
1.5 + 1
1 / 0
1 % 0
1.0 // 0
'a' + 1
1 + 'a'
[1] + (2,)
none + 1
9223372036854775807
1.0
1e3
1E-5
1_000
1.5e300 * 1e10
0.1 + 0.2
1/3
100000000000000000000.0
1e22
123456789.123
1e15
1e16
12345678901234567.0
0.0001
0.00001
-0.0
2.50
3.0 * 2
1e308 * 10
third
big
small
whole
whole | int
f | int
'3.9' | int
bad | int
bad | int(5)
bad | int('x')
number | int
number | float
real | float
real | int
none | int
yes | int
l | int
e | float
'1e3' | float
'x' | float(2)
2.5 | round
3.5 | round
2.675 | round(2)
7 | round
1.25 | round(1)
1.21 | round(1, 'ceil')
1.29 | round(1, 'floor')
1.2 | round(method='wrong')
neg | abs
-1.5 | abs
s | abs
1 == 1.0
1 == true
'a' == 'a'
'a' != 'b'
[1, 2] == [1, 2]
[1] == (1,)
{'a': 1} == {'a': 1.0}
none == none
none == false
x == y
x == none
1 < 2
1 < 2 < 3
1 < 3 < 2
1 <= 1.0
2 > 1 > 0
'a' < 'b'
'B' < 'a'
[1, 2] < [1, 3]
[1] < [1, 0]
1 < 'a'
none < 1
x < 1
1 in l
5 in l
5 not in l
'ell' in s
'' in s
'' in e
1 in s
'a' in d
1 in d
'x' in x
x in l
x in s
1 in 2
'b' in names
[1] in mixed
true in [1]
not 1 in l
yes and no
yes and s
no or s
e or 'd'
no or e or empty
yes and not no or no
1 if yes else 2
1 if no else 2
1 if no
(1 if no) is defined
1 if no else 2 if no else 3
'a' if s == 'b' else 'c' if yes
s if s is string else s | string
x
x.y
x['y']
x()
x + 1
-x
x ~ 'a'
x | length
x | upper
x | trim
x | list
x | join
x | first
x | last
x | int
x | float
x | abs
x | tojson
x | default('d')
x | d
x | default
e | default('d')
e | default('d', true)
e | default('d', boolean=true)
no | default('d', true)
nil | default('d')
x.y | default('d')
x is defined
x is undefined
s is defined
d.nope is defined
d['nope'] is defined
d.nope.more is defined
x is none
x is string
x is mapping
x is sequence
x is iterable
x is callable
x is number
nil is none
nil is not none
s is string
s is not string
1 is string
l is sequence
s is sequence
d is sequence
l is iterable
d is iterable
i is iterable
d is mapping
l is mapping
i is number
yes is number
f is number
s is number
i is integer
yes is integer
f is float
i is float
yes is boolean
i is boolean
yes is true
no is false
i is true
1 is true
no is true
i is odd
i is even
i is divisibleby 7
i is divisibleby(2)
f is odd
s is odd
1 is eq 1
1 is equalto 2
1 is ne 2
1 is lt 2
2 is gt 1
1 is le 1
1 is ge 2
1 is lessthan 2
1 is greaterthan 2
1 is in [1, 2]
'a' is in 'abc'
s is lower
'abc' is lower
'ABC1' is upper
'1' is upper
u is lower
none is sameas none
yes is sameas true
s is sameas s
s is nothing_known
d.b
d.a
d.a[1]
d.a.1
d['a'][0]
d.C.x
d.C.x.y
d.items
d['items']
d.get('b')
d.get('nope')
d.get('nope', 'z')
d.get('nope', default='z')
d.get()
d.keys()
d.values()
d.keys() | list
d.values() | list
d.items() | list
d.items()
d.copy()
ed.items() | list
d | length
d | list
d | first
d | last
d.keys() | length
'b' in d.keys()
'b' in d.values()
d.update({'a': 1})
d.update is defined
d.pop('a')
l.append(1)
l.append is defined
l.index(2)
l.index(9)
l.count(1)
l.copy()
(1, 2, 1).count(1)
l.foo
l.foo.bar
s.foo
s.upper
i.foo
i.real
s.__class__
s.__class__.__name__
d.__len__
d.__len__()
l[0]
l[-1]
l[5]
l[-4]
l['a']
l[0.5]
l[none]
s[0]
s[-1]
s[50]
u[0]
u[-1]
u[3:6]
d[1]
d[[1]]
i[0]
nil.x
nil[0]
l[1:]
l[:1]
l[:]
l[::-1]
l[::2]
l[-2:]
l[:-1]
l[10:]
l[2:1]
l[1:10:2]
l[-10:10]
l[5:0:-1]
l[::0]
l[none:2]
l['a':]
s[1:4]
s[::-1]
s[-3:]
s[:-3]
s[::3]
u[::-1]
u[::2]
(1, 2, 3)[1:]
messages[1:]
messages[-1].role
messages[0]['role']
messages[::-1][0].role
messages | length
messages | map(attribute='role') | list
messages | map(attribute='n') | list
messages | map(attribute='n', default=0) | list
messages | map(attribute='nope.more', default='z') | list
messages | map(attribute='nope.more') | list
messages | map('length') | list
messages | selectattr('role', 'equalto', 'user') | list | length
messages | selectattr('role', '==', 'user') | first
messages | selectattr('n') | list | length
messages | selectattr('n', 'defined') | list | length
messages | rejectattr('role', 'in', ['system', 'user']) | map(attribute='role') | join(',')
messages | selectattr('role') | map(attribute='role') | join
messages | selectattr
messages | map
l | select('odd') | list
l | reject('odd') | list
l | select('gt', 1) | list
mixed | select | list
mixed | reject | list
mixed | select('string') | list
mixed | select('no_such') | list
l | map('string') | join('-')
names | map('upper') | list
names | map('replace', 'a', 'z') | list
names | map('nope') | list
l | map(attribute=0) | list
nested | map('first') | list
nested | map(attribute=0) | list
nested | map(attribute='0') | list
nested | sum(start=[])
rows | map(attribute='in.v') | list
rows | sum('n')
rows | sum(attribute='n', start=10)
l | sum
s | sum
l | sort
l | sort(reverse=true)
names | sort
names | sort(case_sensitive=true)
names | sort(true)
rows | sort(attribute='n') | map(attribute='k') | list
rows | sort(attribute='k') | map(attribute='k') | list
mixed | sort
names | unique | list
names | unique(true) | list
l | unique | list
rows | unique(attribute='n') | map(attribute='k') | list
rows | unique | list
l | min
l | max
names | min
names | max(true)
rows | max(attribute='n')
empty | max
l | reverse | list
s | reverse
l | reverse | first
d | reverse | list
l | batch(2) | list
l | batch(2, 'x') | list
l | first
l | last
s | first
s | last
empty | first
empty | last
empty | first is defined
i | first
l | select | first
l | select | last
l | length
s | length
u | length
i | length
nil | length
l | count
l | list
s | list
u[:4] | list
d | items | list
x | items | list
l | items | list
i | list
l | join
l | join(', ')
names | join('|')
mixed | join('/')
rows | join(',', attribute='k')
s | join('-')
l | join(1)
i | join
s | upper
s | lower
s | title
s | capitalize
u | upper
u | lower
u | title
u | capitalize
"it's a don't-do (this) [or] {that} <x>" | title
'HELLO wORLD' | capitalize
i | upper
none | upper
l | lower
t | trim
w | trim
[w | trim]
s | trim('Hd')
s | trim(chars='Hd')
t | trim(none)
i | trim
s | replace('l', 'L')
s | replace('l', 'L', 1)
s | replace('', '-')
s | replace('l', '')
s | replace('o', 0)
i | replace(7, 8)
'aaa' | replace('aa', 'b')
s | string
i | string
[i | string]
[s | safe]
s | safe
s | safe ~ '<'
(s | safe) + '<'
s | safe | length
html
html | upper
s | indent
lines | indent
lines | indent(2)
lines | indent(2, true)
lines | indent(2, first=true)
lines | indent(2, blank=true)
lines | indent('> ', true, true)
lines | indent(width=1)
i | indent
e | indent(2, true)
s | tojson
mixed | tojson
d | tojson
d | tojson(indent=2)
d | tojson(indent=4)
d | tojson(indent=0)
d | tojson(indent='--')
mixed | tojson(indent=2)
ed | tojson(indent=2)
empty | tojson(indent=1)
u | tojson
u | tojson(ensure_ascii=true)
u | tojson(true)
c | tojson
c | tojson(ensure_ascii=true)
qq | tojson
html | tojson
d | tojson(separators=(',', ':'))
d | tojson(separators=(',', ':'), indent=1)
{'b': 1, 'a': 2} | tojson(sort_keys=true)
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
{(1, 2): 3} | tojson
big | tojson
[1.0, 0.1, 1e100, -0.0] | tojson
(1, 2) | tojson
nil | tojson
yes | tojson
messages | tojson
messages[1] | tojson | safe
namespace(a=1) | tojson
d | dictsort
d | dictsort(true)
d | dictsort(reverse=true)
{'a': 2, 'b': 1} | dictsort(by='value')
{'a': 2, 'b': 1} | dictsort(false, 'value', true)
{'a': 2} | dictsort(by='x')
s | nothing_known
s.upper()
s.lower()
s.title()
s.capitalize()
u.upper()
u.lower()
u.title()
u.capitalize()
"they're o'neil".title()
w.strip()
[w.strip(), w.lstrip(), w.rstrip()]
s.strip('Hd')
s.strip('dlH')
s.lstrip('H')
s.rstrip('d')
s.strip(none)
s.strip(1)
'xyx'.strip('x')
u.strip('\u00c9')
t.split(',')
t.split(',', 1)
t.split(',', maxsplit=1)
t.split(sep=',')
t.split()
w.split()
' a b  c '.split()
' a b  c '.split(none, 1)
' a b  c '.rsplit(none, 1)
s.split('')
s.split('zz')
e.split()
e.split(',')
s.rsplit('o', 1)
s.rsplit('o')
t.rsplit(',')
'aaa'.split('aa')
'aaa'.rsplit('aa')
s.split('o')[0]
s.split('</think>')[-1].lstrip('\n')
odd.splitlines()
lines.splitlines()
e.splitlines()
s.partition(', ')
s.partition('zz')
s.rpartition('o')
s.rpartition('zz')
s.partition('')
s.startswith('He')
s.startswith('he')
s.startswith(('x', 'H'))
s.startswith('e', 1)
s.startswith('', 99)
s.startswith('ell', 1, 3)
s.startswith(1)
s.endswith('ld')
s.endswith(('x', 'd'))
s.endswith('Hello', 0, 5)
s.replace('l', 'L')
s.replace('l', 'L', 2)
s.replace('', '-', 3)
s.replace('l')
s.replace('l', 1)
s.find('o')
s.find('o', 5)
s.find('zz')
s.find('')
s.find('', 99)
s.rfind('o')
s.rfind('o', 0, 5)
u.find('\U0001f600')
u.rfind('\u03a3')
s.index('W')
s.index('zz')
s.rindex('o')
s.count('l')
s.count('')
s.count('l', 4)
'aaa'.count('aa')
','.join(names)
','.join(l)
''.join([])
','.join('abc')
'12'.isdigit()
'1a'.isdigit()
''.isdigit()
'ab'.isalpha()
'a1'.isalnum()
' '.isspace()
''.isspace()
'ab'.islower()
'AB'.isupper()
'A1'.isupper()
u.islower()
s.removeprefix('Hello')
s.removesuffix('World')
s.removeprefix('x')
s.nope()
s.upper(1)
s.upper(x=1)
range(3)
range(3) | list
range(1, 10, 3) | list
range(5, 0, -2) | list
range(0) | list
range(3)[1]
range(3)[9]
range(5) | length
3 in range(5)
range(3) | join(',')
range(100000) | length
range(100001) | length
range()
range('a')
range(1, 2, 0)
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([['a', 1]])
namespace(a=1).a
namespace(a=1).b
namespace({'a': 1}).a
namespace(_a=1)
lipsum()
joiner
raise_exception('no ' ~ s)
strftime_now('%Y')
strftime_now('%d %b %Y') | length
undefined_function()
loop
self
'a' 'b'
"x" 'y'
'\n\t\\\'\"'
"\x41\u00e9\U0001f600\101"
'\q'
'a\
b'
"it's" ~ 'say "x"'
1 2
1 +
(1
'abc
[1, 2,]
{'a': 1,}
(1, 2,)
1,
1, 2
true, True, false, False, none, None
[True, None] | tojson
true == True
s | upper | lower | title
(s | upper).lower()
s.upper() | lower
-1 | abs
-f | abs
not s is string
1 is not odd
s is string and i is number
s is string | string
2 is even is true
1 in [1] == true
'%s' % 1
'a' 1
s.upper.lower
s..x
{{}}
s|
|upper
s | upper()
s | trim | length > 3
l | first + 1
l | map('int') | sum
f"x"
a := 1
1 if
messages[2].content[0].text
messages[2]['content'] | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('')
messages[2].name is defined
messages[1].content | trim ~ '|'
messages | selectattr('role', 'equalto', 'tool') | list
(messages | selectattr('role', 'equalto', 'tool')) is defined
'yes' if messages | selectattr('role', 'equalto', 'tool') else 'no'
messages | map(attribute='content') | select('string') | map('trim') | join('~')
(messages[:-1] + [{'role': 'x'}]) | map(attribute='role') | join(',')
tools
tools is none
documents is none
add_generation_prompt
bos_token is defined
l == l | list
'abc'[1] ~ 'abc'[-1:]
'caf\u00e9'[3]
d.items() | sort
d.keys() | sort
rows[0].in.v
rows[0]['in']['v']
0 or 0.0
'' and x.y
none is none is true
[1, 2, 3] | select('in', [1, 3]) | list
['a', 'b'] | map('upper') | join | lower
'a,b' | replace(',', '\n') | tojson
((((1))))
1 .real
1.5.real
l.0
l.0.1
d . b
d
.b
'x' in 'xyz' and 'y' not in 'abc'
1 != 1 or 2 == 2
not (1 == 1)
3 - - 3
2 * -1
~ 1
""".strip("\n").split("\n")

STATEMENTS = [
    "{% if yes %}a{% endif %}", "{% if no %}a{% else %}b{% endif %}", "{% if no %}a{% elif yes %}b{% elif yes %}c{% else %}d{% endif %}",
    "{% if no %}a{% elif no %}b{% endif %}x", "{% if x %}a{% else %}b{% endif %}", "{% if l %}{{ l[0] }}{% endif %}",
    "{% for a in l %}{{ a }},{% endfor %}", "{% for a in empty %}{{ a }}{% else %}none{% endfor %}", "{% for a in l %}{{ a }}{% else %}none{% endfor %}",
    "{% for a in x %}{{ a }}{% else %}none{% endfor %}", "{% for a in nil %}{{ a }}{% endfor %}", "{% for a in 5 %}{{ a }}{% endfor %}",
    "{% for a in 'h\u00e9y' %}{{ a }}.{% endfor %}", "{% for k in d %}{{ k }} {% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|items %}{{ k }}{% endfor %}", "{% for (a, b), c in [((1, 2), 3)] %}{{ a + b + c }}{% endfor %}",
    "{% for a, b in [[1, 2], [3]] %}{{ a }}{% endfor %}", "{% for a in l if a > 1 %}{{ a }}{{ loop.index }}{{ loop.last }} {% endfor %}",
    "{% for a in l if a > 9 %}{{ a }}{% else %}none{% endfor %}", "{% for a in l if a > 1 %}{{ loop.length }}{% endfor %}",
    *["{% for a in l %}{{ loop." + a + " }},{% endfor %}" for a in "index index0 first last length revindex revindex0 previtem nextitem depth depth0 nope".split()],
    "{% for a in l %}{{ loop.previtem is defined }}{{ loop.nextitem | default('-') }} {% endfor %}", "{% for a in l %}{{ loop['index'] }}{% endfor %}",
    "{% for a in l | select('odd') %}{{ a }}{{ loop.last }}{{ loop.length }} {% endfor %}", "{% for a in l | select('odd') %}{{ loop.length }}{{ loop.last }}{{ loop.nextitem }} {% endfor %}",
    "{% for a in l %}{{ loop.cycle('x', 'y') }}{% endfor %}", "{% for a in l %}{{ loop.cycle() }}{% endfor %}", "{% for a in [1, 1, 2] %}{{ loop.changed(a) }}{% endfor %}",
    "{% for a in l %}{% for b in l %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}", "{% for a in l %}{% for b in [loop.index] %}{{ b }}{% endfor %}{% endfor %}",
    "{% for a in l %}{% if a == 1 %}{% break %}{% endif %}{{ a }}{% endfor %}", "{% for a in l %}{% if a == 1 %}{% continue %}{% endif %}{{ a }}{% endfor %}",
    "{% for a in l %}{% for b in l %}{% if b == 1 %}{% break %}{% endif %}{{ b }}{% endfor %}|{% endfor %}", "{% break %}", "{% for a in l %}{% break %}{% else %}e{% endfor %}x",
    "{% for a in l %}{{ a }}{% endfor %}{{ a }}", "{% for a in l %}{% set y = a %}{% endfor %}{{ y }}", "{% set y = 0 %}{% for a in l %}{{ y }}{% set y = y + a %}{{ y }} {% endfor %}{{ y }}",
    "{% set ns = namespace(y=0) %}{% for a in l %}{% set ns.y = ns.y + a %}{% endfor %}{{ ns.y }}", "{% set ns = namespace() %}{{ ns.a is defined }}{% set ns.a = 1 %}{{ ns.a }}{{ ns['a'] }}",
    "{% set d.x = 1 %}", "{% set nope.x = 1 %}", "{% set ns = namespace(a=1) %}{% set ns._b = 1 %}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1] %}", "{% set (a, b) = 'xy' %}{{ b }}",
    "{% if yes %}{% set y = 1 %}{% endif %}{{ y }}", "{% set y %}a{{ s }}b{% endset %}[{{ y }}]", "{% set y | upper %}a{{ s }}{% endset %}{{ y }}", "{% set y | trim | upper %} a {% endset %}[{{ y }}]",
    "{% set y %}{% set k = 1 %}{% endset %}{{ k }}", "{% set loop = 1 %}{{ loop }}", "{% set y = 1, 2 %}{{ y }}", "{% set s = s ~ '!' %}{{ s }}", "{% for loop in l %}{% endfor %}", "{% set 1 = 2 %}",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }}|{{ m(1, 3) }}|{{ m(b=1, a=0) }}|{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(x=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, c=3) }}", "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(5) }}", "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro m() %}{{ y }}{% endmacro %}{% set y = 5 %}{{ m() }}", "{% set y = 1 %}{% macro m() %}{% set y = 2 %}{{ y }}{% endmacro %}{{ m() }}{{ y }}",
    "{% macro m() %}  x  {% endmacro %}[{{ m() | trim }}]{{ m() ~ 'z' }}{{ m() | length }}", "{% macro m(a) %}{{ caller() }}{{ a }}{% endmacro %}{% call m(1) %}in{{ s }}{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}in{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% for a in l %}{% macro m() %}{{ a }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% for a in l %}{% macro m() %}{{ loop.index }}{% endmacro %}{{ m() }}{% endfor %}", "{{ m is defined }}{% macro m() %}{% endmacro %}{{ m is defined }}{{ m is callable }}", "{% set f = namespace(m=1) %}{% macro m() %}k{% endmacro %}{% set f.m = m %}{{ f.m() }}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter trim | upper %} a {% endfilter %}", "{% filter indent(2, true) %}a\nb{% endfilter %}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}", "{% with %}{% set y = 1 %}{{ y }}{% endwith %}{{ y }}",
    "{% with s = 1, y = s %}{{ y }}{% endwith %}", "{% generation %}a{{ s }}{% endgeneration %}", "{%- generation -%} a {%- endgeneration -%} b", "{% generation %}{% set y = 1 %}{% endgeneration %}{{ y }}", "{% for a in l %}{% generation %}{{ loop.index }}{{ a }}{% endgeneration %}{% endfor %}",
    "{% raw %}{{ x }}{% if %}{% endraw %}y", "a\n  {% raw %}\n b {% endraw %}\nc", "a {%- raw -%} b {%- endraw -%} c", "{% raw %}a", "{# c #}a{# {{ x }} #}b", "a {#- c -#} b", "a\n  {# c #}\nb", "{# c", "{#- #}a", "{#-#}a", "a{#+ c +#}\nb",
    "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% block b %}{% endblock %}", "{% do l %}", "{% autoescape true %}{% endautoescape %}", "{% print s %}", "{% nope %}", "{% %}", "{%",
    "{% if yes %}a", "{% endif %}", "{% for a in l %}{% endif %}", "{% if %}{% endif %}", "{% for a l %}{% endfor %}", "{% if yes %}{% else %}{% else %}{% endif %}", "{% else %}", "{{ 'a' }", "{{ }}", "}} %} #}", "{ { } }", "a{b}c", "{", "{{ '}}' }}", "{{ \"%}\" }}",
    "{% if no %}{{ s | nothing_known }}{% endif %}ok", "{% if yes %}{{ s | nothing_known }}{% endif %}ok", "{{ s | nothing_known if no }}ok", "{% for a in empty %}{{ a | nothing_known }}{% endfor %}ok", "{% if no %}{% for a in l %}{{ a | nothing_known }}{% endfor %}{% endif %}ok",
    "{% if no %}{{ s is nothing_known }}{% endif %}ok", "{{ 1 if s is nothing_known else 2 }}", "{{ 'a' if yes else s | nothing_known }}", "{% if no %}{{ raise_exception('x') }}{% endif %}ok",
    "{%- if yes -%}\n a \n{%- endif -%}\n b", "a\n{% if yes %}\nb\n{% endif %}\nc", "a\n  {% if yes %}  \nb\n  {% endif %}\nc", "a\n  {%+ if yes %}\nb\n  {%+ endif %}\nc", "a {% if yes +%}\nb{% endif %}", "  {% if yes %}a{% endif %}", "\t{% if yes %}\n\n a{% endif %}\n\n",
    "x  {% if yes %}a{% endif %}", "a\n  {{ s }}\n  b", "a\n  {{- s -}}\n  b", "a {{+ i }} b", "{{-5 }}", "{{ 5-}} a", "a\n\n  {%- if yes %} b{% endif %}", "a\u00a0{%- if yes %} b{% endif %}", "{% if yes %}\r\na\r\n{% endif %}\r\nb\r", "a\n", "a\n\n", "\n", "", "\na", " ", "{{ s }}\n", "{{ 'a\r\nb' | tojson }}",
    "{% if yes %} \n{% endif %}", "{%if yes%}a{%endif%}", "{%-if yes-%} a {%-endif-%}", "{% for a in l -%}\n  {{ a }}\n{%- endfor %}", "{%\nif\nyes\n%}a{%\nendif\n%}", "{{ s\n}}", "{% set a = [\n1,\n2\n] %}{{ a }}", "{{ [1,\n2][1] }}", "a{% set b = 1 %}\n\nc",
    "{{ s }}{{ i }}\n{{ f }}\n", "{{ messages[0].role }}: {{ messages[0].content }}", "{% for m in messages %}{{ m.role }}{% if not loop.last %},{% endif %}{% endfor %}", "{% for m in messages[1:] %}{{ loop.index0 }}{{ m.role }}{% endfor %}", "{% for m in messages | reverse %}{{ m.role }} {% endfor %}",
    "{% for m in messages %}{% if m.role == 'user' and m.content is string %}{{ m.content }}{% elif m.content is iterable %}{% for c in m.content %}{{ c.type }}{% endfor %}{% endif %}{% endfor %}", "{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }} {% endfor %}{% endfor %}",
    "{% set x = [] %}{% for a in l %}{% set x = x + [a] %}{% endfor %}{{ x }}", "{% for k, v in {'a': 1}.items() %}{{ loop.first }}{{ k }}{{ v }}{% endfor %}", "{% set it = l | map('string') %}{{ it | list }}{{ it | list }}", "{% set it = l | reverse %}{{ it | list }}{{ it | list }}",
    "{% for a in l recursive %}{{ a }}{% endfor %}", "{{ l | map('string') }}", "{{ range }}", "{{ s.upper }}", "{% set y = s.upper %}{{ y() }}", "{% for a in [1, 2, 3] %}{{ a }}{{ ', ' if not loop.last }}{% endfor %}", "{% for a in l %}{{ loop.index is divisibleby 2 }}{% endfor %}",
    "{% if (messages | selectattr('role', 'equalto', 'user') | list | length) == 1 %}one{% endif %}", "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set first = messages[0]['content'] %}{% else %}{% set rest = messages %}{% endif %}{{ first }}{{ rest | length }}",
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}", "{%- set n = 'x' -%} {{ n }} {%- set n = n * 2 -%} {{ n }}",
]

# What Jinja renders and retort refuses by name, and what holds an address or a text by chance.
REFUSED = ["sameas s", "{{ d.items }}", "{{ s.upper }}", ".real", "| selectattr }}", "| map }}", "safe) +", "lipsum", "joiner", "{{ self }}", "'%s' % 1",
           "s.upper.lower", "{% block", "{% autoescape", "{% print", "recursive", "{{ l | map('string') }}", "{{ range }}", "{{ range(2) == range(2) }}",
           *("{{ " + f"{a} % {b}" + " }}" for a in ("s", "e") for b in ("x", "l", "d", "range(2)", "empty"))]


def refused(template):
    return any(part in template for part in REFUSED)


def snippets():
    for i, text in enumerate(EXPRESSIONS):
        yield f"expression {i}", "{{ " + text.encode().decode("unicode-escape" if "\\u" in text and "'\\" not in text else "utf-8") + " }}"
    for i, text in enumerate(STATEMENTS):
        yield f"statement {i}", text
    values = ["s", "i", "f", "yes", "nil", "x", "l", "d", "(1, 'a')", "range(2)", "e", "empty"]
    for a, b in itertools.product(values, values):
        yield f"{a} == {b}", "{{ " + f"{a} == {b}" + " }}"
    for a, op, b in itertools.product(values, ["+", "-", "*", "<", "in", "~", "%", "//", "and", "or"], values):
        yield f"{a} {op} {b}", "{{ " + f"{a} {op} {b}" + " }}"
    filters = ("abs capitalize count default dictsort first float indent int items join last length list lower max min reverse round safe sort string sum "
               "title tojson trim unique upper").split()
    for value, name in itertools.product(values, filters):
        yield f"{value} | {name}", "{{ " + f"{value} | {name}" + (" | list" if name in ("items", "reverse", "unique") else "") + " }}"
    tests = "boolean callable defined even false float integer iterable lower mapping none number odd sequence string true undefined upper".split()
    for value, name in itertools.product(values, tests):
        yield f"{value} is {name}", "{{ " + f"{value} is {name}" + " }}"
