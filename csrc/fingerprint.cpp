#include "fingerprint.hpp"

#include <cstring>
#include <vector>

#include "parallel.hpp"
#include "simd.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

typedef uint64_t Words __attribute__((vector_size(DESALI_VECTOR_BYTES)));
constexpr int lanes = DESALI_VECTOR_BYTES / 8;
constexpr int64_t piece = int64_t(1) << 18;  // bytes of a task; a multiple of a line

// x * factor for a factor below 2^32.
DESALI_INLINE Words times(Words x, uint64_t factor) {
#if DESALI_VECTOR_BYTES == 64
    __m512i m = _mm512_set1_epi64(static_cast<long long>(factor));
    // With all lanes in the mask GCC has nothing to call uninitialised.
    return (Words)_mm512_maskz_mul_epu32(255, (__m512i)x, m) +
           ((Words)_mm512_maskz_mul_epu32(255, (__m512i)(x >> 32), m) << 32);
#elif defined(__AVX2__)
    __m256i m = _mm256_set1_epi64x(static_cast<long long>(factor));
    return (Words)_mm256_mul_epu32((__m256i)x, m) + ((Words)_mm256_mul_epu32((__m256i)(x >> 32), m) << 32);
#elif defined(__SSE2__)
    __m128i m = _mm_set1_epi64x(static_cast<long long>(factor));
    return (Words)_mm_mul_epu32((__m128i)x, m) + ((Words)_mm_mul_epu32((__m128i)(x >> 32), m) << 32);
#else
    return x * factor;
#endif
}

// What the words from `begin` on add; `begin` is the place of data[0] in the tensor.
DESALI_INLINE uint64_t run(const uint8_t* data, int64_t bytes, uint64_t begin) {
    using namespace fingerprints;
    uint64_t sum = 0;
    int64_t at = 0;
    if (bytes >= DESALI_VECTOR_BYTES) {
        Words sums{}, places;
        for (int l = 0; l < lanes; ++l) places[l] = (begin + static_cast<uint64_t>(l) + 1) * place;
        for (; at + DESALI_VECTOR_BYTES <= bytes; at += DESALI_VECTOR_BYTES) {
            Words x = load<Words>(data + at) ^ places;
            x = times(x ^ x >> 32, first);
            x = times(x ^ x >> 29, second);
            sums += x ^ x >> 32;
            places += lanes * place - Words{};
        }
        for (int l = 0; l < lanes; ++l) sum += sums[l];
    }
    for (; at < bytes; at += 8) {
        uint64_t word = 0;
        std::memcpy(&word, data + at, static_cast<size_t>(bytes - at < 8 ? bytes - at : 8));
        sum += mix(word, begin + static_cast<uint64_t>(at) / 8);
    }
    return sum;
}

// A share of one tensor: bytes [begin, end), or for large tensors all chosen lines.
struct Share {
    int64_t tensor, begin, end;
};

uint64_t share(const FingerprintArguments& a, const Share& s) {
    using namespace fingerprints;
    const uint8_t* data = static_cast<const uint8_t*>(a.data[s.tensor]);
    if (s.end >= 0) return run(data + s.begin, s.end - s.begin, static_cast<uint64_t>(s.begin) / 8);
    const int64_t bytes = a.bytes[s.tensor], total = bytes / line, parts = a.lines;
    uint64_t sum = run(data + total * line, bytes - total * line, static_cast<uint64_t>(total) * (line / 8));
    constexpr int64_t ahead = 16;
    int64_t chosen[ahead];
    for (int64_t part = 0; part < parts + ahead; ++part) {
        if (part >= ahead) {
            const int64_t at = chosen[part % ahead];
            sum += run(data + at * line, line, static_cast<uint64_t>(at) * (line / 8));
        }
        if (part < parts) {
            chosen[part % ahead] = chosen_line(part, parts, total);
            __builtin_prefetch(data + chosen[part % ahead] * line);
        }
    }
    return sum;
}

}  // namespace

void fingerprint(const FingerprintArguments& a) {
    std::vector<Share> shares;
    int64_t read = 0;
    for (int64_t i = 0; i < a.count; ++i) {
        a.results[i] = static_cast<uint64_t>(a.bytes[i]) * fingerprints::place;
        if (a.bytes[i] > a.whole && a.bytes[i] / fingerprints::line >= a.lines) {
            shares.push_back({i, 0, -1});
            read += a.lines * fingerprints::line;
            continue;
        }
        read += a.bytes[i];
        for (int64_t at = 0; at < a.bytes[i]; at += piece)
            shares.push_back({i, at, at + piece < a.bytes[i] ? at + piece : a.bytes[i]});
    }
    const int64_t tasks = static_cast<int64_t>(shares.size());
    std::vector<uint64_t> sums(shares.size());
    // Threads are worth their start from 4 MiB on.
    parallel_ranges(tasks, read / 256, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) sums[static_cast<size_t>(i)] = share(a, shares[static_cast<size_t>(i)]);
    });
    for (size_t i = 0; i < shares.size(); ++i) a.results[shares[i].tensor] += sums[i];
}

}  // namespace DESALI_LEVEL
}  // namespace desali
