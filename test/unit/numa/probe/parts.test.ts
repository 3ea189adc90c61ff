import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readLargestCache } from '../../../../numa/probe/caches.ts';
import {
  measureAnswer,
  measureArguments,
  parseMeasureAnswer,
  parseMeasureArguments,
} from '../../../../numa/probe/measure-protocol.ts';
import { follow, LINE_BYTES, linkInRandomCycle } from '../../../../numa/probe/pointer-chase.ts';
import { fastestRoundNs } from '../../../../numa/probe/timing.ts';
import { buildTree, MiB } from '../tree.ts';

describe('the chain', () => {
  const wordsPerLine = LINE_BYTES / 4;

  test('visits every cache line once before any twice, whatever the random numbers', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        (lines, random) => {
          const words = new Uint32Array(lines * wordsPerLine);
          linkInRandomCycle(words, (bound) => Math.floor((random.next().value ?? 0) * bound));
          const visited = new Set<number>();
          for (let index = 0, step = 0; step < lines; step++, index = follow(words, index, 1)) visited.add(index);
          expect(visited.size).toBe(lines);
          expect([...visited].every((index) => index % wordsPerLine === 0)).toBe(true);
          expect(follow(words, 0, lines)).toBe(0);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('the fastest round', () => {
  function clock(roundsMs: readonly number[]) {
    let nowNs = 0;
    let round = 0;
    return {
      round: () => {
        nowNs += (roundsMs[round++] ?? 100) * 1e6;
      },
      nowNs: () => nowNs,
      rounds: () => round,
    };
  }

  test('counts, whatever slowed the others', () => {
    const { round, nowNs } = clock([9, 30, 5, 8, 70]);
    expect(fastestRoundNs(round, 60, nowNs)).toBe(5e6);
  });

  test('is one of three at least', () => {
    const { round, nowNs, rounds } = clock([900, 700, 800]);
    expect(fastestRoundNs(round, 10, nowNs)).toBe(700e6);
    expect(rounds()).toBe(3);
  });
});

describe('request and answer of the process that measures', () => {
  test('arrive as they were sent', async () => {
    const request = { nodeId: 3, bufferBytes: 64 * MiB, cpus: [0, 1, 2, 7] };
    expect(measureArguments(request)).toEqual(['3', '67108864', '0-2,7']);
    expect(parseMeasureArguments(measureArguments(request))).toEqual(request);
    const measurement = { readLatencyNs: 250.5, readBandwidthMiBps: 9000, writeBandwidthMiBps: 8000.1 };
    expect(parseMeasureAnswer(await measureAnswer(Promise.resolve(measurement)), 3)).toEqual(measurement);
  });

  test('a failure arrives as one, with its reason', async () => {
    const answer = await measureAnswer(Promise.reject(new Error('mbind(...): EINVAL')));
    expect(() => parseMeasureAnswer(answer, 3)).toThrow('cannot measure node 3: mbind(...): EINVAL');
  });

  test.each([
    '',
    'Segmentation fault',
    '[]',
    'null',
    '{"readLatencyNs":0}',
    '{"readLatencyNs":5,"readBandwidthMiBps":"1"}',
  ])('%j is no answer', (text) => {
    expect(() => parseMeasureAnswer(text, 3)).toThrow(expect.objectContaining({ code: 'TIERD_PROBE_FAILED' }));
  });

  test.each([[[]], [['-1', '5', '0']], [['1', '5', 'all']]])('%j is no request', (args) => {
    expect(() => parseMeasureArguments(args)).toThrow();
  });
});

describe('the largest cache', () => {
  test('is that of any level', async () => {
    const tree = await buildTree({ nodes: [{ id: 0, cpus: '0', blocks: [0] }] });
    for (const [index, size] of ['32K', '1024K', '32768K'].entries()) {
      await tree.write(`/sys/devices/system/cpu/cpu0/cache/index${index}/size`, size);
    }
    await tree.write('/sys/devices/system/cpu/cpu0/cache/uevent', '');
    expect(await readLargestCache(tree.sysfs, 0)).toBe(32 * MiB);
  });

  test('is unknown where the kernel does not say', async () => {
    const tree = await buildTree({ nodes: [{ id: 0, cpus: '0', blocks: [0] }] });
    expect(await readLargestCache(tree.sysfs, 0)).toBe(0);
  });
});
