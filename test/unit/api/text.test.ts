import { describe, expect, test } from 'vitest';
import { chooseRepresentation } from '../../../api/content.ts';
import { shadeBar, shadeOf } from '../../../api/text/shade-bar.ts';
import { snapshotText } from '../../../api/text/snapshot-text.ts';
import { formatBytes, formatSeconds, formatShare } from '../../../api/text/units.ts';
import { nodeView } from '../../../api/views/snapshot-view.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import type { NodeSnapshot } from '../../../tiering/snapshot.ts';
import { largeSnapshot, MIB } from './fake-service.ts';
import { harness } from './harness.ts';

const GOLDEN_SNAPSHOT = `\
node 0: 255.0 MiB in 3 regions, 128.0 MiB hot, 127.0 MiB warm, 4.0 KiB cold, 1.0 s old
ADDRESSES                SIZE    RATE       AGE  IS    SHADE: RATE, LENGTH: SIZE
100000-101000         4.0 KiB     0 %     7.0 s  cold  ·
101000-8100000      128.0 MiB   100 %    12.0 s  hot   ████████████████████████████████
8100000-10000000    127.0 MiB  10.0 %    12 min  warm  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░

node 1: 1.0 GiB in 2 regions, 2.0 MiB hot, 0 B warm, 1022.0 MiB cold, 0.5 s old
ADDRESSES                  SIZE    RATE       AGE  IS    SHADE: RATE, LENGTH: SIZE
100000000-13fe00000  1022.0 MiB     0 %    60 min  cold  ································
13fe00000-140000000     2.0 MiB  55.0 %     2.0 s  hot   ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓
`;

const GOLDEN_LIMITED = `\
node 0: 255.0 MiB in 3 regions, 128.0 MiB hot, 127.0 MiB warm, 4.0 KiB cold, 1.0 s old
ADDRESSES              SIZE    RATE       AGE  IS    SHADE: RATE, LENGTH: SIZE
101000-8100000    128.0 MiB   100 %    12.0 s  hot   ████████████████████████████████
2 more regions, none of them hotter: a larger limit shows them
`;

const GOLDEN_STATUS = `\
tierd 1.2.3 on cxlhost (Linux 7.3.0)
moving, engine damos, up 75.5 s
promoted 152.0 MiB, now 18.5 MiB/s
demoted  20.0 MiB, now 0 B/s
waiting  48.0 MiB hot on slow nodes

NODE  TIER      TOTAL    USED  TARGET        HOT      WARM       COLD  MOVES
   0     0  963.0 MiB  89.6 %  94.0 %  200.0 MiB  12.0 MiB  751.0 MiB  cold to 1
   1     1    1.0 GiB  12.1 %       -          -         -          -  hot to 0

node 0: demotes 20.0 MiB a second: 48.0 MiB hot wait on node 1, 43.0 MiB are free below the target
`;

