import { describe, expect, test } from 'vitest';
import { mostRegionsTraced, traceBufferKib } from '../../../tiering/damon/trace-buffer.ts';
import { aggregationPages, recordedLayout, syntheticRegions } from '../../bench/trace-pages.ts';

const LAYOUT = recordedLayout('7.3');
const PAGE_KIB = 4;
const BOUND_KIB = 64 * 1024;

/** What an aggregation takes in the kernel's pages. */
function kibOf(regions: number): number {
  const range = { start: 0, end: regions * 8192 };
  return aggregationPages(LAYOUT, 1, 1e9, syntheticRegions(range, regions, 0, 10)).length * PAGE_KIB;
}

describe('the trace buffer', () => {
  test('holds a few aggregations of all kdamonds', () => {
    expect(traceBufferKib(2000, 2, 8, LAYOUT)).toBeGreaterThanOrEqual(2 * 4 * kibOf(2000));
  });

  test.each([1, 8, 64, 256, 512, 1024])(
    'of %i CPUs takes 64 MiB at most, and holds a whole aggregation of the most regions',
    (cpus) => {
      const most = mostRegionsTraced(cpus, LAYOUT);
      expect(most).toBeGreaterThan(800);
      for (const regions of [30, 1000, 4000, 100_000].map((asked) => Math.min(most, asked))) {
        for (const kdamonds of [1, 2, 16]) {
          const kib = traceBufferKib(regions, kdamonds, cpus, LAYOUT);
          // The kernel rounds up to pages of 4,080 bytes of data, and each CPU has one more for its reader.
          const pages = Math.ceil((kib * 1024) / 4080) + 1;
          expect(pages * PAGE_KIB * cpus).toBeLessThanOrEqual(BOUND_KIB);
          // One may be used from its middle on, and one is being written over.
          expect((pages - 3) * PAGE_KIB).toBeGreaterThanOrEqual(kibOf(regions));
        }
      }
    },
  );

  test('of pages of 64 KiB holds a thousand regions on any machine', () => {
    const layout = { ...LAYOUT, page: { ...LAYOUT.page, pageBytes: 65_536 } };
    for (const cpus of [1, 128, 512, 2048]) {
      const most = mostRegionsTraced(cpus, layout);
      expect(most).toBeGreaterThan(1000);
      const pages = Math.ceil((traceBufferKib(most, 1, cpus, layout) * 1024) / 65_520) + 1;
      expect(pages * 64 * cpus).toBeLessThanOrEqual(Math.max(BOUND_KIB, 4 * 64 * cpus));
    }
  });

  test('of a machine of few CPUs holds what the policy allows at most', () => {
    expect(mostRegionsTraced(8, LAYOUT)).toBeGreaterThanOrEqual(100_000);
    expect(mostRegionsTraced(128, LAYOUT)).toBeGreaterThanOrEqual(4000);
  });
});
