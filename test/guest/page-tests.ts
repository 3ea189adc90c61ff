import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { cpuOf } from '../bench/guest-cpu.ts';
import { eventually } from './eventually.ts';
import { anonymousPages, counters } from './guest-memory.ts';
import { ONCE } from './safety.ts';
import { fastNode, hotShareOf, mib, sampleNow, scenarios, slowNode } from './scenarios.ts';
import type { Stage } from './stage.ts';
import type { LogEntry } from './tierd-in-guest.ts';
import type { Workload } from './workload/workload.ts';

const slow = (size: number) => [{ mib: size, node: slowNode }];
const engine = 'move_pages';

interface OrderMet {
  readonly direction: string;
  /** MiB. */
  readonly moved: number;
  readonly ordered: number;
  /** Why not all has moved, in the engine's words. */
  readonly reason: string | undefined;
  /** When it had ended, by the guest's clock. */
  readonly time: number;
}

/** Where CPUs are emulated Node compiles for so long, and orders are cut short meanwhile. */
const warmUpSeconds = 30;

const reasons =
  /; (no more there|node \d+ is full|cut short by [^;]+|page maps not read to the end|too much would not move)$/;

/** How far the engine met each order, from its log. */
function ordersMet(log: readonly LogEntry[]): readonly OrderMet[] {
  return log.flatMap(({ message, time }) => {
    const found = /^(promotion|demotion) node \d+ -> \d+: moved (\S+) of (\S+) MiB/.exec(message);
    if (found === null) return [];
    const [, direction = '', moved, ordered] = found;
    return [{ direction, moved: Number(moved), ordered: Number(ordered), reason: reasons.exec(message)?.[1], time }];
  });
}

const isMet = ({ moved, ordered }: OrderMet) => moved >= 0.9 * ordered && moved <= 1.1 * ordered;

