// The work of numa/syscalls/move-pages.ts and numa/page-maps/ as a small C program, to compare them with.
//
//   peer hold MIB NODE ORDER          a process to work on: MIB of memory on a node (-1: any), touched `in-order` or `scattered`;
//                                     prints where it is, and ends with its standard input
//   peer move PID FIRST PAGES ROUNDS  moves these pages from node 0 to node 1 and back
//   peer scan PID ROUNDS              reads all of its pagemap into runs of pages
//
// Each prints one line of JSON; the first round, which warms caches, is printed like the others.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define BATCH 4096UL
#define READ_PAGES 16384UL
#define BLOCK_PAGES 512UL
#define MPOL_BIND 2
#define MPOL_MF_MOVE_ALL 4

static void die(const char *what)
{
    fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double wall_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void print_round(int round, double wall, double cpu, unsigned long pages, unsigned long runs)
{
    printf("%s{\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"pages\":%lu,\"runs\":%lu}", round == 0 ? "[" : ",",
           wall_seconds() - wall, cpu_seconds() - cpu, pages, runs);
}

static int hold(unsigned long mib, int node, int scattered)
{
    unsigned long pages = mib * (1024 * 1024 / PAGE);
    char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
    if (node >= 0) {
        unsigned long mask = 1UL << node;
        if (syscall(SYS_mbind, memory, pages * PAGE, MPOL_BIND, &mask, 64UL, 0) != 0)
            die("mbind");
    }
    // A full cycle through a power of two, by an odd step, touches pages that are far apart one after the other.
    unsigned long cycle = 1;
    while (cycle < pages)
        cycle *= 2;
    for (unsigned long i = 0; i < cycle; i++) {
        unsigned long page = scattered ? (i * 2654435761UL) % cycle : i;
        if (page < pages)
            memory[page * PAGE] = 1;
    }
    // Its policy would hold only what it allocates anew; what is there may be moved.
    printf("{\"pid\":%d,\"firstPage\":%lu,\"pages\":%lu}\n", getpid(), (unsigned long)memory / PAGE, pages);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

static unsigned long move_all(int pid, unsigned long first, unsigned long count, int node)
{
    static void *pages[BATCH];
    static int nodes[BATCH];
    static int status[BATCH];
    unsigned long moved = 0;
    for (unsigned long done = 0; done < count; done += BATCH) {
        unsigned long batch = count - done < BATCH ? count - done : BATCH;
        for (unsigned long i = 0; i < batch; i++) {
            pages[i] = (void *)((first + done + i) * PAGE);
            nodes[i] = node;
            status[i] = -EAGAIN;
        }
        if (syscall(SYS_move_pages, pid, batch, pages, nodes, status, MPOL_MF_MOVE_ALL) < 0)
            die("move_pages");
        for (unsigned long i = 0; i < batch; i++)
            moved += status[i] == node;
    }
    return moved;
}

static int move(int pid, unsigned long first, unsigned long pages, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        double wall = wall_seconds(), cpu = cpu_seconds();
        unsigned long moved = move_all(pid, first, pages, 1) + move_all(pid, first, pages, 0);
        print_round(round, wall, cpu, moved, 0);
    }
    puts("]");
    return 0;
}

struct run {
    uint64_t page, frame;
    uint32_t pages;
};

static struct run *runs;
static unsigned long nr_runs, room;

static void add_run(uint64_t page, uint64_t frame, uint32_t pages)
{
    if (nr_runs == room) {
        room = room ? room * 2 : 1024;
        runs = realloc(runs, room * sizeof(*runs));
        if (runs == NULL)
            die("realloc");
    }
    runs[nr_runs++] = (struct run){page, frame, pages};
}

// Runs end where virtual or physical pages do not follow one another, and at every 512th page, as those of decodeRuns() do.
static unsigned long decode(const uint64_t *entries, unsigned long count, uint64_t first)
{
    const uint64_t present = 1ULL << 63, frames = (1ULL << 55) - 1;
    unsigned long found = 0;
    for (unsigned long i = 0; i < count;) {
        uint64_t frame = entries[i] & frames;
        if (!(entries[i] & present) || frame == 0) {
            i++;
            continue;
        }
        unsigned long end = i - (first + i) % BLOCK_PAGES + BLOCK_PAGES, from = i;
        if (end > count)
            end = count;
        for (i++; i < end && (entries[i] & present) && (entries[i] & frames) == frame + (i - from); i++)
            ;
        add_run(first + from, frame, (uint32_t)(i - from));
        found += i - from;
    }
    return found;
}

static unsigned long scan_once(int pid)
{
    static uint64_t entries[READ_PAGES];
    char path[64];
    unsigned long start, end, found = 0;
    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    if (maps == NULL)
        die(path);
    snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
    int pagemap = open(path, O_RDONLY);
    if (pagemap < 0)
        die(path);
    nr_runs = 0;
    while (fscanf(maps, "%lx-%lx%*[^\n]", &start, &end) == 2) {
        for (uint64_t page = start / PAGE; page < end / PAGE;) {
            unsigned long count = end / PAGE - page < READ_PAGES ? end / PAGE - page : READ_PAGES;
            ssize_t bytes = pread(pagemap, entries, count * 8, (off_t)(page * 8));
            if (bytes <= 0)
                break;
            found += decode(entries, (unsigned long)bytes / 8, page);
            page += (unsigned long)bytes / 8;
        }
    }
    close(pagemap);
    fclose(maps);
    return found;
}

static int scan(int pid, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        double wall = wall_seconds(), cpu = cpu_seconds();
        unsigned long found = scan_once(pid);
        print_round(round, wall, cpu, found, nr_runs);
    }
    puts("]");
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (argc == 5 && strcmp(verb, "hold") == 0)
        return hold(strtoul(argv[2], NULL, 10), atoi(argv[3]), strcmp(argv[4], "scattered") == 0);
    if (argc == 6 && strcmp(verb, "move") == 0)
        return move(atoi(argv[2]), strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10), atoi(argv[5]));
    if (argc == 4 && strcmp(verb, "scan") == 0)
        return scan(atoi(argv[2]), atoi(argv[3]));
    fputs("usage: peer hold MIB NODE in-order|scattered | move PID FIRST PAGES ROUNDS | scan PID ROUNDS\n", stderr);
    return 2;
}
