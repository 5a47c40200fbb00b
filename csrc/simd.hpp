// Vectors as wide as the level being compiled, on the vector extensions of GCC and Clang.
#pragma once

#include <cstdint>
#include <cstring>

#ifndef DESALI_LEVEL
#define DESALI_LEVEL portable
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__)
#define DESALI_VECTOR_BYTES 64
#define DESALI_REGISTERS 32
#elif defined(__AVX2__)
#define DESALI_VECTOR_BYTES 32
#define DESALI_REGISTERS 16
#else
#define DESALI_VECTOR_BYTES 16
#define DESALI_REGISTERS 16
#endif

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

// Keeps the compiler from reading a value from memory once for each use.
#if defined(__AVX512F__)
#define DESALI_HOLD(vector) asm("" : "+v"(vector))
#elif defined(__SSE2__)
#define DESALI_HOLD(vector) asm("" : "+x"(vector))
#else
#define DESALI_HOLD(vector)
#endif

#define DESALI_INLINE static inline __attribute__((always_inline))

namespace desali {
namespace DESALI_LEVEL {
namespace {

template <class T>
struct Simd;

template <>
struct Simd<float> {
    static constexpr int lanes = DESALI_VECTOR_BYTES / 4;
    typedef float V __attribute__((vector_size(DESALI_VECTOR_BYTES)));
    typedef int32_t I __attribute__((vector_size(DESALI_VECTOR_BYTES)));
    using Integer = int32_t;
};

template <>
struct Simd<double> {
    static constexpr int lanes = DESALI_VECTOR_BYTES / 8;
    typedef double V __attribute__((vector_size(DESALI_VECTOR_BYTES)));
    typedef int64_t I __attribute__((vector_size(DESALI_VECTOR_BYTES)));
    using Integer = int64_t;
};

// A vector of small integers with as many lanes as a vector of T.
template <class T, class S>
struct Small {
    typedef S type __attribute__((vector_size(Simd<T>::lanes * sizeof(S))));
};

template <class T>
using Vector = typename Simd<T>::V;

template <class T>
using Integers = typename Simd<T>::I;

template <class V, class T>
DESALI_INLINE V load(const T* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof(V));
    return v;
}

template <class V, class T>
DESALI_INLINE void store(T* p, V v) {
    __builtin_memcpy(p, &v, sizeof(V));
}

// A store past the cache, to an address aligned to the vector; stream_end() orders it before what follows.
template <class T>
DESALI_INLINE void stream(T* p, Vector<T> v) {
#if DESALI_VECTOR_BYTES == 64
    _mm512_stream_si512((__m512i*)p, (__m512i)v);
#elif defined(__AVX2__)
    _mm256_stream_si256((__m256i*)p, (__m256i)v);
#elif defined(__SSE2__)
    _mm_stream_si128((__m128i*)p, (__m128i)v);
#else
    store(p, v);
#endif
}

DESALI_INLINE void stream_end() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

// The first `count` lanes; the others are zero.
template <class T>
DESALI_INLINE Vector<T> load_part(const T* p, int64_t count) {
#if DESALI_VECTOR_BYTES == 64
    if constexpr (sizeof(T) == 4)
        return (Vector<T>)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
    else
        return (Vector<T>)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), p);
#else
    Vector<T> v{};
    for (int64_t i = 0; i < count; ++i) v[i] = p[i];
    return v;
#endif
}

template <class T>
DESALI_INLINE void store_part(T* p, Vector<T> v, int64_t count) {
#if DESALI_VECTOR_BYTES == 64
    if constexpr (sizeof(T) == 4)
        _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
    else
        _mm512_mask_storeu_pd(p, (__mmask8)((1u << count) - 1), (__m512d)v);
#else
    for (int64_t i = 0; i < count; ++i) p[i] = v[i];
#endif
}

template <class T>
DESALI_INLINE Vector<T> broadcast(T x) {
    return x - Vector<T>{};
}

// Lanes first to last - 1 of what stands at p, `other` in the rest, which is not read.
template <class T>
DESALI_INLINE Vector<T> load_between(const T* p, int64_t first, int64_t last, T other) {
    constexpr int lanes = Simd<T>::lanes;
    first = first < 0 ? 0 : first;
    last = last > lanes ? lanes : last;
    if (last <= first) return broadcast(other);
#if DESALI_VECTOR_BYTES == 64
    unsigned where = ((1u << last) - 1) & ~((1u << first) - 1);
    if constexpr (sizeof(T) == 4)
        return (Vector<T>)_mm512_mask_loadu_ps((__m512)broadcast(other), (__mmask16)where, p);
    else
        return (Vector<T>)_mm512_mask_loadu_pd((__m512d)broadcast(other), (__mmask8)where, p);
#else
    using Lane = typename Simd<T>::Integer;
    Integers<T> lane;
    for (int i = 0; i < lanes; ++i) lane[i] = i;
    Integers<T> where = (lane >= (Lane)first) & (lane < (Lane)last);
    Vector<T> v{};
#if DESALI_VECTOR_BYTES == 32
    if constexpr (sizeof(T) == 4)
        v = (Vector<T>)_mm256_maskload_ps(p, (__m256i)where);
    else
        v = (Vector<T>)_mm256_maskload_pd(p, (__m256i)where);
#else
    for (int64_t i = first; i < last; ++i) v[i] = p[i];
#endif
    return where ? v : broadcast(other);
#endif
}

