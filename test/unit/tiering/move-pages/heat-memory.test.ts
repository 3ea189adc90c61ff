import { describe, expect, test } from 'vitest';
import { HeatMemory } from '../../../../tiering/move-pages/heat-memory.ts';

const block = { pid: 7, block: 1 };

describe('the heat of a block', () => {
  test('is what the first look sees, and follows later ones step by step', () => {
    const memory = new HeatMemory();
    expect(memory.smooth(block, 0.8, 0)).toBe(0.8);
    expect(memory.smooth(block, 0.3, 500)).toBeCloseTo(0.65);
    expect(memory.smooth({ pid: 8, block: 1 }, 0.1, 500)).toBe(0.1);
    let heat = 0;
    for (let look = 0; look < 10; look += 1) heat = memory.smooth(block, 0, 1000 + look * 500);
    expect(heat).toBeLessThan(0.02);
  });

  test('needs no new look for a moment', () => {
    const memory = new HeatMemory();
    expect(memory.recent(block, 0)).toBeUndefined();
    memory.smooth(block, 0.8, 0);
    expect(memory.recent(block, 1000)).toBe(0.8);
    expect(memory.recent(block, 2000)).toBeUndefined();
  });

  test('is seen anew when nobody has looked for long', () => {
    const memory = new HeatMemory();
    memory.smooth(block, 0.8, 0);
    expect(memory.smooth(block, 0.1, 60_000)).toBe(0.1);
  });

  test('is forgotten of the oldest when there are too many', () => {
    const memory = new HeatMemory();
    for (let number = 0; number < 70_000; number += 1) memory.smooth({ pid: 7, block: number }, 0.8, 0);
    expect(memory.smooth({ pid: 7, block: 0 }, 0.1, 1)).toBe(0.1);
    expect(memory.smooth({ pid: 7, block: 69_999 }, 0.1, 1)).toBeCloseTo(0.59);
  });
});

test('what has left is remembered for as long as an aggregation may have seen it', () => {
  const memory = new HeatMemory();
  memory.leave({ startFrame: 1, pages: 1, heat: 0.5 }, 100);
  memory.leave({ startFrame: 2, pages: 1, heat: 0.5 }, 300);
  expect(memory.leftSince(200).map(({ startFrame }) => startFrame)).toEqual([2]);
  expect(memory.leftSince(0)).toHaveLength(1);
});
