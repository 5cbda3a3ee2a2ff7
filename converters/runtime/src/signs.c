#include "signs.h"

#include <math.h>

enum { VALUES_OF_A_PART = 32768 };

typedef struct {
  const Rows *rows;
  size_t rows_of_a_part;
  const void *from;
  void *to;
  int zero_point;
  void (*convert)(const Kernels *kernels, const void *from, size_t channels,
                  int zero_point, void *to);
  size_t from_size, to_size; /* Bytes of a row. */
} Job;

static void run_rows(void *data, int index) {
  const Job *job = data;
  size_t row = (size_t)index * job->rows_of_a_part;
  size_t end = row + job->rows_of_a_part;
  if (end > job->rows->rows) end = job->rows->rows;
  const char *from = (const char *)job->from + row * job->from_size;
  char *to = (char *)job->to + row * job->to_size;
  if (job->rows->channels % 32 == 0) { /* No unused bits: all rows are one. */
    job->convert(job->rows->kernels, from, (end - row) * job->rows->channels,
                 job->zero_point, to);
    return;
  }
  for (; row < end; ++row, from += job->from_size, to += job->to_size)
    job->convert(job->rows->kernels, from, job->rows->channels, job->zero_point, to);
}

static void run_parallel(Job job) {
  const Rows *rows = job.rows;
  if (rows->rows == 0 || rows->channels == 0) return;
  job.rows_of_a_part = VALUES_OF_A_PART / rows->channels;
  if (job.rows_of_a_part == 0) job.rows_of_a_part = 1;
  size_t parts = (rows->rows + job.rows_of_a_part - 1) / job.rows_of_a_part;
  threads_run(rows->threads, rows->num_threads, (int)parts, run_rows, &job);
}

static size_t size_of_words(const Rows *rows) {
  return (rows->channels + 31) / 32 * sizeof(uint32_t);
}

static void row_of_floats(const Kernels *kernels, const void *from, size_t channels,
                          int zero_point, void *to) {
  (void)zero_point;
  kernels->pack_floats(from, channels, to);
}

static void row_of_int8(const Kernels *kernels, const void *from, size_t channels,
                        int zero_point, void *to) {
  kernels->pack_int8(from, channels, zero_point, to);
}

static void row_to_floats(const Kernels *kernels, const void *from, size_t channels,
                          int zero_point, void *to) {
  (void)zero_point;
  kernels->unpack_floats(from, channels, to);
}

void pack_floats(const Rows *rows, const float *values, uint32_t *words) {
  run_parallel((Job){.rows = rows,
                     .from = values,
                     .to = words,
                     .convert = row_of_floats,
                     .from_size = rows->channels * sizeof *values,
                     .to_size = size_of_words(rows)});
}

void pack_int8(const Rows *rows, const int8_t *values, int zero_point,
               uint32_t *words) {
  run_parallel((Job){.rows = rows,
                     .from = values,
                     .to = words,
                     .zero_point = zero_point,
                     .convert = row_of_int8,
                     .from_size = rows->channels,
                     .to_size = size_of_words(rows)});
}

void pack_bools(const Rows *rows, const bool *values, uint32_t *words) {
  /* A bool is the byte 0 or 1, and false is less than 1. */
  pack_int8(rows, (const int8_t *)values, 1, words);
}

void unpack_floats(const Rows *rows, const uint32_t *words, float *values) {
  run_parallel((Job){.rows = rows,
                     .from = words,
                     .to = values,
                     .convert = row_to_floats,
                     .from_size = size_of_words(rows),
                     .to_size = rows->channels * sizeof *values});
}

static void unpack_bytes(const Rows *rows, const uint32_t *words, int8_t plus,
                         int8_t minus, int8_t *values) {
  size_t step = size_of_words(rows) / sizeof *words;
  for (size_t r = 0; r < rows->rows; ++r, words += step)
    for (size_t c = 0; c < rows->channels; ++c)
      *values++ = words[c / 32] >> c % 32 & 1 ? minus : plus;
}

void unpack_int8(const Rows *rows, const uint32_t *words, float scale, int zero_point,
                 int8_t *values) {
  double one = round(1.0 / scale);
  double plus = zero_point + one, minus = zero_point - one;
  unpack_bytes(rows, words, (int8_t)(plus < 127 ? plus : 127),
               (int8_t)(minus > -128 ? minus : -128), values);
}

void unpack_bools(const Rows *rows, const uint32_t *words, bool *values) {
  unpack_bytes(rows, words, 1, 0, (int8_t *)values);
}

static const char *size_along(int size, int filter, int stride, bool same, int *out) {
  if (filter < 1 || stride < 1) return "its window or stride is not positive";
  if (size < 1 || (!same && size < filter)) return "its image is smaller than its window";
  *out = same ? (int)(((int64_t)size + stride - 1) / stride)
              : (size - filter) / stride + 1;
  return NULL;
}

const char *pooling_size(const Pooling *p, int *out_height, int *out_width) {
  const char *error =
      size_along(p->height, p->filter_height, p->stride_height, p->same, out_height);
  if (error != NULL) return error;
  return size_along(p->width, p->filter_width, p->stride_width, p->same, out_width);
}

/* The part of a window that lies inside of the image, [first, end). */
static void window(int out, int out_size, int size, int filter, int stride, bool same,
                   int *first, int *end) {
  int64_t total = same ? (int64_t)(out_size - 1) * stride + filter - size : 0;
  int64_t start = (int64_t)out * stride - (total > 0 ? total / 2 : 0);
  int64_t stop = start + filter;
  *first = (int)(start > 0 ? start : 0);
  *end = (int)(stop < size ? stop : size);
}

void pool(const Pooling *p, int out_height, int out_width, const uint32_t *input,
          uint32_t *output) {
  size_t words = (size_t)p->words;
  for (int image = 0; image < p->batch; ++image)
    for (int oy = 0; oy < out_height; ++oy)
      for (int ox = 0; ox < out_width; ++ox, output += words) {
        int top, bottom, left, right;
        window(oy, out_height, p->height, p->filter_height, p->stride_height, p->same,
               &top, &bottom);
        window(ox, out_width, p->width, p->filter_width, p->stride_width, p->same,
               &left, &right);
        for (size_t k = 0; k < words; ++k) output[k] = UINT32_MAX;
        for (int y = top; y < bottom; ++y)
          for (int x = left; x < right; ++x) {
            size_t at = ((size_t)image * p->height + y) * p->width + x;
            for (size_t k = 0; k < words; ++k) output[k] &= input[at * words + k];
          }
      }
}
