"""What a value is worth: each program hands it to a normalisation, where the trace shows it."""

# ruff: noqa: E501 - the tables hold whole programs in one line each

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Phases = Callable[..., list[Any]]

FUNCTIONS = {
    "argument": ("def f(a): return a\nnorm(f(True))", [True]),
    "keyword": ("def f(a, b): return b\nnorm(f(b=False, a=True))", [False]),
    "default": ("def f(a=True): norm(a)\nf(); f(False)", [True, False]),
    "default is computed once, at the definition": ("a = 1\ndef f(b=a): norm(b)\na = 2\nf()", [1]),
    "keyword only": ("def f(*, a=3): norm(a)\nf(); f(a=4)", [3, 4]),
    "positional only": ("def f(a, /, b): norm((a, b))\nf(1, b=2)", [(1, 2)]),
    "star": ("def f(*a): norm(a)\nf(1, 2); f(); f(*[3, 4], 5)", [(1, 2), (), (3, 4, 5)]),
    "double star": ("def f(**k): norm(k['a'])\nf(a=1); f(**{'a': 2})", [1, 2]),
    "double star passed on": ("def g(b, a=0): norm((b, a))\ndef f(**k): g(1, **k)\nf(a=2); f()", [(1, 2), (1, 0)]),
    "both stars passed on": (
        "def g(*a, **k): norm((a, k))\ndef f(*a, **k): g(*a, **k)\nf(1, b=2)", [((1,), {"b": 2})],
    ),
    "no return is None": ("def f(): pass\nnorm(f())", [None]),
    "closure": ("def f(a):\n    def g(): return a\n    return g\nnorm(f(1)()); norm(f(2)())", [1, 2]),
    "closure sees later changes": ("def f():\n    a = 1\n    def g(): return a\n    a = 2\n    return g()\nnorm(f())", [2]),
    "global": ("a = 1\ndef f():\n    global a\n    a = 2\nf()\nnorm(a)", [2]),
    "local hides global": ("a = 1\ndef f():\n    a = 2\nf()\nnorm(a)", [1]),
    "nonlocal": (
        "def f():\n    a = 1\n    def g():\n        nonlocal a\n        a = 2\n    g()\n    return a\nnorm(f())", [2],
    ),
    "lambda": ("f = lambda a, b=2: (a, b)\nnorm(f(1))", [(1, 2)]),
    "partial": (
        "import functools\ndef f(a, b, c=0): norm((a, b, c))\nfunctools.partial(f, 1, c=3)(2)", [(1, 2, 3)],
    ),
    "partial of partial": (
        "from functools import partial\ndef f(a, b): norm((a, b))\npartial(partial(f, 1), b=2)()", [(1, 2)],
    ),
    "partial keyword is overridden": (
        "from functools import partial\ndef f(a): norm(a)\npartial(f, a=1)(a=2)", [2],
    ),
    "function in a dictionary": ("def f(): return 1\nt = {'f': f}\nnorm(t['f']())", [1]),
    "function in a list": ("def f(a): return a\nfor g, a in [(f, 1), (f, 2)]: norm(g(a))", [1, 2]),
    "decorator": (
        "def twice(f):\n    def g(a): return f(a) + f(a)\n    return g\n@twice\ndef h(a): return a\nnorm(h(2))", [4],
    ),
    "decorator with arguments": (
        "import functools\ndef add(n):\n    def wrap(f):\n        @functools.wraps(f)\n"
        "        def g(*a, **k): return f(*a, **k) + n\n        return g\n    return wrap\n"
        "@add(5)\ndef h(a): return a\nnorm(h(2))", [7],
    ),
    "decorator class": (
        "class D:\n    def __init__(self, f): self.f = f\n    def __call__(self, a): return self.f(a) + 1\n"
        "@D\ndef h(a): return a\nnorm(h(2))", [3],
    ),
    "recursion is bounded": ("def f(n): return f(n)\nnorm(f(1))", ["?f"]),
    "recursion that ends": ("def f(n): return 0 if n == 0 else f(n - 1)\nnorm(f(2))", [0]),
    "mutual recursion is bounded": ("def f(n): return g(n)\ndef g(n): return f(n)\nnorm(f(1))", ["?f"]),
    "generator": ("def f():\n    yield 1\n    yield 2\nfor a in f(): norm(a)", [1, 2, "?"]),
    "yield from": ("def g():\n    yield 1\ndef f():\n    yield from g()\nnorm(list(f()))", [[1, ...]]),
    "default is overwritten by None": ("def f(a=True): norm(a)\nf(None)", [None]),
    "or default": ("def f(a=None):\n    a = a or {'p': True}\n    norm(a['p'])\nf(); f({'p': False})", [True, False]),
    "if None default": ("def f(a=None):\n    if a is None: a = True\n    norm(a)\nf(); f(False)", [True, False]),
    "changed mutable default": ("def f(a=[]):\n    a.append(1)\n    return a\nf()\nnorm(f())", [[1, 1]]),
    "star of something unknown": ("def f(a, b=2): norm((a, b))\nf(*anything)", [("?a", "?b")]),
    "double star of something unknown": ("def f(a, b=2): norm((a, b))\nf(1, **anything)", [(1, "?b")]),
}  # fmt: skip

