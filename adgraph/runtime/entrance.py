"""The native way from a call in Python into a program, as LLVM IR.

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

from adgraph.runtime.objects import HEADER, ITEM, header
from adgraph.runtime.objects import TEXT as OBJECTS

SYMBOL = "adgraph_entrance"
METHOD, CALL = range(2)  # what the symbol, a function, gives the address of
WAYS = "ways"
UNDER_WAY, LEFT_TO, FIRST_WAY = range(3)  # the places in the tuple

DECLARATIONS = """
declare ptr @PyTuple_GetItem(ptr, i64)
declare i64 @PyTuple_Size(ptr)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare i64 @PyDict_Size(ptr)
declare i64 @PyList_Size(ptr)
declare ptr @PyLong_AsVoidPtr(ptr)
declare ptr @PyUnicode_InternFromString(ptr)
declare ptr @PyObject_GetAttr(ptr, ptr)
declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)
declare ptr @PyDict_New()
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
"""

# Runs the program of a record, without the GIL if the record says so.
RUN = f"""
define i64 @run(ptr %record) {{
{header("releases driver program sources scratch")}
  %alone = icmp ne i64 %releases, 0
  br i1 %alone, label %released, label %held
released:
  %thread = call ptr @PyEval_SaveThread()
  %released_status = call i64 %driver(ptr %program, ptr %sources, ptr %scratch)
  call void @PyEval_RestoreThread(ptr %thread)
  ret i64 %released_status
held:
  %held_status = call i64 %driver(ptr %program, ptr %sources, ptr %scratch)
  ret i64 %held_status
}}
"""

# From `take` on, what the record points to is this call's own, until `busy` is 0 again.
ENTER = f"""
define ptr @enter(ptr %record, ptr %args, ptr %kwargs) {{
entry:
{header("busy arguments results packs otherwise pointers objects")}
  %items = getelementptr i64, ptr %record, i64 {len(HEADER)}
  %found_arguments = call i64 @PyTuple_Size(ptr %args)
  %same_count = icmp eq i64 %found_arguments, %arguments
  br i1 %same_count, label %count_named, label %leave
count_named:
  %none_named = icmp eq ptr %kwargs, null
  br i1 %none_named, label %take, label %named
named:
  %found_named = call i64 @PyDict_Size(ptr %kwargs)
  %positional = icmp eq i64 %found_named, 0
  br i1 %positional, label %take, label %leave
take:
  %exchanged = cmpxchg ptr %busy.at, i64 0, i64 1 acquire monotonic
  %taken = extractvalue {{ i64, i1 }} %exchanged, 1
  br i1 %taken, label %next_argument, label %leave

next_argument:
  %i = phi i64 [0, %take], [%following_i, %accepted]
  %more_arguments = icmp slt i64 %i, %arguments
  br i1 %more_arguments, label %one_argument, label %begin_results
one_argument:
  %argument_object = call ptr @PyTuple_GetItem(ptr %args, i64 %i)
  %argument_word = mul i64 %i, {len(ITEM)}
  %argument_item = getelementptr i64, ptr %items, i64 %argument_word
  %copy_place = getelementptr ptr, ptr %objects, i64 %i
  %source = call ptr @argument(ptr %record, ptr %argument_item, ptr %argument_object,
                               ptr %copy_place)
  %following_i = add i64 %i, 1
  %rejected = icmp eq ptr %source, null
  br i1 %rejected, label %undo, label %accepted
accepted:
  %source_at = getelementptr ptr, ptr %pointers, i64 %i
  store ptr %source, ptr %source_at
  br label %next_argument

begin_results:
  %argument_words = mul i64 %arguments, {len(ITEM)}
  %result_items = getelementptr i64, ptr %items, i64 %argument_words
  %result_pointers = getelementptr ptr, ptr %pointers, i64 %arguments
  %result_objects = getelementptr ptr, ptr %objects, i64 %arguments
  %all = add i64 %arguments, %results
{header("handler")}
  %own_handler = icmp eq ptr %handler, null
  br i1 %own_handler, label %begin_targets, label %use_handler
use_handler:
  %replaced = call ptr @use_handler(ptr %record)
  br label %begin_targets
begin_targets:
  %former_handler = phi ptr [null, %begin_results], [%replaced, %use_handler]
  br label %next_target
next_target:
  %k = phi i64 [0, %begin_targets], [%following_k, %made]
  %more_targets = icmp slt i64 %k, %results
  br i1 %more_targets, label %one_target, label %all_made
one_target:
  %target_word = mul i64 %k, {len(ITEM)}
  %target_item = getelementptr i64, ptr %result_items, i64 %target_word
  %place = getelementptr ptr, ptr %result_objects, i64 %k
  %target = call ptr @target(ptr %record, ptr %target_item, ptr %place)
  %following_k = add i64 %k, 1
  %held_so_far = add i64 %arguments, %following_k
  %no_array = icmp eq ptr %target, null
  br i1 %no_array, label %not_made, label %made
made:
  %target_at = getelementptr ptr, ptr %result_pointers, i64 %k
  store ptr %target, ptr %target_at
  br label %next_target

not_made:
  call void @restore_handler(ptr %record, ptr %former_handler)
  br label %fail
all_made:
  br i1 %own_handler, label %run, label %restore_handler
restore_handler:
  call void @restore_handler(ptr %record, ptr %former_handler)
  br label %run

run:
  %status = call i64 @run(ptr %record)
  %has_failed = icmp ne i64 %status, 0
  br i1 %has_failed, label %report, label %next_result
report:
{header("failed")}
  %code = call ptr @PyLong_FromLongLong(i64 %status)
  %reported = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr %failed, ptr %code, ptr null)
  call void @Py_DecRef(ptr %code)
  %raised = icmp eq ptr %reported, null
  br i1 %raised, label %fail, label %not_raised
not_raised:
  call void @Py_DecRef(ptr %reported)
  br label %undo

next_result:
  %r = phi i64 [0, %run], [%following_r, %converted]
  %more_results = icmp slt i64 %r, %results
  br i1 %more_results, label %one_result, label %return
one_result:
  %result_word = mul i64 %r, {len(ITEM)}
  %result_item = getelementptr i64, ptr %result_items, i64 %result_word
  %object_at = getelementptr ptr, ptr %result_objects, i64 %r
  %array = load ptr, ptr %object_at
  %object = call ptr @result(ptr %record, ptr %result_item, ptr %array)
  store ptr %object, ptr %object_at
  %following_r = add i64 %r, 1
  %no_object = icmp eq ptr %object, null
  br i1 %no_object, label %fail, label %converted
converted:
  br label %next_result

return:
  %several = icmp ne i64 %packs, 0
  br i1 %several, label %tuple, label %single
single:
  %only = load ptr, ptr %result_objects
  br label %complete
tuple:
  %packed = call ptr @PyTuple_New(i64 %results)
  %no_tuple = icmp eq ptr %packed, null
  br i1 %no_tuple, label %fail, label %next_item
next_item:
  %t = phi i64 [0, %tuple], [%following_t, %one_item]
  %more_items = icmp slt i64 %t, %results
  br i1 %more_items, label %one_item, label %packing_done
one_item:
  %item_at = getelementptr ptr, ptr %result_objects, i64 %t
  %item_object = load ptr, ptr %item_at
  %set = call i32 @PyTuple_SetItem(ptr %packed, i64 %t, ptr %item_object)
  %following_t = add i64 %t, 1
  br label %next_item
packing_done:
  br label %complete
complete:
  %answer = phi ptr [%only, %single], [%packed, %packing_done]
  call void @drop(ptr %objects, i64 %arguments)
  store atomic i64 0, ptr %busy.at release, align 8
  ret ptr %answer

fail:
  %held = phi i64 [%held_so_far, %not_made], [%all, %report], [%all, %one_result],
                [%all, %tuple]
  call void @drop(ptr %objects, i64 %held)
  store atomic i64 0, ptr %busy.at release, align 8
  ret ptr null
undo:
  %kept = phi i64 [%following_i, %one_argument], [%all, %not_raised]
  call void @drop(ptr %objects, i64 %kept)
  store atomic i64 0, ptr %busy.at release, align 8
  br label %leave
leave:
  call void @PyErr_Clear()
  call void @Py_IncRef(ptr %otherwise)
  ret ptr %otherwise
}}
"""

METHOD_AND_CALL = f"""
define ptr @method(ptr %self, ptr %given, i64 %count) {{
  %address = call ptr @PyTuple_GetItem(ptr %self, i64 0)
  %record = call ptr @PyLong_AsVoidPtr(ptr %address)
  %args = load ptr, ptr %given
  %kwargs_at = getelementptr ptr, ptr %given, i64 1
  %kwargs = load ptr, ptr %kwargs_at
  %answer = call ptr @enter(ptr %record, ptr %args, ptr %kwargs)
  ret ptr %answer
}}

