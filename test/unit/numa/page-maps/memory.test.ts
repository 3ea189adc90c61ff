import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PageMaps } from '../../../../numa/page-maps/page-maps.ts';
import type { Tree } from '../tree.ts';
import { makeEmptyTree, statLine } from './proc-tree.ts';

const KiB = 2 ** 10;
const MiB = 2 ** 20;
const PAGES_A_GIB = 2 ** 18;
const PID = 10;
const START_PAGE = 0x10000;
const everywhere = [{ start: 0, end: 2 ** 37 }];

/** A process with so much memory, each page in the frame that is told. */
async function writeMapped(tree: Tree, gib: number, frameOf: (page: number) => number): Promise<void> {
  const pages = gib * PAGES_A_GIB;
  const address = (page: number) => `${page.toString(16)}000`;
  await tree.write(`/proc/${PID}/stat`, statLine(PID, 1000, pages));
  await tree.write(`/proc/${PID}/maps`, `${address(START_PAGE)}-${address(START_PAGE + pages)} rw-p 00000000 00:00 0 `);
  await tree.write(`/proc/${PID}/pagemap`, '');
  const pagemap = await open(join(tree.root, `/proc/${PID}/pagemap`), 'r+');
  try {
    // Low and high words of entries; the highest bit: in memory.
    const words = new Uint32Array(2 * PAGES_A_GIB);
    for (let first = 0; first < pages; first += PAGES_A_GIB) {
      for (let i = 0; i < PAGES_A_GIB; i += 1) {
        words[2 * i] = frameOf(first + i);
        words[2 * i + 1] = 2 ** 31;
      }
      await pagemap.write(new Uint8Array(words.buffer), 0, words.byteLength, (START_PAGE + first) * 8);
    }
  } finally {
    await pagemap.close();
  }
}

/** What knowing it takes, before the first search and after it. */
async function bytesToKnow(
  tree: Tree,
): Promise<{ readonly isWhole: boolean; readonly read: number; readonly searched: number }> {
  const maps = new PageMaps({ sysfs: tree.sysfs, pageBytes: 4096 });
  const { skipped } = await maps.refresh({ wanted: everywhere, nowMs: 0, maxAgeMs: 1000, budgetMs: 60_000 });
  const read = maps.bytesHeld;
  for (const _ of maps.find(everywhere, { maxBytes: Number.POSITIVE_INFINITY }));
  return { isWhole: skipped.length === 0, read, searched: maps.bytesHeld };
}

/** An odd factor visits every frame of so much memory before it repeats one. */
const scatteredOver = (gib: number) => (page: number) => (page * 611_953) % (gib * PAGES_A_GIB);

test('page maps of contiguous memory take at most 20 KiB a mapped GiB', async () => {
  const tree = await makeEmptyTree();
  await writeMapped(tree, 1, (page) => 2 ** 20 + page);
  const { isWhole, read, searched } = await bytesToKnow(tree);
  console.log(`contiguous: ${Math.round(searched / KiB)} KiB a GiB`);
  expect(isWhole).toBe(true);
  expect(Math.max(read, searched)).toBeLessThanOrEqual(20 * KiB);
});

test('page maps of memory whose every page lies elsewhere take at most 2.6 MiB a mapped GiB, 2.1 MiB once searched', async () => {
  const tree = await makeEmptyTree();
  await writeMapped(tree, 1, scatteredOver(4));
  const { isWhole, read, searched } = await bytesToKnow(tree);
  console.log(`scattered: ${(read / MiB).toFixed(2)} MiB a GiB, ${(searched / MiB).toFixed(2)} MiB once searched`);
  expect(isWhole).toBe(true);
  expect(read).toBeLessThanOrEqual(2.6 * MiB);
  expect(searched).toBeLessThanOrEqual(2.1 * MiB);
});

test('page maps of 36 GiB of such memory take no more than 64 MiB and one read', async () => {
  const tree = await makeEmptyTree();
  await writeMapped(tree, 36, scatteredOver(64));
  const { isWhole, read, searched } = await bytesToKnow(tree);
  console.log(`36 GiB scattered: ${(read / MiB).toFixed(1)} MiB, ${(searched / MiB).toFixed(1)} MiB once searched`);
  expect(isWhole).toBe(false);
  expect(read).toBeGreaterThan(32 * MiB);
  expect(Math.max(read, searched)).toBeLessThanOrEqual(64 * MiB + 256 * KiB);
}, 60_000);
