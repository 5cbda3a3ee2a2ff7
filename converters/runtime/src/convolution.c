/* The arithmetic of a binary convolution.
 *
 * Signs are bits: +1 is 0, -1 is 1. A product of two signs is -1 where their bits differ.
 * A window has K = filter_height * filter_width * channels_in / groups products. Of these,
 * p = popcount(input ^ weights) are -1 and K - p are +1, so the dot product is
 *
 *     dot = (K - p) - p = K - 2 * p.
 *
 * Channels that are no multiple of 32: the last word of a pixel has unused bits. They are 0
 * in the input and in the weights, so they never differ and add nothing to p. K counts real
 * channels only, and the formula holds unchanged.
 *
 * Zero padding: the padded input can hold +1 (bit 0) outside of the image, but no 0. A tap
 * outside contributes the sum of its weights, channels - 2 * popcount(weights), where it
 * should contribute 0. That depends on the weights and on which taps lie outside, not on
 * the image. So the sum over these taps, `correction`, is computed once for each set of
 * outside taps that occurs at a border, and
 *
 *     dot = K - 2 * p - correction = K - a    with    a = 2 * p + correction.
 *
 * The accumulators hold a. It contains 2 * p and not p, because `correction` can be odd if
 * the number of channels is. Without padding, and for padding with ones, it is 0.
 *
 * Output transform: a fused activation clamps dot to [least, most]. As dot = K - a, that
 * clamps a to [K - most, K - least]. All of this is exact in integers. With the operator's
 * multiplier and bias, the output is
 *
 *     (K - clamp(a)) * multiplier + bias = clamp(a) * (-multiplier) + (K * multiplier + bias),
 *
 * one multiplication and one addition. An int8 output is this value / scale + zero_point,
 * so both constants are divided by scale and zero_point is added to the second one; the
 * result is rounded half away from zero and saturated.
 *
 * Bit-packed output: the converter folds multiplier, bias and the sign that follows into an
 * integer threshold for each channel. The output is -1 (bit 1) if (K - dot) / 2, which is p
 * without padding, exceeds it: a > 2 * threshold, without a float.
 */
#include "convolution.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* One direction of the image: rows or columns. */
typedef struct {
  int size, out, before; /* `before`: pixels of padding before the image. */
  int padded;            /* Size of the padded image, as far as windows reach. */
  int num_classes;
  int *classes;     /* For each output: which set of its taps lies inside. */
  int *first, *end; /* Of each class: its taps inside, [first, end). */
} Axis;

struct Convolution {
  ConvolutionOptions options;
  const Kernels *kernels;
  int group_words, group_out, group_blocks;
  int reduction_size;    /* K: the products of one output. */
  size_t block_size;     /* Bytes of a block of weights. */
  uint8_t *packed_weights; /* (groups, blocks, block_size) */
  float *multiplier, *bias;
  int32_t *thresholds;      /* 2 * threshold; (groups, blocks, BLOCK) */
  int32_t *tap_corrections; /* (taps, groups, blocks, BLOCK) */
  int32_t low, high;        /* Clamp of the accumulators. */
  /* Set by convolution_resize. */
  int batch;
  Axis y, x;
  /* (batch, y.padded, x.padded, words), as wide as the kernels read them, zeros around
   * the image; NULL where the kernels read the input itself. */
  uint8_t *padded_input;
  int32_t *corrections;  /* (y classes, x classes, groups, blocks, BLOCK) */
  int32_t *offsets;
  Indirection indirection;
};

enum { MAX_WORDS = INT32_MAX / 4 };

static int min_int(int a, int b) { return a < b ? a : b; }

static int words_in(const Convolution *c) { return words_of(c->options.channels_in); }

static int words_of_window(const Convolution *c) {
  return c->options.filter_height * c->options.filter_width * c->group_words;
}

static int padded_channels(const Convolution *c) {
  return c->options.groups * c->group_blocks * BLOCK;
}

