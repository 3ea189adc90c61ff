import { describe, expect, it, test } from 'vitest';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { spreadHotMemory } from '../../../tiering/tuner/hot-share.ts';
import { CONDITIONS, DRAM, numa2 } from './hosts.ts';

const HOT = 0.9;
const half = { ...DEFAULT_POLICY, hotShare: 0.5 };

test('a share of 1 promotes all and demotes nothing', () => {
  expect(spreadHotMemory({ aboveBytes: 900, waitingBytes: 100, hotShare: 1 })).toEqual({
    promotableShare: 1,
    demotableBytes: 0,
  });
});

test.each([
  [0, 400, 0.5, 0],
  [100, 300, 1 / 3, 0],
  [200, 200, 0, 0],
  [215, 185, 0, 0],
  [400, 0, 0, 200],
  [0, 0, 1, 0],
])(
  'with half to be above, %i above and %i below: %f may go up, %i shall go down',
  (aboveBytes, waitingBytes, up, down) => {
    expect(spreadHotMemory({ aboveBytes, waitingBytes, hotShare: 0.5 })).toEqual({
      promotableShare: up,
      demotableBytes: down,
    });
  },
);

describe('hotShare 0.5', () => {
  it.each(CONDITIONS)('promotes half of the hot memory and then rests: %s', (_, options) => {
    const host = numa2({ ...options, policy: half });
    const hot = host.allocate('hot', 1, 400, HOT);
    host.allocate('cold', 0, 200, 0);
    host.run(120);
    expect(host.mibOn(hot, 0)).toBeGreaterThan(0.4 * 400);
    expect(host.mibOn(hot, 0)).toBeLessThan(0.6 * 400);
    const { movedMiB } = host;
    host.run(120);
    expect(host.movedMiB - movedMiB).toBeLessThan(0.04 * DRAM.totalMiB);
  });

  it('sends half of the hot memory down when there is room, and cold memory stays', () => {
    const host = numa2({ policy: half });
    const hot = host.allocate('hot', 0, 400, HOT);
    const cold = host.allocate('cold', 0, 200, 0);
    host.run(90);
    // What has just come to the slow node lies among its cold memory, and is seen as more than it is.
    expect(host.mibOn(hot, 0)).toBeGreaterThan(0.35 * 400);
    expect(host.mibOn(hot, 0)).toBeLessThan(0.65 * 400);
    expect(host.mibOn(cold, 0)).toBeGreaterThan(190);
    host.policy = DEFAULT_POLICY;
    host.run(60);
    expect(host.mibOn(hot, 0)).toBeGreaterThan(0.98 * 400);
  });
});
