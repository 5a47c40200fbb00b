// Errors of the CUDA runtime as exceptions, and the float types of the kernels.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "geometry.hpp"

namespace desali {

inline void check(cudaError_t status) {
    if (status != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

// f(T()) with the type that `dtype` names.
template <class F>
void with_type(DType dtype, const F& f) {
    switch (dtype) {
        case DType::f32:
            return f(float());
        case DType::f64:
            return f(double());
        case DType::f16:
            return f(__half());
        case DType::bf16:
            return f(__nv_bfloat16());
    }
}

// The type that a kernel computes in: float for the two small ones.
template <class T>
struct Wide {
    using type = float;
};
template <>
struct Wide<double> {
    using type = double;
};

}  // namespace desali
