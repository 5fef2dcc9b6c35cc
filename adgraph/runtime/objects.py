"""Python's objects as memory, and back: native functions that the entrance calls.

`elements` and `argument` find where the numbers of an argument are, `target` makes the array of a
result, `result` its object, `drop` lets go of objects. They read a record, which is described here:
int64 words, first a header (`HEADER`), then one item (`ITEM`) per argument and per result, then a
word per item for the object that a call holds, the copy of an argument or a result.
"""

from __future__ import annotations

from adgraph.lower.functions import Body, Fields, Memory, Value, native, outside
from adgraph.runtime.numpy_interface import DTYPE_AT

HEADER = (
    "busy",  # 1 while a call uses the arena behind the record
    "arguments",
    "results",
    "releases",  # whether the program runs without the GIL
    "packs",  # whether the results come in a tuple
    "otherwise",
    "failed",  # a function of the code of a run that failed
    "driver",
    "program",
    "sources",
    "scratch",
    "pointers",  # the first argument's place among the sources
    "new_array",  # PyArray_NewFromDescr
    "array_type",
    "get_pointer",  # PyArray_GetPtr
    "to_scalar",  # PyArray_Scalar
    "from_scalar",  # PyArray_ScalarAsCtype
    "equivalent",  # PyArray_EquivTypes
    "copied",  # PyArray_FromArray
    "set_handler",  # PyDataMem_SetHandler
    "own_handler",  # NumPy's
    "handler",  # what makes the memory of results, or 0 for NumPy's own
    "objects",  # the address of the words for objects
)
ITEM = (
    "kind",
    "type",  # of the argument
    "dtype",
    "ndim",
    "shape",
    "odd",  # the bits of an address that are 0 if it is aligned
    "order",  # the memory order of the elements: a letter, as the buffer protocol has it
    "copies",  # whether an array that is in neither memory order may be copied
    "slot",  # where a number is between Python and the program
)
ARRAY, FLOAT, INT, SCALAR, BOOL = range(5)
MOST_AXES = 64  # NumPy's limit

# CPython's Py_buffer, part of its stable ABI
BUFFER_WORDS, BUFFER_NDIM, BUFFER_SHAPE = 10, 36, 48  # the latter two in bytes
WITH_STRIDES = 0x18  # PyBUF_STRIDES
ORDERED = 0x101  # NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED


TO_LONG = outside("i64 PyLong_AsLongLong(ptr)")
FROM_LONG = outside("ptr PyLong_FromLongLong(i64)")
TO_DOUBLE = outside("double PyFloat_AsDouble(ptr)")
FROM_DOUBLE = outside("ptr PyFloat_FromDouble(double)")
FROM_BOOL = outside("ptr PyBool_FromLong(i64)")
TYPE = outside("ptr PyObject_Type(ptr)")
GET_BUFFER = outside("i32 PyObject_GetBuffer(ptr, ptr, i32)")
IS_CONTIGUOUS = outside("i32 PyBuffer_IsContiguous(ptr, i8)")
RELEASE = outside("void PyBuffer_Release(ptr)")
ERROR = outside("ptr PyErr_Occurred()")
CLEAR_ERROR = outside("void PyErr_Clear()")
KEEP = outside("void Py_IncRef(ptr)")
DROP = outside("void Py_DecRef(ptr)")
FIRST = Memory("first", f"constant [{MOST_AXES} x i64] zeroinitializer")  # element of an array


@native("ptr elements(ptr, ptr, ptr, ptr)")
def elements(f: Body, record: Value, item: Value, array: Value, place: Value) -> None:
    """Return the address of the elements of an array of the item's shape and memory order.

    They may be those of a copy in C order, put at `place`. It is null if the array is of another
    shape, or is in Fortran order and the item is not: there is another program for it.
    """
    header, fields = Fields(record, HEADER), Fields(item, ITEM)
    view = f.slot(f"[{BUFFER_WORDS} x i64], align 8")
    refused = f.call(GET_BUFFER, array, view, f.constant("i32", WITH_STRIDES))
    f.leave_when(refused.differs(0), f.null)
    address, extents = view.pointer(), view.past(BUFFER_SHAPE).pointer()
    ndim, shape = fields.word("ndim"), fields.pointer("shape")

    def is_contiguous(order: Value) -> Value:
        return f.call(IS_CONTIGUOUS, view, order).differs(0)

    def release_when(condition: Value) -> None:
        with f.when(condition):
            f.call(RELEASE, view)
            f.leave(f.null)

    release_when(view.past(BUFFER_NDIM).load("i32").cast("sext", "i64").differs(ndim))
    with f.loop(ndim) as i:
        release_when(extents.word(i).differs(shape.word(i)))
    ordered = is_contiguous(fields.word("order").cast("trunc", "i8"))
    with f.unless(ordered):
        release_when(is_contiguous(f.constant("i8", ord("F"))))
    f.call(RELEASE, view)
    with f.when(ordered):
        odd = address.cast("ptrtoint", "i64") & fields.word("odd")
        f.leave_when(odd.equals(0), address)
    f.leave_when(fields.word("copies").equals(0), f.null)
    dtype = fields.pointer("dtype")
    f.call(KEEP, dtype)
    flags = f.constant("i32", ORDERED)
    copy = f.call_at(header.pointer("copied"), "ptr", array, dtype, flags)
    place.store(copy)
    f.leave_when(copy.is_null(), f.null)
    f.leave(_data(f, header, copy))


