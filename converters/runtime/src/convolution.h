/* A binary convolution: what is known before it runs, and its run.
 *
 * With signs as bits, a window of `area` taps has the dot product area - 2 * count, where
 * count is the number of bits that differ. Counts are kept doubled: a tap outside of the
 * image that must contribute 0, and not as +1, is then an integer correction also where
 * the number of channels is odd.
 */
#ifndef BNN_CONVOLUTION_H
#define BNN_CONVOLUTION_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels.h"
#include "threads.h"

typedef enum { ACTIVATION_NONE, RELU, RELU_N1_TO_1, RELU6 } Activation;
typedef enum { TO_FLOATS, TO_INT8, TO_BITS } Output;

typedef struct {
  int channels_in, channels_out, groups;
  int filter_height, filter_width;
  int stride_height, stride_width;
  int dilation_height, dilation_width;
  bool same;     /* Else only windows that lie within the image. */
  bool pad_ones; /* Else taps outside of the image contribute 0. */
  Activation activation;
  Output output;
  /* Of an int8 output. */
  float scale;
  int zero_point;
} ConvolutionOptions;

/* The filter as it stands in the file, (channels_out, filter_height, filter_width,
 * words of a group), and what a channel is scaled or compared with: `multiplier` and
 * `bias`, or `thresholds`, as the output asks for. */
typedef struct {
  const uint32_t *filter;
  const float *multiplier;
  const float *bias;
  const int32_t *thresholds;
} ConvolutionConstants;

typedef struct Convolution Convolution;

/* Returns words for `channels` signs. */
static inline int words_of(int channels) { return channels / 32 + (channels % 32 != 0); }

/* Packs the constants for the kernels. Returns NULL and says in `error` what is wrong with the options,
 * or that there is no memory. */
Convolution *convolution_create(const ConvolutionOptions *options,
                                const ConvolutionConstants *constants,
                                const Kernels *kernels, const char **error);
void convolution_destroy(Convolution *convolution);

/* Makes ready for images of this size and sets the size of the output. May be called
 * again. Returns what is wrong, or NULL. */
const char *convolution_resize(Convolution *convolution, int batch, int height,
                               int width, int *out_height, int *out_width);

/* Computes (batch, height, width, words of channels_in) -> (batch, out_height,
 * out_width, channels_out or, for TO_BITS, words of channels_out). */
void convolution_run(Convolution *convolution, Threads *threads, int num_threads,
                     const uint32_t *input, void *output);

#endif
