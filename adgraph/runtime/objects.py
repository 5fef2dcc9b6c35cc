"""Python's objects as memory, and back: functions in LLVM IR that the native entrance calls.

`elements` and `argument` find where the numbers of an argument are, `target` makes the array of a
result, `result` its object, `drop` lets go of objects. They read a record, which is described here:
int64 words, first a header (`HEADER`), then one item (`ITEM`) per argument and per result, then a
word per item for the object that a call holds, the copy of an argument or a result.
"""

from __future__ import annotations

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
BUFFER = "{ ptr, ptr, i64, i64, i32, i32, ptr, ptr, ptr, ptr, ptr }"
BUFFER_NDIM, BUFFER_SHAPE = 5, 7
WITH_STRIDES = 0x18  # PyBUF_STRIDES
ORDERED = 0x101  # NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED


def _words(table: str, names: tuple[str, ...], chosen: str, kinds: str = "") -> str:
    """Write the loads of named words; a word of `kinds` is an i64, the others are pointers."""
    lines = []
    for name in chosen.split():
        kind = "i64" if name in kinds.split() else "ptr"
        at = f"%{name}.at"
        lines.append(f"  {at} = getelementptr i64, ptr %{table}, i64 {names.index(name)}")
        lines.append(f"  %{name} = load {kind}, ptr {at}")
    return "\n".join(lines)


def header(chosen: str) -> str:
    """Write the loads of words of the header of `%record`; `%name.at` is where one is."""
    return _words("record", HEADER, chosen, "arguments results releases packs")


def item(chosen: str) -> str:
    """Write the loads of words of `%item`."""
    return _words("item", ITEM, chosen, "kind ndim odd order copies")


DECLARATIONS = """
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare double @PyFloat_AsDouble(ptr)
declare ptr @PyFloat_FromDouble(double)
declare ptr @PyBool_FromLong(i64)
declare ptr @PyObject_Type(ptr)
declare i32 @PyObject_GetBuffer(ptr, ptr, i32)
declare i32 @PyBuffer_IsContiguous(ptr, i8)
declare void @PyBuffer_Release(ptr)
declare ptr @PyErr_Occurred()
declare void @PyErr_Clear()
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
"""

