// A program with memory of graded heat, which says what share of its accesses each node serves.
//
// Accesses are distributed over blocks by Zipf's law. The share is computed, not counted: from how often each page is
// accessed by that law, and from where the kernel says that it is. Built static by graded.ts; `graded --help` lists the options.

#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>

#include "zipf.h"

// FLUSH_ACCESSES: a real CPU's TLB holds some 2,000 pages, and after about as many accesses all over the memory it has
// forgotten the first; see flush_tlb().
enum { MAX_PLACEMENTS = 8, FLUSH_ACCESSES = 1000, TICKS_PER_SECOND = 100, POINTS = 100, UNKNOWN_NODE = 255 };

static const char usage[] =
    "graded: writes to memory of graded heat, and reports what share of the accesses each node serves\n"
    "\n"
    "  --place MIB@NODE       so much of the memory lies on this node (may be repeated); which blocks is drawn\n"
    "  --block KIB            size of a block, all pages of which are equally hot (default 2048)\n"
    "  --exponent X           Zipf's, of accesses over blocks (default 0.99); which block is how hot is drawn\n"
    "  --rate N               accesses a second, each a write to a random page of a block that is drawn (default 50000)\n"
    "  --seed N               of all that is drawn (default 1)\n"
    "  --survey SECONDS       in which all pages are asked where they are, a few at a time (default 2)\n"
    "  --report SECONDS       time between two reports (default 1)\n"
    "  --no-flush             leave the TLB alone, see flush_tlb() in the source\n"
    "  --name NAME            name in the reports\n"
    "  --until-stdin-closes   end when standard input does; SIGTERM always ends it\n"
    "\n"
    "SIGUSR1 draws anew which block is how hot. Each report is a line of JSON; those at the start and of a new ranking tell\n"
    "what the hottest 0, 1, ... 100 % of the memory serve, and on which nodes they lie.\n";

struct placement {
    size_t bytes;
    int node;
};

static struct placement placements[MAX_PLACEMENTS];
static int placement_count;
static size_t block_pages = 512;
static double exponent = 0.99, rate = 50000, report_seconds = 1, survey_seconds = 2;
static bool flushes = true, until_stdin_closes;
static const char *name = "graded";
static volatile sig_atomic_t ended, redraw_asked;

static char *memory;
static uint32_t block_count;
static size_t page_count;
static struct zipf zipf;
static uint32_t *block_of_rank;
static double *heat_of_page; // by block: what share of the accesses each of its pages gets
static uint8_t *node_of_page;
static double share_by_node[MAX_NODES];
static uint64_t bytes_by_node[MAX_NODES];
static size_t next_surveyed;
static uint64_t accesses, accesses_to_tenth;

static void on_signal(int signal)
{
    if (signal == SIGUSR1)
        redraw_asked = 1;
    else
        ended = 1;
}

static void make_tables(void)
{
    zipf = make_zipf(block_count, exponent);
    block_of_rank = table(block_count, sizeof *block_of_rank);
    heat_of_page = table(block_count, sizeof *heat_of_page);
    for (uint32_t rank = 0; rank < block_count; rank++)
        block_of_rank[rank] = rank;
    node_of_page = table(page_count, 1);
    memset(node_of_page, UNKNOWN_NODE, page_count);
}

// First touch decides the node. The policy is the task's and not the area's: one for each block would be more areas
// than a process may have.
static void place(void)
{
    uint32_t *blocks = table(block_count, sizeof *blocks);
    uint8_t *node_of_block = table(block_count, 1);
    for (uint32_t block = 0; block < block_count; block++)
        blocks[block] = block;
    shuffle(blocks, block_count);
    uint32_t placed = 0;
    for (int i = 0; i < placement_count; i++) {
        size_t free_bytes = node_free(placements[i].node);
        if (placements[i].bytes + 8 * MIB > free_bytes)
            fail("node %d has %zu MiB free, %zu MiB would not fit", placements[i].node, free_bytes / MIB, placements[i].bytes / MIB);
        uint32_t count = (uint32_t)(placements[i].bytes / (block_pages * PAGE));
        for (uint32_t end = placed + count; placed < end; placed++)
            node_of_block[blocks[placed]] = (uint8_t)i;
    }
    memory = reserve_area(page_count * PAGE);
    open_area(memory, page_count * PAGE, false);
    for (int i = 0; i < placement_count; i++) {
        unsigned long mask = 1UL << placements[i].node;
        if (syscall(SYS_set_mempolicy, POLICY_BIND, &mask, 64UL) != 0)
            fail("set_mempolicy to node %d: %s", placements[i].node, strerror(errno));
        for (uint32_t block = 0; block < block_count; block++)
            if (node_of_block[block] == i)
                touch(memory + (size_t)block * block_pages * PAGE, block_pages * PAGE);
    }
    syscall(SYS_set_mempolicy, POLICY_DEFAULT, NULL, 0UL);
    free(blocks);
    free(node_of_block);
}