static const char *check(const ConvolutionOptions *o) {
  if (o->channels_in < 1 || o->channels_out < 1) return "it has no channels";
  if (o->filter_height < 1 || o->filter_width < 1) return "its filter is empty";
  if (o->stride_height < 1 || o->stride_width < 1) return "its stride is not positive";
  if (o->dilation_height < 1 || o->dilation_width < 1)
    return "its dilation is not positive";
  if (o->groups < 1 || o->channels_in % o->groups || o->channels_out % o->groups)
    return "its channels are no multiple of its groups";
  if (o->groups > 1 && o->channels_in / o->groups % 32)
    return "the channels of a group are no multiple of 32";
  int64_t taps = (int64_t)o->filter_height * o->filter_width;
  if (taps > INT32_MAX / 4 || taps * o->channels_in > INT32_MAX / 4 ||
      taps * words_of(o->channels_in) * (int64_t)o->channels_out > INT32_MAX / 4)
    return "its filter is too large";
  if ((int64_t)(o->filter_height - 1) * o->dilation_height > INT32_MAX / 8 ||
      (int64_t)(o->filter_width - 1) * o->dilation_width > INT32_MAX / 8)
    return "its dilation is too large";
  if (o->output == TO_INT8 && !(o->scale > 0)) return "its output has no scale";
  return NULL;
}

/* Writes the filter in the order in which the kernels read it. */
static void pack_weights(Convolution *c, const uint32_t *filter) {
  int words = words_of_window(c);
  uint8_t *to = c->packed_weights;
  for (int g = 0; g < c->options.groups; ++g)
    for (int first = 0; first < c->group_out; first += BLOCK, to += c->block_size) {
      int channels = min_int(BLOCK, c->group_out - first);
      c->kernels->pack_weights(filter, channels, words, to);
      filter += (size_t)channels * words;
    }
}

/* Computes what each tap contributes where padding is read as +1. */
static void set_tap_corrections(Convolution *c, const uint32_t *filter) {
  int taps = c->options.filter_height * c->options.filter_width;
  int channels = c->options.channels_in / c->options.groups;
  for (int g = 0; g < c->options.groups; ++g)
    for (int o = 0; o < c->group_out; ++o)
      for (int t = 0; t < taps; ++t) {
        int bits = 0;
        for (int k = 0; k < c->group_words; ++k) bits += __builtin_popcount(*filter++);
        int at = (g * c->group_blocks + o / BLOCK) * BLOCK + o % BLOCK;
        c->tap_corrections[(size_t)t * padded_channels(c) + at] = channels - 2 * bits;
      }
}

static void set_clamp(Convolution *c) {
  int reduction_size = c->reduction_size, least = -reduction_size,
      most = reduction_size;
  if (c->options.activation != ACTIVATION_NONE)
    least = c->options.activation == RELU_N1_TO_1 ? -1 : 0;
  if (c->options.activation == RELU_N1_TO_1 && most > 1) most = 1;
  if (c->options.activation == RELU6 && most > 6) most = 6;
  c->low = reduction_size - most;
  c->high = reduction_size - least;
}

/* Sets multiplier and bias of the accumulators from those of the dot product. */
static void set_output_transform(Convolution *c,
                                 const ConvolutionConstants *constants) {
  bool integers = c->options.output == TO_INT8;
  double scale = integers ? c->options.scale : 1.0;
  double zero = integers ? c->options.zero_point : 0.0;
  for (int o = 0; o < c->options.channels_out; ++o) {
    double multiplier = constants->multiplier[o], bias = constants->bias[o];
    c->multiplier[o] = (float)(-multiplier / scale);
    c->bias[o] = (float)((bias + c->reduction_size * multiplier) / scale + zero);
  }
}

static void set_thresholds(Convolution *c, const int32_t *thresholds) {
  for (int o = 0; o < c->options.channels_out; ++o) {
    int block = o / c->group_out * c->group_blocks + o % c->group_out / BLOCK;
    int64_t doubled = 2 * (int64_t)thresholds[o];
    if (doubled > INT32_MAX) doubled = INT32_MAX;
    if (doubled < INT32_MIN) doubled = INT32_MIN;
    c->thresholds[block * BLOCK + o % c->group_out % BLOCK] = (int32_t)doubled;
  }
}

