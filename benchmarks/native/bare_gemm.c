/* The popcount kernel alone, on data in the cache: an upper bound for convolutions. */
#include <stdlib.h>
#include <time.h>

#include "kernels.h"

/* Returns the shortest time in seconds for `blocks` blocks of channels and `pixels`
 * windows of `words` words, or -1. */
__attribute__((visibility("default"))) double
bare_gemm(const char *name, int pixels, int words, int blocks, int rounds) {
  const Kernels *kernels = kernels_by_name(name);
  size_t size = kernels != NULL ? kernels->packed_size(words) : 1;
  size_t step = kernels != NULL ? kernels->word_size * (size_t)words : 1;
  uint8_t *input = calloc((size_t)pixels, step);
  uint8_t *weights = calloc((size_t)blocks, size);
  const void **starts = malloc((size_t)pixels * sizeof *starts);
  int32_t accumulators[TILE * BLOCK], zero = 0;
  Indirection indirection = {&zero, 1, words};
  double shortest = -1;
  if (kernels != NULL && input != NULL && weights != NULL && starts != NULL) {
    for (int p = 0; p < pixels; ++p) starts[p] = input + (size_t)p * step;
    for (int round = 0; round < rounds; ++round) {
      struct timespec start, end;
      clock_gettime(CLOCK_MONOTONIC, &start);
      for (int first = 0; first < pixels; first += TILE) {
        int number = pixels - first < TILE ? pixels - first : TILE;
        for (int block = 0; block < blocks; ++block)
          kernels->xor_popcount(starts + first, number, &indirection,
                                weights + (size_t)block * size, accumulators);
      }
      clock_gettime(CLOCK_MONOTONIC, &end);
      double seconds = (double)(end.tv_sec - start.tv_sec) +
                       1e-9 * (double)(end.tv_nsec - start.tv_nsec);
      if (shortest < 0 || seconds < shortest) shortest = seconds;
    }
  }
  free(input);
  free(weights);
  free(starts);
  return shortest;
}
