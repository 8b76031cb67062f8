/* The load generator: one process, one epoll, told what to do line by line on standard input (`verb name=value ...`, bytes in hex), answering
   with JSON lines. It knows WebSocket frames and the marker that published texts begin with, and nothing else of any server: handshakes,
   what to say after them, and the frames to publish are handed in. bench/generate.py is its other end and lists the verbs. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "flows.h"

static char failure[256]; /* of a verb that is not answered: told with the next answer */
static char *line;

static void fail(const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    if (!failure[0]) vsnprintf(failure, sizeof failure, format, rest);
    va_end(rest);
}

/* The value given with a name on the line, up to the next blank; NULL when there is none. */
static const char *given(const char *name) {
    size_t size = strlen(name);
    for (char *at = strchr(line, ' '); at; at = strchr(at + 1, ' '))
        if (!strncmp(at + 1, name, size) && at[1 + size] == '=') return at + size + 2;
    return NULL;
}

static double number(const char *name, double otherwise) {
    const char *value = given(name);
    return value ? strtod(value, NULL) : otherwise;
}

static int nibble(char digit) { return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1; }

/* Hex up to what is no hex; `*after` is moved there. */
static struct bytes unhex(const char *text, const char **after) {
    size_t size = 0;
    while (nibble(text[size]) >= 0) size++;
    struct bytes bytes = {size ? malloc(size / 2) : NULL, size / 2};
    for (size_t place = 0; place < bytes.size; place++) bytes.at[place] = (uint8_t)(nibble(text[2 * place]) << 4 | nibble(text[2 * place + 1]));
    if (after) *after = text + size;
    return bytes;
}

static struct bytes bytes(const char *name) {
    const char *value = given(name);
    return value ? unhex(value, NULL) : (struct bytes){0};
}

/* upgrade=hex steps=say:until,say:until */
static struct script script(void) {
    struct script made = {.upgrade = bytes("upgrade")};
    const char *at = given("steps");
    while (at && nibble(*at) + 1 + (*at == ':')) {
        made.step = realloc(made.step, (made.steps + 1) * sizeof *made.step);
        made.step[made.steps].say = unhex(at, &at);
        made.step[made.steps].until = *at == ':' ? unhex(at + 1, &at) : (struct bytes){0};
        made.steps++;
        if (*at++ != ',') break;
    }
    return made;
}

static void span(size_t *from, size_t *to) {
    *from = (size_t)number("from", 0), *to = (size_t)number("to", (double)conn_count);
    if (*to > conn_count) *to = conn_count;
}

