"""Kernel text to LLVM IR through Numba's front end; importing this module imports Numba.

`kernel_ir` takes the Python source of one kernel and returns its unoptimized IR text. Only
Numba's bytecode analysis, type inference and lowering run: optimization and code generation happen
once, in `native`, after `vmath` has added its functions to the module.
"""

# Numba carries no types, and mypy sees more or less of it depending on what else it checks:
# mypy: allow-untyped-calls, allow-untyped-decorators, allow-subclassing-any
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

import functools
import hashlib
import linecache
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, compiler, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.cpu_options import FastMathOptions
from numba.core.datamodel import register_default
from numba.core.datamodel.models import PointerModel
from numba.core.registry import cpu_target
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.core.untyped_passes import FixupArgs, IRProcessing, TranslateByteCode
from numba.extending import intrinsic, lower_builtin
from numba.np import numpy_support

from adgraph.lower import vmath
from adgraph.lower.emitter import KERNEL_PARAMETERS, symbol
from adgraph.lower.native import IRText

FASTMATH = frozenset({"nsz"})
RAISED = 255  # the status of a kernel in which Numba's own code raised


class Pointer(types.Type):
    """A flat array of one dtype: no bounds checks, no negative indices, no aliases."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"adgraph.Pointer({dtype})")


@register_default(Pointer)
class _PointerDataModel(PointerModel):
    def __init__(self, manager: Any, pointer: Pointer) -> None:
        self._pointee_model = manager.lookup(pointer.dtype)
        self._pointee_be_type = self._pointee_model.get_data_type()
        super(PointerModel, self).__init__(manager, pointer, self._pointee_be_type.as_pointer())


@infer_global(operator.getitem)
class _PointerRead(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Pointer) and isinstance(args[1], types.Integer):
            return signature(args[0].dtype, args[0], types.int64)
        return None


@infer_global(operator.setitem)
class _PointerWrite(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Pointer) and isinstance(args[1], types.Integer):
            return signature(types.none, args[0], types.int64, args[0].dtype)
        return None


@lower_builtin(operator.getitem, Pointer, types.int64)
def _read(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    model = context.data_model_manager[sig.args[0].dtype]
    address = builder.gep(args[0], [args[1]], inbounds=True)
    return model.load_from_data_pointer(builder, address)


@lower_builtin(operator.setitem, Pointer, types.int64, types.Any)
def _write(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    model = context.data_model_manager[sig.args[0].dtype]
    address = builder.gep(args[0], [args[1]], inbounds=True)
    builder.store(model.as_data(builder, args[2]), address)
    return context.get_dummy_value()


class _Library:
    """Stands for Numba's code library: keeps the IR instead of compiling it."""

    name = "adgraph"

    def __init__(self, codegen: Any) -> None:
        self.codegen = codegen
        self.texts: list[str] = []
        self.linked: dict[str, str] = {}
        self.recorded_timings: Any = None
        self._reload_init: set[Any] = set()

    def create_ir_module(self, name: str) -> Any:
        return self.codegen._create_empty_module(name)

    def add_ir_module(self, module: Any) -> None:
        self.texts.append(cgutils.normalize_ir_text(str(module)))

    def add_linking_library(self, library: Any) -> None:
        """Keep what the kernel calls; Numba's run-time library is named but never called."""
        if library.name != "nrt":
            self.linked.setdefault(library.name, str(library._get_module_for_linking()))


class _Frontend(compiler.CompilerBase):
    """The passes which a kernel needs: no rewrites, no inlining, no code generation."""

    def define_pipelines(self) -> list[Any]:
        manager = PassManager("adgraph kernel")
        manager.add_pass(TranslateByteCode, "bytecode")
        manager.add_pass(FixupArgs, "arguments")
        manager.add_pass(IRProcessing, "control flow")
        manager.add_pass(NopythonTypeInference, "types")
        manager.add_pass(PreLowerStripPhis, "phis")
        manager.add_pass(IRLegalization, "legalize")
        manager.add_pass(NativeLowering, "lower")
        manager.add_pass(NoPythonBackend, "result")
        manager.finalize()
        return [manager]


def _flags() -> Any:
    """Return Numba's options; without SSA a local has one type, and many loops cost little."""
    flags: Any = compiler.Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.no_rewrites = True
    flags.enable_ssa = False
    flags.error_model = "numpy"
    flags.fastmath = FastMathOptions(set(FASTMATH))
    flags.noalias = True
    return flags


