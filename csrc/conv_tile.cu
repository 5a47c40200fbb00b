// Implicit GEMM: a block computes a tile of outputs by channels. The operands come through three stages of shared
// memory by asynchronous copies; the finished sums go through shared memory once more, so that neighbouring threads
// write neighbouring channels, closed by the inverse ReLU.
#include "conv_multiply.cuh"
#include "conv_tile.cuh"

namespace desali {
namespace {

constexpr int stages = 3;

template <class Product, int Columns>
struct TileMemory {
    union {
        Operands<Product::rows, Columns> operands[stages];
        typename Product::W sums[Product::rows][Columns + 4];
    };
    Row rows[Product::rows];
};

// Brings slice after slice of the depth (taps, then channels) into shared memory.
template <class T, int Rows, int Columns>
struct Loader {
    static constexpr int V = lanes_of<T>, per_slice = depth_bytes / static_cast<int>(sizeof(T));
    const TileProblem& p;
    const Row* rows;
    Taps down, across;
    int64_t group_channel;  // first channel of the group in the signal
    int64_t first_column;   // of the tile, in the weight's rows
    int columns_left;
    int tap_y = 0, tap_x = 0, channel = 0;

    __device__ __forceinline__ int64_t slices() const {
        return static_cast<int64_t>(down.count) * across.count * ((p.depth + per_slice - 1) / per_slice);
    }

    __device__ __forceinline__ void load(Operands<Rows, Columns>& to) {
        const T* signal = static_cast<const T*>(p.a.signal);
        const T* weight = static_cast<const T*>(p.a.packed);
        int part = threadIdx.x % 4, c = channel + part * V, left = p.depth - c;
        int wanted = left < 0 ? 0 : left < V ? left : V;
#pragma unroll
        for (int r = threadIdx.x / 4; r < Rows; r += tile_threads / 4) {
            int y = rows[r].signal_y - tap_y * down.back, x = rows[r].signal_x - tap_x * across.back;
            bool inside = y >= 0 && y < p.a.h && x >= 0 && x < p.a.w;
            const T* from = signal;
            if (inside) from += ((rows[r].seed * p.a.h + y) * p.a.w + x) * p.a.o + group_channel + c;
            fetch(&to.a[r][part * 16], from, inside ? wanted : 0, signal);
        }
        int64_t tap = p.tap_row(down.first + tap_y * down.step, across.first + tap_x * across.step);
#pragma unroll
        for (int r = threadIdx.x / 4; r < Columns; r += tile_threads / 4) {
            const T* from = weight + (tap + first_column + r) * p.depth + c;
            fetch(&to.b[r][part * 16], from, r < columns_left ? wanted : 0, weight);
        }
        channel += per_slice;
        if (channel < p.depth) return;
        channel = 0;
        if (++tap_x < across.count) return;
        tap_x = 0;
        ++tap_y;
    }

