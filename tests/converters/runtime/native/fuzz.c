/* Fuzzer of the delegate: operators of every kind, damaged or valid. Valid ones are
 * compared with the definition. Built with sanitizers, it ends at the first read out of
 * bounds, as every buffer is exactly as long as its tensor states.
 *
 *     fuzz KERNELS INPUTS SEED
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "litert.h"

TfLiteDelegate *tflite_plugin_create_delegate(char **keys, char **values, size_t number,
                                              void (*report)(const char *));
void tflite_plugin_destroy_delegate(TfLiteDelegate *delegate);

/* Random numbers */

static uint64_t state;

static uint32_t random_bits(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32);
}

static int between(int least, int most) {
  return least + (int)(random_bits() % (uint32_t)(most - least + 1));
}

static bool one_in(int number) { return between(1, number) == 1; }

/* Options: a FlexBuffer map with elements of 4 bytes. */

typedef struct {
  const char *key;
  int value;
} Pair;

typedef struct {
  uint8_t bytes[1024];
  size_t length;
} Bytes;

static void put(Bytes *to, const void *from, size_t length) {
  memcpy(to->bytes + to->length, from, length);
  to->length += length;
}

static void put_int(Bytes *to, int32_t value) { put(to, &value, sizeof value); }

static Bytes options_of(const Pair *pairs, int number) { /* Sorted by key. */
  Bytes all = {.length = 0};
  size_t keys[16];
  for (int i = 0; i < number; ++i) {
    keys[i] = all.length;
    put(&all, pairs[i].key, strlen(pairs[i].key) + 1);
  }
  put_int(&all, number);
  size_t names = all.length;
  for (int i = 0; i < number; ++i) put_int(&all, (int)(all.length - keys[i]));
  put_int(&all, (int)(all.length - names));
  put_int(&all, 4);
  put_int(&all, number);
  size_t map = all.length;
  for (int i = 0; i < number; ++i) put_int(&all, pairs[i].value);
  for (int i = 0; i < number; ++i) put(&all, &(uint8_t){1 << 2 | 2}, 1);
  size_t root = all.length;
  put(&all, &(uint8_t){(uint8_t)(root - map)}, 1);
  put(&all, &(uint8_t){9 << 2 | 2}, 1);
  put(&all, &(uint8_t){1}, 1);
  return all;
}

static bool damage(Bytes *bytes) {
  if (!one_in(4)) return false;
  for (int i = between(1, 4); i > 0 && bytes->length > 0; --i)
    bytes->bytes[random_bits() % bytes->length] = (uint8_t)random_bits();
  if (one_in(4) && bytes->length > 0) bytes->length = random_bits() % bytes->length;
  return true;
}

/* Tensors */

enum { INPUT, FILTER, MULTIPLIER, BIAS, THRESHOLDS, OUTPUT, NUM_TENSORS };

static int size_of(int type) {
  return type == kTfLiteFloat32 || type == kTfLiteInt32 ? 4 : 1;
}

static size_t elements(const TfLiteIntArray *dims) { /* 0 where one is negative. */
  size_t product = 1;
  for (int i = 0; i < dims->size; ++i)
    product *= dims->data[i] < 0 ? 0 : (size_t)dims->data[i];
  return product;
}

static void allocate(TfLiteTensor *tensor) {
  free(tensor->data);
  tensor->bytes = elements(tensor->dims) * (size_t)size_of(tensor->type);
  tensor->data = malloc(tensor->bytes ? tensor->bytes : 1);
}

static TfLiteIntArray *dims_of(int number, const int *sizes) {
  TfLiteIntArray *dims = malloc(sizeof *dims + (size_t)number * sizeof(int));
  dims->size = number;
  for (int i = 0; i < number; ++i) dims->data[i] = sizes[i];
  return dims;
}

