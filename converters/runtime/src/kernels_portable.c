/* Kernels in plain C, for every processor. Loops run over 32 channels so that compilers
 * vectorize them. */
#include "kernels_portable.h"

#include <math.h>
#include <string.h>

/* After this many words a count of 8 bits a word may overflow its byte. */
enum { WORDS_PER_FLUSH = 31 };

static inline void flush(uint32_t *bytes, int32_t *accumulators) {
  for (int c = 0; c < BLOCK; ++c) {
    uint32_t pairs = (bytes[c] & 0x00ff00ff) + ((bytes[c] >> 8) & 0x00ff00ff);
    accumulators[c] += (int32_t)(2 * ((pairs & 0xffff) + (pairs >> 16)));
    bytes[c] = 0;
  }
}

size_t portable_packed_size(int words) {
  return (size_t)words * BLOCK * sizeof(uint32_t);
}

void portable_pack_weights(const uint32_t *filter, int channels, int words,
                           void *block) {
  uint32_t *packed = block;
  for (int c = 0; c < channels; ++c, filter += words)
    for (int k = 0; k < words; ++k) packed[(size_t)k * BLOCK + c] = filter[k];
}

static void portable_xor_popcount(const void *const *pixels, int num_pixels,
                                  const Indirection *indirection, const void *weights,
                                  int32_t *accumulators) {
  memset(accumulators, 0, sizeof *accumulators * BLOCK * (size_t)num_pixels);
  for (int p = 0; p < num_pixels; ++p) {
    uint32_t bytes[BLOCK] = {0};
    const uint32_t *weight = weights;
    int left = WORDS_PER_FLUSH;
    for (int r = 0; r < indirection->num_segments; ++r) {
      const uint32_t *words = (const uint32_t *)pixels[p] + indirection->offsets[r];
      for (int k = 0; k < indirection->segment_words; ++k, weight += BLOCK) {
        uint32_t word = words[k];
        for (int c = 0; c < BLOCK; ++c) {
          uint32_t v = word ^ weight[c];
          v -= (v >> 1) & 0x55555555;
          v = (v & 0x33333333) + ((v >> 2) & 0x33333333);
          bytes[c] += (v + (v >> 4)) & 0x0f0f0f0f;
        }
        if (--left == 0) {
          flush(bytes, accumulators + p * BLOCK);
          left = WORDS_PER_FLUSH;
        }
      }
    }
    flush(bytes, accumulators + p * BLOCK);
  }
}

static inline float apply_transform(int32_t x, const OutputTransform *transform,
                                    int c) {
  x = x < transform->low ? transform->low : x > transform->high ? transform->high : x;
  float product = (float)x * transform->multiplier[c];
  return product + transform->bias[c];
}

void portable_tail_to_floats(const int32_t *accumulators, int num_pixels, int first,
                             int channels, const OutputTransform *transform, float *out,
                             size_t stride) {
  for (int p = 0; p < num_pixels; ++p, accumulators += BLOCK, out += stride)
    for (int c = first; c < channels; ++c)
      out[c] = apply_transform(accumulators[c], transform, c);
}

static void portable_to_floats(const int32_t *accumulators, int num_pixels,
                               int channels, const OutputTransform *transform,
                               float *out, size_t stride) {
  portable_tail_to_floats(accumulators, num_pixels, 0, channels, transform, out,
                          stride);
}

void portable_to_int8(const int32_t *accumulators, int num_pixels, int channels,
                      const OutputTransform *transform, int8_t *out, size_t stride) {
  for (int p = 0; p < num_pixels; ++p, accumulators += BLOCK, out += stride)
    for (int c = 0; c < channels; ++c) {
      /* Halves away from zero, as LiteRT rounds. */
      float y = roundf(apply_transform(accumulators[c], transform, c));
      out[c] = (int8_t)(y > 127 ? 127 : y > -128 ? y : -128);
    }
}

static void portable_to_bits(const int32_t *accumulators, int num_pixels,
                             const int32_t *thresholds, uint32_t *out, size_t stride) {
  for (int p = 0; p < num_pixels; ++p, accumulators += BLOCK, out += stride) {
    uint32_t word = 0;
    for (int c = 0; c < BLOCK; ++c)
      word |= (uint32_t)(accumulators[c] > thresholds[c]) << c;
    *out = word;
  }
}

void portable_pack_floats(const float *values, size_t channels, uint32_t *words) {
  for (size_t first = 0; first < channels; first += 32) {
    size_t number = channels - first < 32 ? channels - first : 32;
    uint32_t word = 0;
    for (size_t c = 0; c < number; ++c)
      word |= (uint32_t)(values[first + c] < 0) << c;
    *words++ = word;
  }
}

void portable_pack_int8(const int8_t *values, size_t channels, int zero,
                        uint32_t *words) {
  for (size_t first = 0; first < channels; first += 32) {
    size_t number = channels - first < 32 ? channels - first : 32;
    uint32_t word = 0;
    for (size_t c = 0; c < number; ++c)
      word |= (uint32_t)(values[first + c] < zero) << c;
    *words++ = word;
  }
}

void portable_tail_unpack_floats(const uint32_t *words, size_t first, size_t channels,
                                 float *values) {
  for (size_t c = first; c < channels; ++c)
    values[c] = words[c / 32] >> c % 32 & 1 ? -1.0f : 1.0f;
}

static void portable_unpack_floats(const uint32_t *words, size_t channels,
                                   float *values) {
  portable_tail_unpack_floats(words, 0, channels, values);
}

const Kernels kernels_portable = {
    .name = "portable",
    .word_size = sizeof(uint32_t),
    .packed_size = portable_packed_size,
    .pack_weights = portable_pack_weights,
    .xor_popcount = portable_xor_popcount,
    .to_floats = portable_to_floats,
    .to_int8 = portable_to_int8,
    .to_bits = portable_to_bits,
    .pack_floats = portable_pack_floats,
    .pack_int8 = portable_pack_int8,
    .unpack_floats = portable_unpack_floats,
};