  private:
    __device__ __forceinline__ void fetch(void* to, const T* from, int count, const T* valid) const {
        if (p.aligned) {
            copy_async(to, count > 0 ? from : valid, count * static_cast<int>(sizeof(T)));
            return;
        }
        Pack<T, V> values;
#pragma unroll
        for (int v = 0; v < V; ++v) values.at[v] = v < count ? from[v] : narrow<T>(0);
        *static_cast<Pack<T, V>*>(to) = values;
    }
};

template <class T, class W, int Rows, int Columns>
__device__ __forceinline__ void write_tile(const TileProblem& p, const Row* rows, const W (&sums)[Rows][Columns + 4],
                                           int64_t first_channel, int first_column) {
    const ConvArguments& a = p.a;
    int64_t octets = (a.i + 7) / 8;
    for (int item = threadIdx.x; item < Rows * Columns; item += tile_threads) {
        int r = item / Columns, column = first_column + item % Columns;
        const Row& row = rows[r];
        if (column >= p.columns || row.out_y == INT_MAX || row.out_x == INT_MAX) continue;
        int64_t y = row.out_y, x = row.out_x, channel = first_channel + column;
        if (p.cells) {
            int channels = static_cast<int>(a.i), phase = column / channels, wide = static_cast<int>(a.x_axis.stride);
            channel = column - phase * channels;
            y += phase / wide;
            x += phase % wide;
            if (y < 0 || y >= a.out_h || x < 0 || x >= a.out_w) continue;
        }
        int64_t nk = row.seed, map_y = y + a.out_origin.y(nk), map_x = x + a.out_origin.x(nk);
        W value = 0;
        if (map_y >= 0 && map_y < a.map_h && map_x >= 0 && map_x < a.map_w) {
            value = sums[r][item % Columns];
            if (a.relu.backward) value = rectify(value);
            if (a.relu.mask) {
                int64_t pixel = (nk / a.k * a.map_h + map_y) * a.map_w + map_x;
                if (!(a.relu.mask[pixel * octets + channel / 8] >> (channel % 8) & 1)) value = 0;
            }
        }
        static_cast<T*>(a.out)[((nk * a.out_h + y) * a.out_w + x) * a.i + channel] = narrow<T>(value);
    }
}

template <class T, class Product, int Columns>
__global__ void __launch_bounds__(tile_threads) tile_kernel(TileProblem p) {
    constexpr int Rows = Product::rows;
    using Memory = TileMemory<Product, Columns>;
    DESALI_SHARED(Memory, memory);
    for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
        int64_t rest = tile;
        int column_tile = static_cast<int>(rest % p.column_tiles);
        rest /= p.column_tiles;
        int64_t group = rest % p.a.groups;
        rest /= p.a.groups;
        int phase_x = static_cast<int>(rest % p.phases_x);
        rest /= p.phases_x;
        int phase_y = static_cast<int>(rest % p.phases_y);
        rest /= p.phases_y;
        Taps down{0, 1, p.taps_y, 1}, across{0, 1, p.taps_x, 1};
        if (!p.cells) {
            down = taps_of(p.a.y_axis, phase_y, p.period_y);
            across = taps_of(p.a.x_axis, phase_x, p.period_x);
        }
        if (threadIdx.x < Rows)
            memory.rows[threadIdx.x] = row_of(p, rest * Rows + threadIdx.x, phase_y, phase_x, down, across);
        __syncthreads();

        int first_column = column_tile * Columns;
        Loader<T, Rows, Columns> loader{
            p, memory.rows, down, across, group * p.depth, group * p.columns + first_column, p.columns - first_column};
        int64_t slices = loader.slices();
        Product product;
        product.clear();
        for (int s = 0; s < stages - 1; ++s) {
            if (s < slices) loader.load(memory.operands[s]);
            commit_copies();
        }
        int stage = 0;
        for (int64_t slice = 0; slice < slices; ++slice) {
            wait_copies<stages - 2>();
            __syncthreads();  // this slice has arrived for all threads, and nobody reads the one before
            if (slice + stages - 1 < slices) loader.load(memory.operands[(stage + stages - 1) % stages]);
            commit_copies();
            product.step(memory.operands[stage]);
            stage = (stage + 1) % stages;
        }
        wait_copies<0>();
        __syncthreads();
        product.store(memory.sums);
        __syncthreads();
        write_tile<T, typename Product::W, Rows, Columns>(p, memory.rows, memory.sums, group * p.columns, first_column);
        __syncthreads();
    }
}

int greatest_common_divisor(int64_t a, int64_t b) {
    while (b) {
        int64_t rest = a % b;
        a = b, b = rest;
    }
    return static_cast<int>(a);
}

template <class T, class Product, int Columns>
void run(TileProblem p, void* stream) {
    static_assert(sizeof(TileMemory<Product, Columns>) <= 48 * 1024, "static shared memory ends at 48 KiB");
    p.column_tiles = static_cast<int>(ceil_div(p.columns, Columns));
    p.row_tiles = ceil_div(p.rows, Product::rows);
    p.tiles = p.row_tiles * p.column_tiles * p.a.groups * p.phases_y * p.phases_x;
    launch(tile_kernel<T, Product, Columns>, least(p.tiles, most_blocks), tile_threads, stream, p);
}

template <class T, template <class, int> class Product>
void run(const TileProblem& p, void* stream) {
    if (p.columns <= 16)
        run<T, Product<T, 16>, 16>(p, stream);
    else if (p.columns <= 48)
        run<T, Product<T, 48>, 48>(p, stream);
    else
        run<T, Product<T, 64>, 64>(p, stream);
}

}  // namespace

bool tiles_fit(const ConvArguments& a) {
    const Axis &y = a.y_axis, &x = a.x_axis;
    bool cells = a.way == CudaWay::cells;
    if (!small(y) || !small(x) || !small(a.n * a.k, a.o, a.i, a.h, a.w, a.out_h, a.out_w)) return false;
    if (!small(y.kernel * y.dilation + a.h, x.kernel * x.dilation + a.w)) return false;
    if (cells && (a.groups != 1 || y.dilation != 1 || x.dilation != 1)) return false;
    return y.stride <= 1024 && x.stride <= 1024 && small(y.stride * x.stride * a.i);
}

void conv_tiles_cuda(const ConvArguments& a, void* stream) {
    const Axis &y = a.y_axis, &x = a.x_axis;
    TileProblem p{};
    p.a = a;
    p.cells = a.way == CudaWay::cells;
    p.depth = static_cast<int>(a.o / a.groups);
    if (p.cells) {
        p.columns = static_cast<int>(y.stride * x.stride * a.i);
        p.taps_y = static_cast<int>(ceil_div(y.kernel, y.stride));
        p.taps_x = static_cast<int>(ceil_div(x.kernel, x.stride));
        p.phases_y = p.phases_x = 1;
        // A window may begin inside a cell.
        p.rows_y = (a.out_h - 1) / y.stride + 2;
        p.rows_x = (a.out_w - 1) / x.stride + 2;
    } else {
        p.columns = static_cast<int>(a.i / a.groups);
        p.period_y = static_cast<int>(y.stride / greatest_common_divisor(y.stride, y.dilation));
        p.period_x = static_cast<int>(x.stride / greatest_common_divisor(x.stride, x.dilation));
        p.phases_y = static_cast<int>(y.stride), p.phases_x = static_cast<int>(x.stride);
        p.rows_y = ceil_div(a.out_h, y.stride), p.rows_x = ceil_div(a.out_w, x.stride);
    }
    p.rows = a.n * a.k * p.rows_y * p.rows_x;
    with_type(a.dtype, [&](auto zero) {
        using T = decltype(zero);
        p.aligned = p.depth % lanes_of<T> == 0 && aligned(a.signal, 16) && aligned(a.packed, 16);
        if constexpr (sizeof(T) == 8) {
            run<T, ScalarProduct>(p, stream);
        } else if constexpr (sizeof(T) == 4) {
            if (a.tf32)
                run<T, TensorProduct>(p, stream);
            else
                run<T, ScalarProduct>(p, stream);
        } else {
            run<T, TensorProduct>(p, stream);
        }
    });
}

}  // namespace desali
