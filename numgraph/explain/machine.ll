; What `machine` measures this processor with. The functions have the arguments of a phase: (address, chunk, chunks).
;
;   read    word 0 holds an address, word 1 a number of bytes, word 2 how often a chunk reads its part of them
;   peak    word 0 holds the address of two floats, word 1 a number of turns of ROUND multiply-adds each
;   empty   nothing: what it takes to launch it is the cost of a launch

define i64 @empty(i64 %address, i64 %chunk, i64 %chunks) {
  ret i64 0
}

define i64 @read(i64 %address, i64 %chunk, i64 %chunks) {
  %words = inttoptr i64 %address to ptr
  %bytes_at = getelementptr i64, ptr %words, i64 1
  %times_at = getelementptr i64, ptr %words, i64 2
  %data = load i64, ptr %words
  %bytes = load i64, ptr %bytes_at
  %times = load i64, ptr %times_at
  ; whole pieces of 256 bytes
  %pieces = lshr i64 %bytes, 8
  %to_first = mul i64 %pieces, %chunk
  %first = udiv i64 %to_first, %chunks
  %next = add i64 %chunk, 1
  %to_end = mul i64 %pieces, %next
  %end = udiv i64 %to_end, %chunks
  br label %again

again:
  %turn = phi i64 [ 0, %0 ], [ %turn1, %done ]
  %kept = phi <16 x i32> [ zeroinitializer, %0 ], [ %sum, %done ]
  br label %loop

loop:
  %i = phi i64 [ %first, %again ], [ %i1, %loop ]
  %a0 = phi <16 x i32> [ %kept, %again ], [ %b0, %loop ]
  %a1 = phi <16 x i32> [ zeroinitializer, %again ], [ %b1, %loop ]
  %a2 = phi <16 x i32> [ zeroinitializer, %again ], [ %b2, %loop ]
  %a3 = phi <16 x i32> [ zeroinitializer, %again ], [ %b3, %loop ]
  %offset = shl i64 %i, 8
  %place = add i64 %data, %offset
  %p0 = inttoptr i64 %place to ptr
  %p1 = getelementptr i8, ptr %p0, i64 64
  %p2 = getelementptr i8, ptr %p0, i64 128
  %p3 = getelementptr i8, ptr %p0, i64 192
  %v0 = load <16 x i32>, ptr %p0, align 64
  %v1 = load <16 x i32>, ptr %p1, align 64
  %v2 = load <16 x i32>, ptr %p2, align 64
  %v3 = load <16 x i32>, ptr %p3, align 64
  %b0 = add <16 x i32> %a0, %v0
  %b1 = add <16 x i32> %a1, %v1
  %b2 = add <16 x i32> %a2, %v2
  %b3 = add <16 x i32> %a3, %v3
  %i1 = add i64 %i, 1
  %more = icmp ult i64 %i1, %end
  br i1 %more, label %loop, label %done

done:
  %s0 = xor <16 x i32> %b0, %b1
  %s1 = xor <16 x i32> %b2, %b3
  %sum = xor <16 x i32> %s0, %s1
  ; the memory may have changed, as far as the compiler knows
  call void asm sideeffect "", "~{memory}"()
  %turn1 = add i64 %turn, 1
  %again1 = icmp ult i64 %turn1, %times
  br i1 %again1, label %again, label %finish

finish:
  %rest = call i32 @llvm.vector.reduce.xor.v16i32(<16 x i32> %sum)
  ; what was read counts as used
  call void asm sideeffect "", "r"(i32 %rest)
  ret i64 0
}

declare i32 @llvm.vector.reduce.xor.v16i32(<16 x i32>)

define i64 @peak(i64 %address, i64 %chunk, i64 %chunks) {
  %words = inttoptr i64 %address to ptr
  %turns_at = getelementptr i64, ptr %words, i64 1
  %where = load i64, ptr %words
  %turns = load i64, ptr %turns_at
  %numbers = inttoptr i64 %where to ptr
  %second = getelementptr float, ptr %numbers, i64 1
  %x = load float, ptr %numbers
  %y = load float, ptr %second
  %x0 = insertelement <LANES x float> poison, float %x, i64 0
  %xs = shufflevector <LANES x float> %x0, <LANES x float> poison, <LANES x i32> zeroinitializer
  %y0 = insertelement <LANES x float> poison, float %y, i64 0
  %ys = shufflevector <LANES x float> %y0, <LANES x float> poison, <LANES x i32> zeroinitializer
  br label %loop

loop:
  %i = phi i64 [ 0, %0 ], [ %i1, %loop ]
STARTS
STEPS
  %i1 = add i64 %i, 1
  %more = icmp ult i64 %i1, %turns
  br i1 %more, label %loop, label %finish

finish:
ENDS
  ret i64 0
}

declare <LANES x float> @llvm.fmuladd.vLANESf32(<LANES x float>, <LANES x float>, <LANES x float>)
