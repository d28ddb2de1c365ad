; numgraph: whether the pool is worth it for a program (see launcher.ll, rule 5)
;
; Chunks that run at the same time may each take longer than one after the other: caches that are far apart pass lines to
; and fro, or two processors are two halves of one. The times of chunks do not show it (rule 3). So a program is tried
; the other way now and then: the caller alone runs all chunks of some steps in a row. A step is what comes from one
; launch of a program's first job to the next one, its time that of its jobs, by the work that is expected of it.

; Words of a program: its address, its first job, nanoseconds of jobs in this step, whether one of them ran otherwise
; than was meant, the way that is preferred (1: alone), that of this step, steps since the last trial (in one: since its
; begin), whether this is a trial, the least time of a step lately, the least one in the trial, steps to the next trial,
; the work of this step, the least time before the last trial, steps in a row that took longer.
@programs = internal global [64 x [16 x i64]] zeroinitializer, align 64

declare i64 @llvm.umin.i64(i64, i64)

; Read a word, or write it; both are written out where they are called (threads.py).
define internal i64 @word(ptr %program, i64 %number) {
  %at = getelementptr i64, ptr %program, i64 %number
  %value = load atomic i64, ptr %at monotonic, align 8
  ret i64 %value
}

define internal void @note(ptr %program, i64 %number, i64 %value) {
  %at = getelementptr i64, ptr %program, i64 %number
  store atomic i64 %value, ptr %at monotonic, align 8
  ret void
}

define internal void @spend(ptr %program, i64 %time) {
  %spent = call i64 @word(ptr %program, i64 2)
  %more = add i64 %spent, %time
  call void @note(ptr %program, i64 2, i64 %more)
  ret void
}

; What is known of a program, one of whose jobs is launched; word 5 tells which way it goes.
define internal ptr @step(ptr %function, i64 %address, i64 %work) {
entry:
  %job = ptrtoint ptr %function to i64
  %key = lshr i64 %address, 6
  %spread = mul i64 %key, -7046029254386353131
  %slot = lshr i64 %spread, 58
  %program = getelementptr [64 x [16 x i64]], ptr @programs, i64 0, i64 %slot
  %known = call i64 @word(ptr %program, i64 0)
  %same = icmp eq i64 %known, %address
  br i1 %same, label %there, label %fresh
there:
  %first = call i64 @word(ptr %program, i64 1)
  %begins = icmp eq i64 %first, %job
  br i1 %begins, label %close, label %within
within:
  ; of a step that never ends, the first job may be that of a program which is gone
  %spent = call i64 @word(ptr %program, i64 2)
  %endless = icmp sgt i64 %spent, ENDLESS
  br i1 %endless, label %fresh, label %end
fresh:
  call void @llvm.memset.p0.i64(ptr %program, i8 0, i64 128, i1 false)
  call void @note(ptr %program, i64 0, i64 %address)
  call void @note(ptr %program, i64 1, i64 %job)
  call void @note(ptr %program, i64 8, i64 UNKNOWN)
  call void @note(ptr %program, i64 10, i64 TRIAL_FIRST)
  call void @note(ptr %program, i64 12, i64 UNKNOWN)
  br label %begin
close:
  call void @close(ptr %program)
  br label %begin
begin:
  call void @note(ptr %program, i64 2, i64 0)
  call void @note(ptr %program, i64 3, i64 0)
  call void @note(ptr %program, i64 11, i64 %work)
  %preferred = call i64 @word(ptr %program, i64 4)
  %trial = call i64 @word(ptr %program, i64 7)
  %way = xor i64 %preferred, %trial
  call void @note(ptr %program, i64 5, i64 %way)
  br label %end
end:
  ret ptr %program
}

