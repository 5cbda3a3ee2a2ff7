/* A LiteRT delegate for the four custom operators of Larq Compute Engine.
 *
 * Each operator is replaced alone, so that all tensors between them stay in LiteRT's
 * arena and other delegates, such as XNNPACK, take the remaining operators. LiteRT
 * finds this library's functions by name: tflite_plugin_create_delegate and its
 * counterpart.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "convolution.h"
#include "flexbuffer.h"
#include "litert.h"
#include "signs.h"

#define EXPORT __attribute__((visibility("default")))

typedef enum { QUANTIZE, DEQUANTIZE, MAX_POOL, CONVOLUTION, NUM_KINDS } Kind;

static const char *const names[NUM_KINDS] = {
    "LceQuantize", "LceDequantize", "LceBMaxPool2d", "LceBconv2d"};

typedef struct Delegate {
  TfLiteDelegate base; /* First, so that a pointer to it can be cast to Delegate. */
  const Kernels *kernels;
  Threads *threads;
  struct Node *nodes; /* All live ones, for bnn_times. */
} Delegate;

enum { MAX_INPUTS = 5 };

typedef struct Node {
  Kind kind;
  Delegate *delegate;
  struct Node *next;
  int index;
  int num_inputs, inputs[MAX_INPUTS], output;
  int64_t started, ended; /* Nanoseconds of the last run. */
  union {
    ConvolutionOptions convolution;
    Pooling pooling;
  } options;
  const char *error; /* An error in the options. */
  Convolution *convolution;
  int out_height, out_width;
} Node;

