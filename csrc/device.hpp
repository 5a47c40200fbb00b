// The CUDA side as the rest of the core sees it: which launchers exist, which devices are visible, and why none is.
// Without CUDA every launcher is null and nothing here needs a driver.
#pragma once

#include <string>

#include "conv_transpose.hpp"
#include "inverse_relu.hpp"
#include "max_pool.hpp"
#include "max_unpool.hpp"
#include "relu_with_mask.hpp"

namespace desali {

bool cuda_built();
int device_count();                // 0 without a driver or device
std::string device_reason();       // why there is none; empty if there is one
std::string cuda_architectures();  // as they were given to the compiler

// Makes a device the current one, and restores the one before.
class DeviceGuard {
  public:
    explicit DeviceGuard(int device);
    ~DeviceGuard();
    DeviceGuard(const DeviceGuard&) = delete;
    DeviceGuard& operator=(const DeviceGuard&) = delete;

  private:
    int before_, device_;
};

// Launchers, null where a kernel does not exist. Each takes the stream as a cudaStream_t.
namespace cuda {
template <class Arguments>
using Launcher = void (*)(const Arguments&, void* stream);

extern const Launcher<ReluArguments> relu_with_mask;
extern const Launcher<InverseReluArguments> inverse_relu;
extern const Launcher<MaxPoolArguments> max_pool;
extern const Launcher<MaxUnpoolArguments> max_unpool;
extern const Launcher<ConvArguments> conv_transpose;
}  // namespace cuda

}  // namespace desali
