import type { SysFs } from '../sysfs.ts';
import { SysFsError } from '../sysfs.ts';
import { PageFile, READ_PAGES } from './page-files.ts';
import { BLOCK_PAGES, decodeRuns, RunBuffer } from './pagemap-runs.ts';
import { isExited } from './processes.ts';

/** Blocks that share a read. */
const BLOCKS_A_READ = READ_PAGES / BLOCK_PAGES;

/** Told of each block that was read; `runs` holds its pages, and is used again for the next one. */
export type VisitBlock = (block: number, runs: RunBuffer) => void;

/**
 * Tells in which frames the pages of some blocks of a process lie at this moment (block: virtual page / 512, ascending). Nothing is told
 * of a process that exits meanwhile, or may not be looked into. Throws SysFsError.
 */
export async function readBlocks(
  sysfs: SysFs,
  pid: number,
  blocks: readonly number[],
  visit: VisitBlock,
): Promise<void> {
  const runs = new RunBuffer();
  try {
    const pagemap = await PageFile.open(sysfs.root, `/proc/${pid}/pagemap`);
    try {
      for (const { first, count } of neighbours(blocks)) {
        const { words, pages } = await pagemap.read(first * BLOCK_PAGES, count * BLOCK_PAGES);
        for (let block = first; (block - first) * BLOCK_PAGES < pages; block += 1) {
          const before = (block - first) * BLOCK_PAGES;
          runs.clear();
          decodeRuns(words, before, Math.min(BLOCK_PAGES, pages - before), block * BLOCK_PAGES, runs);
          visit(block, runs);
        }
      }
    } finally {
      await pagemap.close();
    }
  } catch (error) {
    if (!isExited(error) && !isDenied(error)) throw error;
  }
}

function isDenied(error: unknown): boolean {
  return error instanceof SysFsError && (error.errno === 'EACCES' || error.errno === 'EPERM');
}

/** Blocks that follow one another, as many together as one read covers. */
function* neighbours(blocks: readonly number[]): Generator<{ readonly first: number; readonly count: number }> {
  let first = blocks[0] ?? 0;
  let count = 0;
  for (const block of blocks) {
    if (count > 0 && (block !== first + count || count === BLOCKS_A_READ)) {
      yield { first, count };
      first = block;
      count = 0;
    }
    count += 1;
  }
  if (count > 0) yield { first, count };
}
