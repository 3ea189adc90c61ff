import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { Tree } from '../tree.ts';

export interface FakeArea {
  readonly startPage: number;
  /** A frame for each page of the area; undefined for those not in memory. */
  readonly frames: readonly (number | undefined)[];
  /** By default as many as there are frames. */
  readonly pages?: number;
  readonly permissions?: string;
  readonly name?: string;
}

/** A made-up /proc in a folder of its own, gone when the test ends. */
export async function makeEmptyTree(): Promise<Tree> {
  const tree = new Tree(await mkdtemp(join(tmpdir(), 'tierd-proc-')));
  onTestFinished(() => rm(tree.root, { recursive: true, force: true }));
  return tree;
}

/** Writes a process as it is now: stat, maps, pagemap. */
export async function writeProcess(
  tree: Tree,
  pid: number,
  areas: readonly FakeArea[],
  { startTime = 1000 }: { readonly startTime?: number } = {},
): Promise<void> {
  const resident = areas.reduce((sum, { frames }) => sum + frames.filter((frame) => frame !== undefined).length, 0);
  await tree.write(`/proc/${pid}/stat`, statLine(pid, startTime, resident));
  const lines = areas.map(({ startPage, frames, pages = frames.length, permissions = 'rw-p', name = '' }) => {
    const address = (page: number) => `${page.toString(16)}000`;
    return `${address(startPage)}-${address(startPage + pages)} ${permissions} 00000000 00:00 0 ${name}`;
  });
  await tree.write(`/proc/${pid}/maps`, lines.join('\n'));
  const end = Math.max(0, ...areas.map(({ startPage, frames, pages = frames.length }) => startPage + pages));
  await tree.remove(`/proc/${pid}/pagemap`);
  await writeEntries(
    join(tree.root, `/proc/${pid}/pagemap`),
    areas.flatMap(({ startPage, frames }) =>
      frames.flatMap((frame, i) => (frame === undefined ? [] : [[startPage + i, 2n ** 63n + BigInt(frame)] as const])),
    ),
    end,
  );
}

export function statLine(pid: number, startTime: number, residentPages: number): string {
  return `${pid} (program) S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 ${startTime} 1000000 ${residentPages} 1 1`;
}

/** Flags of frames, as bits. */
export async function writeFlags(tree: Tree, flags: ReadonlyMap<number, number>): Promise<void> {
  const entries = [...flags].map(([frame, bits]) => [frame, BigInt(bits)] as const);
  await writeEntries(join(tree.root, '/proc/kpageflags'), entries, 0);
}

/** Inodes of the cgroups that frames are charged to. */
export async function writeFrameCgroups(tree: Tree, inodes: ReadonlyMap<number, number>): Promise<void> {
  const entries = [...inodes].map(([frame, inode]) => [frame, BigInt(inode)] as const);
  await writeEntries(join(tree.root, '/proc/kpagecgroup'), entries, 0);
}

/** A file of 8 bytes a page; those not named are 0. */
async function writeEntries(
  path: string,
  entries: readonly (readonly [number, bigint])[],
  sizePages: number,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'w');
  try {
    await file.truncate(sizePages * 8);
    for (let i = 0; i < entries.length; ) {
      const first = entries[i]?.[0] ?? 0;
      let count = 1;
      while (entries[i + count]?.[0] === first + count) count++;
      const values = BigUint64Array.from(entries.slice(i, i + count), ([, value]) => value);
      await file.write(new Uint8Array(values.buffer), 0, values.byteLength, first * 8);
      i += count;
    }
  } finally {
    await file.close();
  }
}
