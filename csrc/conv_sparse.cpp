// Transposed convolution that walks the non-zeros of the signal: by cells (conv_listed.hpp) or, for groups of channels,
// dilated kernels and rows that would leave cells half empty, as follows. The non-zeros of each pixel are listed once;
// then each row of the output gathers, for every pixel above it, sum_j value_j * weight[channel_j, ky, :] in registers,
// a run of neighbouring outputs at a time. Several seeds take turns at a pixel, since they tend to read the same
// weights.
#include "conv_listed.hpp"
#include "conv_transpose.hpp"
#include "parallel.hpp"
#include "rectify.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

template <class T>
int64_t count_all(const CountArguments& a) {
    constexpr int lanes = Simd<T>::lanes;
    const T* signal = static_cast<const T*>(a.signal);
    parallel_ranges(a.pixels, a.pixels * a.channels, [&](int64_t begin, int64_t end) {
        for (int64_t pixel = begin; pixel < end; ++pixel) {
            const T* p = signal + pixel * a.channels;
            int64_t c = 0, count = 0;
#if DESALI_VECTOR_BYTES == 64
            if constexpr (sizeof(T) == 4)
                for (; c + lanes <= a.channels; c += lanes)
                    count += __builtin_popcount(
                        _mm512_cmp_ps_mask(_mm512_loadu_ps(p + c), _mm512_setzero_ps(), _CMP_NEQ_UQ));
#endif
            Integers<T> minus{};
            for (; c + lanes <= a.channels; c += lanes) minus += load<Vector<T>>(p + c) != Vector<T>{};
            for (int l = 0; l < lanes; ++l) count -= minus[l];
            for (; c < a.channels; ++c) count += p[c] != 0;
            a.counts[pixel] = (int32_t)count;
        }
    });
    int64_t total = 0;
    for (int64_t pixel = 0; pixel < a.pixels; ++pixel) total += a.counts[pixel];
    return total;
}

// The non-zeros of every pixel: entries start[pixel] to start[pixel + 1] of `channel` and `value`, channels ascending.
template <class T>
struct NonZeros {
    Scratch<int64_t> start;
    int64_t total;
    Scratch<int32_t> channel;
    Scratch<T> value;

    NonZeros(const T* signal, const int32_t* counts, int64_t pixels, int64_t channels)
        : start(pixels + 1), total(sum_up(counts, pixels)), channel(total), value(total) {
        parallel_ranges(pixels, pixels * channels, [&](int64_t begin, int64_t end) {
            for (int64_t pixel = begin; pixel < end; ++pixel)
                if (counts[pixel]) list(signal + pixel * channels, channels, start[pixel]);
        });
    }

  private:
    int64_t sum_up(const int32_t* counts, int64_t pixels) {
        start[0] = 0;
        for (int64_t i = 0; i < pixels; ++i) start[i + 1] = start[i] + counts[i];
        return start[pixels];
    }

    void list(const T* p, int64_t channels, int64_t at) {
        int64_t c = 0;
#if DESALI_VECTOR_BYTES == 64
        if constexpr (sizeof(T) == 4) {
            __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            for (; c + 16 <= channels; c += 16) {
                __m512 v = _mm512_loadu_ps(p + c);
                __mmask16 some = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
                if (!some) continue;
                int count = __builtin_popcount(some);
                __mmask16 low = (__mmask16)((1u << count) - 1);
                __m512i which = _mm512_add_epi32(index, _mm512_set1_epi32((int)c));
                _mm512_mask_storeu_ps(value.get() + at, low, _mm512_maskz_compress_ps(some, v));
                _mm512_mask_storeu_epi32(channel.get() + at, low, _mm512_maskz_compress_epi32(some, which));
                at += count;
            }
        }
#endif
        for (; c < channels; ++c)
            if (p[c] != 0) {
                channel[at] = (int32_t)c;
                value[at++] = p[c];
            }
    }
};

// Where a vector of sums lives: its place relative to the pixel's first output, and how many of its lanes count.
struct Target {
    int64_t at, lanes;
};

// row[target i] += sum_j value[j] * weight[channel[j]][vector i], for NV vectors of neighbouring weights.
template <class T, int NV>
void accumulate(const int32_t* channel, const T* value, int64_t count, const T* weight, int64_t stride, T* row,
                const Target* targets) {
    constexpr int lanes = Simd<T>::lanes;
    Vector<T> sum[NV];
#pragma GCC unroll 32
    for (int i = 0; i < NV; ++i)
        sum[i] = targets[i].lanes == lanes ? load<Vector<T>>(row + targets[i].at)
                                           : load_part<T>(row + targets[i].at, targets[i].lanes);
    for (int64_t j = 0; j < count; ++j) {
        Vector<T> v = broadcast(value[j]);
        const T* w = weight + channel[j] * stride;
#pragma GCC unroll 32
        for (int i = 0; i < NV; ++i) sum[i] += v * load<Vector<T>>(w + i * lanes);
    }
#pragma GCC unroll 32
    for (int i = 0; i < NV; ++i)
        if (targets[i].lanes == lanes)
            store(row + targets[i].at, sum[i]);
        else
            store_part<T>(row + targets[i].at, sum[i], targets[i].lanes);
}