static void make(TfLiteTensor *tensor, int type, bool constant, int number,
                 const int *sizes) {
  tensor->type = type;
  tensor->allocation_type = constant ? kTfLiteMmapRo : 2;
  tensor->dims = dims_of(number, sizes);
  tensor->params = (TfLiteQuantizationParams){0.25f, between(-128, 127)};
  allocate(tensor);
  uint8_t *bytes = tensor->data;
  for (size_t i = 0; i < tensor->bytes; ++i) bytes[i] = (uint8_t)random_bits();
  if (type == kTfLiteFloat32)
    for (size_t i = 0; i < tensor->bytes / 4; ++i)
      ((float *)tensor->data)[i] = (float)between(-1000, 1000) / 64;
  if (type == kTfLiteBool)
    for (size_t i = 0; i < tensor->bytes; ++i) bytes[i] &= 1;
}

/* Bits after the last channel are 0 in files. */
static void clear_tail(TfLiteTensor *tensor, int channels) {
  int words = tensor->dims->data[tensor->dims->size - 1];
  uint32_t *data = tensor->data;
  if (channels % 32 == 0 || words * 32 < channels) return;
  for (size_t i = (size_t)words - 1; i < tensor->bytes / 4; i += (size_t)words)
    data[i] &= (1u << channels % 32) - 1;
}

/* A LiteRT of one operator */

static TfLiteTensor tensors[NUM_TENSORS];
static TfLiteNode node;
static TfLiteRegistration original, kernel;
static TfLiteIntArray *plan;
static bool complained;
static void *user_data;

static TfLiteStatus get_plan(TfLiteContext *context, TfLiteIntArray **found) {
  (void)context;
  *found = plan;
  return kTfLiteOk;
}

static TfLiteStatus get_node(TfLiteContext *context, int index, TfLiteNode **found,
                             TfLiteRegistration **registration) {
  (void)context;
  (void)index;
  *found = &node;
  *registration = &original;
  return kTfLiteOk;
}

static TfLiteStatus replace(TfLiteContext *context, TfLiteRegistration registration,
                            const TfLiteIntArray *nodes, TfLiteDelegate *delegate) {
  TfLiteDelegateParams params = {delegate, (TfLiteIntArray *)nodes, NULL, NULL};
  kernel = registration;
  user_data = kernel.init(context, (const char *)&params, sizeof params);
  return kTfLiteOk;
}

static TfLiteStatus resize(TfLiteContext *context, TfLiteTensor *tensor,
                           TfLiteIntArray *dims) {
  (void)context;
  free(tensor->dims);
  tensor->dims = dims;
  for (int i = 0; i < dims->size; ++i)
    if (dims->data[i] < 0) {
      fprintf(stderr, "a negative size\n");
      abort();
    }
  allocate(tensor);
  return kTfLiteOk;
}

static void complain(TfLiteContext *context, const char *format, ...) {
  (void)context;
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  complained = true;
}

/* The definition */

typedef struct {
  int batch, height, width, channels_in, channels_out, groups, filter_height,
      filter_width, stride_height, stride_width, dilation_height, dilation_width,
      activation, padding, pad_values;
} Shape;

static int sign(const uint32_t *words, int channel) {
  return words[channel / 32] >> channel % 32 & 1 ? -1 : 1;
}

static int before(int size, int out, int filter, int stride, int dilation,
                  int padding) {
  int total = (out - 1) * stride + (filter - 1) * dilation + 1 - size;
  return padding == 0 && total > 0 ? total / 2 : 0;
}

