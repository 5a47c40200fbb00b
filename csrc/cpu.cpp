#include "cpu.hpp"

#include <cstdlib>
#include <cstring>

#include "conv_transpose.hpp"
#include "fingerprint.hpp"
#include "inverse_relu.hpp"
#include "max_pool.hpp"
#include "max_unpool.hpp"
#include "relu_with_mask.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef DESALI_X86_LEVELS
#include <cpuid.h>
#endif

namespace desali {

Level best_level() {
#ifdef DESALI_X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma"))
        return Level::avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Level::avx2;
#endif
    return Level::portable;
}

static Level& current() {
    static Level chosen = [] {
        Level best = best_level();
        const char* asked = std::getenv("DESALI_SIMD");
        for (int i = 0; asked && i <= static_cast<int>(best); ++i)
            if (std::strcmp(asked, level_name(static_cast<Level>(i))) == 0) return static_cast<Level>(i);
        return best;
    }();
    return chosen;
}

Level level() {
    return current();
}

const char* level_name(Level value) {
    static const char* const names[] = {"portable", "avx2", "avx512"};
    return names[static_cast<int>(value)];
}

bool set_level(const char* name) {
    for (int i = 0; i <= static_cast<int>(best_level()); ++i)
        if (std::strcmp(name, level_name(static_cast<Level>(i))) == 0) {
            current() = static_cast<Level>(i);
            return true;
        }
    return false;
}

int thread_count() {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

const char* threading() {
#ifdef _OPENMP
    return "openmp";
#else
    return "none";
#endif
}

#ifdef DESALI_X86_LEVELS
// Bytes of the third-level cache that this core shares, 0 if there is none. sysconf() tells the whole package's.
static int64_t third_level_bytes() {
    unsigned a, b, c, d;
    const unsigned leaf = __get_cpuid(0x80000000u, &a, &b, &c, &d) && a >= 0x8000001Du ? 0x8000001Du : 4u;
    for (unsigned index = 0; index < 8; ++index) {
        if (!__get_cpuid_count(leaf, index, &a, &b, &c, &d) || (a & 31) == 0) break;
        if ((a >> 5 & 7) == 3)
            return int64_t((b >> 22) + 1) * ((b >> 12 & 1023) + 1) * ((b & 4095) + 1) * (int64_t(c) + 1);
    }
    return 0;
}
#endif

static int64_t& last_cache() {
    static int64_t bytes = [] {
#ifdef DESALI_X86_LEVELS
        if (int64_t found = third_level_bytes()) return found;
#endif
        return int64_t(32) << 20;
    }();
    return bytes;
}

int64_t last_cache_bytes() {
    return last_cache();
}

void set_last_cache_bytes(int64_t bytes) {
    last_cache() = bytes;
}

#ifdef DESALI_X86_LEVELS
#define DESALI_FORWARD(result, name, arguments)               \
    result name(const arguments& a) {                         \
        if (level() == Level::avx512) return avx512::name(a); \
        if (level() == Level::avx2) return avx2::name(a);     \
        return portable::name(a);                             \
    }
#else
#define DESALI_FORWARD(result, name, arguments) \
    result name(const arguments& a) {           \
        return portable::name(a);               \
    }
#endif

DESALI_FORWARD(void, relu_with_mask, ReluArguments)
DESALI_FORWARD(void, inverse_relu, InverseReluArguments)
DESALI_FORWARD(void, max_pool, MaxPoolArguments)
DESALI_FORWARD(void, max_unpool, MaxUnpoolArguments)
DESALI_FORWARD(int64_t, count_nonzeros, CountArguments)
DESALI_FORWARD(void, conv_transpose_sparse, ConvArguments)
DESALI_FORWARD(void, conv_transpose_dense, ConvArguments)
DESALI_FORWARD(void, fingerprint, FingerprintArguments)

}  // namespace desali
