// Windows along one axis, in the integer type that a kernel counts in.
#pragma once

#include "device_check.cuh"

namespace desali {

template <class Index>
struct PoolAxis {
    Index kernel, stride, padding, dilation;

    explicit PoolAxis(const Axis& axis)
        : kernel(static_cast<Index>(axis.kernel)),
          stride(static_cast<Index>(axis.stride)),
          padding(static_cast<Index>(axis.padding)),
          dilation(static_cast<Index>(axis.dilation)) {}

    // First and last + 1 offset of window p inside a map of `size` elements; first = 0 where none is.
    __device__ __forceinline__ void valid(Index p, Index size, Index& first, Index& last) const {
        Index start = p * stride - padding, room = size - start;
        first = start < 0 ? (dilation == 1 ? -start : (dilation - 1 - start) / dilation) : 0;
        last = room <= 0 ? 0 : dilation == 1 ? room : (room + dilation - 1) / dilation;
        if (last > kernel) last = kernel;
        if (first >= kernel) first = 0;
    }

    // First and last window of `windows` that may reach position y >= 0.
    __device__ __forceinline__ void cover(Index y, Index windows, Index& first, Index& last) const {
        Index reach = y + padding, before = reach - (kernel - 1) * dilation;
        first = before <= 0 ? 0 : (before + stride - 1) / stride;
        last = reach / stride;
        if (last >= windows) last = windows - 1;
    }

    // Offset in window p that lies on position y, or -1.
    __device__ __forceinline__ Index offset(Index y, Index p) const {
        Index distance = y + padding - p * stride;
        if (dilation == 1) return distance >= 0 && distance < kernel ? distance : Index(-1);
        if (distance < 0 || distance % dilation != 0) return -1;
        Index k = distance / dilation;
        return k < kernel ? k : Index(-1);
    }
};

}  // namespace desali