template <class T>
using Accumulate = void (*)(const int32_t*, const T*, int64_t, const T*, int64_t, T*, const Target*);

constexpr int most_vectors = DESALI_REGISTERS == 32 ? 24 : 12;

template <class T, int NV>
Accumulate<T> accumulator(int64_t vectors) {
    if constexpr (NV == 1)
        return accumulate<T, 1>;
    else
        return vectors == NV ? accumulate<T, NV> : accumulator<T, NV - 1>(vectors);
}

// A part of what one input pixel adds to the rows of a group, small enough for the registers.
template <class T>
struct Piece {
    Accumulate<T> add;
    const T* weight;
    const Target* targets;
};

template <class T>
class Walk {
  public:
    // The output is walked in groups of rows: the `stride` rows that meet the same input rows, if the kernel is not
    // dilated in y, else one row at a time.
    explicit Walk(const ConvArguments& a)
        : a_(a),
          layout_(SparseLayout::of(a.i, a.groups, a.x_axis, sizeof(T))),
          height_(a.y_axis.dilation == 1 ? a.y_axis.stride : 1),
          group_(least(height_, a.y_axis.kernel)),
          taps_(ceil_div(a.y_axis.kernel, group_)),
          weight_stride_(a.y_axis.kernel * layout_.segments * layout_.length),
          spread_(a.x_axis.spread(a.w)),
          row_size_(ceil_div(spread_ * a.i, 16) * 16),
          vectors_(layout_.segments * layout_.length / lanes),
          targets_(a.y_axis.kernel * vectors_),
          pieces_(a.y_axis.kernel * vectors_),
          piece_begin_(taps_ + 1),
          found_(static_cast<const T*>(a.signal), a.counts, a.n * a.k * a.h * a.w, a.o) {
        int64_t count = 0;
        for (int64_t tap = 0; tap < taps_; ++tap) {
            piece_begin_[tap] = count;
            int64_t first = tap * group_ * vectors_, end = least(a.y_axis.kernel, (tap + 1) * group_) * vectors_;
            int64_t parts = ceil_div(end - first, most_vectors);
            for (int64_t part = 0; part < parts; ++part) {
                int64_t from = first + (end - first) * part / parts, to = first + (end - first) * (part + 1) / parts;
                pieces_[count++] = {accumulator<T, most_vectors>(to - from),
                                    static_cast<const T*>(a.packed) + from * lanes, &targets_[from]};
            }
        }
        piece_begin_[taps_] = count;
        int64_t per_segment = layout_.length / lanes;
        for (int64_t v = 0; v < a.y_axis.kernel * vectors_; ++v) {
            int64_t row = v / vectors_ % group_, segment = v % vectors_ / per_segment, at = v % per_segment * lanes;
            targets_[v] = {row * row_size_ + segment * layout_.step + at, most(0, least(lanes, layout_.used - at))};
        }
    }

    void run() const {
        int64_t seeds = a_.n * a_.k;
        int64_t groups = ceil_div(a_.out_h - 1, height_) + 1;
        // Seeds that take turns at a pixel share its weights. Worth it where a kernel row's weights exceed the L1
        // cache.
        int64_t row_weights = a_.o * group_ * layout_.segments * layout_.length * (int64_t)sizeof(T);

        int64_t room = row_weights > (256 << 10) ? 192 << 10 : 24 << 10;
        int64_t block = most(1, least(seeds, room / (int64_t)(group_ * row_size_ * sizeof(T) + 1)));
        while (block > 1 && ceil_div(seeds, block) * groups < 4 * thread_count()) block = (block + 1) / 2;
        int64_t cost = seeds * a_.out_h * a_.out_w * a_.i + found_.total * layout_.used;
        parallel_for(ceil_div(seeds, block) * groups, cost, [&](int64_t task) {
            int64_t first = task / groups * block;
            rows(first, least(seeds, first + block), task % groups);
        });
    }

  private:
    static constexpr int64_t lanes = Simd<T>::lanes;