static int dot(const Shape *s, int image, int oy, int ox, int o) {
  const int *out = tensors[OUTPUT].dims->data;
  const uint32_t *input = tensors[INPUT].data, *filter = tensors[FILTER].data;
  int words = (s->channels_in + 31) / 32, group_in = s->channels_in / s->groups;
  int group = o / (s->channels_out / s->groups), group_words = words / s->groups;
  int top = oy * s->stride_height - before(s->height, out[1], s->filter_height,
                                           s->stride_height, s->dilation_height,
                                           s->padding);
  int left = ox * s->stride_width - before(s->width, out[2], s->filter_width,
                                           s->stride_width, s->dilation_width,
                                           s->padding);
  int sum = 0;
  for (int ky = 0; ky < s->filter_height; ++ky)
    for (int kx = 0; kx < s->filter_width; ++kx) {
      int y = top + ky * s->dilation_height, x = left + kx * s->dilation_width;
      bool inside = y >= 0 && y < s->height && x >= 0 && x < s->width;
      const uint32_t *weights =
          filter + ((o * s->filter_height + ky) * s->filter_width + kx) * group_words;
      const uint32_t *pixel =
          inside ? input + ((image * s->height + y) * s->width + x) * words +
                       group * group_words
                 : NULL;
      for (int c = 0; c < group_in; ++c)
        sum += sign(weights, c) *
               (inside ? sign(pixel, c) : s->pad_values ? 1 : 0);
    }
  return sum;
}

static void wrong(const char *what, double found, double expected) {
  fprintf(stderr, "%s: %g instead of %g\n", what, found, expected);
  abort();
}

static void check_convolution(const Shape *s) {
  const TfLiteTensor *out = &tensors[OUTPUT];
  const int *sizes = out->dims->data;
  const float *multiplier = tensors[MULTIPLIER].data, *bias = tensors[BIAS].data;
  const int32_t *thresholds = tensors[THRESHOLDS].data;
  int area = s->filter_height * s->filter_width * (s->channels_in / s->groups);
  int low = s->activation == 0 ? -area : s->activation == 2 ? -1 : 0;
  int high = s->activation == 2 ? 1 : s->activation == 3 ? 6 : area;
  for (int i = 0; i < s->batch; ++i)
    for (int y = 0; y < sizes[1]; ++y)
      for (int x = 0; x < sizes[2]; ++x)
        for (int o = 0; o < s->channels_out; ++o) {
          size_t pixel = ((size_t)i * sizes[1] + y) * sizes[2] + x;
          int sum = dot(s, i, y, x, o);
          if (out->type == kTfLiteInt32) {
            const uint32_t *words =
                (const uint32_t *)out->data + pixel * ((s->channels_out + 31) / 32);
            int expected = (int64_t)area - sum > 2 * (int64_t)thresholds[o] ? -1 : 1;
            if (sign(words, o) != expected) wrong("a sign", sign(words, o), expected);
            continue;
          }
          int clamped = sum < low ? low : sum > high ? high : sum;
          double exact = (double)clamped * multiplier[o] + bias[o];
          double slack = ldexp(area * fabs(multiplier[o]) + fabs(bias[o]), -21);
          size_t at = pixel * s->channels_out + o;
          if (out->type == kTfLiteFloat32) {
            double found = ((const float *)out->data)[at];
            if (fabs(found - exact) > slack) wrong("a number", found, exact);
            continue;
          }
          double steps = exact / out->params.scale + out->params.zero_point;
          double step = round(steps), found = ((const int8_t *)out->data)[at];
          step = step < -128 ? -128 : step > 127 ? 127 : step;
          bool half = fabs(fabs(steps - trunc(steps)) - 0.5) < 1e-3;
          if (found != step && !(half && fabs(found - step) <= 1))
            wrong("a step", found, step);
        }
}

static void check_pooling(const Pair *pairs) {
  const TfLiteTensor *in = &tensors[INPUT], *out = &tensors[OUTPUT];
  const int *from = in->dims->data, *to = out->dims->data;
  int filter[] = {pairs[0].value, pairs[1].value}, padding = pairs[2].value;
  int stride[] = {pairs[3].value, pairs[4].value};
  const uint32_t *input = in->data, *found = out->data;
  for (int i = 0; i < to[0]; ++i)
    for (int oy = 0; oy < to[1]; ++oy)
      for (int ox = 0; ox < to[2]; ++ox)
        for (int k = 0; k < to[3]; ++k, ++found) {
          int top = oy * stride[0] -
                    before(from[1], to[1], filter[0], stride[0], 1, padding);
          int left = ox * stride[1] -
                     before(from[2], to[2], filter[1], stride[1], 1, padding);
          uint32_t all_minus = UINT32_MAX;
          for (int y = top; y < top + filter[0]; ++y)
            for (int x = left; x < left + filter[1]; ++x)
              if (y >= 0 && y < from[1] && x >= 0 && x < from[2])
                all_minus &= input[((i * from[1] + y) * from[2] + x) * from[3] + k];
          if (*found != all_minus) wrong("a pooled word", *found, all_minus);
        }
}

