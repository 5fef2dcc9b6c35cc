"""The native code of the pool of threads, as LLVM IR, and the layout of what it reads.

`TEXT` defines `SYMBOL`, a kernel that runs another one in pieces on the threads of a pool, and what
these threads do. `adgraph.lower.pool` compiles it, owns the pool's memory, and says how it is used.
"""

from __future__ import annotations

MOST_THREADS = 64
CALLER_SPINS = 20_000  # a few microseconds, in which the other threads finish their last pieces
WORKER_SPINS = 20_000  # a program's next kernel often comes at once
SYMBOL = "adgraph_split"
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


def _field(name: str) -> str:
    """Write the address of a field of the pool."""
    return f"getelementptr i64, ptr %pool, i64 {3 * SYSTEM_WORDS + FIELDS.index(name)}"


def _counts(chosen: str) -> str:
    """Write the loads of integers of a split call."""
    return "\n".join(
        f"  %{name}.at = getelementptr i64, ptr %sizes, i64 {COUNTS.index(name)}\n"
        f"  %{name} = load i64, ptr %{name}.at"
        for name in chosen.split()
    )


def _job(chosen: str) -> str:
    """Write the addresses of fields of a job."""
    return "\n".join(
        f"  %job.{name} = getelementptr i64, ptr %job, i64 {JOB.index(name)}"
        for name in chosen.split()
    )


# The tables behind the counts: advances, own, partial bytes, sizes, last sizes, two addresses.
TABLES = f"""
  %advances = getelementptr i64, ptr %sizes, i64 {len(COUNTS)}
  %own = getelementptr i64, ptr %advances, i64 %pointers
  %partial_bytes = getelementptr i64, ptr %own, i64 %pointers
  %kernel_sizes = getelementptr i64, ptr %partial_bytes, i64 %partials
  %last_kernel_sizes = getelementptr i64, ptr %kernel_sizes, i64 %sizes.count
  %addresses = getelementptr i64, ptr %last_kernel_sizes, i64 %last_sizes
"""

