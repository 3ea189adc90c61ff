import { describe, expect, test } from 'vitest';
import type { ProbeCandidate } from '../../../../numa/probe/plan.ts';
import { planProbe } from '../../../../numa/probe/plan.ts';

const MIB = 2 ** 20;

function node(nodeId: number, over: Partial<ProbeCandidate> = {}): ProbeCandidate {
  return {
    nodeId,
    cpus: [],
    freeBytes: 1024 * MIB,
    highWatermarkBytes: 50 * MIB,
    distances: new Map(),
    ...over,
  };
}

const socket = (nodeId: number, cpu: number) => node(nodeId, { cpus: [cpu], distances: new Map([[nodeId, 10]]) });

describe('the buffer', () => {
  test.each([
    ['64 MiB at least', 0, 64],
    ['four times the largest cache', 24, 96],
    ['128 MiB usually', 60, 128],
    ['but twice the largest cache', 105, 210],
    ['and never more than 512 MiB', 400, 512],
  ])('is %s', (_, cacheMiB, bufferMiB) => {
    const roomy = { ...socket(0, 0), freeBytes: 8192 * MIB };
    expect(planProbe(roomy, [roomy], cacheMiB * MIB)).toMatchObject({ bufferBytes: bufferMiB * MIB });
  });

  test('takes at most half of what is free above the high watermark, in whole huge pages', () => {
    const tight = { ...socket(0, 0), freeBytes: 113 * MIB };
    expect(planProbe(tight, [tight], 0)).toMatchObject({ bufferBytes: 30 * MIB });
  });

  test('does not fit: the node is skipped and the reason says what is missing', () => {
    const full = { ...socket(0, 0), freeBytes: 81 * MIB };
    expect(planProbe(full, [full], 0)).toEqual({
      nodeId: 0,
      skipReason: '81 MiB are free, 82 MiB are needed to measure beyond the caches and leave half',
    });
  });

  test('that would fit into the caches is not used', () => {
    const small = { ...socket(0, 0), freeBytes: 113 * MIB };
    expect(planProbe(small, [small], 32 * MIB)).toHaveProperty('skipReason');
  });
});

describe('a node is measured', () => {
  test('from its own CPUs', () => {
    const a = {
      ...socket(0, 3),
      distances: new Map([
        [0, 10],
        [1, 21],
      ]),
    };
    const b = {
      ...socket(1, 4),
      distances: new Map([
        [0, 21],
        [1, 10],
      ]),
    };
    expect(planProbe(b, [a, b], 0)).toMatchObject({ cpus: [4], initiatorNodeIds: [1] });
  });

  const sockets = [socket(0, 3), socket(1, 4)];

  test('without CPUs, from the nearest that have some', () => {
    const expander = node(2, {
      distances: new Map([
        [0, 24],
        [1, 14],
        [2, 10],
      ]),
    });
    expect(planProbe(expander, [...sockets, expander], 0)).toMatchObject({ cpus: [4], initiatorNodeIds: [1] });
  });

  test('at equal distances, from the first of the nearest', () => {
    const expander = node(2, {
      distances: new Map([
        [0, 20],
        [1, 20],
        [2, 10],
      ]),
    });
    expect(planProbe(expander, [...sockets, expander], 0)).toMatchObject({ cpus: [3], initiatorNodeIds: [0, 1] });
  });

  test('from the socket that its expander is plugged into', () => {
    const devices = [{ name: 'mem0', sizeBytes: 1, numaNode: 1 }];
    const cxl = { region: 'region0', sizeBytes: 1, interleaveWays: 1, devices };
    const expander = node(2, {
      cxl,
      distances: new Map([
        [0, 20],
        [1, 20],
        [2, 10],
      ]),
    });
    expect(planProbe(expander, [...sockets, expander], 0)).toMatchObject({ cpus: [4], initiatorNodeIds: [1] });
  });

  test('not at all where no node has CPUs and memory', () => {
    const alone = node(2);
    expect(planProbe(alone, [alone], 0)).toHaveProperty('skipReason', 'no node has CPUs to measure it from');
  });
});
