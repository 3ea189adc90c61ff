import { describe, expect, test } from 'vitest';
import type { PageRun } from '../../../../numa/page-maps/page-maps.ts';
import type { Block } from '../../../../tiering/move-pages/mixed-regions.ts';
import { MixedRegions, withinBlocks } from '../../../../tiering/move-pages/mixed-regions.ts';
import { RegionRates } from '../../../../tiering/move-pages/region-rates.ts';
import type { NodeSnapshot } from '../../../../tiering/snapshot.ts';

/** Regions of 100 page frames each, with these rates in percent. */
function regions(...rates: readonly number[]): RegionRates {
  const snapshot: NodeSnapshot = {
    nodeId: 1,
    takenAtMs: 0,
    maxNrAccesses: 100,
    aggregationIntervalMs: 500,
    regions: rates.map((rate, i) => ({
      start: i * 100 * 4096,
      end: (i + 1) * 100 * 4096,
      nrAccesses: rate,
      age: 5,
    })),
  };
  return new RegionRates(snapshot, 4096);
}

/** Pages of a block in frames. */
const piece = (block: number, startFrame: number, pages: number, pid = 7): PageRun => ({
  pid,
  startPage: block * 512 + (startFrame % 512),
  startFrame,
  pages,
  huge: false,
});

const never = () => false;

/** Has them surveyed, with blocks as hot as given by block number. */
function look(
  mixed: MixedRegions,
  pieces: readonly PageRun[],
  heat: Readonly<Record<number, number>>,
  isStuck: (piece: PageRun) => boolean = never,
): readonly Block[] {
  const survey = mixed.survey(pieces, isStuck);
  let step = survey.next();
  while (step.done !== true) step = survey.next();
  for (const block of step.value) {
    const rate = heat[block.block];
    if (rate !== undefined) mixed.learn(block, rate);
  }
  return step.value;
}

function bystandersOf(
  rates: RegionRates,
  pieces: readonly PageRun[],
  heat: Readonly<Record<number, number>>,
): readonly PageRun[] {
  const mixed = new MixedRegions(rates);
  look(mixed, pieces, heat);
  return pieces.filter((found) => mixed.isBystander(found));
}

describe('in a region of hot and cold pages', () => {
  const hot = piece(1, 0, 40);
  const cold = piece(9, 50, 50);

  test('those are bystanders whose block is cold elsewhere', () => {
    expect(bystandersOf(regions(45), [hot, cold], { 1: 0.8, 9: 0.05 })).toEqual([cold]);
  });

  test('all count where their blocks are about as hot', () => {
    expect(bystandersOf(regions(45), [hot, cold], { 1: 0.1, 9: 0.06 })).toEqual([]);
  });

  test('what is not known to be cold counts as hot', () => {
    expect(bystandersOf(regions(45), [hot, cold], { 1: 0.8 })).toEqual([]);
    expect(bystandersOf(regions(45), [hot, cold], {})).toEqual([]);
  });

  test('the same block numbers of two processes are not the same block', () => {
    const mixed = new MixedRegions(regions(45));
    const pieces = [hot, piece(1, 50, 50, 8)];
    look(mixed, pieces, {});
    mixed.learn({ pid: 7, block: 1 }, 0.8);
    mixed.learn({ pid: 8, block: 1 }, 0.1);
    expect(pieces.filter((found) => mixed.isBystander(found))).toEqual([pieces[1]]);
  });

  test('hot pages that leave meanwhile still explain the rate of the region', () => {
    const mixed = new MixedRegions(regions(45));
    look(mixed, [hot, cold], { 1: 0.8, 9: 0.05 });
    look(mixed, [cold], {});
    expect(mixed.isBystander(cold)).toBe(true);
  });

  test('so do hot pages that left while the rate was measured', () => {
    const mixed = new MixedRegions(regions(45), [{ startFrame: 0, pages: 40, heat: 0.8 }]);
    look(mixed, [cold], { 9: 0.05 });
    expect(mixed.isBystander(cold)).toBe(true);
  });

  test('a page of a hotter block says little of fifty others', () => {
    const mixed = new MixedRegions(regions(45), [{ startFrame: 0, pages: 1, heat: 1 }]);
    look(mixed, [cold], { 9: 0.4 });
    expect(mixed.isBystander(cold)).toBe(false);
  });
});

test('a few hot pages of a cold block are no bystanders in a region of their own', () => {
  expect(bystandersOf(regions(90), [piece(1, 0, 16)], { 1: 0.03 })).toEqual([]);
});

describe('where much hotter blocks wait', () => {
  const hottest = piece(1, 0, 50);
  const other = piece(9, 120, 50);
  const heat = { 1: 0.8, 9: 0.2 };

  test('less hot ones wait until they are gone', () => {
    expect(bystandersOf(regions(80, 40), [hottest, other], heat)).toEqual([other]);
    expect(bystandersOf(regions(80, 40), [other], heat)).toEqual([]);
  });

  test('nobody waits for those that cannot move', () => {
    const mixed = new MixedRegions(regions(80, 40));
    look(mixed, [hottest, other], heat, (found) => found === hottest);
    expect(mixed.isBystander(other)).toBe(false);
  });
});

test('a second look asks only for blocks that are new', () => {
  const mixed = new MixedRegions(regions(45));
  look(mixed, [piece(1, 0, 40)], { 1: 0.8 });
  expect(look(mixed, [piece(1, 0, 40), piece(2, 50, 10)], {})).toEqual([{ pid: 7, block: 2 }]);
});

test('runs are cut where blocks end, huge pages never', () => {
  const run: PageRun = { pid: 7, startPage: 500, startFrame: 1000, pages: 600, huge: false };
  expect([...withinBlocks([run])].map((piece) => [piece?.startPage, piece?.startFrame, piece?.pages])).toEqual([
    [500, 1000, 12],
    [512, 1012, 512],
    [1024, 1524, 76],
  ]);
  const huge: PageRun = { pid: 7, startPage: 512, startFrame: 1024, pages: 512, huge: true };
  expect([...withinBlocks([huge])]).toEqual([huge]);
});

describe('the rates of frames', () => {
  const rates = regions(10, 40);

  test('add up over the regions that they lie in', () => {
    expect(rates.sumOver(90, 20)).toEqual({ frames: 20, rates: 10 * 0.1 + 10 * 0.4 });
    expect(rates.sumOver(0, 100)).toEqual({ frames: 100, rates: 10 });
  });

  test('leave out frames of other nodes', () => {
    expect(rates.sumOver(190, 20)).toEqual({ frames: 10, rates: 4 });
    expect(rates.sumOver(500, 20)).toEqual({ frames: 0, rates: 0 });
    expect(rates.regionAt(199)).toBe(1);
    expect(rates.regionAt(200)).toBe(-1);
  });
});
