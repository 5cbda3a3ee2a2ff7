/* Choice of the kernels: the fastest that this processor runs. */
#include "kernels.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#define KNOWN "avx512 avx2 portable"
static const Kernels *const fastest_first[] = {&kernels_avx512, &kernels_avx2,
                                               &kernels_portable};
static bool runs(const Kernels *kernels) {
#if defined(BNN_EMULATE_AVX512)
  if (kernels == &kernels_avx512) return true;
#endif
  __builtin_cpu_init();
  if (kernels == &kernels_avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vpopcntdq");
  if (kernels == &kernels_avx2) return __builtin_cpu_supports("avx2");
  return true;
}
#elif defined(__aarch64__)
#define KNOWN "neon portable"
static const Kernels *const fastest_first[] = {&kernels_neon, &kernels_portable};
static bool runs(const Kernels *kernels) {
  (void)kernels; /* Every aarch64 has NEON. */
  return true;
}
#else
#define KNOWN "portable"
static const Kernels *const fastest_first[] = {&kernels_portable};
static bool runs(const Kernels *kernels) {
  (void)kernels;
  return true;
}
#endif

const char *kernels_known(void) { return KNOWN; }

const Kernels *kernels_by_name(const char *name) {
  size_t number = sizeof fastest_first / sizeof *fastest_first;
  for (size_t i = 0; i < number; ++i) {
    const Kernels *kernels = fastest_first[i];
    if ((name == NULL || strcmp(name, kernels->name) == 0) && runs(kernels))
      return kernels;
  }
  return NULL;
}
