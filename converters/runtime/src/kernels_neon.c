/* NEON kernels, for every aarch64: CNT is the popcount of 16 bytes. */
#include "kernels_portable.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

/* Registers hold the popcounts of 4 pixels x 16 channels, as bytes, which are added to
 * 32-bit sums before they overflow. */
enum { PIXELS = 4, HALF = 16, WORDS_PER_FLUSH = 31 };

INLINE void neon_xor_popcount_part(const int n, const void *const *pixels,
                                   const Indirection *indirection,
                                   const uint32_t *weights, int32_t *accumulators) {
  uint8x16_t bytes[PIXELS][4];
  uint32x4_t sums[PIXELS][4];
  for (int p = 0; p < n; ++p)
    for (int q = 0; q < 4; ++q) {
      bytes[p][q] = vdupq_n_u8(0);
      sums[p][q] = vdupq_n_u32(0);
    }
  int left = WORDS_PER_FLUSH;
  for (int r = 0; r < indirection->num_segments; ++r) {
    int k = 0;
    while (k < indirection->segment_words) {
      int end =
          indirection->segment_words - k < left ? indirection->segment_words : k + left;
      left -= end - k;
      for (; k < end; ++k, weights += BLOCK) {
        uint32x4_t w[4];
        for (int q = 0; q < 4; ++q) w[q] = vld1q_u32(weights + 4 * q);
        for (int p = 0; p < n; ++p) {
          uint32x4_t v =
              vld1q_dup_u32((const uint32_t *)pixels[p] + indirection->offsets[r] + k);
          for (int q = 0; q < 4; ++q) {
            uint8x16_t x = vreinterpretq_u8_u32(veorq_u32(v, w[q]));
            bytes[p][q] = vaddq_u8(bytes[p][q], vcntq_u8(x));
          }
        }
      }
      if (left == 0) {
        for (int p = 0; p < n; ++p)
          for (int q = 0; q < 4; ++q) {
            sums[p][q] = vpadalq_u16(sums[p][q], vpaddlq_u8(bytes[p][q]));
            bytes[p][q] = vdupq_n_u8(0);
          }
        left = WORDS_PER_FLUSH;
      }
    }
  }
  for (int p = 0; p < n; ++p)
    for (int q = 0; q < 4; ++q) {
      uint32x4_t sum = vpadalq_u16(sums[p][q], vpaddlq_u8(bytes[p][q]));
      vst1q_s32(accumulators + p * BLOCK + 4 * q,
                vreinterpretq_s32_u32(vshlq_n_u32(sum, 1)));
    }
}

static void neon_xor_popcount(const void *const *pixels, int num_pixels,
                              const Indirection *indirection, const void *weights,
                              int32_t *accumulators) {
  for (int done = 0; done < num_pixels;) {
    int n = next_part(num_pixels - done, PIXELS);
    for (int h = 0; h < BLOCK; h += HALF) {
      const uint32_t *half = (const uint32_t *)weights + h;
      int32_t *out = accumulators + done * BLOCK + h;
      switch (n) { /* A constant n keeps the sums in registers. */
        case 4: neon_xor_popcount_part(4, pixels + done, indirection, half, out); break;
        case 3: neon_xor_popcount_part(3, pixels + done, indirection, half, out); break;
        case 2: neon_xor_popcount_part(2, pixels + done, indirection, half, out); break;
        default:
          neon_xor_popcount_part(1, pixels + done, indirection, half, out);
          break;
      }
    }
    done += n;
  }
}