// Asks the kernel where the next pages are.
static void survey(size_t count)
{
    static void *pages[QUERY_PAGES];
    static int status[QUERY_PAGES];
    while (count > 0) {
        unsigned long n = count < QUERY_PAGES ? count : QUERY_PAGES;
        if (n > page_count - next_surveyed)
            n = page_count - next_surveyed;
        for (unsigned long i = 0; i < n; i++)
            pages[i] = memory + (next_surveyed + i) * PAGE;
        if (syscall(SYS_move_pages, 0, n, pages, NULL, status, 0) < 0)
            fail("move_pages: %s", strerror(errno));
        for (unsigned long i = 0; i < n; i++) {
            // A page that is just being moved is on no node: it counts where it was.
            if (status[i] < 0 || status[i] >= MAX_NODES)
                continue;
            size_t page = next_surveyed + i;
            double heat = heat_of_page[page / block_pages];
            if (node_of_page[page] != UNKNOWN_NODE) {
                share_by_node[node_of_page[page]] -= heat;
                bytes_by_node[node_of_page[page]] -= PAGE;
            }
            node_of_page[page] = (uint8_t)status[i];
            share_by_node[status[i]] += heat;
            bytes_by_node[status[i]] += PAGE;
        }
        next_surveyed = (next_surveyed + n) % page_count;
        count -= n;
    }
}

// Draws which block is how hot, whatever node it is on.
static void draw_ranking(void)
{
    shuffle(block_of_rank, block_count);
    for (uint32_t rank = 0; rank < block_count; rank++)
        heat_of_page[block_of_rank[rank]] = zipf.share[rank] / (double)block_pages;
    memset(share_by_node, 0, sizeof share_by_node);
    for (size_t page = 0; page < page_count; page++)
        if (node_of_page[page] != UNKNOWN_NODE)
            share_by_node[node_of_page[page]] += heat_of_page[page / block_pages];
}

static void access_memory(uint32_t count)
{
    for (; count > 0; count--) {
        uint32_t rank = draw_rank(&zipf);
        accesses_to_tenth += rank < block_count / 10;
        size_t page = (size_t)block_of_rank[rank] * block_pages + (block_pages > 1 ? below((uint32_t)block_pages) : 0);
        *(volatile uint64_t *)(memory + page * PAGE) += 1;
        if (++accesses % FLUSH_ACCESSES == 0 && flushes)
            flush_tlb();
    }
}

// What the hottest parts of the memory serve, and where they are.
static void print_hottest(void)
{
    double share = 0, shares[POINTS + 1];
    uint64_t counted[MAX_NODES] = {0}, bytes[MAX_NODES][POINTS + 1];
    uint32_t rank = 0;
    for (int point = 0; point <= POINTS; point++) {
        for (uint32_t end = (uint32_t)((uint64_t)block_count * (uint64_t)point / POINTS); rank < end; rank++) {
            const uint8_t *nodes = node_of_page + (size_t)block_of_rank[rank] * block_pages;
            share += zipf.share[rank];
            for (size_t page = 0; page < block_pages; page++)
                if (nodes[page] != UNKNOWN_NODE)
                    counted[nodes[page]] += PAGE;
        }
        shares[point] = share;
        for (int node = 0; node < MAX_NODES; node++)
            bytes[node][point] = counted[node];
    }
    printf(",\"hottest\":{\"shares\":[");
    for (int point = 0; point <= POINTS; point++)
        printf("%s%.6f", point == 0 ? "" : ",", shares[point]);
    printf("],\"bytes\":{");
    const char *comma = "";
    for (int node = 0; node < MAX_NODES; node++) {
        if (counted[node] == 0)
            continue;
        printf("%s\"%d\":[", comma, node);
        for (int point = 0; point <= POINTS; point++)
            printf("%s%llu", point == 0 ? "" : ",", (unsigned long long)bytes[node][point]);
        putchar(']');
        comma = ",";
    }
    printf("}}");
}