Convolution *convolution_create(const ConvolutionOptions *options,
                                const ConvolutionConstants *constants,
                                const Kernels *kernels, const char **error) {
  *error = check(options);
  if (*error != NULL) return NULL;
  *error = "there is not enough memory";
  Convolution *c = calloc(1, sizeof *c);
  if (c == NULL) return NULL;
  c->options = *options;
  c->kernels = kernels;
  c->group_words = words_of(options->channels_in / options->groups);
  c->group_out = options->channels_out / options->groups;
  c->group_blocks = (c->group_out + BLOCK - 1) / BLOCK;
  int taps = options->filter_height * options->filter_width;
  c->reduction_size = taps * (options->channels_in / options->groups);
  size_t channels = (size_t)options->groups * (size_t)c->group_blocks * BLOCK;
  c->block_size = kernels->packed_size(words_of_window(c));
  c->packed_weights = calloc(channels / BLOCK, c->block_size);
  c->offsets = calloc((size_t)taps, sizeof *c->offsets);
  bool complete = c->packed_weights != NULL && c->offsets != NULL;
  if (options->output == TO_BITS) {
    c->thresholds = malloc(channels * sizeof *c->thresholds);
    complete = complete && c->thresholds != NULL;
  } else {
    c->multiplier = calloc((size_t)options->channels_out, sizeof *c->multiplier);
    c->bias = calloc((size_t)options->channels_out, sizeof *c->bias);
    complete = complete && c->multiplier != NULL && c->bias != NULL;
  }
  bool corrects = options->same && !options->pad_ones && taps > 1;
  if (corrects) {
    c->tap_corrections = calloc(channels * (size_t)taps, sizeof *c->tap_corrections);
    complete = complete && c->tap_corrections != NULL;
  }
  if (!complete) {
    convolution_destroy(c);
    return NULL;
  }
  pack_weights(c, constants->filter);
  if (corrects) set_tap_corrections(c, constants->filter);
  set_clamp(c);
  if (options->output == TO_BITS) {
    /* Channels that only fill up a block give the bit 0. */
    for (size_t i = 0; i < channels; ++i) c->thresholds[i] = INT32_MAX;
    set_thresholds(c, constants->thresholds);
  } else {
    set_output_transform(c, constants);
  }
  *error = NULL;
  return c;
}

static void free_axis(Axis *axis) {
  free(axis->classes);
  free(axis->first);
  free(axis->end);
  *axis = (Axis){0};
}

static void free_sizes(Convolution *c) {
  free_axis(&c->y);
  free_axis(&c->x);
  free(c->padded_input);
  free(c->corrections);
  c->padded_input = NULL;
  c->corrections = NULL;
}

void convolution_destroy(Convolution *c) {
  if (c == NULL) return;
  free_sizes(c);
  free(c->packed_weights);
  free(c->multiplier);
  free(c->bias);
  free(c->thresholds);
  free(c->tap_corrections);
  free(c->offsets);
  free(c);
}

static const char *set_axis(Axis *axis, int size, int filter, int stride, int dilation,
                            bool same) {
  int64_t reach = (int64_t)(filter - 1) * dilation + 1;
  int64_t out = same ? ((int64_t)size + stride - 1) / stride
                     : ((int64_t)size - reach + stride) / stride;
  if (size < 1 || out < 1 || (!same && size < reach))
    return "its image is smaller than its filter";
  int64_t total = (out - 1) * stride + reach - size;
  axis->size = size;
  axis->out = (int)out;
  axis->before = same && total > 0 ? (int)(total / 2) : 0;
  axis->padded = (int)((out - 1) * stride + reach);
  return NULL;
}

