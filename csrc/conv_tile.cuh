// Problem and row arithmetic of the implicit GEMM: rows are outputs (or cells of outputs), columns are channels (or
// phases and channels of a cell), the depth goes over taps and over the signal's channels.
#pragma once

#include <climits>

#include "conv_transpose.hpp"
#include "device_check.cuh"

namespace desali {

// The taps of one axis that reach the outputs of one phase: first, first + step, ...; from one to the next the signal's
// position falls by `back`.
struct Taps {
    int first, step, count, back;
};

struct TileProblem {
    ConvArguments a;
    bool cells, aligned;
    int64_t rows_y, rows_x;  // of each seed: outputs of one phase, or cells
    int64_t rows;            // of all seeds
    int64_t row_tiles, tiles;
    int column_tiles, phases_y, phases_x;
    int columns, depth;      // of one group
    int taps_y, taps_x;      // cells: taps of a cell
    int period_y, period_x;  // tiles: distance of neighbouring taps of one phase

    // Position of the weight's row of a tap, before the column.
    __device__ int64_t tap_row(int tap_y, int tap_x) const {
        int64_t across = cells ? taps_x : a.x_axis.kernel, all = cells ? columns : a.i;
        return (tap_y * across + tap_x) * all;
    }
};

constexpr int far_away = INT_MIN / 2;  // a position outside every signal, whatever the tap

// Where the rows of a tile lie.
struct Row {
    int seed;                // n * K + k
    int signal_y, signal_x;  // for the first tap, within the region
    int out_y, out_x;        // first output, within the window; INT_MAX: none
};

__device__ __forceinline__ int clamp_position(int64_t position) {
    return position > INT_MAX / 2 || position < far_away ? far_away : static_cast<int>(position);
}

__device__ __forceinline__ Taps taps_of(const Axis& axis, int phase, int period) {
    int first = 0;
    while (first < period && first < axis.kernel && (first * axis.dilation - phase) % axis.stride != 0) ++first;
    bool some = first < period && first < axis.kernel;
    int count = some ? static_cast<int>((axis.kernel - 1 - first) / period) + 1 : 0;
    return {first, period, count, static_cast<int>(period * axis.dilation / axis.stride)};
}

// One axis of a row: its first output in the window and the signal's position for the first tap.
__device__ __forceinline__ void place(const Axis& axis, bool cells, int phase, const Taps& taps, int64_t index,
                                      int64_t window, int64_t region, int64_t out_size, int64_t map_size, int& out,
                                      int& signal) {
    int64_t from = window + axis.padding;
    if (cells) {
        int64_t cell = floor_div(from, axis.stride) + index, first = cell * axis.stride - from;
        out = first < out_size ? static_cast<int>(first) : INT_MAX;
        signal = clamp_position(cell - region);
        return;
    }
    int64_t lead = phase - (from - floor_div(from, axis.stride) * axis.stride);
    int64_t local = (lead < 0 ? lead + axis.stride : lead) + index * axis.stride, y = window + local;
    out = local < out_size ? static_cast<int>(local) : INT_MAX;
    bool reached = y >= 0 && y < map_size && taps.count > 0;
    signal =
        reached ? clamp_position((y + axis.padding - taps.first * axis.dilation) / axis.stride - region) : far_away;
}

__device__ __forceinline__ Row row_of(const TileProblem& p, int64_t index, int phase_y, int phase_x, const Taps& down,
                                      const Taps& across) {
    if (index >= p.rows) return {0, far_away, far_away, INT_MAX, INT_MAX};
    const ConvArguments& a = p.a;
    int64_t nk = index / (p.rows_y * p.rows_x), rest = index - nk * (p.rows_y * p.rows_x);
    int64_t y = rest / p.rows_x, x = rest - y * p.rows_x;
    Row row;
    row.seed = static_cast<int>(nk);
    place(a.y_axis, p.cells, phase_y, down, y, a.out_origin.y(nk), a.origin.y(nk), a.out_h, a.map_h, row.out_y,
          row.signal_y);
    place(a.x_axis, p.cells, phase_x, across, x, a.out_origin.x(nk), a.origin.x(nk), a.out_w, a.map_w, row.out_x,
          row.signal_x);
    if (row.out_y == INT_MAX || row.out_x == INT_MAX) row.signal_y = far_away;
    return row;
}

// Launchers of the compiled tile kernels; a problem that they do not take is left to the plain kernel.
bool tiles_fit(const ConvArguments&);
void conv_tiles_cuda(const ConvArguments&, void* stream);

}  // namespace desali
