; numgraph: the pool of threads, for all functions
;
; It runs function(address, chunk, chunks) for every chunk of a job on a pool of threads and on the caller.
;
; Chunks are claimed one by one from a ticket, by the caller too, so that a worker which the system has put aside
; delays nobody: the others take its chunks. Which thread runs a chunk changes nothing in the result. A caller that
; finds the pool taken runs all its chunks itself. Workers watch the ticket for a millisecond after their last chunk,
; then sleep on a condition: to wake one takes a tenth of that, and more on virtual machines.
;
; On a busy machine a worker may be put aside in the middle of a chunk, and the caller waits a time slice for it, which
; is hundreds of times a short job. Such a wait is a debt: for eight times as long jobs run on the caller alone, so that
; waits take at most a ninth of the time. (A chunk that merely takes longer than the caller's own is no such wait.)
;
;
; Waking a sleeper is a system call, and in vain where the machine has no processor for it. So there are pauses between
; wakes, which double with every wake that no worker's chunk followed.
;
;   launch(function, address, chunks) -> the statuses of all chunks, or-ed
;   want(workers)   how many threads besides the caller; they start with the first job that needs them
;   forget()        in the child of a fork, where no thread but one lives on

@ticket = internal global i64 0, align 64       ; generation << 32 | chunks << 16 | next chunk
@finished = internal global i64 0, align 64     ; chunks of this generation that are done
@sleepers = internal global i64 0, align 64
@busy = internal global i64 0, align 64         ; 1 while a caller owns the pool
@workers = internal global i64 0, align 64      ; threads that run
@wanted = internal global i64 0
@function = internal global ptr null
@address = internal global i64 0
@status = internal global i64 0
@debt = internal global i64 0, align 64         ; nanoseconds to run alone
@helped = internal global i64 0, align 64       ; chunks that workers ran
@helped_then = internal global i64 0            ; the same when sleepers were last woken
@next_wake = internal global i64 0              ; no wake before this time
@interval = internal global i64 SHORTEST        ; nanoseconds between wakes
@mutex = internal global [128 x i8] zeroinitializer, align 64
@condition = internal global [128 x i8] zeroinitializer, align 64

declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(i64)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

; Nanoseconds of the monotonic clock.
define internal i64 @now() {
  %time = alloca { i64, i64 }, align 8
  call i32 @clock_gettime(i32 CLOCK_MONOTONIC, ptr %time)
  %fraction_at = getelementptr { i64, i64 }, ptr %time, i64 0, i32 1
  %whole = load i64, ptr %time, align 8
  %fraction = load i64, ptr %fraction_at, align 8
  %scaled = mul i64 %whole, 1000000000
  %sum = add i64 %scaled, %fraction
  ret i64 %sum
}

define void @want(i64 %count) {
  store atomic i64 %count, ptr @wanted seq_cst, align 8
  ret void
}

define void @forget() {
  store atomic i64 0, ptr @workers seq_cst, align 8
  store atomic i64 0, ptr @sleepers seq_cst, align 8
  store atomic i64 0, ptr @ticket seq_cst, align 8
  store atomic i64 0, ptr @debt seq_cst, align 8
  store atomic i64 0, ptr @next_wake seq_cst, align 8
  store atomic i64 0, ptr @busy seq_cst, align 8
  ret void
}

; Start the missing threads; the caller owns the pool. Workers receive no signals: those are for Python's main thread.
define internal void @start() {
entry:
  %all = alloca [128 x i8], align 16
  %old = alloca [128 x i8], align 16
  %thread = alloca i64, align 8
  %wanted = load atomic i64, ptr @wanted seq_cst, align 8
  %running = load atomic i64, ptr @workers seq_cst, align 8
  %missing = icmp slt i64 %running, %wanted
  br i1 %missing, label %prepare, label %end
prepare:
  %first = icmp eq i64 %running, 0
  br i1 %first, label %init, label %mask
init:
  call i32 @pthread_mutex_init(ptr @mutex, ptr null)
  call i32 @pthread_cond_init(ptr @condition, ptr null)
  br label %mask
mask:
  call void @llvm.memset.p0.i64(ptr %all, i8 -1, i64 128, i1 false)
  call i32 @pthread_sigmask(i32 SIG_SETMASK, ptr %all, ptr %old)
  br label %create
create:
  %count = phi i64 [ %running, %mask ], [ %next, %created ]
  %failed = call i32 @pthread_create(ptr %thread, ptr null, ptr @worker, ptr null)
  %good = icmp eq i32 %failed, 0
  br i1 %good, label %created, label %restore
created:
  %handle = load i64, ptr %thread, align 8
  call i32 @pthread_detach(i64 %handle)
  %next = add i64 %count, 1
  store atomic i64 %next, ptr @workers seq_cst, align 8
  %more = icmp slt i64 %next, %wanted
  br i1 %more, label %create, label %restore
restore:
  call i32 @pthread_sigmask(i32 SIG_SETMASK, ptr %old, ptr null)
  br label %end
end:
  ret void
}

; Run chunks until none is left to claim; returns how many.
define internal i64 @take() {
entry:
  br label %look
look:
  %count = phi i64 [ 0, %entry ], [ %count, %claim ], [ %more, %done ]
  %seen = load atomic i64, ptr @ticket seq_cst, align 8
  %chunk = and i64 %seen, 65535
  %shifted = lshr i64 %seen, 16
  %chunks = and i64 %shifted, 65535
  %open = icmp ult i64 %chunk, %chunks
  br i1 %open, label %claim, label %end
claim:
  %after = add i64 %seen, 1
  %pair = cmpxchg ptr @ticket, i64 %seen, i64 %after seq_cst seq_cst
  %mine = extractvalue { i64, i1 } %pair, 1
  br i1 %mine, label %run, label %look
run:
  %function = load ptr, ptr @function, align 8
  %address = load i64, ptr @address, align 8
  %result = call i64 %function(i64 %address, i64 %chunk, i64 %chunks)
  %bad = icmp ne i64 %result, 0
  br i1 %bad, label %report, label %done
report:
  %ignored = atomicrmw or ptr @status, i64 %result seq_cst
  br label %done
done:
  %before = atomicrmw add ptr @finished, i64 1 seq_cst
  %more = add i64 %count, 1
  br label %look
end:
  ret i64 %count
}

define internal ptr @worker(ptr %unused) {
entry:
  br label %watch
watch:
  %spins = phi i64 [ 0, %entry ], [ %again, %idle ], [ 0, %awake ]
  %since = phi i64 [ 0, %entry ], [ %began, %idle ], [ 0, %awake ]
  %count = call i64 @take()
  %none = icmp eq i64 %count, 0
  br i1 %none, label %counted, label %count_in
count_in:
  %total = atomicrmw add ptr @helped, i64 %count monotonic
  br label %counted
counted:
  %one = add i64 %spins, 1
  %again = select i1 %none, i64 %one, i64 0
  %turn = and i64 %again, 63
  %look = icmp eq i64 %turn, 1
  br i1 %look, label %clock, label %idle
clock:
  %time = call i64 @now()
  %start_over = icmp eq i64 %again, 1
  %begun = select i1 %start_over, i64 %time, i64 %since
  %watched = sub i64 %time, %begun
  %tired = icmp sgt i64 %watched, WATCH
  br i1 %tired, label %sleep, label %idle
idle:
  %began = phi i64 [ %since, %counted ], [ %begun, %clock ]
  PAUSE
  br label %watch
sleep:
  call i32 @pthread_mutex_lock(ptr @mutex)
  %s0 = atomicrmw add ptr @sleepers, i64 1 seq_cst
  %seen = load atomic i64, ptr @ticket seq_cst, align 8
  %chunk = and i64 %seen, 65535
  %shifted = lshr i64 %seen, 16
  %chunks = and i64 %shifted, 65535
  %open = icmp ult i64 %chunk, %chunks
  br i1 %open, label %awake, label %wait
wait:
  ; woken, it watches for a while, even if the job that it was woken for is done by now: others follow
  call i32 @pthread_cond_wait(ptr @condition, ptr @mutex)
  br label %awake
awake:
  %s1 = atomicrmw sub ptr @sleepers, i64 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %watch
}

define i64 @launch(ptr %function, i64 %address, i64 %chunks) {
entry:
  %wanted = load atomic i64, ptr @wanted seq_cst, align 8
  %some = icmp sgt i64 %wanted, 0
  %several = icmp sgt i64 %chunks, 1
  %few = icmp slt i64 %chunks, 65535
  %parallel0 = and i1 %some, %several
  %parallel = and i1 %parallel0, %few
  br i1 %parallel, label %choose, label %alone
choose:
  %begin = call i64 @now()
  %debt = load atomic i64, ptr @debt monotonic, align 8
  %owing = icmp sgt i64 %debt, 0
  br i1 %owing, label %alone, label %rested
rested:
  %sleeping = load atomic i64, ptr @sleepers seq_cst, align 8
  %running = load atomic i64, ptr @workers seq_cst, align 8
  %awake = icmp slt i64 %sleeping, %running
  %fresh = icmp eq i64 %running, 0
  %next_wake = load atomic i64, ptr @next_wake monotonic, align 8
  %may_wake = icmp sge i64 %begin, %next_wake
  %hope0 = or i1 %awake, %fresh
  %hope = or i1 %hope0, %may_wake
  br i1 %hope, label %own, label %alone
own:
  %pair = cmpxchg ptr @busy, i64 0, i64 1 seq_cst seq_cst
  %mine = extractvalue { i64, i1 } %pair, 1
  br i1 %mine, label %publish, label %alone
publish:
  call void @start()
  store ptr %function, ptr @function, align 8
  store i64 %address, ptr @address, align 8
  store atomic i64 0, ptr @status seq_cst, align 8
  store atomic i64 0, ptr @finished seq_cst, align 8
  %old = load atomic i64, ptr @ticket seq_cst, align 8
  %generation = lshr i64 %old, 32
  %next = add i64 %generation, 1
  %high = shl i64 %next, 32
  %middle = shl i64 %chunks, 16
  %new = or i64 %high, %middle
  store atomic i64 %new, ptr @ticket seq_cst, align 8
  %asleep = load atomic i64, ptr @sleepers seq_cst, align 8
  %some_sleep = icmp sgt i64 %asleep, 0
  %wake = and i1 %some_sleep, %may_wake
  br i1 %wake, label %call, label %work
call:
  %helped = load atomic i64, ptr @helped monotonic, align 8
  %helped_then = load i64, ptr @helped_then, align 8
  %vain = icmp eq i64 %helped, %helped_then
  %interval = load i64, ptr @interval, align 8
  %double = shl i64 %interval, 1
  %too_long = icmp ugt i64 %double, LONGEST
  %longer_pause = select i1 %too_long, i64 LONGEST, i64 %double
  %new_interval = select i1 %vain, i64 %longer_pause, i64 SHORTEST
  store i64 %new_interval, ptr @interval, align 8
  store i64 %helped, ptr @helped_then, align 8
  %then = add i64 %begin, %new_interval
  store atomic i64 %then, ptr @next_wake monotonic, align 8
  call i32 @pthread_mutex_lock(ptr @mutex)
  call i32 @pthread_cond_broadcast(ptr @condition)
  call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %work
work:
  %count = call i64 @take()
  %worked = call i64 @now()
  br label %await
await:
  %waited = phi i64 [ 0, %work ], [ %longer, %pause ], [ 0, %yield ]
  %finished = load atomic i64, ptr @finished seq_cst, align 8
  %complete = icmp eq i64 %finished, %chunks
  br i1 %complete, label %end, label %hold
hold:
  %longer = add i64 %waited, 1
  %long = icmp ugt i64 %longer, SPINS
  br i1 %long, label %yield, label %pause
pause:
  PAUSE
  br label %await
yield:
  call i32 @sched_yield()
  br label %await
end:
  %status = load atomic i64, ptr @status seq_cst, align 8
  %ended = call i64 @now()
  %own_time = sub i64 %worked, %begin
  %wait_time = sub i64 %ended, %worked
  %excess0 = sub i64 %wait_time, %own_time
  %excess = sub i64 %excess0, PATIENCE
  %late = icmp sgt i64 %excess, 0
  br i1 %late, label %owe, label %leave
owe:
  %due = mul i64 %excess, 8
  store atomic i64 %due, ptr @debt monotonic, align 8
  br label %leave
leave:
  store atomic i64 0, ptr @busy seq_cst, align 8
  ret i64 %status
alone:
  %owed = phi i64 [ 0, %entry ], [ %debt, %choose ], [ 0, %rested ], [ 0, %own ]
  %since = phi i64 [ 0, %entry ], [ %begin, %choose ], [ 0, %rested ], [ 0, %own ]
  %any = icmp sgt i64 %chunks, 0
  br i1 %any, label %each, label %nothing
each:
  %chunk = phi i64 [ 0, %alone ], [ %following, %each ]
  %collected = phi i64 [ 0, %alone ], [ %joined, %each ]
  %result = call i64 %function(i64 %address, i64 %chunk, i64 %chunks)
  %joined = or i64 %collected, %result
  %following = add i64 %chunk, 1
  %rest = icmp slt i64 %following, %chunks
  br i1 %rest, label %each, label %last
last:
  %pays = icmp sgt i64 %owed, 0
  br i1 %pays, label %pay, label %return
pay:
  %until = call i64 @now()
  %spent = sub i64 %until, %since
  %rest_due = sub i64 %owed, %spent
  store atomic i64 %rest_due, ptr @debt monotonic, align 8
  br label %return
return:
  ret i64 %joined
nothing:
  ret i64 0
}
