// A program with hot and cold memory on chosen nodes, which says where its pages are.
//
// In C: a garbage-collected heap would move and touch memory by itself and blur what is measured.
// Built static by workload.ts; `workload --help` lists the options.

#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>

#include "memory.h"

enum { MAX_BUFFERS = 16, PIPE_PAGES = 16 };

static const char usage[] =
    "workload: keeps hot memory busy and cold memory idle, and reports on which nodes both are\n"
    "\n"
    "  --hot MIB@NODE             a buffer that is touched all the time (may be repeated)\n"
    "  --cold MIB@NODE            a buffer that is written once (may be repeated)\n"
    "  --fill-free-but MIB@NODE   a cold buffer that leaves only so much of the node free\n"
    "  --pin MIB@NODE             pages of the kernel's own, which cannot be moved: what unread pipes hold\n"
    "  --rate full|PASSES         passes a second over the hot memory, one access a 4 KiB page (default 20)\n"
    "  --write                    hot accesses write (default: read)\n"
    "  --swap-after SECONDS       hot and cold change roles once (SIGUSR1 does so at any time)\n"
    "  --swap-every SECONDS       hot and cold change roles again and again\n"
    "  --scan-rate MIB            SIGUSR2 reads all cold memory once, from end to end, so much a second (default 100)\n"
    "  --report SECONDS           time between two reports (default 1)\n"
    "  --huge                     transparent huge pages (default: none)\n"
    "  --shared                   shared memory, which a second process maps and touches, too\n"
    "  --no-flush                 leave the TLB alone, see flush_tlb() in the source\n"
    "  --name NAME                name in the reports\n"
    "  --until-stdin-closes       end when standard input does; SIGTERM always ends it\n"
    "\n"
    "Each report is a line of JSON.\n";

struct buffer {
    char *start;
    size_t bytes;
    int node;
    bool hot;
    bool fill; // sized while filling
};

static struct buffer buffers[MAX_BUFFERS];
static int buffer_count;
static const char *name = "workload";
static double rate = 20;
static double report_seconds = 1;
static double swap_after;
static double scan_mib_per_second = 100;
static bool swap_repeats, use_huge_pages, is_shared, writes, until_stdin_closes;
static bool flushes = true;
static size_t pin_bytes;
static int pin_node;
static uint64_t passes;
static uint64_t accesses_checksum;
static volatile sig_atomic_t ended, swap_asked, scan_asked;

static void on_signal(int signal)
{
    if (signal == SIGUSR1)
        swap_asked = 1;
    else if (signal == SIGUSR2)
        scan_asked = 1;
    else
        ended = 1;
}

static void set_policy(const struct buffer *buffer, int mode)
{
    unsigned long mask = 1UL << buffer->node;
    long result = mode == POLICY_BIND ? syscall(SYS_mbind, buffer->start, buffer->bytes, mode, &mask, 64UL, 0)
                                      : syscall(SYS_mbind, buffer->start, buffer->bytes, mode, NULL, 0UL, 0);
    if (result != 0)
        fail("mbind of %zu MiB to node %d: %s", buffer->bytes / MIB, buffer->node, strerror(errno));
}

