// Dense transposed convolution. The stride cuts the output into cells of stride x stride pixels; a cell is a product of
// a few input pixels (taps) with all phases of the kernel at once, so that even three image channels fill the vectors.
// A block of cells stays in registers while the taps and channels go by; every output is written once.
#include "conv_folded.hpp"
#include "conv_transpose.hpp"
#include "parallel.hpp"
#include "rectify.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

// A tile of sums: 8 x 3 vectors of 32 registers, 6 x 2 of 16.
constexpr int cells_at_once = DESALI_REGISTERS == 32 ? 8 : 6;
constexpr int most_columns = DESALI_REGISTERS == 32 ? 3 : 2;  // vectors

// Sums of `cells_at_once` cells for NV vectors of columns: over taps and channels of pixel[tap][cell] * weight[tap].
template <class T, int NV>
void multiply(const T* const* pixels, int64_t taps, int64_t channels, const T* weight, int64_t columns, T* out) {
    constexpr int lanes = Simd<T>::lanes, M = cells_at_once;
    Vector<T> sum[M][NV];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 3
        for (int i = 0; i < NV; ++i) sum[m][i] = Vector<T>{};
    for (int64_t tap = 0; tap < taps; ++tap, pixels += M) {
        const T* w = weight + tap * channels * columns;
        if (!pixels[0]) continue;  // no cell of the block has this tap
        const T* pixel[M];
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) pixel[m] = pixels[m];
        for (int64_t o = 0; o < channels; ++o, w += columns) {
            Vector<T> column[NV];
#pragma GCC unroll 3
            for (int i = 0; i < NV; ++i) {
                column[i] = load<Vector<T>>(w + i * lanes);
                DESALI_HOLD(column[i]);
            }
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m) {
                Vector<T> v = broadcast(pixel[m][o]);
#pragma GCC unroll 3
                for (int i = 0; i < NV; ++i) sum[m][i] += v * column[i];
            }
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 3
        for (int i = 0; i < NV; ++i) store(out + m * columns + i * lanes, sum[m][i]);
}

template <class T>
class Cells {
  public:
    explicit Cells(const ConvArguments& a)
        : a_(a), layout_(DenseLayout::of(a.i, a.y_axis, a.x_axis, sizeof(T))), nothing_(a.o) {
        std::memset(nothing_.get(), 0, (size_t)a.o * sizeof(T));
    }

    void run() const {
        int64_t seeds = a_.n * a_.k, most_rows = (a_.out_h - 1) / a_.y_axis.stride + 2;
        int64_t bands = least(most_rows, most(1, ceil_div(8 * thread_count(), seeds)));
        parallel_for(seeds * bands, seeds * a_.out_h * a_.out_w * a_.i * a_.o, [&](int64_t task) {
            int64_t nk = task / bands, band = task % bands;
            int64_t y0 = a_.out_origin.y(nk), first = floor_div(y0 + a_.y_axis.padding, a_.y_axis.stride);
            int64_t rows = floor_div(y0 + a_.out_h - 1 + a_.y_axis.padding, a_.y_axis.stride) - first + 1;
            cell_rows(nk, first + rows * band / bands, first + rows * (band + 1) / bands);
        });
    }

