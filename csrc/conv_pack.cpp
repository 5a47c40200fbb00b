// How the weights of a transposed convolution are laid out for the two kernels.
#include <cstring>

#include "conv_transpose.hpp"

namespace desali {

static int64_t itemsize(const ConvArguments& a) {
    return a.dtype == DType::f64 ? 8 : 4;
}

bool lists_cells(const ConvArguments& a) {
    if (a.groups != 1 || a.y_axis.dilation != 1 || a.x_axis.dilation != 1) return false;
    DenseLayout cells = DenseLayout::of(a.i, a.y_axis, a.x_axis, itemsize(a));
    SparseLayout rows = SparseLayout::of(a.i, a.groups, a.x_axis, itemsize(a));
    // Many columns: the weight is kept once for each. Offsets into the weights of a kernel row have 32 bits.
    if (cells.columns > 1 << 14 || a.o * cells.taps_x >= (int64_t(1) << 32) / cells.columns) return false;
    return 2 * cells.taps_y * cells.taps_x * cells.columns <= 3 * a.y_axis.kernel * rows.length;
}

int64_t packed_size(const ConvArguments& a, bool dense) {
    if (dense) {
        DenseLayout layout = DenseLayout::of(a.i, a.y_axis, a.x_axis, itemsize(a));
        return layout.taps_y * layout.taps_x * a.o * layout.columns * (layout.folded ? 2 : 1);
    }
    if (lists_cells(a)) return packed_size(a, true);
    SparseLayout layout = SparseLayout::of(a.i, a.groups, a.x_axis, itemsize(a));
    return a.o * a.y_axis.kernel * layout.segments * layout.length;
}

template <class T>
static bool pack(const ConvArguments& a, bool dense, const T* weight, T* packed) {
    std::memset(packed, 0, (size_t)packed_size(a, dense) * sizeof(T));
    int64_t kh = a.y_axis.kernel, kw = a.x_axis.kernel, per_group = a.i / a.groups;
    SparseLayout sparse = SparseLayout::of(a.i, a.groups, a.x_axis, sizeof(T));
    DenseLayout block = DenseLayout::of(a.i, a.y_axis, a.x_axis, sizeof(T));
    bool finite = true;
    for (int64_t index = 0; index < a.o * per_group * kh * kw; ++index) finite &= weight[index] - weight[index] == 0;
    for (int64_t o = 0; o < a.o; ++o)
        for (int64_t i = 0; i < per_group; ++i)
            for (int64_t y = 0; y < kh; ++y)
                for (int64_t x = 0; x < kw; ++x) {
                    int64_t at;
                    if (dense) {
                        int64_t tap = y / a.y_axis.stride * block.taps_x + x / a.x_axis.stride;
                        int64_t phase = y % a.y_axis.stride * a.x_axis.stride + x % a.x_axis.stride;
                        int64_t row = (tap * a.o + o) * block.columns, column = phase * a.i + i;
                        at = row + column;
                        if (block.folded)
                            packed[block.taps_y * block.taps_x * a.o * block.columns + row +
                                   DenseLayout::folded_column(column)] =
                                weight[((o * per_group + i) * kh + y) * kw + x];
                    } else {
                        int64_t segment = sparse.segments == 1 ? 0 : x;
                        int64_t within = sparse.segments == 1 ? x * per_group + i : i;
                        at = ((o * kh + y) * sparse.segments + segment) * sparse.length + within;
                    }
                    packed[at] = weight[((o * per_group + i) * kh + y) * kw + x];
                }
    return finite;
}

bool pack_weight(const ConvArguments& a, bool dense, const void* weight, void* packed) {
    dense |= lists_cells(a);
    if (a.dtype == DType::f32) return pack(a, dense, static_cast<const float*>(weight), static_cast<float*>(packed));
    return pack(a, dense, static_cast<const double*>(weight), static_cast<double*>(packed));
}

}  // namespace desali