    // Group `index` of the output windows of the seeds [first, last).
    void rows(int64_t first, int64_t last, int64_t index) const {
        int64_t seeds = last - first, seed_size = group_ * row_size_;
        Scratch<T> sums(seeds * seed_size);
        Scratch<const int64_t*> above(seeds);
        std::memset(sums.get(), 0, (size_t)(seeds * seed_size) * sizeof(T));
        for (int64_t tap = 0; tap < taps_; ++tap) {
            bool any = false;
            for (int64_t b = 0; b < seeds; ++b) {
                above[b] = row_above(first + b, first_row(first + b, index), tap * group_);
                any |= above[b] != nullptr;
            }
            for (int64_t x = 0; any && x < a_.w; ++x)
                for (int64_t piece = piece_begin_[tap]; piece < piece_begin_[tap + 1]; ++piece)
                    visit(sums.get() + x * a_.x_axis.stride * a_.i, seed_size, above.get(), seeds, x, pieces_[piece]);
        }
        for (int64_t b = 0; b < seeds; ++b) {
            int64_t nk = first + b, y = first_row(nk, index), y0 = a_.out_origin.y(nk);
            int64_t end = least(height_, y0 + a_.out_h - y);  // a stride may be far larger than the window
            for (int64_t g = most(0, y0 - y); g < end; ++g)
                emit(nk, y + g - y0, g < group_ ? &sums[b * seed_size + g * row_size_] : nullptr);
        }
    }

    // Map coordinate of the first row of a group.
    int64_t first_row(int64_t nk, int64_t index) const {
        int64_t y0 = a_.out_origin.y(nk), stride = a_.y_axis.stride, padding = a_.y_axis.padding;
        if (a_.y_axis.dilation > 1) return y0 + index;
        return (floor_div(y0 + padding, stride) + index) * stride - padding;
    }

    // Where the lists of the input row start that meets output row y at kernel row ky, or null.
    const int64_t* row_above(int64_t nk, int64_t y, int64_t ky) const {
        int64_t distance = y + a_.y_axis.padding - ky * a_.y_axis.dilation;
        int64_t p = floor_div(distance, a_.y_axis.stride), row = p - a_.origin.y(nk);
        if (p * a_.y_axis.stride != distance || row < 0 || row >= a_.h) return nullptr;
        return &found_.start[(nk * a_.h + row) * a_.w];
    }

    void visit(T* to, int64_t seed_size, const int64_t* const* above, int64_t seeds, int64_t x,
               const Piece<T>& piece) const {
        for (int64_t b = 0; b < seeds; ++b, to += seed_size) {
            if (!above[b]) continue;
            int64_t begin = above[b][x], end = above[b][x + 1];
            if (begin == end) continue;
            if (a_.groups == 1) {
                piece.add(&found_.channel[begin], &found_.value[begin], end - begin, piece.weight, weight_stride_, to,
                          piece.targets);
                continue;
            }
            int64_t per_group = a_.o / a_.groups, outputs = a_.i / a_.groups;
            while (begin < end) {  // the channels ascend, so those of one group are neighbours
                int64_t group = found_.channel[begin] / per_group, stop = begin + 1;
                while (stop < end && found_.channel[stop] / per_group == group) ++stop;
                piece.add(&found_.channel[begin], &found_.value[begin], stop - begin, piece.weight, weight_stride_,
                          to + group * outputs, piece.targets);
                begin = stop;
            }
        }
    }

    // Cut the window out of a finished row (null: all zero), zero what lies outside, and close with the inverse ReLU.
    void emit(int64_t nk, int64_t r, const T* row) const {
        int64_t y = r + a_.out_origin.y(nk), x0 = a_.out_origin.x(nk), channels = a_.i;
        int64_t shift = x0 - (a_.origin.x(nk) * a_.x_axis.stride - a_.x_axis.padding);
        int64_t begin = most(0, most(-shift, -x0)), end = least(a_.out_w, least(spread_ - shift, a_.map_w - x0));
        if (!row || y < 0 || y >= a_.map_h || end < begin) begin = end = 0;
        T* out = static_cast<T*>(a_.out) + (nk * a_.out_h + r) * a_.out_w * channels;
        std::memset(out, 0, (size_t)(begin * channels) * sizeof(T));
        if (begin < end) {
            const uint8_t* bits = mask_at(a_.relu, nk / a_.k, y, x0 + begin, a_.map_h, a_.map_w, channels);
            rectify_pixels(row + (begin + shift) * channels, out + begin * channels, bits, a_.relu.backward,
                           end - begin, channels);
        }
        std::memset(out + end * channels, 0, (size_t)((a_.out_w - end) * channels) * sizeof(T));
    }

    const ConvArguments& a_;
    SparseLayout layout_;
    int64_t height_, group_, taps_, weight_stride_, spread_, row_size_, vectors_;
    Scratch<Target> targets_;
    Scratch<Piece<T>> pieces_;
    Scratch<int64_t> piece_begin_;
    NonZeros<T> found_;
};

}  // namespace

int64_t count_nonzeros(const CountArguments& a) {
    return a.dtype == DType::f32 ? count_all<float>(a) : count_all<double>(a);
}

void conv_transpose_sparse(const ConvArguments& a) {
    if (a.n * a.k * a.out_h * a.out_w * a.i == 0) return;
    if (lists_cells(a)) {
        if (a.dtype == DType::f32)
            Listed<float>(a).run();
        else
            Listed<double>(a).run();
    } else if (a.dtype == DType::f32)
        Walk<float>(a).run();
    else
        Walk<double>(a).run();
}

}  // namespace DESALI_LEVEL
}  // namespace desali