static void neon_to_floats(const int32_t *accumulators, int num_pixels, int channels,
                           const OutputTransform *transform, float *out,
                           size_t stride) {
  int32x4_t low = vdupq_n_s32(transform->low), high = vdupq_n_s32(transform->high);
  int whole = channels & ~3;
  for (int c = 0; c < whole; c += 4) {
    float32x4_t multiplier = vld1q_f32(transform->multiplier + c);
    float32x4_t bias = vld1q_f32(transform->bias + c);
    for (int p = 0; p < num_pixels; ++p) {
      int32x4_t x = vld1q_s32(accumulators + p * BLOCK + c);
      x = vmaxq_s32(vminq_s32(x, high), low);
      float32x4_t y = vmulq_f32(vcvtq_f32_s32(x), multiplier);
      vst1q_f32(out + (size_t)p * stride + c, vaddq_f32(y, bias));
    }
  }
  portable_tail_to_floats(accumulators, num_pixels, whole, channels, transform, out,
                          stride);
}

/* One bit for each of 32 lanes that are all zeros or all ones. */
INLINE uint32_t neon_sign_bits(const uint32x4_t lanes[8]) {
  static const uint8_t powers[16] = {1, 2, 4, 8, 16, 32, 64, 128,
                                     1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t bits = vld1q_u8(powers);
  uint8x16_t half[2];
  for (int h = 0; h < 2; ++h) {
    const uint32x4_t *four = lanes + 4 * h;
    uint16x8_t a = vcombine_u16(vmovn_u32(four[0]), vmovn_u32(four[1]));
    uint16x8_t b = vcombine_u16(vmovn_u32(four[2]), vmovn_u32(four[3]));
    half[h] = vandq_u8(vcombine_u8(vmovn_u16(a), vmovn_u16(b)), bits);
  }
  uint8x16_t sums = vpaddq_u8(half[0], half[1]);
  sums = vpaddq_u8(sums, sums);
  sums = vpaddq_u8(sums, sums);
  return vgetq_lane_u32(vreinterpretq_u32_u8(sums), 0);
}

static void neon_to_bits(const int32_t *accumulators, int num_pixels,
                         const int32_t *thresholds, uint32_t *out, size_t stride) {
  int32x4_t limits[8];
  uint32x4_t more[8];
  for (int i = 0; i < 8; ++i) limits[i] = vld1q_s32(thresholds + 4 * i);
  for (int p = 0; p < num_pixels; ++p, accumulators += BLOCK, out += stride) {
    for (int i = 0; i < 8; ++i)
      more[i] = vcgtq_s32(vld1q_s32(accumulators + 4 * i), limits[i]);
    *out = neon_sign_bits(more);
  }
}

static void neon_pack_floats(const float *values, size_t channels, uint32_t *words) {
  size_t c = 0;
  for (; c + 32 <= channels; c += 32, values += 32) {
    uint32x4_t less[8];
    for (int i = 0; i < 8; ++i) less[i] = vcltzq_f32(vld1q_f32(values + 4 * i));
    *words++ = neon_sign_bits(less);
  }
  if (c < channels) portable_pack_floats(values, channels - c, words);
}

static void neon_unpack_floats(const uint32_t *words, size_t channels, float *values) {
  static const uint32_t powers[4] = {1, 2, 4, 8};
  const uint32x4_t bits = vld1q_u32(powers);
  const float32x4_t one = vdupq_n_f32(1.0f), minus = vdupq_n_f32(-1.0f);
  size_t c = 0;
  for (; c + 4 <= channels; c += 4) {
    uint32x4_t word = vdupq_n_u32(words[c / 32] >> c % 32);
    vst1q_f32(values + c, vbslq_f32(vtstq_u32(word, bits), minus, one));
  }
  portable_tail_unpack_floats(words, c, channels, values);
}

const Kernels kernels_neon = {
    .name = "neon",
    .word_size = sizeof(uint32_t),
    .packed_size = portable_packed_size,
    .pack_weights = portable_pack_weights,
    .xor_popcount = neon_xor_popcount,
    .to_floats = neon_to_floats,
    .to_int8 = portable_to_int8,
    .to_bits = neon_to_bits,
    .pack_floats = neon_pack_floats,
    .pack_int8 = portable_pack_int8,
    .unpack_floats = neon_unpack_floats,
};
#endif
