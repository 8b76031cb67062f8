/* transport/websocket/native.py in C: the same functions, held to the same tests.
 *
 * offer_all() has two ways to send to many sockets: a loop of send(2), and an io_uring of the process's own to which a whole slice is
 * handed in one system call. Which is cheaper depends on kernel and processor, so both are timed while they work and the cheaper one is
 * used; the other is tried again now and then. Where the kernel gives no ring, there is the loop.
 *
 * The ring has a table of files: a socket that is in it need not be looked up and counted at each send. A place in the table belongs to one
 * outbox, which gives it back (forget()) before its socket is closed; it is never found by a descriptor, which may be somebody else's by now.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLICE 256 /* sends handed over at once */
#define NOT_IDLE (-1)
#define FAILED (-2)
#define ENOUGH 8       /* sends from which on a slice says anything about speed */
#define LOOK_AGAIN 256 /* slices between two trials of the way that is not in use */
#define FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)
#define MOST_FILES 65536 /* places of the table, where the process may have so many files open */
#define NO_PLACE (-1)

enum way { LOOP, RING, WAYS };

static struct {
    int fd; /* -1: none could be had, -2: not tried yet */
    pid_t owner;
    _Atomic unsigned *sq_tail, *cq_head, *cq_tail;
    unsigned *sq_array, sq_mask, cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
} ring = {.fd = -2};

static struct {
    unsigned size, used, given_back; /* places there are, were ever taken, and are free again */
    int *free;                       /* those that are */
} table;

static struct {
    double ns; /* for one send, lately; 0: not known */
    unsigned since;
} timed[WAYS];
static int forced = -1;

static PyObject *s_idle, *s_fd, *s_place;

static int outcome(long taken) {
    if (taken >= 0) return (int)taken;
    return taken == -EAGAIN || taken == -EWOULDBLOCK || taken == -ENOBUFS ? 0 : FAILED;
}

static void send_loop(const int *fds, int count, const char *wire, size_t size, int *taken) {
    for (int i = 0; i < count; i++) {
        ssize_t sent;
        do sent = send(fds[i], wire, size, FLAGS);
        while (sent < 0 && errno == EINTR);
        taken[i] = outcome(sent < 0 ? -errno : sent);
    }
}

static int map_ring(int fd, struct io_uring_params *p) {
    size_t sq_size = p->sq_off.array + p->sq_entries * sizeof(unsigned);
    size_t cq_size = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    size_t size = sq_size > cq_size ? sq_size : cq_size;
    if (!(p->features & IORING_FEAT_SINGLE_MMAP)) return -1;
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
    if (base == MAP_FAILED) return -1;
    ring.sqes = mmap(NULL, p->sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
    if (ring.sqes == MAP_FAILED) {
        munmap(base, size);
        return -1;
    }
    ring.sq_tail = (_Atomic unsigned *)(base + p->sq_off.tail);
    ring.sq_mask = *(unsigned *)(base + p->sq_off.ring_mask);
    ring.sq_array = (unsigned *)(base + p->sq_off.array);
    ring.cq_head = (_Atomic unsigned *)(base + p->cq_off.head);
    ring.cq_tail = (_Atomic unsigned *)(base + p->cq_off.tail);
    ring.cq_mask = *(unsigned *)(base + p->cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe *)(base + p->cq_off.cqes);
    return 0;
}

static void end_ring(void) {
    ring.fd = -1;
    table.size = 0;
}

/* A table of files, empty; none where the kernel has no such tables (before 5.19). */
static void open_table(void) {
#ifdef IORING_RSRC_REGISTER_SPARSE
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0) return;
    struct io_uring_rsrc_register asked = {.nr = files.rlim_cur < MOST_FILES ? (unsigned)files.rlim_cur : MOST_FILES,
                                           .flags = IORING_RSRC_REGISTER_SPARSE};
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES2, &asked, sizeof asked) < 0) return;
    table.free = malloc(asked.nr * sizeof *table.free);
    table.size = table.free != NULL ? asked.nr : 0;
#endif
}

/* Have `fd` be the file in a place, -1 none; whether the kernel has done so. */
static int put_in(int place, int fd) {
    struct io_uring_files_update put = {.offset = (unsigned)place, .fds = (uintptr_t)&fd};
    return syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES_UPDATE, &put, 1) == 1;
}

static int take_place(int fd) {
    if (table.given_back == 0 && table.used == table.size) return NO_PLACE;
    int place = table.given_back > 0 ? table.free[--table.given_back] : (int)table.used++;
    if (put_in(place, fd)) return place;
    table.free[table.given_back++] = place;
    return NO_PLACE;
}

