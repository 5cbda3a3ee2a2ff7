/* AVX2 kernels: popcount by table look-up of half-bytes (vpshufb). */
#include "kernels_portable.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline))

/* Registers hold the popcounts of 4 pixels x 16 channels, as bytes, which are added to
 * 32-bit sums before they overflow. */
enum { PIXELS = 4, HALF = 16, WORDS_PER_FLUSH = 31 };

/* The 4 lower or the 4 upper half-bytes of a word, each in a byte. Input and weights
 * are stored in this form, so that the inner loop needs only xor and look-up. */
static uint32_t half_bytes(uint32_t word, int upper) {
  return word >> (upper ? 4 : 0) & 0x0f0f0f0f;
}

static void avx2_widen(const uint32_t *words, size_t number, void *to) {
  uint32_t *out = to;
  for (size_t k = 0; k < number; ++k, out += 2) {
    out[0] = half_bytes(words[k], 0);
    out[1] = half_bytes(words[k], 1);
  }
}

/* For each word and 8 channels: 8 words of lower half-bytes, then 8 of upper ones. */
static size_t avx2_packed_size(int words) {
  return (size_t)words * 2 * BLOCK * sizeof(uint32_t);
}

static void avx2_pack_weights(const uint32_t *filter, int channels, int words,
                              void *block) {
  uint32_t *packed = block;
  for (int c = 0; c < channels; ++c)
    for (int k = 0; k < words; ++k, ++filter) {
      uint32_t *to = packed + (size_t)k * 2 * BLOCK + c / 8 * 16 + c % 8;
      to[0] = half_bytes(*filter, 0);
      to[8] = half_bytes(*filter, 1);
    }
}

INLINE AVX2 __m256i add_popcount(__m256i bytes, int input, const uint32_t *weights) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  __m256i w = _mm256_loadu_si256((const __m256i *)weights);
  __m256i differ = _mm256_xor_si256(_mm256_set1_epi32(input), w);
  return _mm256_add_epi8(bytes, _mm256_shuffle_epi8(table, differ));
}

INLINE AVX2 __m256i doubled_sums(__m256i bytes) {
  __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
  /* Multiplying by 2 makes accumulators of popcounts. */
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(2));
}

INLINE AVX2 void avx2_xor_popcount_part(const int n, const void *const *pixels,
                                        const Indirection *indirection,
                                        const uint32_t *weights,
                                        int32_t *accumulators) {
  __m256i bytes[PIXELS][2], sums[PIXELS][2];
  for (int p = 0; p < n; ++p)
    for (int h = 0; h < 2; ++h) bytes[p][h] = sums[p][h] = _mm256_setzero_si256();
  int left = WORDS_PER_FLUSH;
  for (int r = 0; r < indirection->num_segments; ++r) {
    int k = 0;
    while (k < indirection->segment_words) {
      int end =
          indirection->segment_words - k < left ? indirection->segment_words : k + left;
      left -= end - k;
      for (; k < end; ++k, weights += 2 * BLOCK)
        for (int p = 0; p < n; ++p) {
          const int *input = (const int *)pixels[p] + 2 * (indirection->offsets[r] + k);
          bytes[p][0] = add_popcount(bytes[p][0], input[0], weights);
          bytes[p][1] = add_popcount(bytes[p][1], input[0], weights + 16);
          bytes[p][0] = add_popcount(bytes[p][0], input[1], weights + 8);
          bytes[p][1] = add_popcount(bytes[p][1], input[1], weights + 24);
        }
      if (left == 0) {
        for (int p = 0; p < n; ++p)
          for (int h = 0; h < 2; ++h) {
            sums[p][h] = _mm256_add_epi32(sums[p][h], doubled_sums(bytes[p][h]));
            bytes[p][h] = _mm256_setzero_si256();
          }
        left = WORDS_PER_FLUSH;
      }
    }
  }
  for (int p = 0; p < n; ++p)
    for (int h = 0; h < 2; ++h)
      _mm256_storeu_si256((__m256i *)(accumulators + p * BLOCK) + h,
                          _mm256_add_epi32(sums[p][h], doubled_sums(bytes[p][h])));
}

static AVX2 void avx2_xor_popcount(const void *const *pixels, int num_pixels,
                                   const Indirection *indirection, const void *weights,
                                   int32_t *accumulators) {
  for (int done = 0; done < num_pixels;) {
    int n = next_part(num_pixels - done, PIXELS);
    for (int h = 0; h < BLOCK; h += HALF) {
      const uint32_t *half = (const uint32_t *)weights + 2 * h;
      int32_t *out = accumulators + done * BLOCK + h;
      switch (n) { /* A constant n keeps the sums in registers. */
        case 4: avx2_xor_popcount_part(4, pixels + done, indirection, half, out); break;
        case 3: avx2_xor_popcount_part(3, pixels + done, indirection, half, out); break;
        case 2: avx2_xor_popcount_part(2, pixels + done, indirection, half, out); break;
        default:
          avx2_xor_popcount_part(1, pixels + done, indirection, half, out);
          break;
      }
    }
    done += n;
  }
}