@ways = internal constant [{len(WAYS) + 1} x i8] c"{WAYS}\\00"
@name = internal global ptr null
define ptr @call(ptr %function, ptr %args, ptr %kwargs) {{
entry:
  %known_name = load ptr, ptr @name
  %unknown = icmp eq ptr %known_name, null
  br i1 %unknown, label %make_name, label %named
make_name:
  %made_name = call ptr @PyUnicode_InternFromString(ptr @ways)
  store ptr %made_name, ptr @name
  br label %named
named:
  %name = phi ptr [%known_name, %entry], [%made_name, %make_name]
  %ways = call ptr @PyObject_GetAttr(ptr %function, ptr %name)
  %no_ways = icmp eq ptr %ways, null
  br i1 %no_ways, label %error, label %found
error:
  ret ptr null
found:
  %under_way = call ptr @PyTuple_GetItem(ptr %ways, i64 {UNDER_WAY})
  %traces = call i64 @PyList_Size(ptr %under_way)
  %untraced = icmp eq i64 %traces, 0
  br i1 %untraced, label %count, label %leave
count:
  %all = call i64 @PyTuple_Size(ptr %ways)
  br label %next
next:
  %i = phi i64 [{FIRST_WAY}, %count], [%following, %refused]
  %more = icmp slt i64 %i, %all
  br i1 %more, label %way, label %leave
way:
  %owned = call ptr @PyTuple_GetItem(ptr %ways, i64 %i)
  %address = call ptr @PyTuple_GetItem(ptr %owned, i64 0)
  %record = call ptr @PyLong_AsVoidPtr(ptr %address)
{header("otherwise")}
  %answer = call ptr @enter(ptr %record, ptr %args, ptr %kwargs)
  %following = add i64 %i, 1
  %taken = icmp ne ptr %answer, %otherwise
  br i1 %taken, label %done, label %refused
refused:
  call void @Py_DecRef(ptr %answer)
  br label %next
done:
  call void @Py_DecRef(ptr %ways)
  ret ptr %answer

leave:
  %left_to = call ptr @PyTuple_GetItem(ptr %ways, i64 {LEFT_TO})
  %nothing_named = icmp eq ptr %kwargs, null
  br i1 %nothing_named, label %make_kwargs, label %take_kwargs
make_kwargs:
  %empty = call ptr @PyDict_New()
  br label %hand_over
take_kwargs:
  call void @Py_IncRef(ptr %kwargs)
  br label %hand_over
hand_over:
  %all_kwargs = phi ptr [%empty, %make_kwargs], [%kwargs, %take_kwargs]
  %no_memory = icmp eq ptr %all_kwargs, null
  br i1 %no_memory, label %forget, label %call
call:
  %result = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(
    ptr %left_to, ptr %function, ptr %args, ptr %all_kwargs, ptr null)
  call void @Py_DecRef(ptr %all_kwargs)
  br label %forget
forget:
  %other_answer = phi ptr [null, %hand_over], [%result, %call]
  call void @Py_DecRef(ptr %ways)
  ret ptr %other_answer
}}

define ptr @{SYMBOL}(i64 %which) {{
  %wants_call = icmp eq i64 %which, {CALL}
  %address = select i1 %wants_call, ptr @call, ptr @method
  ret ptr %address
}}
"""


# The first result waits for this code, so it is compiled at once: optimized, it would save 10 ns a
# call and take 60 ms more.
TEXT = OBJECTS + DECLARATIONS + RUN + ENTER + METHOD_AND_CALL
