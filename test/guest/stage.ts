import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from './api-client.ts';
import type { GradedMeasurement, GradedMeasureOptions, GradedScenario } from './graded-scenarios.ts';
import { measureGraded, measureRedrawn } from './graded-scenarios.ts';
import type { Guest } from './guest.ts';
import { nodeMemory } from './guest-memory.ts';
import type { Measurement, MeasureOptions, Scenario } from './scenarios.ts';
import { fastNode, formatMeasurement, hotShareOf, measure, mib, place, samplesOf } from './scenarios.ts';
import type { LaunchOptions, Tierd } from './tierd-in-guest.ts';
import { TierdProcess, TierdService } from './tierd-in-guest.ts';
import type { GradedWorkload } from './workload/graded.ts';
import { startGraded } from './workload/graded.ts';
import type { Workload } from './workload/workload.ts';

/** Free memory may be so much less than before a scenario: slabs, page cache in use. */
const slackBytes = 48 * mib;

/** A guest on which one scenario after the other is played: each finds it as empty as the first did. */
export class Stage {
  readonly guest: Guest;
  readonly #nodeIds: readonly number[];
  readonly #emptyBytes: ReadonlyMap<number, number>;
  #workloads: Workload[] = [];
  #graded: GradedWorkload | undefined;
  #tierd: Tierd | undefined;
  #measured: Measurement | undefined;

  private constructor(guest: Guest, emptyBytes: ReadonlyMap<number, number>) {
    this.guest = guest;
    this.#nodeIds = [...emptyBytes.keys()];
    this.#emptyBytes = emptyBytes;
  }

  /** Takes a guest on which nothing runs yet. */
  static async open(guest: Guest, nodeIds: readonly number[] = [0, 1]): Promise<Stage> {
    await dropCaches(guest);
    const empty = new Map<number, number>();
    for (const nodeId of nodeIds) empty.set(nodeId, (await nodeMemory(guest, nodeId)).freeBytes);
    return new Stage(guest, empty);
  }

  get workloads(): readonly Workload[] {
    return this.#workloads;
  }

  /** The API of the daemon at work. */
  get api(): ApiClient {
    return this.#started.api;
  }

  /** What it warns of. */
  complaints(): Promise<readonly string[]> {
    return this.#started.complaints();
  }

  get #started(): Tierd {
    if (this.#tierd === undefined) throw new Error('no daemon was started');
    return this.#tierd;
  }

  /** Puts a scenario's memory in place. */
  async place(scenario: Scenario): Promise<readonly Workload[]> {
    this.#workloads.push(...(await place(this.guest, scenario)));
    return this.#workloads;
  }

  /** Puts memory of graded heat in place. */
  async placeGraded(scenario: GradedScenario): Promise<GradedWorkload> {
    this.#graded = await startGraded(this.guest, scenario);
    return this.#graded;
  }

  /** Starts the daemon and waits until it is ready. */
  async startTierd(config: object = {}, environment = '', options: LaunchOptions = {}): Promise<TierdProcess> {
    return (await this.launchTierd(config, environment, options)).waitForReady();
  }

  /** Starts it as its service, and waits until it is ready. */
  async startService(config: object): Promise<TierdService> {
    const tierd = await TierdService.install(this.guest);
    this.#tierd = tierd;
    await tierd.configure(config);
    return tierd.start();
  }

  /** Starts the daemon. */
  async launchTierd(config: object = {}, environment = '', options: LaunchOptions = {}): Promise<TierdProcess> {
    const tierd = await TierdProcess.launch(this.guest, config, environment, options);
    this.#tierd = tierd;
    return tierd;
  }

  /** Places a scenario, starts a daemon (of its own process when not told how), and measures. */
  async play(
    scenario: Scenario,
    options: MeasureOptions,
    start: () => Promise<Tierd> = () => this.startTierd(),
  ): Promise<Measurement> {
    await this.place(scenario);
    const startTiering = async (): Promise<number> => {
      this.#tierd = await start();
      return this.#tierd.readyTime;
    };
    this.#measured = await measure(this.guest, scenario, this.#workloads, startTiering, options);
    console.log(`${this.guest.kernel} ${this.guest.topology} ${formatMeasurement(this.#measured)}`);
    return this.#measured;
  }

  /** The same with memory of graded heat. */
  async playGraded(
    scenario: GradedScenario,
    options: GradedMeasureOptions,
    start: () => Promise<Tierd> = () => this.startTierd(),
  ): Promise<GradedMeasurement> {
    const workload = await this.placeGraded(scenario);
    const startTiering = async (): Promise<number> => {
      this.#tierd = await start();
      return this.#tierd.readyTime;
    };
    return measureGraded(this.guest, scenario, workload, startTiering, options);
  }

