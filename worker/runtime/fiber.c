/*
 * Switching stacks.  On x86-64 and aarch64 with a few instructions: what the calling
 * convention lets a function change is saved by the compiler at the call, so only
 * callee-saved registers and the floating-point control words change hands.  Elsewhere (and
 * with -DFIBER_UCONTEXT) swapcontext does it, with a system call for the signal mask.
 */
#include "worker/runtime/fiber.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(FIBER_UCONTEXT)
#define FIBER_ASM 1
#else
#include <ucontext.h>
#endif

struct fiber {
#ifdef FIBER_ASM
	void *sp;        /* of the side that does not run: the fiber's */
	void *caller_sp; /* ... or the resumer's */
#else
	ucontext_t self, caller;
#endif
	void (*fn)(void *arg);
	void *arg;
	bool done;
	void *map; /* guard page and stack */
	size_t map_size;
	size_t guard_size;
#ifdef FIBER_ASAN
	void *fake_stack;          /* of the fiber while it does not run */
	const void *caller_bottom; /* the resumer's stack, learnt at each resume */
	size_t caller_size;
#endif
#ifdef FIBER_TSAN
	void *tsan, *tsan_caller;
#endif
};

#ifdef FIBER_ASM
/* Save the running side's registers on its stack and its stack pointer in *save, go on at `to`. */
void fiber_swap_asm(void **save, void *to) __attribute__((visibility("hidden")));
/* Where a new fiber begins: calls fiber_main with the pointer left in a callee-saved register. */
void fiber_start_asm(void) __attribute__((visibility("hidden")));
#endif
void fiber_main(struct fiber *f) __attribute__((noreturn, visibility("hidden"), used));

#if defined(FIBER_ASM) && defined(__x86_64__)
__asm__(
    ".text\n"
    ".p2align 4\n"
    ".globl fiber_swap_asm\n"
    ".hidden fiber_swap_asm\n"
    ".type fiber_swap_asm, @function\n"
    "fiber_swap_asm:\n"
    "	pushq %rbp\n"
    "	pushq %rbx\n"
    "	pushq %r12\n"
    "	pushq %r13\n"
    "	pushq %r14\n"
    "	pushq %r15\n"
    "	subq $8, %rsp\n"
    "	stmxcsr (%rsp)\n"
    "	fnstcw 4(%rsp)\n"
    "	movq %rsp, (%rdi)\n"
    "	movq %rsi, %rsp\n"
    "	ldmxcsr (%rsp)\n"
    "	fldcw 4(%rsp)\n"
    "	addq $8, %rsp\n"
    "	popq %r15\n"
    "	popq %r14\n"
    "	popq %r13\n"
    "	popq %r12\n"
    "	popq %rbx\n"
    "	popq %rbp\n"
    /* not ret: the return stack of the processor knows nothing of this stack */
    "	popq %rcx\n"
    "	jmpq *%rcx\n"
    ".size fiber_swap_asm, .-fiber_swap_asm\n"
    ".p2align 4\n"
    ".globl fiber_start_asm\n"
    ".hidden fiber_start_asm\n"
    ".type fiber_start_asm, @function\n"
    "fiber_start_asm:\n"
    "	.cfi_startproc\n"
    "	.cfi_undefined %rip\n"
    "	movq %rbx, %rdi\n"
    "	call fiber_main\n"
    "	ud2\n"
    "	.cfi_endproc\n"
    ".size fiber_start_asm, .-fiber_start_asm\n");

/* What fiber_swap_asm pops, lowest address first. */
struct frame {
	uint32_t mxcsr;
	uint16_t x87_cw;
	uint16_t pad;
	uint64_t r15, r14, r13, r12, rbx, rbp;
	uint64_t ip;
	uint64_t align;
};
_Static_assert(sizeof(struct frame) == 72, "as in fiber_swap_asm");

