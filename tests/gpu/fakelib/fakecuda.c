/* A libcuda.so.1 for a machine without a card: numgraph's driver class and the real cuda-bindings run on it.
 *
 * Memory of the device is memory of the host, everything is done at once, and a launch calls back into Python, which
 * has the kernel's function: `fake_begin` gives it the function's name, the lengths and the parameters, and gets a
 * number; `fake_run` does what has that number, once or for each replay of a graph. What the driver would refuse is
 * refused: a second free, a copy outside of the allocations, a grid that is too large, anything but launches, copies
 * and fills while something is recorded. `fake_log` is what was called since `fake_forget`, `fake_alive` what is alive.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef uint64_t Address;
enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, NOT_FOUND = 500, NOT_READY = 600, TOO_LARGE = 720,
       ILLEGAL_ADDRESS = 700, UNSUPPORTED_IN_CAPTURE = 900 };

/* -- what Python gets and gives ---------------------------------------------------------------------------------- */

static int (*begin_launch)(const char *, const unsigned *, void **);
static void (*run_launch)(int);
static char log_[1 << 20];
static int refuse_;
static char refused_[64];
static long allocations, graphs, executables;

void fake_callbacks(int (*begin)(const char *, const unsigned *, void **), void (*run)(int)) {
    begin_launch = begin;
    run_launch = run;
}
const char *fake_log(void) { return log_; }
void fake_forget(void) { log_[0] = 0; }
/* the next call of that name gives that status */
void fake_refuse(const char *name, int status) {
    snprintf(refused_, sizeof refused_, "%s", name);
    refuse_ = status;
}
void fake_alive(long *found) {
    found[0] = allocations;
    found[1] = graphs;
    found[2] = executables;
}

static Result note(const char *name, uint64_t about) {
    size_t used = strlen(log_);
    if (used + 100 < sizeof log_) snprintf(log_ + used, 100, "%s %llu\n", name, (unsigned long long)about);
    if (refuse_ && !strcmp(name, refused_)) {
        int status = refuse_;
        refuse_ = 0;
        return status;
    }
    return OK;
}
#define CALLED(name, about) do { Result status_ = note(name, (uint64_t)(about)); if (status_) return status_; } while (0)

/* -- memory ------------------------------------------------------------------------------------------------------ */

typedef struct Block { Address begin; size_t size; struct Block *next; } Block;
static Block *blocks;

static int inside(Address at, size_t size) {
    for (Block *b = blocks; b; b = b->next)
        if (b->begin <= at && at + size <= b->begin + b->size) return 1;
    return 0;
}

/* -- graphs ------------------------------------------------------------------------------------------------------ */

typedef struct Graph Graph;
typedef struct Node {
    enum { LAUNCH, COPY, FILL, CHILD } kind;
    int number;
    Address to, from;
    size_t size;
    Graph *child;
    struct Node *next;
} Node;
struct Graph { Node *first, *last; };
static Graph *recorded;

static Result go(const Graph *graph);
static Result perform(const Node *node) {
    switch (node->kind) {
    case LAUNCH: run_launch(node->number); return OK;
    case COPY: memmove((void *)node->to, (void *)node->from, node->size); return OK;
    case FILL: memset((void *)node->to, (int)node->from, node->size); return OK;
    default: return go(node->child);
    }
}
static Result go(const Graph *graph) {
    for (Node *n = graph->first; n; n = n->next) perform(n);
    return OK;
}
static void append(Graph *graph, Node node) {
    Node *n = malloc(sizeof *n);
    *n = node;
    n->next = 0;
    if (graph->last) graph->last->next = n; else graph->first = n;
    graph->last = n;
}
static Result ask(Node node) {
    if (!recorded) return perform(&node);
    append(recorded, node);
    return OK;
}
#define NOT_RECORDED if (recorded) return UNSUPPORTED_IN_CAPTURE

/* -- the device -------------------------------------------------------------------------------------------------- */