static int have_ring(void) {
    if (ring.fd >= 0 && ring.owner != getpid()) end_ring(); /* a child shares its parent's ring: it must not touch it */
    if (ring.fd != -2) return ring.fd >= 0;
    struct io_uring_params p;
    memset(&p, 0, sizeof p);
    ring.owner = getpid();
    ring.fd = (int)syscall(SYS_io_uring_setup, SLICE, &p);
    if (ring.fd < 0) {
        ring.fd = -1;
    } else if (map_ring(ring.fd, &p) < 0) {
        close(ring.fd);
        ring.fd = -1;
    } else {
        open_table();
    }
    return ring.fd >= 0;
}

static int reap(int *taken) {
    unsigned head = atomic_load_explicit(ring.cq_head, memory_order_relaxed);
    unsigned tail = atomic_load_explicit(ring.cq_tail, memory_order_acquire);
    int reaped = 0;
    for (; head != tail; head++, reaped++) {
        struct io_uring_cqe *cqe = &ring.cqes[head & ring.cq_mask];
        taken[cqe->user_data] = outcome(cqe->res);
    }
    atomic_store_explicit(ring.cq_head, head, memory_order_release);
    return reaped;
}

/* `where` is a place in the table, or the complement of a descriptor. The kernel has copied everything, or has not taken it, when this
 * returns: `wire` may go. -1: the ring is of no use any more, and what was done is in `taken`, where it is no longer INT_MIN. */
static int send_ring(const int *where, int count, const char *wire, size_t size, int *taken) {
    unsigned tail = atomic_load_explicit(ring.sq_tail, memory_order_relaxed);
    for (int i = 0; i < count; i++, tail++) {
        unsigned at = tail & ring.sq_mask;
        struct io_uring_sqe *sqe = &ring.sqes[at];
        memset(sqe, 0, sizeof *sqe);
        sqe->opcode = IORING_OP_SEND;
        sqe->fd = where[i] >= 0 ? where[i] : ~where[i];
        sqe->flags = where[i] >= 0 ? IOSQE_FIXED_FILE : 0;
        sqe->addr = (uintptr_t)wire;
        sqe->len = (unsigned)size;
        sqe->msg_flags = FLAGS;
        sqe->user_data = (unsigned)i;
        ring.sq_array[at] = at;
        taken[i] = INT32_MIN;
    }
    atomic_store_explicit(ring.sq_tail, tail, memory_order_release);
    int to_submit = count, left = count;
    while (left > 0) {
        long done = syscall(SYS_io_uring_enter, ring.fd, to_submit, left, IORING_ENTER_GETEVENTS, NULL, 0);
        if (done < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY) return -1;
        if (done > 0) to_submit -= (int)done;
        left -= reap(taken);
    }
    return 0;
}

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static enum way choose(int count) {
    if (forced >= 0) return forced == RING && !have_ring() ? LOOP : (enum way)forced;
    if (count < ENOUGH || !have_ring()) return LOOP;
    for (int way = 0; way < WAYS; way++)
        if (timed[way].ns == 0) return (enum way)way;
    enum way best = timed[RING].ns < timed[LOOP].ns ? RING : LOOP;
    if (++timed[1 - best].since < LOOK_AGAIN) return best;
    timed[1 - best].since = 0;
    return (enum way)(1 - best);
}

static void send_all(enum way way, const int *where, int count, const char *wire, size_t size, int *taken) {
    double begun = now_ns();
    if (way == LOOP) {
        send_loop(where, count, wire, size, taken);
    } else if (send_ring(where, count, wire, size, taken) < 0) {
        close(ring.fd);
        end_ring();
        for (int i = 0; i < count; i++) /* whether the kernel began it cannot be known: such a connection must end */
            if (taken[i] == INT32_MIN) taken[i] = FAILED;
        return;
    }
    if (count >= ENOUGH) {
        double each = (now_ns() - begun) / count;
        timed[way].ns = timed[way].ns == 0 ? each : timed[way].ns * 0.9 + each * 0.1;
    }
}

static int is_true(PyObject *outbox, PyObject *name) {
    PyObject *value = PyObject_GetAttr(outbox, name);
    if (value == NULL) return -1;
    int truth = PyObject_IsTrue(value);
    Py_DECREF(value);
    return truth;
}

static int add_left(PyObject *left, Py_ssize_t place, int taken) {
    PyObject *pair = Py_BuildValue("(ni)", place, taken);
    if (pair == NULL) return -1;
    int failed = PyList_Append(left, pair);
    Py_DECREF(pair);
    return failed;
}