static void reserve(struct buffer *buffer)
{
    buffer->start = reserve_area(buffer->bytes);
    if (!is_shared) {
        open_area(buffer->start, buffer->bytes, use_huge_pages);
        return;
    }
    if (mmap(buffer->start, buffer->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        fail("mmap of %zu MiB to share: %s", buffer->bytes / MIB, strerror(errno));
}

// Fills a node until only `keep` bytes are free. In small steps that look again: one large step would end in the
// hands of the out-of-memory killer.
static void fill(struct buffer *buffer)
{
    size_t keep = buffer->bytes, free_bytes = node_free(buffer->node);
    buffer->bytes = (free_bytes + 256 * MIB) & ~(HUGE_PAGE - 1);
    reserve(buffer);
    set_policy(buffer, POLICY_BIND);
    size_t filled = 0;
    while (!ended && filled < buffer->bytes && (free_bytes = node_free(buffer->node)) > keep) {
        size_t step = (free_bytes - keep) / 2 & ~(PAGE - 1);
        if (step > 16 * MIB)
            step = 16 * MIB;
        if (step < PAGE * 64)
            step = PAGE * 64;
        if (step > buffer->bytes - filled)
            step = buffer->bytes - filled;
        touch(buffer->start + filled, step);
        filled += step;
    }
    mprotect(buffer->start + filled, buffer->bytes - filled, PROT_NONE);
    buffer->bytes = filled;
    if (filled > 0)
        set_policy(buffer, POLICY_DEFAULT);
}

// First touch decides the node: bound while touching, then the policy is given up, so that migration is free.
static void place(struct buffer *buffer)
{
    if (buffer->fill) {
        fill(buffer);
        return;
    }
    size_t free_bytes = node_free(buffer->node);
    if (buffer->bytes + 8 * MIB > free_bytes)
        fail("node %d has %zu MiB free, %zu MiB would not fit", buffer->node, free_bytes / MIB, buffer->bytes / MIB);
    reserve(buffer);
    set_policy(buffer, POLICY_BIND);
    touch(buffer->start, buffer->bytes);
    set_policy(buffer, POLICY_DEFAULT);
}

// The kernel takes a pipe's pages by the policy of whoever writes. Only the write is bound: a program whose own pages came
// to lie in slow emulated memory would stand still.
static void pin(size_t bytes, int node)
{
    static char block[PIPE_PAGES * 4096];
    unsigned long mask = 1UL << node;
    for (size_t pinned = 0; pinned < bytes; pinned += sizeof block) {
        int ends[2];
        if (pipe(ends) != 0)
            fail("pipe: %s", strerror(errno));
        if (syscall(SYS_set_mempolicy, POLICY_BIND, &mask, 64UL) != 0)
            fail("set_mempolicy to node %d: %s", node, strerror(errno));
        ssize_t written = write(ends[1], block, sizeof block);
        syscall(SYS_set_mempolicy, POLICY_DEFAULT, NULL, 0UL);
        if (written != (ssize_t)sizeof block)
            fail("a pipe took %zd of %zu bytes", written, sizeof block);
    }
}

// Adds the buffer's pages to the bytes of the nodes they are on.
static void count(const struct buffer *buffer, uint64_t *bytes_by_node)
{
    static void *pages[QUERY_PAGES];
    static int status[QUERY_PAGES];
    for (size_t offset = 0; offset < buffer->bytes;) {
        unsigned long n = 0;
        for (; n < QUERY_PAGES && offset < buffer->bytes; n++, offset += PAGE)
            pages[n] = buffer->start + offset;
        if (syscall(SYS_move_pages, 0, n, pages, NULL, status, 0) < 0)
            fail("move_pages: %s", strerror(errno));
        for (unsigned long i = 0; i < n; i++)
            if (status[i] >= 0 && status[i] < MAX_NODES)
                bytes_by_node[status[i]] += PAGE;
    }
}

static void report(const char *event, double started)
{
    static double last_time;
    static uint64_t last_passes;
    uint64_t hot[MAX_NODES] = {0}, cold[MAX_NODES] = {0};
    uint64_t hot_size = 0, cold_size = 0;
    double before = now();
    for (int i = 0; i < buffer_count; i++) {
        count(&buffers[i], buffers[i].hot ? hot : cold);
        *(buffers[i].hot ? &hot_size : &cold_size) += buffers[i].bytes;
    }
    double time = now();
    printf("{\"event\":\"%s\",\"time\":%.3f,\"elapsed\":%.3f,\"pid\":%d,\"name\":\"%s\"", event,
           wall_time(), time - started, getpid(), name);
    printf(",\"hotSize\":%llu,\"coldSize\":%llu", (unsigned long long)hot_size, (unsigned long long)cold_size);
    print_nodes("hotBytes", hot);
    print_nodes("coldBytes", cold);
    printf(",\"passes\":%llu,\"passesPerSecond\":%.2f,\"countSeconds\":%.3f}\n", (unsigned long long)passes,
           last_time == 0 ? 0 : (double)(passes - last_passes) / (time - last_time), time - before);
    fflush(stdout);
    last_time = time;
    last_passes = passes;
}

static void swap_roles(void)
{
    for (int i = 0; i < buffer_count; i++)
        buffers[i].hot = !buffers[i].hot;
}

// One access to every page of the hot memory.
static void pass(void)
{
    for (int i = 0; i < buffer_count && !ended && !swap_asked; i++) {
        if (!buffers[i].hot)
            continue;
        for (size_t offset = 0; offset < buffers[i].bytes; offset += PAGE) {
            volatile uint64_t *word = (volatile uint64_t *)(buffers[i].start + offset);
            if (writes)
                *word += 1;
            else
                accesses_checksum += *word;
        }
    }
    if (flushes)
        flush_tlb();
    passes++;
}

// Reads all cold memory once, line by line of the CPU's cache, as a backup or a checksum does.
static void scan(void)
{
    double started = now(), scanned_mib = 0;
    for (int i = 0; i < buffer_count && !ended; i++) {
        if (buffers[i].hot)
            continue;
        for (size_t offset = 0; offset < buffers[i].bytes && !ended; offset += 64) {
            accesses_checksum += *(volatile uint64_t *)(buffers[i].start + offset);
            if ((offset + 64) % MIB != 0)
                continue;
            double ahead = started + ++scanned_mib / scan_mib_per_second - now();
            if (ahead > 0 && wait_for(ahead, until_stdin_closes))
                ended = 1;
        }
    }
}

// A second process with the same memory in its page tables. It ends with this one.
static void share(void)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0)
        fail("fork: %s", strerror(errno));
    if (child > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent) {
        for (int i = 0; i < buffer_count; i++)
            for (size_t offset = 0; offset < buffers[i].bytes; offset += PAGE)
                accesses_checksum += *(volatile uint64_t *)(buffers[i].start + offset);
        sleep(5);
    }
    _exit(0);
}