def _code(kind: Any) -> str:
    """Return the dtype code of a Numba scalar type, as `vmath` writes it."""
    dtype = numpy_support.as_dtype(types.unliteral(kind))
    return f"{dtype.kind}{dtype.itemsize}"


def _operand_type(function: vmath.Function, kinds: tuple[Any, ...]) -> Any:
    dtype = np.result_type(*(numpy_support.as_dtype(types.unliteral(kind)) for kind in kinds))
    if function.family in ("float", "predicate") and dtype.kind != "f":
        dtype = np.dtype("f8")
    return numpy_support.from_dtype(dtype)


def _call_vmath(name: str, context: Any, builder: Any, sig: Any, args: Any) -> Any:
    result = context.get_value_type(sig.return_type)
    parameters = [context.get_value_type(kind) for kind in sig.args]
    function_type = ir.FunctionType(result, parameters)
    called = symbol(name, _code(sig.args[0]))
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, called), args)


def _vmath_intrinsic(function: vmath.Function) -> Any:
    def resolve(*kinds: Any) -> Any:
        kind = _operand_type(function, kinds)
        result = types.boolean if function.family == "predicate" else kind
        return signature(result, *[kind] * function.arity), functools.partial(
            _call_vmath, function.name
        )

    return intrinsic(_with_context(resolve)[function.arity - 1])


