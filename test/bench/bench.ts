import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { bundleInto } from '../../scripts/bundle.ts';
import { messageOf } from '../guest/errors.ts';
import { formatGraded } from '../guest/graded-scenarios.ts';
import type { Guest } from '../guest/guest.ts';
import { bootGuest } from '../guest/guest.ts';
import { tail } from '../guest/host-process.ts';
import { progressToStderr } from '../guest/progress.ts';
import { formatMeasurement, scenarios } from '../guest/scenarios.ts';
import { Stage } from '../guest/stage.ts';
import { installWorkload } from '../guest/workload/workload.ts';
import { measureInGuest } from './daemon-cost.ts';
import { compareEngines } from './engine-cost.ts';
import { addPrograms } from './in-guest/programs.ts';
import { GUEST_PACKAGES } from './modes.ts';
import { measureNativeCost } from './native-cost.ts';
import { timeNativeAnswers } from './native-latency.ts';
import type { BenchOptions, Kernel, Part } from './options.ts';
import { GUEST_PARTS, parseOptions, USAGE } from './options.ts';
import { compareNativeScans, comparePageWork, heldLoop } from './page-work.ts';
import { compareGraded, comparePlacement, GRADED_PLACEMENTS, PLACEMENTS } from './placement.ts';
import { report } from './report.ts';
import { timeAnswers, tooSlow } from './rest-latency.ts';
import type { BenchResults } from './results.ts';
import { removeScratch, scratchDirectory } from './scratch.ts';
import { timeNativeSnapshots } from './snapshot-time.ts';
import { compareSnapshotWays } from './snapshot-ways.ts';

const began = performance.now();
const progress = (line: string): void =>
  progressToStderr(`[${((performance.now() - began) / 1000).toFixed(0)} s] ${line}`);

/** One run of the benchmark: what it has found so far, and what it must end. */
class Bench {
  readonly results: Mutable<BenchResults> = {
    conditions: [],
    placement: [],
    graded: [],
    daemonCost: [],
    nativeCost: [],
    snapshots: [],
    pageWork: [],
    engineCost: [],
    snapshotWays: [],
    restLatency: [],
    failures: [],
  };
  readonly #options: BenchOptions;
  #guest: Guest | undefined;
  #interrupted = false;

  constructor(options: BenchOptions) {
    this.#options = options;
    const [cpu] = cpus();
    this.results.conditions.push(
      `this machine: ${cpus().length} x ${cpu?.model.trim() ?? 'unknown CPU'}, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)} when it began`,
    );
  }

