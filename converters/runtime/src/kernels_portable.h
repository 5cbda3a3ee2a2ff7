/* Portable loops, which vector kernels use for tails and where vectors do not pay. */
#ifndef BNN_KERNELS_PORTABLE_H
#define BNN_KERNELS_PORTABLE_H

#include "kernels.h"

/* Weights packed as words, (words, BLOCK). */
size_t portable_packed_size(int words);
void portable_pack_weights(const uint32_t *filter, int channels, int words,
                           void *block);
/* Kernels.to_floats for channels [first, channels). */
void portable_tail_to_floats(const int32_t *accumulators, int num_pixels, int first,
                             int channels, const OutputTransform *transform, float *out,
                             size_t stride);
void portable_to_int8(const int32_t *accumulators, int num_pixels, int channels,
                      const OutputTransform *transform, int8_t *out, size_t stride);
void portable_pack_floats(const float *values, size_t channels, uint32_t *words);
void portable_pack_int8(const int8_t *values, size_t channels, int zero,
                        uint32_t *words);
/* Kernels.unpack_floats for channels [first, channels). */
void portable_tail_unpack_floats(const uint32_t *words, size_t first, size_t channels,
                                 float *values);

/* Size of the next part if `number` pixels are split into parts of at most `most`, as
 * equal as possible: otherwise a last part of one or two pixels would be slow. */
static inline int next_part(int number, int most) {
  int parts = (number + most - 1) / most;
  return (number + parts - 1) / parts;
}

#endif
