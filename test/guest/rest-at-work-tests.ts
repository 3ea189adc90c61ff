import { expect, it } from 'vitest';
import type { ApiClient } from './api-client.ts';
import { eventually } from './eventually.ts';
import type { Guest } from './guest.ts';
import type { GuestProcess } from './guest-process.ts';
import { fastNode, mib, scenarios, slowNode } from './scenarios.ts';
import { prometheusScrapes } from './scraped-daemon.ts';
import type { Stage } from './stage.ts';

/** Points of a hundred between what the history says and what the kernel says. */
const utilizationTolerance = 5;
const lowerTarget = 0.6;
const settings = 'cat /var/lib/tierd/settings.json';

/** The REST API of a daemon that has done its main job: what it tells of that, and how it guards its policy. */
export function restAtWorkTests(currentStage: () => Stage): void {
  it('remembers what it moved, tells of changes, guards and previews them, and Prometheus scrapes it all', async () => {
    const stage = currentStage();
    const { guest } = stage;
    const measured = await stage.play(scenarios.room, { untilHotShare: 0.95, timeoutMs: 120_000, watchMs: 1000 });
    const api = stage.api;
    await stage.explain(async () => {
      expect(measured.secondsTo[95]).not.toBeNull();
      await eventually('the history has what was promoted', 20_000, async () => {
        const { promotedBytes } = await pastOf(api, slowNode);
        return promotedBytes >= 0.9 * 200 * mib;
      });

      await tellsOfAChange(guest, api);
      await refusesStaleChanges(guest, api);
      await eventually('the history has what was demoted for it', 60_000, async () => {
        const { demotedBytes, points } = await pastOf(api, fastNode);
        return demotedBytes > 0 && points.some((point) => point.demotedBytes > 0);
      });
      expect((await pastOf(api, slowNode)).points.some(({ promotedBytes }) => promotedBytes > 0)).toBe(true);
      await agreesWithNumastat(guest, api);
      await previewsOnly(guest, api);
      await prometheusScrapes(api);
    });
  }, 400_000);
}

async function pastOf(api: ApiClient, nodeId: number) {
  const { nodes } = await api.history('sinceSeconds=600&stepSeconds=1');
  const found = nodes.find((node) => node.nodeId === nodeId);
  if (found === undefined) throw new Error(`the history has no node ${nodeId}`);
  return found;
}

/** Whoever follows the events sees the change that a PATCH makes. */
async function tellsOfAChange(guest: Guest, api: ApiClient): Promise<void> {
  const events = guest.spawn('exec curl -sSN --unix-socket /run/tierd/tierd.sock http://tierd/v1/events');
  try {
    // From here on it gets all that happens.
    await events.waitForLine((line) => line.startsWith('retry:'), 20_000);
    await api.patchPolicy({ fastUtilization: lowerTarget });
    await events.waitForLine((line) => line === 'event: policy', 20_000);
    const data = await dataBehind(events, 'event: policy');
    expect(JSON.parse(data)).toMatchObject({ type: 'policy', keys: ['fastUtilization'] });
  } finally {
    await events.stop();
  }
}

async function dataBehind(events: GuestProcess, heading: string): Promise<string> {
  let isNext = false;
  const line = await events.waitForLine((each) => {
    if (each === heading) isNext = true;
    return isNext && each.startsWith('data: ');
  }, 20_000);
  return line.slice('data: '.length);
}

/** A change by somebody who has not seen the newest policy is refused, and nothing of it is in force or saved. */
async function refusesStaleChanges(guest: Guest, api: ApiClient): Promise<void> {
  const { etag: stale = '' } = await api.send('GET', '/v1/policy');
  const change = (body: object, ifMatch: string) =>
    api.send('PATCH', '/v1/policy', { body, headers: { 'if-match': ifMatch } });
  expect(stale).not.toBe('');
  const { status, etag: newest } = await change({ promotion: { maxMiBPerSecond: 777 } }, stale);
  // 202: a kdamond has yet to hear of it.
  expect([200, 202]).toContain(status);
  expect(newest).not.toBe(stale);

  const before = [await api.policy(), await guest.check(settings)];
  expect((await change({ fastUtilization: 0.3, dryRun: true }, stale)).status).toBe(412);
  expect([await api.policy(), await guest.check(settings)]).toEqual(before);
  expect((await api.send('GET', '/v1/policy')).etag).toBe(newest);
  expect(before[0]).toMatchObject({ fastUtilization: lowerTarget, promotion: { maxMiBPerSecond: 777 } });
}

/** Utilization in the newest point is that of the kernel, as numastat counts it. */
async function agreesWithNumastat(guest: Guest, api: ApiClient): Promise<void> {
  let compared = '';
  const agree = eventually('the history agrees with numastat', 60_000, async () => {
    const used = await numastatPercent(guest);
    const told = await Promise.all(
      [fastNode, slowNode].map(async (nodeId) => (await pastOf(api, nodeId)).points.at(-1)?.usedShare ?? Number.NaN),
    );
    compared = told.map((share, index) => `${(100 * share).toFixed(1)} % of ${used[index]?.toFixed(1)} %`).join(', ');
    return told.every((share, index) => Math.abs(100 * share - (used[index] ?? Number.NaN)) <= utilizationTolerance);
  });
  await agree.catch((error: unknown) => {
    throw new Error(`${error instanceof Error ? error.message : error}: ${compared}`);
  });
  console.log(`${guest.kernel} history: ${compared} by numastat`);
}

/** Used memory of both nodes, in percent. */
async function numastatPercent(guest: Guest): Promise<readonly number[]> {
  const table = await guest.check('numastat -m');
  const row = (name: string): readonly number[] =>
    (new RegExp(`^${name} +(.*)$`, 'm').exec(table)?.[1] ?? '').trim().split(/ +/).map(Number);
  const [total, used] = [row('MemTotal'), row('MemUsed')];
  return [fastNode, slowNode].map((nodeId) => (100 * (used[nodeId] ?? Number.NaN)) / (total[nodeId] ?? Number.NaN));
}

/** A preview names what would change in the kernel, where nothing does. */
async function previewsOnly(guest: Guest, api: ApiClient): Promise<void> {
  // Tuned intervals may change between two looks.
  await api.patchPolicy({ monitoring: { samplingIntervalMs: 50 } });
  const before = [await api.policy(), await kernelSettings(guest), await guest.check(settings)];
  const body = { dryRun: true, monitoring: { samplingIntervalMs: 40 } };
  const preview = await api.send('PATCH', '/v1/policy?dryRun=true', { body });
  expect(preview.status).toBe(200);
  expect(JSON.parse(preview.text)).toMatchObject({
    policy: { dryRun: true },
    changes: expect.arrayContaining([
      expect.objectContaining({ nodeId: fastNode, key: 'samplingIntervalUs', before: 50_000, after: 40_000 }),
      expect.objectContaining({ nodeId: fastNode, key: 'action', before: 'migrate_cold', after: 'stat' }),
      expect.objectContaining({ nodeId: slowNode, key: 'action', before: 'migrate_hot', after: 'stat' }),
    ]),
  });
  expect([await api.policy(), await kernelSettings(guest), await guest.check(settings)]).toEqual(before);
  await api.patchPolicy({ monitoring: { samplingIntervalMs: 'auto' } });
}

/** What DAMON is set to, but for what the tuner changes all the time. */
async function kernelSettings(guest: Guest): Promise<string> {
  return guest.check(
    "cd /sys/kernel/mm/damon/admin/kdamonds && grep -H '' */pid */contexts/*/monitoring_attrs/intervals/*_us */contexts/*/schemes/*/action",
  );
}
