"""The native code behind `adgraph.runtime.recycling`: a memory handler of NumPy, as LLVM IR.

`TEXT` defines `SYMBOL`, which writes the addresses of four functions (malloc, calloc, realloc,
free) into the words of an allocator. They keep free blocks in a table by capacity; what is not in
it comes from NumPy's own handler. Only atomic exchanges touch the table, so any thread may call.
"""

from __future__ import annotations

KEPT_BYTES = 128_000_000  # of free blocks, at most

# A block's capacity is its size rounded up to one of `STEPS` per power of two, at most 25 % more.
SMALLEST, LARGEST = 14, 26  # as powers of two
STEPS = 4
KINDS = STEPS * (LARGEST - SMALLEST)
SLOTS = 64  # free blocks of one capacity, such as the gradients of equal layers
ALIGNMENT = 64

# Large blocks from the system all begin at the same place of a page, and so do the arrays that a
# kernel walks through: they would compete for the same few lines of the cache.
STAGGER = 9 * ALIGNMENT  # from one block to the next
MOST_STAGGERED = 4096 - ALIGNMENT

# The words of NumPy's PyDataMemAllocator; the context is the address of the state.
ALLOCATOR = ("context", "malloc", "calloc", "realloc", "free")

# The state: these words, then the slots.
STATE = (
    "own",  # the allocator of NumPy's own handler
    "kept",  # the bytes of the free blocks
    "turn",  # how many blocks were made
    "hand",  # which slot is the next to be emptied when they are too many
)
STATE_WORDS = len(STATE) + KINDS * SLOTS

# In front of a block's data; `kind` is -1 if the block is not kept.
FRONT = ("start", "bytes", "kind", "capacity")
FRONT_BYTES = ALIGNMENT

SYMBOL = "adgraph_recycle"


def _state(name: str) -> str:
    return f"getelementptr i64, ptr %state, i64 {STATE.index(name)}"


def _front(chosen: str) -> str:
    """Write the addresses of words in front of a block."""
    return "\n".join(
        f"  %{name}.at = getelementptr i64, ptr %data, i64 {FRONT.index(name) - FRONT_BYTES // 8}"
        for name in chosen.split()
    )


def _own(function: str) -> str:
    """Write the loads of a function of NumPy's own handler, and of its context."""
    return f"""
  %own.at = {_state("own")}
  %own = load ptr, ptr %own.at
  %context = load ptr, ptr %own
  %function.at = getelementptr i64, ptr %own, i64 {ALLOCATOR.index(function)}
  %function = load ptr, ptr %function.at
"""


# Returns the address of the slot of a number.
SLOT = f"""
define ptr @slot(ptr %state, i64 %number) #0 {{
  %word = add i64 %number, {len(STATE)}
  %at = getelementptr ptr, ptr %state, i64 %word
  ret ptr %at
}}
"""

# Takes the block out of a slot; null if there is none.
TAKE = f"""
define ptr @take(ptr %state, i64 %number) #0 {{
  %at = call ptr @slot(ptr %state, i64 %number)
  %seen = load atomic ptr, ptr %at monotonic, align 8
  %looks_empty = icmp eq ptr %seen, null
  br i1 %looks_empty, label %none, label %exchange
exchange:
  %data = atomicrmw xchg ptr %at, ptr null acquire
  %empty = icmp eq ptr %data, null
  br i1 %empty, label %none, label %taken
taken:
{_front("capacity")}
  %capacity = load i64, ptr %capacity.at
  %kept = {_state("kept")}
  %before = atomicrmw sub ptr %kept, i64 %capacity monotonic
  ret ptr %data
none:
  ret ptr null
}}
"""

# Gives a block to NumPy's own handler.
RETURN = f"""
define void @return(ptr %state, ptr %data) #0 {{
{_front("start bytes")}
  %start = load ptr, ptr %start.at
  %bytes = load i64, ptr %bytes.at
{_own("free")}
  call void %function(ptr %context, ptr %start, i64 %bytes)
  ret void
}}
"""

