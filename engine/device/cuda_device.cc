#include "engine/device/cuda_device.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/cuda/cuda_status.h"

namespace seer {
namespace {

constexpr char kAtenLibrary[] = "libtorch_cuda.so";

std::string AllocationOf(size_t size) {
  return absl::StrCat("CUDA: ", size, " bytes of memory");
}

absl::Status Missing(absl::string_view what) {
  return absl::FailedPreconditionError(what);
}

// Never unloaded: what it registers stays.
absl::Status LoadAtenLibrary() {
  static const std::string* const problem = [] {
    const char* error = nullptr;
    if (dlopen(kAtenLibrary, RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      error = dlerror();
    }
    return new std::string(error == nullptr ? "" : error);
  }();
  if (problem->empty()) return absl::OkStatus();
  return Missing(absl::StrCat("cannot load ", kAtenLibrary, " (", *problem,
                              "): it comes with torch 2.11.0, and must be "
                              "where the program's libraries are looked for"));
}

// What ATen throws, as a status.
template <typename Fn>
absl::Status CatchingExceptions(Fn fn) {
  try {
    fn();
    return absl::OkStatus();
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("ATen: ", e.what()));
  }
}

class CudaClock final : public DeviceClock {
 public:
  explicit CudaClock(cudaStream_t stream) : stream_(stream) {}
  ~CudaClock() override {
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
  }

  void Reset() override { num_points_ = 0; }
  int Mark() override {
    if (num_points_ == static_cast<int>(events_.size())) {
      events_.push_back(nullptr);
      cudaEventCreate(&events_.back());
    }
    cudaEventRecord(events_[num_points_], stream_);
    return num_points_++;
  }
  absl::Status Wait() override {
    if (num_points_ == 0) return absl::OkStatus();
    return CudaStatus("CUDA", cudaEventSynchronize(events_[num_points_ - 1]));
  }
  absl::Duration Between(int begin, int end) const override {
    float ms = 0;
    if (cudaEventElapsedTime(&ms, events_[begin], events_[end]) !=
        cudaSuccess) {
      cudaGetLastError();
      return absl::ZeroDuration();
    }
    return absl::Milliseconds(ms);
  }

 private:
  const cudaStream_t stream_;
  std::vector<cudaEvent_t> events_;  // kept from step to step
  int num_points_ = 0;
};

class CudaGraph final : public DeviceGraph {
 public:
  CudaGraph(cudaGraphExec_t graph, cudaStream_t stream)
      : graph_(graph), stream_(stream) {}
  ~CudaGraph() override { cudaGraphExecDestroy(graph_); }

  absl::Status Enqueue() override {
    return CudaStatus("CUDA", cudaGraphLaunch(graph_, stream_));
  }

 private:
  const cudaGraphExec_t graph_;
  const cudaStream_t stream_;
};

class CudaDevice final : public Device {
 public:
  CudaDevice(int index, std::string description, c10::Stream stream)
      : index_(index),
        description_(std::move(description)),
        aten_stream_(stream),
        stream_(static_cast<cudaStream_t>(stream.native_handle())) {}

  std::string name() const override { return absl::StrCat("cuda:", index_); }
  std::string description() const override { return description_; }
  Backend backend() const override { return Backend::kCuda; }
  int index() const override { return index_; }
  bool shares_host_memory() const override { return false; }

  absl::Status BindThisThread() override;
  DeviceStream stream() const override;
  absl::StatusOr<DeviceMemory> Allocate(size_t size) override;
  absl::StatusOr<DeviceMemory> AllocateHost(size_t size) override;
  absl::Status Copy(void* to, const void* from, size_t size) override;
  absl::Status CopyRow(const DeviceTables& tables, size_t from,
                       size_t to) override;
  absl::Status Synchronize() override;
  absl::StatusOr<int64_t> FreeBytes() override;
  std::unique_ptr<DeviceClock> MakeClock() override {
    return std::make_unique<CudaClock>(stream_);
  }
  absl::StatusOr<std::unique_ptr<DeviceGraph>> Record(
      std::function<absl::Status()> enqueue) override;

 private:
  // Gives back what ATen's allocator holds unused, once all work is done.
  absl::Status ReleaseUnused();