static void report(const char *event, double started, bool with_hottest)
{
    static double last_time;
    static uint64_t last_accesses;
    double time = now();
    printf("{\"event\":\"%s\",\"time\":%.3f,\"elapsed\":%.3f,\"pid\":%d,\"name\":\"%s\",\"size\":%llu", event, wall_time(),
           time - started, getpid(), name, (unsigned long long)(page_count * PAGE));
    printf(",\"shares\":{");
    const char *comma = "";
    for (int node = 0; node < MAX_NODES; node++) {
        if (bytes_by_node[node] == 0)
            continue;
        printf("%s\"%d\":%.5f", comma, node, share_by_node[node]);
        comma = ",";
    }
    putchar('}');
    print_nodes("bytes", bytes_by_node);
    printf(",\"accessesPerSecond\":%.0f", last_time == 0 ? 0 : (double)(accesses - last_accesses) / (time - last_time));
    // What was drawn, beside what the law says.
    printf(",\"countedToTenth\":%.5f", accesses == 0 ? 0 : (double)accesses_to_tenth / (double)accesses);
    if (with_hottest)
        print_hottest();
    printf("}\n");
    fflush(stdout);
    last_time = time;
    last_accesses = accesses;
}

static void run(double started)
{
    double next_report = started + report_seconds, next_tick = started, accesses_due = 0, pages_due = 0;
    while (!ended) {
        accesses_due += rate / TICKS_PER_SECOND;
        access_memory((uint32_t)accesses_due);
        accesses_due -= floor(accesses_due);
        pages_due += (double)page_count / survey_seconds / TICKS_PER_SECOND;
        survey((size_t)pages_due);
        pages_due -= floor(pages_due);
        double time = now();
        if (redraw_asked) {
            redraw_asked = 0;
            survey(page_count);
            draw_ranking();
            report("redraw", started, true);
        } else if (time >= next_report) {
            report("report", started, false);
            while (next_report <= time)
                next_report += report_seconds;
        }
        next_tick += 1.0 / TICKS_PER_SECOND;
        // What was missed in an emulated machine's short stalls is made up for, more is given up.
        if (next_tick < time - 0.1)
            next_tick = time;
        if (next_tick > time && wait_for(next_tick - time, until_stdin_closes))
            ended = 1;
    }
}

static void add_placement(const char *text)
{
    if (placement_count == MAX_PLACEMENTS)
        fail("more than %d placements", MAX_PLACEMENTS);
    struct placement *placement = &placements[placement_count++];
    placement->bytes = parse_placement(text, &placement->node);
}

static void parse(int argc, char **argv)
{
    enum { PLACE = 1, BLOCK, EXPONENT, RATE, SEED, SURVEY, REPORT, NO_FLUSH, NAME, STDIN, HELP };
    static const struct option options[] = {
        {"place", required_argument, NULL, PLACE},
        {"block", required_argument, NULL, BLOCK},
        {"exponent", required_argument, NULL, EXPONENT},
        {"rate", required_argument, NULL, RATE},
        {"seed", required_argument, NULL, SEED},
        {"survey", required_argument, NULL, SURVEY},
        {"report", required_argument, NULL, REPORT},
        {"no-flush", no_argument, NULL, NO_FLUSH},
        {"name", required_argument, NULL, NAME},
        {"until-stdin-closes", no_argument, NULL, STDIN},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case PLACE: add_placement(optarg); break;
        case BLOCK: block_pages = (size_t)number(optarg) * 1024 / PAGE; break;
        case EXPONENT: exponent = number(optarg); break;
        case RATE: rate = number(optarg); break;
        case SEED: random_state = (uint64_t)number(optarg); break;
        case SURVEY: survey_seconds = number(optarg); break;
        case REPORT: report_seconds = number(optarg); break;
        case NO_FLUSH: flushes = false; break;
        case NAME: name = optarg; break;
        case STDIN: until_stdin_closes = true; break;
        case HELP: fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind != argc || placement_count == 0) {
        fputs(usage, stderr);
        exit(2);
    }
    if (strpbrk(name, "\"\\") != NULL)
        fail("a name has no quotes or backslashes");
    if (block_pages == 0)
        fail("a block is at least a page of %zu KiB", PAGE / 1024);
    for (int i = 0; i < placement_count; i++) {
        if (placements[i].bytes % (block_pages * PAGE) != 0)
            fail("%zu MiB are not whole blocks of %zu KiB", placements[i].bytes / MIB, block_pages * PAGE / 1024);
        page_count += placements[i].bytes / PAGE;
    }
    block_count = (uint32_t)(page_count / block_pages);
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    prepare_flush();
    make_tables();
    place();
    draw_ranking();
    survey(page_count);
    double started = now();
    report("ready", started, true);
    run(started);
    report("end", started, false);
    return 0;
}
