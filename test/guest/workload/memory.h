// What the workload programs have in common: memory on chosen nodes, and where its pages are.
#pragma once

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_NODES = 16, DUMMY_PAGES = 64, QUERY_PAGES = 4096 };
static const size_t PAGE = 4096;
static const size_t MIB = 1024 * 1024;
static const size_t HUGE_PAGE = 2 * 1024 * 1024;
enum { POLICY_DEFAULT = 0, POLICY_BIND = 2 }; // <numaif.h> would need libnuma's headers

static inline void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// Seconds since 1970.
static inline double wall_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// Free bytes of a node.
static inline size_t node_free(int node)
{
    char path[64], line[128];
    size_t kib = 0;
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/meminfo", node);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail("there is no node %d (%s: %s)", node, path, strerror(errno));
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Node %*d MemFree: %zu kB", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

static inline void touch(char *start, size_t bytes)
{
    // The content differs from page to page: same-page merging and compression must not find anything.
    for (size_t offset = 0; offset < bytes; offset += PAGE)
        *(volatile uint64_t *)(start + offset) = (uint64_t)(uintptr_t)(start + offset) ^ 0x9e3779b97f4a7c15ULL;
}

// Address space between two inaccessible ranges that keep the kernel from joining it with its neighbour.
static inline char *reserve_area(size_t bytes)
{
    size_t length = bytes + 2 * HUGE_PAGE;
    char *area = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        fail("mmap of %zu MiB: %s", length / MIB, strerror(errno));
    return (char *)(((uintptr_t)area + HUGE_PAGE) & ~(uintptr_t)(HUGE_PAGE - 1));
}

// Makes a reserved area usable, with transparent huge pages or without any.
static inline void open_area(char *start, size_t bytes, bool use_huge_pages)
{
    if (mprotect(start, bytes, PROT_READ | PROT_WRITE) != 0)
        fail("mprotect: %s", strerror(errno));
    if (madvise(start, bytes, use_huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0 && use_huge_pages)
        fail("no transparent huge pages in this kernel: %s", strerror(errno));
}

static char *dummy;

static inline void prepare_flush(void)
{
    dummy = mmap(NULL, DUMMY_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (dummy == MAP_FAILED)
        fail("mmap: %s", strerror(errno));
    madvise(dummy, DUMMY_PAGES * PAGE, MADV_NOHUGEPAGE);
}

// Makes the CPU forget all translations of this process.
//
// DAMON clears accessed bits without flushing the TLB: while a page's translation stays in the TLB, accesses to it do
// not set the bit again and the page looks idle. A real CPU's TLB holds some 2,000 pages and evicts all the time; the
// software TLB of an emulated CPU grows until it holds the whole hot set, and then hot memory looks cold. Taking away
// write permission from more than 33 written pages (tlb_single_page_flush_ceiling) makes the kernel flush everything,
// as eviction would have done.
static inline void flush_tlb(void)
{
    for (int i = 0; i < DUMMY_PAGES; i++)
        ((volatile char *)dummy)[(size_t)i * PAGE] = 1;
    mprotect(dummy, DUMMY_PAGES * PAGE, PROT_READ);
    mprotect(dummy, DUMMY_PAGES * PAGE, PROT_READ | PROT_WRITE);
}

static inline void print_nodes(const char *key, const uint64_t *bytes_by_node)
{
    const char *comma = "";
    printf(",\"%s\":{", key);
    for (int node = 0; node < MAX_NODES; node++) {
        if (bytes_by_node[node] == 0)
            continue;
        printf("%s\"%d\":%llu", comma, node, (unsigned long long)bytes_by_node[node]);
        comma = ",";
    }
    putchar('}');
}

// Sleeps, but not beyond a signal or the end of standard input; true when that has come.
static inline bool wait_for(double seconds, bool until_stdin_closes)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    if (ppoll(&input, until_stdin_closes ? 1 : 0, &t, NULL) > 0) {
        char discarded[256];
        if (read(STDIN_FILENO, discarded, sizeof discarded) <= 0)
            return true;
    }
    return false;
}

// MIB@NODE, in whole pages.
static inline size_t parse_placement(const char *text, int *node)
{
    double mib;
    char rest;
    if (sscanf(text, "%lf@%d%c", &mib, node, &rest) != 2 || mib <= 0 || *node < 0 || *node >= MAX_NODES)
        fail("\"%s\" is not MIB@NODE", text);
    return (size_t)(mib * (double)MIB) & ~(PAGE - 1);
}

static inline double number(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0' || end == text || value <= 0)
        fail("\"%s\" is not a number above 0", text);
    return value;
}
