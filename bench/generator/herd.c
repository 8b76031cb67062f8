#include "herd.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 20, RECEIVE = 1 << 18, EVENTS = 512, BETWEEN_SENDS = 32, OUT_MOST = 4 << 20 };

struct conn *conns;
size_t conn_count;
struct dialect dialect = {.opcode = BINARY};
struct totals totals;
struct histogram opened_after;
int receive_buffer;
size_t ready_count, opening_count, lost_count;

static uint8_t room[ROOM];
static int herd_epoll = -1;
static struct sockaddr_in target;
static uint32_t conns_per_address = 20000, first_address;

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

size_t herd_add(size_t count, struct script script) {
    size_t first = conn_count;
    conns = realloc(conns, (conn_count + count) * sizeof *conns);
    for (; conn_count < first + count; conn_count++) conns[conn_count] = (struct conn){.fd = -1, .state = SHUT, .script = script};
    return first;
}

void herd_target(const char *host, uint16_t port, uint32_t per_address, uint32_t first) {
    target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &target.sin_addr);
    conns_per_address = per_address;
    first_address = first;
}

static void watch(struct conn *conn, int operation) {
    struct epoll_event event = {.data.u64 = (uint64_t)(conn - conns)};
    event.events = (conn->stalled ? 0 : EPOLLIN) | (conn->wants_out ? EPOLLOUT : 0);
    epoll_ctl(herd_epoll, operation, conn->fd, &event);
}

void conn_shut(struct conn *conn, bool reset) {
    if (conn->fd >= 0) {
        struct linger at_once = {1, 0};
        if (reset) setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(conn->fd);
    }
    if (conn->state == READY) ready_count--;
    else if (conn->state > SHUT && conn->state < READY) opening_count--;
    free(conn->in.at), free(conn->out.at), free(conn->asked);
    conn->in = conn->out = (struct bytes){0};
    conn->out_room = 0, conn->asked = NULL, conn->waiting = 0, conn->fd = -1, conn->state = SHUT, conn->stalled = 0;
}

/* The server, or an error, ended it. */
static void lose(struct conn *conn) {
    totals.closed_by_server += conn->state == READY;
    for (int place = 0; place < 16; place++)
        if (!totals.close_counts[place] || totals.close_codes[place] == conn->close_code) {
            totals.close_codes[place] = conn->close_code;
            totals.close_counts[place]++;
            break;
        }
    conn_shut(conn, false);
    conn->state = LOST;
    lost_count++;
}