CLASSES = {
    "attribute": ("class A:\n    def __init__(self, p): self.p = p\nnorm(A(True).p)", [True]),
    "class attribute": ("class A:\n    p = True\nnorm(A.p); norm(A().p)", [True, True]),
    "instance hides class": ("class A:\n    p = True\na = A()\na.p = False\nnorm(a.p); norm(A.p)", [False, True]),
    "method": ("class A:\n    def f(self, a): return a\nnorm(A().f(1))", [1]),
    "bound method": ("class A:\n    def __init__(self): self.p = 1\n    def f(self): return self.p\ng = A().f\nnorm(g())", [1]),
    "unbound method": ("class A:\n    def f(self, a): return a\nnorm(A.f(A(), 1))", [1]),
    "inheritance": ("class A:\n    def f(self): return self.p\nclass B(A):\n    p = 2\nnorm(B().f())", [2]),
    "override": ("class A:\n    def f(self): return self.g()\n    def g(self): return 1\nclass B(A):\n    def g(self): return 2\nnorm(B().f()); norm(A().f())", [2, 1]),
    "super": ("class A:\n    def __init__(self, p): self.p = p\nclass B(A):\n    def __init__(self): super().__init__(3)\nnorm(B().p)", [3]),
    "super of Python 2": ("class A(object):\n    def f(self): return 1\nclass B(A):\n    def f(self): return super(B, self).f() + 1\nnorm(B().f())", [2]),
    "base called by name": ("class A:\n    def __init__(self, p): self.p = p\nclass B(A):\n    def __init__(self): A.__init__(self, 3)\nnorm(B().p)", [3]),
    "two levels of super": ("class A:\n    def f(self): return 1\nclass B(A):\n    def f(self): return super().f() + 1\nclass C(B):\n    def f(self): return super().f() + 1\nnorm(C().f())", [3]),
    "diamond": ("class A:\n    p = 1\nclass B(A): pass\nclass C(A):\n    p = 2\nclass D(B, C): pass\nnorm(D().p)", [2]),
    "super in a diamond": (
        "class A:\n    def f(self): return 'a'\nclass B(A):\n    def f(self): return 'b' + super().f()\n"
        "class C(A):\n    def f(self): return 'c' + super().f()\nclass D(B, C):\n    def f(self): return 'd' + super().f()\n"
        "norm(D().f())", ["dbca"],
    ),
    "property": ("class A:\n    def __init__(self): self.q = 1\n    @property\n    def p(self): return self.q\na = A()\nnorm(a.p)\na.q = 2\nnorm(a.p)", [1, 2]),
    "property setter": ("class A:\n    @property\n    def p(self): return self.q\n    @p.setter\n    def p(self, v): self.q = v\na = A()\na.p = 1\nnorm(a.p)", [1]),
    "property function": ("class A:\n    def get(self): return 1\n    p = property(get)\nnorm(A().p)", [1]),
    "static method": ("class A:\n    @staticmethod\n    def f(a): return a\nnorm(A.f(1)); norm(A().f(2))", [1, 2]),
    "class method": ("class A:\n    p = 1\n    @classmethod\n    def f(cls): return cls.p\nclass B(A):\n    p = 2\nnorm(A.f()); norm(B.f()); norm(B().f())", [1, 2, 2]),
    "class method makes an object": ("class A:\n    def __init__(self, p): self.p = p\n    @classmethod\n    def make(cls): return cls(4)\nnorm(A.make().p)", [4]),
    "call": ("class A:\n    def __init__(self, p): self.p = p\n    def __call__(self, a): return (self.p, a)\nnorm(A(1)(2))", [(1, 2)]),
    "getattr method": ("class A:\n    def __getattr__(self, n): return n + '!'\nnorm(A().p)", ["p!"]),
    "getitem method": ("class A:\n    def __getitem__(self, k): return k + 1\nnorm(A()[1])", [2]),
    "setitem method": ("class A:\n    def __setitem__(self, k, v): self.p = (k, v)\na = A()\na[1] = 2\nnorm(a.p)", [(1, 2)]),
    "len method": ("class A:\n    def __len__(self): return 3\nnorm(len(A()))", [3]),
    "empty by len": ("class A:\n    def __len__(self): return 0\nnorm(1 if A() else 2)", [{1, 2}]),
    "false by bool": ("class A:\n    def __bool__(self): return False\nnorm(1 if A() else 2)", [{1, 2}]),
    "getattr": ("class A:\n    p = 1\nnorm(getattr(A(), 'p')); norm(getattr(A(), 'q', 2))", [1, 2]),
    "setattr": ("class A: pass\na = A()\nsetattr(a, 'p', 1)\nnorm(a.p)", [1]),
    "hasattr": ("class A: pass\na = A()\nnorm(hasattr(a, 'p'))\na.p = 1\nnorm(hasattr(a, 'p'))", [False, True]),
    "getattr of a name made up": ("class A:\n    p_1 = 5\nnorm(getattr(A, 'p_%d' % 1))", [5]),
    "lazy property": (
        "import functools\ndef lazy(f):\n    name = '_cache_' + f.__name__\n    @property\n    @functools.wraps(f)\n"
        "    def g(self):\n        if not hasattr(self, name): setattr(self, name, f(self))\n        return getattr(self, name)\n"
        "    return g\nclass A:\n    @lazy\n    def p(self): return norm(True)\na = A()\na.p; a.p; a.p", [True],
    ),
    "isinstance": ("class A: pass\nclass B(A): pass\nnorm(isinstance(B(), A)); norm(isinstance(A(), B)); norm(isinstance(1, (str, int)))", [True, False, True]),
    "class chosen": ("class A:\n    p = 1\nclass B:\n    p = 2\nfor c in (A, B): norm(c().p)", [1, 2]),
    "class in a class": ("class A:\n    class B:\n        p = 1\nnorm(A.B.p); norm(A().B().p)", [1, 1]),
    "names of a class body are not seen in its methods": ("p = 1\nclass A:\n    p = 2\n    def f(self): return p\nnorm(A().f())", [1]),
    "dataclass": ("import dataclasses\n@dataclasses.dataclass\nclass A:\n    p: bool\n    q: int = 3\nnorm(A(True).p); norm(A(True).q); norm(A(p=False).p)", [True, 3, False]),
    "namedtuple": ("import collections\nT = collections.namedtuple('T', 'a b')\nt = T(1, b=2)\nnorm(t.a); norm(t.b); norm(t[1])\na, b = t\nnorm(a)", [1, 2, 2, 1]),
    "namedtuple subclass": ("import collections\nclass T(collections.namedtuple('T', 'a b')): pass\nnorm(T(1, 2).a)", ["?self.a"]),
    "enum": ("import enum\nclass Mode(enum.Enum):\n    TRAIN = 1\n    EVAL = 2\nm = Mode.TRAIN\nnorm(m == Mode.TRAIN); norm(m == Mode.EVAL)", [True, False]),
    "type": ("class A:\n    p = 1\na = A()\nnorm(type(a).p); norm(a.__class__.p)", [1, 1]),
    "recursive class": ("class A:\n    def __init__(self): self.a = A()\nnorm(A().a.a.a.a.a.a.a.p is None)", ["<equal>"]),
}  # fmt: skip

