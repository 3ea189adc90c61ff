import { describeChanges } from './changes.ts';
import type { DiscoveryOptions } from './composition.ts';
import { discoverTopology } from './discover.ts';
import { readKernelTiers } from './kernel-tiers.ts';
import { parseList } from './list-format.ts';
import { readCpus } from './node-attributes.ts';
import { readNodeMemory } from './node-memory.ts';
import { OptionalValues } from './optional-values.ts';
import type { SysFs } from './sysfs.ts';
import type { Topology } from './topology.ts';

/** The part of a pino logger the watcher uses. */
interface HotplugLog {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface HotplugOptions extends DiscoveryOptions {
  /** Called once per change, with the new topology and a sentence for people; again, at the next polls, when it fails. */
  readonly onChange: (topology: Topology, description: string) => void | Promise<void>;
  readonly log: HotplugLog;
  readonly intervalMs?: number;
  /** Every so many polls the whole topology is read even when nothing seems to have changed. */
  readonly fullReadEvery?: number;
}

/**
 * Notices memory, nodes, CXL regions and CPUs that come and go. The kernel sends no event for a memory block's state that
 * could be awaited without udev, so it polls: a few small files each time, and the whole topology only when one of them has
 * changed. Every change is told as it is found: a CXL node coming up is told at 128 MiB and again at each further block.
 */
export class HotplugWatcher {
  readonly #sysfs: SysFs;
  readonly #options: HotplugOptions;
  #topology: Topology | undefined;
  /** Changes are measured from here, so that many small ones are told once they add up. */
  #told: Topology | undefined;
  #fingerprint = '';
  #pollsUnchanged = 0;
  #failing = false;
  /** Why the newest change could not be followed. */
  #untold: string | undefined;
  #stopped = true;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;

  constructor(sysfs: SysFs, options: HotplugOptions) {
    this.#sysfs = sysfs;
    this.#options = options;
  }

  /** The newest topology read; it may be newer than the last one told, in what `describeChanges` leaves out. */
  get topology(): Topology | undefined {
    return this.#topology;
  }

  /** Begins to poll; what differs from `known` is the first change told. The timer does not keep the process alive. */
  start(known: Topology): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#topology = known;
    this.#told = known;
    // No fingerprint belongs to it yet: the first poll reads everything, and misses nothing that changed in between.
    this.#fingerprint = '';
    this.#schedule();
  }

  /** Ends polling; resolves when a poll under way, and the `onChange` it called, have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#polling;
  }

  /** Looks once, now. Never rejects: failures are logged, a row of them once. */
  async poll(): Promise<void> {
    this.#polling ??= this.#look().finally(() => {
      this.#polling = undefined;
    });
    await this.#polling;
  }

  /** Reads everything once, now, because something else than the kernel has news. */
  async reread(): Promise<void> {
    await this.#polling;
    this.#fingerprint = '';
    await this.poll();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      void this.poll().finally(() => this.#schedule());
    }, this.#options.intervalMs ?? 3000);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    let after: Topology | undefined;
    try {
      after = await this.#readIfChanged();
      if (this.#failing) this.#options.log.info({}, 'the memory topology can be read again');
      this.#failing = false;
    } catch (error) {
      // Files vanish under a reader at hot-plug; the next poll looks again.
      if (!this.#failing) this.#options.log.error({ err: error }, 'cannot read the memory topology, trying again');
      this.#failing = true;
      this.#fingerprint = '';
    }
    if (after === undefined || this.#stopped) return;
    this.#topology = after;
    const changes = this.#told === undefined ? [] : describeChanges(this.#told, after);
    if (changes.length === 0) return;
    const before = this.#told;
    this.#told = after;
    try {
      await this.#options.onChange(after, changes.join('; '));
      this.#untold = undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#untold)
        this.#options.log.error({ err: error, changes }, 'cannot follow a change of the memory topology, trying again');
      this.#untold = reason;
      this.#told = before;
      this.#fingerprint = '';
    }
  }

  async #readIfChanged(): Promise<Topology | undefined> {
    const fingerprint = await readFingerprint(this.#sysfs);
    this.#pollsUnchanged = fingerprint === this.#fingerprint ? this.#pollsUnchanged + 1 : 0;
    this.#fingerprint = fingerprint;
    // Once more after a change: a block's memory counts a moment before its state says "online".
    const settled = this.#pollsUnchanged >= 2;
    if (settled && this.#pollsUnchanged % (this.#options.fullReadEvery ?? 100) !== 0) return undefined;
    return discoverTopology(this.#sysfs, this.#options);
  }
}

/**
 * A text that changes when the topology does, from a few reads a node. A node's MemTotal changes with each block that goes on- or
 * offline, so the blocks' states (thousands on a terabyte host) need no reading; one block swapped for another between two
 * polls is left to the regular full read.
 */
async function readFingerprint(sysfs: SysFs): Promise<string> {
  const path = '/sys/devices/system/node/online';
  const nodeIds = parseList(await sysfs.read(path), path);
  const memory = await readNodeMemory(sysfs, nodeIds);
  return JSON.stringify([
    nodeIds.map((nodeId) => [nodeId, memory.get(nodeId)?.totalBytes]),
    [...(await readCpus(sysfs, nodeIds))],
    (await sysfs.list('/sys/bus/cxl/devices')).filter((name) => /^(?:region|mem)\d+$/.test(name)),
    await sysfs.list('/sys/bus/dax/devices'),
    await new OptionalValues().read(() => readKernelTiers(sysfs)),
  ]);
}
