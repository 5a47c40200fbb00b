// Build with CUDA: the table of launchers and the visible devices. The runtime is linked statically, so the core also
// loads on machines without a GPU or a driver.
#include <cuda_runtime.h>

#include "device.hpp"
#include "device_check.cuh"

namespace desali {

bool cuda_built() {
    return true;
}

int device_count() {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : (cudaGetLastError(), 0);
}

std::string device_reason() {
    int count = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) return cudaGetLastError(), cudaGetErrorString(status);
    return count > 0 ? "" : "no CUDA device is visible";
}

std::string cuda_architectures() {
    return DESALI_CUDA_ARCHITECTURES;
}

DeviceGuard::DeviceGuard(int device) : before_(device), device_(device) {
    check(cudaGetDevice(&before_));
    if (before_ != device_) check(cudaSetDevice(device_));
}

DeviceGuard::~DeviceGuard() {
    if (before_ != device_) cudaSetDevice(before_);
}

namespace cuda {
const Launcher<ReluArguments> relu_with_mask = &relu_with_mask_cuda;
const Launcher<InverseReluArguments> inverse_relu = &inverse_relu_cuda;
const Launcher<MaxPoolArguments> max_pool = &max_pool_cuda;
const Launcher<MaxUnpoolArguments> max_unpool = &max_unpool_cuda;
const Launcher<ConvArguments> conv_transpose = &conv_transpose_cuda;
}  // namespace cuda

}  // namespace desali