describe('text', () => {
  test('of a topology tells all nodes that memory may go to, in their order', async () => {
    const { api, service } = harness();
    service.topologyChanges = {
      paths: [
        { nodeId: 0, promotionTargets: [], demotionTargets: [1, 3, 2] },
        { nodeId: 1, promotionTargets: [0], demotionTargets: Array.from({ length: 14 }, (_, index) => index + 2) },
      ],
    };
    const lines = (await api.inject('/v1/topology?format=text&columns=160')).body.split('\n');
    expect(lines[0]).toMatch(/HOT TO +COLD TO$/);
    expect(lines[1]).toMatch(/ - +1,3,2$/);
    expect(lines[2]).toMatch(/ 0 +2,3,4,5,6,7\.\.\.$/);
  });

  test('of a snapshot', async () => {
    const { api } = harness();
    expect((await api.inject('/v1/snapshot?format=text')).body).toBe(GOLDEN_SNAPSHOT);
  });

  test('of a snapshot with a limit', async () => {
    const { api, service } = harness();
    service.snapshotList = service.snapshotList.slice(0, 1);
    expect((await api.inject('/v1/snapshot?format=text&limit=1')).body).toBe(GOLDEN_LIMITED);
  });

  test('of the status', async () => {
    const { api } = harness();
    expect((await api.inject('/v1/status?format=text')).body).toBe(GOLDEN_STATUS);
  });

  test('of the status with what became of single pages, where the engine knows', async () => {
    const { api, service } = harness();
    const pages = {
      movedBytes: 0,
      failedBytes: { EBUSY: 8192, EAGAIN: 4096 },
      heldBackBytes: 2 ** 20,
      pingPongBytes: 0,
      pageMapBytes: 0,
      stuckPids: [4711, 4712],
    };
    const status = { ...service.status(), engine: 'move_pages', pages } as const;
    service.status = () => status;
    const { body } = await api.inject('/v1/status?format=text');
    expect(body).toContain('moving, engine move_pages, up 75.5 s\n');
    expect(body).toContain(
      'pages    not moved 8.0 KiB EBUSY and 4.0 KiB EAGAIN, held back 1.0 MiB, came back soon 0 B, nothing\nmoves of process 4711, 4712\n',
    );
  });

  test('of the status wraps a long problem', async () => {
    const { api, service } = harness();
    const status = service.status();
    service.status = () => ({ ...status, problem: `${'kdamond 0 is off '.repeat(20)}${'x'.repeat(250)}` });
    for (const line of (await api.inject('/v1/status?format=text')).body.split('\n')) {
      expect(line.length).toBeLessThanOrEqual(100);
    }
  });

  test('of the status says what a start waits for, and what a crash would lose', async () => {
    const { api, service } = harness();
    const status = service.status();
    const receiptProblem = 'ENOSPC; until it is saved: own kdamonds would be foreign';
    service.status = () => ({
      ...status,
      state: 'starting',
      waitingFor: 'DAMON: kdamond 0 (pid 7) runs',
      receiptProblem,
    });
    const { body } = await api.inject('/v1/status?format=text');
    expect(body).toContain('\nwaiting for DAMON: kdamond 0 (pid 7) runs\nreceipt not saved: ENOSPC; until');
    expect((await api.inject('/v1/status')).json()).toMatchObject({ receiptProblem });
    expect((await api.inject('/metrics')).body).toContain('\ntierd_receipt_saved 0\n');
  });

  test('of the status tells which nodes are left alone, and the metrics how many, by why', async () => {
    const { api, service } = harness();
    const { nodes } = service.topology();
    const [dram, cxl] = nodes;
    if (dram === undefined || cxl === undefined) throw new Error('two nodes');
    const counts = async () =>
      [...(await api.inject('/metrics')).body.matchAll(/^tierd_nodes_left_alone\{reason="([^"]+)"\} (\d)$/gm)].map(
        ([, reason, count]) => [reason, count],
      );
    expect((await api.inject('/v1/status')).json().leftAlone).toEqual([]);
    expect(await counts()).toEqual([
      ['device', '0'],
      ['unknown-speed', '0'],
    ]);
    service.topologyChanges = {
      tierSource: 'derived',
      nodes: [
        ...nodes,
        { ...cxl, nodeId: 2, kind: 'memory-only' },
        { ...cxl, nodeId: 3, kind: 'memory-only', driver: 'NVIDIA' },
        { ...cxl, nodeId: 4, kind: 'memory-only' },
      ],
    };
    const { leftAlone } = (await api.inject('/v1/status')).json();
    expect(leftAlone).toMatchObject([
      { nodeId: 2, reason: 'unknown-speed', tiersLine: 'tiers: [[0], [1], [2]]' },
      { nodeId: 3, reason: 'device' },
      { nodeId: 4, reason: 'unknown-speed' },
    ]);
    expect((await api.inject('/v1/topology')).json().leftAlone).toEqual(leftAlone);
    const { body } = await api.inject('/v1/status?format=text&columns=300');
    for (const { message } of leftAlone) expect(body).toContain(`\nwarning: ${message}\n`);
    expect(await counts()).toEqual([
      ['device', '1'],
      ['unknown-speed', '2'],
    ]);
  });

  test('of the status tells which cgroups of the policy are not there, as the answers to changes do', async () => {
    const { api, service } = harness();
    const [status, preview] = [service.status(), await service.preview(DEFAULT_POLICY)];
    const scopeProblem = 'cgroups.include: no cgroup matches "/hmsdk": nothing is promoted or demoted until one does';
    service.status = () => ({ ...status, scopeProblem });
    service.preview = async () => ({ ...preview, scopeProblem: `would: ${scopeProblem}` });
    expect((await api.inject('/v1/status?format=text&columns=200')).body).toContain(`\nwarning: ${scopeProblem}\n`);
    expect((await api.inject('/v1/status')).json()).toMatchObject({ scopeProblem });
    expect((await api.inject('/metrics')).body).toContain('\ntierd_cgroups_matched 0\n');
    const patch = { method: 'PATCH', payload: { cgroups: { include: ['/hmsdk'] } } } as const;
    const changed = await api.inject({ ...patch, url: '/v1/policy' });
    expect([changed.statusCode, changed.headers['tierd-warning']]).toEqual([200, scopeProblem]);
    const previewed = await api.inject({ ...patch, url: '/v1/policy?dryRun=true' });
    expect(previewed.headers['tierd-warning']).toBe(`would: ${scopeProblem}`);
    expect(previewed.json()).not.toHaveProperty('scopeProblem');
  });

  test('is never wider than 100 columns, whatever the addresses', () => {
    const region = { start: 2 ** 51, end: 2 ** 52 - 4096, nrAccesses: 19, age: 1e7 };
    const snapshot: NodeSnapshot = { ...largeSnapshot(0), nodeId: 1023, regions: [region] };
    const view = nodeView(snapshot, { policy: DEFAULT_POLICY, nowMs: 1e9, selection: { limit: 10 } });
    const lines = [...snapshotText([view])].join('').split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test('comes in small pieces', () => {
    const view = nodeView(largeSnapshot(10_000), { policy: DEFAULT_POLICY, nowMs: 0, selection: { limit: 100_000 } });
    const sizes = [...snapshotText([view])].map((piece) => piece.split('\n').length - 1);
    expect(Math.max(...sizes)).toBe(250);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(10_002);
  });
});

test.each([
  [0, '·'],
  [0.01, '░'],
  [0.25, '░'],
  [0.26, '▒'],
  [0.75, '▓'],
  [0.76, '█'],
  [1, '█'],
])('shade of %d is %s', (rate, glyph) => {
  expect(shadeOf(rate)).toBe(glyph);
});

test.each([
  [4096, 1],
  [8192, 4],
  [MIB, 22],
  [4 * MIB, 27],
  [16 * MIB, 32],
])('bar of %d bytes beside 16 MiB has %d glyphs', (bytes, length) => {
  expect(shadeBar(1, bytes, 16 * MIB, 32)).toBe('█'.repeat(length));
});

test.each([
  [formatBytes(0), '0 B'],
  [formatBytes(1023), '1023 B'],
  [formatBytes(1536), '1.5 KiB'],
  [formatBytes(2 ** 60), '1024.0 PiB'],
  [formatShare(0), '0 %'],
  [formatShare(0.0001), '0.1 %'],
  [formatShare(0.9999), '99.9 %'],
  [formatShare(1), '100 %'],
  [formatSeconds(0), '0.0 s'],
  [formatSeconds(99.94), '99.9 s'],
  [formatSeconds(100), '2 min'],
  [formatSeconds(7200), '2.0 h'],
])('%s', (text, expected) => {
  expect(text).toBe(expected);
});

test.each([
  [undefined, undefined, 'json'],
  [undefined, '*/*', 'json'],
  [undefined, 'text/plain', 'text'],
  [undefined, 'TEXT/PLAIN; charset=utf-8', 'text'],
  [undefined, 'text/*', 'text'],
  [undefined, 'text/html,application/xhtml+xml,*/*;q=0.8', 'json'],
  [undefined, 'text/plain;q=0.5, application/json', 'json'],
  [undefined, 'text/plain, application/json;q=0.5', 'text'],
  [undefined, 'text/plain;q=0, */*', 'json'],
  [undefined, 'text/plain;q=oops', 'json'],
  ['text', 'application/json', 'text'],
  ['json', 'text/plain', 'json'],
] as const)('format %s and Accept %s give %s', (format, accept, expected) => {
  expect(chooseRepresentation(format, accept)).toBe(expected);
});
