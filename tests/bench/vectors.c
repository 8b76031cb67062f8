/* The generator's pure parts under test: a line in, a line out.

   frames HEX       opcode:last:size for each whole frame, then what is left over, or broken
   histogram N ...  the cells of these microseconds
   order N ...      gaps doubles disorder, and how many came anew
   markers HEX      stream:number:intended of each */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "frames.h"
#include "histogram.h"
#include "marker.h"
#include "order.h"

static uint8_t bytes[1 << 16];

static size_t unhex(const char *text) {
    size_t size = 0;
    for (; text[0] && text[1] && text[0] != '\n'; text += 2) {
        char pair[3] = {text[0], text[1], 0};
        bytes[size++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return size;
}

static void frames(const char *text) {
    size_t size = unhex(text), at = 0;
    struct frame frame;
    int64_t taken;
    while ((taken = frame_read(bytes + at, size - at, &frame)) > 0) {
        printf("%u:%d:%zu ", frame.opcode, frame.last, frame.size);
        at += (size_t)taken;
    }
    if (taken < 0) printf("broken\n");
    else printf("left %zu\n", size - at);
}

static void order(char *text) {
    struct order order = {0, ~0ull};
    struct faults faults = {0};
    unsigned anew = 0;
    for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) anew += order_take(&order, (uint32_t)atoi(word), &faults);
    printf("%llu %llu %llu %u\n", (unsigned long long)faults.gaps, (unsigned long long)faults.doubles, (unsigned long long)faults.disorder, anew);
}

static void times(char *text) {
    static struct histogram histogram;
    memset(&histogram, 0, sizeof histogram);
    for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) histogram_add(&histogram, atoll(word) * 1000);
    histogram_print(&histogram, stdout);
    putchar('\n');
}

static void markers(const char *text) {
    size_t size = unhex(text);
    const uint8_t *at = bytes, *end = bytes + size;
    for (; (at = marker_find(at, end)); at += MARKER) {
        struct marker marker = marker_read(at);
        printf("%u:%u:%lld ", marker.stream, marker.number, (long long)marker.intended);
    }
    putchar('\n');
}

int main(void) {
    static char line[1 << 17];
    while (fgets(line, sizeof line, stdin)) {
        char *rest = strchr(line, ' ') + 1;
        if (line[0] == 'f') frames(rest);
        else if (line[0] == 'h') times(rest);
        else if (line[0] == 'o') order(rest);
        else markers(rest);
        fflush(stdout);
    }
}
