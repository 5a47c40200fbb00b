#include "max_unpool.hpp"

#include "rectify.hpp"
#include "unpool_table.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

constexpr int64_t table_bytes = 64 << 10;

// One element of one seed: the sum of its sources' values where their bits are set, rectified. Count is the number of
// sources, 0 where it is not known to the compiler.
template <class T, bool Backward, bool Stream, int Count>
DESALI_INLINE void gather(const T* signal, const int64_t* at, const uint8_t* bits, int64_t octets, int64_t any_count,
                          int64_t channels, T* out) {
    constexpr int lanes = Simd<T>::lanes;
    const int64_t count = Count ? Count : any_count;
    // Copies that the stores below cannot change.
    constexpr int known = Count ? Count : 1;
    const T* from[known];
    for (int i = 0; i < Count; ++i) from[i] = signal + at[i];
    int64_t c = 0;
#pragma GCC unroll 4
    for (; c + lanes <= channels; c += lanes) {
        Vector<T> sum{};
        if constexpr (Count) {
#pragma GCC unroll 4
            for (int i = 0; i < Count; ++i) sum = add_where<T>(sum, bits + i * octets, c, from[i] + c);
        } else {
            for (int64_t i = 0; i < count; ++i) sum = add_where<T>(sum, bits + i * octets, c, signal + at[i] + c);
        }
        if constexpr (Backward) sum = rectify<T>(sum);
        if constexpr (Stream)
            stream<T>(out + c, sum);
        else
            store(out + c, sum);
    }
    for (; c < channels; ++c) {
        T sum = 0;
        for (int64_t i = 0; i < count; ++i) sum += bit(bits + i * octets, c) ? signal[at[i] + c] : T(0);
        out[c] = Backward ? rectify(sum) : sum;
    }
}

// `elements` elements of one seed, the first of the table.
template <class T, bool Backward, bool Stream, class S>
void gather_all(const UnpoolTable<S>& table, int64_t elements, const T* signal, int64_t channels, T* out) {
    const int64_t octets = table.octets();
    const int64_t* at = table.at();
    const uint8_t* bits = table.bits();
    for (int64_t i = 0; i < elements; ++i, out += channels) {
        const int64_t count = table.begin(i + 1) - table.begin(i);
        switch (count) {
            case 0:
                std::memset(out, 0, (size_t)channels * sizeof(T));
                break;
            case 1:
                gather<T, Backward, Stream, 1>(signal, at, bits, octets, count, channels, out);
                break;
            case 2:
                gather<T, Backward, Stream, 2>(signal, at, bits, octets, count, channels, out);
                break;
            case 4:
                gather<T, Backward, Stream, 4>(signal, at, bits, octets, count, channels, out);
                break;
            default:
                gather<T, Backward, Stream, 0>(signal, at, bits, octets, count, channels, out);
        }
        at += count, bits += count * octets;
    }
    if constexpr (Stream) stream_end();
}

// Seeds of one image take bands of rows; a band's table serves all that look at the same place.
template <class T, class S>
void run(const MaxUnpoolArguments& a) {
    const Columns columns(a);
    int64_t wanted = 4 * thread_count(), room = most(1, table_bytes / UnpoolTable<S>::row_bytes(a, columns));
    int64_t bands = most(ceil_div(a.out_h, room), least(a.out_h, ceil_div(wanted, a.n * a.k)));
    int64_t blocks = least(a.k, ceil_div(wanted, a.n * bands));
    // Beyond the cache, stores that go past it: nothing is read that will be overwritten.
    int64_t bytes = a.n * a.k * a.out_h * a.out_w * a.c * (int64_t)sizeof(T);
    bool aligned = (uintptr_t)a.out % sizeof(Vector<T>) == 0 && a.c % Simd<T>::lanes == 0;
    bool beyond = aligned && bytes > last_cache_bytes() / 2;
    auto gather_them = a.relu.backward ? beyond ? gather_all<T, true, true, S> : gather_all<T, true, false, S>
                       : beyond        ? gather_all<T, false, true, S>
                                       : gather_all<T, false, false, S>;
    parallel_for(a.n * bands * blocks, a.n * a.k * a.out_h * a.out_w * a.c, [&](int64_t task) {
        int64_t n = task / (bands * blocks), band = task / blocks % bands, block = task % blocks;
        int64_t first = a.out_h * band / bands, last = a.out_h * (band + 1) / bands;
        UnpoolTable<S> table(a, columns, last - first);
        Place filled{-1, 0, 0, 0, 0};
        for (int64_t k = a.k * block / blocks; k < a.k * (block + 1) / blocks; ++k) {
            int64_t nk = n * a.k + k;
            Place place{n, a.out_origin.y(nk), a.out_origin.x(nk), a.origin.y(nk), a.origin.x(nk)};
            if (!(place == filled)) table.fill(place, first, last);
            filled = place;
            const T* signal = static_cast<const T*>(a.signal) + nk * a.h * a.w * a.c;
            T* out = static_cast<T*>(a.out) + (nk * a.out_h + first) * a.out_w * a.c;
            gather_them(table, (last - first) * a.out_w, signal, a.c, out);
        }
    });
}

template <class T>
void run(const MaxUnpoolArguments& a) {
    if (a.n * a.k * a.out_h * a.out_w * a.c == 0) return;
    if (a.switch_bytes == 1)
        run<T, uint8_t>(a);
    else if (a.switch_bytes == 2)
        run<T, uint16_t>(a);
    else
        run<T, uint32_t>(a);
}

}  // namespace

void max_unpool(const MaxUnpoolArguments& a) {
    if (a.dtype == DType::f32)
        run<float>(a);
    else
        run<double>(a);
}

}  // namespace DESALI_LEVEL
}  // namespace desali
