"""The native code of the pool of threads, and the layout of what it reads.

`split` is a kernel that runs another one in pieces on the threads of a pool; `work` is what these
threads do. `adgraph.lower.pool` compiles it, owns the pool's memory, and says how it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from adgraph.lower.functions import Body, Fields, Operand, Value, native, outside

MOST_THREADS = 64
CALLER_SPINS = 20_000  # a few microseconds, in which the other threads finish their last pieces
WORKER_SPINS = 20_000  # a program's next kernel often comes at once
LINE = 64  # bytes: what different threads write is in different lines of the cache

# The pool in int64 words: a mutex and two condition variables, each in room for any platform's,
# then fields.
SYSTEM_WORDS = 16
FIELDS = (
    "busy",  # a call uses the pool
    "open",  # its pieces are not all taken yet
    "room",  # how many threads may still join
    "inside",  # how many have joined and not left
    "job",
    "count",  # of threads
    "stop",
)
MUTEX, WAKE, DONE = (8 * SYSTEM_WORDS * i for i in range(3))
POOL_WORDS = 3 * SYSTEM_WORDS + len(FIELDS) + MOST_THREADS

# A job: the integers and pointers of the call, and what its threads share.
JOB = (
    "sizes",
    "pointers",
    "partials",
    "rooms",  # of the threads' own memory
    "joined",  # how many threads have taken one
    "next",
    "status",
    "claims",
    "units",
)

# The integers of a split call: these, then the tables whose lengths they give.
COUNTS = (
    "workers",  # threads beside the caller
    "total",  # trips of the outermost loop
    "unit",  # trips of one piece
    "group",  # pieces taken at a time
    "pointers",  # of the kernel; per pointer: bytes to advance a trip, and where in a thread's own
    "partials",  # pointers to partial results behind them; per partial: bytes
    "sizes",  # of the kernel
    "extent",  # which of them is the number of trips
    "own_bytes",  # memory that each thread needs of its own
    "last_pointers",  # of the last kernel, behind the partials
    "last_sizes",
    "lasts",  # whether there is a last kernel
)


LOCK = outside("i32 pthread_mutex_lock(ptr)")
UNLOCK = outside("i32 pthread_mutex_unlock(ptr)")
WAIT = outside("i32 pthread_cond_wait(ptr, ptr)")
SIGNAL = outside("i32 pthread_cond_signal(ptr)")
BROADCAST = outside("i32 pthread_cond_broadcast(ptr)")
CREATE = outside("i32 pthread_create(ptr, ptr, ptr, ptr)")


@dataclass(frozen=True)
class _Integers:
    """The integers of a split call: the counts, and the tables behind them."""

    counts: Fields
    advances: Value
    own: Value
    partial_bytes: Value
    sizes: Value
    last_sizes: Value
    kernels: Value  # the addresses of the kernel and of the last one


def _integers(words: Value) -> _Integers:
    counts = Fields(words, COUNTS)
    pointers, partials = counts.word("pointers"), counts.word("partials")
    advances = words.at(len(COUNTS))
    own = advances.at(pointers)
    partial_bytes = own.at(pointers)
    sizes = partial_bytes.at(partials)
    last_sizes = sizes.at(counts.word("sizes"))
    kernels = last_sizes.at(counts.word("last_sizes"))
    return _Integers(counts, advances, own, partial_bytes, sizes, last_sizes, kernels)


def _fields(pool: Value) -> Fields:
    return Fields(pool.at(3 * SYSTEM_WORDS), FIELDS)


@native("void run(ptr) noinline")
def run(f: Body, job: Value) -> None:
    """Take pieces of a job until none is left."""
    shared = Fields(job, JOB)
    given, partial_start = shared.pointer("pointers"), shared.pointer("partials")
    claims, units = shared.word("claims"), shared.word("units")
    integers = _integers(shared.pointer("sizes"))
    counts = integers.counts
    pointers, partials, sizes = map(counts.word, ("pointers", "partials", "sizes"))
    total, unit, group = map(counts.word, ("total", "unit", "group"))
    kernel = integers.kernels.pointer()
    table = f.room(pointers + partials)
    own_sizes = f.room(sizes)
    f.copy_words(own_sizes, integers.sizes, sizes)
    extent = own_sizes.at(counts.word("extent"))
    number = shared.at("joined").change("add", 1)
    memory = shared.pointer("rooms").past(number * counts.word("own_bytes"))
    with f.forever():
        claim = shared.at("next").change("add", 1)
        f.leave_when(claim >= claims)
        first = claim * group
        with f.loop(f.least(first + group, units), first) as u:
            low = u * unit
            extent.store(f.least(total - low, unit))
            with f.loop(pointers) as i:
                offset = integers.own.word(i)
                with f.when(offset >= 0):
                    table.put(i, memory.past(offset))
                    f.skip()
                table.put(i, given.pointer(i).past(integers.advances.word(i) * low))
            with f.loop(partials) as i:
                start = partial_start.at(i * units)
                table.put(pointers + i, start.past(integers.partial_bytes.word(i) * u))
            status = f.call_at(kernel, "i64", table, own_sizes)
            with f.when(status.differs(0)):
                shared.at("status").change("umax", status)


@native("ptr work(ptr) noinline")
def work(f: Body, pool: Value) -> None:
    """Live as a thread: wait for an open job, run, sign off."""
    mutex, fields = pool.past(MUTEX), _fields(pool)
    inside = fields.at("inside")
    f.call(LOCK, mutex)
    with f.forever():
        f.stop_when(fields.word("stop").differs(0))
        room = fields.word("room")
        with f.unless(fields.word("open").differs(0) & (room > 0)):
            f.call(WAIT, pool.past(WAKE), mutex)
            f.skip()
        fields.put("room", room - 1)
        inside.store(inside.load("i64", "monotonic") + 1, "monotonic")
        job = fields.pointer("job")
        f.call(UNLOCK, mutex)
        f.call(run, job)
        f.call(LOCK, mutex)
        others = inside.load("i64", "monotonic") - 1
        inside.store(others, "release")
        with f.when(others.equals(0)):
            f.call(SIGNAL, pool.past(DONE))
        f.call(UNLOCK, mutex)
        with f.loop(WORKER_SPINS):
            f.stop_when(fields.at("open").load("i64", "monotonic").differs(0))
        f.call(LOCK, mutex)
    f.call(UNLOCK, mutex)
    f.leave(f.null)


@native("void share(ptr, ptr, i64) noinline")
def share(f: Body, pool: Value, job: Value, workers: Value) -> None:
    """Run a job on the pool if that is free; return when no other thread is inside the job."""
    mutex, fields = pool.past(MUTEX), _fields(pool)
    busy, is_open, inside = map(fields.at, ("busy", "open", "inside"))
    with f.unless(busy.exchange(0, 1, "acquire")):
        f.call(run, job)
        f.leave()
    f.call(LOCK, mutex)
    with f.when(fields.word("stop").differs(0)):
        f.call(UNLOCK, mutex)
        busy.store(0, "release")
        f.call(run, job)
        f.leave()
    with f.forever():
        count = fields.word("count")
        f.stop_when(count >= workers)
        thread = fields.base.at(len(FIELDS)).at(count)
        refused = f.call(CREATE, thread, f.null, f.address(work), pool)
        f.stop_when(refused.differs(0))
        fields.put("count", count + 1)
    fields.put("job", job)
    fields.put("room", workers)
    is_open.store(1, "monotonic")
    f.call(UNLOCK, mutex)
    with f.when(workers > 1):
        f.call(BROADCAST, pool.past(WAKE))
    with f.unless(workers > 1):
        f.call(SIGNAL, pool.past(WAKE))
    f.call(run, job)
    f.call(LOCK, mutex)
    is_open.store(0, "monotonic")
    f.call(UNLOCK, mutex)
    with f.loop(CALLER_SPINS):
        f.stop_when(inside.load("i64", "acquire").equals(0))
    f.call(LOCK, mutex)
    with f.forever():
        f.stop_when(inside.load("i64", "acquire").equals(0))
        f.call(WAIT, pool.past(DONE), mutex)
    f.call(UNLOCK, mutex)
    busy.store(0, "release")


@native("i64 adgraph_split(ptr noalias readonly, ptr noalias readonly)")
def split(f: Body, tables: Value, words: Value) -> None:
    """Run a kernel in pieces.

    The first pointers are the pool and memory for partial results, and behind them for every
    thread; the integers are those of `split_words`.
    """
    integers = _integers(words)
    counts = integers.counts
    partials, unit, group = map(counts.word, ("partials", "unit", "group"))
    partial_start, given = tables.pointer(1), tables.at(2)
    units = (counts.word("total") + unit - 1) // unit
    partial_bytes = units * partials << 3
    job = f.slot(f"[{len(JOB)} x i64], align 8")
    shared: dict[str, Operand] = {
        "sizes": words,
        "pointers": given,
        "partials": partial_start,
        "rooms": partial_start.past(partial_bytes + (LINE - 1) & -LINE),
        "joined": 0,
        "next": 0,
        "status": 0,
        "claims": (units + group - 1) // group,
        "units": units,
    }
    for name, value in shared.items():
        Fields(job, JOB).put(name, value)
    f.call(share, tables.pointer(), job, counts.word("workers"))
    status = Fields(job, JOB).at("status").load("i64", "monotonic")
    f.leave_when(status.differs(0), status)
    f.leave_when(counts.word("lasts").equals(0), 0)
    others = counts.word("last_pointers")
    table = f.room(partials + others)
    with f.loop(partials) as i:
        table.put(i, partial_start.at(i * units))
    with f.loop(others) as i:
        table.put(partials + i, given.pointer(counts.word("pointers") + i))
    f.leave(f.call_at(integers.kernels.pointer(1), "i64", table, integers.last_sizes))
