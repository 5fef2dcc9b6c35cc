"""Random imperative NumPy programs, as source, for the test of everything from capture to kernels.

`source(seed)` is the text of a module with a function `program(A, B, x, y, s)` on two (N, N)
matrices, two vectors and a number, and of the helpers that it calls. Every statement keeps its
values near one and its subscripts in bounds. Begin with `Writer.statement`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

SIZE = 6

HELPERS = f"""\
import numpy as np

N = {SIZE}


def mixed(a, b):
    return np.tanh(0.7 * a + np.sin(b))


def clipped(a, b):
    if a > b:
        return 0.5 * (a + b)
    return b - 0.25 * a


def swept(v, a):
    for k in range(1, N):
        v[k] = 0.5 * v[k] + 0.3 * v[k - 1] * a
    return v


def searched(v, a):
    for k in range(N):
        if v[k] > a:
            return v[k] * a
    return 0.3 * a


def relaxed(M, k, a):
    M[k, 1:-1] = 0.3 * (M[k, :-2] + M[k, 2:]) + 0.1 * a
    M[k] *= 0.9


"""


@dataclass(frozen=True)
class Index:
    """A name that holds an integer between two bounds."""

    name: str
    low: int
    high: int


@dataclass(frozen=True)
class Names:
    """What may be used at a place of the program."""

    matrices: tuple[str, ...] = ("A", "B")
    vectors: tuple[str, ...] = ("x", "y")
    numbers: tuple[str, ...] = ("s",)
    indices: tuple[Index, ...] = ()
    loops: int = 0
    branches: int = 0
    bare: bool = False  # directly in a `for` or `while` of this function


@dataclass
class Writer:
    """Writes the lines of one program."""

    rng: random.Random
    lines: list[str] = field(default_factory=list)
    depth: int = 1
    fresh: int = 0
    room: int = 14

    def put(self, line: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.depth + line)

    @contextmanager
    def indented(self) -> Iterator[None]:
        """Write lines of a block."""
        self.depth += 1
        yield
        self.depth -= 1

    def chance(self, probability: float) -> bool:
        """Decide."""
        return self.rng.random() < probability

    def name(self, stem: str) -> str:
        """Return a new name."""
        self.fresh += 1
        return f"{stem}{self.fresh}"

    # --- subscripts and expressions -----------------------------------------------------------

    def position(self, names: Names) -> str:
        """A subscript in bounds, counted from either end."""
        if not names.indices or self.chance(0.2):
            return str(self.rng.choice((0, 1, 2, SIZE - 1, -1, -2)))
        index = self.rng.choice(names.indices[-3:])
        forms = [index.name] * 4
        if index.high + 1 < SIZE:
            forms.append(f"{index.name} + 1")
        if index.low >= 1 or self.chance(0.3):
            forms.append(f"{index.name} - 1")
        if index.low >= 0 and index.high < SIZE:
            forms.append(f"N - 1 - {index.name}")
            forms.append(f"-{index.name} - 1")
        return self.rng.choice(forms)

    def span(self, names: Names) -> tuple[str, str]:
        """Two slices of equal extents."""
        choices = [(":", ":"), ("1:", ":-1"), ("1:-1", "2:"), (":", "::-1"), ("::2", "1::2")]
        choices += [(":3", "3:"), ("1:4", "2:5")]
        for index in names.indices[-2:]:
            i = index.name
            choices += [(f":{i}", f":{i}"), (f"{i}:", f"{i}:"), (f":{i}", f":{i}")]
            choices += [(f"{i} + 1:", f"{i} + 1:")]
            if index.low >= 1:
                choices += [(f":{i}", f"{i} - 1::-1"), (f"{i}:", f"{i} - 1:-1")]
        pair = self.rng.choice(choices)
        return pair if self.chance(0.7) else (pair[1], pair[0])

    def row(self, names: Names, span: str) -> str:
        """A part of a vector, or of a row or a column of a matrix."""
        if self.chance(0.5):
            return f"{self.rng.choice(names.vectors)}[{span}]"
        matrix, at = self.rng.choice(names.matrices), self.position(names)
        return f"{matrix}[{at}, {span}]" if self.chance(0.7) else f"{matrix}[{span}, {at}]"

    def element(self, names: Names) -> str:
        """An element of an array."""
        if self.chance(0.45):
            return f"{self.rng.choice(names.vectors)}[{self.position(names)}]"
        matrix = self.rng.choice(names.matrices)
        if self.chance(0.2):
            return f"{matrix}[{self.position(names)}][{self.position(names)}]"
        return f"{matrix}[{self.position(names)}, {self.position(names)}]"

    def number(self, names: Names, deep: int = 0) -> str:
        """An expression of a number of moderate size."""
        kind = self.rng.randrange(14 if deep < 2 else 4)
        if kind <= 1:
            return self.element(names)
        if kind == 2:
            return self.rng.choice(names.numbers)
        if kind == 3:
            constant = self.rng.choice(("0.3", "1.0", "-0.7"))
            if not names.indices:
                return constant
            return self.rng.choice((constant, f"0.1 * {names.indices[-1].name}"))
        a, b = self.number(names, deep + 1), self.number(names, deep + 1)
        first, second = self.span(names)
        forms = (
            f"np.tanh({a} + {b})",
            f"0.5 * ({a} - {b})",
            f"np.sin({a}) * np.cos({b})",
            f"np.exp(-({a}) ** 2)",
            f"0.2 * np.sum({self.row(names, first)} * {self.row(names, second)})",
            f"0.2 * ({self.row(names, first)} @ {self.row(names, second)})",
            f"mixed({a}, {b})",
            f"clipped({a}, {b})",
            f"({a} if {self.condition(names, 1)} else {b})",
            f"np.mean(np.sin({self.rng.choice(names.vectors)}))",
        )
        return self.rng.choice(forms)

    def vector(self, names: Names) -> str:
        """An expression of a vector."""
        v, w = self.rng.choice(names.vectors), self.rng.choice(names.vectors)
        matrix, at = self.rng.choice(names.matrices), self.position(names)
        forms = (
            f"np.tanh({v} + {self.number(names, 1)})",
            f"0.5 * ({v} - {matrix}[{at}])",
            f"np.tanh({matrix} @ {v})",
            f"0.3 * {matrix}.sum(axis={self.rng.randrange(2)})",
            f"np.where({v} > {w}, {v}, 0.5 * {w})",
            f"np.where({v} > {self.number(names, 1)}, np.sin({w}), {self.number(names, 1)})",
            f"0.9 * {v}[::-1]",
            f"{v}.copy()",
            f"np.sin({matrix}[:, {at}]) * {v}",
            f"0.3 * np.cumsum({v})",
            f"np.concatenate(({v}[2:], {w}[:2]))",
        )
        return self.rng.choice(forms)

    def condition(self, names: Names, deep: int = 0) -> str:
        """A condition on values or on indices."""
        if deep == 0 and self.chance(0.15):
            joint = self.rng.choice(("and", "or"))
            return f"{self.condition(names, 1)} {joint} {self.condition(names, 1)}"
        if deep == 0 and self.chance(0.1):
            return f"not {self.condition(names, 1)}"
        if names.indices and self.chance(0.45):
            i, j = self.rng.choice(names.indices).name, self.rng.choice(names.indices).name
            forms = (f"{i} > 2", f"{i} % 2 == 0", f"{i} == {j}", f"{i} < {j}", f"{i} != 1")
            return self.rng.choice((*forms, f"0 < {i} < 4", f"{i} + 1 == N"))
        sign = self.rng.choice(("<", ">", "<=", ">="))
        other = self.rng.choice(("0.05", "0.4", self.element(names)))
        return f"{self.number(names, 2)} {sign} {other}"

    # --- statements ---------------------------------------------------------------------------

    def block(self, names: Names, most: int = 3) -> None:
        """Write one to a few statements."""
        with self.indented():
            for _ in range(self.rng.randint(1, most)):
                names = self.statement(names)

    def statement(self, names: Names) -> Names:
        """Write a statement and return the names behind it."""
        self.room -= 1
        simple: tuple[Callable[[Names], Names], ...] = (
            *(self.store_element,) * 4,
            *(self.store_row,) * 3,
            *(self.carry,) * 3,
            self.local,
            self.view,
            self.exchange,
            self.masked,
            self.whole,
            self.call,
            self.ragged,
        )
        compound: tuple[Callable[[Names], Names], ...] = (
            *(self.loop,) * 4,
            *(self.branch,) * 3,
            self.repeat,
            self.collect,
        )
        if self.room > 0 and names.loops + names.branches < 4 and self.chance(0.4):
            return self.rng.choice(compound)(names)
        if names.bare and names.branches and self.chance(0.1):
            return self.leave(names)
        return self.rng.choice(simple)(names)

    def store_element(self, names: Names) -> Names:
        """`A[i, j] = ...`."""
        target, value = self.element(names), self.number(names)
        if self.chance(0.3):
            sign, factor = self.rng.choice(
                (("+=", "0.2 * "), ("-=", "0.1 * "), ("*=", "0.9 - 0.1 * "))
            )
            self.put(f"{target} {sign} {factor}({value})")
        elif self.chance(0.1):
            self.put(f"{target} = {self.element(names)} = {value}")
        else:
            self.put(f"{target} = {value}")
        return names

    def store_row(self, names: Names) -> Names:
        """`A[i, 1:] = ...`."""
        first, second = self.span(names)
        target, other = self.row(names, first), self.row(names, second)
        value = self.rng.choice(
            (
                f"0.5 * {other} + 0.3 * {self.row(names, first)}",
                f"np.sin({other}) * {self.number(names, 1)}",
                f"{other} - 0.2 * {self.number(names, 1)}",
                f"{other}",
                f"{self.number(names, 1)}",
            )
        )
        if self.chance(0.3):
            self.put(f"{target} {self.rng.choice(('+=', '-='))} 0.2 * ({value})")
        else:
            self.put(f"{target} = {value}")
        return names

    def carry(self, names: Names) -> Names:
        """`s = f(s)`."""
        number, value = self.rng.choice(names.numbers), self.number(names)
        form = self.rng.choice(("{0} = np.tanh({0} + {1})", "{0} += 0.1 * {1}", "{0} = {1}"))
        self.put(form.format(number, value))
        return names

    def local(self, names: Names) -> Names:
        """`t = ...`, a number or a vector."""
        if self.chance(0.6):
            new = self.name("t")
            self.put(f"{new} = {self.number(names)}")
            return replace(names, numbers=(*names.numbers, new))
        if names.indices and self.chance(0.3):
            new, index = self.name("k"), self.rng.choice(names.indices)
            form = self.rng.choice(("{}", "N - 1 - {}", "max({}, 1)", "min({}, 3)", "{} // 2"))
            self.put(f"{new} = {form.format(index.name)}")
            bounds = {"max({}, 1)": (1, SIZE - 1), "min({}, 3)": (0, 3)}.get(form, (0, SIZE - 1))
            return replace(names, indices=(*names.indices, Index(new, *bounds)))
        new = self.name("v")
        made = self.rng.choice(
            ("np.zeros(N)", "np.ones_like(x)", self.vector(names), self.vector(names))
        )
        self.put(f"{new} = {made}")
        return replace(names, vectors=(*names.vectors, new))

    def view(self, names: Names) -> Names:
        """`row = A[i]`, written at once or later."""
        matrix = self.rng.choice(names.matrices)
        if self.chance(0.2):
            new = self.name("M")
            self.put(
                f"{new} = {matrix}{self.rng.choice(('.T', '', '[::-1]', '.copy()', '[:, ::-1]'))}"
            )
            return replace(names, matrices=(*names.matrices, new))
        new = self.name("v")
        at = self.position(names)
        forms = (
            f"{matrix}[{at}]",
            f"{matrix}[:, {at}]",
            f"{matrix}[{at}][::-1]",
            f"{matrix}.T[{at}]",
        )
        flat = (f"{matrix}.reshape(-1)[N:2 * N]", f"{matrix}.ravel()[::N + 1]", "x", "y[::-1]")
        self.put(f"{new} = {self.rng.choice((*forms, *forms, *flat))}")
        names = replace(names, vectors=(*names.vectors, new))
        if self.chance(0.6):
            change = self.rng.choice(
                (
                    f"{new}[{self.position(names)}] = {self.number(names)}",
                    f"{new} *= {self.number(names, 1)}",
                    f"{new}[1:] += 0.2 * {self.rng.choice(names.vectors)}[:-1]",
                    f"{new}[1:][1:] = 0.5 * {new}[:-2]",
                    f"{new}[:] = {self.vector(names)}",
                )
            )
            self.put(change)
        return names

    def exchange(self, names: Names) -> Names:
        """Swaps of elements, of rows and of names."""
        v, w = self.rng.choice(names.vectors), self.rng.choice(names.vectors)
        a, b = self.element(names), self.element(names)
        forms = [f"{a}, {b} = {b}, {a}", f"{v}[:], {w}[:] = {w} * 1.0, {v} * 1.0"]
        if self.chance(0.5):
            forms = [f"{v}, {w} = {w}, {v}", f"{v} = {w}", f"{v} = {self.vector(names)}"]
        self.put(self.rng.choice(forms))
        return names

    def masked(self, names: Names) -> Names:
        """Masks."""
        v, w = self.rng.choice(names.vectors), self.rng.choice(names.vectors)
        n, m = self.rng.choice(names.numbers), self.rng.choice(names.matrices)
        forms = (
            f"{v}[{v} > {w}] *= 0.5",
            f"{v}[{w} > 0.1] = {self.number(names, 1)}",
            f"{n} += 0.1 * {v}[{w} > 0.2].sum()",
            f"{m}[{m} < 0] *= 0.7",
            f"{v}[{w} > 0.3] = {w}[{w} > 0.3]",
            f"{m}[{self.position(names)}, {v} > {w}] = {self.number(names, 1)}",
        )
        self.put(self.rng.choice(forms))
        return names

    def whole(self, names: Names) -> Names:
        """Whole arrays: rebound or written."""
        m, n = self.rng.choice(names.matrices), self.rng.choice(names.matrices)
        v = self.rng.choice(names.vectors)
        forms = (
            f"{m}[:] = np.tanh({m} @ {n})",
            f"{m} = np.tanh({m} + {n}.T)",
            f"{m}[1:-1, 1:-1] = 0.4 * ({n}[:-2, 1:-1] + {n}[2:, 1:-1]) - 0.2 * {n}[1:-1, :-2]",
            f"{m} += 0.1 * np.outer({v}, {v})",
            f"{m}[...] = 0.5 * {n} + 0.2 * {v}",
            f"{v} = {self.vector(names)}",
            f"{v}[:] = {self.vector(names)}",
            f"{v} += 0.1 * {self.vector(names)}",
            f"np.add({v}, 0.1 * {m}[0], out={v})",
        )
        self.put(self.rng.choice(forms))
        return names

    def call(self, names: Names) -> Names:
        """A helper that writes its argument, or returns early."""
        v, m = self.rng.choice(names.vectors), self.rng.choice(names.matrices)
        n = self.rng.choice(names.numbers)
        inside = [i.name for i in names.indices if i.low >= 0 and i.high < SIZE]
        forms = (
            f"relaxed({m}, {self.rng.choice([*inside, '2'])}, {n})",
            f"swept({v}, {n})",
            f"swept({m}[{self.position(names)}], {n})",
            f"{n} = searched({v}, {n})",
            f"{v} = swept({v} * 0.5, {n})",
        )
        self.put(self.rng.choice(forms))
        return names

    def ragged(self, names: Names) -> Names:
        """A local whose extent depends on the trip."""
        if not names.indices:
            return self.store_row(names)
        first, second = self.span(names)
        new = self.name("r")
        self.put(f"{new} = {self.row(names, first)} * {self.number(names, 1)}")
        form = self.rng.choice(
            ("{0} = 0.7 * {1}", "s += 0.1 * np.sum({1} * {0})", "{0} += 0.1 * {1}")
        )
        self.put(form.format(self.row(names, second), new))
        return names

    # --- compound statements ------------------------------------------------------------------

    def loop(self, names: Names) -> Names:
        """`for`."""
        inside = replace(names, loops=names.loops + 1, bare=True, branches=0)
        if self.chance(0.25):
            self._over_arrays(inside)
            return names
        index = self.name("i")
        heads = [("N", 0, SIZE - 1), ("1, N", 1, SIZE - 1), ("1, N - 1", 1, SIZE - 2)]
        heads += [("N - 1, -1, -1", 0, SIZE - 1), ("N - 2, 0, -1", 1, SIZE - 2)]
        heads += [("0, N, 2", 0, SIZE - 2), ("N - 1, 0, -2", 1, SIZE - 1), ("3, 2", 1, 3)]
        for outer in names.indices[-2:]:
            i, low, high = outer.name, outer.low, outer.high
            if low < 0 or high >= SIZE:
                continue
            heads += [(i, 0, max(high - 1, 0)), (f"{i}, N", low, SIZE - 1)]
            heads += [(f"{i} + 1, N", low + 1 if low + 1 < SIZE else low, SIZE - 1)]
            heads += [(f"{i} - 1, -1, -1", 0, max(high - 1, 0)), (f"N - 1, {i}, -1", 0, SIZE - 1)]
            heads += [(f"{i} % 3", 0, 2), (f"max(0, {i} - 2), min(N, {i} + 2)", 0, SIZE - 1)]
        head, low, high = self.rng.choice(heads)
        self.put(f"for {index} in range({head}):")
        self.block(replace(inside, indices=(*names.indices, Index(index, low, high))))
        if self.chance(0.08):
            self.put("else:")
            self.block(names, 1)
        return names

    def _over_arrays(self, names: Names) -> None:
        v, w, m = (self.name(stem) for stem in "abr")
        i = self.name("i")
        x, y = self.rng.choice(names.vectors), self.rng.choice(names.vectors)
        M = self.rng.choice(names.matrices)
        indices = (*names.indices, Index(i, 0, SIZE - 1))
        heads = (
            (
                f"{i}, {v} in enumerate({x})",
                replace(names, numbers=(*names.numbers, v), indices=indices),
            ),
            (f"{v}, {w} in zip({x}, {y})", replace(names, numbers=(*names.numbers, v, w))),
            (f"{m} in {M}", replace(names, vectors=(*names.vectors, m))),
            (
                f"{i}, {m} in enumerate({M})",
                replace(names, vectors=(*names.vectors, m), indices=indices),
            ),
            (f"{v} in {x}[::-1]", replace(names, numbers=(*names.numbers, v))),
        )
        head, inside = self.rng.choice(heads)
        self.put(f"for {head}:")
        self.block(inside)

    def branch(self, names: Names) -> Names:
        """`if`."""
        inside = replace(names, branches=names.branches + 1)
        self.put(f"if {self.condition(names)}:")
        self.block(inside, 2)
        if self.chance(0.25):
            self.put(f"elif {self.condition(names)}:")
            self.block(inside, 2)
        if self.chance(0.4):
            self.put("else:")
            self.block(inside, 2)
        return names

    def leave(self, names: Names) -> Names:
        """Leave a loop, a trip or the function."""
        self.put(self.rng.choice(("break", "continue", "continue", "break", f"return {RESULT}")))
        return names

    def repeat(self, names: Names) -> Names:
        """`while`, of at most a few trips."""
        if names.loops >= 2:
            return self.carry(names)
        count = self.name("n")
        inside = replace(names, loops=names.loops + 1, bare=True, branches=0)
        inside = replace(inside, indices=(*names.indices, Index(count, 0, SIZE - 2)))
        self.put(f"{count} = 0")
        test = self.condition(replace(names, indices=()), 1)
        self.put(f"while {count} < N - 1 and {test}:")
        with self.indented():
            self.put(f"s = np.tanh(0.7 * s + 0.1 * {self.element(inside)})")
            after = self.statement(replace(inside, bare=False))
            self.put(f"{count} += 1")
            if self.chance(0.3):
                self.statement(replace(after, indices=names.indices, bare=False))
        return names

    def collect(self, names: Names) -> Names:
        """A list that a loop fills."""
        items, index, new = self.name("items"), self.name("i"), self.name("v")
        inside = replace(names, indices=(*names.indices, Index(index, 0, SIZE - 1)))
        inside = replace(inside, loops=names.loops + 1, bare=False, branches=0)
        self.put(f"{items} = []")
        self.put(f"for {index} in range(N):")
        with self.indented():
            after = self.statement(inside)
            self.put(f"{items}.append({self.number(after)})")
        self.put(f"{new} = np.array({items})")
        return replace(names, vectors=(*names.vectors, new))


RESULT = "s + np.sum(x) + 0.5 * np.sum(A * B)"


def source(seed: int) -> str:
    """Return the source of the program of a seed."""
    rng = random.Random(seed)
    writer = Writer(rng, room=rng.choice((3, 6, 10, 14)))
    names = Names()
    for _ in range(rng.randint(1, 3)):
        names = writer.statement(names)
    names = rng.choice((writer.loop, writer.loop, writer.branch, writer.repeat))(names)
    if rng.random() < 0.4:
        names = writer.statement(names)
    writer.put(f"return {RESULT}")
    return f"{HELPERS}def program(A, B, x, y, s):\n" + "\n".join(writer.lines) + "\n"
