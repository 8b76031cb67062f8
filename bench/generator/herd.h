/* The connections: one epoll, non-blocking sockets, and of each only as much memory as it needs now. */
#ifndef HERD_H
#define HERD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "frames.h"
#include "histogram.h"
#include "order.h"

enum state { SHUT, CONNECTING, UPGRADING, GREETING, READY, LOST };

struct bytes {
    uint8_t *at;
    size_t size;
};

/* What a connection says once it is there: each step is sent, and done when a frame has come that holds `until`. */
struct step {
    struct bytes say, until;
};

struct script {
    struct bytes upgrade;
    size_t steps;
    struct step *step;
};

struct sent {
    uint32_t number, stream, of; /* of: the message's number in its stream */
    int64_t intended;
};

enum { ASKED = 1024 }; /* commands that may wait for an answer on one connection */

struct conn {
    int fd;
    uint8_t state, stalled, wants_out;
    uint16_t step, close_code;
    uint32_t first_stream, streams;
    struct order *orders;
    struct script script;
    struct bytes in, out; /* the begin of a frame that is not all here; what the socket did not take */
    size_t out_room;
    struct sent *asked;   /* by number modulo ASKED */
    uint32_t next_ask, waiting;
    int64_t intended;     /* when it was to be opened */
    char last[96];        /* the begin of what it got last while greeting: says why it failed */
};

/* How a server talks beside what is published. */
struct dialect {
    uint8_t opcode;
    enum { ANSWER_OWN, ANSWER_MSGPACK, ANSWER_JSON, ANSWER_PROTOBUF, ANSWER_NONE } answer;
    struct bytes ping, pong; /* a message to be answered at once, and the frame that does; empty: none */
    enum { ALONE, LINES, LENGTHS } grouped; /* how several messages share a frame: not, by line, each with its length as a varint before it */
    struct bytes count;      /* messages that hold this are counted */
};

struct totals {
    uint64_t deliveries, frames, receives, bytes, counted, closed_by_server, unsent;
    uint64_t strays;
    uint16_t close_codes[16];
    uint32_t close_counts[16];
};

extern struct conn *conns;
extern size_t conn_count;
extern struct dialect dialect;
extern struct totals totals;
extern struct histogram opened_after;
extern int receive_buffer; /* bytes, of sockets opened from now on; 0: the kernel's choice */
extern size_t ready_count, opening_count, lost_count;

int64_t now_ns(void);
size_t herd_add(size_t count, struct script script);
void herd_target(const char *host, uint16_t port, uint32_t per_address, uint32_t first_address);
void conn_open(struct conn *conn, int64_t intended);
void conn_shut(struct conn *conn, bool reset);
void conn_send(struct conn *conn, const uint8_t *at, size_t size);
void conn_stall(struct conn *conn, bool stalled);
/* Wait until something comes or `until`, handle it, and let the flows send what is due. */
void herd_turn(int64_t until);

/* Given by flows.c: a message that came on a connection, and what is due. */
void flow_message(struct conn *conn, const uint8_t *at, size_t size, int64_t now);
int64_t flow_send_due(int64_t now);
#endif
