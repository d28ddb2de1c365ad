; numgraph: the pool of threads, for all functions
;
; It runs function(address, chunk, chunks) for every chunk of a job on a pool of threads and on the caller.
;
; Chunks are claimed one by one from a ticket, by the caller too, so that a worker which the system has put aside
; delays nobody: the others take its chunks. Which thread runs a chunk changes nothing in the result. A caller that
; finds the pool taken runs all its chunks itself.
;
; Five rules say when workers take part; `python -m bench threads` measures what they are good for.
;
; 1. A worker that has run chunks watches the ticket for WATCHES times as long as they took (at least SHORT_WATCH, at
;    most LONG_WATCH), then it sleeps. So a processor is kept busy only where that is at least 1/WATCHES work. After
;    the first microseconds it offers its processor to others at every look: to the caller, when the system has put
;    both on one.
; 2. A sleeper is woken, which takes the caller 5 to 15 microseconds and the sleeper 50 to 200 to come, for a call whose
;    plan expects at least WORTH_CYCLES, or when jobs that followed each other within LONG_WATCH have run for WORTH
;    nanoseconds without it.
; 3. The pool must not cost time. Each job that was shared tells what it would have taken on the caller alone: about the
;    sum of its chunks' times, of which one that took more than 5/4 of the shortest counts as that (its thread was put
;    aside; chunks are alike). What was gained is put on an account, at most MOST_GAIN; what was lost is taken from it.
;    When nothing is left, jobs run on the caller alone for RESTS times the missing time, and for twice as long after
;    each such rest (up to LONG_REST) until the account was full again. It begins with NEXT_GAIN then.
; 4. Workers are woken on other processors than the caller's, where the system lets one choose (placing.ll).
; 5. A program is tried without them now and then, for some steps in a row; while that is faster, it runs so (trials.ll).
;
;   launch(function, address, chunks, work) -> the statuses of all chunks, or-ed; work: cycles of the whole call, -1 for
;                   many
;   want(workers)   how many threads besides the caller; they start with the first job that needs them
;   forget()        in the child of a fork, where no thread but one lives on

@ticket = internal global i64 0, align 64       ; generation << 32 | chunks << 16 | next chunk
@finished = internal global i64 0, align 64     ; chunks of this generation that are done
@total = internal global i64 0                  ; nanoseconds of these chunks, added up
@shortest = internal global i64 0               ; and of the shortest
@sleepers = internal global i64 0, align 64     ; workers that sleep, those that were called among them
@called = internal global i64 0                 ; how many of them were called; written under the mutex
@busy = internal global i64 0, align 64         ; 1 while a caller owns the pool
@workers = internal global i64 0, align 64      ; threads that run
@handles = internal global [MOST_WORKERS x i64] zeroinitializer
@wanted = internal global i64 0
@function = internal global ptr null
@address = internal global i64 0
@status = internal global i64 0
@missed = internal global i64 0, align 64       ; nanoseconds of jobs in a row that ran without the sleepers
@missed_at = internal global i64 0              ; when the last of these ended
@gain = internal global i64 FIRST_GAIN, align 64 ; the account, in nanoseconds; the pool's owner writes it
@rests = internal global i64 0                  ; how many rests there were since the account was full
@rest_until = internal global i64 0
@mutex = internal global [128 x i8] zeroinitializer, align 64
@condition = internal global [128 x i8] zeroinitializer, align 64

declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(i64)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_trylock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)

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
  %most = call i64 @llvm.smin.i64(i64 %count, i64 MOST_WORKERS)
  store atomic i64 %most, ptr @wanted seq_cst, align 8
  ret void
}

define void @forget() {
  store atomic i64 0, ptr @workers seq_cst, align 8
  store atomic i64 0, ptr @sleepers seq_cst, align 8
  store atomic i64 0, ptr @called seq_cst, align 8
  store atomic i64 0, ptr @ticket seq_cst, align 8
  store atomic i64 0, ptr @missed seq_cst, align 8
  store atomic i64 FIRST_GAIN, ptr @gain seq_cst, align 8
  store atomic i64 0, ptr @rests seq_cst, align 8
  store atomic i64 0, ptr @rest_until seq_cst, align 8
  store atomic i64 0, ptr @busy seq_cst, align 8
  call void @unplace()
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
  %handle_at = getelementptr [MOST_WORKERS x i64], ptr @handles, i64 0, i64 %count
  store i64 %handle, ptr %handle_at, align 8
  %next = add i64 %count, 1
  store atomic i64 %next, ptr @workers seq_cst, align 8
  %more = icmp slt i64 %next, %wanted
  br i1 %more, label %create, label %restore
restore:
  call void @unplace()
  call i32 @pthread_sigmask(i32 SIG_SETMASK, ptr %old, ptr null)
  br label %end
end:
  ret void
}

