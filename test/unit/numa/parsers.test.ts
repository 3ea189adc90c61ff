import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KernelFormatError } from '../../../numa/errors.ts';
import { parseIomem } from '../../../numa/iomem.ts';
import { formatList, parseList } from '../../../numa/list-format.ts';
import { parseNodeMeminfo } from '../../../numa/meminfo.ts';
import { OptionalValues } from '../../../numa/optional-values.ts';
import { pageSizeFrom } from '../../../numa/page-size.ts';
import { intersectRanges, mergeRanges, rangesBytes } from '../../../numa/ranges.ts';
import { highWatermarks, parseZoneinfo, zoneSpans } from '../../../numa/zoneinfo.ts';

describe('list format', () => {
  test('reads runs and single numbers', () => {
    expect(parseList('0-3,5\n', '/f')).toEqual([0, 1, 2, 3, 5]);
  });

  test('an empty file is an empty list', () => {
    expect(parseList('\n', '/f')).toEqual([]);
    expect(formatList([])).toBe('');
  });

  test('any list survives being written and read', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(5000)), (numbers) => {
        expect(parseList(formatList(numbers), '/f')).toEqual(numbers.toSorted((a, b) => a - b));
      }),
    );
  });

  test('any text the kernel would print survives being read and written', () => {
    const runs = fc.array(fc.tuple(fc.integer({ min: 2, max: 50 }), fc.nat(50)), { minLength: 1 });
    fc.assert(
      fc.property(runs, (steps) => {
        let next = 0;
        const text = steps
          .map(([gap, length]) => {
            const first = next + gap;
            next = first + length;
            return length === 0 ? `${first}` : `${first}-${next}`;
          })
          .join(',');
        expect(formatList(parseList(text, '/f'))).toBe(text);
      }),
    );
  });

  test.each(['x', '3-1', '1,,2', '-1', '0-99999999999', '1.5', '0-3:1/2'])(
    '"%s" is refused with file and value',
    (text) => {
      expect(() => parseList(text, '/sys/some/list')).toThrow(KernelFormatError);
      expect(() => parseList(text, '/sys/some/list')).toThrow(
        `/sys/some/list: expected a list such as "0-3,5", found "${text}"`,
      );
    },
  );
});

describe('meminfo of a node', () => {
  test('gives total and free memory in bytes', () => {
    const text = 'Node 1 MemTotal:        1031812 kB\nNode 1 MemFree:         1000000 kB\nNode 1 MemUsed:  31812 kB\n';
    expect(parseNodeMeminfo(text, '/f')).toEqual({ totalBytes: 1031812 * 1024, freeBytes: 1000000 * 1024 });
  });

  test('what can move is on the kernel’s lists; their parts by kind are not counted again', () => {
    const text = [
      'Node 0 MemTotal:        1000000 kB',
      'Node 0 MemFree:          400000 kB',
      'Node 0 Active:           100000 kB',
      'Node 0 Inactive:          50000 kB',
      'Node 0 Active(anon):      90000 kB',
      'Node 0 Inactive(anon):    40000 kB',
      'Node 0 Active(file):      10000 kB',
      'Node 0 Inactive(file):    10000 kB',
      'Node 0 Unevictable:        3000 kB',
      'Node 0 Mlocked:            3000 kB',
      '',
    ];
    expect(parseNodeMeminfo(text.join('\n'), '/f').movableBytes).toBe(153_000 * 1024);
    // Half of the lists would be taken for all that can move.
    for (const list of ['Active', 'Inactive', 'Unevictable']) {
      const lacking = text.filter((line) => !line.includes(` ${list}:`)).join('\n');
      expect(parseNodeMeminfo(lacking, '/f')).not.toHaveProperty('movableBytes');
    }
  });

  test('a missing or odd line is refused with the file', () => {
    expect(() => parseNodeMeminfo('Node 1 MemTotal: 5 kB', '/meminfo')).toThrow(
      '/meminfo: expected a line "Node N MemFree',
    );
    expect(() => parseNodeMeminfo('Node 1 MemTotal: many kB', '/meminfo')).toThrow('found "Node 1 MemTotal: many kB"');
  });
});

const twoZones = `Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 1444
  pages free     3840
        boost    0
        min      8
        low      11
        high     14
        promo    17
        spanned  4095
        present  3998
        managed  3840
        cma      0
        protection: (0, 1946, 1946, 1946, 1946)
  pagesets
    cpu: 0
              count:    0
              high:     999
              batch:    1
  node_unreclaimable:  0
  start_pfn:           1
Node 0, zone    DMA32
  pages free     491006
        min      4070
        low      5087
        high     6104
        spanned  1044480
        present  519648
        managed  503119
  start_pfn:           4096
Node 1, zone   Normal
  pages free     0
        min      0
        low      0
        high     7
        spanned  32768
        present  0
        managed  0
  start_pfn:           1048576
`;

