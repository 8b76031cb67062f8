/* An HdrHistogram of microseconds: 1 us to 67 s with three significant digits, the buckets that every other HdrHistogram has. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H
#include <stdint.h>
#include <stdio.h>

enum { SUB_BITS = 11, SUB = 1 << SUB_BITS, HALF = SUB / 2, HIGHEST_BITS = 26, CELLS = (HIGHEST_BITS - SUB_BITS + 2) * HALF };

struct histogram {
    uint64_t total, counts[CELLS];
};

static inline uint32_t histogram_cell(uint64_t us) {
    if (us >= 1ull << HIGHEST_BITS) us = (1ull << HIGHEST_BITS) - 1;
    uint32_t bucket = (uint32_t)(64 - __builtin_clzll(us | (SUB - 1))) - SUB_BITS;
    return (bucket << (SUB_BITS - 1)) + (uint32_t)(us >> bucket);
}

/* The smallest value that is counted in the cell. */
static inline uint64_t histogram_value(uint32_t cell) {
    uint32_t bucket = cell < SUB ? 0 : (cell >> (SUB_BITS - 1)) - 1;
    return (uint64_t)(cell - (bucket << (SUB_BITS - 1))) << bucket;
}

static inline void histogram_add(struct histogram *histogram, int64_t ns) {
    histogram->counts[histogram_cell(ns > 0 ? (uint64_t)ns / 1000 : 0)]++;
    histogram->total++;
}

/* [[value, count], ...], those that are not zero. */
static inline void histogram_print(const struct histogram *histogram, FILE *out) {
    const char *between = "";
    fputc('[', out);
    for (uint32_t cell = 0; cell < CELLS; cell++)
        if (histogram->counts[cell]) {
            fprintf(out, "%s[%llu,%llu]", between, (unsigned long long)histogram_value(cell), (unsigned long long)histogram->counts[cell]);
            between = ",";
        }
    fputc(']', out);
}
#endif