static int read_int(PyObject *outbox, PyObject *name, int *value) {
    PyObject *number = PyObject_GetAttr(outbox, name);
    if (number == NULL) return -1;
    *value = (int)PyLong_AsLong(number);
    Py_DECREF(number);
    return *value == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Where to send to it: its place in the table, which it is given now if it has none; else by its descriptor, as send_ring() takes that. */
static int read_place(PyObject *outbox, int *where) {
    if (read_int(outbox, s_place, where) < 0) return -1;
    if (*where != NO_PLACE) return 0;
    int fd, place = NO_PLACE;
    if (read_int(outbox, s_fd, &fd) < 0) return -1;
    if (table.size > 0) place = take_place(fd);
    *where = place == NO_PLACE ? ~fd : place;
    if (place == NO_PLACE) return 0;
    PyObject *number = PyLong_FromLong(place);
    if (number == NULL) return -1;
    int failed = PyObject_SetAttr(outbox, s_place, number);
    Py_DECREF(number);
    return failed;
}

/* Whom of outboxes[*at:stop] to offer it to that way, up to SLICE of them; the others that get something are added to `left`. */
static int gather(enum way way, PyObject *outboxes, Py_ssize_t *at, Py_ssize_t stop, PyObject *apart, int *where, Py_ssize_t *places, PyObject *left) {
    int count = 0, anybody_apart = PySet_GET_SIZE(apart) > 0;
    for (; *at < stop && count < SLICE; ++*at) {
        PyObject *outbox = PyList_GET_ITEM(outboxes, *at);
        int is_apart = anybody_apart ? PySet_Contains(apart, outbox) : 0;
        if (is_apart < 0) return -1;
        if (is_apart) continue;
        int idle = is_true(outbox, s_idle);
        if (idle < 0) return -1;
        if (!idle) {
            if (add_left(left, *at, NOT_IDLE) < 0) return -1;
            continue;
        }
        if ((way == RING ? read_place(outbox, &where[count]) : read_int(outbox, s_fd, &where[count])) < 0) return -1;
        places[count++] = *at;
    }
    return count;
}

static PyObject *offer_all(PyObject *module, PyObject *const *args, Py_ssize_t given) {
    if (given != 5 || !PyList_Check(args[0]) || !PyAnySet_Check(args[3]) || !PyBytes_Check(args[4])) {
        PyErr_SetString(PyExc_TypeError, "offer_all(outboxes: list, start: int, stop: int, apart: set, wire: bytes)");
        return NULL;
    }
    Py_ssize_t at = PyLong_AsSsize_t(args[1]), stop = PyLong_AsSsize_t(args[2]);
    if (PyErr_Occurred()) return NULL;
    if (stop > PyList_GET_SIZE(args[0])) stop = PyList_GET_SIZE(args[0]);
    if (at < 0) at = 0;
    const char *wire = PyBytes_AS_STRING(args[4]);
    Py_ssize_t size = PyBytes_GET_SIZE(args[4]);
    int where[SLICE], taken[SLICE];
    Py_ssize_t places[SLICE];
    PyObject *left = PyList_New(0);
    while (left != NULL && at < stop) {
        enum way way = choose(stop - at < SLICE ? (int)(stop - at) : SLICE);
        int count = gather(way, args[0], &at, stop, args[3], where, places, left);
        if (count < 0) {
            Py_CLEAR(left);
            break;
        }
        Py_BEGIN_ALLOW_THREADS
        send_all(way, where, count, wire, (size_t)size, taken);
        Py_END_ALLOW_THREADS
        for (int i = 0; i < count; i++)
            if (taken[i] != size && add_left(left, places[i], taken[i]) < 0) {
                Py_CLEAR(left);
                break;
            }
    }
    return left;
}

static void unmask(unsigned char *to, const unsigned char *from, const unsigned char *key, Py_ssize_t size) {
    uint32_t one;
    memcpy(&one, key, 4);
    uint64_t two = (uint64_t)one << 32 | one, word;
    Py_ssize_t i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= two;
        memcpy(to + i, &word, 8);
    }
    for (; i < size; i++) to[i] = from[i] ^ key[i & 3];
}

/* Whether a payload is text; that it is not is no error here. */
static int is_text(const unsigned char *payload, Py_ssize_t size) {
    Py_ssize_t i = 0;
    while (i < size && payload[i] < 0x80) i++;
    if (i == size) return 1;
    PyObject *text = PyUnicode_DecodeUTF8((const char *)payload, size, NULL);
    Py_XDECREF(text);
    if (text == NULL) PyErr_Clear();
    return text != NULL;
}