; Run chunks until none is left to claim; returns when the last one ended, and how long all took. began: when the first
; begins, 0 for now.
define internal { i64, i64 } @take(i64 %began) {
entry:
  br label %look
look:
  %spent = phi i64 [ 0, %entry ], [ %spent, %claim ], [ %more, %done ]
  %from = phi i64 [ %began, %entry ], [ %from, %claim ], [ %until, %done ]
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
  br i1 %mine, label %clock, label %look
clock:
  %unknown = icmp eq i64 %from, 0
  br i1 %unknown, label %read, label %run
read:
  %read_now = call i64 @now()
  br label %run
run:
  %since = phi i64 [ %from, %clock ], [ %read_now, %read ]
  %function = load ptr, ptr @function, align 8
  %address = load i64, ptr @address, align 8
  %result = call i64 %function(i64 %address, i64 %chunk, i64 %chunks)
  %bad = icmp ne i64 %result, 0
  br i1 %bad, label %report, label %done
report:
  %ignored = atomicrmw or ptr @status, i64 %result seq_cst
  br label %done
done:
  %until = call i64 @now()
  %time = sub i64 %until, %since
  %more = add i64 %spent, %time
  %t0 = atomicrmw add ptr @total, i64 %time seq_cst
  %s0 = atomicrmw umin ptr @shortest, i64 %time seq_cst
  %before = atomicrmw add ptr @finished, i64 1 seq_cst
  br label %look
end:
  %r0 = insertvalue { i64, i64 } undef, i64 %from, 0
  %r1 = insertvalue { i64, i64 } %r0, i64 %spent, 1
  ret { i64, i64 } %r1
}

define internal ptr @worker(ptr %unused) {
entry:
  %start = call i64 @now()
  %first = add i64 %start, FIRST_WATCH
  br label %watch
watch:
  %turns = phi i64 [ 0, %entry ], [ 0, %worked ], [ %next, %idle ], [ 0, %awake ]
  %deadline = phi i64 [ %first, %entry ], [ %longer, %worked ], [ %deadline, %idle ], [ %woken_watch, %awake ]
  %taken = call { i64, i64 } @take(i64 0)
  %ended = extractvalue { i64, i64 } %taken, 0
  %spent = extractvalue { i64, i64 } %taken, 1
  %none = icmp eq i64 %ended, 0
  br i1 %none, label %nothing, label %worked
worked:
  ; a worker that was told to watch for longer keeps that time
  %rest0 = sub i64 %deadline, %ended
  %rest = call i64 @llvm.smax.i64(i64 %rest0, i64 0)
  %earned = mul i64 %spent, WATCHES
  %both = add i64 %rest, %earned
  %least = call i64 @llvm.smax.i64(i64 %both, i64 SHORT_WATCH)
  %most = call i64 @llvm.smin.i64(i64 %least, i64 LONG_WATCH)
  %longer = add i64 %ended, %most
  br label %watch
nothing:
  %next = add i64 %turns, 1
  %turn = and i64 %next, 63
  %look = icmp eq i64 %turn, 0
  br i1 %look, label %clock, label %idle
clock:
  %time = call i64 @now()
  %tired = icmp sgt i64 %time, %deadline
  br i1 %tired, label %sleep, label %offer
offer:
  %patient = icmp ult i64 %next, OFFER
  br i1 %patient, label %idle, label %yield
yield:
  call i32 @sched_yield()
  br label %idle
idle:
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
  %calls = load atomic i64, ptr @called seq_cst, align 8
  %mine = icmp sgt i64 %calls, 0
  br i1 %mine, label %come, label %sleep_on
sleep_on:
  call i32 @pthread_cond_wait(ptr @condition, ptr @mutex)
  br label %wait
come:
  %left = sub i64 %calls, 1
  store atomic i64 %left, ptr @called seq_cst, align 8
  br label %awake
awake:
  %s1 = atomicrmw sub ptr @sleepers, i64 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr @mutex)
  ; even if the job that it was woken for is done by now: others follow
  %woken = call i64 @now()
  %woken_watch = add i64 %woken, FIRST_WATCH
  br label %watch
}