void conn_open(struct conn *conn, int64_t intended) {
    int yes = 1;
    if (herd_epoll < 0) herd_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (conn->state == LOST) lost_count--;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    conn->state = CONNECTING, conn->wants_out = 1, conn->step = 0, conn->close_code = 0, conn->intended = intended, conn->last[0] = 0;
    opening_count++;
    if (conn->fd < 0) {
        snprintf(conn->last, sizeof conn->last, "socket: %s", strerror(errno));
        lose(conn);
        return;
    }
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (receive_buffer) setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (ntohl(target.sin_addr.s_addr) >> 24 == 127) { /* an address has 28,000 ports: take more addresses */
        struct sockaddr_in source = {.sin_family = AF_INET};
        source.sin_addr.s_addr = htonl(0x7F000002 + (first_address + (uint32_t)(conn - conns) / conns_per_address) % 250);
        bind(conn->fd, (struct sockaddr *)&source, sizeof source);
    }
    if (connect(conn->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS) {
        snprintf(conn->last, sizeof conn->last, "connect: %s", strerror(errno));
        lose(conn);
        return;
    }
    watch(conn, EPOLL_CTL_ADD);
}

static void keep(struct conn *conn, const uint8_t *at, size_t size) {
    if (conn->out.size + size > OUT_MOST) { /* a server that takes nothing: say so, and do not grow for ever */
        totals.unsent++;
        return;
    }
    if (conn->out.size + size > conn->out_room) {
        conn->out_room = (conn->out.size + size) * 2;
        conn->out.at = realloc(conn->out.at, conn->out_room);
    }
    memcpy(conn->out.at + conn->out.size, at, size);
    conn->out.size += size;
    if (!conn->wants_out) {
        conn->wants_out = 1;
        watch(conn, EPOLL_CTL_MOD);
    }
}

void conn_send(struct conn *conn, const uint8_t *at, size_t size) {
    ssize_t taken = 0;
    if (conn->fd < 0) {
        totals.unsent++;
        return;
    }
    if (!conn->out.size) taken = send(conn->fd, at, size, MSG_NOSIGNAL);
    if (taken < 0) taken = 0; /* what is broken shows when it is read */
    if ((size_t)taken < size) keep(conn, at + taken, size - (size_t)taken);
}

void conn_stall(struct conn *conn, bool stalled) {
    conn->stalled = stalled;
    if (conn->fd >= 0) watch(conn, EPOLL_CTL_MOD);
}

static void greet(struct conn *conn, int64_t now) {
    if (conn->step < conn->script.steps) {
        struct step *step = &conn->script.step[conn->step];
        if (step->say.size) conn_send(conn, step->say.at, step->say.size);
        if (step->until.size) return;
        conn->step++;
        greet(conn, now);
        return;
    }
    conn->state = READY;
    opening_count--, ready_count++;
    histogram_add(&opened_after, now - conn->intended);
}

static bool is_ping(const uint8_t *at, size_t size) { return size == dialect.ping.size && !memcmp(at, dialect.ping.at, size); }

/* Whether a ping is among the messages of a frame. */
static bool has_ping(const uint8_t *at, size_t size) {
    const uint8_t *end = at + size, *line;
    if (!dialect.ping.size || dialect.grouped == ALONE) return dialect.ping.size && is_ping(at, size);
    if (dialect.grouped == LINES) {
        for (; (line = memchr(at, '\n', (size_t)(end - at))); at = line + 1)
            if (is_ping(at, (size_t)(line - at))) return true;
        return is_ping(at, (size_t)(end - at));
    }
    while (at < end) {
        size_t length = 0;
        for (int shift = 0; at < end; shift += 7) {
            length |= (size_t)(*at & 0x7F) << shift;
            if (!(*at++ & 0x80)) break;
        }
        if (!length) return true;
        if (length > (size_t)(end - at)) return false;
        at += length;
    }
    return false;
}

static void message(struct conn *conn, const struct frame *frame, int64_t now) {
    totals.frames++;
    if (has_ping(frame->payload, frame->size)) conn_send(conn, dialect.pong.at, dialect.pong.size);
    if (conn->state == GREETING) {
        struct bytes *until = &conn->script.step[conn->step].until;
        snprintf(conn->last, sizeof conn->last, "%.*s", (int)(frame->size < 95 ? frame->size : 95), (const char *)frame->payload);
        if (memmem(frame->payload, frame->size, until->at, until->size)) {
            conn->step++;
            greet(conn, now);
        }
    }
    flow_message(conn, frame->payload, frame->size, now);
}

/* False when the connection has ended. */
static bool handle(struct conn *conn, const struct frame *frame, int64_t now) {
    uint8_t pong[131];
    if (frame->opcode < CLOSE) message(conn, frame, now);
    else if (frame->opcode == PING) conn_send(conn, pong, frame_write(pong, PONG, frame->payload, frame->size));
    else if (frame->opcode == CLOSE) {
        conn->close_code = frame->size >= 2 ? (uint16_t)(frame->payload[0] << 8 | frame->payload[1]) : 1005;
        lose(conn);
        return false;
    }
    return conn->fd >= 0;
}

/* The bytes of the answer to the handshake, 0 while it is not all there, -1 when it is no upgrade. */
static int64_t upgraded(struct conn *conn, const uint8_t *at, size_t size) {
    const uint8_t *end = memmem(at, size, "\r\n\r\n", 4);
    if (!end) return size < 8192 ? 0 : -1;
    if (size > 12 && !memcmp(at, "HTTP/1.1 101", 12)) return end + 4 - at;
    snprintf(conn->last, sizeof conn->last, "%.*s", 80, (const char *)at);
    return -1;
}

static void receive(struct conn *conn) {
    size_t size = conn->in.size;
    if (size) memcpy(room, conn->in.at, size);
    ssize_t got = recv(conn->fd, room + size, size + RECEIVE <= ROOM ? RECEIVE : ROOM - size, 0);
    if (got <= 0) {
        if (!got || (errno != EAGAIN && errno != EINTR)) lose(conn);
        return;
    }
    int64_t now = now_ns(), taken = 0;
    const uint8_t *at = room, *end = room + size + got;
    totals.receives++, totals.bytes += (uint64_t)got;
    if (conn->state == UPGRADING) {
        if ((taken = upgraded(conn, at, (size_t)(end - at))) > 0) {
            conn->state = GREETING;
            at += taken;
            greet(conn, now);
        }
    }
    struct frame frame;
    while (conn->state >= GREETING && (taken = frame_read(at, (size_t)(end - at), &frame)) > 0) {
        at += taken;
        if (!handle(conn, &frame, now)) return;
    }
    if (taken < 0 || end - at == ROOM) {
        conn->close_code = 1002;
        lose(conn);
        return;
    }
    size = (size_t)(end - at);
    if (size > conn->in.size) conn->in.at = realloc(conn->in.at, size);
    if (size) memcpy(conn->in.at, at, size);
    else free(conn->in.at), conn->in.at = NULL;
    conn->in.size = size;
}

static void flush(struct conn *conn) {
    if (conn->state == CONNECTING) {
        int error = 0;
        socklen_t length = sizeof error;
        getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error) {
            snprintf(conn->last, sizeof conn->last, "connect: %s", strerror(error));
            lose(conn);
            return;
        }
        conn->state = UPGRADING;
        conn_send(conn, conn->script.upgrade.at, conn->script.upgrade.size);
    } else if (conn->out.size) {
        ssize_t taken = send(conn->fd, conn->out.at, conn->out.size, MSG_NOSIGNAL);
        if (taken > 0) {
            conn->out.size -= (size_t)taken;
            memmove(conn->out.at, conn->out.at + taken, conn->out.size);
        }
    }
    if (!conn->out.size) {
        free(conn->out.at);
        conn->out.at = NULL, conn->out_room = 0, conn->wants_out = 0;
        watch(conn, EPOLL_CTL_MOD);
    }
}

void herd_turn(int64_t until) {
    struct epoll_event events[EVENTS];
    int64_t now = now_ns(), due = flow_send_due(now);
    if (herd_epoll < 0) herd_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (due < until) until = due;
    int64_t left = until > now ? until - now : 0;
    struct timespec wait = {left / 1000000000, left % 1000000000};
    int count = epoll_pwait2(herd_epoll, events, EVENTS, &wait, NULL);
    for (int place = 0; place < count; place++) {
        struct conn *conn = &conns[events[place].data.u64];
        if (conn->fd >= 0 && events[place].events & EPOLLOUT) flush(conn);
        if (conn->fd >= 0 && !conn->stalled && events[place].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(conn);
        if (conn->fd >= 0 && conn->stalled && events[place].events & (EPOLLHUP | EPOLLERR)) lose(conn);
        if (place % BETWEEN_SENDS == BETWEEN_SENDS - 1) flow_send_due(now_ns());
    }
}