CONTAINERS = {
    "list": ("a = [1, 2]\nnorm(a[0]); norm(a[-1])", [1, 2]),
    "append through another name": ("a = []\nb = a\nb.append(1)\nnorm(a)", [[1]]),
    "list passed to a function": ("def f(a): a.append(2)\na = [1]\nf(a)\nnorm(a)", [[1, 2]]),
    "extend, insert, pop": ("a = [1]\na.extend([2, 3])\na.insert(0, 0)\nnorm(a.pop()); norm(a)", [3, [0, 1, 2]]),
    "augmented list": ("a = [1]\nb = a\na += [2]\nnorm(b)", [[1, 2]]),
    "sum of lists": ("a = [1]\nb = a + [2]\nnorm(a); norm(b)", [[1], [1, 2]]),
    "repeated list": ("norm([1] * 3)", [[1, 1, 1]]),
    "slice": ("a = [1, 2, 3]\nnorm(a[1:]); norm(a[::-1]); norm((1, 2, 3)[:2])", [[2, 3], [3, 2, 1], (1, 2)]),
    "unpacking": ("a, (b, *c) = 1, (2, 3, 4)\nnorm((a, b, c))", [(1, 2, [3, 4])]),
    "swap": ("a, b = 1, 2\na, b = b, a\nnorm((a, b))", [(2, 1)]),
    "chained assignment": ("a = b = 1\nnorm((a, b))", [(1, 1)]),
    "remove": ("a = [1, 2, 3]\na.remove(2)\nnorm(a)", [[1, 3]]),
    "reverse": ("a = [1, 2]\na.reverse()\nnorm(a)", [[2, 1]]),
    "sorted": ("norm(sorted([3, 1, 2])); a = [3, 1]; a.sort(); norm(a)", [[1, 2, 3], [1, 3]]),
    "sorted with a key": ("norm(sorted([3, 1, 2], key=anything)[0])", ["?"]),
    "reversed": ("norm(list(reversed([1, 2])))", [[2, 1]]),
    "membership": ("norm(1 in [1, 2]); norm(3 not in (1, 2)); norm('a' in {'a': 1}); norm('b' in 'abc')", [True] * 4),
    "dictionary": ("d = {'a': 1, 'b': 2}\nd['a'] = 3\nnorm(d)", [{"a": 3, "b": 2}]),
    "get": ("d = {'a': 1}\nnorm(d.get('a')); norm(d.get('b')); norm(d.get('b', 2))", [1, None, 2]),
    "setdefault": ("d = {}\nnorm(d.setdefault('a', 1)); norm(d.setdefault('a', 2)); norm(d)", [1, 1, {"a": 1}]),
    "update": ("d = {'a': 1}\nd.update({'a': 2}, b=3)\nnorm(d)", [{"a": 2, "b": 3}]),
    "dict call": ("norm(dict({'a': 1}, b=2)); norm(dict([('c', 3)]))", [{"a": 1, "b": 2}, {"c": 3}]),
    "merged": ("d = {'a': 1}\nnorm({**d, 'a': 2})", [{"a": 2}]),
    "union": ("d = {'a': 1}\nnorm((d | {'a': 2})['a'])", ["?['a']"]),
    "dict pop": ("d = {'a': 1}\nnorm(d.pop('a')); norm(d); norm(d.pop('a', 5))", [1, {}, 5]),
    "del item": ("d = {'a': 1}\ndel d['a']\nnorm(d)", [{}]),
    "del list item": ("a = [1, 2]\ndel a[0]\nnorm(a)", [[2]]),
    "items": ("for k, v in {'a': 1, 'b': 2}.items(): norm((k, v))", [("a", 1), ("b", 2)]),
    "copied dictionary": ("d = {'a': 1}\ne = dict(d)\ne['a'] = 2\nf = d.copy()\nf['a'] = 3\nnorm((d['a'], e['a'], f['a']))", [(1, 2, 3)]),
    "copied list": ("a = [1]\nb = list(a)\nb.append(2)\nc = a[:]\nc.append(3)\nnorm(a)", [[1]]),
    "nested": ("c = {'model': {'bn': [True]}}\nnorm(c['model']['bn'][0])", [True]),
    "unknown key opens": ("d = {'a': 1}\nd[anything] = 2\nnorm(d.get('b', 3))", ["?b"]),
    "defaultdict": ("import collections\nd = collections.defaultdict(list)\nd['a'].append(1)\nnorm(d['b'] is None)", ["<equal>"]),
    "zip": ("for a, b in zip([1, 2], (3, 4)): norm((a, b))", [(1, 3), (2, 4)]),
    "enumerate": ("for i, a in enumerate(['x', 'y'], 1): norm((i, a))", [(1, "x"), (2, "y")]),
    "map": ("norm(list(map(lambda a: a + 1, [1, 2])))", [[2, 3]]),
    "map of two": ("norm(list(map(lambda a, b: a + b, [1, 2], [3, 4])))", [[4, 6]]),
    "filter": ("norm(len(list(filter(anything, [1, 2]))))", ["?len"]),
    "reduce": ("import functools\nnorm(functools.reduce(lambda a, b: a + b, [1, 2, 3]))", [6]),
    "list comprehension": ("norm([a * 2 for a in [1, 2, 3] if a != 2])", [[2, 6]]),
    "dict comprehension": ("norm({k: v for k, v in [('a', 1)]})", [{"a": 1}]),
    "nested comprehension": ("norm([a + b for a in [1, 2] for b in [10, 20]])", [[11, 21, 12, 22]]),
    "comprehension keeps its variable": ("a = 7\n[a for a in [1]]\nnorm(a)", [7]),
    "generator expression": ("norm(sum(a for a in (1, 2)))", [3]),
    "length": ("norm(len([1, 2])); norm(len('abc')); norm(len({'a': 1})); norm(len(()))", [2, 3, 1, 0]),
    "next": ("norm(next(iter([1])))", [1]),
    "any and all": ("norm(any([False, True])); norm(all([False, True]))", [True, False]),
    "set": ("norm(2 in {1, 2})", [True]),
}  # fmt: skip