  private:
    // Rows of cells [first, last), in absolute coordinates: cell (q, r) begins at (q * stride - padding, ...).
    void cell_rows(int64_t nk, int64_t first, int64_t last) const {
        int64_t y0 = a_.out_origin.y(nk), x0 = a_.out_origin.x(nk), top = a_.origin.y(nk), left = a_.origin.x(nk);
        int64_t begin = most(y0, first * a_.y_axis.stride - a_.y_axis.padding);
        int64_t end = least(y0 + a_.out_h, last * a_.y_axis.stride - a_.y_axis.padding);
        // The part that the signal reaches inside the map; the rest of these rows is zero.
        int64_t y_low = most(0, top * a_.y_axis.stride - a_.y_axis.padding);
        int64_t y_high = least(a_.map_h, top * a_.y_axis.stride - a_.y_axis.padding + a_.y_axis.spread(a_.h));
        int64_t x_low = most(x0, most(0, left * a_.x_axis.stride - a_.x_axis.padding));
        int64_t x_high =
            least(x0 + a_.out_w, least(a_.map_w, left * a_.x_axis.stride - a_.x_axis.padding + a_.x_axis.spread(a_.w)));
        for (int64_t y = begin; y < end; ++y) {
            T* row = static_cast<T*>(a_.out) + (nk * a_.out_h + y - y0) * a_.out_w * a_.i;
            bool reached = y >= y_low && y < y_high && x_low < x_high;
            int64_t from = reached ? x_low - x0 : 0, to = reached ? x_high - x0 : 0;
            std::memset(row, 0, (size_t)(from * a_.i) * sizeof(T));
            std::memset(row + to * a_.i, 0, (size_t)((a_.out_w - to) * a_.i) * sizeof(T));
        }
        y_low = most(y_low, begin), y_high = least(y_high, end);
        if (y_low >= y_high || x_low >= x_high) return;
        int64_t q0 = floor_div(y_low + a_.y_axis.padding, a_.y_axis.stride);
        int64_t q1 = floor_div(y_high - 1 + a_.y_axis.padding, a_.y_axis.stride) + 1;
        int64_t r0 = floor_div(x_low + a_.x_axis.padding, a_.x_axis.stride);
        int64_t r1 = floor_div(x_high - 1 + a_.x_axis.padding, a_.x_axis.stride) + 1;
        int64_t taps = layout_.taps_y * layout_.taps_x, cells = (q1 - q0) * (r1 - r0);
        Scratch<T> sums(cells_at_once * layout_.columns);
        Scratch<const T*> pixels(taps * cells_at_once);
        Box box{y_low, y_high, x_low, x_high};
        Order order(q0, q1, r0, r1, most(r0, left + layout_.taps_x - 1), least(r1, left + a_.w));
        Cell block[cells_at_once];
        for (int64_t done = 0; done < cells; done += cells_at_once) {
            int64_t count = least(cells_at_once, cells - done);
            for (int64_t m = 0; m < count; ++m) block[m] = order.next();
            for (int64_t m = count; m < cells_at_once; ++m) block[m] = block[m - 1];
            find_pixels(nk, block, top, left, pixels.get());
            multiply_all(pixels.get(), taps, sums.get());
            for (int64_t m = 0; m < count; ++m) emit(nk, block[m], box, &sums[m * layout_.columns]);
        }
    }

    struct Box {
        int64_t y_low, y_high, x_low, x_high;
    };

    struct Cell {
        int64_t q, r;
    };

    // The cells of a rectangle: first the columns on the left that lack taps, one after the other, so that the cells
    // of a block lack the same ones; then the rows between; then the columns on the right.
    class Order {
      public:
        Order(int64_t q0, int64_t q1, int64_t r0, int64_t r1, int64_t from, int64_t to)
            : q0_(q0), q1_(q1), from_(from < to ? from : r0), to_(from < to ? to : r1), at_{q0, r0} {}

        Cell next() {
            Cell cell = at_;
            if (at_.r < from_ || at_.r >= to_) {
                if (++at_.q == q1_) at_ = {q0_, at_.r + 1};
            } else if (++at_.r == to_) {
                at_ = at_.q + 1 < q1_ ? Cell{at_.q + 1, from_} : Cell{q0_, to_};
            }
            return cell;
        }

      private:
        int64_t q0_, q1_, from_, to_;
        Cell at_;
    };

