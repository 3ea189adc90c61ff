import { describe, expect, test } from 'vitest';
import type { RegionSelection } from '../../../api/views/region-selection.ts';
import { selectRegions } from '../../../api/views/region-selection.ts';
import { largeSnapshot, MIB } from './fake-service.ts';
import { harness } from './harness.ts';

/** Start addresses that a selection shows of four regions, named by what they are. */
function shownOf(selection: Partial<RegionSelection>): string[] {
  const regions = [
    { name: 'cold', start: 0, end: 4 * MIB, nrAccesses: 0, age: 100 },
    { name: 'hot', start: 4 * MIB, end: 5 * MIB, nrAccesses: 20, age: 3 },
    { name: 'warm', start: 5 * MIB, end: 13 * MIB, nrAccesses: 2, age: 10 },
    { name: 'cool', start: 13 * MIB, end: 15 * MIB, nrAccesses: 0, age: 2 },
  ];
  const snapshot = { ...largeSnapshot(0), aggregationIntervalMs: 500, regions };
  const { shown } = selectRegions(snapshot, { limit: Number.POSITIVE_INFINITY, ...selection });
  return shown.map(({ start }) => regions.find((region) => region.start === start)?.name ?? 'unknown');
}

test.each<[string, Partial<RegionSelection>, string[]]>([
  ['everything by address', {}, ['cold', 'hot', 'warm', 'cool']],
  ['at least a rate, which is included', { minAccessRate: 0.1 }, ['hot', 'warm']],
  ['at most a rate, which is included', { maxAccessRate: 0.1 }, ['cold', 'warm', 'cool']],
  ['at least an age in seconds', { minAgeSeconds: 5 }, ['cold', 'warm']],
  ['at most an age in seconds', { maxAgeSeconds: 1.5 }, ['hot', 'cool']],
  ['at least a size', { minSizeBytes: 4 * MIB }, ['cold', 'warm']],
  ['all conditions at once', { maxAccessRate: 0.1, minAgeSeconds: 5, minSizeBytes: 5 * MIB }, ['warm']],
  ['the hottest first', { sort: 'hottest' }, ['hot', 'warm', 'cold', 'cool']],
  [
    'the coldest first, of equals the one that has been so longest',
    { sort: 'coldest' },
    ['cold', 'cool', 'warm', 'hot'],
  ],
  ['the largest first', { sort: 'largest' }, ['warm', 'cold', 'cool', 'hot']],
  ['a limit alone: the hottest, by address', { limit: 3 }, ['cold', 'hot', 'warm']],
  ['a limit after sorting', { sort: 'largest', limit: 2 }, ['warm', 'cold']],
  ['the lowest addresses', { sort: 'address', limit: 2 }, ['cold', 'hot']],
])('a selection shows %s', (_, selection, names) => {
  expect(shownOf(selection)).toEqual(names);
});

describe('GET /v1/snapshot', () => {
  test('keeps the totals of everything and tells what was left out', async () => {
    const { api } = harness();
    const { nodes } = (await api.inject('/v1/snapshot?nodeId=0&minAccessRate=0.05&sort=largest&limit=1')).json();
    expect(nodes).toHaveLength(1);
    expect(nodes[0]).toMatchObject({
      nodeId: 0,
      nrRegions: 3,
      sizeBytes: 0xff00000,
      temperatures: { hotBytes: 0x7fff000, warmBytes: 0x7f00000, coldBytes: 4096 },
      nrMatching: 2,
      matchingBytes: 0xfeff000,
      nrLeftOut: 2,
    });
    expect(nodes[0].regions).toMatchObject([{ startAddress: 0x101000 }]);
  });

  test('tells the same as text', async () => {
    const { api } = harness();
    const { body } = await api.inject('/v1/snapshot?nodeId=0&minAccessRate=0.05&sort=largest&limit=1&format=text');
    expect(body.split('\n').slice(2)).toEqual([
      expect.stringMatching(/^101000-8100000 .* hot /),
      '2 of 3 regions match, 255.0 MiB',
      '1 more regions, a larger limit shows them',
      '',
    ]);
  });

  test('says so when nothing matches', async () => {
    const { api } = harness();
    const { body } = await api.inject('/v1/snapshot?nodeId=1&minAgeSeconds=99999&format=text');
    expect(body).toMatch(/\n0 of 2 regions match, 0 B\n$/);
  });

  test.each([
    ['nodeId=7', 'nodeId: "7" is not allowed: must be the id of a memory node: 0, 1'],
    ['minAccessRate=2', 'minAccessRate: "2" is not allowed: must be a number from 0 to 1'],
    ['minAgeSeconds=-1', 'minAgeSeconds: "-1" is not allowed: must be a number from 0 to 999999999'],
    ['minSizeBytes=4k', 'minSizeBytes: "4k" is not allowed: must be a whole number from 0 to 999999999999999'],
    ['sort=hot', 'sort: "hot" is not allowed: must be "hottest", "coldest", "largest" or "address"'],
    [
      'minAccessRate=0.5&maxAccessRate=0.2',
      'maxAccessRate: "0.2" is not allowed: must be at least minAccessRate, which is 0.5',
    ],
    ['minAgeSecond=3', 'minAgeSecond: unknown key: did you mean "minAgeSeconds"?'],
  ])('refuses %s', async (query, detail) => {
    const { api } = harness();
    const response = await api.inject(`/v1/snapshot?${query}`);
    expect(response.statusCode).toBe(400);
    expect(response.json().detail).toBe(detail);
  });

  test('lets other work have its turn between nodes of ten thousand regions', async () => {
    const { api, service } = harness();
    service.snapshotList = Array.from({ length: 8 }, (_, nodeId) => ({ ...largeSnapshot(10_000), nodeId }));
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const { nodes } = (await api.inject('/v1/snapshot?sort=coldest&limit=1')).json();
    isOver = true;
    expect(nodes).toHaveLength(8);
    expect(turns).toBeGreaterThan(8);
  });
});
