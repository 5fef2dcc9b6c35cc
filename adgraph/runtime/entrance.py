"""The native way from a call in Python into a program.

`enter(record, args, kwargs)` checks arguments against a record (`adgraph.runtime.objects`), makes
the results' arrays, runs the program and gives the results as objects; whatever it does not expect
it leaves to Python by returning the record's `otherwise`. Of a run that fails it tells the record's
`failed`, which may raise. It reads objects of CPython by the stable
ABI and those of NumPy by the C-API table, the buffer protocol, and the place of an array's dtype.

`method(self, (args, kwargs))` is it as a function of Python whose `self` is a tuple that begins
with the record's address. `call(function, args, kwargs)` is it as the call of a type's instances:
their attribute `ways` is a tuple of a list, a function, and such tuples. It tries one after the
other; where none takes the arguments, or while there is something in the list, it calls the
function with its own arguments.
"""

from __future__ import annotations

import ctypes

from adgraph.lower.functions import Body, Fields, Memory, Value, compile_function, native, outside
from adgraph.runtime.objects import (
    CLEAR_ERROR,
    DROP,
    FROM_LONG,
    HEADER,
    ITEM,
    KEEP,
    argument,
    drop,
    restore_handler,
    result,
    target,
    use_handler,
)

METHOD, CALL = range(2)  # what `entrance` gives the address of
WAYS = "ways"
UNDER_WAY, LEFT_TO, FIRST_WAY = range(3)  # the places in the tuple

GET_ITEM = outside("ptr PyTuple_GetItem(ptr, i64)")
TUPLE_SIZE = outside("i64 PyTuple_Size(ptr)")
NEW_TUPLE = outside("ptr PyTuple_New(i64)")
SET_ITEM = outside("i32 PyTuple_SetItem(ptr, i64, ptr)")
DICT_SIZE = outside("i64 PyDict_Size(ptr)")
NEW_DICT = outside("ptr PyDict_New()")
LIST_SIZE = outside("i64 PyList_Size(ptr)")
TO_ADDRESS = outside("ptr PyLong_AsVoidPtr(ptr)")
INTERN = outside("ptr PyUnicode_InternFromString(ptr)")
GET_ATTRIBUTE = outside("ptr PyObject_GetAttr(ptr, ptr)")
CALL_OBJECT = outside("ptr PyObject_CallFunctionObjArgs(ptr, ...)")
SAVE_THREAD = outside("ptr PyEval_SaveThread()")
RESTORE_THREAD = outside("void PyEval_RestoreThread(ptr)")
SPELLING = Memory("ways", f'constant [{len(WAYS) + 1} x i8] c"{WAYS}\\00"')
NAME = Memory("name", "global ptr null")  # the spelling as a string of Python


@native("i64 run(ptr)")
def run(f: Body, record: Value) -> None:
    """Run the program of a record, without the GIL if the record says so."""
    header = Fields(record, HEADER)
    driver, *given = map(header.pointer, ("driver", "program", "sources", "scratch"))
    with f.when(header.word("releases").equals(0)):
        f.leave(f.call_at(driver, "i64", *given))
    thread = f.call(SAVE_THREAD)
    status = f.call_at(driver, "i64", *given)
    f.call(RESTORE_THREAD, thread)
    f.leave(status)


@native("void let_go(ptr, i64)")
def let_go(f: Body, record: Value, held: Value) -> None:
    """End a call that holds so many objects."""
    header = Fields(record, HEADER)
    f.call(drop, header.pointer("objects"), held)
    header.at("busy").store(0, "release")


@native("ptr refuse(ptr)")
def refuse(f: Body, record: Value) -> None:
    """Answer that a call is not as expected."""
    otherwise = Fields(record, HEADER).pointer("otherwise")
    f.call(CLEAR_ERROR)
    f.call(KEEP, otherwise)
    f.leave(otherwise)


