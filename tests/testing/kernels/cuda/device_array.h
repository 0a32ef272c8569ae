// Arrays in a GPU's memory, for tests and benchmarks.
#ifndef SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_ARRAY_H_
#define SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_ARRAY_H_

#include <cstdint>
#include <string>
#include <vector>

struct CUstream_st;  // what a cudaStream_t points to

namespace seer {

// Why kernels cannot run on the current device; empty: they can.
std::string MissingCudaDevice();

// Bytes on the current device. Errors of the device end the program.
class DeviceArray {
 public:
  // Filled with 0xff: NaN to floats, -1 to counts.
  explicit DeviceArray(int64_t num_bytes);
  DeviceArray(const void* host, int64_t num_bytes);
  ~DeviceArray();
  DeviceArray(DeviceArray&& other) noexcept;
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  template <class T>
  static DeviceArray Of(const std::vector<T>& values) {
    return DeviceArray(values.data(), values.size() * sizeof(T));
  }

  void* data() const { return data_; }
  template <class T>
  T* As() const {
    return static_cast<T*>(data_);
  }
  int64_t num_bytes() const { return num_bytes_; }
  // Waits for the device.
  void CopyTo(void* host) const;
  // Puts a copy of `from`, which is as large, into a stream.
  void EnqueueCopyOf(const DeviceArray& from, CUstream_st* stream) const;

 private:
  void* data_ = nullptr;
  int64_t num_bytes_ = 0;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_KERNELS_CUDA_DEVICE_ARRAY_H_