  async run(): Promise<void> {
    // First, as a guest takes all CPUs.
    await this.#part('native', async () => {
      this.results.nativeCost.push(await measureNativeCost(progress));
      this.results.snapshots.push(...(await timeNativeSnapshots(progress)));
      const answers = await timeNativeAnswers(progress);
      this.results.restLatency.push(...answers);
      this.results.failures.push(...tooSlow(answers).map((what) => `native, while memory moves: ${what}`));
      const scans = await compareNativeScans(progress);
      this.results.pageWork.push(...scans);
      this.results.failures.push(...heldLoop(scans));
    });
    if (!GUEST_PARTS.some((part) => this.#options.parts.has(part))) return;
    const build = scratchDirectory();
    await bundleInto(build);
    await addPrograms(build);
    for (const kernel of this.#options.kernels) await this.#onKernel(kernel, build);
    removeScratch(build);
  }

  /** Ends the guest; what waits for it fails. */
  async interrupt(): Promise<void> {
    this.#interrupted = true;
    this.results.conditions.push('interrupted: not all was measured');
    await this.#guest?.shutdown();
  }

  async #onKernel(kernel: Kernel, buildDir: string): Promise<void> {
    const guest = await bootGuest({
      kernel,
      topology: 'numa2',
      buildDir,
      extraPackages: GUEST_PACKAGES,
      onProgress: progress,
    });
    this.#guest = guest;
    try {
      await installWorkload(guest);
      this.results.conditions.push(
        `guest ${kernel}: Linux ${guest.release}, 2 emulated CPUs (QEMU TCG, many times slower than hardware), 1 GiB DRAM and 1 GiB slower memory, placement sampled once a second`,
      );
      const stage = await Stage.open(guest);
      for (const placement of PLACEMENTS) {
        await this.#part(placement, async () => {
          for await (const result of comparePlacement(stage, placement)) {
            progress(`${kernel} ${result.mode}: ${formatMeasurement(result)}`);
            this.results.placement.push(result);
          }
        });
      }
      for (const placement of GRADED_PLACEMENTS) {
        await this.#part(placement, async () => {
          for await (const result of compareGraded(stage, placement)) {
            progress(`${kernel} ${result.mode}: ${formatGraded(result, [0.95 * result.possibleShare])}`);
            this.results.graded.push(result);
          }
        });
      }
      await this.#part('daemon', async () => {
        const { cost, snapshots } = await measureInGuest(stage, progress);
        this.results.daemonCost.push(cost);
        this.results.snapshots.push(...snapshots);
      });
      await this.#part('move-pages', async () => {
        this.results.pageWork.push(...(await comparePageWork(guest, progress)));
      });
      await this.#part('snapshot-ways', async () => {
        this.results.snapshotWays.push(...(await compareSnapshotWays(guest, progress)));
      });
      await this.#part('rest', async () => {
        this.results.restLatency.push(...(await timeAnswers(stage, progress)));
      });
      for (const scenario of ['room', 'full'] as const) {
        await this.#part(`engines-${scenario}`, async () => {
          this.results.engineCost.push(...(await compareEngines(stage, scenarios[scenario], progress)));
        });
      }
    } finally {
      await guest.shutdown();
      this.#guest = undefined;
    }
  }

  /** What fails is told, and the rest goes on. */
  async #part(part: Part, work: () => Promise<void>): Promise<void> {
    if (!this.#options.parts.has(part) || this.#interrupted) return;
    const guest = this.#guest;
    if (guest?.running === false) {
      this.results.failures.push(`${part} on ${guest.kernel}: not begun, the guest had ended`);
      return;
    }
    let late = '';
    // A guest that hangs would be waited for without end; without it, every wait ends.
    const timer = setTimeout(() => {
      late = `no end after ${PART_LIMIT_MS / 1000} s; the guest's last words:\n${tail(guest?.console ?? '', 10)}\n`;
      void guest?.shutdown();
    }, PART_LIMIT_MS);
    try {
      await work();
    } catch (error) {
      if (this.#interrupted) return;
      const failure = `${part}${guest === undefined ? '' : ` on ${guest.kernel}`}: ${late}${messageOf(error)}`;
      progress(`failed: ${failure}`);
      this.results.failures.push(failure);
    } finally {
      clearTimeout(timer);
    }
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

function print({ results }: Bench, jsonFile: string | undefined): void {
  process.stdout.write(`${report(results)}\n`);
  if (jsonFile === undefined) process.stdout.write(`${JSON.stringify(results)}\n`);
  else writeFileSync(jsonFile, `${JSON.stringify(results, null, 2)}\n`);
}

/** Four runs of a workload, or the daemon's hundred seconds and its snapshots, with all that is around them. */
const PART_LIMIT_MS = 1_200_000;

const SIGNAL_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

async function main(options: BenchOptions): Promise<number> {
  const bench = new Bench(options);
  const signal = new Promise<number>((resolve) => {
    // Not once: tsx hands on what the terminal has sent already, and a second one would end this before it has cleaned up.
    for (const [name, code] of Object.entries(SIGNAL_CODES)) process.on(name, () => resolve(code));
  });
  const done = bench.run().then(() => (bench.results.failures.length === 0 ? 0 : 1));
  const code = await Promise.race([done, signal]);
  // A guest that is still booting ends with this process.
  if (code > 1) await bench.interrupt();
  print(bench, options.json);
  return code;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(USAGE);
  process.exit(options === undefined ? 0 : await main(options));
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exit(1);
}