# Drops free blocks, in the order of the table, until at most so many bytes are kept.
SHRINK = f"""
define void @shrink(ptr %state, i64 %most) #0 {{
entry:
  %kept.at = {_state("kept")}
  %hand = {_state("hand")}
  br label %next
next:
  %i = phi i64 [0, %entry], [%following, %dropped]
  %kept = load atomic i64, ptr %kept.at monotonic, align 8
  %few = icmp sle i64 %kept, %most
  %round = icmp sge i64 %i, {KINDS * SLOTS}
  %enough = or i1 %few, %round
  br i1 %enough, label %done, label %drop
drop:
  %following = add i64 %i, 1
  %turn = atomicrmw add ptr %hand, i64 1 monotonic
  %number = urem i64 %turn, {KINDS * SLOTS}
  %data = call ptr @take(ptr %state, i64 %number)
  %empty = icmp eq ptr %data, null
  br i1 %empty, label %dropped, label %return
return:
  call void @return(ptr %state, ptr %data)
  br label %dropped
dropped:
  br label %next
done:
  ret void
}}
"""

# Makes a block by NumPy's own handler; if memory is short, free blocks are dropped first.
FRESH = f"""
define ptr @fresh(ptr %state, i64 %capacity, i64 %kind) #0 {{
{_own("malloc")}
  %plain = icmp slt i64 %kind, 0
  %most = select i1 %plain, i64 0, i64 {MOST_STAGGERED}
  %around = add i64 %most, {FRONT_BYTES + ALIGNMENT}
  %bytes = add i64 %capacity, %around
  %wraps = icmp ult i64 %bytes, %capacity
  br i1 %wraps, label %none, label %first
first:
  %start = call ptr %function(ptr %context, i64 %bytes)
  %refused = icmp eq ptr %start, null
  br i1 %refused, label %second, label %made
second:
  call void @shrink(ptr %state, i64 0)
  %late = call ptr %function(ptr %context, i64 %bytes)
  %no_memory = icmp eq ptr %late, null
  br i1 %no_memory, label %none, label %made
made:
  %block = phi ptr [%start, %first], [%late, %second]
  %address = ptrtoint ptr %block to i64
  %turn.at = {_state("turn")}
  %turn = atomicrmw add ptr %turn.at, i64 1 monotonic
  %far = mul i64 %turn, {STAGGER}
  %staggered = and i64 %far, %most
  %begin = add i64 %address, {FRONT_BYTES + ALIGNMENT - 1}
  %past = add i64 %begin, %staggered
  %aligned = and i64 %past, -{ALIGNMENT}
  %data = inttoptr i64 %aligned to ptr
{_front(" ".join(FRONT))}
  store ptr %block, ptr %start.at
  store i64 %bytes, ptr %bytes.at
  store i64 %kind, ptr %kind.at
  store i64 %capacity, ptr %capacity.at
  ret ptr %data
none:
  ret ptr null
}}
"""

MALLOC = f"""
define ptr @malloc_block(ptr %state, i64 %size) #0 {{
entry:
  %large = icmp ugt i64 %size, {1 << SMALLEST}
  %small = icmp ule i64 %size, {1 << LARGEST}
  %kept = and i1 %large, %small
  br i1 %kept, label %round, label %plain
plain:
  %other = call ptr @fresh(ptr %state, i64 %size, i64 -1)
  ret ptr %other
round:
  %last = sub i64 %size, 1
  %zeros = call i64 @llvm.ctlz.i64(i64 %last, i1 true)
  %power = sub i64 63, %zeros
  %shift = sub i64 %power, {STEPS.bit_length() - 1}
  %steps = lshr i64 %last, %shift
  %next_step = add i64 %steps, 1
  %capacity = shl i64 %next_step, %shift
  %powers = sub i64 %power, {SMALLEST}
  %before = mul i64 %powers, {STEPS}
  %within = sub i64 %steps, {STEPS}
  %kind = add i64 %before, %within
  %first = mul i64 %kind, {SLOTS}
  br label %next
next:
  %i = phi i64 [0, %round], [%following, %look]
  %more = icmp slt i64 %i, {SLOTS}
  br i1 %more, label %look, label %none
look:
  %following = add i64 %i, 1
  %number = add i64 %first, %i
  %found = call ptr @take(ptr %state, i64 %number)
  %empty = icmp eq ptr %found, null
  br i1 %empty, label %next, label %recycled
recycled:
  ret ptr %found
none:
  %fresh = call ptr @fresh(ptr %state, i64 %capacity, i64 %kind)
  ret ptr %fresh
}}
"""

