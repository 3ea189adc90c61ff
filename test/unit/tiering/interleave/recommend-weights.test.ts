import { expect, test } from 'vitest';
import type { MemoryNode, NodePerformance } from '../../../../numa/topology.ts';
import { recommendWeights } from '../../../../tiering/interleave/recommend-weights.ts';

function node(nodeId: number, figures: Pick<MemoryNode, 'performance' | 'measured'>): MemoryNode {
  const rest = { cpus: [], totalBytes: 1, freeBytes: 1, highWatermarkBytes: 0, distances: new Map(), ranges: [] };
  return { nodeId, kind: 'dram', ...rest, ...figures };
}

const hmat = (readBandwidthMiBps: number): NodePerformance => ({ source: 'hmat', readBandwidthMiBps });
const probe = (readBandwidthMiBps: number): NodePerformance => ({ source: 'probe', readBandwidthMiBps });

function weightsOf(...bandwidths: readonly number[]): readonly number[] | undefined {
  const nodes = bandwidths.map((bandwidth, nodeId) => node(nodeId, { performance: hmat(bandwidth) }));
  return recommendWeights(nodes)?.weights.map(({ weight }) => weight);
}

test('weights are in the ratio of the bandwidths, and as small as that can be told', () => {
  expect(weightsOf(30_000, 10_000)).toEqual([3, 1]);
  expect(weightsOf(30_000, 20_000)).toEqual([3, 2]);
  expect(weightsOf(20_000, 20_000, 10_000)).toEqual([2, 2, 1]);
  expect(weightsOf(20_000, 20_010)).toEqual([1, 1]);
});

test('a node that is very slow still gets its page a round', () => {
  expect(weightsOf(1_000_000, 1)).toEqual([32, 1]);
});

test("firmware's figures count before measured ones", () => {
  const nodes = [30, 10].map((bandwidth, id) => node(id, { performance: hmat(bandwidth), measured: probe(10) }));
  expect(recommendWeights(nodes)?.source).toBe('hmat');
});

test('figures of two sources are not compared: where each node was measured, that counts', () => {
  const mixed = [
    node(0, { performance: hmat(50), measured: probe(20) }),
    node(1, { performance: probe(10), measured: probe(10) }),
  ];
  expect(recommendWeights(mixed)).toEqual({
    source: 'probe',
    weights: [
      { nodeId: 0, weight: 2 },
      { nodeId: 1, weight: 1 },
    ],
  });
  expect(recommendWeights([node(0, { performance: hmat(50) }), node(1, { performance: probe(10) })])).toBeUndefined();
});

test('nothing is recommended when a bandwidth is missing, or there are no nodes', () => {
  expect(recommendWeights([node(0, { performance: hmat(50) }), node(1, {})])).toBeUndefined();
  expect(recommendWeights([node(0, { performance: hmat(50) }), node(1, { performance: hmat(0) })])).toBeUndefined();
  expect(recommendWeights([])).toBeUndefined();
});
