import type { DesiredKdamond, DesiredScheme } from '../../../tiering/scheme.ts';

const MIB = 1024 * 1024;

/** A scheme with all its fields, to change one at a time. */
export function scheme(changes: Partial<DesiredScheme> = {}): DesiredScheme {
  return {
    name: 'demote to node 1',
    action: 'migrate_cold',
    targetNid: 1,
    pattern: {
      sizeBytes: { min: 4096, max: Number.POSITIVE_INFINITY },
      nrAccesses: { min: 0, max: 2 },
      age: { min: 30, max: Number.POSITIVE_INFINITY },
    },
    quota: { bytes: 50 * MIB, resetIntervalMs: 1, weights: { size: 0, nrAccesses: 700, age: 300 } },
    filters: [{ type: 'young', matching: true, allow: false }],
    ...changes,
  };
}

/** The same scheme with another budget. */
export function withBudget(from: DesiredScheme, bytes: number): DesiredScheme {
  return { ...from, quota: { ...from.quota, bytes } };
}

/** A kdamond that watches 64 MiB in 4 regions at least. */
export function kdamond(nodeId: number, changes: Partial<DesiredKdamond> = {}): DesiredKdamond {
  const start = nodeId * 1024 * MIB;
  return {
    nodeId,
    samplingIntervalUs: 50_000,
    aggregationIntervalUs: 1_000_000,
    updateIntervalUs: 10_000_000,
    minRegions: 4,
    maxRegions: 16,
    ranges: [{ start, end: start + 64 * MIB }],
    schemes: [scheme()],
    ...changes,
  };
}