CALLOC = """
define ptr @calloc_block(ptr %state, i64 %count, i64 %each) #0 {
  %product = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %count, i64 %each)
  %wraps = extractvalue { i64, i1 } %product, 1
  br i1 %wraps, label %none, label %allocate
allocate:
  %size = extractvalue { i64, i1 } %product, 0
  %data = call ptr @malloc_block(ptr %state, i64 %size)
  %no_memory = icmp eq ptr %data, null
  br i1 %no_memory, label %none, label %clear
clear:
  call void @llvm.memset.p0.i64(ptr %data, i8 0, i64 %size, i1 false)
  ret ptr %data
none:
  ret ptr null
}
"""

FREE = f"""
define void @free_block(ptr %state, ptr %data, i64 %size) #0 {{
entry:
  %nothing = icmp eq ptr %data, null
  br i1 %nothing, label %done, label %block
block:
{_front("kind capacity")}
  %kind = load i64, ptr %kind.at
  %not_kept = icmp slt i64 %kind, 0
  br i1 %not_kept, label %return, label %count
count:
  %capacity = load i64, ptr %capacity.at
  %kept = {_state("kept")}
  %before = atomicrmw add ptr %kept, i64 %capacity monotonic
  %bytes = add i64 %before, %capacity
  %many = icmp sgt i64 %bytes, {KEPT_BYTES}
  br i1 %many, label %shrink, label %find
shrink:
  call void @shrink(ptr %state, i64 {KEPT_BYTES})
  br label %find
find:
  %first = mul i64 %kind, {SLOTS}
  br label %next
next:
  %i = phi i64 [0, %find], [%following, %look], [%following, %exchange]
  %more = icmp slt i64 %i, {SLOTS}
  br i1 %more, label %look, label %full
look:
  %following = add i64 %i, 1
  %number = add i64 %first, %i
  %at = call ptr @slot(ptr %state, i64 %number)
  %seen = load atomic ptr, ptr %at monotonic, align 8
  %looks_empty = icmp eq ptr %seen, null
  br i1 %looks_empty, label %exchange, label %next
exchange:
  %exchanged = cmpxchg ptr %at, ptr null, ptr %data release monotonic
  %placed = extractvalue {{ ptr, i1 }} %exchanged, 1
  br i1 %placed, label %done, label %next
full:
  %uncounted = atomicrmw sub ptr %kept, i64 %capacity monotonic
  br label %return
return:
  call void @return(ptr %state, ptr %data)
  ret void
done:
  ret void
}}
"""

REALLOC = f"""
define ptr @realloc_block(ptr %state, ptr %data, i64 %size) #0 {{
  %new = call ptr @malloc_block(ptr %state, i64 %size)
  %no_memory = icmp eq ptr %new, null
  %nothing = icmp eq ptr %data, null
  %nothing_to_move = or i1 %no_memory, %nothing
  br i1 %nothing_to_move, label %done, label %move
move:
{_front("capacity")}
  %capacity = load i64, ptr %capacity.at
  %shorter = icmp ult i64 %size, %capacity
  %count = select i1 %shorter, i64 %size, i64 %capacity
  call void @llvm.memcpy.p0.p0.i64(ptr %new, ptr %data, i64 %count, i1 false)
  call void @free_block(ptr %state, ptr %data, i64 %capacity)
  br label %done
done:
  ret ptr %new
}}
"""

# Writes the functions into the words of an allocator.
FUNCTIONS = "\n".join(
    f"  %at.{i} = getelementptr ptr, ptr %allocator, i64 {i}\n"
    f"  store ptr @{name}_block, ptr %at.{i}"
    for i, name in enumerate(ALLOCATOR)
    if name != "context"
)
FILL = f"""
define void @{SYMBOL}(ptr %allocator) {{
{FUNCTIONS}
  ret void
}}
"""

TEXT = f"""
declare i64 @llvm.ctlz.i64(i64, i1)
declare {{ i64, i1 }} @llvm.umul.with.overflow.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
{SLOT}{TAKE}{RETURN}{SHRINK}{FRESH}{MALLOC}{CALLOC}{FREE}{REALLOC}{FILL}
"""
