// The work of numa/syscalls/move-pages.ts and numa/page-maps/ as a small C program, to compare them with.
//
//   peer hold MIB NODE ORDER          a process to work on: MIB of memory on a node (-1: any), touched `in-order` or `scattered`;
//                                     prints where it is, and ends with its standard input
//   peer move PID FIRST PAGES ROUNDS  moves these pages from node 0 to node 1 and back
//   peer scan PID ROUNDS              reads all of its pagemap into an index by frame, each time anew
//   peer rescan PID ROUNDS            the same with an index that has it all already
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
#define BUCKET_FRAMES 16384UL
#define NR_BUCKETS 8192UL
#define NR_BLOCKS_BITS 16
#define NR_BLOCKS (1UL << NR_BLOCKS_BITS)
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
    uint32_t pages, huge;
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
    runs[nr_runs++] = (struct run){page, frame, pages, 0};
}

// Runs end where virtual or physical pages do not follow one another, and at every 512th page, as those of decodeRuns() do.
static void decode(const uint64_t *entries, unsigned long count, uint64_t first)
{
    const uint64_t present = 1ULL << 63, frames = (1ULL << 55) - 1;
    nr_runs = 0;
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
    }
}

// Huge pages are told from pages that merely follow one another, as by HugePages.mark().
static void mark_huge(int kpageflags, struct run *run)
{
    const uint64_t tail = 1ULL << 16, huge = 1ULL << 17, thp = 1ULL << 22;
    uint64_t flags;
    if (run->pages != BLOCK_PAGES || run->frame % BLOCK_PAGES != 0 || run->page % BLOCK_PAGES != 0)
        return;
    if (pread(kpageflags, &flags, 8, (off_t)((run->frame + BLOCK_PAGES / 2) * 8)) != 8)
        return;
    run->huge = (flags & tail) != 0 && (flags & (huge | thp)) != 0;
}

// What is found is kept by frame, so that physical ranges can be looked up, and for each block of 512 virtual pages a hash of it tells
// whether it is still the same, as in ExtentStore.
struct bucket {
    struct run *runs;
    uint32_t nr, room;
};

struct block {
    uint64_t number, hash;
};

static struct bucket buckets[NR_BUCKETS];
static struct block blocks[NR_BLOCKS];
static unsigned long indexed_runs;

static void forget_all(void)
{
    for (unsigned long i = 0; i < NR_BUCKETS; i++)
        free(buckets[i].runs);
    memset(buckets, 0, sizeof(buckets));
    memset(blocks, 0, sizeof(blocks));
    indexed_runs = 0;
}

static struct block *block_of(uint64_t number)
{
    unsigned long at = (number * 0x9e3779b97f4a7c15ULL) >> (64 - NR_BLOCKS_BITS);
    while (blocks[at].number != 0 && blocks[at].number != number + 1)
        at = (at + 1) % NR_BLOCKS;
    blocks[at].number = number + 1;
    return &blocks[at];
}

static void insert(const struct run *run)
{
    struct bucket *bucket = &buckets[run->frame / BUCKET_FRAMES % NR_BUCKETS];
    if (bucket->nr == bucket->room) {
        bucket->room = bucket->room ? bucket->room * 2 : 16;
        bucket->runs = realloc(bucket->runs, bucket->room * sizeof(*bucket->runs));
        if (bucket->runs == NULL)
            die("realloc");
    }
    bucket->runs[bucket->nr++] = *run;
    indexed_runs++;
}

// Pages of what was read; only blocks that hold something else than before are stored.
static unsigned long keep(int kpageflags)
{
    unsigned long found = 0;
    for (unsigned long i = 0; i < nr_runs;) {
        uint64_t number = runs[i].page / BLOCK_PAGES, hash = 0;
        unsigned long first = i;
        for (; i < nr_runs && runs[i].page / BLOCK_PAGES == number; i++) {
            hash = (hash ^ runs[i].frame) * 0x9e3779b97f4a7c15ULL + (runs[i].page << 10) + runs[i].pages;
            found += runs[i].pages;
        }
        struct block *block = block_of(number);
        if (block->hash == hash)
            continue;
        block->hash = hash;
        for (unsigned long run = first; run < i; run++) {
            mark_huge(kpageflags, &runs[run]);
            insert(&runs[run]);
        }
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
    int kpageflags = open("/proc/kpageflags", O_RDONLY);
    if (pagemap < 0 || kpageflags < 0)
        die(path);
    while (fscanf(maps, "%lx-%lx%*[^\n]", &start, &end) == 2) {
        for (uint64_t page = start / PAGE; page < end / PAGE;) {
            unsigned long count = end / PAGE - page < READ_PAGES ? end / PAGE - page : READ_PAGES;
            ssize_t bytes = pread(pagemap, entries, count * 8, (off_t)(page * 8));
            if (bytes <= 0)
                break;
            decode(entries, (unsigned long)bytes / 8, page);
            found += keep(kpageflags);
            page += (unsigned long)bytes / 8;
        }
    }
    close(kpageflags);
    close(pagemap);
    fclose(maps);
    return found;
}

static int scan(int pid, int rounds, int again)
{
    if (again)
        scan_once(pid);
    for (int round = 0; round < rounds; round++) {
        double wall = wall_seconds(), cpu = cpu_seconds();
        if (!again)
            forget_all();
        unsigned long found = scan_once(pid);
        print_round(round, wall, cpu, found, indexed_runs);
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
        return scan(atoi(argv[2]), atoi(argv[3]), 0);
    if (argc == 4 && strcmp(verb, "rescan") == 0)
        return scan(atoi(argv[2]), atoi(argv[3]), 1);
    fputs("usage: peer hold MIB NODE in-order|scattered | move PID FIRST PAGES ROUNDS | scan PID ROUNDS | rescan PID ROUNDS\n", stderr);
    return 2;
}
