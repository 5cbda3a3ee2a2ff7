/* Portable loops that other kernels use for what is not worth vectors, and for tails. */
#ifndef BNN_KERNELS_PORTABLE_H
#define BNN_KERNELS_PORTABLE_H

#include "kernels.h"

/* Weights as words, (words, BLOCK). */
size_t portable_size_of_weights(int words);
void portable_pack_weights(const uint32_t *filter, int channels, int words,
                           void *block);
/* As Kernels.to_floats, for the channels from `first` on. */
void portable_tail_to_floats(const int32_t *doubled, int num_pixels, int first,
                             int channels, const Transform *transform, float *out,
                             size_t stride);
void portable_to_int8(const int32_t *doubled, int num_pixels, int channels,
                      const Transform *transform, int8_t *out, size_t stride);
void portable_pack_floats(const float *values, size_t channels, uint32_t *words);
void portable_pack_int8(const int8_t *values, size_t channels, int zero,
                        uint32_t *words);
/* As Kernels.unpack_floats, for the channels from `first` on. */
void portable_tail_unpack_floats(const uint32_t *words, size_t first, size_t channels,
                                 float *values);

/* Splits `number` pixels into parts of at most `most`, as equal as possible, so that
 * no part is left with one or two. Returns the size of the part at hand. */
static inline int next_part(int number, int most) {
  int parts = (number + most - 1) / most;
  return (number + parts - 1) / parts;
}

#endif
