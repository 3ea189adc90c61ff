import { createWriteStream } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TieringRuntime } from '../../../tiering/controller.ts';
import { createTiering } from '../../../tiering/controller.ts';
import type { RecordedEvent } from '../../../tiering/events/event.ts';
import { maxNrAccesses } from '../../../tiering/plan.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import { FakeKernel } from '../../bench/fake-kernel.ts';
import { aggregationText, syntheticRegions } from '../../bench/trace-text.ts';

const POLICY = { ...DEFAULT_POLICY, monitoring: { ...DEFAULT_POLICY.monitoring, aggregationIntervalMs: 250 } };
/** FakeDamon's first kdamond; the others follow. */
const FIRST_PID = 100;
const POLL = { timeout: 20_000, interval: 20 };

let kernel: FakeKernel;
let runtime: TieringRuntime;
const endings: (() => unknown)[] = [];

/** The engine over a kernel that is made up, whose slow node is hot to a fifth. */
beforeEach(async () => {
  kernel = new FakeKernel();
  const log = () => undefined;
  runtime = await createTiering({
    sysfs: kernel,
    engine: 'damos',
    policy: POLICY,
    waitForDamon: false,
    switchOffDamonStat: true,
    logger: { debug: log, info: log, warn: log, error: log },
    loadReceipt: async () => undefined,
    saveReceipt: async () => undefined,
    probing: {
      measure: () => Promise.reject(new Error('this kernel is made up')),
      load: async () => undefined,
      save: async () => undefined,
    },
    ownMemory: 'any',
  });
  await runtime.start();
  const pipe = createWriteStream(kernel.tracePipe);
  const feeding = setInterval(() => pipe.write(traceText()), POLICY.monitoring.aggregationIntervalMs);
  endings.push(() => {
    clearInterval(feeding);
    pipe.end();
  });
  await runtime.ready;
});
afterEach(async () => {
  for (const end of endings.splice(0)) end();
  await runtime.stop();
  kernel.remove();
});

/** One aggregation of every node, a fifth of the slow one's regions hot. */
function traceText(): string {
  const seconds = Number(process.hrtime.bigint()) / 1e9;
  const texts = runtime.topology().nodes.map(({ ranges, cpus }, index) => {
    const whole = { start: ranges[0]?.start ?? 0, end: ranges.at(-1)?.end ?? 0 };
    const regions = syntheticRegions(whole, 100, cpus.length > 0 ? 0 : 0.2, maxNrAccesses(POLICY));
    return aggregationText(FIRST_PID + index, index, seconds, regions);
  });
  return texts.join('');
}

function happened(): readonly RecordedEvent[] {
  const { events } = runtime;
  const all: RecordedEvent[] = [];
  for (let event = events.after(0); event !== undefined; event = events.after(event.sequence)) all.push(event);
  return all;
}

/** States as they followed each other. */
function states(): readonly string[] {
  return happened().flatMap((event) => (event.type === 'state' ? [event.state] : []));
}

test('what the engine does is told as events, and kept as history', async () => {
  await expect.poll(states, POLL).toContain('moving');
  expect(states().slice(0, 1)).toEqual(['starting']);
  expect(happened()).toContainEqual(
    expect.objectContaining({
      type: 'decision',
      nodeId: 1,
      direction: 'promotion',
      targetNodeId: 0,
      message: expect.stringMatching(/^promotion node 1 -> 0: off -> on, \d+ MiB a pass: /),
    }),
  );

  await expect.poll(() => runtime.status().promotedBytes, POLL).toBeGreaterThan(0);
  await runtime.pause(new Date());
  expect(happened().at(-1)).toMatchObject({ type: 'state', state: 'paused', before: 'moving' });
  await runtime.setPolicy({ ...POLICY, fastUtilization: 0.7, dryRun: true });
  expect(happened().at(-1)).toMatchObject({
    type: 'policy',
    keys: ['fastUtilization', 'dryRun'],
    message: 'policy changed: fastUtilization: 0.95 -> 0.7, dryRun: false -> true',
  });
  await runtime.resume();
  await expect.poll(states, POLL).toContain('settled');

  const past = () => runtime.history({ sinceMs: 60_000, stepMs: 1000 }).nodes;
  await expect
    .poll(() => past().map(({ nodeId, points }) => [nodeId, points.length > 1]), POLL)
    .toEqual([
      [0, true],
      [1, true],
    ]);
  const [fast, slow] = past().map(({ points }) => points);
  expect(slow?.some((point) => point.promotionQuotaBytes > 0)).toBe(true);
  expect(slow?.some((point) => point.promotedBytes > 0)).toBe(true);
  expect(slow?.every((point) => (point.temperatures?.hotBytes ?? 0) > 0)).toBe(true);
  expect(fast?.every((point) => point.promotedBytes === 0 && point.usedBytes > 0)).toBe(true);
});
