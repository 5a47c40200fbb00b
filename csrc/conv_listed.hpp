// Transposed convolution of mostly zero signals, in groups of seeds: a pixel's list holds the channels at which any
// seed of the group is non-zero, so that each weight is read once for all of them. As in conv_dense.cpp the stride cuts
// the output into cells; here a cell is a sum over the listed channels of its taps. Everything is relative to a
// region's first element, so that seeds at different places share a group; only the end, cutting the window out, looks
// at the place.
//
// A sum runs over kernel rows, then pixels, then channels, ascending, whatever the group: what a zero adds changes
// nothing, so the result depends neither on the grouping nor on the threads.
#pragma once

#include <deque>

#include "conv_transpose.hpp"
#include "parallel.hpp"
#include "rectify.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

constexpr int most_sums = DESALI_REGISTERS == 32 ? 24 : 12;
constexpr int most_seeds = DESALI_REGISTERS == 32 ? 8 : 6;

// For count > 0: sums[seed m][vector i] += sum_j value[m][j] * weight[base + offset[j]][vector i]; offsets wrap around.
template <class T, int M, int NV>
void add_listed(const uint32_t* offset, const T* value, int64_t pitch, int64_t count, const T* weight, uint32_t base,
                T* sums, int64_t seed_step) {
    constexpr int lanes = Simd<T>::lanes;
    Vector<T> sum[M][NV];
    const T* values[M];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
        values[m] = value + m * pitch;
#pragma GCC unroll 24
        for (int i = 0; i < NV; ++i) sum[m][i] = load<Vector<T>>(sums + m * seed_step + i * lanes);
    }
    int64_t j = 0;
    do {
        const T* w = weight + (uint32_t)(offset[j] + base);
        if constexpr (M < NV) {  // hold what there is fewer of in registers
            Vector<T> v[M];
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m) v[m] = broadcast(values[m][j]);
#pragma GCC unroll 24
            for (int i = 0; i < NV; ++i) {
                Vector<T> column = load<Vector<T>>(w + i * lanes);
                if constexpr (M > 1) DESALI_HOLD(column);
#pragma GCC unroll 8
                for (int m = 0; m < M; ++m) sum[m][i] += v[m] * column;
            }
        } else {
            Vector<T> column[NV];
#pragma GCC unroll 24
            for (int i = 0; i < NV; ++i) column[i] = load<Vector<T>>(w + i * lanes);
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m) {
                Vector<T> v = broadcast(values[m][j]);
#pragma GCC unroll 24
                for (int i = 0; i < NV; ++i) sum[m][i] += v * column[i];
            }
        }
    } while (++j < count);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 24
        for (int i = 0; i < NV; ++i) store(sums + m * seed_step + i * lanes, sum[m][i]);
}

template <class T>
using AddListed = void (*)(const uint32_t*, const T*, int64_t, int64_t, const T*, uint32_t, T*, int64_t);

template <class T, int M, int NV = most_sums / M>
AddListed<T> listed_adder(int64_t vectors) {
    if constexpr (NV == 1)
        return add_listed<T, M, 1>;
    else
        return vectors == NV ? add_listed<T, M, NV> : listed_adder<T, M, NV - 1>(vectors);
}

template <class T, int M = most_seeds>
AddListed<T> listed_adder(int64_t seeds, int64_t vectors) {
    if constexpr (M == 1)
        return listed_adder<T, 1>(vectors);
    else
        return seeds == M ? listed_adder<T, M>(vectors) : listed_adder<T, M - 1>(seeds, vectors);
}

// Which of `count` <= 8 neighbours are not zero.
template <class T>
DESALI_INLINE unsigned nonzero_octet(const T* p, int64_t count) {
#if defined(__AVX2__)
    if constexpr (sizeof(T) == 4)
        if (count == 8)
            return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(p), _mm256_setzero_ps(), _CMP_NEQ_UQ));
#endif
    unsigned bits = 0;
    for (int64_t i = 0; i < count; ++i) bits |= (unsigned)(p[i] != 0) << i;
    return bits;
}

