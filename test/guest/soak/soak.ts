import { setTimeout as sleep } from 'node:timers/promises';
import type { Guest } from '../guest.ts';
import { mib, slowNode } from '../scenarios.ts';
import type { TierdProcess } from '../tierd-in-guest.ts';
import { startWorkload } from '../workload/workload.ts';
import { followEvents, orderMigrations, readEverything } from './clients.ts';
import { LimitWriter, UtilizationWriter } from './policy-writers.ts';
import type { SoakSample } from './verdict.ts';
import { judge } from './verdict.ts';

const sampleEveryMs = 10_000;

export interface SoakOptions {
  readonly minutes: number;
  /** Receives a line for every look at the daemon. */
  readonly onLine: (line: string) => void;
}

export interface SoakResult {
  readonly isFlat: boolean;
  /** Values of the policy that were set, answered as set, and did not hold. */
  readonly lostUpdates: readonly string[];
  readonly text: string;
}

/**
 * Lets a daemon work under processes that come and go, two programs that change its policy at the same time, readers of all that it
 * tells, followers of its events who leave, and migrations by order. Throws when the daemon ends, or answers what it must not.
 */
export async function soak(guest: Guest, tierd: TierdProcess, { minutes, onLine }: SoakOptions): Promise<SoakResult> {
  const stop = new AbortController();
  const { signal } = stop;
  const writers = [new UtilizationWriter(tierd.api), new LimitWriter(tierd.api)];
  const work = [
    churn(guest, tierd, signal),
    ...writers.map((writer) => writer.run(signal)),
    readEverything(tierd.api, signal),
    followEvents(tierd.api, signal),
  ];
  // The first that fails ends it all.
  const failed = Promise.all(work).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  const samples: SoakSample[] = [];
  const endMs = performance.now() + minutes * 60_000;
  const startMs = performance.now();
  while (performance.now() < endMs) {
    const sample = await sampleOf(guest, tierd, (performance.now() - startMs) / 1000);
    samples.push(sample);
    onLine(
      `${Math.round(sample.seconds)} s: ${(sample.ownBytes / mib).toFixed(1)} MiB of its own, ${sample.openFds} descriptors`,
    );
    const early = await Promise.race([failed, sleep(sampleEveryMs)]);
    if (early !== undefined) throw early.error;
  }
  stop.abort();
  const failure = await failed;
  if (failure !== undefined) throw failure.error;
  const [processes = 0, ...changes] = await Promise.all(work);
  const [byOne, byOther, reads, followers] = changes;
  const lostUpdates = writers.flatMap((writer) => writer.lost);
  const verdict = judge(samples);
  const text = [
    `${processes} processes came and went, ${byOne} + ${byOther} changes of the policy by two writers, ${lostUpdates.length} lost, ${reads} answers read, ${followers} followed the events and left`,
    verdict.text,
  ].join('\n');
  return { isFlat: verdict.isFlat, lostUpdates, text };
}

/** Processes with hot memory come and go, one in four moved by order meanwhile. Gives how many. */
async function churn(guest: Guest, { api }: TierdProcess, signal: AbortSignal): Promise<number> {
  let count = 0;
  for (; !signal.aborted; count += 1) {
    const size = 20 + ((count * 37) % 80);
    const workload = await startWorkload(guest, { name: `churn-${count}`, hot: [{ mib: size, node: slowNode }] });
    if (count % 4 === 3) await orderMigrations(api, workload.latest.pid);
    await sleep(5_000 + ((count * 1_300) % 7_000));
    await workload.stop();
  }
  return count;
}

async function sampleOf(guest: Guest, { api }: TierdProcess, seconds: number): Promise<SoakSample> {
  const { text } = await api.send('GET', '/metrics');
  const openFds = Number(/^process_open_fds (\S+)$/m.exec(text)?.[1]);
  const anonymous = await guest.check(`grep RssAnon /proc/$(pgrep -x node)/status`);
  return { seconds, ownBytes: Number(/(\d+) kB/.exec(anonymous)?.[1]) * 1024, openFds };
}