/** What the move_pages engine does with single pages. */
export function pageTests(stage: () => Stage): void {
  it('meets each order up and down to a tenth, or tells why it has not, and answers the API meanwhile', async () => {
    await stage().place(scenarios.full);
    const tierd = await stage().startTierd({ engine, logLevel: 'debug' });
    const answersMs: number[] = [];
    const deadline = Date.now() + 120_000;
    while (hotShareOf(sampleNow(stage().workloads)) < 0.95 && Date.now() < deadline) {
      const asked = performance.now();
      await tierd.api.send('GET', '/v1/status');
      answersMs.push(performance.now() - asked);
      await sleep(100);
    }
    const orders = ordersMet(await tierd.log());
    const p99 = answersMs.toSorted((a, b) => a - b)[Math.floor(answersMs.length * 0.99)] ?? 0;
    const told = orders.map(
      ({ direction, moved, ordered, reason }) =>
        `${direction === 'promotion' ? 'up' : 'down'} ${moved}/${ordered}${reason === undefined ? '' : ` (${reason})`}`,
    );
    console.log(
      `${stage().guest.kernel} move_pages: moved of ordered MiB, order by order: ${told.join(', ')}; ` +
        `${answersMs.length} answers of /v1/status, p99 ${p99.toFixed(0)} ms`,
    );
    await stage().explain(() => {
      expect(hotShareOf(sampleNow(stage().workloads))).toBeGreaterThanOrEqual(0.9);
      for (const direction of ['promotion', 'demotion']) {
        const given = orders.filter((order) => order.direction === direction);
        // The first step is a guess at how fast this machine is.
        const paced = given.slice(given.findIndex(({ moved }) => moved > 0) + 1);
        expect(paced.filter(isMet).length, `${direction} orders that were met`).toBeGreaterThan(2);
        expect(paced.filter((order) => !isMet(order) && order.reason === undefined)).toEqual([]);
        // No reason excuses too much.
        expect(paced.filter(({ moved, ordered }) => moved > 1.1 * ordered)).toEqual([]);
        // An emulated machine stalls at times, and the next decision does not wait for long.
        const warm = paced.filter(({ time }) => time > tierd.readyTime + warmUpSeconds);
        const cutShort = warm.filter((order) => !isMet(order) && order.reason?.startsWith('cut short') === true);
        expect(cutShort.length).toBeLessThanOrEqual(Math.max(1, warm.length / 3));
      }
      // There is too little to promote only when nearly all has been moved: DAMON's regions still call it hot where the last of it was.
      const promotions = orders.filter(({ direction }) => direction === 'promotion');
      const sumOf = (some: readonly OrderMet[]) => some.reduce((sum, { moved }) => sum + moved, 0);
      const firstExhausted = promotions.findIndex((order) => order.reason === 'no more there' && !isMet(order));
      const left = firstExhausted < 0 ? [] : promotions.slice(firstExhausted);
      expect(sumOf(left)).toBeLessThanOrEqual(0.15 * sumOf(promotions));
      // Emulated, and beside whatever else this machine does.
      expect(p99).toBeLessThan(800);
    });
  });

  it('takes as much of a core as maxCpuShare while it moves memory, to within a tenth', async () => {
    const { guest } = stage();
    await stage().place(scenarios.room);
    // What watching costs counts too, and is much on an emulated machine: few regions, seldom.
    const monitoring = { samplingIntervalMs: 200, aggregationIntervalMs: 4000, minRegions: 50, maxRegions: 200 };
    const { api, pid } = await stage().startTierd({ engine, monitoring, movePages: { maxCpuShare: 0.2 } });
    const hotShare = () => hotShareOf(sampleNow(stage().workloads));
    const shareOfCore = async (isOver: () => boolean) => {
      const before = await cpuOf(guest, [String(pid)]);
      // One call can take a second where another CPU stands still, and is paid back in five.
      const deadline = Date.now() + 40_000;
      while (!isOver() && Date.now() < deadline) await sleep(200);
      const after = await cpuOf(guest, [String(pid)]);
      const cpuSeconds = ({ times: [time] }: typeof before) =>
        (time?.user ?? Number.NaN) + (time?.system ?? Number.NaN);
      const seconds = after.uptime - before.uptime;
      return { share: (cpuSeconds(after) - cpuSeconds(before)) / seconds, seconds };
    };
    await stage().explain(async () => {
      // First Node compiles, beside the work and in its pauses, for seconds where CPUs are emulated.
      await eventually('memory moves', 120_000, () => hotShare() > 0.15);
      const begun = hotShare();
      const moving = await shareOfCore(() => hotShare() >= 0.9);
      const came = hotShare() - begun;
      await api.send('POST', '/v1/pause');
      await sleep(2_000);
      const end = Date.now() + 8_000;
      const watching = await shareOfCore(() => Date.now() > end);
      console.log(
        `${guest.kernel} maxCpuShare 0.2: ${moving.share.toFixed(3)} of a core in ${moving.seconds.toFixed(1)} s, while ${(100 * came).toFixed(0)} % of the hot memory came up; ${watching.share.toFixed(3)} for watching alone`,
      );
      expect(moving.seconds).toBeGreaterThanOrEqual(4);
      expect(came).toBeGreaterThan(0.1);
      expect(moving.share).toBeGreaterThanOrEqual(0.18);
      // Half of it is left to work, also on a machine so slow that watching takes more than the other half.
      expect(moving.share).toBeLessThanOrEqual(1.1 * Math.max(0.2, 0.1 + watching.share));
    });
  });

  it('moves only what is in scope', ONCE, async () => {
    const inSlice = (name: string) => ({
      name,
      hot: slow(100),
      prefix: `systemd-run --quiet --scope --slice=${name}.slice`,
    });
    await stage().place({ name: 'scope', title: '', processes: [inSlice('tierdin'), inSlice('tierdout')] });
    await stage().startTierd({ engine, cgroups: { include: ['/tierdin.slice'] } });
    const fastBytes = (index: number) => workload(stage(), index).latest.hotBytes.get(fastNode) ?? 0;
    await stage().explain(async () => {
      await eventually('the hot memory in scope is fast', 60_000, () => fastBytes(0) >= 98 * mib);
      await sleep(10_000);
      expect(fastBytes(1)).toBe(0);
    });
  });
}