template <class T>
class Listed {
  public:
    explicit Listed(const ConvArguments& a)
        : a_(a),
          layout_(DenseLayout::of(a.i, a.y_axis, a.x_axis, sizeof(T))),
          vectors_(ceil_div(layout_.used, lanes)),
          cells_y_(a.h + layout_.taps_y - 1),
          cells_x_(a.w + layout_.taps_x - 1),
          total_(0) {
        for (int64_t pixel = 0; pixel < a.n * a.k * a.h * a.w; ++pixel) total_ += a.counts[pixel];
    }

    void run() const {
        int64_t seeds = a_.n * a_.k, groups = ceil_div(seeds, seeds_at_once());
        Range hull = needed_y(0);
        for (int64_t nk = 1; nk < seeds; ++nk) hull.join(needed_y(nk));
        int64_t rows = most(1, hull.end - hull.begin);
        // The sums of a task stay in the second-level cache, and a slice of the weights beside them.
        int64_t row_bytes = ceil_div(seeds, groups) * cells_x_ * layout_.columns * (int64_t)sizeof(T);
        int64_t bands = least(rows, ceil_div(rows * row_bytes, room));
        int64_t batch = bands > 1 ? 1 : most(1, least(groups, room / (rows * row_bytes)));
        int64_t wanted = 4 * thread_count();
        while (batch > 1 && ceil_div(groups, batch) < wanted) batch = (batch + 1) / 2;
        while (bands < rows && ceil_div(groups, batch) * bands < wanted) ++bands;
        int64_t cost = seeds * a_.out_h * a_.out_w * a_.i + total_ * layout_.taps_y * layout_.taps_x * layout_.used;
        parallel_for(ceil_div(groups, batch) * bands, cost, [&](int64_t task) {
            int64_t band = task % bands, first = task / bands * batch, last = least(groups, first + batch);
            // Rows of the window that no signal reaches go to the first and the last band.
            Range cells{hull.begin + rows * band / bands, hull.begin + rows * (band + 1) / bands};
            Range owned{band ? cells.begin : INT64_MIN / 2, band + 1 < bands ? cells.end : INT64_MAX / 2};
            some_groups(seeds, groups, first, last, cells, owned);
        });
    }

  private:
    static constexpr int64_t lanes = Simd<T>::lanes;
    static constexpr int64_t room = 1 << 20;

    struct Range {
        int64_t begin, end;
        void join(const Range& other) {
            if (other.begin >= other.end) return;
            if (begin >= end)
                *this = other;
            else
                begin = least(begin, other.begin), end = most(end, other.end);
        }
        Range within(const Range& other) const { return {most(begin, other.begin), least(end, other.end)}; }
    };

    // Cells, relative to the region, that the window and the map show of one axis.
    static Range needed(const Axis& axis, int64_t origin, int64_t window, int64_t extent, int64_t map, int64_t cells) {
        int64_t zero = origin * axis.stride - axis.padding;
        int64_t low = most(window, 0) - zero, high = least(window + extent, map) - zero;
        if (low >= high) return {0, 0};
        return Range{floor_div(low, axis.stride), floor_div(high - 1, axis.stride) + 1}.within({0, cells});
    }
    Range needed_y(int64_t nk) const {
        return needed(a_.y_axis, a_.origin.y(nk), a_.out_origin.y(nk), a_.out_h, a_.map_h, cells_y_);
    }
    Range needed_x(int64_t nk) const {
        return needed(a_.x_axis, a_.origin.x(nk), a_.out_origin.x(nk), a_.out_w, a_.map_w, cells_x_);
    }