# Returns the address of the elements of an array of the item's shape and memory order, or of a copy
# in C order that it puts at `place`; null if the array is of another shape, or is in Fortran order
# and the item is not: there is another program for it.
ELEMENTS = f"""
@first = internal constant [{MOST_AXES} x i64] zeroinitializer
define ptr @elements(ptr %record, ptr %item, ptr %object, ptr %place) {{
  %view = alloca {BUFFER}, align 8
{item("dtype ndim shape odd order copies")}
  %failed = call i32 @PyObject_GetBuffer(ptr %object, ptr %view, i32 {WITH_STRIDES})
  %refused = icmp ne i32 %failed, 0
  br i1 %refused, label %none, label %rank
rank:
  %address = load ptr, ptr %view
  %found_ndim_at = getelementptr {BUFFER}, ptr %view, i32 0, i32 {BUFFER_NDIM}
  %narrow_ndim = load i32, ptr %found_ndim_at
  %found_ndim = sext i32 %narrow_ndim to i64
  %found_shape_at = getelementptr {BUFFER}, ptr %view, i32 0, i32 {BUFFER_SHAPE}
  %found_shape = load ptr, ptr %found_shape_at
  %same_rank = icmp eq i64 %found_ndim, %ndim
  br i1 %same_rank, label %axis, label %differs
axis:
  %i = phi i64 [0, %rank], [%next, %extent]
  %more = icmp slt i64 %i, %ndim
  br i1 %more, label %extent, label %layout
extent:
  %wanted_at = getelementptr i64, ptr %shape, i64 %i
  %wanted = load i64, ptr %wanted_at
  %found_at = getelementptr i64, ptr %found_shape, i64 %i
  %found = load i64, ptr %found_at
  %next = add i64 %i, 1
  %same = icmp eq i64 %found, %wanted
  br i1 %same, label %axis, label %differs
layout:
  %letter = trunc i64 %order to i8
  %contiguous = call i32 @PyBuffer_IsContiguous(ptr %view, i8 %letter)
  %ordered = icmp ne i32 %contiguous, 0
  br i1 %ordered, label %in_memory_order, label %in_another
in_memory_order:
  call void @PyBuffer_Release(ptr %view)
  %bits = ptrtoint ptr %address to i64
  %off = and i64 %bits, %odd
  %aligned = icmp eq i64 %off, 0
  br i1 %aligned, label %here, label %elsewhere
in_another:
  %turned = call i32 @PyBuffer_IsContiguous(ptr %view, i8 {ord("F")})
  call void @PyBuffer_Release(ptr %view)
  %is_turned = icmp ne i32 %turned, 0
  br i1 %is_turned, label %none, label %elsewhere
here:
  ret ptr %address
elsewhere:
  %may_copy = icmp ne i64 %copies, 0
  br i1 %may_copy, label %copy, label %none
copy:
{header("copied get_pointer")}
  call void @Py_IncRef(ptr %dtype)
  %array = call ptr %copied(ptr %object, ptr %dtype, i32 {ORDERED})
  store ptr %array, ptr %place
  %no_memory = icmp eq ptr %array, null
  br i1 %no_memory, label %none, label %in_order
in_order:
  %copy_address = call ptr %get_pointer(ptr %array, ptr @first)
  ret ptr %copy_address
differs:
  call void @PyBuffer_Release(ptr %view)
  ret ptr null
none:
  ret ptr null
}}
"""

# Returns the address of an argument's elements, or null if it is not what the item says.
ARGUMENT = f"""
define ptr @argument(ptr %record, ptr %item, ptr %object, ptr %place) {{
  store ptr null, ptr %place
{item("kind type dtype slot")}
  %found_type = call ptr @PyObject_Type(ptr %object)
  call void @Py_DecRef(ptr %found_type)
  %same_type = icmp eq ptr %found_type, %type
  br i1 %same_type, label %known, label %none
known:
  switch i64 %kind, label %none [
    i64 {ARRAY}, label %array
    i64 {FLOAT}, label %float
    i64 {INT}, label %int
    i64 {SCALAR}, label %scalar
  ]
array:
  %found_dtype_at = getelementptr i8, ptr %object, i64 {DTYPE_AT}
  %found_dtype = load ptr, ptr %found_dtype_at
  %same_dtype = icmp eq ptr %found_dtype, %dtype
  br i1 %same_dtype, label %data, label %other
other:
{header("equivalent")}
  %equal = call i8 %equivalent(ptr %found_dtype, ptr %dtype)
  %means_same = icmp ne i8 %equal, 0
  br i1 %means_same, label %data, label %none
data:
  %address = call ptr @elements(ptr %record, ptr %item, ptr %object, ptr %place)
  ret ptr %address
float:
  %real = call double @PyFloat_AsDouble(ptr %object)
  store double %real, ptr %slot
  ret ptr %slot
int:
  %whole = call i64 @PyLong_AsLongLong(ptr %object)
  store i64 %whole, ptr %slot
  %suspect = icmp eq i64 %whole, -1
  br i1 %suspect, label %overflow, label %stored
overflow:
  %error = call ptr @PyErr_Occurred()
  %too_large = icmp ne ptr %error, null
  br i1 %too_large, label %none, label %stored
stored:
  ret ptr %slot
scalar:
{header("from_scalar")}
  call void %from_scalar(ptr %object, ptr %slot)
  ret ptr %slot
none:
  ret ptr null
}}
"""