static TfLiteStatus fail(TfLiteContext *context, const Node *node, const char *why) {
  context->ReportError(context, "%s, operator %d: %s.", names[node->kind], node->index,
                       why);
  return kTfLiteError;
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Options */

typedef struct {
  const uint8_t *bytes;
  size_t length;
  const char *error;
} Options;

static int option(Options *options, const char *key, const char *error, int least,
                  int most) {
  int64_t value = 0;
  if (!flexbuffer_integer(options->bytes, options->length, key, &value) ||
      value < least || value > most) {
    if (options->error == NULL) options->error = error;
    return least;
  }
  return (int)value;
}

static void read_convolution(Node *node, Options *options) {
  enum { MAX_OPTION = 1 << 20 };
  node->options.convolution = (ConvolutionOptions){
      .channels_in =
          option(options, "channels_in", "its channels_in is missing or out of range",
                 1, MAX_OPTION),
      .stride_height = option(options, "stride_height",
                              "its stride is missing or out of range", 1, MAX_OPTION),
      .stride_width = option(options, "stride_width",
                             "its stride is missing or out of range", 1, MAX_OPTION),
      .dilation_height =
          option(options, "dilation_height_factor",
                 "its dilation is missing or out of range", 1, MAX_OPTION),
      .dilation_width =
          option(options, "dilation_width_factor",
                 "its dilation is missing or out of range", 1, MAX_OPTION),
      .same = option(options, "padding", "its padding is unknown", 0, 1) == 0,
      .pad_ones = option(options, "pad_values", "its pad_values is unknown", 0, 1) == 1,
      .activation = (Activation)option(options, "fused_activation_function",
                                       "its activation is unknown", 0, 3),
  };
}

static void read_pooling(Node *node, Options *options) {
  enum { MAX_OPTION = 1 << 20 };
  node->options.pooling = (Pooling){
      .filter_height = option(options, "filter_height",
                              "its window is missing or out of range", 1, MAX_OPTION),
      .filter_width = option(options, "filter_width",
                             "its window is missing or out of range", 1, MAX_OPTION),
      .stride_height = option(options, "stride_height",
                              "its stride is missing or out of range", 1, MAX_OPTION),
      .stride_width = option(options, "stride_width",
                             "its stride is missing or out of range", 1, MAX_OPTION),
      .same = option(options, "padding", "its padding is unknown", 0, 1) == 0,
  };
}

/* Tensors */

static TfLiteTensor *tensor(TfLiteContext *context, int index) {
  return index < 0 || (size_t)index >= context->tensors_size ? NULL
                                                             : context->tensors + index;
}

static TfLiteTensor *input(TfLiteContext *context, const Node *node, int i) {
  return i < node->num_inputs ? tensor(context, node->inputs[i]) : NULL;
}

static bool has_dims(const TfLiteTensor *t, int number) {
  if (t == NULL || t->dims == NULL || t->dims->size != number) return false;
  for (int i = 0; i < number; ++i)
    if (t->dims->data[i] < 0) return false;
  return true;
}

/* Has at least one dimension. */
static bool has_rows(const TfLiteTensor *t) {
  return t != NULL && t->dims != NULL && t->dims->size > 0 &&
         has_dims(t, t->dims->size);
}

/* Is constant, of this type, and long enough. */
static bool is_constant(const TfLiteTensor *t, int type, size_t elements) {
  return t != NULL && t->type == type && t->allocation_type == kTfLiteMmapRo &&
         t->data != NULL && t->bytes / 4 >= elements;
}

/* Sets the shape of the output. */
static TfLiteStatus resize(TfLiteContext *context, const Node *node, int number,
                           const int *sizes) {
  TfLiteTensor *output = tensor(context, node->output);
  TfLiteIntArray *dims = malloc(sizeof *dims + (size_t)number * sizeof *dims->data);
  if (output == NULL || dims == NULL) {
    free(dims);
    return fail(context, node, "it has no output");
  }
  dims->size = number;
  memcpy(dims->data, sizes, (size_t)number * sizeof *sizes);
  return context->ResizeTensor(context, output, dims); /* It owns dims now. */
}

static TfLiteStatus resize_last(TfLiteContext *context, const Node *node,
                                const TfLiteTensor *like, int last) {
  enum { MAX_DIMS = 16 };
  int sizes[MAX_DIMS], number = like->dims->size;
  if (number > MAX_DIMS)
    return fail(context, node, "its input has too many dimensions");
  memcpy(sizes, like->dims->data, (size_t)number * sizeof *sizes);
  sizes[number - 1] = last;
  return resize(context, node, number, sizes);
}

static int last_size(const TfLiteTensor *t) { return t->dims->data[t->dims->size - 1]; }

static Rows rows_of(TfLiteContext *context, const Node *node, const TfLiteTensor *t) {
  Rows rows = {node->delegate->kernels, node->delegate->threads,
               context->recommended_num_threads, 1, (size_t)last_size(t)};
  for (int i = 0; i + 1 < t->dims->size; ++i) rows.rows *= (size_t)t->dims->data[i];
  return rows;
}

/* Prepare: checks, shapes and packed weights */

static TfLiteStatus prepare_quantize(TfLiteContext *context, Node *node) {
  const TfLiteTensor *in = input(context, node, 0), *out = tensor(context, node->output);
  if (!has_rows(in) || out == NULL) return fail(context, node, "it has no input");
  if (in->type != kTfLiteFloat32 && in->type != kTfLiteInt8 && in->type != kTfLiteBool)
    return fail(context, node, "its input is neither float32 nor int8 nor bool");
  if (out->type != kTfLiteInt32) return fail(context, node, "its output is not int32");
  return resize_last(context, node, in, words_of(last_size(in)));
}

static TfLiteStatus prepare_dequantize(TfLiteContext *context, Node *node) {
  const TfLiteTensor *in = input(context, node, 0), *out = tensor(context, node->output);
  if (!has_rows(in) || out == NULL || in->type != kTfLiteInt32)
    return fail(context, node, "its input is not int32");
  if (out->type != kTfLiteFloat32 && out->type != kTfLiteInt8 &&
      out->type != kTfLiteBool)
    return fail(context, node, "its output is neither float32 nor int8 nor bool");
  if (out->type == kTfLiteInt8 && !(out->params.scale > 0))
    return fail(context, node, "its output has no scale");
  if (!has_dims(out, in->dims->size) || words_of(last_size(out)) != last_size(in))
    return fail(context, node, "its output has other channels than its input");
  return resize_last(context, node, in, last_size(out));
}

static TfLiteStatus prepare_pooling(TfLiteContext *context, Node *node) {
  const TfLiteTensor *in = input(context, node, 0), *out = tensor(context, node->output);
  if (!has_dims(in, 4) || out == NULL || in->type != kTfLiteInt32 ||
      out->type != kTfLiteInt32)
    return fail(context, node, "its input is not int32 of 4 dimensions");
  Pooling *pooling = &node->options.pooling;
  pooling->batch = in->dims->data[0];
  pooling->height = in->dims->data[1];
  pooling->width = in->dims->data[2];
  pooling->words = in->dims->data[3];
  const char *error = pooling_size(pooling, &node->out_height, &node->out_width);
  if (error != NULL) return fail(context, node, error);
  int sizes[4] = {pooling->batch, node->out_height, node->out_width, pooling->words};
  return resize(context, node, 4, sizes);
}

/* Packs the constants, once for all sizes of the image. */
static TfLiteStatus create_convolution(TfLiteContext *context, Node *node) {
  ConvolutionOptions *options = &node->options.convolution;
  const TfLiteTensor *filter = input(context, node, 1);
  const TfLiteTensor *out = tensor(context, node->output);
  if (!has_dims(filter, 4)) return fail(context, node, "its filter has not 4 dimensions");
  if (out == NULL || (out->type != kTfLiteFloat32 && out->type != kTfLiteInt8 &&
                      out->type != kTfLiteInt32))
    return fail(context, node, "its output is neither float32 nor int8 nor int32");
  options->channels_out = filter->dims->data[0];
  options->filter_height = filter->dims->data[1];
  options->filter_width = filter->dims->data[2];
  int words = filter->dims->data[3], all = words_of(options->channels_in);
  if (words < 1 || all % words)
    return fail(context, node,
                "the words of its filter do not divide the words of its input");
  options->groups = all / words;
  double elements = (double)options->channels_out * options->filter_height *
                    options->filter_width * words;
  if (!(elements > 0 && elements < INT32_MAX) ||
      !is_constant(filter, kTfLiteInt32, (size_t)elements))
    return fail(context, node, "its filter is not constant, or too short");
  options->output = out->type == kTfLiteFloat32 ? TO_FLOATS
                    : out->type == kTfLiteInt8  ? TO_INT8
                                                : TO_BITS;
  options->scale = out->params.scale;
  options->zero_point = out->params.zero_point;
  ConvolutionConstants constants = {.filter = filter->data};
  size_t channels = (size_t)options->channels_out;
  if (options->output == TO_BITS) {
    const TfLiteTensor *thresholds = input(context, node, 4);
    if (!is_constant(thresholds, kTfLiteInt32, channels))
      return fail(context, node, "its thresholds are not constant, or too short");
    constants.thresholds = thresholds->data;
  } else {
    const TfLiteTensor *multiplier = input(context, node, 2);
    const TfLiteTensor *bias = input(context, node, 3);
    if (!is_constant(multiplier, kTfLiteFloat32, channels) ||
        !is_constant(bias, kTfLiteFloat32, channels))
      return fail(context, node, "its multiplier or bias is not constant, or too short");
    constants.multiplier = multiplier->data;
    constants.bias = bias->data;
  }
  const char *error = NULL;
  node->convolution =
      convolution_create(options, &constants, node->delegate->kernels, &error);
  return error == NULL ? kTfLiteOk : fail(context, node, error);
}

static TfLiteStatus prepare_convolution(TfLiteContext *context, Node *node) {
  const TfLiteTensor *in = input(context, node, 0);
  if (!has_dims(in, 4) || in->type != kTfLiteInt32)
    return fail(context, node, "its input is not int32 of 4 dimensions");
  const ConvolutionOptions *options = &node->options.convolution;
  if (last_size(in) != words_of(options->channels_in))
    return fail(context, node, "its input has other channels than its options");
  if (node->convolution == NULL && create_convolution(context, node) != kTfLiteOk)
    return kTfLiteError;
  const char *error =
      convolution_resize(node->convolution, in->dims->data[0], in->dims->data[1],
                         in->dims->data[2], &node->out_height, &node->out_width);
  if (error != NULL) return fail(context, node, error);
  int channels = options->output == TO_BITS ? words_of(options->channels_out)
                                            : options->channels_out;
  int sizes[4] = {in->dims->data[0], node->out_height, node->out_width, channels};
  return resize(context, node, 4, sizes);
}

static TfLiteStatus prepare(TfLiteContext *context, TfLiteNode *litert_node) {
  Node *node = litert_node->user_data;
  if (node == NULL) {
    context->ReportError(context, "A binary operator could not be set up.");
    return kTfLiteError;
  }
  if (node->error != NULL) return fail(context, node, node->error);
  switch (node->kind) {
    case QUANTIZE: return prepare_quantize(context, node);
    case DEQUANTIZE: return prepare_dequantize(context, node);
    case MAX_POOL: return prepare_pooling(context, node);
    default: return prepare_convolution(context, node);
  }
}

/* Invoke */

static void run_quantize(TfLiteContext *context, const Node *node,
                         const TfLiteTensor *in, TfLiteTensor *out) {
  Rows rows = rows_of(context, node, in);
  if (in->type == kTfLiteFloat32)
    pack_floats(&rows, in->data, out->data);
  else if (in->type == kTfLiteInt8)
    pack_int8(&rows, in->data, in->params.zero_point, out->data);
  else
    pack_bools(&rows, in->data, out->data);
}

static void run_dequantize(TfLiteContext *context, const Node *node,
                           const TfLiteTensor *in, TfLiteTensor *out) {
  Rows rows = rows_of(context, node, out);
  if (out->type == kTfLiteFloat32)
    unpack_floats(&rows, in->data, out->data);
  else if (out->type == kTfLiteInt8)
    unpack_int8(&rows, in->data, out->params.scale, out->params.zero_point, out->data);
  else
    unpack_bools(&rows, in->data, out->data);
}

static TfLiteStatus invoke(TfLiteContext *context, TfLiteNode *litert_node) {
  Node *node = litert_node->user_data;
  const TfLiteTensor *in = input(context, node, 0);
  TfLiteTensor *out = tensor(context, node->output);
  if (in->bytes != 0 && (in->data == NULL || out->data == NULL))
    return fail(context, node, "its tensors are not allocated");
  node->started = now();
  switch (node->kind) {
    case QUANTIZE: run_quantize(context, node, in, out); break;
    case DEQUANTIZE: run_dequantize(context, node, in, out); break;
    case MAX_POOL:
      pool(&node->options.pooling, node->out_height, node->out_width, in->data,
           out->data);
      break;
    default:
      convolution_run(node->convolution, node->delegate->threads,
                      context->recommended_num_threads, in->data, out->data);
  }
  node->ended = now();
  return kTfLiteOk;
}

/* Partition: init, free, and the choice of operators */

static int kind_of(const TfLiteRegistration *registration) {
  if (registration->custom_name != NULL)
    for (int kind = 0; kind < NUM_KINDS; ++kind)
      if (strcmp(registration->custom_name, names[kind]) == 0) return kind;
  return -1;
}

static void *init(TfLiteContext *context, const char *buffer, size_t length) {
  (void)length;
  const TfLiteDelegateParams *params = (const TfLiteDelegateParams *)buffer;
  TfLiteNode *original;
  TfLiteRegistration *registration;
  int index = params->nodes_to_replace->data[0];
  if (context->GetNodeAndRegistration(context, index, &original, &registration) !=
      kTfLiteOk)
    return NULL;
  int kind = kind_of(registration);
  Node *node = kind < 0 ? NULL : calloc(1, sizeof *node);
  if (node == NULL) return NULL;
  node->kind = (Kind)kind;
  node->index = index;
  node->delegate = (Delegate *)params->delegate;
  node->next = node->delegate->nodes;
  node->delegate->nodes = node;
  /* Not the delegate kernel's own list: it is sorted and omits optional inputs. */
  node->num_inputs = original->inputs->size;
  if (node->num_inputs < 1 || node->num_inputs > MAX_INPUTS ||
      original->outputs->size != 1) {
    node->num_inputs = 0;
    node->error = "it has another number of inputs or outputs";
    return node;
  }
  memcpy(node->inputs, original->inputs->data,
         (size_t)node->num_inputs * sizeof *node->inputs);
  node->output = original->outputs->data[0];
  int size = original->custom_initial_data_size;
  Options options = {original->custom_initial_data, size > 0 ? (size_t)size : 0, NULL};
  if (node->kind == CONVOLUTION) read_convolution(node, &options);
  if (node->kind == MAX_POOL) read_pooling(node, &options);
  node->error = options.error;
  return node;
}

static void free_node(TfLiteContext *context, void *buffer) {
  (void)context;
  Node *node = buffer;
  if (node == NULL) return;
  Node **link = &node->delegate->nodes;
  while (*link != NULL && *link != node) link = &(*link)->next;
  if (*link != NULL) *link = node->next;
  convolution_destroy(node->convolution);
  free(node);
}

static TfLiteStatus partition_graph(TfLiteContext *context, TfLiteDelegate *delegate) {
  TfLiteIntArray *plan;
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
  /* LiteRT owns the plan and changes it with every operator that is replaced. */
  int number = plan->size;
  int *indices = malloc(((size_t)number + 1) * sizeof *indices);
  TfLiteIntArray *one = malloc(sizeof *one + sizeof *one->data);
  TfLiteStatus status = indices == NULL || one == NULL ? kTfLiteError : kTfLiteOk;
  if (status == kTfLiteOk)
    memcpy(indices, plan->data, (size_t)number * sizeof *indices);
  for (int i = 0; i < number && status == kTfLiteOk; ++i) {
    TfLiteNode *node;
    TfLiteRegistration *registration;
    status = context->GetNodeAndRegistration(context, indices[i], &node, &registration);
    int kind = status == kTfLiteOk ? kind_of(registration) : -1;
    if (kind < 0) continue;
    TfLiteRegistration kernel = {
        .init = init,
        .free = free_node,
        .prepare = prepare,
        .invoke = invoke,
        .custom_name = names[kind],
        .version = 1,
    };
    one->size = 1;
    one->data[0] = indices[i];
    status = context->ReplaceNodeSubsetsWithDelegateKernels(context, kernel, one,
                                                            delegate);
  }
  free(indices);
  free(one);
  return status;
}

/* Exported functions */

EXPORT TfLiteDelegate *tflite_plugin_create_delegate(char **keys, char **values,
                                                     size_t number,
                                                     void (*report)(const char *)) {
  const char *error = NULL, *kernels = NULL;
  for (size_t i = 0; i < number; ++i) {
    if (strcmp(keys[i], "kernels") == 0)
      kernels = values[i];
    else
      error = "The only option of this delegate is \"kernels\".";
  }
  const Kernels *found = kernels_by_name(kernels);
  if (error == NULL && found == NULL) error = "This processor has no such kernels.";
  Delegate *delegate = error == NULL ? calloc(1, sizeof *delegate) : NULL;
  if (delegate != NULL) delegate->threads = threads_create();
  if (delegate == NULL || delegate->threads == NULL) {
    free(delegate);
    if (report != NULL) report(error != NULL ? error : "There is not enough memory.");
    return NULL;
  }
  delegate->base.data_ = delegate;
  delegate->base.Prepare = partition_graph;
  delegate->base.flags = kTfLiteDelegateFlagsAllowDynamicTensors;
  delegate->kernels = found;
  return &delegate->base;
}

EXPORT void tflite_plugin_destroy_delegate(TfLiteDelegate *base) {
  Delegate *delegate = (Delegate *)base;
  if (delegate == NULL) return;
  threads_destroy(delegate->threads);
  free(delegate);
}

/* Returns the name of the fastest kernels for this processor. */
EXPORT const char *bnn_default_kernels(void) { return kernels_by_name(NULL)->name; }

/* Returns whether this processor runs the kernels of this name. */
EXPORT int bnn_has_kernels(const char *name) { return kernels_by_name(name) != NULL; }

/* Returns the names of all kernels of this build, separated by spaces. */
EXPORT const char *bnn_known_kernels(void) { return kernels_known(); }

/* Writes the last run of up to `most` operators: index, start and end in nanoseconds of
 * the monotonic clock. Returns the number of operators. */
EXPORT int bnn_times(const TfLiteDelegate *base, int most, int64_t (*times)[3]) {
  int number = 0;
  for (const Node *node = ((const Delegate *)base)->nodes; node; node = node->next) {
    if (number < most) {
      times[number][0] = node->index;
      times[number][1] = node->started;
      times[number][2] = node->ended;
    }
    ++number;
  }
  return number;
}
