/* A binary convolution: a setup that packs and allocates, a run that does neither.
 *
 * convolution.c derives the arithmetic.
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
  bool same;     /* Padding "same", else "valid". */
  bool pad_ones; /* Padding has the value +1, else 0. */
  Activation activation;
  Output output;
  /* Quantization parameters of an int8 output. */
  float scale;
  int zero_point;
} ConvolutionOptions;

/* The constant inputs of the operator: the filter, (channels_out, filter_height,
 * filter_width, words of a group), and for each output channel its `multiplier` and
 * `bias` or, for TO_BITS, its threshold. */
typedef struct {
  const uint32_t *filter;
  const float *multiplier;
  const float *bias;
  const int32_t *thresholds;
} ConvolutionConstants;

typedef struct Convolution Convolution;

/* Words that hold `channels` signs. */
static inline int words_of(int channels) { return channels / 32 + (channels % 32 != 0); }

/* Packs the constants for the kernels. Returns NULL and sets `error` if the options are
 * invalid or memory is exhausted. */
Convolution *convolution_create(const ConvolutionOptions *options,
                                const ConvolutionConstants *constants,
                                const Kernels *kernels, const char **error);
void convolution_destroy(Convolution *convolution);

/* Prepares for images of this size and sets the size of the output. May be called
 * again. Returns an error message, or NULL. */
const char *convolution_resize(Convolution *convolution, int batch, int height,
                               int width, int *out_height, int *out_width);

/* Computes (batch, height, width, words of channels_in) -> (batch, out_height,
 * out_width, channels_out or, for TO_BITS, words of channels_out) without allocating. */
void convolution_run(Convolution *convolution, Threads *threads, int num_threads,
                     const uint32_t *input, void *output);

#endif
