import { describe, expect, test } from 'vitest';
import { probeFeatures } from '../../../tiering/damon/features.ts';
import type { Receipt } from '../../../tiering/damon/receipt.ts';
import { parseReceipt, serializeReceipt, validateReceipt } from '../../../tiering/damon/receipt.ts';
import { kdamond, scheme } from './desired.ts';
import { FakeDamon } from './fake-damon.ts';

async function receipt(): Promise<Receipt> {
  const filters = [
    { type: 'addr', range: { start: 0, end: 4096 }, matching: true, allow: false },
    { type: 'memcg', memcgPath: '/a', matching: true, allow: true },
  ] as const;
  const goal = { metric: 'node_eligible_mem_bp', nodeId: 0, targetBp: 5500 } as const;
  const limited = scheme({ filters, applyIntervalUs: 500_000, quota: { ...scheme().quota, goal } });
  return {
    version: 1,
    bootId: 'boot-one',
    owner: { pid: 4711, startTime: 123_456 },
    directories: 3,
    kdamonds: [
      { index: 0, pid: 100, desired: kdamond(0, { comparedRanges: [{ start: 0, end: 4096 }], schemes: [limited] }) },
      { index: 1, pid: 0, desired: kdamond(1) },
    ],
    originalTree: { nr_kdamonds: '1', '0/contexts/nr_contexts': '0' },
    originalDamonStat: 'Y',
    features: await probeFeatures(new FakeDamon('7.3'), { scratchAllowed: true }),
  };
}

describe('a receipt', () => {
  test('comes back from JSON as it was, infinite bounds too', async () => {
    const written = await receipt();
    expect(parseReceipt(serializeReceipt(written))).toEqual(written);
  });

  test('needs neither features nor DAMON_STAT nor an owner, of whom older ones say nothing', async () => {
    const { features: _, originalDamonStat: __, owner: ___, ...early } = await receipt();
    expect(parseReceipt(serializeReceipt(early))).toEqual(early);
  });

  test.each([
    ['not JSON', '{', /not JSON/],
    ['an unknown version', '{"version":2}', /version 2/],
    ['a missing field', '{"version":1}', /receipt\.bootId is not a text/],
    ['no object', '[]', /receipt is not an object/],
  ])('that is %s is refused', (_, text, message) => {
    expect(() => parseReceipt(text)).toThrow(message);
  });

  test('names the place of what is wrong in it', async () => {
    const written: unknown = JSON.parse(
      serializeReceipt(await receipt()).replace('"action": "migrate_cold"', '"action": "explode"'),
    );
    expect(() => validateReceipt(written)).toThrow('receipt.kdamonds[0].desired.schemes[0].action is not an action');
  });
});