/* Puts outputs with the same taps inside of the image into one class. */
static bool classify_outputs(Axis *axis, int filter, int stride, int dilation) {
  axis->classes = malloc((size_t)axis->out * sizeof *axis->classes);
  axis->first = malloc((size_t)axis->out * sizeof *axis->first);
  axis->end = malloc((size_t)axis->out * sizeof *axis->end);
  if (axis->classes == NULL || axis->first == NULL || axis->end == NULL) return false;
  axis->num_classes = 0;
  for (int o = 0; o < axis->out; ++o) {
    int64_t start = (int64_t)o * stride - axis->before;
    int first = 0, end = filter, same = 0;
    while (first < filter && start + (int64_t)first * dilation < 0) ++first;
    while (end > first && start + (int64_t)(end - 1) * dilation >= axis->size) --end;
    while (same < axis->num_classes &&
           (axis->first[same] != first || axis->end[same] != end))
      ++same;
    axis->classes[o] = same;
    if (same < axis->num_classes) continue;
    axis->first[same] = first;
    axis->end[same] = end;
    ++axis->num_classes;
  }
  return true;
}

static bool is_inside(const Convolution *c, int y_class, int x_class) {
  return c->y.first[y_class] == 0 && c->y.end[y_class] == c->options.filter_height &&
         c->x.first[x_class] == 0 && c->x.end[x_class] == c->options.filter_width;
}

static const char *set_zero_padding_corrections(Convolution *c) {
  const ConvolutionOptions *o = &c->options;
  if (!classify_outputs(&c->y, o->filter_height, o->stride_height,
                        o->dilation_height) ||
      !classify_outputs(&c->x, o->filter_width, o->stride_width, o->dilation_width))
    return "there is not enough memory";
  size_t channels = (size_t)padded_channels(c);
  double classes = (double)c->y.num_classes * c->x.num_classes;
  if (classes * (double)channels * o->filter_height * o->filter_width > 4e9)
    return "its borders are too large";
  c->corrections = calloc((size_t)classes * channels, sizeof *c->corrections);
  if (c->corrections == NULL) return "there is not enough memory";
  for (int y = 0; y < c->y.num_classes; ++y)
    for (int x = 0; x < c->x.num_classes; ++x) {
      int32_t *to = c->corrections + ((size_t)y * c->x.num_classes + x) * channels;
      for (int ky = 0; ky < o->filter_height; ++ky)
        for (int kx = 0; kx < o->filter_width; ++kx) {
          bool inside = ky >= c->y.first[y] && ky < c->y.end[y] &&
                        kx >= c->x.first[x] && kx < c->x.end[x];
          if (inside) continue;
          size_t tap = (size_t)ky * o->filter_width + kx;
          const int32_t *value = c->tap_corrections + tap * channels;
          for (size_t i = 0; i < channels; ++i) to[i] += value[i];
        }
    }
  return NULL;
}

/* Computes where the words of a window lie relative to its first one. Taps without a
 * gap between them are one segment. */
static void set_indirection(Convolution *c, int row_words) {
  const ConvolutionOptions *o = &c->options;
  bool joined = o->groups == 1 && (o->dilation_width == 1 || o->filter_width == 1);
  int across = joined ? 1 : o->filter_width;
  for (int y = 0; y < o->filter_height; ++y)
    for (int x = 0; x < across; ++x)
      c->offsets[y * across + x] =
          y * o->dilation_height * row_words + x * o->dilation_width * words_in(c);
  c->indirection.offsets = c->offsets;
  c->indirection.num_segments = o->filter_height * across;
  c->indirection.segment_words =
      joined ? o->filter_width * c->group_words : c->group_words;
}

static bool needs_padding(const Convolution *c) {
  return c->y.before > 0 || c->x.before > 0 || c->y.padded > c->y.size ||
         c->x.padded > c->x.size;
}