; Call as many sleepers as a job has chunks for them. `asleep` of them were not called yet.
define internal void @wake(i64 %asleep, i64 %chunks) {
entry:
  %helpers = sub i64 %chunks, 1
  %count = call i64 @llvm.smin.i64(i64 %asleep, i64 %helpers)
  ; a worker that holds it and was put aside would keep the caller
  %taken = call i32 @pthread_mutex_trylock(ptr @mutex)
  %free = icmp eq i32 %taken, 0
  br i1 %free, label %call, label %end
call:
  call void @place()
  %already = load atomic i64, ptr @called seq_cst, align 8
  %now = add i64 %already, %count
  store atomic i64 %now, ptr @called seq_cst, align 8
  br label %each
each:
  %k = phi i64 [ 0, %call ], [ %next, %each ]
  call i32 @pthread_cond_signal(ptr @condition)
  %next = add i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %each, label %done
done:
  call i32 @pthread_mutex_unlock(ptr @mutex)
  store atomic i64 0, ptr @missed monotonic, align 8
  br label %end
end:
  ret void
}

; Put on the account what a shared job has gained, or take from it what it has lost.
define internal void @settle(i64 %begin, i64 %ended, i64 %chunks) {
entry:
  %took = sub i64 %ended, %begin
  %total = load atomic i64, ptr @total seq_cst, align 8
  %shortest = load atomic i64, ptr @shortest seq_cst, align 8
  %others = sub i64 %total, %shortest
  %quarter = lshr i64 %shortest, 2
  %likely = add i64 %shortest, %quarter
  %count = sub i64 %chunks, 1
  %most_others = mul i64 %likely, %count
  %counted = call i64 @llvm.smin.i64(i64 %others, i64 %most_others)
  %alone = add i64 %shortest, %counted
  %gained = sub i64 %alone, %took
  %old = load atomic i64, ptr @gain monotonic, align 8
  %sum = add i64 %old, %gained
  %lost = icmp slt i64 %sum, 0
  br i1 %lost, label %rest, label %keep
keep:
  %new = call i64 @llvm.smin.i64(i64 %sum, i64 MOST_GAIN)
  store atomic i64 %new, ptr @gain monotonic, align 8
  %full = icmp eq i64 %new, MOST_GAIN
  br i1 %full, label %fresh, label %end
fresh:
  store atomic i64 0, ptr @rests monotonic, align 8
  br label %end
rest:
  %rests = load atomic i64, ptr @rests monotonic, align 8
  %missing = sub i64 0, %sum
  %once = mul i64 %missing, RESTS
  %time = shl i64 %once, %rests
  %bounded = call i64 @llvm.smin.i64(i64 %time, i64 LONG_REST)
  %until = add i64 %ended, %bounded
  %another = add i64 %rests, 1
  %fewer = call i64 @llvm.smin.i64(i64 %another, i64 8)
  store atomic i64 %fewer, ptr @rests monotonic, align 8
  store atomic i64 NEXT_GAIN, ptr @gain monotonic, align 8
  store atomic i64 %until, ptr @rest_until monotonic, align 8
  br label %end
end:
  ret void
}