DECLARATIONS = """
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""

# Takes pieces of a job until none is left.
RUN = f"""
define void @run(ptr %job) noinline {{
entry:
{_job("sizes pointers partials rooms joined next status claims units")}
  %sizes = load ptr, ptr %job.sizes
  %given = load ptr, ptr %job.pointers
  %partial_base = load ptr, ptr %job.partials
  %claims = load i64, ptr %job.claims
  %units = load i64, ptr %job.units
{_counts("total unit group pointers partials extent own_bytes last_sizes")}
  %sizes.count.at = getelementptr i64, ptr %sizes, i64 {COUNTS.index("sizes")}
  %sizes.count = load i64, ptr %sizes.count.at
{TABLES}
  %kernel = load ptr, ptr %addresses
  %all_pointers = add i64 %pointers, %partials
  %table = alloca ptr, i64 %all_pointers, align 8
  %own_sizes = alloca i64, i64 %sizes.count, align 8
  %size_bytes = shl i64 %sizes.count, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %own_sizes, ptr %kernel_sizes, i64 %size_bytes, i1 false)
  %extent_at = getelementptr i64, ptr %own_sizes, i64 %extent
  %rooms = load ptr, ptr %job.rooms
  %joined = atomicrmw add ptr %job.joined, i64 1 monotonic
  %taken = mul i64 %joined, %own_bytes
  %memory = getelementptr i8, ptr %rooms, i64 %taken
  br label %claim
claim:
  %number = atomicrmw add ptr %job.next, i64 1 monotonic
  %any = icmp slt i64 %number, %claims
  br i1 %any, label %begin, label %finished
begin:
  %first_unit = mul i64 %number, %group
  %behind = add i64 %first_unit, %group
  %fewer = icmp slt i64 %behind, %units
  %end_unit = select i1 %fewer, i64 %behind, i64 %units
  br label %next_unit
next_unit:
  %u = phi i64 [%first_unit, %begin], [%following_u, %called]
  %more_units = icmp slt i64 %u, %end_unit
  br i1 %more_units, label %one_unit, label %claim
one_unit:
  %low = mul i64 %u, %unit
  %rest = sub i64 %total, %low
  %short = icmp slt i64 %rest, %unit
  %trips = select i1 %short, i64 %rest, i64 %unit
  store i64 %trips, ptr %extent_at
  br label %next_pointer
next_pointer:
  %i = phi i64 [0, %one_unit], [%following_i, %placed]
  %more_pointers = icmp slt i64 %i, %pointers
  br i1 %more_pointers, label %one_pointer, label %next_partial
one_pointer:
  %slot = getelementptr ptr, ptr %table, i64 %i
  %own_at = getelementptr i64, ptr %own, i64 %i
  %own_offset = load i64, ptr %own_at
  %following_i = add i64 %i, 1
  %is_own = icmp sge i64 %own_offset, 0
  br i1 %is_own, label %own_pointer, label %shared_pointer
own_pointer:
  %in_own = getelementptr i8, ptr %memory, i64 %own_offset
  br label %placed
shared_pointer:
  %advance_at = getelementptr i64, ptr %advances, i64 %i
  %advance = load i64, ptr %advance_at
  %moved = mul i64 %advance, %low
  %base_at = getelementptr ptr, ptr %given, i64 %i
  %base = load ptr, ptr %base_at
  %advanced = getelementptr i8, ptr %base, i64 %moved
  br label %placed
placed:
  %place = phi ptr [%in_own, %own_pointer], [%advanced, %shared_pointer]
  store ptr %place, ptr %slot
  br label %next_pointer
next_partial:
  %f = phi i64 [0, %next_pointer], [%following_f, %one_partial]
  %more_partials = icmp slt i64 %f, %partials
  br i1 %more_partials, label %one_partial, label %call
one_partial:
  %partial_number = mul i64 %f, %units
  %partial_start = getelementptr i64, ptr %partial_base, i64 %partial_number
  %bytes_at = getelementptr i64, ptr %partial_bytes, i64 %f
  %bytes = load i64, ptr %bytes_at
  %partial_offset = mul i64 %bytes, %u
  %partial = getelementptr i8, ptr %partial_start, i64 %partial_offset
  %partial_index = add i64 %pointers, %f
  %partial_slot = getelementptr ptr, ptr %table, i64 %partial_index
  store ptr %partial, ptr %partial_slot
  %following_f = add i64 %f, 1
  br label %next_partial
call:
  %status = call i64 %kernel(ptr %table, ptr %own_sizes)
  %failed = icmp ne i64 %status, 0
  br i1 %failed, label %note, label %called
note:
  %noted = atomicrmw umax ptr %job.status, i64 %status monotonic
  br label %called
called:
  %following_u = add i64 %u, 1
  br label %next_unit
finished:
  ret void
}}
"""

# The life of a thread: wait for an open job, run, sign off.
WORKER = f"""
define ptr @worker(ptr %pool) noinline {{
entry:
  %mutex = getelementptr i8, ptr %pool, i64 {MUTEX}
  %wake = getelementptr i8, ptr %pool, i64 {WAKE}
  %done = getelementptr i8, ptr %pool, i64 {DONE}
  %open_at = {_field("open")}
  %room_at = {_field("room")}
  %inside_at = {_field("inside")}
  %job_at = {_field("job")}
  %stop_at = {_field("stop")}
  %locked_first = call i32 @pthread_mutex_lock(ptr %mutex)
  br label %look
look:
  %stop = load i64, ptr %stop_at
  %stopping = icmp ne i64 %stop, 0
  br i1 %stopping, label %leave, label %any
any:
  %open = load i64, ptr %open_at
  %room = load i64, ptr %room_at
  %is_open = icmp ne i64 %open, 0
  %has_room = icmp sgt i64 %room, 0
  %may_join = and i1 %is_open, %has_room
  br i1 %may_join, label %join, label %sleep
sleep:
  %woken = call i32 @pthread_cond_wait(ptr %wake, ptr %mutex)
  br label %look
join:
  %less_room = sub i64 %room, 1
  store i64 %less_room, ptr %room_at
  %inside = load atomic i64, ptr %inside_at monotonic, align 8
  %one_more = add i64 %inside, 1
  store atomic i64 %one_more, ptr %inside_at monotonic, align 8
  %job = load ptr, ptr %job_at
  %unlocked = call i32 @pthread_mutex_unlock(ptr %mutex)
  call void @run(ptr %job)
  %locked = call i32 @pthread_mutex_lock(ptr %mutex)
  %inside_now = load atomic i64, ptr %inside_at monotonic, align 8
  %one_less = sub i64 %inside_now, 1
  store atomic i64 %one_less, ptr %inside_at release, align 8
  %last = icmp eq i64 %one_less, 0
  br i1 %last, label %report, label %linger
report:
  %reported = call i32 @pthread_cond_signal(ptr %done)
  br label %linger
linger:
  %unlocked_again = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %spin
spin:
  %turn = phi i64 [0, %linger], [%next_turn, %spin]
  %next_turn = add i64 %turn, 1
  %opened = load atomic i64, ptr %open_at monotonic, align 8
  %is_opened = icmp ne i64 %opened, 0
  %tired = icmp sge i64 %next_turn, {WORKER_SPINS}
  %enough = or i1 %is_opened, %tired
  br i1 %enough, label %back, label %spin
back:
  %locked_again = call i32 @pthread_mutex_lock(ptr %mutex)
  br label %look
leave:
  %unlocked_last = call i32 @pthread_mutex_unlock(ptr %mutex)
  ret ptr null
}}
"""

# Runs a job on the pool if that is free; returns when no other thread is inside the job.
SHARE = f"""
define void @share(ptr %pool, ptr %job, i64 %workers) noinline {{
entry:
  %mutex = getelementptr i8, ptr %pool, i64 {MUTEX}
  %wake = getelementptr i8, ptr %pool, i64 {WAKE}
  %done = getelementptr i8, ptr %pool, i64 {DONE}
  %busy_at = {_field("busy")}
  %open_at = {_field("open")}
  %room_at = {_field("room")}
  %inside_at = {_field("inside")}
  %job_at = {_field("job")}
  %count_at = {_field("count")}
  %stop_at = {_field("stop")}
  %threads = getelementptr i64, ptr %pool, i64 {3 * SYSTEM_WORDS + len(FIELDS)}
  %exchanged = cmpxchg ptr %busy_at, i64 0, i64 1 acquire monotonic
  %taken = extractvalue {{ i64, i1 }} %exchanged, 1
  br i1 %taken, label %lock, label %alone
alone:
  call void @run(ptr %job)
  ret void
lock:
  %locked = call i32 @pthread_mutex_lock(ptr %mutex)
  %stop = load i64, ptr %stop_at
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %give_up, label %grow
give_up:
  %unlocked_early = call i32 @pthread_mutex_unlock(ptr %mutex)
  store atomic i64 0, ptr %busy_at release, align 8
  br label %alone
grow:
  %count = load i64, ptr %count_at
  %enough = icmp sge i64 %count, %workers
  br i1 %enough, label %post, label %create
create:
  %thread = getelementptr i64, ptr %threads, i64 %count
  %refused = call i32 @pthread_create(ptr %thread, ptr null, ptr @worker, ptr %pool)
  %created = icmp eq i32 %refused, 0
  br i1 %created, label %counted, label %post
counted:
  %more = add i64 %count, 1
  store i64 %more, ptr %count_at
  br label %grow
post:
  store ptr %job, ptr %job_at
  store i64 %workers, ptr %room_at
  store atomic i64 1, ptr %open_at monotonic, align 8
  %unlocked = call i32 @pthread_mutex_unlock(ptr %mutex)
  %several = icmp sgt i64 %workers, 1
  br i1 %several, label %all, label %one
one:
  %signalled = call i32 @pthread_cond_signal(ptr %wake)
  br label %work
all:
  %broadcast = call i32 @pthread_cond_broadcast(ptr %wake)
  br label %work
work:
  call void @run(ptr %job)
  %locked_again = call i32 @pthread_mutex_lock(ptr %mutex)
  store atomic i64 0, ptr %open_at monotonic, align 8
  %unlocked_again = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %spin
spin:
  %turn = phi i64 [0, %work], [%next_turn, %spin]
  %next_turn = add i64 %turn, 1
  %others = load atomic i64, ptr %inside_at acquire, align 8
  %none = icmp eq i64 %others, 0
  %tired = icmp sge i64 %next_turn, {CALLER_SPINS}
  %stop_spinning = or i1 %none, %tired
  br i1 %stop_spinning, label %settle, label %spin
settle:
  %locked_last = call i32 @pthread_mutex_lock(ptr %mutex)
  br label %check
check:
  %still = load atomic i64, ptr %inside_at acquire, align 8
  %clear = icmp eq i64 %still, 0
  br i1 %clear, label %release, label %wait
wait:
  %waited = call i32 @pthread_cond_wait(ptr %done, ptr %mutex)
  br label %check
release:
  %unlocked_last = call i32 @pthread_mutex_unlock(ptr %mutex)
  store atomic i64 0, ptr %busy_at release, align 8
  ret void
}}
"""

# The kernel: its first pointers are the pool and memory for partial results, and behind them for
# every thread; its integers are those of `split_words`.
SPLIT = f"""
define i64 @{SYMBOL}(ptr noalias readonly %tables, ptr noalias readonly %sizes) {{
entry:
  %job = alloca [{len(JOB)} x i64], align 8
{_counts("workers total unit group pointers partials last_pointers last_sizes lasts")}
  %sizes.count.at = getelementptr i64, ptr %sizes, i64 {COUNTS.index("sizes")}
  %sizes.count = load i64, ptr %sizes.count.at
{TABLES}
  %pool = load ptr, ptr %tables
  %work.at = getelementptr ptr, ptr %tables, i64 1
  %partial_base = load ptr, ptr %work.at
  %given = getelementptr ptr, ptr %tables, i64 2
  %up = add i64 %total, %unit
  %up_to = sub i64 %up, 1
  %units = sdiv i64 %up_to, %unit
  %grouped = add i64 %units, %group
  %grouped_to = sub i64 %grouped, 1
  %claims = sdiv i64 %grouped_to, %group
  %partial_words = mul i64 %units, %partials
  %partial_size = shl i64 %partial_words, 3
  %partial_end = add i64 %partial_size, {LINE - 1}
  %partial_lines = and i64 %partial_end, -{LINE}
  %rooms = getelementptr i8, ptr %partial_base, i64 %partial_lines
{_job("sizes pointers partials rooms joined next status claims units")}
  store ptr %sizes, ptr %job.sizes
  store ptr %given, ptr %job.pointers
  store ptr %partial_base, ptr %job.partials
  store ptr %rooms, ptr %job.rooms
  store i64 0, ptr %job.joined
  store i64 0, ptr %job.next
  store i64 0, ptr %job.status
  store i64 %claims, ptr %job.claims
  store i64 %units, ptr %job.units
  call void @share(ptr %pool, ptr %job, i64 %workers)
  %status = load atomic i64, ptr %job.status monotonic, align 8
  %succeeded = icmp eq i64 %status, 0
  %has_last = icmp ne i64 %lasts, 0
  %go_on = and i1 %succeeded, %has_last
  br i1 %go_on, label %last, label %leave
last:
  %all = add i64 %partials, %last_pointers
  %table = alloca ptr, i64 %all, align 8
  br label %next_partial
next_partial:
  %f = phi i64 [0, %last], [%following_f, %one_partial]
  %more_partials = icmp slt i64 %f, %partials
  br i1 %more_partials, label %one_partial, label %next_other
one_partial:
  %before = mul i64 %f, %units
  %partial = getelementptr i64, ptr %partial_base, i64 %before
  %partial_slot = getelementptr ptr, ptr %table, i64 %f
  store ptr %partial, ptr %partial_slot
  %following_f = add i64 %f, 1
  br label %next_partial
next_other:
  %q = phi i64 [0, %next_partial], [%following_q, %one_other]
  %more_others = icmp slt i64 %q, %last_pointers
  br i1 %more_others, label %one_other, label %call
one_other:
  %other_index = add i64 %pointers, %q
  %other_at = getelementptr ptr, ptr %given, i64 %other_index
  %other = load ptr, ptr %other_at
  %other_slot_index = add i64 %partials, %q
  %other_slot = getelementptr ptr, ptr %table, i64 %other_slot_index
  store ptr %other, ptr %other_slot
  %following_q = add i64 %q, 1
  br label %next_other
call:
  %last_at = getelementptr i64, ptr %addresses, i64 1
  %last_kernel = load ptr, ptr %last_at
  %last_status = call i64 %last_kernel(ptr %table, ptr %last_kernel_sizes)
  br label %leave
leave:
  %result = phi i64 [%status, %entry], [%last_status, %call]
  ret i64 %result
}}
"""

TEXT = DECLARATIONS + RUN + WORKER + SHARE + SPLIT
