/* Integers from a FlexBuffer map, the format of a custom operator's options. */
#ifndef BNN_FLEXBUFFER_H
#define BNN_FLEXBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the integer stored under `key`. Returns false if the bytes are no map, are
 * damaged, or have no integer under this key. Never reads out of bounds. */
bool flexbuffer_integer(const uint8_t *bytes, size_t length, const char *key,
                        int64_t *value);

#endif