static PyObject *take_frames(PyObject *module, PyObject *const *args, Py_ssize_t given) {
    if (given != 4 || !PyBytes_Check(args[0]) || !PyList_Check(args[3])) {
        PyErr_SetString(PyExc_TypeError, "take_frames(data: bytes, at: int, longest: int, events: list)");
        return NULL;
    }
    const unsigned char *data = (const unsigned char *)PyBytes_AS_STRING(args[0]);
    Py_ssize_t end = PyBytes_GET_SIZE(args[0]), at = PyLong_AsSsize_t(args[1]), longest = PyLong_AsSsize_t(args[2]);
    if (PyErr_Occurred()) return NULL;
    while (at >= 0 && at + 6 <= end) {
        int first = data[at];
        Py_ssize_t size = (Py_ssize_t)data[at + 1] - 128;
        if ((first != 0x82 && first != 0x81) || size < 0 || size > 125 || size > longest || at + 6 + size > end) break;
        PyObject *payload = PyBytes_FromStringAndSize(NULL, size);
        if (payload == NULL) return NULL;
        unsigned char *bytes = (unsigned char *)PyBytes_AS_STRING(payload);
        unmask(bytes, data + at + 6, data + at + 2, size);
        if (first == 0x81 && !is_text(bytes, size)) {
            Py_DECREF(payload);
            break;
        }
        PyObject *event = Py_BuildValue("(iN)", first & 0x0F, payload);
        if (event == NULL || PyList_Append(args[3], event) < 0) {
            Py_XDECREF(event);
            return NULL;
        }
        Py_DECREF(event);
        at += 6 + size;
    }
    return PyLong_FromSsize_t(at);
}

static PyObject *forget(PyObject *module, PyObject *outbox) {
    int place;
    if (read_int(outbox, s_place, &place) < 0) return NULL;
    if (place == NO_PLACE) Py_RETURN_NONE;
    if (table.size > 0 && ring.owner == getpid() && put_in(place, -1)) table.free[table.given_back++] = place;
    PyObject *none = PyLong_FromLong(NO_PLACE);
    if (none == NULL || PyObject_SetAttr(outbox, s_place, none) < 0) {
        Py_XDECREF(none);
        return NULL;
    }
    Py_DECREF(none);
    Py_RETURN_NONE;
}

static PyObject *send_by(PyObject *module, PyObject *name) {
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL) return NULL;
    forced = !strcmp(text, "loop") ? LOOP : !strcmp(text, "ring") ? RING : -1;
    return PyBool_FromLong(forced != RING || have_ring());
}

static PyObject *costs(PyObject *module, PyObject *none) {
    int has_ring = have_ring(); /* which makes the table too */
    return Py_BuildValue("{sdsdsisIsI}", "loop", timed[LOOP].ns, "ring", timed[RING].ns, "has_ring", has_ring, "files",
                         table.size > 0 ? table.used - table.given_back : 0, "places", table.size);
}

static PyMethodDef methods[] = {
    {"offer_all", (PyCFunction)(void (*)(void))offer_all, METH_FASTCALL, "As transport/websocket/native.py has it."},
    {"forget", forget, METH_O, "As transport/websocket/native.py has it."},
    {"take_frames", (PyCFunction)(void (*)(void))take_frames, METH_FASTCALL, "As transport/websocket/native.py has it."},
    {"send_by", send_by, METH_O, "\"loop\" or \"ring\" alone, or whichever is cheaper; whether that can be had. For tests and measurements."},
    {"costs", costs, METH_NOARGS, "Nanoseconds of processor for one send lately, by either way, 0 where it was not tried; sockets in the ring's table, and its places."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef native = {
    PyModuleDef_HEAD_INIT, .m_name = "transport.websocket.native", .m_doc = "The innermost loops of the transport, in C.", .m_size = -1, .m_methods = methods,
};

PyMODINIT_FUNC PyInit_native(void) {
    PyObject *module = PyModule_Create(&native);
    s_idle = PyUnicode_InternFromString("idle");
    s_fd = PyUnicode_InternFromString("fd");
    s_place = PyUnicode_InternFromString("place");
    if (module == NULL || s_idle == NULL || s_fd == NULL || s_place == NULL || PyModule_AddIntConstant(module, "NOT_IDLE", NOT_IDLE) < 0 ||
        PyModule_AddIntConstant(module, "FAILED", FAILED) < 0)
        return NULL;
    return module;
}