Result cuInit(unsigned flags) { return flags ? INVALID_VALUE : OK; }
Result cuDriverGetVersion(int *version) { *version = 13000; return OK; }
Result cuDeviceGetCount(int *count) { *count = 1; return OK; }
Result cuDeviceGet(int *device, int number) { *device = number; return number ? 101 : OK; }
Result cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "Fake %d", device); return OK; }
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 9 : attribute == 16 ? 4 : attribute == 115 ? 1 : 0;
    return device ? INVALID_VALUE : OK;
}
static __thread void *current;
Result cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)0xC0DE000; return device; }
Result cuCtxGetCurrent(void **context) { *context = current; return OK; }
Result cuCtxSetCurrent(void *context) { current = context; return OK; }
Result cuCtxPushCurrent_v2(void *context) { current = context; return OK; }
Result cuCtxPopCurrent_v2(void **context) { *context = current; current = 0; return OK; }
Result cuCtxSynchronize(void) { NOT_RECORDED; CALLED("finish", 0); return OK; }
Result cuStreamCreate(void **stream, unsigned flags) { *stream = (void *)(uintptr_t)(0x57000 + flags); return OK; }
Result cuStreamSynchronize(void *stream) { NOT_RECORDED; CALLED("synchronize", stream); return OK; }

Result cuMemPoolCreate(void **pool, const void *wanted) { *pool = (void *)wanted; return OK; }
Result cuMemPoolSetAttribute(void *pool, int attribute, void *value) { return pool && attribute && value ? OK : 1; }
Result cuMemPoolGetAttribute(void *pool, int attribute, void *value) {
    *(uint64_t *)value = 0;
    return pool && attribute ? OK : INVALID_VALUE;
}
Result cuMemAlloc_v2(Address *address, size_t size) {
    NOT_RECORDED;
    CALLED("allocate", size);
    void *memory;
    Block *block = malloc(sizeof *block);
    if (size > (size_t)1 << 32 || posix_memalign(&memory, 256, size)) { free(block); return OUT_OF_MEMORY; }
    memset(memory, 0xCD, size);
    *block = (Block){(Address)memory, size, blocks};
    blocks = block;
    *address = block->begin;
    allocations++;
    return OK;
}
Result cuMemAllocFromPoolAsync(Address *address, size_t size, void *pool, void *stream) {
    return pool && stream ? cuMemAlloc_v2(address, size) : INVALID_VALUE;
}
Result cuMemFree_v2(Address address) {
    NOT_RECORDED;
    CALLED("free", address);
    for (Block **b = &blocks; *b; b = &(*b)->next)
        if ((*b)->begin == address) {
            Block *gone = *b;
            *b = gone->next;
            memset((void *)address, 0xDD, gone->size);
            free((void *)address);
            free(gone);
            allocations--;
            return OK;
        }
    return INVALID_VALUE;
}
Result cuMemFreeAsync(Address address, void *stream) { return stream ? cuMemFree_v2(address) : INVALID_VALUE; }
Result cuMemGetInfo_v2(size_t *available, size_t *all) { *available = *all = (size_t)1 << 32; return OK; }
Result cuMemHostAlloc(void **memory, size_t size, unsigned flags) {
    NOT_RECORDED;
    return posix_memalign(memory, 256, size) || flags ? OUT_OF_MEMORY : OK;
}
static Result copy(const char *name, Address to, Address from, size_t size, Address device) {
    CALLED(name, size);
    return inside(device, size) ? ask((Node){COPY, 0, to, from, size, 0, 0}) : ILLEGAL_ADDRESS;
}
Result cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t size, void *stream) {
    NOT_RECORDED;
    return stream ? copy("to_device", to, (Address)from, size, to) : INVALID_VALUE;
}
Result cuMemcpyDtoHAsync_v2(void *to, Address from, size_t size, void *stream) {
    NOT_RECORDED;
    return stream ? copy("to_host", (Address)to, from, size, from) : INVALID_VALUE;
}
Result cuMemcpyDtoDAsync_v2(Address to, Address from, size_t size, void *stream) {
    return stream && inside(from, size) ? copy("on_device", to, from, size, to) : ILLEGAL_ADDRESS;
}
Result cuMemsetD8Async(Address to, unsigned char value, size_t size, void *stream) {
    CALLED("fill", size);
    return stream && inside(to, size) ? ask((Node){FILL, 0, to, value, size, 0, 0}) : ILLEGAL_ADDRESS;
}

