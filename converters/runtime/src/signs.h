/* Packing, unpacking and max pooling of bit-packed signs. */
#ifndef BNN_SIGNS_H
#define BNN_SIGNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"
#include "threads.h"

/* Rows of `channels` values, or of their words, shared by threads. */
typedef struct {
  const Kernels *kernels;
  Threads *threads;
  int num_threads;
  size_t rows;
  size_t channels;
} Rows;

void pack_floats(const Rows *rows, const float *values, uint32_t *words);
void pack_int8(const Rows *rows, const int8_t *values, int zero_point, uint32_t *words);
/* false is -1, true is +1. */
void pack_bools(const Rows *rows, const bool *values, uint32_t *words);

void unpack_floats(const Rows *rows, const uint32_t *words, float *values);
/* +1 and -1, quantized with this scale and zero point and saturated to int8. */
void unpack_int8(const Rows *rows, const uint32_t *words, float scale, int zero_point,
                 int8_t *values);
void unpack_bools(const Rows *rows, const uint32_t *words, bool *values);

typedef struct {
  int batch, height, width, words;
  int filter_height, filter_width, stride_height, stride_width;
  bool same;
} Pooling;

/* Sets the size of the output. Returns an error message, or NULL. */
const char *pooling_size(const Pooling *pooling, int *out_height, int *out_width);
/* The maximum of each window: -1 only where all signs are -1. */
void pool(const Pooling *pooling, int out_height, int out_width, const uint32_t *input,
          uint32_t *output);

#endif