TEXT = {
    "percent": ("norm('a%d_%s' % (1, 'b'))", ["a1_b"]),
    "format": ("norm('{}/{x}'.format('a', x=1))", ["a/1"]),
    "f-string": ("i = 2\nnorm(f'bn{i}')", ["bn2"]),
    "f-string with a format": ("i = 2\nnorm(f'bn{i:02d}')", ["?"]),
    "sum": ("norm('bn' + str(1))", ["bn1"]),
    "join": ("norm('/'.join(['a', 'b']))", ["a/b"]),
    "methods": ("norm('Train'.lower() == 'train'); norm('a b'.split()[1]); norm('train_x'.startswith('train'))", [True, "b", True]),
    "unknown part": ("norm('a' + anything)", ["?"]),
    "percent with an unknown": ("norm('a%s' % anything)", ["?"]),
}  # fmt: skip

OPERATORS = {
    "arithmetic": ("norm(1 + 2 * 3 - 4); norm(7 // 2); norm(2 ** 3); norm(7 % 4); norm(1 / 2)", [3, 3, 8, 3, 0.5]),
    "comparison": ("norm(1 < 2); norm(1 < 2 < 2); norm(1 == 1.0); norm('a' != 'b')", [True, False, True, True]),
    "identity": ("norm(None is None); norm(1 is not None)", [True, True]),
    "not": ("norm(not True); norm(not []); norm(not 'a')", [False, True, False]),
    "and": ("norm(1 and 2); norm(0 and anything); norm(True and False)", [2, 0, False]),
    "or": ("norm(0 or 2); norm(1 or anything); norm(None or 'a')", [2, 1, "a"]),
    "conditional": ("norm(1 if True else 2); norm(1 if None else 2)", [1, 2]),
    "unknown conditional": ("norm(True if anything else False)", [{True, False}]),
    "unknown and False": ("norm(anything and False)", [False]),
    "augmented": ("a = 1\na += 2\na *= 3\nnorm(a)", [9]),
    "augmented attribute": ("class A: p = 1\na = A()\na.p += 1\nnorm(a.p); norm(A.p)", [2, 1]),
    "augmented item": ("d = {'a': 1}\nd['a'] += 1\nnorm(d['a'])", [2]),
    "walrus": ("if (a := 3) > 2: norm(a)", [3]),
    "negative": ("norm(-1); norm(+1); norm(~1)", [-1, 1, -2]),
    "bits": ("norm(6 & 3); norm(6 | 1); norm(6 ^ 2); norm(1 << 3)", [2, 7, 4, "?"]),
    "division by zero": ("norm(1 / 0)", ["?"]),
    "huge power": ("norm(10 ** 10 ** 10)", ["?"]),
    "huge text": ("norm('a' * 10 ** 9)", ["?"]),
    "conversions": ("norm(bool(1)); norm(int('3')); norm(float(2)); norm(str(1)); norm(max(1, 2)); norm(min([3, 4]))", [True, 3, 2.0, "1", 2, 3]),
    "annotated": ("a: bool = True\nb: int\nnorm(a)", [True]),
    "string of a bool": ("norm('true' == 'True'.lower())", [True]),
    "deleted name": ("a = True\ndel a\nnorm(a)", ["?a"]),
}  # fmt: skip

