/* The inner loops, once for each instruction set.
 *
 * Signs are bits, 1 for -1, 32 channels to a word, the first channel in the lowest bit.
 * All kernels give the same integers, and the same floats to the last bit: a product and
 * a sum are rounded apart from each other everywhere.
 */
#ifndef BNN_KERNELS_H
#define BNN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Channels of a block of packed weights. */
#define BLOCK 32
/* Pixels that are computed together, at most. */
#define TILE 64

/* Where the words of a window lie: `num_runs` runs of `run_words` words each, a run
 * `offsets[r]` words behind the window's first one. */
typedef struct {
  const int32_t *offsets;
  int num_runs;
  int run_words;
} Window;

/* From doubled counts to real numbers: clamp(x, low, high) * multiplier + bias. */
typedef struct {
  int32_t low, high;
  const float *multiplier;
  const float *bias;
} Transform;

typedef struct {
  const char *name;
  /* Bytes in which `count` takes a word of the input, and what writes so many words that
   * way; NULL where it takes them as they are. Zeros stay zeros. */
  size_t word_size;
  void (*spread)(const uint32_t *words, size_t number, void *to);
  /* Bytes of a block of packed weights, for windows of so many words. */
  size_t (*size_of_weights)(int words);
  /* Packs the weights of up to BLOCK channels, (channels, words), into zeros. */
  void (*pack_weights)(const uint32_t *filter, int channels, int words, void *block);
  /* For each pixel p and channel c: doubled[p * BLOCK + c] = 2 * sum over the words of
   * the window popcount(pixels[p][word] ^ weights[c][word]). */
  void (*count)(const void *const *pixels, int num_pixels, const Window *window,
                const void *weights, int32_t *doubled);
  /* Writes the first `channels` of each pixel, `stride` elements apart. */
  void (*to_floats)(const int32_t *doubled, int num_pixels, int channels,
                    const Transform *transform, float *out, size_t stride);
  void (*to_int8)(const int32_t *doubled, int num_pixels, int channels,
                  const Transform *transform, int8_t *out, size_t stride);
  /* Writes one word for each pixel: bit c is doubled > thresholds[c]. */
  void (*to_bits)(const int32_t *doubled, int num_pixels, const int32_t *thresholds,
                  uint32_t *out, size_t stride);
  /* Bit c is values[c] < zero; bits behind the last channel are 0. */
  void (*pack_floats)(const float *values, size_t channels, uint32_t *words);
  void (*pack_int8)(const int8_t *values, size_t channels, int zero, uint32_t *words);
  /* Float +1 and -1. */
  void (*unpack_floats)(const uint32_t *words, size_t channels, float *values);
} Kernels;

/* Returns the kernels of that name, or the fastest ones where it is NULL; NULL where
 * this processor cannot run them. */
const Kernels *kernels_by_name(const char *name);

/* Returns the names that this build knows, separated by spaces. */
const char *kernels_known(void);

extern const Kernels kernels_portable;
#if defined(__x86_64__)
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#elif defined(__aarch64__)
extern const Kernels kernels_neon;
#endif

#endif