    // How many seeds form a group. An entry costs as many multiplications as there are seeds, but no less than reading
    // its weights takes; the constants are measured.
    int64_t seeds_at_once() const {
        int64_t seeds = a_.n * a_.k, pixels = a_.h * a_.w, best = 1;
        double lowest = (double)total_ * 2.15;
        constexpr int64_t sizes[] = {2, 3, 4, 6, 8};
        for (int64_t m : sizes) {
            if (m > least(seeds, most_seeds)) break;
            int64_t groups = ceil_div(seeds, m), step = most(1, groups * pixels / 64), entries = 0, tried = 0;
            for (int64_t at = step / 2; at < groups * pixels; at += step, ++tried) {
                int64_t group = at / pixels, first = seeds * group / groups, last = seeds * (group + 1) / groups;
                entries += union_of(first, last - first, at % pixels);
            }
            double all = (double)entries / (double)tried * (double)(groups * pixels);
            double cost = all * (most(2, m) + 0.25);
            if (cost >= lowest) break;
            best = m, lowest = cost;
        }
        return best;
    }

    int64_t union_of(int64_t first, int64_t seeds, int64_t pixel) const {
        int64_t found = 0;
        const T* p = static_cast<const T*>(a_.signal) + (first * a_.h * a_.w + pixel) * a_.o;
        for (int64_t c = 0; c < a_.o; c += 8) {
            unsigned bits = 0;
            for (int64_t m = 0; m < seeds; ++m)
                bits |= nonzero_octet(p + m * a_.h * a_.w * a_.o + c, least(8, a_.o - c));
            found += __builtin_popcount(bits);
        }
        return found;
    }

    // The entries of the pixels of a few rows, for a group of seeds.
    struct Lists {
        Scratch<int64_t> start;  // [rows, w + 1]
        int64_t pitch;
        Scratch<uint32_t> offset;  // of the weights, as the cell at x = 0 would read them
        Scratch<T> value;          // [seeds, pitch]

        Lists(int64_t pixels, int64_t entries, int64_t seeds)
            : start(pixels), pitch(ceil_div(entries + 1, 16) * 16 + 16), offset(pitch), value(seeds * pitch) {}
    };

    struct Group {
        int64_t first, seeds;
        Range rows;  // of the signal
        Range y, x;  // cells to compute
        Lists lists;
        T* sums;

        Group(int64_t first, int64_t seeds, Range rows, Range y, Range x, int64_t pixels, int64_t entries, T* sums)
            : first(first), seeds(seeds), rows(rows), y(y), x(x), lists(pixels, entries, seeds), sums(sums) {}
    };

    void some_groups(int64_t all, int64_t groups, int64_t first, int64_t last, const Range& cells,
                     const Range& owned) const {
        int64_t count = last - first, begin = all * first / groups, end = all * last / groups;
        int64_t seed_size = (cells.end - cells.begin) * cells_x_ * layout_.columns;
        Scratch<T> sums((end - begin) * seed_size);
        std::deque<Group> group;
        for (int64_t g = 0; g < count; ++g) {
            int64_t from = all * (first + g) / groups, seeds = all * (first + g + 1) / groups - from;
            Range y{0, 0}, x{0, 0};
            for (int64_t nk = from; nk < from + seeds; ++nk) y.join(needed_y(nk)), x.join(needed_x(nk));
            y = y.within(cells);
            Range rows = Range{y.begin - layout_.taps_y + 1, y.end}.within({0, a_.h});
            if (y.begin >= y.end) rows = {0, 0};
            int64_t height = most(0, rows.end - rows.begin);
            group.emplace_back(from, seeds, rows, y, x, height * (a_.w + 1), bound(from, seeds, rows),
                               sums.get() + (from - begin) * seed_size);
            list(group[g]);
            for (int64_t m = 0; m < seeds; ++m)
                if (y.begin < y.end)
                    std::memset(group[g].sums + m * seed_size + (y.begin - cells.begin) * cells_x_ * layout_.columns, 0,
                                (size_t)((y.end - y.begin) * cells_x_ * layout_.columns) * sizeof(T));
        }
        int64_t most_vectors = most_sums / ceil_div(all, groups), pieces = ceil_div(vectors_, most_vectors);
        for (int64_t piece = 0; piece < pieces; ++piece)
            for (int64_t ty = 0; ty < layout_.taps_y; ++ty)
                for (int64_t g = 0; g < count; ++g)
                    add(group[g], ty, vectors_ * piece / pieces, vectors_ * (piece + 1) / pieces, cells.begin,
                        seed_size);
        for (const Group& one : group)
            for (int64_t m = 0; m < one.seeds; ++m) emit(one.first + m, one.sums + m * seed_size, cells.begin, owned);
    }

