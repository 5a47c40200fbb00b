#include "cpu.hpp"

#include <cstdlib>
#include <cstring>

#include "conv_transpose.hpp"
#include "inverse_relu.hpp"
#include "max_pool.hpp"
#include "max_unpool.hpp"
#include "relu_with_mask.hpp"

#ifdef _OPENMP
#include <omp.h>
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

}  // namespace desali