@native("ptr enter(ptr, ptr, ptr)")
def enter(f: Body, record: Value, args: Value, kwargs: Value) -> None:
    """Call the program of a record, or return its `otherwise`.

    What the record points to is this call's own from the exchange on, until `busy` is 0 again.
    """
    header = Fields(record, HEADER)
    count, results = header.word("arguments"), header.word("results")
    pointers, objects = header.pointer("pointers"), header.pointer("objects")
    items, both = record.at(len(HEADER)), count + results
    result_items, result_objects = items.at(count * len(ITEM)), objects.at(count)

    with f.when(f.call(TUPLE_SIZE, args).differs(count)):
        f.leave(f.call(refuse, record))
    with f.unless(kwargs.is_null()), f.when(f.call(DICT_SIZE, kwargs).differs(0)):
        f.leave(f.call(refuse, record))
    with f.unless(header.at("busy").exchange(0, 1, "acquire")):
        f.leave(f.call(refuse, record))

    with f.loop(count) as i:
        given, item = f.call(GET_ITEM, args, i), items.at(i * len(ITEM))
        source = f.call(argument, record, item, given, objects.at(i))
        with f.when(source.is_null()):
            f.call(let_go, record, i + 1)
            f.leave(f.call(refuse, record))
        pointers.put(i, source)

    former = f.slot("ptr")
    former.store(f.null)
    with f.unless(header.pointer("handler").is_null()):
        former.store(f.call(use_handler, record))
    with f.loop(results) as i:
        item = result_items.at(i * len(ITEM))
        place = f.call(target, record, item, result_objects.at(i))
        with f.when(place.is_null()):
            f.call(restore_handler, record, former.load("ptr"))
            f.call(let_go, record, count + i + 1)
            f.leave(f.null)
        pointers.put(count + i, place)
    f.call(restore_handler, record, former.load("ptr"))

    status = f.call(run, record)
    with f.when(status.differs(0)):
        code = f.call(FROM_LONG, status)
        answer = f.call(CALL_OBJECT, header.pointer("failed"), code, f.null)
        f.call(DROP, code)
        f.call(let_go, record, both)
        f.leave_when(answer.is_null(), f.null)
        f.call(DROP, answer)
        f.leave(f.call(refuse, record))

    with f.loop(results) as i:
        item, place = result_items.at(i * len(ITEM)), result_objects.at(i)
        place.store(f.call(result, record, item, place.load("ptr")))
        with f.when(place.load("ptr").is_null()):
            f.call(let_go, record, both)
            f.leave(f.null)
    with f.when(header.word("packs").equals(0)):
        only = result_objects.pointer()
        f.call(let_go, record, count)
        f.leave(only)
    packed = f.call(NEW_TUPLE, results)
    with f.when(packed.is_null()):
        f.call(let_go, record, both)
        f.leave(f.null)
    with f.loop(results) as i:
        f.call(SET_ITEM, packed, i, result_objects.pointer(i))
    f.call(let_go, record, count)
    f.leave(packed)


def _record(f: Body, owned: Value) -> Value:
    return f.call(TO_ADDRESS, f.call(GET_ITEM, owned, 0))


@native("ptr method(ptr, ptr, i64)")
def method(f: Body, owned: Value, given: Value, count: Value) -> None:
    """Be the function of a record."""
    f.leave(f.call(enter, _record(f, owned), given.pointer(0), given.pointer(1)))


@native("ptr call(ptr, ptr, ptr)")
def call(f: Body, function: Value, args: Value, kwargs: Value) -> None:
    """Be the call of an instance: try its ways, unless a trace is under way."""
    name = f.address(NAME)
    with f.when(name.pointer().is_null()):
        name.store(f.call(INTERN, f.address(SPELLING)))
    ways = f.call(GET_ATTRIBUTE, function, name.pointer())
    f.leave_when(ways.is_null(), f.null)
    traces = f.call(LIST_SIZE, f.call(GET_ITEM, ways, UNDER_WAY))
    with f.when(traces.equals(0)), f.loop(f.call(TUPLE_SIZE, ways), FIRST_WAY) as i:
        record = _record(f, f.call(GET_ITEM, ways, i))
        answer = f.call(enter, record, args, kwargs)
        with f.when(answer.differs(Fields(record, HEADER).pointer("otherwise"))):
            f.call(DROP, ways)
            f.leave(answer)
        f.call(DROP, answer)
    left_to = f.call(GET_ITEM, ways, LEFT_TO)
    f.call(KEEP, kwargs)
    named = f.slot("ptr")
    named.store(kwargs)
    with f.when(kwargs.is_null()):
        named.store(f.call(NEW_DICT))
    with f.unless(named.pointer().is_null()):
        answer = f.call(CALL_OBJECT, left_to, function, args, named.pointer(), f.null)
        f.call(DROP, named.pointer())
        named.store(answer)
    f.call(DROP, ways)
    f.leave(named.pointer())


@native("ptr adgraph_entrance(i64)")
def entrance(f: Body, which: Value) -> None:
    """Return the address of one of the two."""
    f.leave(which.equals(CALL).choose(f.address(call), f.address(method)))


def address_of(which: int) -> int:
    """Return the address of the method or of the call.

    The first result waits for this code, so it is compiled at once: optimized, it would save 10 ns
    a call and take 60 ms more.
    """
    code = compile_function(entrance, "none")
    address: int = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(code)(which)
    return address