    void add(const Group& group, int64_t ty, int64_t from, int64_t to, int64_t top, int64_t seed_size) const {
        AddListed<T> adder = listed_adder<T>(group.seeds, to - from);
        const T* weight =
            static_cast<const T*>(a_.packed) + ty * layout_.taps_x * a_.o * layout_.columns + from * lanes;
        Range rows = Range{group.rows.begin + ty, group.rows.end + ty}.within(group.y);
        for (int64_t q = rows.begin; q < rows.end; ++q) {
            const int64_t* start = &group.lists.start[(q - ty - group.rows.begin) * (a_.w + 1)];
            T* sums = group.sums + (q - top) * cells_x_ * layout_.columns + from * lanes;
            for (int64_t r = group.x.begin; r < group.x.end; ++r) {
                int64_t begin = start[most(0, r - layout_.taps_x + 1)], end = start[least(a_.w, r + 1)];
                if (begin < end)
                    adder(&group.lists.offset[begin], &group.lists.value[begin], group.lists.pitch, end - begin, weight,
                          (uint32_t)(r * a_.o * layout_.columns), sums + r * layout_.columns, seed_size);
            }
        }
    }

    // No fewer entries than the lists of these rows have.
    int64_t bound(int64_t first, int64_t seeds, const Range& rows) const {
        int64_t entries = 0;
        for (int64_t pixel = rows.begin * a_.w; pixel < rows.end * a_.w; ++pixel) {
            int64_t sum = 0;
            for (int64_t m = 0; m < seeds; ++m) sum += a_.counts[(first + m) * a_.h * a_.w + pixel];
            entries += least(a_.o, sum);
        }
        return entries;
    }

    void list(Group& group) const {
        int64_t at = 0, plane = a_.h * a_.w * a_.o;
        for (int64_t y = group.rows.begin; y < group.rows.end; ++y) {
            int64_t* start = &group.lists.start[(y - group.rows.begin) * (a_.w + 1)];
            const T* p = static_cast<const T*>(a_.signal) + ((group.first * a_.h + y) * a_.w) * a_.o;
            for (int64_t x = 0; x < a_.w; ++x, p += a_.o) {
                start[x] = at;
                bool some = false;
                for (int64_t m = 0; m < group.seeds; ++m)
                    some |= a_.counts[((group.first + m) * a_.h + y) * a_.w + x] != 0;
                if (some) at = list_pixel(group.lists, p, plane, group.seeds, -x * a_.o, at);
            }
            start[a_.w] = at;
        }
    }

    int64_t list_pixel(const Lists& lists, const T* p, int64_t plane, int64_t seeds, int64_t shift, int64_t at) const {
        int64_t c = 0, columns = layout_.columns;
#if DESALI_VECTOR_BYTES == 64
        if constexpr (sizeof(T) == 4) {
            const __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            const __m512i step = _mm512_set1_epi32((int)columns);
            for (; c + 16 <= a_.o; c += 16) {
                __mmask16 some = 0;
                for (int64_t m = 0; m < seeds; ++m)
                    some |= _mm512_cmp_ps_mask(_mm512_loadu_ps(p + m * plane + c), _mm512_setzero_ps(), _CMP_NEQ_UQ);
                if (!some) continue;
                int count = __builtin_popcount(some);
                __mmask16 low = (__mmask16)((1u << count) - 1);
                __m512i which = _mm512_mullo_epi32(_mm512_add_epi32(index, _mm512_set1_epi32((int)(shift + c))), step);
                _mm512_mask_storeu_epi32(&lists.offset[at], low, _mm512_maskz_compress_epi32(some, which));
                for (int64_t m = 0; m < seeds; ++m)
                    _mm512_mask_storeu_ps(&lists.value[m * lists.pitch + at], low,
                                          _mm512_maskz_compress_ps(some, _mm512_loadu_ps(p + m * plane + c)));
                at += count;
            }
        }
#endif
        for (; c < a_.o; c += 8) {
            unsigned some = 0;
            for (int64_t m = 0; m < seeds; ++m) some |= nonzero_octet(p + m * plane + c, least(8, a_.o - c));
            for (; some; some &= some - 1, ++at) {
                int64_t channel = c + __builtin_ctz(some);
                lists.offset[at] = (uint32_t)((shift + channel) * columns);
                for (int64_t m = 0; m < seeds; ++m) lists.value[m * lists.pitch + at] = p[m * plane + channel];
            }
        }
        return at;
    }

