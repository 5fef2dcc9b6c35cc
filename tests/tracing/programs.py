"""Small programs that use every statement of Python, for the tests of the source rewriting.

They record the order in which they evaluate in `EVENTS`; `COUNT` is the global they may assign.
Their lines are part of the tests, so they are not formatted; they are awkward on purpose, so they
are not linted.
"""

# fmt: off
# ruff: noqa
# mypy: ignore-errors

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

Program = Callable[..., Any]

EVENTS: list[Any] = []
COUNT = 0


def note(value: Any) -> Any:
    """Record the order of evaluation."""
    EVENTS.append(value)
    return value


class Noisy:
    """A container that records what is done to it."""

    def __init__(self, **items: Any) -> None:
        self.items = items

    def __getitem__(self, key: Any) -> Any:
        EVENTS.append(("get", repr(key)))
        return self.items[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        EVENTS.append(("set", repr(key), value))
        self.items[key] = value

    def __delitem__(self, key: Any) -> None:
        EVENTS.append(("del", repr(key)))
        del self.items[key]


class Manager:
    """A context manager that records its calls, and swallows ValueError if told to."""

    def __init__(self, value: Any = None, *, swallow: bool = False) -> None:
        self.value = value
        self.swallow = swallow

    def __enter__(self) -> Any:
        EVENTS.append("enter")
        return self.value

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        EVENTS.append(("exit", kind and issubclass(kind, NameError) or kind))
        return self.swallow and kind is ValueError


PROGRAMS: dict[Program, list[tuple[Any, ...]]] = {}


def program(*inputs: Any) -> Callable[[Program], Program]:
    """Register a function to be compared on some inputs, each the one argument or a tuple of them."""

    def register(function: Program) -> Program:
        calls = [value if isinstance(value, tuple) else (value,) for value in inputs or ((),)]
        PROGRAMS[function] = calls
        return function

    return register


# ------------------------------------------------------------------------------------- loops


@program([], [1, 2], [1, -1, 3])
def for_else(xs):
    for x in xs:
        if x < 0:
            note("negative")
            break
    else:
        note("none")
    return note("end")


@program([], [3, 4], [4, 0, 5], [0])
def for_return(xs):
    for x in xs:
        if x == 0:
            return "zero"
        note(x)
    return "end"


@program(0, 1, 5)
def while_else(n):
    while n > 0:
        n -= 1
        if n == 3:
            break
    else:
        return "else", n
    return n


@program(0, 3, 7)
def while_true(n):
    total = 0
    while True:
        n -= 1
        if n < 0:
            break
        if n % 2:
            continue
        total += n
    return total, n


@program(4)
def break_stops_an_infinite_iterator(n):
    seen = []
    iterator = itertools.count()
    for x in iterator:
        if x == n:
            break
        seen.append(x)
    return seen, x, next(iterator)


@program((3, 4), (0, 0), (5, 2))
def nested_breaks(n, m):
    out = []
    for i in range(n):
        for j in range(m):
            if j == i:
                continue
            if i + j > 5:
                break
            if i * j == 6:
                return out, i, j
            out.append((i, j))
        else:
            note(("inner else", i))
            continue
        note(("inner broke", i))
        if i == 4:
            break
    else:
        note("outer else")
    return out


@program((3, 0), (2, 9), (0, 1))
def exits_in_loop_else(n, k):
    for i in range(n):
        for j in range(i):
            if j == k:
                break
        else:
            if i == 1:
                continue
            if k == 9:
                break
            return "returned", i
        note((i, j))
    return "end"


@program(3)
def loop_variable_after_break(n):
    for i in range(10):
        if i == n:
            break
        i = -i
    return i


@program([], [1])
def unbound_after_empty_loop(xs):
    for x in xs:
        pass
    return x


@program(0, 1)
def unbound_in_branch(c):
    if c:
        value = 1
    return value


@program(0, 1)
def unbound_inside_loop(n):
    for _ in range(2):
        if n:
            y = 1
        note(y)
    return y


@program([(1, [2, 3]), (4, [5])])
def for_target_unpacks(rows):
    out = []
    for a, (b, *c) in rows:
        out.append((c, b, a))
    return out, a, b, c


@program([5, 6, 7])
def for_target_is_subscript(xs):
    box = Noisy(a=0)
    for box["a"] in xs:
        if box["a"] == 6:
            break
    return box.items


@program([(1, 2), (3, 4)])
def for_target_mixed(pairs):
    d = {}
    for k, d[k] in pairs:
        note(dict(d))
    return d


@program([1, 2, 3])
def for_target_attribute(xs):
    box = Noisy()
    for box.value in xs:
        pass
    return box.value


@program(5)
def late_binding(n):
    functions = []
    for i in range(n):
        functions.append(lambda: i)
    return [f() for f in functions]


@program(5)
def early_binding(n):
    functions = []
    for i in range(n):
        functions.append(lambda i=i, *, k=i + 1: (i, k))
    return [f() for f in functions]


@program(4)
def closure_sees_later_rebinding(n):
    x = 0
    read = lambda: x
    for x in range(n):
        if read() != x:
            return "stale"
    x = 100
    return read()


@program(0, 2, 3, 4)
def deep_returns(n):
    for i in range(3):
        for j in range(3):
            for k in range(3):
                if i + j + k == n:
                    return i, j, k
                if k > i:
                    break
            if j == 2:
                break
        note(i)


@program(0, 1, 2, 3)
def return_without_value(n):
    if n == 0:
        return
    if n == 1:
        return None
    if n == 2:
        note("two")


@program((0, 0), (0, 1), (1, 0), (1, 1))
def return_in_a_branch_that_falls_through(a, b):
    if a:
        if b:
            return "both"
        x = 1
    else:
        x = 2
    note(x)
    return x


@program(0, 1, 2, 3, 4)
def many_guards(n):
    if n == 0:
        return "zero"
    elif n == 1:
        note("one")
    elif n == 2:
        return "two"
    else:
        if n == 3:
            return "three"
    return "more", n


@program(0, 1, 2)
def dead_code_makes_locals(n):
    if n == 0:
        return "early"
        COUNT = 1
    if n == 1:
        return COUNT
    while n:
        break
        x = 1
    return x


@program(4)
def loop_over_a_list_that_grows(n):
    xs = [0]
    for x in xs:
        if x < n:
            xs.append(x + 1)
    return xs


@program(0, 1, 5)
def while_with_walrus_and_break(n):
    out = []
    while (n := n - 1) >= 0:
        if n == 2:
            break
        out.append(n)
    else:
        out.append("else")
    return out, n


@program(5, 0)
def while_with_walrus(n):
    total = 0
    while (m := n - total) > 0:
        total += 1
    return total, m


@program(3)
def continue_in_the_middle(n):
    out = []
    for i in range(n):
        if i:
            if i == 1:
                continue
            note("after")
        else:
            note("other")
        out.append(i)
    return out


@program([3, 1, 2], [], [1])
def bubble_sort(xs):
    xs = list(xs)
    for i in range(len(xs)):
        for j in range(len(xs) - 1 - i):
            if xs[j] > xs[j + 1]:
                xs[j], xs[j + 1] = xs[j + 1], xs[j]
    return xs


@program(30)
def sieve(n):
    prime = [True] * (n + 1)
    prime[0:2] = [False, False]
    for i in range(2, math.isqrt(n) + 1):
        if not prime[i]:
            continue
        prime[i * i :: i] = [False] * len(prime[i * i :: i])
    return [i for i, p in enumerate(prime) if p]


# ------------------------------------------------------------------------------------- try and with


@program(0, 1, 2, 3)
def exits_in_try(n):
    for i in range(4):
        try:
            if i == n:
                return note("return"), i
            if i == 2:
                break
            if i == 0:
                continue
            note("rest of try")
        except ValueError:
            note("never")
        else:
            note("else")
        finally:
            note(("finally", i))
        note("rest of loop")
    return "end"


@program([1, "x", 0], ["y"], [0], [])
def exits_in_handlers(xs):
    for x in xs:
        try:
            value = 1 / x
        except TypeError as error:
            note(str(error))
            continue
        except ZeroDivisionError as error:
            note(str(error))
            return "zero"
        else:
            if value > 2:
                break
        note(value)
    return "end"


@program(0, 1)
def handler_name_is_unbound(n):
    error = 1
    for _ in range(1):
        try:
            if n:
                raise ValueError("n")
        except ValueError as error:
            note(repr(error))
    return error


@program(0, 1)
def return_value_before_finally(n):
    xs = [0]
    try:
        if n:
            return xs[0]
        xs[0] = 5
    finally:
        xs[0] += 1
        note(list(xs))
    return xs


@program(0, 1, 2)
def finally_overrides(n):
    for i in range(3):
        try:
            if n == 1:
                return "try"
            if n == 2:
                raise ValueError("swallowed")
        finally:
            if i == 1:
                break
            if n == 2:
                continue
    return note("end"), i


@program(0, 1, 2)
def an_exception_cancels_an_exit(n):
    for i in range(3):
        try:
            try:
                if n == 0:
                    break
                if n == 1:
                    return "cancelled"
                continue
            finally:
                if i < 2:
                    raise ValueError("cancels")
        except ValueError:
            note(("caught", i))
        else:
            note("else")
        note(("after", i))
    else:
        note("no break")
    return n, i


class Failing(Manager):
    def __exit__(self, *_):
        raise ValueError("from exit")


@program(0, 1, 2)
def a_with_swallows_what_cancels_an_exit(n):
    for i in range(3):
        with Manager(swallow=True), Failing():
            if n == 0:
                break
            if n == 1:
                return "cancelled"
        with Manager(swallow=True):
            try:
                continue
            finally:
                if i:
                    raise ValueError("cancels")
        note(("after", i))
    return n, i


@program(0, 1, 2)
def exits_after_exits(n):
    for i in range(3):
        while True:
            break
            break
        for _ in range(2):
            continue
            return "dead"
        else:
            note("else")
        if i == n:
            if n == 1:
                break
            break
            return "dead"
        else:
            continue
        note("dead")
    return i


@program(0, 1)
def loop_inside_finally(n):
    try:
        note("body")
    finally:
        for i in range(5):
            if i == n:
                break
            note(i)
    return i


@program(0, 1, 2, 3)
def exits_in_with(n):
    for i in range(4):
        with Manager(i) as value, Manager(swallow=True):
            if value == n:
                break
            if value == 1:
                continue
            if value == 2:
                return "two"
            raise ValueError("gone")
        note(("after", i))
    else:
        note("else")
    return i


@program(0, 1)
def with_swallows_before_return(n):
    with Manager(swallow=True):
        if n:
            return int("not a number")
        return "fine"
    note("fell out")


@program()
def with_target_is_subscript():
    box = Noisy(a=1)
    with Manager(3) as box["a"], Manager(box["a"] + 1) as (x, box["b"]):
        pass
    return box.items, x


@program()
def with_target_is_unpacked():
    box = Noisy()
    with Manager((1, 2)) as (x, box["b"]), Manager(x) as y:
        note((x, y))
    return box.items


@program(0, 1)
def bare_raise_in_a_branch(n):
    try:
        raise KeyError("k")
    except KeyError:
        if n:
            raise
        note("kept")
    return "end"


@program(0, 1, 2)
def raise_from(n):
    try:
        try:
            [1, 2][n]
        except IndexError as error:
            raise RuntimeError("wrapped") from error
    except RuntimeError as error:
        return repr(error.__cause__)
    return n


@program(0, 1)
def except_star(n):
    out = []
    for i in range(2):
        try:
            if i == n:
                raise ExceptionGroup("g", [ValueError(1), TypeError(2)])
            if i:
                break
        except* ValueError as group:
            out.append(len(group.exceptions))
        except* TypeError:
            out.append("type")
    return out


@program(1, 0)
def suppressed(n):
    with contextlib.suppress(ZeroDivisionError):
        note(1 / n)
    return "end"


# ------------------------------------------------------------------------------------- order


@program((1, 2, 3), (3, 2, 1), (1, 3, 2), ("a", 2, 3))
def chained_comparison(a, b, c):
    return note(a) < note(b) <= note(c) != note(0)


@program(0, 1, [], [0])
def logic(x):
    return (note(x) and note(1)), (note(x) or note(2)), not note(x), x or not x and 5


@program(0, 1)
def conditional_expression(x):
    return note("yes") if note(x) else note("no")


@program()
def call_order():
    def f(*args, **kwargs):
        return args, kwargs

    return (note(1) and f)(note(1), *note([2, 3]), note(4), a=note(5), **note({"b": 6}), c=note(7))[0]


@program()
def duplicate_keyword():
    try:
        return note(**{"value": 1}, **{"value": 2})
    except TypeError:
        return "duplicate"


@program()
def assignment_order():
    box = Noisy(a=1, b=2)
    box[note("a")] = box[note("c")] = note(3)
    note("x")
    (box[note("a")], x), *box[note("b")] = note((1, 2)), note(4), 5
    i, box[i] = "k", note(6)
    [y, [box["n"], z]] = x, (7, 8)
    return box.items, x, y, z


@program(3, 2)
def failing_unpack_stores_what_came_before(n):
    box = Noisy()
    try:
        box["a"], (box["b"], box["c"]) = 1, range(n)
    except ValueError as error:
        note(str(error))
    return box.items


@program("a", "z")
def augmented_order(key):
    box = Noisy(a=[1])

    def change():
        box.items["a"] = [10]
        return [2]

    box[note(key)] += note(change())
    return box.items


@program()
def augmented_memo():
    memo = {0: 0}

    def grow(n):
        memo[0] += 1
        return memo[0] if n == 0 else grow(n - 1)

    memo[0] += grow(3)
    return memo


@program(7)
def every_augmented_operator(n):
    a = [n]
    a[0] += 5
    a[0] -= 1
    a[0] *= 3
    a[0] **= 2
    a[0] //= 2
    a[0] %= 1000
    a[0] <<= 2
    a[0] >>= 1
    a[0] |= 8
    a[0] ^= 3
    a[0] &= 255
    a[-1] /= 2
    n += a[0]
    return a, n


@program()
def augmented_matmul():
    class Square:
        def __imatmul__(self, other):
            note(("imatmul", other))
            return self

    a = {0: Square()}
    a[0] @= 3
    return len(a)


@program(2)
def augmented_with_walrus(n):
    a = [1, 2, 3]
    a[(i := 1)] += (n := n + i)
    return a, i, n


@program()
def augmented_attribute():
    box = Noisy()
    box.x = 1
    boxes = [box]
    boxes[0].x += note(2)
    return box.x


@program()
def slices():
    box = Noisy()
    keys = slice(None), slice(1, 2, 3), (1, slice(None, None, 2), ...), ()
    for key in keys:
        with contextlib.suppress(KeyError, TypeError):
            box[key]
    with contextlib.suppress(KeyError, TypeError):
        box[note(1) : note(2) : note(3), :, *note([4, 5])]
    return "end"


@program()
def slice_shadowed():
    slice = 3
    return [1, 2, 3, 4][:slice]


@program()
def deletions():
    box = Noisy(a=1, b=2)
    xs = [1, 2, 3, 4]
    del box[note("a")], xs[1:3]
    x = 1
    del x
    note(xs)
    return x


@program(0, 1)
def delete_in_a_branch(n):
    x = 1
    if n:
        del x
    return x


@program(3)
def delete_in_a_loop(n):
    for i in range(n):
        x = i
        del x
    return x


@program()
def walrus_everywhere():
    a = (x := 1) and (y := x + 1)
    b = (z := 0) if y > 5 else (w := y)
    c = [last := v for v in range(3)]
    d = any((hit := v) > 1 for v in c)
    return a, b, c, d, x, y, w, last, hit


@program(2, 5)
def walrus_in_a_loop(n):
    out = []
    for i in range(n):
        if (square := i * i) > 3 and (big := square):
            out.append([t := big + k for k in range(2)])
    return out, square, n > 2 and t


@program(0)
def walrus_in_a_lambda(n):
    f = lambda v: (u := v + 1) and (u, n)
    return f(3)


# ------------------------------------------------------------------------------------- scopes


@program(4)
def nonlocal_counter(n):
    count = 0

    def step(by=1):
        nonlocal count
        for _ in range(by):
            count += 1
        return count

    for _ in range(n):
        step()
        if step(2) > 7:
            break
    return count


@program(3)
def global_statement(n):
    global COUNT
    for i in range(n):
        COUNT += i
        if i == 1:
            COUNT *= 10
    return COUNT


@program(3)
def global_declared_in_a_loop(n):
    for i in range(n):
        global COUNT
        COUNT = i
    return COUNT


@program(3)
def global_in_an_inner_function(n):
    COUNT = 7

    def set_global():
        global COUNT
        if n:
            COUNT = n

    set_global()
    return COUNT


@program(5)
def inner_recursion(n):
    def factorial(k):
        if k == 0:
            return 1
        return k * factorial(k - 1)

    return factorial(n)


@program(6)
def outer_recursion(n):
    if n < 2:
        return n
    return outer_recursion(n - 1) + outer_recursion(n - 2)


@program(3)
def decorated_inner(n):
    def twice(f):
        @functools.wraps(f)
        def wrapper(*args, **kwargs):
            return f(f(*args, **kwargs))

        return wrapper

    @twice
    def add(x, *, k=n):
        "Add."
        return x + k

    return add(1), add.__doc__, add.__name__, add.__qualname__, twice.__qualname__


@program(3)
def comprehension_scopes(n):
    i = "outer"
    a = [i for i in range(n) if i]
    b = {i: [j for j in range(i)] for i in range(n)}
    c = {i % 2 for i in a}
    d = list((i, x) for i in range(n) for x in b[i])
    return i, a, b, c, d


@program([3, 4])
def generator_argument(xs):
    table = {3: 30, 4: 40}
    return sum(table[x] for x in xs if x in table and not x < 0), max(x * 2 for x in xs)


@program(3)
def comprehension_in_a_loop(n):
    out = []
    for i in range(n):
        out.append([lambda: (i, j) for j in range(2)])
    return [[f() for f in fs] for fs in out]


@program(3, 0)
def names_defined_in_branches(n):
    if n:
        import math as m
        import os.path

        def f(x):
            return m.sqrt(x)

        class C:
            value = n
            double = value * 2

        path = os.path.basename("a/b")
    else:
        f = C = path = None
    return (f and f(4.0)), (C and C.double), path, C and C.__qualname__


@program(3)
def class_in_a_loop(n):
    out = []
    for i in range(n):

        class Item:
            value = i

            def get(self, k=i):
                if k > 1:
                    return "big"
                return self.value, i

        out.append(Item())
    return [item.get() for item in out]


@program([1], [1, 2], [1, 2, 3], {"k": 5}, "s", [0, 9, 9])
def match_statement(subject):
    for _ in range(2):
        match subject:
            case [x]:
                return "one", x
            case [x, y] if note(x) < note(y):
                break
            case [0, *rest]:
                note(rest)
                continue
            case {"k": k, **others}:
                return k, others
            case str() as text:
                note(text)
        note("after match")
    return "end", subject


@program((1,), (1, 2), (1, 2, 3, 4))
def signature(a, b=2, /, c=3, *args):
    total = a + b * c
    for x in args:
        total += x
    return total


@program(3)
def annotations(n):
    x: int
    y: int = n
    box = Noisy()
    box.value: int = 4
    for i in range(n):
        z: undefined_annotation = i
        box["z"]: int = note(z)
    return y, z, box.items, x


@program(0, 3)
def docstring(n):
    """Say that this is kept."""
    for _ in range(n):
        return docstring.__doc__
    return n


@program(2)
def long_strings(n):
    text = """
  two spaces
no indent
"""
    return text * n


@program((3, 0), (2, 4))
def assertion(a, b):
    for i in range(a):
        assert i != b - 2 or not b, f"i is {i}, {[a, b][0]}"
    return a


@program(3)
def formatted(n):
    rows = [[n, 2.5]]
    return f"{rows[0][1]:>{n + 4}.2f} {n!r} {max(1, n)}"


@program(3)
def locals_are_seen(n):
    m = n + 1
    for _ in range(n):
        k = m
    return {name: value for name, value in locals().items() if not name.startswith("__")}


@program(3)
def eval_sees_locals(n):
    m = 2
    total = 0
    for i in range(n):
        total += eval("m + i") if i else 0
    return total


@program()
def globals_are_ours():
    for _ in range(1):
        return globals()["COUNT"], sorted(set(vars(Noisy(x=1))))


@program(5)
def generator(n):
    for i in range(n):
        if i == 1:
            continue
        if i == 4:
            return
        received = yield i * [1, 2][0]
        note(received and received)
    yield "never"


@program(3)
def generator_with_subscripts(n):
    box = Noisy(a=0)
    for box["a"] in range(n):
        box["a"] += yield box["a"]
    return


@program(3)
def generator_delegates(n):
    try:
        yield from generator(n)
        x = n > 1 and (yield "asked")
        note(x)
    finally:
        note("closed")


@program(4)
def inner_generator(n):
    def squares():
        for i in range(n):
            if i == 2:
                continue
            yield i * i

    out = []
    for s in squares():
        out.append(s)
    return out, list(squares())


@program(4)
def inner_coroutine(n):
    async def one(x):
        return x + 1

    async def run():
        total = 0
        for i in range(n):
            total += await one(i)
        return total, [await one(x) for x in range(2)]

    steps = run()
    try:
        steps.send(None)
    except StopIteration as stop:
        return stop.value


@program(3)
def printing(n):
    for i in range(n):
        print(i, end="", sep=" ")
    return print


@program(3, 0)
def star_expressions(n):
    first, *rest = range(n + 1)
    return [*rest, first], {**{"a": 1}, "b": n}, (*rest,)


@program(0, 1, 2)
def line_of_an_error(n):
    values = [1, 2]
    for i in range(4):
        if n == 0:
            values[
                i + 5
            ]
        if n == 1:
            note(
                1
            ) + note("a")
        note(
            i
        )
        while n == 2 and i == 2:
            n < undefined_name < 4
    return values


@program(0, 1)
def line_of_a_method_call(n):
    text = "abc"
    if n:
        (text
            .upper()
            .index("z"))
    return (
        text.upper()
        .index(
            "z"
        )
    )


@program((1, 0), (0, 1), (1, 1))
def error_in_a_condition(a, b):
    x = (
        1 / a
        if b
        else 2 / b
    )
    return x


class Base:
    def value(self):
        return 1

    @classmethod
    def make(cls, k):
        return cls() if k else None


class Derived(Base):
    __hidden = 5

    def value(self):
        total = 0
        for i in range(3):
            total += super().value() + self.__hidden
            if i and super().value():
                self.__last = i
        return total, self.__last

    def __secret(self, n):
        while n > 2:
            n -= 1
            __k = n
        return __k

    def secret(self, n):
        return self.__secret(n)

    @classmethod
    def make(cls, k):
        made = []
        for _ in range(k):
            made.append(super().make(k))
        return [type(m).__name__ for m in made], __class__.__name__

    @staticmethod
    def plain(n):
        return [n][0]


@program()
def methods_of_a_class():
    return Derived().value(), Derived.make(2)
