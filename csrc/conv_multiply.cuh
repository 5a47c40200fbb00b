// The product of a tile's operands, which lie in shared memory as rows of 64 bytes along the depth, 80 bytes apart (so
// that eight rows never meet in a bank): on tensor cores, or with one multiply-add at a time.
#pragma once

#include "tensor_core.cuh"

namespace desali {

constexpr int tile_threads = 256;
constexpr int depth_bytes = 64;
constexpr int pitch_bytes = depth_bytes + 16;

template <int Rows, int Columns>
struct Operands {
    alignas(16) unsigned char a[Rows][pitch_bytes];
    alignas(16) unsigned char b[Columns][pitch_bytes];
};

// float32 and float64 as they are: a thread has every sixteenth row and column.
template <class T, int Columns>
struct ScalarProduct {
    using W = T;
    static constexpr int rows = sizeof(T) == 8 ? 64 : 128;
    static constexpr int own_rows = rows / 16, own_columns = Columns / 16;
    W sum[own_rows][own_columns];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < own_rows; ++i)
#pragma unroll
            for (int j = 0; j < own_columns; ++j) sum[i][j] = 0;
    }

    __device__ __forceinline__ void step(const Operands<rows, Columns>& operands) {
        constexpr int V = lanes_of<T>;
        int row = threadIdx.x / 16, column = threadIdx.x % 16;
#pragma unroll
        for (int part = 0; part < depth_bytes; part += 16) {
            Pack<T, V> a[own_rows], b[own_columns];
#pragma unroll
            for (int i = 0; i < own_rows; ++i)
                a[i] = *reinterpret_cast<const Pack<T, V>*>(&operands.a[row + 16 * i][part]);
#pragma unroll
            for (int j = 0; j < own_columns; ++j)
                b[j] = *reinterpret_cast<const Pack<T, V>*>(&operands.b[column + 16 * j][part]);
#pragma unroll
            for (int v = 0; v < V; ++v)
#pragma unroll
                for (int i = 0; i < own_rows; ++i)
#pragma unroll
                    for (int j = 0; j < own_columns; ++j) sum[i][j] += a[i].at[v] * b[j].at[v];
        }
    }

    template <class Sums>
    __device__ __forceinline__ void store(Sums& sums) const {
        int row = threadIdx.x / 16, column = threadIdx.x % 16;
#pragma unroll
        for (int i = 0; i < own_rows; ++i)
#pragma unroll
            for (int j = 0; j < own_columns; ++j) sums[row + 16 * i][column + 16 * j] = sum[i][j];
    }
};

// TF32 (T = float), float16 and bfloat16, summed in float32: eight warps share the tile.
template <class T, int Columns>
struct TensorProduct {
    using W = float;
    static constexpr int rows = 128;
    static constexpr int warps_across = Columns == 64 ? 2 : 1, warps_down = 8 / warps_across;
    static constexpr int own_rows = rows / warps_down / 16, own_columns = Columns / warps_across / 8;  // fragments
    static_assert(own_rows >= 1 && own_columns % 2 == 0, "two fragments of columns are loaded together");
    float sum[own_rows][own_columns][4];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < own_rows; ++i)
#pragma unroll
            for (int j = 0; j < own_columns; ++j)
#pragma unroll
                for (int v = 0; v < 4; ++v) sum[i][j][v] = 0;
    }

    static __device__ __forceinline__ int first_row() { return threadIdx.x / 32 / warps_across * own_rows * 16; }
    static __device__ __forceinline__ int first_column() { return threadIdx.x / 32 % warps_across * own_columns * 8; }

    __device__ __forceinline__ void step(const Operands<rows, Columns>& operands) {
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int part = 0; part < depth_bytes; part += slice_bytes) {
            uint32_t a[own_rows][4];
#pragma unroll
            for (int i = 0; i < own_rows; ++i) {  // rows 0-7, rows 8-15, then the same for the second 16 bytes
                load_matrices(a[i], &operands.a[first_row() + 16 * i + lane % 16][part + lane / 16 * 16]);
                round_all(a[i]);
            }
#pragma unroll
            for (int j = 0; j < own_columns; j += 2) {  // columns 0-7 in two halves, then columns 8-15
                uint32_t b[4];
                load_matrices(b,
                              &operands.b[first_column() + 8 * j + lane / 16 * 8 + lane % 8][part + lane / 8 % 2 * 16]);
                round_all(b);
#pragma unroll
                for (int i = 0; i < own_rows; ++i) {
                    multiply_add<T>(sum[i][j], a[i], b[0], b[1]);
                    multiply_add<T>(sum[i][j + 1], a[i], b[2], b[3]);
                }
            }
        }
    }

    template <class Sums>
    __device__ __forceinline__ void store(Sums& sums) const {
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < own_rows; ++i)
#pragma unroll
            for (int j = 0; j < own_columns; ++j)
#pragma unroll
                for (int v = 0; v < 4; ++v)
                    sums[first_row() + 16 * i + lane / 4 + v / 2 * 8][first_column() + 8 * j + lane % 4 * 2 + v % 2] =
                        sum[i][j][v];
    }

  private:
    static __device__ __forceinline__ void round_all(uint32_t (&words)[4]) {
        if constexpr (sizeof(T) == 4) {
#pragma unroll
            for (int v = 0; v < 4; ++v) words[v] = round_tf32(words[v]);
        }
    }
};

}  // namespace desali