describe('zoneinfo', () => {
  const zones = parseZoneinfo(twoZones, '/proc/zoneinfo');

  test("high watermarks of a node's zones add up; those of per-CPU page sets do not count", () => {
    expect(highWatermarks(zones, 4096)).toEqual(
      new Map([
        [0, (14 + 6104) * 4096],
        [1, 7 * 4096],
      ]),
    );
    expect(highWatermarks(zones, 65536).get(1)).toBe(7 * 65536);
  });

  test('zones tell which addresses a node may have', () => {
    expect(zoneSpans(zones, 1, 4096)).toEqual([{ start: 2 ** 32, end: 2 ** 32 + 128 * 2 ** 20 }]);
  });

  test('the page size follows from the pages that make up MemTotal', () => {
    const total = (pageSize: number) => new Map([[0, { totalBytes: (3840 + 503119) * pageSize, freeBytes: 0 }]]);
    expect(pageSizeFrom(total(4096), zones)).toBe(4096);
    expect(pageSizeFrom(total(65536), zones)).toBe(65536);
    expect(pageSizeFrom(new Map(), zones)).toBe(4096);
  });

  test('a text without zones, or a zone without its watermark, is refused', () => {
    expect(() => parseZoneinfo('', '/proc/zoneinfo')).toThrow(KernelFormatError);
    expect(() => parseZoneinfo('Node 0, zone DMA\n  pages free 1\n', '/proc/zoneinfo')).toThrow('Node 0, zone DMA');
  });
});

describe('iomem', () => {
  test('finds System RAM at every depth, and the CXL windows', () => {
    const text = `00001000-0009fbff : System RAM
00100000-3fffffff : System RAM
  01000000-0220bb07 : Kernel code
c0000000-feffffff : PCI Bus 0000:00
190000000-28fffffff : CXL Window 0
  190000000-1afffffff : region0
    190000000-1afffffff : dax0.0
      190000000-1afffffff : System RAM (kmem)
`;
    expect(parseIomem(text, '/proc/iomem', new OptionalValues())).toEqual({
      systemRam: [
        { start: 0x1000, end: 0x9fc00 },
        { start: 0x100000, end: 0x40000000 },
        { start: 0x190000000, end: 0x1b0000000 },
      ],
      cxlWindows: [{ start: 0x190000000, end: 0x290000000 }],
      driverRam: new Map([['kmem', [{ start: 0x190000000, end: 0x1b0000000 }]]]),
    });
  });

  test('hidden addresses are told apart from memory', () => {
    expect(
      parseIomem('00000000-00000000 : System RAM\n00000000-00000000 : Reserved\n', '/f', new OptionalValues()),
    ).toBeUndefined();
  });

  test('an odd line is left out, and told', () => {
    const optional = new OptionalValues();
    const text = '00000000-0000000g : System RAM\n00100000-3fffffff : System RAM\n';
    expect(parseIomem(text, '/proc/iomem', optional)?.systemRam).toEqual([{ start: 0x100000, end: 0x40000000 }]);
    expect(optional.warnings).toEqual([expect.stringContaining('found "00000000-0000000g : System RAM"')]);
  });
});

describe('address ranges', () => {
  const someRanges = fc
    .array(fc.tuple(fc.nat(200), fc.nat(20)))
    .map((pairs) => pairs.map(([start, length]) => ({ start, end: start + length })));
  const covers = (ranges: readonly { start: number; end: number }[], address: number) =>
    ranges.some(({ start, end }) => address >= start && address < end);

  test('merging keeps every address and leaves gaps between ranges', () => {
    fc.assert(
      fc.property(someRanges, (ranges) => {
        const merged = mergeRanges(ranges);
        for (let address = 0; address < 230; address++) expect(covers(merged, address)).toBe(covers(ranges, address));
        for (const [index, range] of merged.entries())
          expect(range.start).toBeGreaterThan(merged[index - 1]?.end ?? -1);
      }),
    );
  });

  test('an intersection holds the addresses that both sides hold', () => {
    fc.assert(
      fc.property(someRanges, someRanges, (a, b) => {
        const common = intersectRanges(a, b);
        let bytes = 0;
        for (let address = 0; address < 230; address++) {
          const inBoth = covers(a, address) && covers(b, address);
          expect(covers(common, address)).toBe(inBoth);
          if (inBoth) bytes++;
        }
        expect(rangesBytes(common)).toBe(bytes);
      }),
    );
  });
});