LIBRARY = {
    "Namespace": ("import argparse\na = argparse.Namespace(p=True)\nnorm(a.p)\na.p = False\nnorm(a.p)", [True, False]),
    "SimpleNamespace": ("from types import SimpleNamespace as N\nnorm(N(p=1).p)", [1]),
    "EasyDict": ("from easydict import EasyDict\nnorm(EasyDict({'p': 1}).p)", [1]),
    "copy of a list": ("import copy\na = [1]\nb = copy.copy(a)\nb.append(2)\nnorm(a)", [[1]]),
    "deep copy of a dictionary": ("import copy\na = {'p': 1}\nb = copy.deepcopy(a)\nb['p'] = 2\nnorm(a['p']); norm(b['p'])", [1, 2]),
    "copy of an object": ("import copy\nclass A: p = 1\na = A()\nb = copy.copy(a)\nb.p = 2\nnorm(a.p); norm(b.p)", [1, 2]),
    "copy of a number": ("import copy\nnorm(copy.copy(1))", [1]),
    "OrderedDict": ("from collections import OrderedDict\nnorm(OrderedDict([('p', 1)]))", [{"p": 1}]),
    "list methods": ("a = [1, 2]\nb = a.copy()\nb.clear()\nnorm(a); norm(b)", [[1, 2], []]),
    "list extended by something unknown": ("a = [1]\na.extend(anything)\nnorm(a)", [[1, "?anything", ...]]),
    "list plus something unknown": ("norm([1] + anything)", [[1, "?anything", ...]]),
    "augmented by something unknown": ("a = [1]\na += anything\nnorm(len(a) == 1)", ["<equal>"]),
    "pop of an open list": ("a = [1]\na += anything\nnorm(a.pop() is None)", ["<equal>"]),
    "callable": ("norm(callable(len)); norm(callable(1))", [True, False]),
    "isinstance of containers": ("norm(isinstance([], list)); norm(isinstance({}, (list, dict))); norm(isinstance('a', bytes)); norm(isinstance(True, int)); norm(isinstance(x, dict))", [True, True, False, True, False]),
    "isinstance of something unknown": ("norm(isinstance(anything, dict))", ["?"]),
    "pow": ("norm(pow(2, 3)); norm(pow(10, 10 ** 10))", [8, "?"]),
    "wide template": ("norm('%99999d' % 1); norm('{:99999}'.format(1))", ["?", "?"]),
    "huge product": ("a = 3\nfor i in [1] * 30: a = a * a\nnorm(a is None)", ["<equal>"]),
    "huge list": ("a = [1, 2]\nfor i in [1] * 30: a = a + a\nnorm(len(a) == 0)", ["<equal>"]),
    "negative index of an open list": ("a = [1]\na += anything\nnorm(a[-1] is None); norm(a[0])", ["<equal>", 1]),
    "item of a choice": ("d = {'a': 1} if anything else {'a': 2}\nnorm(d['a'])", [{1, 2}]),
    "unpacking of a choice": ("a, b = (1, 2) if anything else (3, 4)\nnorm(b)", [{2, 4}]),
    "setting an item": ("a = [1, 2]\na[1] = 3\na[-2] = 0\nnorm(a)", [[0, 3]]),
    "setting an unknown item": ("a = [1]\na[anything] = 2\nnorm(len(a) == 1)", ["<equal>"]),
    "zip of different lengths": ("norm(list(zip([1, 2], [3])))", [[(1, 3)]]),
    "zip of something unknown": ("(a, b), = [list(zip(nobody, anything))[0]]\nnorm((a, b)); norm(zip(nobody, [])[0])", [("?", "?"), "?zip[0]"]),
    "sum of tuples": ("norm((1,) + (2,))", [(1, 2)]),
    "name of a function": ("def f(): pass\nclass A: pass\nnorm(f.__name__); norm(A.__name__)", ["f", "A"]),
    "attributes of a partial": ("import functools\ndef f(): return 1\nnorm(functools.partial(f).func())", [1]),
    "attribute of a choice": ("class A: p = 1\nclass B: p = 2\na = A() if anything else B()\nnorm(a.p)", [{1, 2}]),
    "attribute set on a choice": ("class A: p = 1\na, b = A(), A()\na.p = b.p = 1\nc = a if anything else b\nc.p = 2\nnorm(a.p is None)", ["<equal>"]),
}  # fmt: skip

