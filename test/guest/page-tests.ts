import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { eventually } from './eventually.ts';
import { counters } from './guest-memory.ts';
import { fastNode, hotShareOf, mib, sampleNow, scenarios, slowNode } from './scenarios.ts';
import type { Stage } from './stage.ts';
import type { LogEntry } from './tierd-in-guest.ts';
import type { Workload } from './workload/workload.ts';

const slow = (size: number) => [{ mib: size, node: slowNode }];
const engine = 'move_pages';

interface OrderMet {
  /** MiB. */
  readonly moved: number;
  readonly ordered: number;
  /** The engine has looked everywhere and found no more to move. */
  readonly isExhausted: boolean;
}

/** How far the engine met each promotion that was ordered, from its log. */
function ordersMet(log: readonly LogEntry[]): readonly OrderMet[] {
  return log.flatMap(({ message }) => {
    const found = /^promotion node 1 -> 0: moved (\S+) of (\S+) MiB/.exec(message);
    if (found === null) return [];
    const [, moved, ordered] = found;
    return [{ moved: Number(moved), ordered: Number(ordered), isExhausted: message.endsWith('; no more there') }];
  });
}

/** What the move_pages engine does with single pages. */
export function pageTests(stage: () => Stage): void {
  it('meets what the tuner orders, and answers the API meanwhile', async () => {
    await stage().place(scenarios.room);
    const tierd = await stage().startTierd({ engine, logLevel: 'debug' });
    const answersMs: number[] = [];
    while (hotShareOf(sampleNow(stage().workloads)) < 0.99 && answersMs.length < 200) {
      const asked = performance.now();
      await tierd.api.send('GET', '/v1/status');
      answersMs.push(performance.now() - asked);
      await sleep(100);
    }
    const ticks = ordersMet(await tierd.log());
    const p99 = answersMs.toSorted((a, b) => a - b)[Math.floor(answersMs.length * 0.99)] ?? 0;
    console.log(
      `${stage().guest.kernel} move_pages: moved of ordered MiB, tick by tick: ${ticks.map(({ moved, ordered, isExhausted }) => `${moved}/${ordered}${isExhausted ? ' no more' : ''}`).join(', ')}; ` +
        `${answersMs.length} answers of /v1/status, p99 ${p99.toFixed(0)} ms`,
    );
    await stage().explain(() => {
      // The first step is a guess at how fast this machine is; an emulated one stalls at times.
      const paced = ticks.slice(ticks.findIndex(({ moved }) => moved > 0) + 1);
      const isMet = ({ moved, ordered }: OrderMet) => moved >= 0.9 * ordered && moved <= 1.1 * ordered;
      const short = paced.filter((tick) => !tick.isExhausted && !isMet(tick));
      expect(paced.filter(isMet).length).toBeGreaterThan(2);
      expect(short.length).toBeLessThanOrEqual(0.2 * paced.length);
      // There is too little only when nearly all has been moved: DAMON's regions still call it hot where the last of it was.
      const total = ticks.reduce((sum, { moved }) => sum + moved, 0);
      const firstExhausted = paced.findIndex((tick) => tick.isExhausted && !isMet(tick));
      const left = firstExhausted < 0 ? [] : paced.slice(firstExhausted);
      expect(left.reduce((sum, { moved }) => sum + moved, 0)).toBeLessThanOrEqual(0.15 * total);
      // Emulated, and beside whatever else this machine does.
      expect(p99).toBeLessThan(800);
    });
  });

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
      expect((await counters(stage().guest)).migratedBytes - migratedBefore).toBeLessThanOrEqual(1.3 * 100 * mib);
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

  it('moves only what is in scope', async () => {
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

      const anonymous = await guest.check(`grep -h ' anon=' /proc/$(pgrep -x node)/numa_maps`);
      const pagesOn = (node: number) =>
        [...anonymous.matchAll(new RegExp(`\\bN${node}=(\\d+)`, 'g'))].reduce(
          (sum, [, pages]) => sum + Number(pages),
          0,
        );
      console.log(
        `${guest.kernel} own memory: ${pagesOn(fastNode)} pages on the fast node, ${pagesOn(slowNode)} on the slow one`,
      );
      expect(pagesOn(slowNode)).toBeGreaterThan(pagesOn(fastNode));
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
    const measured = await stage().play(scenarios.room, { untilHotShare: 0.95, timeoutMs: 30_000 }, async () => {
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