static void answer(const char *format, ...) {
    va_list rest;
    if (failure[0]) {
        printf("{\"failed\":\"");
        for (char *at = failure; *at; at++) printf((unsigned char)*at < 32 || *at == '"' || *at == '\\' || (unsigned char)*at > 126 ? "?" : "%c", *at);
        printf("\"}\n");
        failure[0] = 0;
    } else {
        va_start(rest, format);
        vprintf(format, rest);
        va_end(rest);
        putchar('\n');
    }
    fflush(stdout);
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static int64_t from_now(double seconds) { return now_ns() + (int64_t)(seconds * 1e9); }

static void verb_dialect(void) {
    const char *kind = given("answer"), *grouped = given("grouped");
    dialect.grouped = !grouped ? ALONE : !strncmp(grouped, "lines", 5) ? LINES : !strncmp(grouped, "lengths", 7) ? LENGTHS : ALONE;
    dialect.answer = !kind || !strncmp(kind, "own", 3) ? ANSWER_OWN : !strncmp(kind, "msgpack", 7) ? ANSWER_MSGPACK
                   : !strncmp(kind, "json", 4) ? ANSWER_JSON : !strncmp(kind, "protobuf", 8) ? ANSWER_PROTOBUF : ANSWER_NONE;
    dialect.ping = bytes("ping"), dialect.pong = bytes("pong"), dialect.count = bytes("count");
}

static void verb_target(void) {
    char host[64] = "";
    const char *value = given("host");
    if (value) sscanf(value, "%63[^ ]", host);
    herd_target(host, (uint16_t)number("port", 0), (uint32_t)number("per_address", 20000), (uint32_t)number("first_address", 0));
}

/* Another script for connections that are shut: what they say when they come back. */
static void verb_script(void) {
    size_t from, to;
    struct script made = script();
    for (span(&from, &to); from < to; from++) conns[from].script = made;
}

static void verb_open(void) {
    size_t from, to, next, at_once = (size_t)number("at_once", 64), lost_before = lost_count;
    double rate = number("rate", 0);
    receive_buffer = (int)number("receive_buffer", 0);
    span(&from, &to);
    memset(&opened_after, 0, sizeof opened_after);
    int64_t began = now_ns(), until = from_now(number("within", 60)), last = began;
    for (next = from; (next < to || opening_count) && now_ns() < until;) {
        while (next < to && (rate > 0 ? began + (int64_t)(1e9 / rate * (double)(next - from)) <= now_ns() : opening_count < at_once)) {
            if (conns[next].fd < 0) conn_open(&conns[next], rate > 0 ? began + (int64_t)(1e9 / rate * (double)(next - from)) : now_ns());
            next++;
        }
        herd_turn(rate > 0 && next < to ? began + (int64_t)(1e9 / rate * (double)(next - from)) : now_ns() + 1000000);
        last = now_ns();
    }
    for (size_t place = from; place < to; place++)
        if (conns[place].state != READY && number("loosely", 0) <= 0) {
            fail("connection %zu of %zu did not become ready (state %d, step %d, closed with %d): %s", place - from, to - from, conns[place].state,
                 conns[place].step, conns[place].close_code, conns[place].last);
            break;
        }
    if (failure[0]) {
        answer("");
        return;
    }
    printf("{\"ready\":%zu,\"lost\":%zu,\"seconds\":%.6f,\"opened\":", ready_count, lost_count - lost_before, 1e-9 * (double)(last - began));
    histogram_print(&opened_after, stdout);
    answer("}");
}

static void verb_shut(void) {
    size_t from, to;
    for (span(&from, &to); from < to; from++) conn_shut(&conns[from], number("reset", 0) > 0);
    answer("{}");
}

static void verb_stall(void) {
    size_t from, to;
    for (span(&from, &to); from < to; from++) conn_stall(&conns[from], number("on", 1) > 0);
    answer("{}");
}

static void verb_stream(void) {
    struct places places = {(int32_t)number("marker", NOWHERE), (int32_t)number("id", NOWHERE), (int32_t)number("ask", NOWHERE),
                            (int32_t)number("digits", NOWHERE), (int32_t)number("varint", NOWHERE)};
    struct stream stream = {.conn = (uint32_t)number("conn", 0), .flow = (uint32_t)number("flow", 0), .audience = (uint32_t)number("audience", 0),
                            .places = places, .frame = bytes("frame")};
    if (stream.flow >= FLOWS || stream.conn >= conn_count || !stream.frame.size) fail("no such flow or connection, or no frame");
    else stream_add(stream);
}

static void verb_expect(void) {
    size_t from, to;
    for (span(&from, &to); from < to; from++) conn_expect(&conns[from], (uint32_t)number("first", 0), (uint32_t)number("count", 1));
}

static void print_flow(const struct flow *flow) {
    printf("{\"gaps\":%llu,\"doubles\":%llu,\"disorder\":%llu,", (unsigned long long)flow->faults.gaps, (unsigned long long)flow->faults.doubles,
           (unsigned long long)flow->faults.disorder);
    printf("\"sent\":%llu,\"expected\":%llu,\"delivered\":%llu,\"answered\":%llu,\"refused\":%llu,\"behind_us\":%lld,\"refusal\":\"",
           (unsigned long long)flow->sent, (unsigned long long)flow->expected, (unsigned long long)flow->delivered,
           (unsigned long long)flow->answered, (unsigned long long)flow->refused, (long long)flow->behind / 1000);
    for (const char *at = flow->refusal; *at; at++) putchar(*at < 32 || *at == '"' || *at == '\\' || *at > 126 ? '.' : *at);
    fputs("\",\"latency\":", stdout), histogram_print(&flow->latency, stdout);
    fputs(",\"last\":", stdout), histogram_print(&flow->last, stdout);
    fputs(",\"answer\":", stdout), histogram_print(&flow->answer, stdout);
    fputs(",\"refuse\":", stdout), histogram_print(&flow->refuse, stdout);
    putchar('}');
}

static struct faults all_faults(void) {
    struct faults all = {0};
    for (int which = 0; which < FLOWS; which++)
        all.gaps += flows[which].faults.gaps, all.doubles += flows[which].faults.doubles, all.disorder += flows[which].faults.disorder;
    return all;
}

static void print_totals(void) {
    struct faults faults = all_faults();
    printf("\"deliveries\":%llu,\"frames\":%llu,\"receives\":%llu,\"bytes\":%llu,\"counted\":%llu,\"history\":%llu,\"closed_by_server\":%llu,"
           "\"unsent\":%llu,\"gaps\":%llu,\"doubles\":%llu,\"disorder\":%llu,\"strays\":%llu,\"ready\":%zu,\"closed_with\":{",
           (unsigned long long)totals.deliveries, (unsigned long long)totals.frames, (unsigned long long)totals.receives,
           (unsigned long long)totals.bytes, (unsigned long long)totals.counted, (unsigned long long)history,
           (unsigned long long)totals.closed_by_server, (unsigned long long)totals.unsent, (unsigned long long)faults.gaps,
           (unsigned long long)faults.doubles, (unsigned long long)faults.disorder, (unsigned long long)totals.strays,
           ready_count);
    for (int place = 0; place < 16 && totals.close_counts[place]; place++)
        printf("%s\"%u\":%u", place ? "," : "", totals.close_codes[place], totals.close_counts[place]);
    putchar('}');
}

static bool all_done(void) {
    for (int which = 0; which < FLOWS; which++)
        if (!flow_done(&flows[which])) return false;
    return true;
}

static void tell_progress(int64_t began) {
    uint64_t sent = 0, answers = 0;
    for (int which = 0; which < FLOWS; which++)
        if (flows[which].on) sent += flows[which].sent, answers += flows[which].answered;
    printf("{\"progress\":{\"seconds\":%.3f,\"sent\":%llu,\"answered\":%llu,\"deliveries\":%llu}}\n", 1e-9 * (double)(now_ns() - began),
           (unsigned long long)sent, (unsigned long long)answers, (unsigned long long)totals.deliveries);
    fflush(stdout);
}

/* Flow by flow: flow0=rate,burst,outstanding,last|answer. */
static void begin_flows(int64_t now, int64_t until) {
    for (int which = 0; which < FLOWS; which++) {
        char name[] = {'f', 'l', 'o', 'w', (char)('0' + which), 0}, kind[16] = "answer";
        struct flow *flow = &flows[which];
        const char *value = given(name);
        flow->on = false;
        if (!value) continue;
        flow->burst = flow->outstanding = 1;
        sscanf(value, "%lf,%u,%u,%15[a-z]", &flow->rate, &flow->burst, &flow->outstanding, kind);
        flow->until_last = !strcmp(kind, "last");
        if (!flow->count) fail("flow %d has no stream", which);
        else flow_begin(flow, now, until);
    }
}

static void verb_run(void) {
    memset(&totals, 0, sizeof totals);
    for (int which = 0; which < FLOWS; which++) flows[which].faults = (struct faults){0};
    history = 0;
    reading_history = number("history", 0) > 0;
    double cpu = cpu_s(), report_s = number("report", 0);
    int64_t began = now_ns(), until = from_now(number("seconds", 1)), told = began, sent_until = until;
    begin_flows(began, until);
    int64_t drained_by = until + (int64_t)(number("drain", 10) * 1e9), now;
    while ((now = now_ns()) < until || (!all_done() && now < drained_by)) {
        herd_turn(now < until ? until : now + 5000000);
        if (report_s > 0 && now_ns() - told > (int64_t)(report_s * 1e9)) {
            told = now_ns();
            tell_progress(began);
        }
    }
    printf("{\"seconds\":%.6f,\"drained_s\":%.6f,\"cpu_s\":%.6f,", 1e-9 * (double)(sent_until - began), 1e-9 * (double)(now_ns() - sent_until),
           cpu_s() - cpu);
    print_totals();
    fputs(",\"flows\":{", stdout);
    const char *between = "";
    for (int which = 0; which < FLOWS; which++)
        if (flows[which].on) {
            printf("%s\"%d\":", between, which);
            print_flow(&flows[which]);
            flows[which].on = false;
            between = ",";
        }
    answer("}}");
}

static void verb_state(void) {
    putchar('{');
    print_totals();
    answer("}");
}

static void obey(void) {
    static const struct { const char *name; void (*verb)(void); } verbs[] = {
        {"dialect", verb_dialect}, {"target", verb_target}, {"script", verb_script}, {"open", verb_open}, {"shut", verb_shut},
        {"stall", verb_stall}, {"stream", verb_stream}, {"expect", verb_expect}, {"run", verb_run}, {"state", verb_state}};
    size_t size = strcspn(line, " ");
    if (!strncmp(line, "add", size)) {
        herd_add((size_t)number("count", 1), script());
        return;
    }
    for (size_t place = 0; place < sizeof verbs / sizeof *verbs; place++)
        if (size == strlen(verbs[place].name) && !strncmp(line, verbs[place].name, size)) {
            verbs[place].verb();
            return;
        }
    fail("unknown verb %.20s", line);
    answer("");
}

/* Obey the complete lines of what was read; what is left over stays. */
static size_t obey_lines(char *text, size_t size) {
    size_t begin = 0;
    for (char *end; (end = memchr(text + begin, '\n', size - begin)); begin = (size_t)(end - text) + 1) {
        *end = 0;
        line = text + begin;
        obey();
    }
    memmove(text, text + begin, size - begin);
    return size - begin;
}

int main(int count, char **words) {
    size_t size = 0, space = 1 << 20;
    char *text = malloc(space);
    struct rlimit files;
    cpu_set_t core;
    if (count > 1) { /* the core to stay on */
        CPU_ZERO(&core);
        CPU_SET((size_t)atoi(words[1]), &core);
        sched_setaffinity(0, sizeof core, &core);
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (;;) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        if (poll(&input, 1, 0) == 1) {
            if (space - size < 1 << 16) text = realloc(text, space *= 2);
            ssize_t got = read(0, text + size, space - size);
            if (got <= 0) return 0;
            size = obey_lines(text, size + (size_t)got);
        } else {
            herd_turn(now_ns() + 5000000); /* between orders pings are answered, and what comes is read */
        }
    }
}
