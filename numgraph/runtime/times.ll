; numgraph: clock reads, for all functions that are timed
;
; Memory of int64 words, "times", which Python reads (runtime/times.py):
;
;   0  events so far          1  events that there is room for     2  threads that there is room for
;   3  address of the events  4  begins of threads beyond that     8  who each thread is, 0 for nobody yet
;
; then for each number and thread how often it ended, nanoseconds altogether, and when it began. An event is its number,
; the thread, the chunk, its begin and its end. A thread has its own words, so nothing is counted by two at once.
;
;   clock_begin(times, number, chunk)    clock_end(times, number, chunk)
;   clock_cost(times, number, turns) -> nanoseconds of so many pairs of them

declare i64 @pthread_self()
declare i32 @clock_gettime(i32, ptr)

define internal i64 @now() alwaysinline {
  %time = alloca { i64, i64 }, align 8
  call i32 @clock_gettime(i32 CLOCK, ptr %time)
  %fraction_at = getelementptr { i64, i64 }, ptr %time, i64 0, i32 1
  %whole = load i64, ptr %time, align 8
  %fraction = load i64, ptr %fraction_at, align 8
  %scaled = mul i64 %whole, 1000000000
  %sum = add i64 %scaled, %fraction
  ret i64 %sum
}

; The number of this thread; that of all where no room is left.
define internal i64 @thread(ptr %times, i64 %room) {
entry:
  %me = call i64 @pthread_self()
  %ids = getelementptr i64, ptr %times, i64 8
  br label %look
look:
  %k = phi i64 [ 0, %entry ], [ %next, %other ]
  %inside = icmp slt i64 %k, %room
  br i1 %inside, label %read, label %end
read:
  %at = getelementptr i64, ptr %ids, i64 %k
  %id = load atomic i64, ptr %at monotonic, align 8
  %mine = icmp eq i64 %id, %me
  br i1 %mine, label %end, label %taken
taken:
  %free = icmp eq i64 %id, 0
  br i1 %free, label %claim, label %other
claim:
  %pair = cmpxchg ptr %at, i64 0, i64 %me monotonic monotonic
  %won = extractvalue { i64, i1 } %pair, 1
  br i1 %won, label %end, label %other
other:
  %next = add i64 %k, 1
  br label %look
end:
  ret i64 %k
}

; The words of a number and a thread.
define internal ptr @words(ptr %times, i64 %room, i64 %number, i64 %thread) alwaysinline {
  %row = mul i64 %number, %room
  %cell = add i64 %row, %thread
  %triple = mul i64 %cell, 3
  %behind = add i64 %room, 8
  %place = add i64 %behind, %triple
  %at = getelementptr i64, ptr %times, i64 %place
  ret ptr %at
}

define void @clock_begin(ptr %times, i64 %number, i64 %chunk) {
  %room_at = getelementptr i64, ptr %times, i64 2
  %room = load i64, ptr %room_at, align 8
  %thread = call i64 @thread(ptr %times, i64 %room)
  %known = icmp slt i64 %thread, %room
  br i1 %known, label %start, label %beyond
start:
  %at = call ptr @words(ptr %times, i64 %room, i64 %number, i64 %thread)
  %since_at = getelementptr i64, ptr %at, i64 2
  ; last, so that what stands above is in no span but those around
  %now = call i64 @now()
  store i64 %now, ptr %since_at, align 8
  ret void
beyond:
  %lost_at = getelementptr i64, ptr %times, i64 4
  %lost = atomicrmw add ptr %lost_at, i64 1 monotonic
  ret void
}

define void @clock_end(ptr %times, i64 %number, i64 %chunk) {
  %now = call i64 @now()
  %room_at = getelementptr i64, ptr %times, i64 2
  %room = load i64, ptr %room_at, align 8
  %thread = call i64 @thread(ptr %times, i64 %room)
  %known = icmp slt i64 %thread, %room
  br i1 %known, label %add, label %done
add:
  %at = call ptr @words(ptr %times, i64 %room, i64 %number, i64 %thread)
  %sum_at = getelementptr i64, ptr %at, i64 1
  %since_at = getelementptr i64, ptr %at, i64 2
  %count = load i64, ptr %at, align 8
  %sum = load i64, ptr %sum_at, align 8
  %since = load i64, ptr %since_at, align 8
  %more = add i64 %count, 1
  %took = sub i64 %now, %since
  %all = add i64 %sum, %took
  store i64 %more, ptr %at, align 8
  store i64 %all, ptr %sum_at, align 8
  %most_at = getelementptr i64, ptr %times, i64 1
  %most = load i64, ptr %most_at, align 8
  %event = atomicrmw add ptr %times, i64 1 monotonic
  %fits = icmp slt i64 %event, %most
  br i1 %fits, label %keep, label %done
keep:
  %events_at = getelementptr i64, ptr %times, i64 3
  %events = load ptr, ptr %events_at, align 8
  %first = mul i64 %event, 5
  %e0 = getelementptr i64, ptr %events, i64 %first
  %e1 = getelementptr i64, ptr %e0, i64 1
  %e2 = getelementptr i64, ptr %e0, i64 2
  %e3 = getelementptr i64, ptr %e0, i64 3
  %e4 = getelementptr i64, ptr %e0, i64 4
  store i64 %number, ptr %e0, align 8
  store i64 %thread, ptr %e1, align 8
  store i64 %chunk, ptr %e2, align 8
  store i64 %since, ptr %e3, align 8
  store i64 %now, ptr %e4, align 8
  br label %done
done:
  ret void
}

define i64 @clock_cost(ptr %times, i64 %number, i64 %turns) {
entry:
  %from = call i64 @now()
  br label %turn
turn:
  %k = phi i64 [ 0, %entry ], [ %next, %turn ]
  call void @clock_begin(ptr %times, i64 %number, i64 0)
  call void @clock_end(ptr %times, i64 %number, i64 0)
  %next = add i64 %k, 1
  %more = icmp slt i64 %next, %turns
  br i1 %more, label %turn, label %over
over:
  %to = call i64 @now()
  %took = sub i64 %to, %from
  ret i64 %took
}