const char *convolution_resize(Convolution *c, int batch, int height, int width,
                               int *out_height, int *out_width) {
  const ConvolutionOptions *o = &c->options;
  free_sizes(c);
  if (batch < 1) return "its batch is empty";
  const char *error = set_axis(&c->y, height, o->filter_height, o->stride_height,
                               o->dilation_height, o->same);
  if (error == NULL)
    error = set_axis(&c->x, width, o->filter_width, o->stride_width, o->dilation_width,
                     o->same);
  if (error != NULL) return error;
  double out_words = (double)batch * c->y.out * c->x.out * o->channels_out;
  double words = (double)batch * c->y.padded * c->x.padded * words_in(c);
  double unpadded = (double)batch * height * width * words_in(c);
  if (words > MAX_WORDS || out_words > MAX_WORDS || unpadded > MAX_WORDS)
    return "its image is too large";
  c->batch = batch;
  if (needs_padding(c) || c->kernels->widen != NULL) {
    c->padded_input = calloc((size_t)words, c->kernels->word_size);
    if (c->padded_input == NULL) return "there is not enough memory";
    if (c->tap_corrections != NULL && (error = set_zero_padding_corrections(c)) != NULL)
      return error;
  }
  set_indirection(c, (c->padded_input != NULL ? c->x.padded : width) * words_in(c));
  *out_height = c->y.out;
  *out_width = c->x.out;
  return NULL;
}

typedef struct {
  Convolution *c;
  const uint32_t *input;
  void *output;
  int tiles, slices; /* Tiles of an image; slices of a group's blocks. */
} Run;

/* Rows of an image that windows read. */
static int rows_in_padded_input(const Convolution *c) {
  return min_int(c->y.size, c->y.padded - c->y.before);
}

/* Copies a row of an image into the padded input, between zeros, which are +1. */
static void pad_row(void *data, int index) {
  const Run *run = data;
  const Convolution *c = run->c;
  const Kernels *kernels = c->kernels;
  size_t words = (size_t)words_in(c);
  size_t row = (size_t)min_int(c->x.size, c->x.padded - c->x.before) * words;
  size_t image = (size_t)(index / rows_in_padded_input(c));
  size_t y = (size_t)(index % rows_in_padded_input(c));
  size_t at = (image * c->y.padded + c->y.before + y) * c->x.padded + c->x.before;
  uint8_t *to = c->padded_input + at * words * kernels->word_size;
  const uint32_t *from = run->input + (image * c->y.size + y) * c->x.size * words;
  if (kernels->widen != NULL)
    kernels->widen(from, row, to);
  else
    memcpy(to, from, row * sizeof *from);
}

/* Puts the bits of a group that fills no whole words between its neighbours' bits. */
static void insert_bits(uint32_t word, int first_bit, uint32_t *words, bool more) {
  words[first_bit / 32] |= word << first_bit % 32;
  if (first_bit % 32 && more) words[first_bit / 32 + 1] |= word >> (32 - first_bit % 32);
}

static void write_bits(const Run *run, const int32_t *accumulators, size_t pixel,
                       int number, int group, int block) {
  const Convolution *c = run->c;
  int words = words_of(c->options.channels_out);
  int first = group * c->group_out + block * BLOCK;
  const int32_t *thresholds =
      c->thresholds + (size_t)(group * c->group_blocks + block) * BLOCK;
  uint32_t *out = (uint32_t *)run->output + pixel * (size_t)words;
  if (first % 32 == 0 && (c->options.groups == 1 || c->group_out % 32 == 0)) {
    c->kernels->to_bits(accumulators, number, thresholds, out + first / 32,
                        (size_t)words);
    return;
  }
  uint32_t found[TILE];
  c->kernels->to_bits(accumulators, number, thresholds, found, 1);
  for (int p = 0; p < number; ++p)
    insert_bits(found[p], first, out + (size_t)p * words, first / 32 + 1 < words);
}

static void write_block(const Run *run, const int32_t *accumulators, size_t pixel,
                        int number, int group, int block) {
  const Convolution *c = run->c;
  if (c->options.output == TO_BITS) {
    write_bits(run, accumulators, pixel, number, group, block);
    return;
  }
  int first = group * c->group_out + block * BLOCK;
  int channels = min_int(BLOCK, c->group_out - block * BLOCK);
  size_t stride = (size_t)c->options.channels_out;
  size_t at = pixel * stride + first;
  OutputTransform output_transform = {c->low, c->high, c->multiplier + first,
                                      c->bias + first};
  if (c->options.output == TO_FLOATS)
    c->kernels->to_floats(accumulators, number, channels, &output_transform,
                          (float *)run->output + at, stride);
  else
    c->kernels->to_int8(accumulators, number, channels, &output_transform,
                        (int8_t *)run->output + at, stride);
}