    // Cut the window's rows whose cells are `owned` out of a seed's sums, whose first row of cells is `top`; zero what
    // lies outside the map or where no signal reaches, and close with the inverse ReLU.
    void emit(int64_t nk, const T* sums, int64_t top, const Range& owned) const {
        int64_t y0 = a_.out_origin.y(nk), x0 = a_.out_origin.x(nk), stride = a_.x_axis.stride, channels = a_.i;
        int64_t zero = a_.origin.y(nk) * a_.y_axis.stride - a_.y_axis.padding;
        int64_t shift = x0 - (a_.origin.x(nk) * stride - a_.x_axis.padding);
        int64_t begin = most(0, most(-shift, -x0)),
                end = least(a_.out_w, least(cells_x_ * stride - shift, a_.map_w - x0));
        for (int64_t r = 0; r < a_.out_h; ++r) {
            int64_t y = y0 + r, q = floor_div(y - zero, a_.y_axis.stride), phase = y - zero - q * a_.y_axis.stride;
            if (q < owned.begin || q >= owned.end) continue;
            T* out = static_cast<T*>(a_.out) + (nk * a_.out_h + r) * a_.out_w * channels;
            if (y < 0 || y >= a_.map_h || q < 0 || q >= cells_y_ || begin >= end) {
                std::memset(out, 0, (size_t)(a_.out_w * channels) * sizeof(T));
                continue;
            }
            std::memset(out, 0, (size_t)(begin * channels) * sizeof(T));
            std::memset(out + end * channels, 0, (size_t)((a_.out_w - end) * channels) * sizeof(T));
            const T* row = sums + (q - top) * cells_x_ * layout_.columns + phase * stride * channels;
            if (stride == 1 && layout_.columns == channels) {
                close(row + (begin + shift) * channels, out + begin * channels, nk, y, x0 + begin, end - begin);
                continue;
            }
            // Cell by cell: the end of the first, whole ones, the beginning of the last.
            int64_t cell = (begin + shift) / stride, within = begin + shift - cell * stride;
            const T* in = row + cell * layout_.columns + within * channels;
            int64_t x = begin, count = least(end - x, stride - within);
            if (a_.relu.active()) {
                for (; x < end; x += count, count = least(end - x, stride)) {
                    const uint8_t* bits = mask_at(a_.relu, nk / a_.k, y, x0 + x, a_.map_h, a_.map_w, channels);
                    rectify_pixels(in, out + x * channels, bits, a_.relu.backward, count, channels);
                    in = row + ++cell * layout_.columns;
                }
                continue;
            }
            copy_run(in, out + x * channels, count * channels);
            for (x += count; x + stride <= end; x += stride)
                copy_run(row + ++cell * layout_.columns, out + x * channels, stride * channels);
            if (x < end) copy_run(row + ++cell * layout_.columns, out + x * channels, (end - x) * channels);
        }
    }

    void close(const T* in, T* out, int64_t nk, int64_t y, int64_t x, int64_t pixels) const {
        const uint8_t* bits = mask_at(a_.relu, nk / a_.k, y, x, a_.map_h, a_.map_w, a_.i);
        rectify_pixels(in, out, bits, a_.relu.backward, pixels, a_.i);
    }

    const ConvArguments& a_;
    DenseLayout layout_;
    int64_t vectors_, cells_y_, cells_x_, total_;
};

}  // namespace
}  // namespace DESALI_LEVEL
}  // namespace desali
