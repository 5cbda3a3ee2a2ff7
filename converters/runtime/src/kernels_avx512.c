/* AVX-512 kernels with VPOPCNTDQ, the popcount of 16 words in one instruction. */
#include "kernels_portable.h"

#if defined(__x86_64__)
#if defined(BNN_EMULATE_AVX512)
/* SIMDe emulates these instructions in plain C, for tests on other processors. */
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#define AVX512
/* SIMDe 0.7 lacks this instruction. */
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
static inline __m512 emulated_cvtepi32_ps(__m512i integers) {
  int32_t lanes[16];
  float floats[16];
  _mm512_storeu_si512(lanes, integers);
  for (int i = 0; i < 16; ++i) floats[i] = (float)lanes[i];
  return _mm512_loadu_ps(floats);
}
#else
#include <immintrin.h>
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vpopcntdq")))
#endif
#define INLINE static inline __attribute__((always_inline))

/* Registers hold the popcounts of 6 pixels x 32 channels. */
enum { PIXELS = 6 };

INLINE AVX512 void avx512_xor_popcount_part(const int n, const void *const *pixels,
                                            const Indirection *indirection,
                                            const uint32_t *weights,
                                            int32_t *accumulators) {
  __m512i sums[PIXELS][2];
  for (int p = 0; p < n; ++p)
    for (int h = 0; h < 2; ++h) sums[p][h] = _mm512_setzero_si512();
  for (int r = 0; r < indirection->num_segments; ++r) {
    int offset = indirection->offsets[r];
    for (int k = 0; k < indirection->segment_words; ++k, weights += BLOCK) {
      __m512i w0 = _mm512_loadu_si512(weights);
      __m512i w1 = _mm512_loadu_si512(weights + 16);
      for (int p = 0; p < n; ++p) {
        __m512i v = _mm512_set1_epi32(((const int *)pixels[p])[offset + k]);
        sums[p][0] = _mm512_add_epi32(
            sums[p][0], _mm512_popcnt_epi32(_mm512_xor_si512(v, w0)));
        sums[p][1] = _mm512_add_epi32(
            sums[p][1], _mm512_popcnt_epi32(_mm512_xor_si512(v, w1)));
      }
    }
  }
  for (int p = 0; p < n; ++p)
    for (int h = 0; h < 2; ++h)
      _mm512_storeu_si512(accumulators + p * BLOCK + 16 * h,
                          _mm512_slli_epi32(sums[p][h], 1));
}

static AVX512 void avx512_xor_popcount(const void *const *pixels, int num_pixels,
                                       const Indirection *indirection,
                                       const void *weights, int32_t *accumulators) {
  for (int done = 0; done < num_pixels;) {
    int n = next_part(num_pixels - done, PIXELS);
    int32_t *out = accumulators + done * BLOCK;
    switch (n) { /* A constant n keeps the sums in registers. */
      case 6:
        avx512_xor_popcount_part(6, pixels + done, indirection, weights, out);
        break;
      case 5:
        avx512_xor_popcount_part(5, pixels + done, indirection, weights, out);
        break;
      case 4:
        avx512_xor_popcount_part(4, pixels + done, indirection, weights, out);
        break;
      case 3:
        avx512_xor_popcount_part(3, pixels + done, indirection, weights, out);
        break;
      case 2:
        avx512_xor_popcount_part(2, pixels + done, indirection, weights, out);
        break;
      default:
        avx512_xor_popcount_part(1, pixels + done, indirection, weights, out);
        break;
    }
    done += n;
  }
}

static AVX512 void avx512_to_floats(const int32_t *accumulators, int num_pixels,
                                    int channels, const OutputTransform *transform,
                                    float *out, size_t stride) {
  __m512i low = _mm512_set1_epi32(transform->low);
  __m512i high = _mm512_set1_epi32(transform->high);
  int whole = channels & ~15;
  for (int c = 0; c < whole; c += 16) {
    __m512 multiplier = _mm512_loadu_ps(transform->multiplier + c);
    __m512 bias = _mm512_loadu_ps(transform->bias + c);
    for (int p = 0; p < num_pixels; ++p) {
      __m512i x = _mm512_loadu_si512(accumulators + p * BLOCK + c);
      x = _mm512_max_epi32(_mm512_min_epi32(x, high), low);
      __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(x), multiplier);
      _mm512_storeu_ps(out + (size_t)p * stride + c, _mm512_add_ps(y, bias));
    }
  }
  portable_tail_to_floats(accumulators, num_pixels, whole, channels, transform, out,
                          stride);
}

static AVX512 void avx512_to_bits(const int32_t *accumulators, int num_pixels,
                                  const int32_t *thresholds, uint32_t *out,
                                  size_t stride) {
  __m512i first = _mm512_loadu_si512(thresholds);
  __m512i second = _mm512_loadu_si512(thresholds + 16);
  for (int p = 0; p < num_pixels; ++p, accumulators += BLOCK, out += stride) {
    uint32_t low = _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(accumulators), first);
    uint32_t high =
        _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(accumulators + 16), second);
    *out = low | high << 16;
  }
}

static AVX512 void avx512_pack_floats(const float *values, size_t channels,
                                      uint32_t *words) {
  const __m512 zero = _mm512_setzero_ps();
  size_t c = 0;
  for (; c + 32 <= channels; c += 32, values += 32) {
    uint32_t low = _mm512_cmp_ps_mask(_mm512_loadu_ps(values), zero, _CMP_LT_OQ);
    uint32_t high = _mm512_cmp_ps_mask(_mm512_loadu_ps(values + 16), zero, _CMP_LT_OQ);
    *words++ = low | high << 16;
  }
  if (c < channels) portable_pack_floats(values, channels - c, words);
}

static AVX512 void avx512_pack_int8(const int8_t *values, size_t channels, int zero,
                                    uint32_t *words) {
  size_t c = 0;
  if (zero >= -128 && zero <= 127) {
    const __m512i limit = _mm512_set1_epi8((char)zero);
    for (; c + 64 <= channels; c += 64, values += 64, words += 2) {
      uint64_t bits = _mm512_cmpgt_epi8_mask(limit, _mm512_loadu_si512(values));
      words[0] = (uint32_t)bits;
      words[1] = (uint32_t)(bits >> 32);
    }
  }
  if (c < channels) portable_pack_int8(values, channels - c, zero, words);
}

static AVX512 void avx512_unpack_floats(const uint32_t *words, size_t channels,
                                        float *values) {
  const __m512 one = _mm512_set1_ps(1.0f), minus = _mm512_set1_ps(-1.0f);
  size_t c = 0;
  for (; c + 16 <= channels; c += 16) {
    __mmask16 bits = (__mmask16)(words[c / 32] >> c % 32);
    _mm512_storeu_ps(values + c, _mm512_mask_mov_ps(one, bits, minus));
  }
  portable_tail_unpack_floats(words, c, channels, values);
}

const Kernels kernels_avx512 = {
    .name = "avx512",
    .word_size = sizeof(uint32_t),
    .packed_size = portable_packed_size,
    .pack_weights = portable_pack_weights,
    .xor_popcount = avx512_xor_popcount,
    .to_floats = avx512_to_floats,
    .to_int8 = portable_to_int8,
    .to_bits = avx512_to_bits,
    .pack_floats = avx512_pack_floats,
    .pack_int8 = avx512_pack_int8,
    .unpack_floats = avx512_unpack_floats,
};
#endif
