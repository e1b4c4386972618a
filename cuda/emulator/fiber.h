// Switching between stacks: one fiber is one CUDA thread.
//
// Ten instructions for x86-64 and aarch64; elsewhere ucontext, whose system calls make it fifty times slower. The jump
// instead of `ret` on x86-64 keeps the return predictor out of it: 9 ns instead of 30.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

namespace a3d::emulator {

#if defined(__x86_64__) || defined(__aarch64__)
using Context = void*;  // the stack pointer; registers that a call preserves lie above it

// Saves where the caller is into *save and goes on at `to`.
extern "C" void a3d_fiber_switch(Context* save, Context to);

#if defined(__x86_64__)
asm(R"(
.text
.globl a3d_fiber_switch
.hidden a3d_fiber_switch
.type a3d_fiber_switch,@function
a3d_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
.size a3d_fiber_switch,.-a3d_fiber_switch
)");
#else
asm(R"(
.text
.globl a3d_fiber_switch
.hidden a3d_fiber_switch
.type a3d_fiber_switch,@function
a3d_fiber_switch:
  sub sp,sp,#160
  stp x19,x20,[sp]
  stp x21,x22,[sp,#16]
  stp x23,x24,[sp,#32]
  stp x25,x26,[sp,#48]
  stp x27,x28,[sp,#64]
  stp x29,x30,[sp,#80]
  stp d8,d9,[sp,#96]
  stp d10,d11,[sp,#112]
  stp d12,d13,[sp,#128]
  stp d14,d15,[sp,#144]
  mov x9,sp
  str x9,[x0]
  mov sp,x1
  ldp x19,x20,[sp]
  ldp x21,x22,[sp,#16]
  ldp x23,x24,[sp,#32]
  ldp x25,x26,[sp,#48]
  ldp x27,x28,[sp,#64]
  ldp x29,x30,[sp,#80]
  ldp d8,d9,[sp,#96]
  ldp d10,d11,[sp,#112]
  ldp d12,d13,[sp,#128]
  ldp d14,d15,[sp,#144]
  add sp,sp,#160
  ret
.size a3d_fiber_switch,.-a3d_fiber_switch
)");
#endif

inline void switch_to(Context& save, Context& to) { a3d_fiber_switch(&save, to); }

// A context that starts `entry` on the stack that ends at `top`.
inline void prepare(Context& context, uint8_t* stack, size_t bytes, void (*entry)()) {
  void** top = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(stack + bytes) & ~uintptr_t(15));
#if defined(__x86_64__)
  *--top = nullptr;  // where `entry` would return to; it also aligns the stack as a call does
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--top = nullptr;
#else
  top -= 20;
  memset(top, 0, 160);
  top[11] = reinterpret_cast<void*>(entry);  // x30
#endif
  context = top;
}

#else
using Context = ucontext_t;

inline void switch_to(Context& save, Context& to) { swapcontext(&save, &to); }

inline void prepare(Context& context, uint8_t* stack, size_t bytes, void (*entry)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack, context.uc_stack.ss_size = bytes, context.uc_link = nullptr;
  makecontext(&context, entry, 0);
}
#endif

}  // namespace a3d::emulator