static void run(double started)
{
    double next_report = started + report_seconds;
    double next_swap = swap_after > 0 ? started + swap_after : 0;
    double next_pass = started;
    while (!ended) {
        pass();
        double time = now();
        if (swap_asked || (next_swap > 0 && time >= next_swap)) {
            if (!swap_asked)
                next_swap = swap_repeats ? next_swap + swap_after : 0;
            swap_asked = 0;
            swap_roles();
            report("swap", started);
            time = now();
        } else if (scan_asked) {
            scan_asked = 0;
            scan();
            report("scan", started);
        } else if (time >= next_report) {
            report("report", started);
            time = now();
            // A report that was late does not make the next one come sooner.
            while (next_report <= time)
                next_report += report_seconds;
        }
        next_pass = rate > 0 ? next_pass + 1 / rate : time;
        if (next_pass < time)
            next_pass = time; // slower than asked: do not catch up in a burst
        if (wait_for(next_pass - time, until_stdin_closes))
            ended = 1;
    }
}

static void add_buffer(const char *text, bool hot, bool is_fill)
{
    int node;
    size_t bytes = parse_placement(text, &node);
    if (buffer_count == MAX_BUFFERS)
        fail("more than %d buffers", MAX_BUFFERS);
    buffers[buffer_count++] = (struct buffer){.bytes = bytes, .node = node, .hot = hot, .fill = is_fill};
}

static void parse(int argc, char **argv)
{
    enum { HOT = 1, COLD, FILL, PIN, RATE, WRITE, SWAP_AFTER, SWAP_EVERY, SCAN_RATE, REPORT, HUGE, SHARED, NO_FLUSH, NAME, STDIN, HELP };
    static const struct option options[] = {
        {"hot", required_argument, NULL, HOT},
        {"cold", required_argument, NULL, COLD},
        {"fill-free-but", required_argument, NULL, FILL},
        {"pin", required_argument, NULL, PIN},
        {"rate", required_argument, NULL, RATE},
        {"write", no_argument, NULL, WRITE},
        {"swap-after", required_argument, NULL, SWAP_AFTER},
        {"swap-every", required_argument, NULL, SWAP_EVERY},
        {"scan-rate", required_argument, NULL, SCAN_RATE},
        {"report", required_argument, NULL, REPORT},
        {"huge", no_argument, NULL, HUGE},
        {"shared", no_argument, NULL, SHARED},
        {"no-flush", no_argument, NULL, NO_FLUSH},
        {"name", required_argument, NULL, NAME},
        {"until-stdin-closes", no_argument, NULL, STDIN},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case HOT: add_buffer(optarg, true, false); break;
        case COLD: add_buffer(optarg, false, false); break;
        case FILL: add_buffer(optarg, false, true); break;
        case PIN: pin_bytes = parse_placement(optarg, &pin_node); break;
        case RATE: rate = strcmp(optarg, "full") == 0 ? 0 : number(optarg); break;
        case WRITE: writes = true; break;
        case SWAP_AFTER: swap_after = number(optarg); break;
        case SWAP_EVERY: swap_after = number(optarg); swap_repeats = true; break;
        case SCAN_RATE: scan_mib_per_second = number(optarg); break;
        case REPORT: report_seconds = number(optarg); break;
        case HUGE: use_huge_pages = true; break;
        case SHARED: is_shared = true; break;
        case NO_FLUSH: flushes = false; break;
        case NAME: name = optarg; break;
        case STDIN: until_stdin_closes = true; break;
        case HELP: fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind != argc || (buffer_count == 0 && pin_bytes == 0)) {
        fputs(usage, stderr);
        exit(2);
    }
    if (strpbrk(name, "\"\\") != NULL)
        fail("a name has no quotes or backslashes");
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    prepare_flush();
    for (int i = 0; i < buffer_count; i++)
        place(&buffers[i]);
    if (pin_bytes > 0)
        pin(pin_bytes, pin_node);
    if (is_shared)
        share();
    double started = now();
    report("ready", started);
    run(started);
    report("end", started);
    return 0;
}