static bool is_minus(const TfLiteTensor *tensor, size_t at) {
  if (tensor->type == kTfLiteFloat32) return ((const float *)tensor->data)[at] < 0;
  if (tensor->type == kTfLiteBool) return !((const bool *)tensor->data)[at];
  return ((const int8_t *)tensor->data)[at] < tensor->params.zero_point;
}

static double value_of(const TfLiteTensor *tensor, size_t at) {
  if (tensor->type == kTfLiteFloat32) return ((const float *)tensor->data)[at];
  if (tensor->type == kTfLiteBool) return ((const bool *)tensor->data)[at];
  return ((const int8_t *)tensor->data)[at];
}

static double expected_of(const TfLiteTensor *tensor, int sign) {
  if (tensor->type == kTfLiteFloat32) return sign;
  if (tensor->type == kTfLiteBool) return sign > 0;
  double steps = tensor->params.zero_point + sign / tensor->params.scale;
  return steps > 127 ? 127 : steps < -128 ? -128 : steps;
}

/* Compares the signs of a tensor of values with a tensor of words. */
static void check_signs(const TfLiteTensor *values, const TfLiteTensor *words,
                        bool packs) {
  int channels = values->dims->data[values->dims->size - 1];
  if (channels == 0) return;
  size_t rows = elements(values->dims) / (size_t)channels;
  int step = (channels + 31) / 32;
  for (size_t r = 0; r < rows; ++r) {
    const uint32_t *row = (const uint32_t *)words->data + r * step;
    for (int c = 0; c < channels; ++c) {
      size_t at = r * channels + c;
      if (packs && (sign(row, c) < 0) != is_minus(values, at))
        wrong("a packed sign", sign(row, c), is_minus(values, at));
      if (!packs && value_of(values, at) != expected_of(values, sign(row, c)))
        wrong("an unpacked sign", value_of(values, at), sign(row, c));
    }
    if (packs && channels % 32 && row[step - 1] >> channels % 32 != 0)
      wrong("bits after the last channel", row[step - 1], 0);
  }
}

/* One input */

static int kinds_done[4], refused;

static bool with_damage(int *value, int other) {
  if (!one_in(40)) return false;
  *value = other;
  return true;
}

