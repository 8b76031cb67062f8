/* What is published: streams, each with one sender and numbers of its own, and flows, each a pace at which its streams take turns. */
#ifndef FLOWS_H
#define FLOWS_H
#include "herd.h"

enum { FLOWS = 8, NOWHERE = -1 };

/* Where in a stream's frame something is written before each send; NOWHERE: not at all. */
struct places {
    int32_t marker, id, ask, digits, varint; /* a UUIDv7 of now; the command's number: msgpack's four bytes, ten decimal digits, a varint of five */
};

struct left {
    uint32_t number, left;
    bool refused; /* nobody gets it: that it is missing is no gap */
};

struct stream {
    uint32_t conn, flow, next, audience, finished;
    struct places places;
    struct bytes frame;
    struct left *ring; /* by number modulo RING: who has not had it yet */
};

struct flow {
    bool on, until_last; /* closed loop: the next one goes when all have the one before, otherwise when it is answered */
    double rate;         /* messages a second; 0: closed loop */
    uint32_t burst, outstanding;
    uint32_t *streams;
    size_t count, turn;
    int64_t due, gap, until, behind;
    uint64_t sent, expected, delivered, answered, refused;
    struct faults faults;
    char refusal[160];
    struct histogram latency, last, answer, refuse; /* refuse: until it was refused */
};

extern struct stream *streams;
extern struct flow flows[FLOWS];
extern uint64_t history;     /* markers seen while `reading_history` */
extern bool reading_history; /* what comes was published earlier: it is counted, and neither timed nor held against the order */

void stream_add(struct stream stream);
void conn_expect(struct conn *conn, uint32_t first, uint32_t count);
void flow_begin(struct flow *flow, int64_t now, int64_t until);
bool flow_done(const struct flow *flow);
#endif