/** What it does with pages that are more than one, or in more than one process. */
export function hugeAndSharedPageTests(stage: () => Stage): void {
  it('huge pages move whole, and once', async () => {
    await stage().place({ name: 'huge', title: '', processes: [{ name: 'huge', hot: slow(100), hugePages: true }] });
    const hugeBytes = () => hugeBytesOf(stage());
    const before = await hugeBytes();
    expect(before).toBeGreaterThanOrEqual(98 * mib);
    const migratedBefore = (await counters(stage().guest)).migratedBytes;
    await stage().startTierd({ engine });
    await stage().explain(async () => {
      await eventually('the hot memory is fast', 60_000, () => hotShareOf(sampleNow(stage().workloads)) >= 0.98);
      expect(await hugeBytes()).toBeGreaterThanOrEqual(before - 2 * mib);
      expect((await counters(stage().guest)).migratedBytes - migratedBefore).toBeLessThanOrEqual(1.1 * before);
    });
  });

  it('memory that two processes share moves once', async () => {
    await stage().place({ name: 'shared', title: '', processes: [{ name: 'shared', hot: slow(100), shared: true }] });
    const migratedBefore = (await counters(stage().guest)).migratedBytes;
    const { api } = await stage().startTierd({ engine });
    await stage().explain(async () => {
      await eventually('the hot memory is fast', 60_000, () => hotShareOf(sampleNow(stage().workloads)) >= 0.98);
      const { pages } = await api.status();
      expect(pages?.failedBytes).not.toHaveProperty('EACCES');
      expect((await counters(stage().guest)).migratedBytes - migratedBefore).toBeLessThanOrEqual(1.1 * 100 * mib);
    });
  });
}

/** Memory nodes measured from buffers bound to them. */
export function probeTests(stage: () => Stage): void {
  it('measures both nodes while it runs, remembers it, and can keep its own memory off the fast one', async () => {
    const { guest } = stage();
    const tierd = await stage().startTierd({ engine, ownMemory: 'slow' });
    await stage().explain(async () => {
      const answer = await tierd.api.send('POST', '/v1/probe');
      expect(answer.status).toBe(200);
      const { nodes } = await tierd.api.topology();
      for (const { measured } of nodes) {
        expect(measured).toMatchObject({ source: 'probe' });
        expect(measured?.readLatencyNs).toBeGreaterThan(1);
        expect(measured?.readBandwidthMiBps).toBeGreaterThan(1);
        expect(measured?.writeBandwidthMiBps).toBeGreaterThan(1);
      }
      console.log(
        `${guest.kernel} probe: ${nodes.map(({ nodeId, measured }) => `node ${nodeId} ${JSON.stringify(measured)}`).join(', ')}`,
      );
      // Firmware's figures have precedence.
      expect(nodes.map(({ speedSource }) => speedSource)).toEqual(['hmat', 'hmat']);
      expect((await guest.check('ls /var/lib/tierd')).split('\n')).toContain('probe.json');

      const pagesOn = await anonymousPages(guest, tierd.pid);
      console.log(
        `${guest.kernel} own memory: ${pagesOn(fastNode)} pages on the fast node, ${pagesOn(slowNode)} on the slow one`,
      );
      expect(pagesOn(slowNode)).toBeGreaterThanOrEqual(0.9 * (pagesOn(slowNode) + pagesOn(fastNode)));
    });
  }, 300_000);
}

/** With all hidden that a kernel of Linux 6.1 with DAMON has not. */
export function olderKernelTests(stage: () => Stage): void {
  // The access trace is read on every kernel; tried_regions, which came with 6.2, on none: hidden all the same, so that nothing begins to lean on it.
  it('room: on a kernel without migrate actions and filters', async () => {
    const lacking =
      'migrateActions,youngFilter,memcgFilter,filters,applyInterval,allowFilters,splitFilters,addrUnit,effectiveBytes,commitsTargetNid,triedRegions,' +
      'damos_before_apply,user_input,some_mem_psi_us';
    const measured = await stage().play(scenarios.room, { untilHotShare: 0.95, timeoutMs: 120_000 }, async () => {
      const tierd = await stage().startTierd({}, `TIERD_FEATURE_MASK=${lacking}`);
      expect((await tierd.api.status()).engine).toBe('move_pages');
      return tierd;
    });
    await stage().explain(() => {
      expect(measured.secondsTo[95]).not.toBeNull();
      expect(measured.coldStayedShare).toBeGreaterThanOrEqual(0.98);
      expect(measured.migratedBytes).toBeLessThanOrEqual(1.3 * measured.leastBytes);
    });
  });
}

function workload(stage: Stage, index: number): Workload {
  const found = stage.workloads[index];
  if (found === undefined) throw new Error(`there is no workload ${index}`);
  return found;
}

async function hugeBytesOf(stage: Stage): Promise<number> {
  const { pid } = workload(stage, 0).latest;
  const line = await stage.guest.check(`grep AnonHugePages /proc/${pid}/smaps_rollup`);
  return Number(/(\d+) kB/.exec(line)?.[1]) * 1024;
}