static Bytes make_convolution(Shape *s, bool *damaged) {
  static const int outputs[] = {kTfLiteFloat32, kTfLiteInt8, kTfLiteInt32};
  *s = (Shape){.batch = between(1, 2), .height = between(1, 8), .width = between(1, 8),
               .groups = one_in(3) ? between(2, 3) : 1, .filter_height = between(1, 3),
               .filter_width = between(1, 3), .stride_height = between(1, 3),
               .stride_width = between(1, 3), .dilation_height = between(1, 2),
               .dilation_width = between(1, 2), .activation = between(0, 3),
               .padding = between(0, 1), .pad_values = between(0, 1)};
  s->channels_in = s->groups > 1 ? 32 * s->groups : between(1, 70);
  s->channels_out = s->groups * between(1, 40);
  int words = (s->channels_in + 31) / 32, type = outputs[between(0, 2)];
  int in[4] = {s->batch, s->height, s->width, words};
  int filter[4] = {s->channels_out, s->filter_height, s->filter_width,
                   words / s->groups};
  int channels[1] = {s->channels_out}, in_type = kTfLiteInt32;
  Pair pairs[] = {{"channels_in", s->channels_in},
                  {"dilation_height_factor", s->dilation_height},
                  {"dilation_width_factor", s->dilation_width},
                  {"fused_activation_function", s->activation},
                  {"pad_values", s->pad_values},
                  {"padding", s->padding},
                  {"stride_height", s->stride_height},
                  {"stride_width", s->stride_width}};
  for (int i = 0; i < 8; ++i)
    *damaged |= with_damage(&pairs[i].value,
                            one_in(2) ? (int)random_bits() : between(-2, 70));
  for (int i = 0; i < 4; ++i) {
    *damaged |= with_damage(&in[i], between(0, 9));
    *damaged |= with_damage(&filter[i], between(0, 9));
  }
  *damaged |= with_damage(&channels[0], between(0, 9));
  *damaged |= with_damage(&in_type, kTfLiteFloat32);
  int in_dims = 4;
  *damaged |= with_damage(&in_dims, between(1, 3));
  make(&tensors[INPUT], in_type, false, in_dims, in);
  bool constant = !one_in(100);
  *damaged |= !constant;
  make(&tensors[FILTER], kTfLiteInt32, constant, 4, filter);
  make(&tensors[MULTIPLIER], kTfLiteFloat32, true, 1, channels);
  make(&tensors[BIAS], kTfLiteFloat32, true, 1, channels);
  make(&tensors[THRESHOLDS], kTfLiteInt32, true, 1, channels);
  if (!*damaged) {
    clear_tail(&tensors[INPUT], s->channels_in);
    clear_tail(&tensors[FILTER], s->channels_in / s->groups);
    int32_t *thresholds = tensors[THRESHOLDS].data;
    for (int o = 0; o < s->channels_out; ++o)
      if (!one_in(20)) thresholds[o] = between(0, s->channels_in * 9);
  }
  make(&tensors[OUTPUT], type, false, 1, (int[]){1});
  return options_of(pairs, 8);
}

static Bytes make_pooling(Pair pairs[5], bool *damaged) {
  static const char *const keys[] = {"filter_height", "filter_width", "padding",
                                     "stride_height", "stride_width"};
  for (int i = 0; i < 5; ++i) {
    pairs[i] = (Pair){keys[i], i == 2 ? between(0, 1) : between(1, 3)};
    *damaged |= with_damage(&pairs[i].value, (int)random_bits());
  }
  int in[4] = {between(1, 2), between(0, 6), between(1, 6), between(1, 3)};
  make(&tensors[INPUT], kTfLiteInt32, false, between(3, 4), in);
  make(&tensors[OUTPUT], kTfLiteInt32, false, 1, (int[]){1});
  return options_of(pairs, 5);
}

static Bytes make_signs(bool packs) {
  static const int types[] = {kTfLiteFloat32, kTfLiteInt8, kTfLiteBool, kTfLiteInt32};
  int sizes[5], number = between(1, 5), channels = between(0, 100);
  for (int i = 0; i < number; ++i) sizes[i] = between(one_in(20) ? 0 : 1, 4);
  int type = types[one_in(20) ? 3 : between(0, 2)];
  bool negative = one_in(20);
  if (packs) {
    sizes[number - 1] = negative ? -between(1, 40) : channels;
    make(&tensors[INPUT], type, false, number, sizes);
    make(&tensors[OUTPUT], kTfLiteInt32, false, 1, (int[]){1});
  } else {
    sizes[number - 1] = (channels + 31) / 32;
    make(&tensors[INPUT], kTfLiteInt32, false, number, sizes);
    sizes[number - 1] = one_in(20) ? between(0, 200) : channels;
    if (negative) sizes[number - 1] = -between(1, 40);
    make(&tensors[OUTPUT], type, false, one_in(20) ? 1 : number, sizes);
  }
  return (Bytes){.length = 0};
}

