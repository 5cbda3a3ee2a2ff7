/* A bounds-checked reader of FlexBuffers that trusts no offset.
 *
 * Format: values come before references to them, so offsets are subtracted. A packed
 * type is (type << 2) | log2(width). A map at m, with elements of w bytes, has at m -
 * 3w the offset of its vector of keys, at m - 2w the width of that vector's elements,
 * at m - w the number of elements, at m the elements, and after them a packed type for
 * each.
 */
#include "flexbuffer.h"

#include <string.h>

enum { INT = 1, UINT = 2, INDIRECT_INT = 6, INDIRECT_UINT = 7, MAP = 9, BOOL = 26 };

typedef struct {
  const uint8_t *bytes;
  size_t length;
} Buffer;

static bool is_width(uint64_t width) {
  return width == 1 || width == 2 || width == 4 || width == 8;
}

static bool read_unsigned(Buffer buffer, size_t at, size_t width, uint64_t *value) {
  if (at > buffer.length || width > buffer.length - at) return false;
  *value = 0;
  for (size_t i = 0; i < width; ++i) *value |= (uint64_t)buffer.bytes[at + i] << 8 * i;
  return true;
}

static int64_t extend_sign(uint64_t value, size_t width) {
  unsigned unused = 64 - 8 * (unsigned)width;
  return (int64_t)(value << unused) >> unused;
}

/* Follows the offset stored at `at`. */
static bool follow(Buffer buffer, size_t at, size_t width, size_t *target) {
  uint64_t offset;
  if (!read_unsigned(buffer, at, width, &offset) || offset > at) return false;
  *target = at - (size_t)offset;
  return true;
}

static bool key_is(Buffer buffer, size_t at, const char *key) {
  size_t size = strlen(key) + 1; /* The terminating zero is part of it. */
  return at <= buffer.length && size <= buffer.length - at &&
         memcmp(buffer.bytes + at, key, size) == 0;
}

static bool read_integer(Buffer buffer, size_t at, size_t width, uint8_t packed,
                         int64_t *value) {
  uint64_t raw;
  int type = packed >> 2;
  if (type == INDIRECT_INT || type == INDIRECT_UINT) {
    if (!follow(buffer, at, width, &at)) return false;
    width = (size_t)1 << (packed & 3);
    type = type == INDIRECT_INT ? INT : UINT;
  }
  if (type != INT && type != UINT && type != BOOL) return false;
  if (!read_unsigned(buffer, at, width, &raw)) return false;
  *value = type == INT ? extend_sign(raw, width) : (int64_t)raw;
  return true;
}

bool flexbuffer_integer(const uint8_t *bytes, size_t length, const char *key,
                        int64_t *value) {
  Buffer buffer = {bytes, length};
  if (bytes == NULL || length < 3) return false;
  size_t root_width = bytes[length - 1];
  uint8_t packed = bytes[length - 2];
  if (!is_width(root_width) || root_width > length - 2 || packed >> 2 != MAP)
    return false;
  size_t map, keys;
  if (!follow(buffer, length - 2 - root_width, root_width, &map)) return false;
  size_t width = (size_t)1 << (packed & 3);
  uint64_t key_width, number;
  if (map < 3 * width || !follow(buffer, map - 3 * width, width, &keys) ||
      !read_unsigned(buffer, map - 2 * width, width, &key_width) ||
      !read_unsigned(buffer, map - width, width, &number) || !is_width(key_width) ||
      number > length)
    return false;
  for (size_t i = 0; i < number; ++i) {
    size_t name;
    if (!follow(buffer, keys + i * (size_t)key_width, (size_t)key_width, &name))
      return false;
    if (!key_is(buffer, name, key)) continue;
    uint64_t type;
    if (!read_unsigned(buffer, map + (size_t)number * width + i, 1, &type)) return false;
    return read_integer(buffer, map + i * width, width, (uint8_t)type, value);
  }
  return false;
}