INLINE AVX2 __m256 avx2_apply_transform(__m256i x, __m256i low, __m256i high,
                                        __m256 multiplier, __m256 bias) {
  x = _mm256_max_epi32(_mm256_min_epi32(x, high), low);
  return _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(x), multiplier), bias);
}

static AVX2 void avx2_to_floats(const int32_t *accumulators, int num_pixels,
                                int channels, const OutputTransform *transform,
                                float *out, size_t stride) {
  __m256i low = _mm256_set1_epi32(transform->low);
  __m256i high = _mm256_set1_epi32(transform->high);
  int whole = channels & ~7;
  for (int c = 0; c < whole; c += 8) {
    __m256 multiplier = _mm256_loadu_ps(transform->multiplier + c);
    __m256 bias = _mm256_loadu_ps(transform->bias + c);
    for (int p = 0; p < num_pixels; ++p) {
      __m256i x = _mm256_loadu_si256((const __m256i *)(accumulators + p * BLOCK + c));
      _mm256_storeu_ps(out + (size_t)p * stride + c,
                       avx2_apply_transform(x, low, high, multiplier, bias));
    }
  }
  portable_tail_to_floats(accumulators, num_pixels, whole, channels, transform, out,
                          stride);
}

/* One bit for each of 32 lanes that are 0 or -1. */
INLINE AVX2 uint32_t avx2_sign_bits(__m256i a, __m256i b, __m256i c, __m256i d) {
  __m256i bytes =
      _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  /* Packing works within 128-bit lanes: put the parts in order. */
  bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  return (uint32_t)_mm256_movemask_epi8(bytes);
}

static AVX2 void avx2_to_bits(const int32_t *accumulators, int num_pixels,
                              const int32_t *thresholds, uint32_t *out, size_t stride) {
  __m256i limits[4], more[4];
  for (int i = 0; i < 4; ++i)
    limits[i] = _mm256_loadu_si256((const __m256i *)thresholds + i);
  for (int p = 0; p < num_pixels; ++p, accumulators += BLOCK, out += stride) {
    for (int i = 0; i < 4; ++i)
      more[i] = _mm256_cmpgt_epi32(
          _mm256_loadu_si256((const __m256i *)accumulators + i), limits[i]);
    *out = avx2_sign_bits(more[0], more[1], more[2], more[3]);
  }
}

static AVX2 void avx2_pack_floats(const float *values, size_t channels,
                                  uint32_t *words) {
  const __m256 zero = _mm256_setzero_ps();
  size_t c = 0;
  for (; c + 32 <= channels; c += 32, values += 32) {
    __m256i less[4];
    for (int i = 0; i < 4; ++i)
      less[i] = _mm256_castps_si256(
          _mm256_cmp_ps(_mm256_loadu_ps(values + 8 * i), zero, _CMP_LT_OQ));
    *words++ = avx2_sign_bits(less[0], less[1], less[2], less[3]);
  }
  if (c < channels) portable_pack_floats(values, channels - c, words);
}

static AVX2 void avx2_pack_int8(const int8_t *values, size_t channels, int zero,
                                uint32_t *words) {
  size_t c = 0;
  if (zero >= -128 && zero <= 127) {
    const __m256i limit = _mm256_set1_epi8((char)zero);
    for (; c + 32 <= channels; c += 32, values += 32) {
      __m256i x = _mm256_loadu_si256((const __m256i *)values);
      *words++ = (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(limit, x));
    }
  }
  if (c < channels) portable_pack_int8(values, channels - c, zero, words);
}

static AVX2 void avx2_unpack_floats(const uint32_t *words, size_t channels,
                                    float *values) {
  const __m256i lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i one = _mm256_castps_si256(_mm256_set1_ps(1.0f));
  const __m256i minus = _mm256_set1_epi32((int)0x80000000);
  size_t c = 0;
  for (; c + 8 <= channels; c += 8) {
    __m256i bits = _mm256_set1_epi32((int)(words[c / 32] >> c % 32));
    __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(bits, lanes), lanes);
    __m256i value = _mm256_or_si256(one, _mm256_and_si256(set, minus));
    _mm256_storeu_ps(values + c, _mm256_castsi256_ps(value));
  }
  portable_tail_unpack_floats(words, c, channels, values);
}

const Kernels kernels_avx2 = {
    .name = "avx2",
    .word_size = 2 * sizeof(uint32_t),
    .widen = avx2_widen,
    .packed_size = avx2_packed_size,
    .pack_weights = avx2_pack_weights,
    .xor_popcount = avx2_xor_popcount,
    .to_floats = avx2_to_floats,
    .to_int8 = portable_to_int8,
    .to_bits = avx2_to_bits,
    .pack_floats = avx2_pack_floats,
    .pack_int8 = avx2_pack_int8,
    .unpack_floats = avx2_unpack_floats,
};
#endif
