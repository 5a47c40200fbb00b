// Cooperative fibers: one for each thread of an emulated block, on stacks that are reused by every block.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define DESALI_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#define DESALI_FIBER_ASAN 1
#endif
#endif

namespace emulation {

#if defined(__x86_64__)
// Saves the callee-saved registers on the current stack and continues on another; ucontext would cost system calls.
extern "C" void desali_fiber_switch(void** from, void* to);
asm(R"(
.text
.weak desali_fiber_switch
.type desali_fiber_switch, @function
desali_fiber_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size desali_fiber_switch, .-desali_fiber_switch
)");
#endif

class Fibers {
  public:
    static constexpr size_t stack_bytes = 64 * 1024;

    static Fibers& instance() {
        static Fibers fibers;
        return fibers;
    }

    // Prepares fiber `index` to run the body from its beginning.
    void start(int index) {
        while (static_cast<int>(fibers_.size()) <= index) add();
        fibers_[index]->done = false;
    }

    // Runs fiber `index` until it suspends or ends; true if it has ended.
    bool resume(int index, const std::function<void()>& body) {
        body_ = &body;
        current_ = index;
        enter(*fibers_[index]);
        current_ = -1;
        return fibers_[index]->done;
    }

    // Called on a fiber: back to the scheduler.
    void suspend() { leave(*fibers_[current_]); }

  private:
    struct Fiber {
        std::unique_ptr<char[]> stack;
        void* stack_pointer = nullptr;
        ucontext_t context;
        void* fake_stack = nullptr;
        bool done = false;
    };

    std::vector<std::unique_ptr<Fiber>> fibers_;
    const std::function<void()>* body_ = nullptr;
    int current_ = -1;
    void* scheduler_pointer_ = nullptr;
    ucontext_t scheduler_context_;
    void* scheduler_fake_ = nullptr;
    const void* scheduler_bottom_ = nullptr;
    size_t scheduler_size_ = 0;

    static void entry() { instance().loop(); }

    [[noreturn]] void loop() {
        arrived(nullptr);
        while (true) {
            Fiber& fiber = *fibers_[current_];
            (*body_)();
            fiber.done = true;
            leave(fiber);
        }
    }

    void add() {
        auto fiber = std::make_unique<Fiber>();
        fiber->stack.reset(new char[stack_bytes]);
#if defined(__x86_64__)
        auto top = reinterpret_cast<size_t>(fiber->stack.get() + stack_bytes) / 16 * 16;
        void** sp = reinterpret_cast<void**>(top) - 2;
        *sp = reinterpret_cast<void*>(&entry);  // where the first switch returns to
        for (int i = 0; i < 6; ++i) *--sp = nullptr;
        fiber->stack_pointer = sp;
#else
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = fiber->stack.get();
        fiber->context.uc_stack.ss_size = stack_bytes;
        fiber->context.uc_link = nullptr;
        makecontext(&fiber->context, &entry, 0);
#endif
        fibers_.push_back(std::move(fiber));
    }

    void arrived([[maybe_unused]] void* fake) {
#ifdef DESALI_FIBER_ASAN
        __sanitizer_finish_switch_fiber(fake, &scheduler_bottom_, &scheduler_size_);
#endif
    }

    void enter(Fiber& fiber) {
#ifdef DESALI_FIBER_ASAN
        __sanitizer_start_switch_fiber(&scheduler_fake_, fiber.stack.get(), stack_bytes);
#endif
#if defined(__x86_64__)
        desali_fiber_switch(&scheduler_pointer_, fiber.stack_pointer);
#else
        swapcontext(&scheduler_context_, &fiber.context);
#endif
#ifdef DESALI_FIBER_ASAN
        __sanitizer_finish_switch_fiber(scheduler_fake_, nullptr, nullptr);
#endif
    }

    void leave(Fiber& fiber) {
#ifdef DESALI_FIBER_ASAN
        __sanitizer_start_switch_fiber(&fiber.fake_stack, scheduler_bottom_, scheduler_size_);
#endif
#if defined(__x86_64__)
        desali_fiber_switch(&fiber.stack_pointer, scheduler_pointer_);
#else
        swapcontext(&fiber.context, &scheduler_context_);
#endif
        arrived(fiber.fake_stack);
    }
};

}  // namespace emulation
