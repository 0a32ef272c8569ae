// bfloat16 matrices by the tensor cores of one warp: mma.m16n8k16. In what
// lanes hold, g = lane / 4 and t = lane % 4.
#ifndef SEER_KERNELS_CUDA_MATRIX_FRAGMENTS_CUH_
#define SEER_KERNELS_CUDA_MATRIX_FRAGMENTS_CUH_

#include <cuda_bf16.h>

#include <cstdint>

namespace seer {
namespace cuda {

// c += a b: a 16 x 16, b 16 x 8. c[0..1] are of row g, c[2..3] of row g + 8,
// columns 2t and 2t + 1.
__device__ __forceinline__ void MultiplyAdd(float (&c)[4],
                                            const uint32_t (&a)[4], uint32_t b0,
                                            uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8 x 8 matrices in shared memory: lane l names row l % 8 of matrix
// l / 8, 16 bytes at a multiple of 16. Lane (g, t) gets elements 2t and 2t + 1
// of row g of each matrix.
__device__ __forceinline__ void LoadMatrices(const __nv_bfloat16* row,
                                             uint32_t (&words)[4]) {
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
      : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
      : "memory");
}

// The same of the matrices transposed: elements 2t and 2t + 1 of column g.
__device__ __forceinline__ void LoadTransposed(const __nv_bfloat16* row,
                                               uint32_t (&words)[4]) {
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
      : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
      : "memory");
}

// The operand a of 16 rows, kStride elements apart, and 16 columns from
// `tile` on.
template <int kStride>
__device__ __forceinline__ void LoadRows16x16(const __nv_bfloat16* tile,
                                              int lane, uint32_t (&a)[4]) {
  LoadMatrices(tile + lane % 16 * kStride + lane / 16 * 8, a);
}

// The operands b of 16 columns, of which each is a row of 16 elements from
// `tile` on: b[0..1] of the first 8, b[2..3] of the others.
template <int kStride>
__device__ __forceinline__ void LoadColumnsAsRows(const __nv_bfloat16* tile,
                                                  int lane, uint32_t (&b)[4]) {
  LoadMatrices(tile + (lane / 16 * 8 + lane % 8) * kStride + lane / 8 % 2 * 8,
               b);
}

// The same of 16 rows of 16 columns.
template <int kStride>
__device__ __forceinline__ void LoadColumns(const __nv_bfloat16* tile, int lane,
                                            uint32_t (&b)[4]) {
  LoadTransposed(tile + lane % 16 * kStride + lane / 16 * 8, b);
}

}  // namespace cuda
}  // namespace seer

#endif  // SEER_KERNELS_CUDA_MATRIX_FRAGMENTS_CUH_