def _with_context(resolve: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """Return the forms of one to eight operands: Numba passes on no others than named ones."""
    return (
        lambda context, a: resolve(a),
        lambda context, a, b: resolve(a, b),
        lambda context, a, b, c: resolve(a, b, c),
        lambda context, a, b, c, d: resolve(a, b, c, d),
        lambda context, a, b, c, d, e: resolve(a, b, c, d, e),
        lambda context, a, b, c, d, e, f: resolve(a, b, c, d, e, f),
        lambda context, a, b, c, d, e, f, g: resolve(a, b, c, d, e, f, g),
        lambda context, a, b, c, d, e, f, g, h: resolve(a, b, c, d, e, f, g, h),
    )


@intrinsic
def _where(typing_context: Any, condition: Any, x: Any, y: Any) -> Any:
    kind = numpy_support.from_dtype(
        np.result_type(*(numpy_support.as_dtype(types.unliteral(operand)) for operand in (x, y)))
    )

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return signature(kind, types.boolean, kind, kind), emit


def _fold(float_instruction: str, integer_instruction: str) -> Any:
    """Make an operation whose order LLVM may choose, so that a loop of it becomes vectors."""

    def operation(typing_context: Any, accumulator: Any, x: Any) -> Any:
        kind = types.unliteral(accumulator)

        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            if isinstance(kind, types.Float):
                return getattr(builder, float_instruction)(*args, flags=("reassoc", "nsz"))
            return getattr(builder, integer_instruction)(*args)

        return signature(kind, kind, kind), emit

    return intrinsic(operation)


def _fold_extremum(name: str) -> Any:
    """Make a nan-propagating extremum in the form whose loops LLVM vectorizes."""

    def operation(typing_context: Any, accumulator: Any, x: Any) -> Any:
        kind = types.unliteral(accumulator)

        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            if not isinstance(kind, types.Float):
                return _call_vmath(name, context, builder, sig, args)
            operand = context.get_value_type(kind)
            function_type = ir.FunctionType(operand, [operand, operand])
            called = f"llvm.{name}.f{kind.bitwidth}"
            module = builder.module
            return builder.call(cgutils.get_or_insert_function(module, function_type, called), args)

        return signature(kind, kind, kind), emit

    return intrinsic(operation)


@intrinsic
def _to_bool(typing_context: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return args[0]

    return signature(types.boolean, types.boolean), emit


def invoke(address: Any, *arguments: Any) -> Any:
    """Stand in kernel text for a call of a kernel: its address, pointers, integers."""


def behind(pointer: Any, offset: Any) -> Any:
    """Stand in kernel text for a pointer to a later element."""


@infer_global(invoke)
class _Invoke(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.int64, *args)


@infer_global(behind)
class _Behind(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], args[0], types.int64)


@lower_builtin(behind, Pointer, types.int64)
def _advance(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.gep(args[0], [args[1]], inbounds=True)


@lower_builtin(invoke, types.VarArg(types.Any))
def _call_kernel(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Call through the uniform ABI: a table of pointers and one of integers, on the stack."""
    word, byte_pointer = ir.IntType(64), ir.IntType(8).as_pointer()
    typed = list(zip(sig.args, args, strict=True))
    address = context.cast(builder, typed[0][1], typed[0][0], types.int64)
    pointers = [builder.bitcast(x, byte_pointer) for kind, x in typed if isinstance(kind, Pointer)]
    sizes = [
        context.cast(builder, x, kind, types.int64)
        for kind, x in typed[1:]
        if not isinstance(kind, Pointer)
    ]
    tables = []
    for kind, values in ((byte_pointer, pointers), (word, sizes)):
        table = cgutils.alloca_once(builder, kind, size=ir.Constant(word, max(len(values), 1)))
        for i, value in enumerate(values):
            builder.store(value, builder.gep(table, [ir.Constant(word, i)]))
        tables.append(builder.bitcast(table, byte_pointer))
    called = ir.FunctionType(word, [byte_pointer, byte_pointer]).as_pointer()
    return builder.call(builder.inttoptr(address, called), tables)


@functools.cache
def scope() -> dict[str, Any]:
    """Return the names which kernel text sees: vmath, casts, folds and `range`."""
    numbers = (*types.integer_domain, types.float32, types.float64, *types.complex_domain)
    casts = {str(kind): kind for kind in numbers}
    return {
        **{name: _vmath_intrinsic(function) for name, function in vmath.FUNCTIONS.items()},
        **casts,
        "boolean": _to_bool,
        "where": _where,
        "invoke": invoke,
        "behind": behind,
        "fold_add": _fold("fadd", "add"),
        "fold_multiply": _fold("fmul", "mul"),
        "fold_maximum": _fold_extremum("maximum"),
        "fold_minimum": _fold_extremum("minimum"),
        "inf": math.inf,
        "nan": math.nan,
    }


@global_compiler_lock
def kernel_ir(text: str, pointers: tuple[str, ...], sizes: int, symbol: str) -> IRText:
    """Type and lower one kernel to IR text in the uniform ABI, and modules that it needs."""
    target_context = cpu_target.target_context
    library = _Library(target_context.codegen())
    arguments = tuple(Pointer(numpy_support.from_dtype(np.dtype(code))) for code in pointers)
    result = compiler.compile_extra(
        cpu_target.typing_context,
        target_context,
        _function(text),
        arguments + (types.int64,) * sizes,
        types.int64,
        _flags(),
        {},
        library=library,
        pipeline_class=_Frontend,
    )
    (lowered,) = library.texts
    entry = _entry(symbol, result.fndesc.llvm_func_name, len(pointers), sizes)
    return IRText(symbol, vmath.link(lowered) + entry, tuple(library.linked.values()))


def _function(text: str) -> Callable[..., None]:
    """Execute the text which defines one function; its lines stay visible in error messages.

    A kernel that returns nothing has succeeded: status 0.
    """
    text = text.rstrip() + "\n    return 0\n"
    file = f"<adgraph kernel {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    defined: dict[str, Any] = {}  # apart from the scope: a kernel may be named `exp` and call exp
    exec(compile(text, file, "exec"), dict(scope()), defined)
    (function,) = defined.values()
    found: Callable[..., None] = function
    return found


def _entry(symbol: str, function: str, pointers: int, sizes: int) -> str:
    """Write the function in the uniform ABI which calls one in Numba's."""
    lines = [f"define i64 @{symbol}({KERNEL_PARAMETERS}) nounwind {{", "  %result = alloca i64"]
    lines.append("  %exception = alloca ptr")
    arguments = ["ptr %result", "ptr %exception"]
    for kind, count in (("ptr", pointers), ("i64", sizes)):
        table = "%pointers" if kind == "ptr" else "%sizes"
        for i in range(count):
            lines.append(f"  %{kind}.{i}.at = getelementptr inbounds {kind}, ptr {table}, i64 {i}")
            lines.append(f"  %{kind}.{i} = load {kind}, ptr %{kind}.{i}.at")
            arguments.append(f"{kind} %{kind}.{i}")
    lines.append(f'  %status = call i32 @"{function}"({", ".join(arguments)}) noinline')
    lines += ["  %raised = icmp ne i32 %status, 0", "  %returned = load i64, ptr %result"]
    lines.append(f"  %code = select i1 %raised, i64 {RAISED}, i64 %returned")
    lines += ["  ret i64 %code", "}", ""]
    return "\n" + "\n".join(lines)
