// Choice of the instruction set at run time. Every CPU kernel file is compiled once for each level, in a namespace of
// its own; the launcher without a level forwards to the best one that the processor has.
#pragma once

#include <cstdint>

namespace desali {

enum class Level : int { portable = 0, avx2 = 1, avx512 = 2 };

Level level();                       // the level in use
Level best_level();                  // the highest that was built and that this processor runs
const char* level_name(Level);       // "portable", "avx2", "avx512"
bool set_level(const char* name);    // false if the level is unknown or cannot run here; for tests
int thread_count();                  // threads a kernel would use
const char* threading();             // "openmp" or "none"
int64_t last_cache_bytes();          // of the cache that the cores share, 32 MiB where the processor does not tell
void set_last_cache_bytes(int64_t);  // for tests: results beyond half of it are stored past the cache

}  // namespace desali

// Declares a CPU launcher and its three builds.
#define DESALI_CPU_LAUNCHER(result, name, arguments) \
    namespace desali {                               \
    namespace portable {                             \
    result name(const arguments&);                   \
    }                                                \
    namespace avx2 {                                 \
    result name(const arguments&);                   \
    }                                                \
    namespace avx512 {                               \
    result name(const arguments&);                   \
    }                                                \
    result name(const arguments&);                   \
    }
