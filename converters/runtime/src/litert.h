/* The part of LiteRT's C structures that a delegate uses.
 *
 * LiteRT's wheels contain no headers. Its authors promise that fields are only appended
 * to these structures; the self-test of converters/runtime/delegate.py exercises most
 * of them when the library is loaded. Names are those of
 * tensorflow/lite/core/c/common.h.
 */
#ifndef BNN_LITERT_H
#define BNN_LITERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;

enum {
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteBool = 6,
  kTfLiteInt8 = 9,
};

enum { kTfLiteMmapRo = 1 };
enum { kTfLiteDelegateFlagsAllowDynamicTensors = 1 };

typedef struct {
  int size;
  int data[];
} TfLiteIntArray;

typedef struct {
  float scale;
  int32_t zero_point;
} TfLiteQuantizationParams;

typedef struct {
  int type;
  void *params;
} TfLiteQuantization;

typedef struct TfLiteTensor {
  int type;
  void *data;
  TfLiteIntArray *dims;
  TfLiteQuantizationParams params;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  struct TfLiteDelegate *delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  TfLiteQuantization quantization;
  void *sparsity;
  const TfLiteIntArray *dims_signature;
} TfLiteTensor;

typedef struct {
  TfLiteIntArray *inputs;
  TfLiteIntArray *outputs;
  TfLiteIntArray *intermediates;
  TfLiteIntArray *temporaries;
  void *user_data;
  void *builtin_data;
  const void *custom_initial_data;
  int custom_initial_data_size;
  struct TfLiteDelegate *delegate;
  bool might_have_side_effect;
} TfLiteNode;

typedef struct {
  struct TfLiteDelegate *delegate;
  TfLiteIntArray *nodes_to_replace;
  TfLiteIntArray *input_tensors;
  TfLiteIntArray *output_tensors;
} TfLiteDelegateParams;

typedef struct TfLiteContext TfLiteContext;

/* Passed by value. In the ABIs of x86-64 and aarch64 a callee that knows fewer fields
 * can read the first ones. */
typedef struct {
  void *(*init)(TfLiteContext *context, const char *buffer, size_t length);
  void (*free)(TfLiteContext *context, void *buffer);
  TfLiteStatus (*prepare)(TfLiteContext *context, TfLiteNode *node);
  TfLiteStatus (*invoke)(TfLiteContext *context, TfLiteNode *node);
  const char *(*profiling_string)(const TfLiteContext *context, const TfLiteNode *node);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *registration_external;
  void *async_kernel;
  uint64_t inplace_operator;
  void *reserved[8]; /* Zeros, for fields that newer versions of LiteRT read. */
} TfLiteRegistration;

struct TfLiteContext {
  size_t tensors_size;
  TfLiteStatus (*GetExecutionPlan)(TfLiteContext *context, TfLiteIntArray **plan);
  TfLiteTensor *tensors;
  void *impl_;
  TfLiteStatus (*ResizeTensor)(TfLiteContext *context, TfLiteTensor *tensor,
                               TfLiteIntArray *size);
  void (*ReportError)(TfLiteContext *context, const char *format, ...);
  TfLiteStatus (*AddTensors)(TfLiteContext *context, int number, int *first);
  TfLiteStatus (*GetNodeAndRegistration)(TfLiteContext *context, int index,
                                         TfLiteNode **node,
                                         TfLiteRegistration **registration);
  TfLiteStatus (*ReplaceNodeSubsetsWithDelegateKernels)(
      TfLiteContext *context, TfLiteRegistration registration,
      const TfLiteIntArray *nodes, struct TfLiteDelegate *delegate);
  int recommended_num_threads;
  /* Further fields are not used. */
};

typedef struct TfLiteDelegate {
  void *data_;
  TfLiteStatus (*Prepare)(TfLiteContext *context, struct TfLiteDelegate *delegate);
  void *CopyFromBufferHandle;
  void *CopyToBufferHandle;
  void *FreeBufferHandle;
  int64_t flags;
  void *opaque_delegate_builder;
  void *reserved[8]; /* Zeros, as above. */
} TfLiteDelegate;

#endif