; Count the step that has ended, and begin or end a trial.
define internal void @close(ptr %program) {
entry:
  %spent = call i64 @word(ptr %program, i64 2)
  %mixed = call i64 @word(ptr %program, i64 3)
  %work0 = call i64 @word(ptr %program, i64 11)
  %told = icmp sgt i64 %work0, 0
  %work = select i1 %told, i64 %work0, i64 65536
  %scaled = mul i64 %spent, 65536
  %time = udiv i64 %scaled, %work
  %as_meant = icmp eq i64 %mixed, 0
  %before = call i64 @word(ptr %program, i64 6)
  %steps = add i64 %before, 1
  %best = call i64 @word(ptr %program, i64 8)
  %usual = call i64 @word(ptr %program, i64 12)
  %period = call i64 @word(ptr %program, i64 10)
  %trial = call i64 @word(ptr %program, i64 7)
  %trying = icmp ne i64 %trial, 0
  br i1 %trying, label %tried, label %usually
tried:
  call void @note(ptr %program, i64 6, i64 %steps)
  %settled = icmp sgt i64 %steps, TRIAL_SKIPS
  %counts = and i1 %settled, %as_meant
  %old = call i64 @word(ptr %program, i64 9)
  %less = call i64 @llvm.umin.i64(i64 %old, i64 %time)
  %other = select i1 %counts, i64 %less, i64 %old
  call void @note(ptr %program, i64 9, i64 %other)
  %over = icmp sge i64 %steps, TRIAL_STEPS
  br i1 %over, label %decide, label %end
decide:
  call void @note(ptr %program, i64 6, i64 0)
  call void @note(ptr %program, i64 7, i64 0)
  call void @note(ptr %program, i64 8, i64 UNKNOWN)
  call void @note(ptr %program, i64 13, i64 0)
  %tenths = mul i64 %other, 10
  %most = mul i64 %best, 9
  %better = icmp ult i64 %tenths, %most
  %preferred = call i64 @word(ptr %program, i64 4)
  %swapped = xor i64 %preferred, 1
  %new = select i1 %better, i64 %swapped, i64 %preferred
  call void @note(ptr %program, i64 4, i64 %new)
  %twice = mul i64 %period, 2
  %bounded = call i64 @llvm.umin.i64(i64 %twice, i64 TRIAL_MOST)
  %next = select i1 %better, i64 TRIAL_FIRST, i64 %bounded
  call void @note(ptr %program, i64 10, i64 %next)
  %now_usual = select i1 %better, i64 %other, i64 %best
  call void @note(ptr %program, i64 12, i64 %now_usual)
  ret void
usually:
  br i1 %as_meant, label %count, label %end
count:
  ; the last steps before a trial are what it is compared with
  %window = sub i64 %period, TRIAL_STEPS
  %restart = icmp eq i64 %steps, %window
  %least = call i64 @llvm.umin.i64(i64 %best, i64 %time)
  %lately = select i1 %restart, i64 %time, i64 %least
  %quarter = lshr i64 %usual, 2
  %bound = add i64 %usual, %quarter
  %longer = icmp ugt i64 %time, %bound
  %row0 = call i64 @word(ptr %program, i64 13)
  %row1 = add i64 %row0, 1
  %row = select i1 %longer, i64 %row1, i64 0
  ; something has changed: the trial is soon
  %long_row = icmp sgt i64 %row, TRIAL_SLOW
  %early = icmp slt i64 %steps, %window
  %sooner = and i1 %long_row, %early
  %counted = select i1 %sooner, i64 %window, i64 %steps
  %compared = select i1 %sooner, i64 %time, i64 %lately
  %left = select i1 %sooner, i64 0, i64 %row
  call void @note(ptr %program, i64 6, i64 %counted)
  call void @note(ptr %program, i64 8, i64 %compared)
  call void @note(ptr %program, i64 13, i64 %left)
  %due = icmp sge i64 %counted, %period
  %short = icmp slt i64 %spent, TRIAL_LONGEST
  %begin = and i1 %due, %short
  br i1 %begin, label %try, label %end
try:
  call void @note(ptr %program, i64 6, i64 0)
  call void @note(ptr %program, i64 7, i64 1)
  call void @note(ptr %program, i64 9, i64 UNKNOWN)
  ret void
end:
  ret void
}