UNKNOWN = {
    "undefined name": ("norm(nobody_knows)", ["?nobody_knows"]),
    "argparse": (
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--train', action='store_true', default=False)\n"
        "a = p.parse_args()\nnorm(a.train)", ["?args.train"],
    ),
    "argparse, known arguments": (
        "import argparse\np = argparse.ArgumentParser()\na, rest = p.parse_known_args()\nnorm(a.train)", ["?args.train"],
    ),
    "flags": ("flags = tf.app.flags\nflags.DEFINE_bool('train', True, '')\nFLAGS = flags.FLAGS\nnorm(FLAGS.train)", ["?FLAGS.train"]),
    "absl flags": ("from absl import flags\nflags.DEFINE_bool('train', True, '')\nnorm(flags.FLAGS.train)", ["?FLAGS.train"]),
    "text that is an expression": ("p = 3\nnorm(eval('p')); norm(eval('1 + 2')); norm(eval('?'))", [3, "?eval", "?eval"]),
    "length of a list by its method": ("norm([1, 2].__len__())", [2]),
    "name of a class": ("class A: pass\nnorm(A().__class__.__name__); norm(type(A()).__name__)", ["A", "A"]),
    "environment": ("import os\nnorm(os.environ['TRAIN'])", ["?"]),
    "arguments of the command line": ("import sys\nnorm(sys.argv[1] == 'train')", ["<equal>"]),
    "random": ("import random\nnorm(random.random() < 0.5)", ["?"]),
    "missing module": ("import nowhere\nnorm(nowhere.PHASE)", ["<nowhere.PHASE>"]),
    "result of a missing module": ("from nowhere import phase\nnorm(phase())", ["?phase"]),
    "changed flag": ("FLAGS = tf.flags.FLAGS\nFLAGS.train = True\nnorm(FLAGS.train)", [True]),
    "attribute of an unknown object": ("norm(nobody.config.train)", ["?nobody.config.train"]),
    "item of an unknown object": ("norm(nobody['train'])", ["?nobody['train']"]),
    "negated": ("norm(not nobody.test)", ["<not>"]),
    "method of an unknown object": ("norm(nobody.train())", ["?nobody.train"]),
}  # fmt: skip


def _table(*tables: dict[str, tuple[str, list[Any]]]) -> list[Any]:
    return [pytest.param(*case, id=name) for table in tables for name, case in table.items()]


@pytest.mark.parametrize(
    ("source", "expected"), _table(FUNCTIONS, CLASSES, CONTAINERS, TEXT, OPERATORS, LIBRARY, UNKNOWN)
)
def test_value(phases: Phases, source: str, expected: list[Any]) -> None:
    assert phases(source) == expected
