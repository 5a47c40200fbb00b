// Emulated launches: blocks one after the other, the threads of a block as fibers that run until they meet a barrier or
// a warp operation. The order in which threads get their turn is chosen, so that a result that leans on it shows.
// One host thread only. This is not a GPU: memory is sequentially consistent and blocks never run at the same time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "fibers.hpp"

struct Index3 {
    unsigned x, y, z;
};
inline Index3 threadIdx{}, blockIdx{}, blockDim{1, 1, 1}, gridDim{1, 1, 1};

namespace emulation {

enum class Order { forward, reverse, shuffled };

// When an asynchronous copy really happens: as soon or as late as the program allows.
enum class CopyTime { early, late };

struct Settings {
    Order order = Order::forward;
    CopyTime copies = CopyTime::early;
    bool fill = true;  // shared memory starts as NaN in every block
};
inline Settings settings;

[[noreturn]] inline void fail(const char* what) {
    std::fprintf(stderr, "emulation: %s (block %u, thread %u)\n", what, blockIdx.x, threadIdx.x);
    std::abort();
}

constexpr int warp_size = 32;
constexpr size_t slot_bytes = 64;

class Block {
  public:
    static Block& current() {
        static Block block;
        return block;
    }

    void run(int threads, const std::function<void()>& body) {
        count_ = threads;
        exited_ = 0;
        at_barrier_ = 0;
        states_.assign(threads, State::ready);
        warps_.assign((threads + warp_size - 1) / warp_size, Warp());
        for (int w = 0; w < static_cast<int>(warps_.size()); ++w)
            warps_[w].lanes = threads - w * warp_size < warp_size ? threads - w * warp_size : warp_size;
        copies_.assign(threads, {});
        refill_shared();
        Fibers& fibers = Fibers::instance();
        for (int t = 0; t < threads; ++t) fibers.start(t);
        std::vector<int> turn(threads);
        for (int t = 0; t < threads; ++t) turn[t] = settings.order == Order::reverse ? threads - 1 - t : t;
        while (exited_ < threads) {
            if (settings.order == Order::shuffled) std::shuffle(turn.begin(), turn.end(), random_);
            bool progress = false;
            for (int t : turn) {
                if (states_[t] != State::ready) continue;
                progress = true;
                threadIdx = {static_cast<unsigned>(t), 0, 0};
                if (fibers.resume(t, body)) {
                    if (!copies_[t].empty()) fail("a thread ended with asynchronous copies under way");
                    states_[t] = State::exited;
                    ++exited_;
                }
            }
            if (at_barrier_ > 0 && at_barrier_ + exited_ == threads) {
                if (exited_ > 0) fail("__syncthreads after some threads have ended");
                at_barrier_ = 0;
                for (State& state : states_) state = State::ready;
                progress = true;
            }
            if (!progress && exited_ < threads) fail("deadlock: threads wait at different barriers");
        }
    }

    void barrier() {
        states_[threadIdx.x] = State::barrier;
        ++at_barrier_;
        wait();
    }

    // Every lane of the warp gives `bytes` and gets the slots of all lanes; `kind` must be the same in all.
    template <class Value>
    const Value* exchange(int kind, const Value& given) {
        static_assert(sizeof(Value) <= slot_bytes);
        int thread = threadIdx.x, lane = thread % warp_size;
        Warp& warp = warps_[thread / warp_size];
        int side = warp.generation & 1;
        Value* slots = reinterpret_cast<Value*>(warp.slots[side]);
        static_assert(alignof(Value) <= 16);
        std::memcpy(static_cast<void*>(slots + lane), &given, sizeof(Value));
        if (warp.arrived > 0 && warp.kind != kind) fail("lanes of a warp meet at different operations");
        warp.kind = kind;
        if (++warp.arrived == warp.lanes) {
            warp.arrived = 0;
            ++warp.generation;
            int first = thread - lane;
            for (int i = 0; i < warp.lanes; ++i) states_[first + i] = State::ready;
        } else {
            states_[thread] = State::warp;
            wait();
        }
        return slots;
    }

    // Asynchronous copies of this thread, oldest group first; the last group is still open.
    struct Copy {
        void* to;
        const void* from;
        int bytes;
    };
    void copy(const Copy& c) {
        auto& groups = copies_[threadIdx.x];
        if (groups.empty() || groups.back().closed) groups.emplace_back();
        if (settings.copies == CopyTime::early) perform(c);
        groups.back().copies.push_back(c);
    }
    void commit() {
        auto& groups = copies_[threadIdx.x];
        if (groups.empty() || groups.back().closed) groups.emplace_back();
        groups.back().closed = true;
    }
    void wait_copies(int pending) {
        auto& groups = copies_[threadIdx.x];
        while (static_cast<int>(groups.size()) > pending) {
            if (settings.copies == CopyTime::late)
                for (const Copy& c : groups.front().copies) perform(c);
            groups.pop_front();
        }
    }

    // Shared memory of a kernel: exactly its bytes, on the heap, so that a sanitizer sees what goes past its end.
    template <class T>
    T& shared() {
        static char* memory = nullptr;
        if (!memory) {
            void* place = nullptr;
            if (posix_memalign(&place, 128, sizeof(T)) != 0) fail("out of memory");
            memory = static_cast<char*>(place);
            shared_.push_back({memory, sizeof(T)});
            std::memset(memory, 0xff, sizeof(T));
        }
        return *reinterpret_cast<T*>(memory);
    }

  private:
    enum class State { ready, barrier, warp, exited };
    struct Warp {
        int lanes = 0, arrived = 0, kind = 0;
        unsigned generation = 0;
        alignas(16) char slots[2][warp_size * slot_bytes];
    };
    struct Group {
        std::vector<Copy> copies;
        bool closed = false;
    };
    struct Shared {
        char* memory;
        size_t bytes;
    };

    int count_ = 0, exited_ = 0, at_barrier_ = 0;
    std::vector<State> states_;
    std::vector<Warp> warps_;
    std::vector<std::deque<Group>> copies_;
    std::vector<Shared> shared_;
    std::mt19937 random_{20240229};

    void wait() {
        Index3 mine = threadIdx;
        Fibers::instance().suspend();
        threadIdx = mine;
    }

    static void perform(const Copy& c) {
        std::memcpy(c.to, c.from, static_cast<size_t>(c.bytes));
        std::memset(static_cast<char*>(c.to) + c.bytes, 0, static_cast<size_t>(16 - c.bytes));
    }

    void refill_shared() {
        if (settings.fill)
            for (Shared& s : shared_) std::memset(s.memory, 0xff, s.bytes);
    }
};

}  // namespace emulation