static void first_frame(struct frame *fr, struct fiber *f)
{
	uint32_t mxcsr;
	uint16_t cw;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(cw));
	*fr = (struct frame){
		.mxcsr = mxcsr,
		.x87_cw = cw,
		.rbx = (uint64_t)(uintptr_t)f,
		.ip = (uint64_t)(uintptr_t)&fiber_start_asm,
	};
}
#define FRAME_END_GAP 8 /* makes the stack 16-byte aligned when ip has been popped */
#elif defined(FIBER_ASM) && defined(__aarch64__)
__asm__(
    ".text\n"
    ".p2align 4\n"
    ".globl fiber_swap_asm\n"
    ".hidden fiber_swap_asm\n"
    ".type fiber_swap_asm, %function\n"
    "fiber_swap_asm:\n"
    "	sub sp, sp, #176\n"
    "	stp x19, x20, [sp, #0]\n"
    "	stp x21, x22, [sp, #16]\n"
    "	stp x23, x24, [sp, #32]\n"
    "	stp x25, x26, [sp, #48]\n"
    "	stp x27, x28, [sp, #64]\n"
    "	stp x29, x30, [sp, #80]\n"
    "	stp d8, d9, [sp, #96]\n"
    "	stp d10, d11, [sp, #112]\n"
    "	stp d12, d13, [sp, #128]\n"
    "	stp d14, d15, [sp, #144]\n"
    "	mrs x9, fpcr\n"
    "	str x9, [sp, #160]\n"
    "	mov x9, sp\n"
    "	str x9, [x0]\n"
    "	mov sp, x1\n"
    "	ldr x9, [sp, #160]\n"
    "	msr fpcr, x9\n"
    "	ldp d14, d15, [sp, #144]\n"
    "	ldp d12, d13, [sp, #128]\n"
    "	ldp d10, d11, [sp, #112]\n"
    "	ldp d8, d9, [sp, #96]\n"
    "	ldp x29, x30, [sp, #80]\n"
    "	ldp x27, x28, [sp, #64]\n"
    "	ldp x25, x26, [sp, #48]\n"
    "	ldp x23, x24, [sp, #32]\n"
    "	ldp x21, x22, [sp, #16]\n"
    "	ldp x19, x20, [sp, #0]\n"
    "	add sp, sp, #176\n"
    "	br x30\n"
    ".size fiber_swap_asm, .-fiber_swap_asm\n"
    ".p2align 4\n"
    ".globl fiber_start_asm\n"
    ".hidden fiber_start_asm\n"
    ".type fiber_start_asm, %function\n"
    "fiber_start_asm:\n"
    "	.cfi_startproc\n"
    "	.cfi_undefined x30\n"
    "	mov x0, x19\n"
    "	bl fiber_main\n"
    "	brk #1\n"
    "	.cfi_endproc\n"
    ".size fiber_start_asm, .-fiber_start_asm\n");

struct frame {
	uint64_t x19, x20, x21, x22, x23, x24, x25, x26, x27, x28;
	uint64_t x29, x30;
	uint64_t d[8];
	uint64_t fpcr;
	uint64_t pad;
};
_Static_assert(sizeof(struct frame) == 176, "as in fiber_swap_asm");

static void first_frame(struct frame *fr, struct fiber *f)
{
	uint64_t fpcr;

	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	*fr = (struct frame){
		.x19 = (uint64_t)(uintptr_t)f,
		.x30 = (uint64_t)(uintptr_t)&fiber_start_asm,
		.fpcr = fpcr,
	};
}
#define FRAME_END_GAP 0
#else
static void start_ucontext(unsigned hi, unsigned lo)
{
	fiber_main((struct fiber *)(((uintptr_t)hi << 16 << 16) | lo));
}
#endif

static void swap_in(struct fiber *f)
{
#ifdef FIBER_ASM
	fiber_swap_asm(&f->caller_sp, f->sp);
#else
	ASSERT(swapcontext(&f->caller, &f->self) == 0);
#endif
}

static void swap_out(struct fiber *f)
{
#ifdef FIBER_ASM
	fiber_swap_asm(&f->sp, f->caller_sp);
#else
	ASSERT(swapcontext(&f->self, &f->caller) == 0);
#endif
}