  /** Draws anew which of that memory is how hot. */
  async playRedrawn(scenario: GradedScenario, options: GradedMeasureOptions): Promise<GradedMeasurement> {
    if (this.#graded === undefined) throw new Error('no memory of graded heat is in place');
    return measureRedrawn(this.guest, scenario, this.#graded, options);
  }

  /** Runs checks; when one fails, what was measured, the daemon's state and its log are told with it. */
  async explain<T>(checks: () => T | Promise<T>): Promise<T> {
    try {
      return await checks();
    } catch (error) {
      if (error instanceof Error) error.message += `\n${await this.#describe()}`;
      throw error;
    }
  }

  async #describe(): Promise<string> {
    const parts: string[] = [];
    const after = (time: number): string => `${(time - (this.#tierd?.readyTime ?? 0)).toFixed(1)} s`;
    if (this.#measured !== undefined) parts.push(formatMeasurement(this.#measured));
    if (this.#workloads.length > 0) {
      const rows = samplesOf(this.#workloads, 0).map((sample) => {
        return `${after(sample.time)}: hot ${hotShareOf(sample).toFixed(3)} fast, cold ${Math.round(sample.coldFastBytes / mib)} MiB fast`;
      });
      parts.push(`--- memory\n${atMost60(rows)}`);
    }
    if (this.#graded !== undefined) {
      const rows = this.#graded.reports.map(
        ({ event, time, shares, bytes }) =>
          `${after(time)}: ${event === 'report' ? '' : `${event}, `}fast serves ${(shares.get(fastNode) ?? 0).toFixed(3)} with ${Math.round((bytes.get(fastNode) ?? 0) / mib)} MiB`,
      );
      parts.push(`--- memory of graded heat\n${atMost60(rows)}`);
    }
    if (this.#tierd !== undefined) parts.push(await this.#tierd.describe());
    return parts.join('\n');
  }

  /** Ends the workloads, and leaves the daemon at work. */
  async clearWorkloads(): Promise<void> {
    const workloads = this.#takeWorkloads();
    for (const workload of workloads) await workload.stop();
  }

  /** Ends the daemon and the workloads; throws when one of them did not end well, or memory does not come back. */
  async clear(): Promise<void> {
    const tierd = this.#tierd;
    const workloads = this.#takeWorkloads();
    this.#tierd = undefined;
    this.#measured = undefined;
    const ends = await Promise.allSettled([tierd?.stop(), ...workloads.map((workload) => workload.stop())]);
    const failure = ends.find((end) => end.status === 'rejected');
    await this.#waitUntilEmpty();
    if (failure !== undefined) throw failure.reason;
  }

  #takeWorkloads(): readonly (Workload | GradedWorkload)[] {
    const workloads = [...this.#workloads, ...(this.#graded === undefined ? [] : [this.#graded])];
    this.#workloads = [];
    this.#graded = undefined;
    return workloads;
  }

  async #waitUntilEmpty(): Promise<void> {
    for (const deadline = Date.now() + 60_000; ; await sleep(500)) {
      await dropCaches(this.guest);
      const lacking: string[] = [];
      for (const nodeId of this.#nodeIds) {
        const { freeBytes } = await nodeMemory(this.guest, nodeId);
        const empty = this.#emptyBytes.get(nodeId) ?? 0;
        if (freeBytes < empty - slackBytes) {
          lacking.push(`node ${nodeId}: ${Math.round(freeBytes / mib)} of ${Math.round(empty / mib)} MiB free`);
        }
      }
      if (lacking.length === 0) return;
      // Cold memory of the system itself was demoted too, and nothing brings it back.
      await this.guest.run(
        `for pid in $(ps -e -o pid=); do migratepages $pid ${this.#nodeIds.slice(1).join(',')} 0 2>/dev/null; done`,
      );
      if (Date.now() > deadline) throw new Error(`the guest does not become empty again: ${lacking.join(', ')}`);
    }
  }
}

/** At most so many of the rows, evenly, and the last. */
function atMost60(rows: readonly string[]): string {
  const step = Math.max(1, Math.ceil(rows.length / 60));
  return rows.filter((_, index) => index % step === 0 || index === rows.length - 1).join('\n');
}

async function dropCaches(guest: Guest): Promise<void> {
  await guest.check('sync; echo 3 >/proc/sys/vm/drop_caches');
}
