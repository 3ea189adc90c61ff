// Numbers drawn at random: even ones, and ranks by Zipf's law.
#pragma once

#include <math.h>

#include "memory.h"

static uint64_t random_state = 1;

// splitmix64: any seed will do.
static inline uint64_t draw(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

static inline uint32_t below(uint32_t limit)
{
    return (uint32_t)((draw() >> 32) * limit >> 32);
}

static inline void shuffle(uint32_t *numbers, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = below(i), kept = numbers[i - 1];
        numbers[i - 1] = numbers[other];
        numbers[other] = kept;
    }
}

static inline void *table(size_t count, size_t size)
{
    void *start = calloc(count, size);
    if (start == NULL)
        fail("no memory for a table of %zu entries", count);
    return start;
}

// Zipf's law over ranks: rank r, the first is 0, is drawn in proportion to (r + 1)^-exponent.
struct zipf {
    uint32_t count;
    double *share;         // of each rank
    uint32_t *cut, *alias; // Walker's alias method draws in constant time
};

// Each rank's own share of accesses fills a slot up to its cut; the rest of the slot belongs to another rank.
static inline void make_alias(struct zipf *zipf)
{
    uint32_t *small = table(zipf->count, sizeof *small), *large = table(zipf->count, sizeof *large);
    double *left = table(zipf->count, sizeof *left);
    uint32_t smalls = 0, larges = 0;
    for (uint32_t rank = 0; rank < zipf->count; rank++) {
        left[rank] = zipf->share[rank] * zipf->count;
        if (left[rank] < 1)
            small[smalls++] = rank;
        else
            large[larges++] = rank;
    }
    while (smalls > 0 && larges > 0) {
        uint32_t poor = small[--smalls], rich = large[larges - 1];
        zipf->cut[poor] = (uint32_t)(left[poor] * UINT32_MAX);
        zipf->alias[poor] = rich;
        left[rich] -= 1 - left[poor];
        if (left[rich] < 1)
            small[smalls++] = large[--larges];
    }
    while (smalls + larges > 0) {
        uint32_t rank = smalls > 0 ? small[--smalls] : large[--larges];
        zipf->cut[rank] = UINT32_MAX;
        zipf->alias[rank] = rank;
    }
    free(small);
    free(large);
    free(left);
}

static inline struct zipf make_zipf(uint32_t count, double exponent)
{
    struct zipf zipf = {
        .count = count,
        .share = table(count, sizeof *zipf.share),
        .cut = table(count, sizeof *zipf.cut),
        .alias = table(count, sizeof *zipf.alias),
    };
    double sum = 0;
    for (uint32_t rank = count; rank > 0; rank--)
        sum += zipf.share[rank - 1] = pow(rank, -exponent);
    for (uint32_t rank = 0; rank < count; rank++)
        zipf.share[rank] /= sum;
    make_alias(&zipf);
    return zipf;
}

static inline uint32_t draw_rank(const struct zipf *zipf)
{
    uint64_t drawn = draw();
    uint32_t rank = (uint32_t)((drawn >> 32) * zipf->count >> 32);
    return (uint32_t)drawn > zipf->cut[rank] ? zipf->alias[rank] : rank;
}