# Sets the handler of the record unless the user has set one; returns the former one, or null.
SET_HANDLER = f"""
define ptr @use_handler(ptr %record) {{
{header("set_handler own_handler handler")}
  %former = call ptr %set_handler(ptr %handler)
  %failed = icmp eq ptr %former, null
  br i1 %failed, label %clear, label %check
check:
  %own = icmp eq ptr %former, %own_handler
  br i1 %own, label %in_use, label %others
in_use:
  ret ptr %former
others:
  call void @restore_handler(ptr %record, ptr %former)
  ret ptr null
clear:
  call void @PyErr_Clear()
  ret ptr null
}}
define void @restore_handler(ptr %record, ptr %former) {{
  %unchanged = icmp eq ptr %former, null
  br i1 %unchanged, label %done, label %set
set:
{header("set_handler")}
  %ours = call ptr %set_handler(ptr %former)
  call void @Py_DecRef(ptr %former)
  %failed = icmp eq ptr %ours, null
  br i1 %failed, label %clear, label %restored
restored:
  call void @Py_DecRef(ptr %ours)
  ret void
clear:
  call void @PyErr_Clear()
  ret void
done:
  ret void
}}
"""

# Makes the array of a result and puts it among the objects; returns where the program writes.
TARGET = f"""
define ptr @target(ptr %record, ptr %item, ptr %place) {{
{item("kind dtype ndim shape slot")}
  store ptr null, ptr %place
  %is_array = icmp eq i64 %kind, {ARRAY}
  br i1 %is_array, label %array, label %number
array:
{header("new_array array_type get_pointer")}
  call void @Py_IncRef(ptr %dtype)
  %axes = trunc i64 %ndim to i32
  %object = call ptr %new_array(ptr %array_type, ptr %dtype, i32 %axes, ptr %shape, ptr null,
                                ptr null, i32 0, ptr null)
  store ptr %object, ptr %place
  %failed = icmp eq ptr %object, null
  br i1 %failed, label %none, label %made
made:
  %address = call ptr %get_pointer(ptr %object, ptr @first)
  ret ptr %address
number:
  ret ptr %slot
none:
  ret ptr null
}}
"""

# Returns a new reference to the object of a result; null if there is no memory.
RESULT = f"""
define ptr @result(ptr %record, ptr %item, ptr %object) {{
{item("kind dtype slot")}
  switch i64 %kind, label %array [
    i64 {FLOAT}, label %float
    i64 {INT}, label %int
    i64 {BOOL}, label %bool
    i64 {SCALAR}, label %scalar
  ]
array:
  ret ptr %object
float:
  %real = load double, ptr %slot
  %python_float = call ptr @PyFloat_FromDouble(double %real)
  ret ptr %python_float
int:
  %whole = load i64, ptr %slot
  %python_int = call ptr @PyLong_FromLongLong(i64 %whole)
  ret ptr %python_int
bool:
  %byte = load i8, ptr %slot
  %wide = zext i8 %byte to i64
  %python_bool = call ptr @PyBool_FromLong(i64 %wide)
  ret ptr %python_bool
scalar:
{header("to_scalar")}
  %numpy_scalar = call ptr %to_scalar(ptr %slot, ptr %dtype, ptr null)
  ret ptr %numpy_scalar
}}
"""

# Lets go of the first `count` objects.
DROP = """
define void @drop(ptr %objects, i64 %count) {
entry:
  br label %next
next:
  %i = phi i64 [0, %entry], [%following, %dropped]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %object, label %done
object:
  %at = getelementptr ptr, ptr %objects, i64 %i
  %held = load ptr, ptr %at
  %following = add i64 %i, 1
  %empty = icmp eq ptr %held, null
  br i1 %empty, label %dropped, label %drop
drop:
  call void @Py_DecRef(ptr %held)
  br label %dropped
dropped:
  br label %next
done:
  ret void
}
"""

TEXT = DECLARATIONS + ELEMENTS + ARGUMENT + SET_HANDLER + TARGET + RESULT + DROP