def _data(f: Body, header: Fields, array: Value) -> Value:
    return f.call_at(header.pointer("get_pointer"), "ptr", array, f.address(FIRST))


@native("ptr argument(ptr, ptr, ptr, ptr)")
def argument(f: Body, record: Value, item: Value, given: Value, place: Value) -> None:
    """Return the address of an argument's elements, or null if it is not what the item says."""
    header, fields = Fields(record, HEADER), Fields(item, ITEM)
    place.store(f.null)
    found_type = f.call(TYPE, given)
    f.call(DROP, found_type)
    f.leave_when(found_type.differs(fields.pointer("type")), f.null)
    kind, slot = fields.word("kind"), fields.pointer("slot")
    with f.when(kind.equals(ARRAY)):
        dtype, found_dtype = fields.pointer("dtype"), given.past(DTYPE_AT).pointer()
        with f.when(found_dtype.differs(dtype)):
            same = f.call_at(header.pointer("equivalent"), "i8", found_dtype, dtype)
            f.leave_when(same.equals(0), f.null)
        f.leave(f.call(elements, record, item, given, place))
    with f.when(kind.equals(FLOAT)):
        slot.store(f.call(TO_DOUBLE, given))
    with f.when(kind.equals(INT)):
        number = f.call(TO_LONG, given)
        slot.store(number)
        with f.when(number.equals(-1)):  # or too large
            f.leave_when(f.call(ERROR).differs(f.null), f.null)
    with f.when(kind.equals(SCALAR)):
        f.call_at(header.pointer("from_scalar"), "void", given, slot)
    f.leave(slot)


@native("ptr use_handler(ptr)")
def use_handler(f: Body, record: Value) -> None:
    """Set the handler of the record unless the user has set one; return the former one, or null."""
    header = Fields(record, HEADER)
    former = f.call_at(header.pointer("set_handler"), "ptr", header.pointer("handler"))
    f.leave_when(former.equals(header.pointer("own_handler")), former)
    with f.when(former.is_null()):
        f.call(CLEAR_ERROR)
    f.call(restore_handler, record, former)
    f.leave(f.null)


@native("void restore_handler(ptr, ptr)")
def restore_handler(f: Body, record: Value, former: Value) -> None:
    """Set the former handler again, if there was one."""
    f.leave_when(former.is_null())
    ours = f.call_at(Fields(record, HEADER).pointer("set_handler"), "ptr", former)
    f.call(DROP, former)
    with f.when(ours.is_null()):
        f.call(CLEAR_ERROR)
        f.leave()
    f.call(DROP, ours)


@native("ptr target(ptr, ptr, ptr)")
def target(f: Body, record: Value, item: Value, place: Value) -> None:
    """Make the array of a result and put it among the objects; return where the program writes."""
    header, fields = Fields(record, HEADER), Fields(item, ITEM)
    place.store(f.null)
    f.leave_when(fields.word("kind").differs(ARRAY), fields.pointer("slot"))
    dtype, shape = fields.pointer("dtype"), fields.pointer("shape")
    f.call(KEEP, dtype)
    rank, no_flags = fields.word("ndim").cast("trunc", "i32"), f.constant("i32", 0)
    described = (header.pointer("array_type"), dtype, rank, shape, f.null, f.null, no_flags, f.null)
    array = f.call_at(header.pointer("new_array"), "ptr", *described)
    place.store(array)
    f.leave_when(array.is_null(), f.null)
    f.leave(_data(f, header, array))


@native("ptr result(ptr, ptr, ptr)")
def result(f: Body, record: Value, item: Value, array: Value) -> None:
    """Return a new reference to the object of a result; null if there is no memory."""
    fields = Fields(item, ITEM)
    kind, slot = fields.word("kind"), fields.pointer("slot")
    f.leave_when(kind.equals(ARRAY), array)
    with f.when(kind.equals(FLOAT)):
        f.leave(f.call(FROM_DOUBLE, slot.load("double")))
    with f.when(kind.equals(INT)):
        f.leave(f.call(FROM_LONG, slot.load("i64")))
    with f.when(kind.equals(BOOL)):
        f.leave(f.call(FROM_BOOL, slot.load("i8").cast("zext", "i64")))
    to_scalar = Fields(record, HEADER).pointer("to_scalar")
    f.leave(f.call_at(to_scalar, "ptr", slot, fields.pointer("dtype"), f.null))


@native("void drop(ptr, i64)")
def drop(f: Body, objects: Value, count: Value) -> None:
    """Let go of the first objects."""
    with f.loop(count) as i:
        held = objects.pointer(i)
        with f.unless(held.is_null()):
            f.call(DROP, held)