// Every second element of a and then b, from number `first` on.
template <class T, int first>
DESALI_INLINE Vector<T> every_second(Vector<T> a, Vector<T> b) {
    constexpr int lanes = Simd<T>::lanes;
#if defined(__clang__)
    Vector<T> v;
    for (int i = 0; i < lanes; ++i) v[i] = 2 * i < lanes ? a[(2 * i + first) % lanes] : b[(2 * i + first) % lanes];
    return v;
#else
    Integers<T> places;
    for (int i = 0; i < lanes; ++i) places[i] = 2 * i + first;
    return __builtin_shuffle(a, b, places);
#endif
}

template <class T>
DESALI_INLINE Vector<T> evens(Vector<T> a, Vector<T> b) {
    return every_second<T, 0>(a, b);
}

template <class T>
DESALI_INLINE Vector<T> odds(Vector<T> a, Vector<T> b) {
    return every_second<T, 1>(a, b);
}

// Lanes of v where the comparison holds, zero elsewhere (also for NaN).
template <class T>
DESALI_INLINE Vector<T> keep(Integers<T> where, Vector<T> v) {
    return (Vector<T>)((Integers<T>)v & where);
}

// max(v, 0) that lets NaN through.
template <class T>
DESALI_INLINE Vector<T> rectify(Vector<T> v) {
    return keep<T>(~(v <= Vector<T>{}), v);
}

template <class T>
DESALI_INLINE T rectify(T v) {
    return v <= T(0) ? T(0) : v;
}

// All-ones lanes where the packed bits i, i + 1, ... are set; i is a multiple of the number of lanes.
template <class T>
DESALI_INLINE Integers<T> lanes_of_bits(const uint8_t* bits, int64_t i) {
    constexpr int lanes = Simd<T>::lanes;
    unsigned word;
    if constexpr (lanes == 16) {
        word = bits[i / 8] | (unsigned)bits[i / 8 + 1] << 8;
    } else {
        word = bits[i / 8] >> (i % 8);
    }
    Integers<T> powers;
    for (int l = 0; l < lanes; ++l) powers[l] = (typename Simd<T>::Integer)1 << l;
    Integers<T> all = (typename Simd<T>::Integer)word - Integers<T>{};
    return (all & powers) != 0;
}

// sum + p[0], p[1], ... in the lanes whose packed bits i, i + 1, ... are set; i is a multiple of the number of lanes.
template <class T>
DESALI_INLINE Vector<T> add_where(Vector<T> sum, const uint8_t* bits, int64_t i, const T* p) {
#if DESALI_VECTOR_BYTES == 64
    if constexpr (sizeof(T) == 4) {
        __mmask16 where;
        __builtin_memcpy(&where, bits + (uint64_t)i / 8, 2);
        return (Vector<T>)_mm512_mask_add_ps((__m512)sum, where, (__m512)sum, _mm512_loadu_ps(p));
    } else {
        return (Vector<T>)_mm512_mask_add_pd((__m512d)sum, (__mmask8)bits[i / 8], (__m512d)sum, _mm512_loadu_pd(p));
    }
#else
    return sum + keep<T>(lanes_of_bits<T>(bits, i), load<Vector<T>>(p));
#endif
}

DESALI_INLINE bool bit(const uint8_t* bits, int64_t i) {
    return bits[i >> 3] >> (i & 7) & 1;
}

// Bits not [p <= 0] and not [p >= upper] of eight neighbours: NaN has its bit; an upper of NaN is none.
template <class T>
DESALI_INLINE uint8_t positive_octet(const T* p, T upper) {
#if defined(__AVX2__)
    if constexpr (sizeof(T) == 4) {
        __m256 v = _mm256_loadu_ps(p);
        __m256 in = _mm256_and_ps(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_NLE_UQ),
                                  _mm256_cmp_ps(v, _mm256_set1_ps(upper), _CMP_NGE_UQ));
        return (uint8_t)_mm256_movemask_ps(in);
    }
#endif
    unsigned bits = 0;
    for (int i = 0; i < 8; ++i) bits |= (unsigned)(!(p[i] <= 0) && !(p[i] >= upper)) << i;
    return (uint8_t)bits;
}

}  // namespace
}  // namespace DESALI_LEVEL
}  // namespace desali
