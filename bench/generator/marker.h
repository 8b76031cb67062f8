/* What a published text begins with: ~b1~, 6 hex digits of the stream, 8 of the number in it, 16 of the intended time (CLOCK_MONOTONIC, ns).
   It is found at the same place in nearly every delivery of a server, so that place is tried first. */
#ifndef MARKER_H
#define MARKER_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { MAGIC = 4, MARKER = MAGIC + 6 + 8 + 16 };

struct marker {
    uint32_t stream, number;
    int64_t intended;
};

static inline bool marker_at(const uint8_t *at) { return at[0] == '~' && at[1] == 'b' && at[2] == '1' && at[3] == '~'; }

/* The next marker in these bytes, or NULL. */
static inline const uint8_t *marker_find(const uint8_t *at, const uint8_t *end) {
    while (end - at >= MARKER && (at = memchr(at, '~', (size_t)(end - at - MARKER + 1)))) {
        if (marker_at(at)) return at;
        at++;
    }
    return NULL;
}

static inline uint64_t hex_read(const uint8_t *at, int digits) {
    uint64_t value = 0;
    while (digits--) {
        uint8_t digit = *at++;
        value = value << 4 | ((digit & 0xF) + (digit >> 6) * 9);
    }
    return value;
}

static inline void hex_write(uint8_t *at, uint64_t value, int digits) {
    while (digits--) {
        at[digits] = (uint8_t)"0123456789abcdef"[value & 0xF];
        value >>= 4;
    }
}

static inline struct marker marker_read(const uint8_t *at) {
    return (struct marker){(uint32_t)hex_read(at + MAGIC, 6), (uint32_t)hex_read(at + MAGIC + 6, 8), (int64_t)hex_read(at + MAGIC + 14, 16)};
}

static inline void marker_write(uint8_t *at, struct marker marker) {
    memcpy(at, "~b1~", MAGIC);
    hex_write(at + MAGIC, marker.stream, 6);
    hex_write(at + MAGIC + 6, marker.number, 8);
    hex_write(at + MAGIC + 14, (uint64_t)marker.intended, 16);
}
#endif
