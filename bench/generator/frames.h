/* Frames as a server sends them (RFC 6455): only the header is looked at, the payload is neither copied nor decoded. */
#ifndef FRAMES_H
#define FRAMES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opcode { CONTINUATION = 0x0, TEXT = 0x1, BINARY = 0x2, CLOSE = 0x8, PING = 0x9, PONG = 0xA };
enum { INCOMPLETE = 0, BROKEN = -1 };

struct frame {
    uint8_t opcode;
    bool last;
    const uint8_t *payload;
    size_t size;
};

/* Bytes that the frame at `at` takes, of `left` there are; INCOMPLETE when it is not all there, BROKEN when no server may send it. */
static inline int64_t frame_read(const uint8_t *at, size_t left, struct frame *frame) {
    if (left < 2) return INCOMPLETE;
    uint8_t opcode = at[0] & 0x0F, length = at[1];
    if (at[0] & 0x70 || length & 0x80) return BROKEN;            /* an extension nobody asked for; a mask */
    if ((opcode > BINARY && opcode < CLOSE) || opcode > PONG) return BROKEN;
    if (opcode >= CLOSE && (length > 125 || !(at[0] & 0x80))) return BROKEN;
    size_t head = length < 126 ? 2 : length == 126 ? 4 : 10;
    if (left < head) return INCOMPLETE;
    uint64_t size = length < 126 ? length : 0;
    for (size_t place = 2; place < head; place++) size = size << 8 | at[place];
    if (size >> 62 || (length == 126 && size < 126) || (length == 127 && size < 65536)) return BROKEN;
    if (left - head < size) return INCOMPLETE;
    *frame = (struct frame){opcode, at[0] & 0x80, at + head, size};
    return (int64_t)(head + size);
}

/* A client's frame of at most 125 bytes, for answers to pings. Its mask is four zero bytes, which leaves the payload as it is. */
static inline size_t frame_write(uint8_t *to, uint8_t opcode, const uint8_t *payload, size_t size) {
    to[0] = 0x80 | opcode;
    to[1] = 0x80 | (uint8_t)size;
    to[2] = to[3] = to[4] = to[5] = 0;
    for (size_t place = 0; place < size; place++) to[6 + place] = payload[place];
    return 6 + size;
}
#endif