Result cuModuleLoadData(void **module, const void *image) {
    NOT_RECORDED;
    *module = (void *)image;
    return memcmp(image, "\177ELF", 4) ? INVALID_IMAGE : OK;
}
Result cuModuleGetFunction(void **function, void *module, const char *name) {
    *function = strdup(name);
    return module ? OK : NOT_FOUND;
}
Result cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned block_x, unsigned block_y,
                      unsigned block_z, unsigned shared, void *stream, void **parameters, void **extra) {
    unsigned lengths[6] = {x, y, z, block_x, block_y, block_z};
    CALLED("launch", 0);
    for (int k = 0; k < 6; k++)
        if (!lengths[k]) return INVALID_VALUE;
    if (x > 2147483647u || y > 65535 || z > 65535 || block_x * block_y * block_z > 1024) return INVALID_VALUE;
    if (shared || !stream || extra) return INVALID_VALUE;
    return ask((Node){LAUNCH, begin_launch(function, lengths, parameters), 0, 0, 0, 0, 0});
}
Result cuLaunchCooperativeKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned block_x, unsigned block_y,
                                 unsigned block_z, unsigned shared, void *stream, void **parameters) {
    CALLED("together", (long)x * y * z);
    if ((long)x * y * z > 4) return TOO_LARGE;
    return cuLaunchKernel(function, x, y, z, block_x, block_y, block_z, shared, stream, parameters, 0);
}

Result cuStreamBeginCapture_v2(void *stream, int mode) {
    NOT_RECORDED;
    CALLED("begin", mode);
    recorded = calloc(1, sizeof *recorded);
    graphs++;
    return stream ? OK : INVALID_VALUE;
}
Result cuStreamEndCapture(void *stream, void **graph) {
    if (!recorded || !stream) return INVALID_VALUE;
    Result status = note("end", 0);
    *graph = status ? 0 : recorded;
    graphs -= status != OK;
    recorded = 0;
    return status;
}
Result cuGraphCreate(void **graph, unsigned flags) {
    *graph = calloc(1, sizeof(Graph));
    graphs++;
    return flags;
}
Result cuGraphAddChildGraphNode(void **node, void *graph, const void *before, size_t count, void *child) {
    CALLED("child", count);
    append(graph, (Node){CHILD, 0, 0, 0, 0, child, 0});
    *node = ((Graph *)graph)->last;
    return count && !before ? INVALID_VALUE : OK;
}
Result cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
    CALLED("ready", flags);
    *executable = memcpy(malloc(sizeof(Graph)), graph, sizeof(Graph));
    executables++;
    return OK;
}
Result cuGraphUpload(void *executable, void *stream) {
    CALLED("upload", 0);
    return executable && stream ? OK : INVALID_VALUE;
}
Result cuGraphLaunch(void *executable, void *stream) {
    NOT_RECORDED;
    CALLED("start", 0);
    return stream ? go(executable) : INVALID_VALUE;
}
Result cuGraphExecDestroy(void *executable) {
    if (!executable) return INVALID_VALUE;
    executables--;
    return OK;
}
/* its nodes may still be done by a graph that has it as a child */
Result cuGraphDestroy(void *graph) {
    if (!graph) return INVALID_VALUE;
    graphs--;
    return OK;
}

Result cuEventCreate(void **event, unsigned flags) { *event = calloc(1, sizeof(int)); return flags == 2 ? OK : 1; }
Result cuEventRecord(void *event, void *stream) { CALLED("mark", stream); *(int *)event = 1; return OK; }
/* late at first, as on a device */
Result cuEventQuery(void *event) { return (*(int *)event)-- > 0 ? NOT_READY : OK; }
Result cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
    CALLED("follow", stream);
    return event && !flags ? OK : INVALID_VALUE;
}
Result cuGetErrorString(Result status, const char **text) { *text = status ? "as the fake has it" : "none"; return OK; }
Result cuGetErrorName(Result status, const char **name) { *name = status ? "CUDA_ERROR_FAKE" : "none"; return OK; }

/* The bindings ask for a name without its version. */
Result cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
    char latest[300];
    if (!strcmp(name, "cuGraphInstantiate")) name = "cuGraphInstantiateWithFlags";
    Dl_info here;
    dladdr((void *)cuInit, &here);
    void *library = dlopen(here.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    snprintf(latest, sizeof latest, "%s_v2", name);
    *function = dlsym(library, latest);
    if (!*function) *function = dlsym(library, name);
    if (status) *status = *function ? 0 : 1;
    return *function || version < 0 || flags == ~0ull ? OK : NOT_FOUND;
}
Result cuGetProcAddress(const char *name, void **function, int version, uint64_t flags) {
    return cuGetProcAddress_v2(name, function, version, flags, 0);
}
