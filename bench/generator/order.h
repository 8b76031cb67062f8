/* Whether what one connection gets of one stream comes each once, in order and without a hole. */
#ifndef ORDER_H
#define ORDER_H
#include <stdbool.h>
#include <stdint.h>

struct faults {
    uint64_t gaps, doubles, disorder;
};

struct order {
    uint32_t next;  /* the number that comes next */
    uint64_t seen;  /* bit n: whether next - 1 - n has come */
};

/* Count what is wrong with `number` coming now. True when it has not come before. */
static inline bool order_take(struct order *order, uint32_t number, struct faults *faults) {
    if (number == order->next) {
        order->next++;
        order->seen = order->seen << 1 | 1;
        return true;
    }
    if (number > order->next) {
        uint32_t missed = number - order->next;
        faults->gaps += missed;
        order->seen = missed >= 63 ? 1 : order->seen << (missed + 1) | 1;
        order->next = number + 1;
        return true;
    }
    uint32_t back = order->next - 1 - number;
    if (back > 63 || order->seen >> back & 1) {
        faults->doubles++;
        return false;
    }
    order->seen |= 1ull << back;  /* it was missed, and comes late */
    faults->gaps--;
    faults->disorder++;
    return true;
}
#endif
