"""The native code behind `adgraph.runtime.recycling`: a memory handler of NumPy.

`fill` writes the addresses of four functions (malloc, calloc, realloc, free) into the words of an
allocator. They keep free blocks in a table by capacity; what is not in it comes from NumPy's own
handler. Only atomic exchanges touch the table, so any thread may call.
"""

from __future__ import annotations

from adgraph.lower.functions import Body, Fields, Value, native, outside

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

LEADING_ZEROS = outside("i64 llvm.ctlz.i64(i64, i1)")
PRODUCT = outside("{ i64, i1 } llvm.umul.with.overflow.i64(i64, i64)")
CLEAR = outside("void llvm.memset.p0.i64(ptr, i8, i64, i1)")
COPY = outside("void llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")


def _front(data: Value) -> Fields:
    return Fields(data.past(-FRONT_BYTES), FRONT)


def _slot(state: Value, number: Value) -> Value:
    return state.at(len(STATE)).at(number)


def _own(f: Body, state: Value, function: str, result: str, *arguments: Value) -> Value:
    """Call a function of NumPy's own handler."""
    own = Fields(Fields(state, STATE).pointer("own"), ALLOCATOR)
    return f.call_at(own.pointer(function), result, own.pointer("context"), *arguments)


@native("ptr take(ptr, i64)")
def take(f: Body, state: Value, number: Value) -> None:
    """Take the block out of a slot; return null if there is none."""
    slot = _slot(state, number)
    f.leave_when(slot.load("ptr", "monotonic").is_null(), f.null)
    data = slot.change("xchg", f.null, "acquire")
    f.leave_when(data.is_null(), f.null)
    Fields(state, STATE).at("kept").change("sub", _front(data).word("capacity"))
    f.leave(data)


@native("void give_back(ptr, ptr)")
def give_back(f: Body, state: Value, data: Value) -> None:
    """Give a block to NumPy's own handler."""
    front = _front(data)
    _own(f, state, "free", "void", front.pointer("start"), front.word("bytes"))


@native("void shrink(ptr, i64)")
def shrink(f: Body, state: Value, most: Value) -> None:
    """Drop free blocks, in the order of the table, until at most so many bytes are kept."""
    fields = Fields(state, STATE)
    with f.loop(KINDS * SLOTS):
        f.leave_when(fields.at("kept").load("i64", "monotonic") <= most)
        number = fields.at("hand").change("add", 1) % (KINDS * SLOTS)
        data = f.call(take, state, number)
        with f.unless(data.is_null()):
            f.call(give_back, state, data)


@native("ptr fresh(ptr, i64, i64)")
def fresh(f: Body, state: Value, capacity: Value, kind: Value) -> None:
    """Make a block by NumPy's own handler; if memory is short, drop free blocks first."""
    most = (kind < 0).choose(f.constant("i64", 0), MOST_STAGGERED)
    bytes = capacity + (most + (FRONT_BYTES + ALIGNMENT))
    f.leave_when(bytes.compare("ult", capacity), f.null)
    block = f.slot("ptr")
    block.store(_own(f, state, "malloc", "ptr", bytes))
    with f.when(block.pointer().is_null()):
        f.call(shrink, state, 0)
        block.store(_own(f, state, "malloc", "ptr", bytes))
    start = block.pointer()
    f.leave_when(start.is_null(), f.null)
    turn = Fields(state, STATE).at("turn").change("add", 1)
    begin = start.cast("ptrtoint", "i64") + (FRONT_BYTES + ALIGNMENT - 1)
    data = (begin + (turn * STAGGER & most) & -ALIGNMENT).cast("inttoptr", "ptr")
    for name, value in zip(FRONT, (start, bytes, kind, capacity), strict=True):
        _front(data).put(name, value)
    f.leave(data)


@native("ptr malloc_block(ptr, i64)")
def malloc_block(f: Body, state: Value, size: Value) -> None:
    """Find a free block of the size's kind, or make one."""
    kept = size.compare("ugt", 1 << SMALLEST) & size.compare("ule", 1 << LARGEST)
    with f.unless(kept):
        f.leave(f.call(fresh, state, size, -1))
    last = size - 1
    power = f.constant("i64", 63) - f.call(LEADING_ZEROS, last, f.constant("i1", "true"))
    shift = power - (STEPS.bit_length() - 1)
    steps = last >> shift
    kind = (power - SMALLEST) * STEPS + (steps - STEPS)
    with f.loop(SLOTS) as i:
        found = f.call(take, state, kind * SLOTS + i)
        f.leave_when(found.differs(f.null), found)
    f.leave(f.call(fresh, state, steps + 1 << shift, kind))


@native("ptr calloc_block(ptr, i64, i64)")
def calloc_block(f: Body, state: Value, count: Value, each: Value) -> None:
    """Make a block of zeros."""
    product = f.call(PRODUCT, count, each)
    f.leave_when(product.part(1, "i1"), f.null)
    size = product.part(0, "i64")
    data = f.call(malloc_block, state, size)
    f.leave_when(data.is_null(), f.null)
    f.call(CLEAR, data, f.constant("i8", 0), size, f.constant("i1", "false"))
    f.leave(data)


@native("void free_block(ptr, ptr, i64)")
def free_block(f: Body, state: Value, data: Value, size: Value) -> None:
    """Put a block into a free slot of its kind, or give it back."""
    f.leave_when(data.is_null())
    front, held = _front(data), Fields(state, STATE).at("kept")
    kind, capacity = front.word("kind"), front.word("capacity")
    with f.when(kind < 0):
        f.call(give_back, state, data)
        f.leave()
    with f.when(held.change("add", capacity) + capacity > KEPT_BYTES):
        f.call(shrink, state, KEPT_BYTES)
    with f.loop(SLOTS) as i:
        slot = _slot(state, kind * SLOTS + i)
        with f.when(slot.load("ptr", "monotonic").is_null()):
            f.leave_when(slot.exchange(f.null, data, "release"))
    held.change("sub", capacity)
    f.call(give_back, state, data)


@native("ptr realloc_block(ptr, ptr, i64)")
def realloc_block(f: Body, state: Value, data: Value, size: Value) -> None:
    """Move to a block of another size."""
    new = f.call(malloc_block, state, size)
    f.leave_when(new.is_null() | data.is_null(), new)
    capacity = _front(data).word("capacity")
    f.call(COPY, new, data, f.least(size, capacity), f.constant("i1", "false"))
    f.call(free_block, state, data, capacity)
    f.leave(new)


@native("void adgraph_recycle(ptr)")
def fill(f: Body, allocator: Value) -> None:
    """Write the functions into the words of an allocator."""
    for function in (malloc_block, calloc_block, realloc_block, free_block):
        name = function.symbol.removesuffix("_block")
        Fields(allocator, ALLOCATOR).put(name, f.address(function))