/* First act on the fiber after each switch to it. */
static void arrived(struct fiber *f)
{
#ifdef FIBER_ASAN
	__sanitizer_finish_switch_fiber(f->fake_stack, &f->caller_bottom, &f->caller_size);
#else
	(void)f;
#endif
}

void fiber_main(struct fiber *f)
{
	arrived(f);
	f->fn(f->arg);
	f->done = true;
#ifdef FIBER_ASAN
	__sanitizer_start_switch_fiber(NULL, f->caller_bottom, f->caller_size); /* NULL: this stack is over */
#endif
#ifdef FIBER_TSAN
	__tsan_switch_to_fiber(f->tsan_caller, 0);
#endif
	swap_out(f);
	ASSERT(!"a fiber that has returned was resumed");
	__builtin_unreachable();
}

struct fiber *fiber_create(void (*fn)(void *arg), void *arg, struct err *e)
{
	struct fiber *f = xcalloc(1, sizeof(*f));
	uint8_t *top;

	f->fn = fn;
	f->arg = arg;
	f->guard_size = (size_t)sysconf(_SC_PAGESIZE);
	f->map_size = f->guard_size + FIBER_STACK_SIZE;
	f->map = mmap(NULL, f->map_size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (f->map == MAP_FAILED || mprotect(f->map, f->guard_size, PROT_NONE) < 0) {
		err_set_errno(e, ERR_UNAVAILABLE, "cannot map a task's stack of %u KiB",
		    FIBER_STACK_SIZE >> 10);
		if (f->map != MAP_FAILED)
			munmap(f->map, f->map_size);
		free(f);
		return NULL;
	}
	top = (uint8_t *)f->map + f->map_size;
#ifdef FIBER_ASM
	{
		struct frame *fr = (struct frame *)(void *)(top - FRAME_END_GAP - sizeof(*fr));

		first_frame(fr, f);
		f->sp = fr;
	}
#else
	(void)top;
	if (getcontext(&f->self) < 0) {
		err_set_errno(e, ERR_INTERNAL, "getcontext");
		munmap(f->map, f->map_size);
		free(f);
		return NULL;
	}
	f->self.uc_stack.ss_sp = (uint8_t *)f->map + f->guard_size;
	f->self.uc_stack.ss_size = FIBER_STACK_SIZE;
	f->self.uc_link = NULL;
	makecontext(&f->self, (void (*)(void))start_ucontext, 2, (unsigned)((uintptr_t)f >> 16 >> 16),
	    (unsigned)(uintptr_t)f);
#endif
#ifdef FIBER_TSAN
	f->tsan = __tsan_create_fiber(0);
#endif
	return f;
}

void fiber_destroy(struct fiber *f)
{
	if (f == NULL)
		return;
#ifdef FIBER_TSAN
	__tsan_destroy_fiber(f->tsan);
#endif
	munmap(f->map, f->map_size);
	free(f);
}

void fiber_resume(struct fiber *f)
{
#ifdef FIBER_ASAN
	void *fake_stack = NULL;
#endif

	ASSERT(!f->done);
#ifdef FIBER_ASAN
	__sanitizer_start_switch_fiber(&fake_stack, (uint8_t *)f->map + f->guard_size, FIBER_STACK_SIZE);
#endif
#ifdef FIBER_TSAN
	f->tsan_caller = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(f->tsan, 0);
#endif
	swap_in(f);
#ifdef FIBER_ASAN
	__sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#endif
}

void fiber_yield(struct fiber *f)
{
#ifdef FIBER_ASAN
	__sanitizer_start_switch_fiber(&f->fake_stack, f->caller_bottom, f->caller_size);
#endif
#ifdef FIBER_TSAN
	__tsan_switch_to_fiber(f->tsan_caller, 0);
#endif
	swap_out(f);
	arrived(f);
}

bool fiber_done(const struct fiber *f)
{
	return f->done;
}
