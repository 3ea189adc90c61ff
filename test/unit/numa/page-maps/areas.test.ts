import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KernelFormatError } from '../../../../numa/errors.ts';
import type { Area } from '../../../../numa/page-maps/areas.ts';
import { changedSpans, firstEndingAfter, parseAreas } from '../../../../numa/page-maps/areas.ts';

const parse = (text: string) => parseAreas(text, 4096, '/proc/7/maps');

describe('areas of /proc/PID/maps', () => {
  test('are given in pages, also above 2^53 bytes', () => {
    expect(parse('fffffffffe000-ffffffffff000 rw-p 00000000 00:00 0\n')).toMatchObject([
      { startPage: 0xfffffffffe, endPage: 0xffffffffff },
    ]);
    expect(parse('ff00000000001000-ff00000000003000 rw-p 00000000 00:00 0 \n')).toMatchObject([
      { startPage: 0xff00000000001, endPage: 0xff00000000003 },
    ]);
  });

  test('are given in larger pages where the kernel has those', () => {
    const text = '10000-40000 rw-p 00000000 00:00 0 \n';
    expect(parseAreas(text, 65536, '/f')).toMatchObject([{ startPage: 1, endPage: 4 }]);
  });

  test.each([
    '---p 00000000 00:00 0 ',
    'r--p 00000000 00:00 0                          [vvar]',
    'r--p 00000000 00:00 0                          [vvar_vclock]',
    'r-xp 00000000 00:00 0                          [vdso]',
    '--xp 00000000 00:00 0                          [vsyscall]',
    'rw-s 00000000 00:06 421                        /dev/dri/card0',
    'rw-s 00000000 00:0e 1041                       anon_inode:[io_uring]',
  ])('leave out what cannot move: %s', (rest) => {
    expect(parse(`1000-2000 ${rest}\n`)).toEqual([]);
  });

  test.each([
    'rw-p 00000000 00:00 0                          [heap]',
    'rw-s 00000000 00:01 1025                       /dev/zero (deleted)',
    'rw-s 00000000 00:19 3                          /dev/shm/with space',
    'rw-s 00000000 00:01 5                          /memfd:buffers (deleted)',
    'r--p 00000000 fe:00 260386                     /usr/bin/head',
    'rw-p 00000000 00:00 0                          [anon:pool]',
  ])('keep %s', (rest) => {
    expect(parse(`1000-2000 ${rest}\n`)).toHaveLength(1);
  });

  test('that map the same and touch are one, whatever may be done with them', () => {
    const text = [
      '1000-2000 r--p 00000000 fe:00 12   /lib',
      '2000-3000 rw-p 00001000 fe:00 12   /lib',
      '3000-4000 rw-p 00005000 fe:00 12   /lib',
    ];
    expect(parse(text.join('\n')).map(({ startPage, endPage }) => [startPage, endPage])).toEqual([
      [1, 3],
      [3, 4],
    ]);
  });

  test.each(['x', '1000-2000', '1000-2000 rw-p', '1000-zz rw-p 00000000 00:00 0'])('"%s" is refused', (line) => {
    expect(() => parse(line)).toThrow(KernelFormatError);
  });

  test('any areas survive being printed and read', () => {
    const steps = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 2 ** 30 }), fc.nat(5)),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 44 }), steps, (base, list) => {
        let page = base;
        const expected: { startPage: number; endPage: number }[] = [];
        const lines = list.map(([gap, size, file]) => {
          const startPage = page + gap;
          page = startPage + size;
          expected.push({ startPage, endPage: page });
          const name = file === 0 ? '' : `/file ${file}`;
          return `${startPage.toString(16)}000-${page.toString(16)}000 rw-p 00000000 00:00 ${file} ${name}`;
        });
        expect(parse(lines.join('\n')).map(({ startPage, endPage }) => ({ startPage, endPage }))).toEqual(expected);
      }),
    );
  });
});

const areaLists = fc
  .array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 4 }), fc.nat(2)), { maxLength: 8 })
  .map((steps) => {
    let page = 0;
    return steps.map(([gap, size, label]): Area => {
      const startPage = page + gap;
      page = startPage + size;
      return { startPage, endPage: page, label };
    });
  });

describe('changed spans', () => {
  test('are the pages that map something else', () => {
    const labelAt = (areas: readonly Area[], page: number) =>
      areas.find(({ startPage, endPage }) => startPage <= page && page < endPage)?.label;
    fc.assert(
      fc.property(areaLists, areaLists, (before, after) => {
        const changed = changedSpans(before, after);
        for (let page = 0; page < 64; page++) {
          const inChanged = changed.some(({ startPage, endPage }) => startPage <= page && page < endPage);
          expect(inChanged).toBe(labelAt(before, page) !== labelAt(after, page));
        }
      }),
    );
  });

  test('of an area that grows are what it grew by', () => {
    const before = [{ startPage: 10, endPage: 20, label: 1 }];
    const after = [{ startPage: 10, endPage: 25, label: 1 }];
    expect(changedSpans(before, after)).toEqual([{ startPage: 20, endPage: 25 }]);
  });
});

test('the first span that ends after a page is found', () => {
  fc.assert(
    fc.property(areaLists, fc.nat(60), (areas, page) => {
      const found = areas.findIndex(({ endPage }) => endPage > page);
      expect(firstEndingAfter(areas, page)).toBe(found === -1 ? areas.length : found);
    }),
  );
});
