/* The least that a chat server can do: what a client sends goes to everybody on the same path, by a plain loop of send(). No rights, no log,
   no queue: a socket that takes nothing is waited for. What the others reach is given as a part of what this reaches in the same run.

   ceiling PORT prints `ready PORT` (0: a free one). What one read brings leaves in one send() for each socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILES = 1 << 17, ROOM = 1 << 18, PATH = 64, EVENTS = 256 };

struct member {
    char path[PATH];
    bool greeted;
    uint8_t *kept;
    size_t size;
};

struct hall {
    char path[PATH];
    int *files;
    size_t count;
};

static struct member members[FILES];
static struct hall *halls;
static size_t hall_count;

/* The generator does not look at the accept key, so it is not worked out. */
static const char UPGRADE[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: unchecked\r\n\r\n";

static struct hall *hall_of(const char *path) {
    for (size_t place = 0; place < hall_count; place++)
        if (!strcmp(halls[place].path, path)) return &halls[place];
    halls = realloc(halls, ++hall_count * sizeof *halls);
    struct hall *hall = &halls[hall_count - 1];
    *hall = (struct hall){0};
    strcpy(hall->path, path);
    return hall;
}

static void leave(int file) {
    if (members[file].greeted) {
        struct hall *hall = hall_of(members[file].path);
        for (size_t place = 0; place < hall->count; place++)
            if (hall->files[place] == file) hall->files[place] = hall->files[--hall->count];
    }
    free(members[file].kept);
    members[file] = (struct member){0};
    close(file);
}

static void send_all(int file, const uint8_t *at, size_t size) {
    while (size) {
        ssize_t taken = send(file, at, size, MSG_NOSIGNAL);
        if (taken > 0) at += taken, size -= (size_t)taken;
        else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = file, .events = POLLOUT};
            if (poll(&wait, 1, 5000) != 1) return;
        } else return; /* it has gone: reading will show it */
    }
}

/* Frames of a client made into frames of a server, one after the other; the bytes of those that are whole. */
static size_t relay(uint8_t *at, size_t left, uint8_t *to, size_t *made) {
    size_t taken = 0;
    for (*made = 0;;) {
        size_t head = 6, size = left - taken < 2 ? 0 : at[taken + 1] & 0x7F;
        if (left - taken < 8) return taken;
        if (size == 126) size = (size_t)at[taken + 2] << 8 | at[taken + 3], head = 8;
        if (left - taken < head + size) return taken;
        uint8_t *mask = at + taken + head - 4, *payload = at + taken + head;
        bool data = (at[taken] & 0xF) < 0x8;
        if (data) {
            to[(*made)++] = at[taken];
            if (head == 6) to[(*made)++] = (uint8_t)size;
            else to[(*made)++] = 126, to[(*made)++] = (uint8_t)(size >> 8), to[(*made)++] = (uint8_t)size;
            for (size_t place = 0; place < size; place++) to[(*made)++] = payload[place] ^ mask[place & 3];
        }
        taken += head + size;
    }
}

static void greet(int file, char *text) {
    struct member *member = &members[file];
    sscanf(text, "GET %63s", member->path);
    member->greeted = true;
    struct hall *hall = hall_of(member->path);
    if (!(hall->count & (hall->count + 1))) hall->files = realloc(hall->files, (hall->count + 1) * 2 * sizeof *hall->files);
    hall->files[hall->count++] = file;
    send_all(file, (const uint8_t *)UPGRADE, sizeof UPGRADE - 1);
}

static void receive(int file) {
    static uint8_t in[ROOM], out[ROOM];
    struct member *member = &members[file];
    size_t size = member->size, made, taken;
    memcpy(in, member->kept, size);
    ssize_t got = recv(file, in + size, ROOM - size - 1, 0);
    if (got <= 0) {
        if (!got || errno != EAGAIN) leave(file);
        return;
    }
    size += (size_t)got;
    if (!member->greeted) {
        in[size] = 0;
        char *end = strstr((char *)in, "\r\n\r\n");
        if (!end) taken = 0;
        else greet(file, (char *)in), taken = (size_t)((uint8_t *)end + 4 - in);
        made = 0;
    } else taken = relay(in, size, out, &made);
    if (made) {
        struct hall *hall = hall_of(member->path);
        for (size_t place = 0; place < hall->count; place++) send_all(hall->files[place], out, made);
    }
    member->kept = realloc(member->kept, size - taken + 1);
    memcpy(member->kept, in + taken, size - taken);
    member->size = size - taken;
}

int main(int count, char **words) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(count > 1 ? words[1] : "0"))};
    socklen_t length = sizeof address;
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
    struct rlimit files;
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return perror("ceiling"), 1;
    getsockname(listener, (struct sockaddr *)&address, &length);
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    printf("ready %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int place = 0; place < ready; place++) {
            int file = events[place].data.fd;
            if (file != listener) {
                receive(file);
                continue;
            }
            event.data.fd = file = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (file < 0 || file >= FILES) continue;
            setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event);
        }
    }
}