    // For each tap the input pixel of each cell of the block; zeros where it has none; null first where no cell has
    // one.
    void find_pixels(int64_t nk, const Cell* block, int64_t top, int64_t left, const T** to) const {
        const T* signal = static_cast<const T*>(a_.signal) + nk * a_.h * a_.w * a_.o;
        const Cell first = block[0], last = block[cells_at_once - 1];
        if (last.q == first.q && last.r == first.r + cells_at_once - 1 && first.q - top >= layout_.taps_y - 1 &&
            first.q - top < a_.h && first.r - left >= layout_.taps_x - 1 && last.r - left < a_.w) {
            // Neighbours in a row that have all taps. The next block brings new pixels at the first tap only.
            const char* ahead = (const char*)(signal + ((first.q - top) * a_.w + last.r - left + 1) * a_.o);
            for (int64_t i = 0; i < cells_at_once * a_.o * (int64_t)sizeof(T); i += 64) __builtin_prefetch(ahead + i);
            for (int64_t ty = 0; ty < layout_.taps_y; ++ty)
                for (int64_t tx = 0; tx < layout_.taps_x; ++tx, to += cells_at_once) {
                    const T* pixel = signal + ((first.q - top - ty) * a_.w + first.r - left - tx) * a_.o;
                    for (int64_t m = 0; m < cells_at_once; ++m) to[m] = pixel + m * a_.o;
                }
            return;
        }
        const T* none = nothing_.get();
        for (int64_t m = 0; m < cells_at_once; ++m) {
            int64_t q = block[m].q - top, r = block[m].r - left;
            const T** slot = to + m;
            for (int64_t ty = 0; ty < layout_.taps_y; ++ty) {
                int64_t y = q - ty;
                bool row_inside = y >= 0 && y < a_.h;
                for (int64_t x = r; x > r - layout_.taps_x; --x, slot += cells_at_once)
                    *slot = row_inside && x >= 0 && x < a_.w ? signal + (y * a_.w + x) * a_.o : none;
            }
        }
        int64_t taps = layout_.taps_y * layout_.taps_x;
        for (int64_t tap = 0; tap < taps; ++tap, to += cells_at_once) {
            bool some = false;
            for (int64_t m = 0; m < cells_at_once; ++m) some |= to[m] != none;
            if (!some) to[0] = nullptr;
        }
    }

    void multiply_all(const T* const* pixels, int64_t taps, T* sums) const {
        constexpr int lanes = Simd<T>::lanes;
        if constexpr (has_folded && sizeof(T) == 4)
            if (layout_.folded) {
                const T* weight = static_cast<const T*>(a_.packed) + taps * a_.o * layout_.columns;
                return multiply_folded(pixels, layout_.taps_y, layout_.taps_x, a_.o, weight, sums);
            }
        int64_t vectors = ceil_div(layout_.used, lanes), pieces = ceil_div(vectors, most_columns);
        for (int64_t piece = 0; piece < pieces; ++piece) {
            int64_t first = vectors * piece / pieces, size = vectors * (piece + 1) / pieces - first;
            const T* weight = static_cast<const T*>(a_.packed) + first * lanes;
            auto kernel = size == 1 ? multiply<T, 1> : size == 2 ? multiply<T, 2> : multiply<T, most_columns>;
            kernel(pixels, taps, a_.o, weight, layout_.columns, sums + first * lanes);
        }
    }

    // Write the pixels of a cell that lie in the box.
    void emit(int64_t nk, const Cell& cell, const Box& box, const T* sums) const {
        int64_t y = cell.q * a_.y_axis.stride - a_.y_axis.padding, x = cell.r * a_.x_axis.stride - a_.x_axis.padding;
        int64_t from = most(box.x_low, x), to = least(box.x_high, x + a_.x_axis.stride);
        int64_t bottom = least(box.y_high, y + a_.y_axis.stride), row = most(box.y_low, y);
        int64_t y0 = a_.out_origin.y(nk), x0 = a_.out_origin.x(nk), row_size = a_.x_axis.stride * a_.i;
        T* out = static_cast<T*>(a_.out) + ((nk * a_.out_h + row - y0) * a_.out_w + from - x0) * a_.i;
        const T* in = sums + (row - y) * row_size + (from - x) * a_.i;
        for (; row < bottom; ++row, out += a_.out_w * a_.i, in += row_size) {
            if (a_.relu.active()) {
                const uint8_t* bits = mask_at(a_.relu, nk / a_.k, row, from, a_.map_h, a_.map_w, a_.i);
                rectify_pixels(in, out, bits, a_.relu.backward, to - from, a_.i);
            } else {
                copy_run(in, out, (to - from) * a_.i);
            }
        }
    }

    const ConvArguments& a_;
    DenseLayout layout_;
    Scratch<T> nothing_;
};

}  // namespace

void conv_transpose_dense(const ConvArguments& a) {
    if (a.n * a.k * a.out_h * a.out_w * a.i == 0) return;
    if (a.dtype == DType::f32)
        Cells<float>(a).run();
    else
        Cells<double>(a).run();
}

}  // namespace DESALI_LEVEL
}  // namespace desali
