#include "flows.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "marker.h"

enum { RING = 1024, FIRST_ASK = 1000000000, SCRATCH = 1 << 17 };

struct stream *streams;
struct flow flows[FLOWS];
uint64_t history;
bool reading_history;

static size_t stream_count;

void stream_add(struct stream stream) {
    struct flow *flow = &flows[stream.flow];
    streams = realloc(streams, (stream_count + 1) * sizeof *streams);
    flow->streams = realloc(flow->streams, (flow->count + 1) * sizeof *flow->streams);
    flow->streams[flow->count++] = (uint32_t)stream_count;
    streams[stream_count++] = stream;
}

void conn_expect(struct conn *conn, uint32_t first, uint32_t count) {
    conn->orders = realloc(conn->orders, count * sizeof *conn->orders);
    conn->first_stream = first, conn->streams = count;
    for (uint32_t place = 0; place < count; place++) conn->orders[place] = (struct order){streams[first + place].next, ~0ull};
}

static uint64_t chance(void) {
    static uint64_t state;
    if (!state && getrandom(&state, sizeof state, 0) < 0) state = (uint64_t)now_ns() | 1;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static void write_uuid7(uint8_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, random = chance();
    hex_write(at, ms >> 16, 8);
    hex_write(at + 9, ms & 0xFFFF, 4);
    hex_write(at + 14, 0x7000 | (random >> 52), 4);
    hex_write(at + 19, 0x8000 | (random & 0x3FFF), 4);
    hex_write(at + 24, chance(), 12);
}

static uint32_t ask(struct conn *conn, uint32_t stream, int64_t intended) {
    uint32_t number = FIRST_ASK + conn->next_ask++;
    if (!conn->asked) conn->asked = calloc(ASKED, sizeof *conn->asked);
    if (conn->asked[number % ASKED].number) conn->waiting--; /* never answered, and forgotten now */
    conn->asked[number % ASKED] = (struct sent){number, stream, streams[stream].next, intended};
    conn->waiting++;
    return number;
}

/* Write one message of the stream to `to`; the bytes it takes. */
static size_t compose(uint32_t which, int64_t intended, uint8_t *to) {
    struct stream *stream = &streams[which];
    struct flow *flow = &flows[stream->flow];
    const struct places *places = &stream->places;
    memcpy(to, stream->frame.at, stream->frame.size);
    if (places->marker >= 0) marker_write(to + places->marker, (struct marker){which, stream->next, intended});
    if (places->id >= 0) write_uuid7(to + places->id);
    if (places->ask >= 0 || places->digits >= 0 || places->varint >= 0) {
        uint32_t number = ask(&conns[stream->conn], which, intended), rest = number;
        for (int place = 0; places->ask >= 0 && place < 4; place++) to[places->ask + place] = (uint8_t)(number >> (24 - 8 * place));
        for (int place = 9; places->digits >= 0 && place >= 0; place--, rest /= 10) to[places->digits + place] = (uint8_t)('0' + rest % 10);
        for (int place = 0; places->varint >= 0 && place < 5; place++) to[places->varint + place] = (uint8_t)((number >> 7 * place & 0x7F) | (place < 4) << 7);
    }
    if (!stream->ring) stream->ring = calloc(RING, sizeof *stream->ring);
    stream->ring[stream->next % RING] = (struct left){stream->next, stream->audience, false};
    stream->next++, flow->sent++, flow->expected += stream->audience;
    return stream->frame.size;
}

static void send_some(uint32_t which, uint32_t count, int64_t intended) {
    static uint8_t scratch[SCRATCH];
    size_t size = 0;
    while (count--) {
        if (size + streams[which].frame.size > SCRATCH) {
            conn_send(&conns[streams[which].conn], scratch, size);
            size = 0;
        }
        size += compose(which, intended, scratch + size);
    }
    conn_send(&conns[streams[which].conn], scratch, size);
}

void flow_begin(struct flow *flow, int64_t now, int64_t until) {
    flow->on = true, flow->until = until, flow->behind = 0;
    flow->sent = flow->expected = flow->delivered = flow->answered = flow->refused = 0;
    flow->refusal[0] = 0;
    memset(&flow->latency, 0, sizeof flow->latency);
    memset(&flow->last, 0, sizeof flow->last);
    memset(&flow->answer, 0, sizeof flow->answer);
    memset(&flow->refuse, 0, sizeof flow->refuse);
    if (flow->rate > 0) {
        flow->gap = (int64_t)(1e9 * flow->burst / flow->rate);
        flow->due = now + flow->gap;
    } else {
        flow->due = INT64_MAX;
        for (size_t place = 0; place < flow->count; place++) {
            streams[flow->streams[place]].finished = 0;
            send_some(flow->streams[place], flow->outstanding * flow->burst, now);
        }
    }
}

bool flow_done(const struct flow *flow) {
    bool answers = dialect.answer != ANSWER_NONE;
    if (flow->on && flow->rate > 0 && flow->due < flow->until) return false; /* it was to be sent, even if it is late now */
    return !flow->on || (flow->delivered >= flow->expected && (!answers || flow->answered + flow->refused >= flow->sent));
}

int64_t flow_send_due(int64_t now) {
    int64_t earliest = INT64_MAX;
    for (int number = 0; number < FLOWS; number++) {
        struct flow *flow = &flows[number];
        if (!flow->on || flow->rate <= 0) continue;
        while (flow->due <= now && flow->due < flow->until) {
            if (now - flow->due > flow->behind) flow->behind = now - flow->due;
            send_some(flow->streams[flow->turn++ % flow->count], flow->burst, flow->due);
            flow->due += flow->gap;
        }
        if (flow->due < flow->until && flow->due < earliest) earliest = flow->due;
    }
    return earliest;
}

/* Closed loop: a message of this stream is done with; when the whole burst is, the next one goes. */
static void follow(uint32_t which, int64_t now) {
    struct stream *stream = &streams[which];
    struct flow *flow = &flows[stream->flow];
    if (++stream->finished % flow->burst) return;
    if (flow->on && flow->rate <= 0 && now < flow->until) send_some(which, flow->burst, now);
}

static void answered(uint32_t which, int64_t intended, bool refused, const uint8_t *at, size_t size, int64_t now) {
    struct flow *flow = &flows[streams[which].flow];
    if (refused) {
        flow->refused++;
        histogram_add(&flow->refuse, now - intended);
        flow->expected -= streams[which].audience; /* nobody gets it */
        bool first = !flow->refusal[0];
        for (size_t place = 0; first && place < size && place < sizeof flow->refusal - 1; place++) flow->refusal[place] = at[place] ? (char)at[place] : '.';
    } else {
        flow->answered++;
        histogram_add(&flow->answer, now - intended);
    }
    if (!flow->until_last) follow(which, now);
}

/* How many of the numbers from one to another the server refused, of the last RING. */
static uint32_t count_refused(const struct stream *stream, uint32_t from, uint32_t to) {
    uint32_t count = 0;
    for (uint32_t number = to - from > RING ? to - RING : from; stream->ring && number < to; number++) {
        const struct left *left = &stream->ring[number % RING];
        count += left->number == number && left->refused;
    }
    return count;
}

static void delivered(struct conn *conn, struct marker marker, const uint8_t *at, size_t size, int64_t now) {
    uint32_t place = marker.stream - conn->first_stream;
    totals.deliveries++;
    if (place >= conn->streams) {
        totals.strays++;
        return;
    }
    struct stream *stream = &streams[marker.stream];
    struct flow *flow = &flows[stream->flow];
    struct order *order = &conn->orders[place];
    if (marker.number > order->next) flow->faults.gaps -= count_refused(stream, order->next, marker.number);
    if (!order_take(order, marker.number, &flow->faults)) return;
    struct left *left = stream->ring ? &stream->ring[marker.number % RING] : NULL;
    flow->delivered++;
    histogram_add(&flow->latency, now - marker.intended);
    if (dialect.answer == ANSWER_OWN && &conns[stream->conn] == conn) answered(marker.stream, marker.intended, false, at, size, now);
    if (left && left->number == marker.number && left->left && !--left->left) {
        histogram_add(&flow->last, now - marker.intended);
        if (flow->until_last) follow(marker.stream, now);
    }
}

static void take_answer(struct conn *conn, uint32_t number, bool refused, const uint8_t *at, size_t size, int64_t now) {
    struct sent *sent = &conn->asked[number % ASKED];
    if (sent->number != number) return;
    sent->number = 0;
    conn->waiting--;
    struct left *left = streams[sent->stream].ring ? &streams[sent->stream].ring[sent->of % RING] : NULL;
    if (refused && left && left->number == sent->of) left->refused = true;
    answered(sent->stream, sent->intended, refused, at, size, now);
}

/* {i: number, r or e: ...}, alone or among others in an array. */
static void answers_msgpack(struct conn *conn, const uint8_t *at, const uint8_t *end, int64_t now) {
    while (conn->waiting && (at = memmem(at, (size_t)(end - at), "\xa1i\xce", 3)) && end - at >= 9) {
        uint32_t number = (uint32_t)at[3] << 24 | (uint32_t)at[4] << 16 | (uint32_t)at[5] << 8 | at[6];
        if (at[7] == 0xA1 && (at[8] == 'r' || at[8] == 'e')) take_answer(conn, number, at[8] == 'e', at, (size_t)(end - at), now);
        at += 3;
    }
}

/* {"id":number,...}, alone or line by line. */
static void answers_json(struct conn *conn, const uint8_t *at, const uint8_t *end, int64_t now) {
    while (conn->waiting && (at = memmem(at, (size_t)(end - at), "{\"id\":", 6))) {
        uint32_t number = 0;
        for (at += 6; at < end && *at >= '0' && *at <= '9'; at++) number = number * 10 + *at - '0';
        bool refused = end - at > 8 && !memcmp(at, ",\"error\"", 8);
        take_answer(conn, number, refused, at, (size_t)(end - at), now);
    }
}

/* Reply {id, error: 2 or publish: 8}, its length before it; the number is a varint of five bytes. */
static void answers_protobuf(struct conn *conn, const uint8_t *at, const uint8_t *end, int64_t now) {
    while (conn->waiting && (at = memchr(at, 0x08, (size_t)(end - at))) && end - at >= 7) {
        uint32_t number = (at[1] & 0x7Fu) | (at[2] & 0x7Fu) << 7 | (at[3] & 0x7Fu) << 14 | (at[4] & 0x7Fu) << 21 | (uint32_t)at[5] << 28;
        if (number >= FIRST_ASK && (at[6] == 0x42 || at[6] == 0x12)) take_answer(conn, number, at[6] == 0x12, at, (size_t)(end - at), now);
        at++;
    }
}

static void count_all(const uint8_t *at, const uint8_t *end) {
    for (; (at = memmem(at, (size_t)(end - at), dialect.count.at, dialect.count.size)); at += dialect.count.size) totals.counted++;
}

void flow_message(struct conn *conn, const uint8_t *at, size_t size, int64_t now) {
    static size_t hint;
    const uint8_t *end = at + size, *found = at;
    if (dialect.count.size) count_all(at, end);
    if (size >= hint + MARKER && marker_at(at + hint)) found = at + hint;
    else if ((found = marker_find(at, end))) hint = (size_t)(found - at);
    for (; found; found = marker_find(found + MARKER, end)) {
        if (reading_history) history++;
        else delivered(conn, marker_read(found), at, size, now);
    }
    if (!conn->waiting) return;
    if (dialect.answer == ANSWER_MSGPACK) answers_msgpack(conn, at, end, now);
    else if (dialect.answer == ANSWER_JSON) answers_json(conn, at, end, now);
    else if (dialect.answer == ANSWER_PROTOBUF) answers_protobuf(conn, at, end, now);
}
