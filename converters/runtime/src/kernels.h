/* Micro-kernels: the inner loops of binary operators, one file an instruction set.
 *
 * Signs are bits, 1 for -1, 32 channels to a word, the first channel in the lowest bit.
 * All kernels give the same integers, and the same floats to the last bit: a product
 * and a sum are rounded separately, never fused. Kernels allocate no memory, start no
 * threads and keep no state: callers own all buffers.
 */
#ifndef BNN_KERNELS_H
#define BNN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Output channels in a block of packed weights. */
#define BLOCK 32
/* Output pixels that are computed together, at most. */
#define TILE 64

/* Where the words of a window lie: `num_segments` segments of `segment_words`
 * contiguous words, segment s at `offsets[s]` words from the window's first one.
 * Together with a pointer to each window it replaces a copy of the image by windows
 * (im2col). */
typedef struct {
  const int32_t *offsets;
  int num_segments;
  int segment_words;
} Indirection;

/* From accumulators to real numbers: clamp(x, low, high) * multiplier + bias. */
typedef struct {
  int32_t low, high;
  const float *multiplier;
  const float *bias;
} OutputTransform;

typedef struct {
  const char *name;
  /* Bytes of a word of the input as `xor_popcount` reads it, and the function that
   * writes words in this wider form, NULL where it reads them as they are. Zeros stay
   * zeros. */
  size_t word_size;
  void (*widen)(const uint32_t *words, size_t number, void *to);
  /* Bytes of a block of packed weights for windows of `words` words. */
  size_t (*packed_size)(int words);
  /* Packs the weights of up to BLOCK channels, (channels, words), into zeros. */
  void (*pack_weights)(const uint32_t *filter, int channels, int words, void *block);
  /* For each pixel p and channel c: accumulators[p * BLOCK + c] = 2 * sum over the
   * words of the window of popcount(pixels[p][word] ^ weights[c][word]). pixels[p] is
   * the first word of the window of pixel p. */
  void (*xor_popcount)(const void *const *pixels, int num_pixels,
                       const Indirection *indirection, const void *weights,
                       int32_t *accumulators);
  /* Writes the first `channels` of each pixel, `stride` elements apart. */
  void (*to_floats)(const int32_t *accumulators, int num_pixels, int channels,
                    const OutputTransform *transform, float *out, size_t stride);
  void (*to_int8)(const int32_t *accumulators, int num_pixels, int channels,
                  const OutputTransform *transform, int8_t *out, size_t stride);
  /* Writes one word for each pixel: bit c is accumulators[c] > thresholds[c]. */
  void (*to_bits)(const int32_t *accumulators, int num_pixels,
                  const int32_t *thresholds, uint32_t *out, size_t stride);
  /* Bit c is values[c] < zero; bits after the last channel are 0. */
  void (*pack_floats)(const float *values, size_t channels, uint32_t *words);
  void (*pack_int8)(const int8_t *values, size_t channels, int zero, uint32_t *words);
  /* values[c] is +1.0f where bit c is 0, -1.0f where it is 1. */
  void (*unpack_floats)(const uint32_t *words, size_t channels, float *values);
} Kernels;

/* Returns the kernels of that name, or the fastest ones if it is NULL. Returns NULL if
 * this processor cannot run them. */
const Kernels *kernels_by_name(const char *name);

/* Returns the names of all kernels in this build, separated by spaces. */
const char *kernels_known(void);

extern const Kernels kernels_portable;
#if defined(__x86_64__)
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#elif defined(__aarch64__)
extern const Kernels kernels_neon;
#endif

#endif
