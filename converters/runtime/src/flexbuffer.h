/* Integers out of a FlexBuffer map, the form of a custom operator's options. */
#ifndef BNN_FLEXBUFFER_H
#define BNN_FLEXBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the integer under `key`. Returns false where the bytes are no map, are damaged,
 * or hold no integer under this key; never reads outside of them. */
bool flexbuffer_integer(const uint8_t *bytes, size_t length, const char *key,
                        int64_t *value);

#endif