static void run_one(TfLiteContext *context, char *kernels) {
  static char *const names[] = {"LceBconv2d", "LceBMaxPool2d", "LceQuantize",
                                "LceDequantize"};
  memset(tensors, 0, sizeof tensors);
  Shape shape;
  Pair pooling[5];
  bool damaged = false;
  int kind = one_in(3) ? between(1, 3) : 0;
  Bytes options = kind == 0   ? make_convolution(&shape, &damaged)
                  : kind == 1 ? make_pooling(pooling, &damaged)
                              : make_signs(kind == 2);
  damaged |= damage(&options);
  /* A copy that ends where the options end. */
  uint8_t *bytes = malloc(options.length ? options.length : 1);
  memcpy(bytes, options.bytes, options.length);
  bool bits = tensors[OUTPUT].type == kTfLiteInt32;
  int inputs[5] = {INPUT, FILTER, bits ? -1 : MULTIPLIER, bits ? -1 : BIAS,
                   bits ? THRESHOLDS : -1};
  for (int i = 0; i < 5; ++i) damaged |= with_damage(&inputs[i], between(-3, 9));
  int number = kind == 0 ? 5 : 1;
  damaged |= with_damage(&number, between(0, 9) % 6);
  node = (TfLiteNode){.inputs = dims_of(number, inputs),
                      .outputs = dims_of(1, (int[]){OUTPUT}),
                      .custom_initial_data = bytes,
                      .custom_initial_data_size = (int)options.length};
  original = (TfLiteRegistration){.custom_name = names[kind], .builtin_code = 32};
  plan = dims_of(1, (int[]){0});
  complained = false;
  context->recommended_num_threads = between(1, 2);
  char *keys[] = {"kernels"};
  TfLiteDelegate *delegate = tflite_plugin_create_delegate(keys, &kernels, 1, NULL);
  if (delegate == NULL || delegate->Prepare(context, delegate) != kTfLiteOk) abort();
  TfLiteNode made = {.user_data = user_data};
  TfLiteStatus status = kernel.prepare(context, &made);
  if (status == kTfLiteOk && one_in(4)) status = kernel.prepare(context, &made);
  for (int i = between(1, 3); i > 0 && status == kTfLiteOk; --i)
    status = kernel.invoke(context, &made);
  if (status == kTfLiteOk) {
    ++kinds_done[kind];
    if (kind == 0 && !damaged) check_convolution(&shape);
    if (kind == 1 && !damaged) check_pooling(pooling);
    if (kind == 2) check_signs(&tensors[INPUT], &tensors[OUTPUT], true);
    if (kind == 3) check_signs(&tensors[OUTPUT], &tensors[INPUT], false);
  } else {
    ++refused;
    if (!complained) wrong("a failure without a message", kind, status);
    bool may_fail = damaged || kind != 0 || shape.padding == 1;
    if (!may_fail) wrong("a valid operator was refused", kind, status);
  }
  kernel.free(context, user_data);
  tflite_plugin_destroy_delegate(delegate);
  free(bytes);
  free(node.inputs);
  free(node.outputs);
  free(plan);
  for (int i = 0; i < NUM_TENSORS; ++i) {
    free(tensors[i].data);
    free(tensors[i].dims);
  }
}

int main(int count, char **words) {
  if (count != 4) return 2;
  state = 88172645463325252u + (uint64_t)atoll(words[3]) * 2654435761u;
  TfLiteContext context = {.tensors_size = NUM_TENSORS,
                           .GetExecutionPlan = get_plan,
                           .tensors = tensors,
                           .ResizeTensor = resize,
                           .ReportError = complain,
                           .GetNodeAndRegistration = get_node,
                           .ReplaceNodeSubsetsWithDelegateKernels = replace};
  for (int i = 0; i < atoi(words[2]); ++i) run_one(&context, words[1]);
  printf("%s: %d convolutions, %d poolings, %d packed, %d unpacked, %d refused\n",
         words[1], kinds_done[0], kinds_done[1], kinds_done[2], kinds_done[3], refused);
  return 0;
}