/* Computes one tile of pixels for one slice of a group's channels. */
static void run_tile(void *data, int index) {
  const Run *run = data;
  const Convolution *c = run->c;
  int slice = index % run->slices, group = index / run->slices % c->options.groups;
  int tile = index / run->slices / c->options.groups % run->tiles;
  int image = index / run->slices / c->options.groups / run->tiles;
  int out_pixels = c->y.out * c->x.out;
  int first = tile * TILE, number = min_int(TILE, out_pixels - first);

  const void *pixels[TILE];
  const int32_t *corrections[TILE];
  bool corrected = false;
  int width = c->padded_input != NULL ? c->x.padded : c->x.size;
  int height = c->padded_input != NULL ? c->y.padded : c->y.size;
  size_t words = (size_t)words_in(c);
  size_t channels = (size_t)padded_channels(c);
  const uint8_t *input =
      c->padded_input != NULL ? c->padded_input : (const uint8_t *)run->input;
  size_t word_size = c->kernels->word_size;
  input += ((size_t)image * height * width * words + (size_t)group * c->group_words) *
           word_size;
  int y = first / c->x.out, x = first % c->x.out;
  for (int p = 0; p < number; ++p) {
    size_t at = (size_t)y * c->options.stride_height * width +
                (size_t)x * c->options.stride_width;
    pixels[p] = input + at * words * word_size;
    corrections[p] = NULL;
    if (c->corrections != NULL &&
        !is_inside(c, c->y.classes[y], c->x.classes[x])) {
      size_t class = (size_t)c->y.classes[y] * c->x.num_classes + c->x.classes[x];
      corrections[p] = c->corrections + class * channels;
      corrected = true;
    }
    if (++x == c->x.out) {
      x = 0;
      ++y;
    }
  }

  int blocks = (c->group_blocks + run->slices - 1) / run->slices;
  int end = min_int((slice + 1) * blocks, c->group_blocks);
  size_t pixel = (size_t)image * out_pixels + first;
  for (int block = slice * blocks; block < end; ++block) {
    _Alignas(64) int32_t accumulators[TILE * BLOCK];
    size_t packed = (size_t)group * c->group_blocks + block;
    c->kernels->xor_popcount(pixels, number, &c->indirection,
                             c->packed_weights + packed * c->block_size, accumulators);
    if (corrected)
      for (int p = 0; p < number; ++p) {
        if (corrections[p] == NULL) continue;
        const int32_t *correction = corrections[p] + packed * BLOCK;
        for (int i = 0; i < BLOCK; ++i) accumulators[p * BLOCK + i] += correction[i];
      }
    write_block(run, accumulators, pixel, number, group, block);
  }
}

void convolution_run(Convolution *c, Threads *threads, int num_threads,
                     const uint32_t *input, void *output) {
  int out_pixels = c->y.out * c->x.out;
  Run run = {c, input, output, (out_pixels + TILE - 1) / TILE, 1};
  if (c->padded_input != NULL)
    threads_run(threads, num_threads, c->batch * rows_in_padded_input(c), pad_row,
                &run);
  bool shares_words = c->options.output == TO_BITS && c->options.groups > 1 &&
                      c->group_out % 32 != 0;
  if (shares_words) {
    size_t words = (size_t)words_of(c->options.channels_out);
    memset(output, 0, (size_t)c->batch * out_pixels * words * sizeof(uint32_t));
    num_threads = 1;
  }
  int parts = c->batch * run.tiles * c->options.groups;
  /* Small images have too few tiles for all threads: split the channels, too. */
  if (num_threads > 1 && parts < 4 * num_threads) {
    run.slices = min_int(num_threads, c->group_blocks);
    parts *= run.slices;
  }
  threads_run(threads, num_threads, parts, run_tile, &run);
}
