// Transposed convolution of channels-last signals, closed by the inverse ReLU of the layer below. Two ways:
// sparse walks the non-zeros of the signal; dense multiplies blocks of pixels, one product for each phase of the
// stride.
#pragma once

#include "cpu.hpp"
#include "geometry.hpp"

namespace desali {

// How CUDA computes it. plain: one thread for each output. tiles: an implicit GEMM for each phase of the stride.
// cells: one GEMM whose columns are all phases of a cell of stride x stride pixels; one group, no dilation. sparse:
// walks the signal's non-zeros.
enum class CudaWay : int { plain = 0, tiles = 1, cells = 2, sparse = 3 };

struct ConvArguments {
    DType dtype;
    const void* signal;  // [N, K, h, w, O] contiguous
    const void* packed;  // the weight as pack_sparse or pack_dense lays it out
    void* out;           // [N, K, out_h, out_w, I] contiguous
    InverseRelu relu;
    Origins origin, out_origin;
    int64_t n, k, o, i, h, w, out_h, out_w, map_h, map_w, groups;
    Axis y_axis, x_axis;
    const int32_t* counts;  // sparse: non-zeros of each pixel, [N, K, h, w]
    CudaWay way = CudaWay::plain;
    bool tf32 = false;        // CUDA, float32: round the factors to TF32 and use the tensor cores
    void* scratch = nullptr;  // CUDA, sparse: sparse_scratch_bytes, aligned to 16
};

// What CudaWay::sparse writes its lists to: an entry for each element of the signal, and the length of each list.
inline int64_t sparse_scratch_bytes(DType dtype, int64_t pixels, int64_t channels, int64_t groups) {
    return pixels * channels * (dtype == DType::f64 ? 16 : 8) + pixels * groups * 4;
}

struct CountArguments {
    DType dtype;
    const void* signal;  // [pixels, channels] contiguous
    int32_t* counts;     // [pixels]
    int64_t pixels, channels;
};

// Sparse layout: [O, kh, segments, length] with rows of I / groups weights that land on neighbouring elements; with
// one group and no dilation in x, the whole kernel row (kw * I) is one segment. Lengths are padded to 64 bytes.
struct SparseLayout {
    int64_t segments, used, length, step;  // step: distance of two segments' targets in elements

    static DESALI_HOST_DEVICE SparseLayout of(int64_t channels, int64_t groups, const Axis& x_axis, int64_t itemsize) {
        bool whole = groups == 1 && x_axis.dilation == 1;
        int64_t per_group = channels / groups, pad = 64 / itemsize;
        int64_t used = whole ? x_axis.kernel * per_group : per_group;
        return {whole ? 1 : x_axis.kernel, used, (used + pad - 1) / pad * pad, x_axis.dilation * channels};
    }
};

// Dense layout: [ty, tx, O, columns]. The stride splits the outputs into cells of stride x stride pixels; a cell is the
// sum over ty x tx = ceil(kernel / stride) taps, and its columns are (phase y, phase x, channel), padded to 64 bytes.
// Where `folded`, the same follows once more in the order of folded_column() (conv_folded.hpp).
struct DenseLayout {
    int64_t taps_y, taps_x, used, columns;
    bool folded;

    static DESALI_HOST_DEVICE DenseLayout of(int64_t channels, const Axis& y, const Axis& x, int64_t itemsize) {
        int64_t used = y.stride * x.stride * channels, pad = 64 / itemsize;
        bool folded =
            itemsize == 4 && channels == 3 && y.stride == 4 && x.stride == 4 && y.kernel % 4 == 3 && x.kernel % 4 == 3;
        return {(y.kernel + y.stride - 1) / y.stride, (x.kernel + x.stride - 1) / x.stride, used,
                (used + pad - 1) / pad * pad, folded};
    }

    // The place of a column, phase y * 12 + phase x * 3 + channel, in the folded order: the first 8 that the last tap
    // in x has not (phase x = 3) at 32, the first 8 that the last in y has not (phase y = 3) at 40, the others before.
    static int64_t folded_column(int64_t column) {
        int64_t y = column / 12, within = column % 12;
        if (y < 3) {
            int64_t at = y * 3 + within - 9;
            return within < 9 ? y * 9 + within : at < 8 ? 32 + at : 27;
        }
        return within < 8 ? 40 + within : 20 + within;
    }
};

// Whether the sparse way multiplies by cells (conv_listed.hpp) and takes the weight as the dense way does: where that
// leaves few more lanes of the vectors empty than rows of the kernel do.
bool lists_cells(const ConvArguments&);

// `weight` is [O, I / groups, kh, kw] contiguous, `packed` has packed_size elements. Dense: one group, no dilation.
// pack_weight says whether all weights are finite.
int64_t packed_size(const ConvArguments&, bool dense);
bool pack_weight(const ConvArguments&, bool dense, const void* weight, void* packed);

// CUDA; the stream is a cudaStream_t. `packed` is [kh, kw, I, O / groups] for plain and tiles, and for cells
// [ty, tx, stride y, stride x, I, O] with ty * tx = ceil(kernel / stride) taps; row i of group g reads channels
// g * O / groups and on; for sparse [kh, kw, O, I / groups].
void conv_transpose_cuda(const ConvArguments&, void* stream);
void conv_sparse_cuda(const ConvArguments&, void* stream);

}  // namespace desali

DESALI_CPU_LAUNCHER(int64_t, count_nonzeros, CountArguments)
DESALI_CPU_LAUNCHER(void, conv_transpose_sparse, ConvArguments)
DESALI_CPU_LAUNCHER(void, conv_transpose_dense, ConvArguments)
