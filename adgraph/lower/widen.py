"""Vector forms of the functions of `vmath`: the same instructions on several lanes.

A definition without branches is widened line by line: every type becomes a vector of it, every
constant a splat, an intrinsic or function of libm its vector version. What cannot be widened is
refused: then the loop that calls it stays scalar, and LLVM vectorizes what it can.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from adgraph.lower import vmath
from adgraph.lower.emitter import symbol

INTRINSICS = frozenset(
    ("fma", "fabs", "copysign", "sqrt", "floor", "ceil", "trunc", "rint", "maximum", "minimum")
)
_TYPE = r"(?<![\w.%@])(double|float|i1|i8|i16|i32|i64)(?![\w.])"
_CONSTANT = r"(?<![\w.%@#\"])(-?0x[0-9A-F]+|-?\d+|true|false)(?![\w.\"])"
_TOKEN = re.compile(f"{_TYPE}|{_CONSTANT}")
_UNCHANGED = ("entry:", "rare:", "  br label %both", "both:", "}")
_RARELY = re.compile(r"  br i1 (%\w+), label %rare, label %both")
_CHOICE = re.compile(r"phi \w+ \[%\w+, %entry\], \[%\w+, %rare\]")
_REFUSED = re.compile(r"\b(phi|br|frem|[su]div|[su]rem|switch|load|store|getelementptr|alloca)\b")
_CALLED = re.compile(r'call (\w+) @"?([\w.]+)"?\(')
_VARIANT = re.compile(r' "vector-function-abi-variant"="_ZGV_LLVM_N(\d+)v+_\w+\((\w+)\)"')


class NotWidenedError(Exception):
    """Something has no vector form: the caller takes another way."""


@dataclass(frozen=True)
class Wide:
    """The vector form of a function: its text, what it declares, which others it calls."""

    text: str
    declarations: frozenset[str]
    calls: frozenset[tuple[str, str]]


def wide_symbol(name: str, code: str, lanes: int) -> str:
    """Return the symbol of the vector form of a function.

    >>> wide_symbol("exp", "f8", 8)
    'adgraph.exp.f8.v8'
    """
    return f"{symbol(name, code)}.v{lanes}"


@functools.cache
def widened(name: str, code: str, lanes: int) -> Wide:
    """Return the vector form of a function for one dtype, or raise `NotWidenedError`."""
    definition = vmath.define(name, code)
    declarations: set[str] = set()
    lines = [_widened_line(line, lanes, declarations) for line in definition.text.split("\n")]
    for called in definition.calls:
        widened(*called, lanes)
    return Wide("\n".join(lines), frozenset(declarations), definition.calls)


def closure(wanted: set[tuple[str, str, int]]) -> list[Wide]:
    """Return the vector forms of functions and of those that they call."""
    found: dict[tuple[str, str, int], Wide] = {}
    pending = sorted(wanted)
    while pending:
        key = pending.pop()
        if key not in found:
            found[key] = widened(*key)
            pending.extend((name, code, key[2]) for name, code in sorted(found[key].calls))
    return [found[key] for key in sorted(found)]


def _widened_line(line: str, lanes: int, declarations: set[str]) -> str:
    if line in _UNCHANGED:
        return line
    branch = _RARELY.fullmatch(line)
    if branch is not None:
        return _for_any_lane(branch, lanes, declarations)
    if _REFUSED.search(line) and not _CHOICE.search(line):
        raise NotWidenedError(line)
    called = _CALLED.search(line)
    if called is not None:
        line = _vector_call(line, called[2], lanes, declarations)
    elif line.startswith("define"):
        line = re.sub(r'@"([\w.]+)"', rf'@"\1.v{lanes}"', line)
    head, brace, attributes = line.partition(") alwaysinline")
    return _on_lanes(head, lanes) + brace + attributes


def _for_any_lane(branch: re.Match[str], lanes: int, declarations: set[str]) -> str:
    """Branch where a mask holds on any lane."""
    function = f"@llvm.vector.reduce.or.v{lanes}i1"
    declarations.add(f"declare i1 {function}(<{lanes} x i1>)")
    test = f"  %any = call i1 {function}(<{lanes} x i1> {branch[1]})\n"
    return test + "  br i1 %any, label %rare, label %both"


def _on_lanes(text: str, lanes: int) -> str:
    """Write types as vectors, and constants as splats of the type in front of them."""
    kind = ""

    def replaced(match: re.Match[str]) -> str:
        nonlocal kind
        if match[1]:
            kind = match[1]
            return f"<{lanes} x {kind}>"
        return f"splat ({kind} {match[2]})"

    return _TOKEN.sub(replaced, text)


def _vector_call(line: str, called: str, lanes: int, declarations: set[str]) -> str:
    variant = _VARIANT.search(line)
    if variant is not None and int(variant[1]) == lanes:
        line = _VARIANT.sub("", line)
        function = variant[2]
    elif called.startswith("adgraph.") and called.count(".") == 2:
        return line.replace(f'"{called}"', f'"{called}.v{lanes}"')
    elif called.startswith("llvm.") and called.split(".")[1] in INTRINSICS:
        function = re.sub(r"\.(f\d+)$", rf".v{lanes}\1", called)
    else:
        raise NotWidenedError(line)
    line = line.replace(f"@{called}(", f"@{function}(")
    _declare(line, function, lanes, declarations)
    return line


def _declare(line: str, function: str, lanes: int, declarations: set[str]) -> None:
    result, arguments = re.findall(rf"call (\w+) @{re.escape(function)}\((.*)\)", line)[0]
    kinds = [argument.split()[0] for argument in arguments.split(", ")]
    parameters = ", ".join(f"<{lanes} x {kind}>" for kind in kinds)
    declarations.add(f"declare <{lanes} x {result}> @{function}({parameters})")


def weight(name: str, code: str) -> int:
    """Return how many instructions a function has, those it calls included."""
    definition = vmath.define(name, code)
    return definition.text.count("\n") + sum(weight(*called) for called in definition.calls)