define i64 @launch(ptr %function, i64 %address, i64 %chunks, i64 %work) {
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
  %program = call ptr @step(ptr %function, i64 %address, i64 %work)
  %way = call i64 @word(ptr %program, i64 5)
  %solo = icmp ne i64 %way, 0
  br i1 %solo, label %alone, label %together
together:
  %rest_until = load atomic i64, ptr @rest_until monotonic, align 8
  %resting = icmp slt i64 %begin, %rest_until
  br i1 %resting, label %otherwise, label %rested
rested:
  %sleeping = load atomic i64, ptr @sleepers seq_cst, align 8
  %coming = load atomic i64, ptr @called seq_cst, align 8
  %asleep = sub i64 %sleeping, %coming
  %running = load atomic i64, ptr @workers seq_cst, align 8
  %awake = icmp slt i64 %asleep, %running
  %missed = load atomic i64, ptr @missed monotonic, align 8
  %missed_at = load atomic i64, ptr @missed_at monotonic, align 8
  %pause = sub i64 %begin, %missed_at
  %in_a_row = icmp slt i64 %pause, LONG_WATCH
  %long_row0 = icmp sgt i64 %missed, WORTH
  %long_row = and i1 %long_row0, %in_a_row
  %known = select i1 %in_a_row, i64 %missed, i64 0
  %large = icmp uge i64 %work, WORTH_CYCLES
  %worth = or i1 %large, %long_row
  %hope = or i1 %awake, %worth
  br i1 %hope, label %own, label %otherwise
own:
  %pair = cmpxchg ptr @busy, i64 0, i64 1 seq_cst seq_cst
  %mine = extractvalue { i64, i1 } %pair, 1
  br i1 %mine, label %publish, label %otherwise
publish:
  call void @start()
  store ptr %function, ptr @function, align 8
  store i64 %address, ptr @address, align 8
  store atomic i64 0, ptr @status seq_cst, align 8
  store atomic i64 0, ptr @finished seq_cst, align 8
  store atomic i64 0, ptr @total seq_cst, align 8
  store atomic i64 -1, ptr @shortest seq_cst, align 8
  %old = load atomic i64, ptr @ticket seq_cst, align 8
  %generation = lshr i64 %old, 32
  %next = add i64 %generation, 1
  %high = shl i64 %next, 32
  %middle = shl i64 %chunks, 16
  %new = or i64 %high, %middle
  store atomic i64 %new, ptr @ticket seq_cst, align 8
  %some_sleep = icmp sgt i64 %asleep, 0
  %call_them = and i1 %some_sleep, %worth
  br i1 %call_them, label %call, label %work_too
call:
  call void @wake(i64 %asleep, i64 %chunks)
  %called_at = call i64 @now()
  br label %work_too
work_too:
  %from = phi i64 [ %begin, %publish ], [ %called_at, %call ]
  %taken = call { i64, i64 } @take(i64 %from)
  br label %await
await:
  %waited = phi i64 [ 0, %work_too ], [ %longer, %pause_once ], [ 0, %yield ]
  %finished = load atomic i64, ptr @finished seq_cst, align 8
  %complete = icmp eq i64 %finished, %chunks
  br i1 %complete, label %end, label %hold
hold:
  %longer = add i64 %waited, 1
  %long = icmp ugt i64 %longer, SPINS
  br i1 %long, label %yield, label %pause_once
pause_once:
  PAUSE
  br label %await
yield:
  call i32 @sched_yield()
  br label %await
end:
  %status = load atomic i64, ptr @status seq_cst, align 8
  %ended = call i64 @now()
  call void @settle(i64 %begin, i64 %ended, i64 %chunks)
  %took = sub i64 %ended, %begin
  call void @spend(ptr %program, i64 %took)
  store atomic i64 0, ptr @busy seq_cst, align 8
  ret i64 %status
otherwise:
  %missing = phi i1 [ false, %together ], [ true, %rested ], [ false, %own ]
  %until_now = phi i64 [ 0, %together ], [ %known, %rested ], [ 0, %own ]
  call void @note(ptr %program, i64 3, i64 1)
  br label %alone
alone:
  %tried = phi i1 [ false, %entry ], [ true, %choose ], [ false, %otherwise ]
  %without = phi i1 [ false, %entry ], [ false, %choose ], [ %missing, %otherwise ]
  %since = phi i64 [ 0, %entry ], [ %begin, %choose ], [ %begin, %otherwise ]
  %before = phi i64 [ 0, %entry ], [ 0, %choose ], [ %until_now, %otherwise ]
  %tried_program = phi ptr [ null, %entry ], [ %program, %choose ], [ null, %otherwise ]
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
  br i1 %tried, label %spend, label %others
spend:
  %ended_alone = call i64 @now()
  %took_alone = sub i64 %ended_alone, %since
  call void @spend(ptr %tried_program, i64 %took_alone)
  br label %return
others:
  br i1 %without, label %count, label %return
count:
  %until = call i64 @now()
  %spent = sub i64 %until, %since
  %row = add i64 %before, %spent
  store atomic i64 %row, ptr @missed monotonic, align 8
  store atomic i64 %until, ptr @missed_at monotonic, align 8
  br label %return
return:
  ret i64 %joined
nothing:
  ret i64 0
}