  const int index_;
  const std::string description_;
  const c10::Stream aten_stream_;
  const cudaStream_t stream_;
};

absl::Status CudaDevice::BindThisThread() {
  SEER_RETURN_IF_ERROR(CudaStatus("CUDA", cudaSetDevice(index_)));
  return CatchingExceptions([&] {
    const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
    guard.setDevice(aten_stream_.device());
    guard.exchangeStream(aten_stream_);
  });
}

DeviceStream CudaDevice::stream() const {
  DeviceStream stream;
  stream.cuda_stream = stream_;
  return stream;
}

absl::Status CudaDevice::ReleaseUnused() {
  SEER_RETURN_IF_ERROR(Synchronize());
  return CatchingExceptions(
      [] { at::getDeviceAllocator(c10::DeviceType::CUDA)->emptyCache(); });
}

absl::StatusOr<DeviceMemory> CudaDevice::Allocate(size_t size) {
  if (size == 0) return DeviceMemory();
  SEER_RETURN_IF_ERROR(CudaStatus("CUDA", cudaSetDevice(index_)));
  void* data = nullptr;
  absl::Status allocated =
      CudaStatus(AllocationOf(size), cudaMalloc(&data, size));
  if (absl::IsResourceExhausted(allocated)) {
    SEER_RETURN_IF_ERROR(ReleaseUnused());
    allocated = CudaStatus(AllocationOf(size), cudaMalloc(&data, size));
  }
  SEER_RETURN_IF_ERROR(allocated);
  // The device's errors are told where work is enqueued, not here.
  DeviceMemory memory(data, size, [](void* data, size_t) { cudaFree(data); });
  SEER_RETURN_IF_ERROR(
      CudaStatus("CUDA", cudaMemsetAsync(data, 0, size, stream_)));
  return memory;
}

absl::StatusOr<DeviceMemory> CudaDevice::AllocateHost(size_t size) {
  if (size == 0) return DeviceMemory();
  SEER_RETURN_IF_ERROR(CudaStatus("CUDA", cudaSetDevice(index_)));
  void* data = nullptr;
  SEER_RETURN_IF_ERROR(
      CudaStatus(AllocationOf(size), cudaMallocHost(&data, size)));
  std::memset(data, 0, size);
  return DeviceMemory(data, size,
                      [](void* data, size_t) { cudaFreeHost(data); });
}

absl::Status CudaDevice::Copy(void* to, const void* from, size_t size) {
  return CudaStatus(
      "CUDA", cudaMemcpyAsync(to, from, size, cudaMemcpyDefault, stream_));
}

absl::Status CudaDevice::CopyRow(const DeviceTables& tables, size_t from,
                                 size_t to) {
  // As rows of planes: from table to table it can be more than the 2 GiB that
  // the rows of one plane may be apart.
  cudaMemcpy3DParms copy = {};
  copy.srcPtr = {tables.data, tables.row_bytes, tables.row_bytes,
                 tables.num_rows};
  copy.dstPtr = copy.srcPtr;
  copy.srcPos.y = from;
  copy.dstPos.y = to;
  copy.extent = {tables.row_bytes, 1, tables.num_tables};
  copy.kind = cudaMemcpyDeviceToDevice;
  return CudaStatus("CUDA", cudaMemcpy3DAsync(&copy, stream_));
}

absl::Status CudaDevice::Synchronize() {
  return CudaStatus("CUDA", cudaStreamSynchronize(stream_));
}

absl::StatusOr<std::unique_ptr<DeviceGraph>> CudaDevice::Record(
    std::function<absl::Status()> enqueue) {
  // Relaxed: kernels are loaded when they are first named, which may be here.
  SEER_RETURN_IF_ERROR(CudaStatus(
      "CUDA", cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed)));
  absl::Status enqueued;
  const absl::Status thrown = CatchingExceptions([&] { enqueued = enqueue(); });
  // Whatever happened, the stream must leave the capture.
  cudaGraph_t graph = nullptr;
  const absl::Status ended =
      CudaStatus("CUDA", cudaStreamEndCapture(stream_, &graph));
  cudaGraphExec_t executable = nullptr;
  absl::Status made;
  if (graph != nullptr) {
    if (thrown.ok() && enqueued.ok() && ended.ok()) {
      made = CudaStatus("CUDA", cudaGraphInstantiate(&executable, graph, 0));
    }
    cudaGraphDestroy(graph);
  }
  for (const absl::Status& status : {thrown, enqueued, ended, made}) {
    SEER_RETURN_IF_ERROR(status);
  }
  return std::make_unique<CudaGraph>(executable, stream_);
}

absl::StatusOr<int64_t> CudaDevice::FreeBytes() {
  SEER_RETURN_IF_ERROR(CudaStatus("CUDA", cudaSetDevice(index_)));
  // What ATen's allocator holds unused counts as free.
  SEER_RETURN_IF_ERROR(ReleaseUnused());
  size_t free = 0;
  size_t total = 0;
  SEER_RETURN_IF_ERROR(CudaStatus("CUDA", cudaMemGetInfo(&free, &total)));
  return static_cast<int64_t>(free);
}

}  // namespace

absl::Status CheckCudaDevice(int index) {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  cudaDeviceProp properties;
  if (error == cudaSuccess && index < count) {
    error = cudaGetDeviceProperties(&properties, index);
  }
  if (error != cudaSuccess) {
    cudaGetLastError();
    return Missing(absl::StrCat("no GPU: ", cudaGetErrorString(error)));
  }
  if (index >= count) {
    return Missing(absl::StrCat("no GPU ", index, ": there are ", count));
  }
  if (properties.major != 9 || properties.minor != 0) {
    return Missing(absl::StrCat(properties.name, " has compute capability ",
                                properties.major, ".", properties.minor,
                                ", the kernels are for 9.0"));
  }
  return LoadAtenLibrary();
}

absl::StatusOr<std::unique_ptr<Device>> OpenCudaDevice(int index) {
  SEER_RETURN_IF_ERROR(CheckCudaDevice(index));
  cudaDeviceProp properties;
  SEER_RETURN_IF_ERROR(CudaStatus("CUDA", cudaSetDevice(index)));
  SEER_RETURN_IF_ERROR(
      CudaStatus("CUDA", cudaGetDeviceProperties(&properties, index)));
  std::unique_ptr<Device> device;
  SEER_RETURN_IF_ERROR(CatchingExceptions([&] {
    at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
    // Products of bf16 are to be summed in fp32, parts of them too.
    at::globalContext().setAllowBF16ReductionCuBLAS(
        /*allow_reduced_precision=*/false, /*allow_splitk=*/true);
    const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
    const c10::Device aten_device(c10::DeviceType::CUDA,
                                  static_cast<c10::DeviceIndex>(index));
    device = std::make_unique<CudaDevice>(
        index,
        absl::StrCat(properties.name, ", ", properties.totalGlobalMem >> 20,
                     " MiB"),
        guard.getStreamFromGlobalPool(aten_device));
  }));
  SEER_RETURN_IF_ERROR(device->BindThisThread());
  return device;
}

}  // namespace seer
