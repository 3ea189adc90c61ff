import { describe, expect, test } from 'vitest';
import { FreshSnapshots } from '../../../../tiering/move-pages/fresh-snapshots.ts';
import { LastLook } from '../../../../tiering/move-pages/last-look.ts';
import type { NodeSnapshot } from '../../../../tiering/snapshot.ts';

const PAGE = 4096;

function snapshotOf(hot: readonly (readonly [startFrame: number, endFrame: number])[], takenAtMs = 0): NodeSnapshot {
  const regions = hot.map(([start, end]) => ({ start: start * PAGE, end: end * PAGE, nrAccesses: 2, age: 0 }));
  return { nodeId: 0, takenAtMs, maxNrAccesses: 10, aggregationIntervalMs: 500, regions };
}

async function coolParts(hot: Parameters<typeof snapshotOf>[0], pages: number, huge = false, maxNrAccesses = 1) {
  const look = new LastLook({ nodeId: 0, maxNrAccesses, newest: async () => snapshotOf(hot) });
  await look.refresh();
  const runs = [{ pid: 7, startPage: 512, startFrame: 1000, pages, huge }];
  const cool = [...look.cool(runs)].filter((run) => run !== undefined);
  return { parts: cool.map(({ startPage, startFrame, pages: left }) => [startPage, startFrame, left]), look };
}

describe('the last look before pages are demoted', () => {
  test('takes regions that have turned hot out of runs', async () => {
    const { parts, look } = await coolParts(
      [
        [1090, 1200],
        [900, 1010],
        [1050, 1060],
      ],
      100,
    );
    expect(parts).toEqual([
      [522, 1010, 40],
      [572, 1060, 30],
    ]);
    expect(look.keptBytes).toBe(30 * PAGE);
  });

  test('leaves a huge page where it is when a part of it was touched', async () => {
    expect((await coolParts([[1300, 1301]], 512, true)).parts).toEqual([]);
    expect((await coolParts([[1512, 1600]], 512, true)).parts).toEqual([[512, 1000, 512]]);
  });

  test('minds only what is hotter than the order allows', async () => {
    expect((await coolParts([[1000, 2000]], 100, false, 2)).parts).toEqual([[512, 1000, 100]]);
  });
});

describe('snapshots between two ticks', () => {
  test('are taken from the trace when the next one should be there, and not before', async () => {
    const clock = { nowMs: 1000 };
    const snapshots = new Map([[0, snapshotOf([], 1000)]]);
    let drains = 0;
    const fresh = new FreshSnapshots({
      nowMs: () => clock.nowMs,
      snapshots,
      drain: async () => {
        drains += 1;
        if (clock.nowMs >= 1600) snapshots.set(0, snapshotOf([[1, 2]], 1590));
      },
    });
    clock.nowMs = 1400;
    await fresh.of(0);
    expect(drains).toBe(0);
    for (clock.nowMs = 1500; clock.nowMs < 1600; clock.nowMs += 10) await fresh.of(0);
    expect(drains).toBe(2);
    expect((await fresh.of(0))?.takenAtMs).toBe(1590);
    expect(drains).toBe(3);
    await fresh.of(0);
    expect(drains).toBe(3);
  });
});
