; numgraph: where workers run, on Linux (see launcher.ll, rule 4)
;
; A system may put a worker that is woken on the processor of the caller, though another one is idle: in a virtual
; machine an idle processor looks as if the host had taken it away. The two then take turns on one. So before it wakes
; workers, the caller says that they run on any of its own processors but the one on which it is; where it is on the
; same one as before, that was said.

@avoided = internal global i64 -1

declare i32 @sched_getcpu()
declare i64 @pthread_self()
declare i32 @pthread_getaffinity_np(i64, i64, ptr)
declare i32 @pthread_setaffinity_np(i64, i64, ptr)

define internal void @place() {
entry:
  %mask = alloca [16 x i64], align 16
  %cpu0 = call i32 @sched_getcpu()
  %cpu = sext i32 %cpu0 to i64
  %old = load atomic i64, ptr @avoided monotonic, align 8
  %same = icmp eq i64 %cpu, %old
  %known = icmp ult i64 %cpu, 1024
  %different = xor i1 %same, true
  %needed = and i1 %known, %different
  br i1 %needed, label %read, label %end
read:
  %me = call i64 @pthread_self()
  %failed = call i32 @pthread_getaffinity_np(i64 %me, i64 128, ptr %mask)
  %good = icmp eq i32 %failed, 0
  br i1 %good, label %clear, label %end
clear:
  %word = lshr i64 %cpu, 6
  %bit = and i64 %cpu, 63
  %one = shl i64 1, %bit
  %others = xor i64 %one, -1
  %at = getelementptr [16 x i64], ptr %mask, i64 0, i64 %word
  %had = load i64, ptr %at, align 8
  %left = and i64 %had, %others
  store i64 %left, ptr %at, align 8
  br label %look
look:
  %k = phi i64 [ 0, %clear ], [ %next, %look ]
  %any = phi i64 [ 0, %clear ], [ %joined, %look ]
  %place = getelementptr [16 x i64], ptr %mask, i64 0, i64 %k
  %value = load i64, ptr %place, align 8
  %joined = or i64 %any, %value
  %next = add i64 %k, 1
  %more = icmp ult i64 %next, 16
  br i1 %more, label %look, label %looked
looked:
  ; a caller that may run on one processor only: nothing to choose
  %some = icmp ne i64 %joined, 0
  br i1 %some, label %set, label %end
set:
  %workers = load atomic i64, ptr @workers seq_cst, align 8
  br label %each
each:
  %w = phi i64 [ 0, %set ], [ %w_next, %one_set ]
  %open = icmp slt i64 %w, %workers
  br i1 %open, label %one_set, label %done
one_set:
  %handle_at = getelementptr [MOST_WORKERS x i64], ptr @handles, i64 0, i64 %w
  %handle = load i64, ptr %handle_at, align 8
  %ignored = call i32 @pthread_setaffinity_np(i64 %handle, i64 128, ptr %mask)
  %w_next = add i64 %w, 1
  br label %each
done:
  store atomic i64 %cpu, ptr @avoided monotonic, align 8
  br label %end
end:
  ret void
}

; Other workers than before.
define internal void @unplace() {
  store atomic i64 -1, ptr @avoided monotonic, align 8
  ret void
}
