import { bootId } from '../../numa/kernel-identity.ts';
import { parseList } from '../../numa/list-format.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { isGone, SysFsError } from '../../numa/sysfs.ts';
import type { DesiredKdamond, DesiredScheme, SchemeStats } from '../scheme.ts';
import { kdamondOff } from '../scheme-off.ts';
import { Serial } from '../serial.ts';
import type { AdminOptions } from './admin.ts';
import { DamonAdmin } from './admin.ts';
import { DamonRejectedError, DamonUnavailableError, KdamondDiedError, NoSpareKdamondError } from './errors.ts';
import type { ProbedFeatures } from './features.ts';
import { maskFeatures, probeFeatures } from './features.ts';
import { DAMON_STAT_ENABLED, findOwnKdamonds, refuseExclusiveModules, refuseForeignKdamonds } from './ownership.ts';
import type { Receipt, ReceiptKdamond } from './receipt.ts';
import type { SaveReceipt, SaveUrgency } from './receipt-keeper.ts';
import type { FileWrite } from './tree.ts';
import {
  initialRegions,
  isInReceipt,
  kdamondWrites,
  makesChildren,
  noteWritten,
  pendingWrites,
  watchedRanges,
} from './tree.ts';
import type { RestoreFailure, TreeRecord } from './tree-record.ts';
import { recordTree, restoreTree } from './tree-record.ts';

export interface DamonDriverOptions extends AdminOptions {
  readonly sysfs: SysFs;
  /** Once kdamonds run, one that cannot be saved must not stand in their way: only the saves before DAMON is touched ask for `durably`. */
  readonly saveReceipt: SaveReceipt;
  /** May DAMON_STAT be switched off while tierd runs? Default true; it is switched on again at stop. */
  readonly mayStopDamonStat?: boolean;
  /** Kdamond directories made beyond those started, for nodes that are hot-plugged; by default for all that may come. */
  readonly spareSlots?: number;
  /** For tests: features to pretend absent. */
  readonly featureMask?: readonly string[];
}

/** A kdamond that the driver runs. */
export interface RunningKdamond {
  /** Its directory: kdamonds/INDEX. */
  readonly index: number;
  readonly pid: number;
  readonly desired: DesiredKdamond;
}

export interface Prepared {
  readonly features: ProbedFeatures;
  /** Kdamonds of the receipt that go on; nothing needs to be started when there are any, only applied. */
  readonly adopted: readonly RunningKdamond[];
  /** Of these, the ones that had died and were started anew. */
  readonly restarted: readonly number[];
}

export interface Started {
  readonly running: readonly RunningKdamond[];
  /** Those that did not start; startOne() tries one again. */
  readonly failed: readonly { readonly nodeId: number; readonly error: unknown }[];
}

export interface ApplyResult {
  /** Files written; 0: nothing had changed and nothing was committed. */
  readonly writes: number;
  /** The kdamond was stopped and started (its region history is lost) because this kernel's commit cannot do the change. */
  readonly restarted: boolean;
}

export interface KdamondHealth {
  readonly index: number;
  readonly nodeId: number;
  readonly pid: number;
  /** False: it died, or somebody switched it off or replaced it. */
  readonly alive: boolean;
}

interface Slot {
  readonly index: number;
  pid: number;
  desired: DesiredKdamond;
  /** What the files hold, as far as we know: the base of the next difference. */
  readonly written: Map<string, string>;
  /** Passes of each scheme since the kdamond started, as last read. */
  passes: readonly number[];
  /** Of these, how many each had made when its order was last renewed. */
  renewedAt: readonly number[];
  /** Files were written that the kdamond has not taken yet. */
  uncommitted: boolean;
  dead: boolean;
}

/** Slots kept free for hot-plugged nodes. Some kernels say that 1024 nodes may come. */
const LEAST_SPARE_SLOTS = 2;
const MOST_SPARE_SLOTS = 64;
const PID_POLL_MS = 10;
const PID_LIMIT_MS = 5_000;
const OFF_LIMIT_MS = 60_000;

/**
 * Runs tierd's kdamonds through DAMON's sysfs (Documentation/admin-guide/mm/damon/usage.rst). The only writer of these files.
 *
 *     prepare(receipt)  whose is DAMON? what can it do? what was there?     -> features, adopted kdamonds
 *     start(desired)    make directories, fill them, switch on
 *     apply(index, …)   write what differs, `commit`
 *     stop()            switch off and put everything back
 *
 * All of it runs in one queue, as commands cannot overlap and each may wait for its kdamond (seconds on Linux 6.12 while it
 * migrates, and until the end of the aggregation for a commit): callers look at `busy` rather than queue up.
 */
export class DamonDriver {
  readonly #options: DamonDriverOptions;
  readonly #sysfs: SysFs;
  readonly #admin: DamonAdmin;
  readonly #serial = new Serial();
  readonly #slots = new Map<number, Slot>();
  #pending = 0;
  #directories = 0;
  #bootId = '';
  #originalTree: TreeRecord | undefined;
  #originalDamonStat: string | undefined;
  #features: ProbedFeatures | undefined;

  constructor(options: DamonDriverOptions) {
    this.#options = options;
    this.#sysfs = options.sysfs;
    this.#admin = new DamonAdmin(options.sysfs, options);
  }

  /** True while a command runs or waits. */
  get busy(): boolean {
    return this.#pending > 0;
  }

  /** Kdamonds that run as far as known, by index. */
  get kdamonds(): readonly RunningKdamond[] {
    return [...this.#slots.values()]
      .filter((slot) => !slot.dead)
      .map(({ index, pid, desired }) => ({ index, pid, desired }))
      .sort((a, b) => a.index - b.index);
  }

  /** Nodes whose kdamond a command, or alive(), has found gone. */
  get lostNodeIds(): readonly number[] {
    return [...this.#slots.values()].flatMap(({ dead, desired }) => (dead ? [desired.nodeId] : []));
  }

  /**
   * Makes sure that DAMON is free or ours, and finds out what it can do. With the receipt of an earlier process of this boot,
   * its kdamonds are adopted without a restart, and what had died is started again. Changes nothing that a receipt does not
   * describe. Throws DamonUnavailableError, ForeignKdamondError, ExclusiveModuleError, DamonBusyError, SysFsError, and what saving
   * the receipt throws, with nothing changed.
   */
  prepare(previous?: Receipt): Promise<Prepared> {
    return this.#run(() => this.#prepare(previous));
  }

  /**
   * Starts a kdamond for each desired state, each by itself. Throws as prepare(), and what kept the first from starting when none does.
   */
  start(desired: readonly DesiredKdamond[]): Promise<Started> {
    return this.#run(() => this.#start(desired));
  }

  /**
   * Changes a running kdamond by `commit`: schemes keep their statistics and charges by index, regions their history. Throws
   * KdamondDiedError when it went off meanwhile, DamonRejectedError when the kernel refused (the old state then goes on).
   */
  apply(index: number, desired: DesiredKdamond): Promise<ApplyResult> {
    return this.#run(() => this.#apply(index, desired));
  }

  /** Starts one more kdamond in a spare or dead directory while others run. Throws NoSpareKdamondError and as start(). */
  startOne(desired: DesiredKdamond): Promise<RunningKdamond> {
    return this.#run(() => this.#startOne(desired));
  }

  /** Stops one kdamond; its directory becomes a spare one. */
  stopOne(index: number): Promise<void> {
    return this.#run(async () => {
      await this.#switchOff(index);
      this.#slots.delete(index);
      await this.#saveReceipt();
    });
  }

  /** Statistics of a kdamond's schemes since it started, by scheme index. Throws KdamondDiedError. */
  stats(index: number): Promise<readonly SchemeStats[]> {
    return this.#run(() => this.#stats(this.#slot(index, 'reading statistics')));
  }

  async #stats(slot: Slot): Promise<readonly SchemeStats[]> {
    const { index } = slot;
    await this.#requireOwn(slot, 'reading statistics');
    await this.#command(slot, 'update_schemes_stats');
    const { maxPasses = false, filterPassedBytes = false } = this.#features ?? {};
    const stats: SchemeStats[] = [];
    for (const scheme of slot.desired.schemes.keys()) {
      const folder = `${index}/contexts/0/schemes/${scheme}/stats`;
      stats.push({
        nrTried: Number(await this.#admin.read(`${folder}/nr_tried`)),
        triedBytes: Number(await this.#admin.read(`${folder}/sz_tried`)),
        nrApplied: Number(await this.#admin.read(`${folder}/nr_applied`)),
        appliedBytes: Number(await this.#admin.read(`${folder}/sz_applied`)),
        quotaExceeds: Number(await this.#admin.read(`${folder}/qt_exceeds`)),
        ...(filterPassedBytes && {
          filterPassedBytes: Number(await this.#admin.read(`${folder}/sz_ops_filter_passed`)),
        }),
        ...(maxPasses && { passes: Number(await this.#admin.read(`${folder}/nr_snapshots`)) }),
      });
    }
    slot.passes = stats.map(({ passes = 0 }) => passes);
    return stats;
  }

  /** Effective quotas of a kdamond's schemes in bytes, by scheme index; undefined where the kernel does not tell (before 6.9). */
  effectiveBytes(index: number): Promise<readonly number[] | undefined> {
    return this.#run(async () => {
      if (this.#features?.effectiveBytes !== true) return undefined;
      const slot = this.#slot(index, 'reading effective quotas');
      await this.#requireOwn(slot, 'reading effective quotas');
      await this.#command(slot, 'update_schemes_effective_quotas');
      const bytes: number[] = [];
      for (const scheme of slot.desired.schemes.keys()) {
        bytes.push(Number(await this.#admin.read(`${index}/contexts/0/schemes/${scheme}/quotas/effective_bytes`)));
      }
      return bytes;
    });
  }

  /** Throws ForeignKdamondError when a kdamond runs that is none of ours. */
  refuseForeign(): Promise<void> {
    return this.#run(() => refuseForeignKdamonds(this.#admin, new Set(this.kdamonds.map(({ pid }) => pid))));
  }

  /** Which of our kdamonds still run. A dead one leaves `kdamonds`; startOne() brings its node back. */
  alive(): Promise<readonly KdamondHealth[]> {
    return this.#run(async () => {
      const health: KdamondHealth[] = [];
      for (const slot of this.#slots.values()) {
        const state = await this.#admin.state(slot.index);
        if (state.pid !== slot.pid) slot.dead = true;
        health.push({ index: slot.index, nodeId: slot.desired.nodeId, pid: slot.pid, alive: !slot.dead });
      }
      return health;
    });
  }

  /**
   * Switches our kdamonds off and puts the kdamonds folder and DAMON_STAT back as they were found. Does nothing when nothing
   * was changed. Returns what could not be put back.
   */
  stop(): Promise<readonly RestoreFailure[]> {
    return this.#run(() => this.#stop());
  }

  #run<T>(task: () => Promise<T>): Promise<T> {
    this.#pending += 1;
    return this.#serial.run(task).finally(() => {
      this.#pending -= 1;
    });
  }

  async #prepare(previous: Receipt | undefined): Promise<Prepared> {
    if (!(await this.#admin.available())) throw new DamonUnavailableError();
    this.#bootId = await bootId(this.#sysfs);
    const receipt = previous?.bootId === this.#bootId ? previous : undefined;
    const mayStopDamonStat = this.#options.mayStopDamonStat ?? true;
    const found = receipt === undefined ? [] : await findOwnKdamonds(this.#admin, receipt);
    const ours = new Set(found.flatMap(({ pid }) => (pid === undefined ? [] : [pid])));
    await refuseForeignKdamonds(this.#admin, ours);
    if (receipt?.features !== undefined && ours.size > 0) {
      const features = maskFeatures(receipt.features, this.#options.featureMask ?? []);
      return this.#adopt(receipt, features, found);
    }
    await refuseExclusiveModules(this.#sysfs, mayStopDamonStat);
    // A receipt of this boot whose kdamonds are all off still knows what was there before it, unless someone made the
    // directories anew since.
    const directories = (await this.#admin.list('')).filter((name) => /^\d+$/.test(name)).length;
    const stillOurs = receipt !== undefined && (receipt.directories === directories || receipt.directories === 0);
    this.#originalTree = stillOurs ? receipt.originalTree : await recordTree(this.#admin);
    this.#originalDamonStat = receipt?.originalDamonStat ?? (await this.#sysfs.readIfPresent(DAMON_STAT_ENABLED));
    this.#directories = stillOurs ? receipt.directories : 0;
    this.#slots.clear();
    try {
      await this.#saveReceipt('durably');
    } catch (error) {
      // Nothing was changed, so there is nothing to put back.
      this.#originalTree = undefined;
      throw error;
    }
    this.#features = await probeFeatures(this.#sysfs, {
      ...this.#options,
      scratchAllowed: true,
      mask: this.#options.featureMask ?? [],
    });
    await this.#saveReceipt();
    return { features: this.#features, adopted: [], restarted: [] };
  }

  async #adopt(
    receipt: Receipt,
    features: ProbedFeatures,
    found: Awaited<ReturnType<typeof findOwnKdamonds>>,
  ): Promise<Prepared> {
    this.#originalTree = receipt.originalTree;
    this.#originalDamonStat = receipt.originalDamonStat;
    this.#directories = receipt.directories;
    this.#features = features;
    this.#slots.clear();
    for (const { entry, pid, files } of found) {
      this.#slots.set(entry.index, {
        index: entry.index,
        pid: pid ?? 0,
        desired: entry.desired,
        written: new Map(files),
        passes: [],
        renewedAt: [],
        // Nobody knows whether the last write before the crash was committed.
        uncommitted: true,
        dead: pid === undefined,
      });
    }
    const restarted: number[] = [];
    for (const slot of this.#slots.values()) {
      if (!slot.dead) continue;
      // What it was to move was decided long ago. One that does not start is tried again with the others of its kind.
      const isStarted = await this.#fill(slot.index, kdamondOff(slot.desired)).then(
        () => true,
        () => false,
      );
      if (isStarted) restarted.push(slot.index);
    }
    await this.#saveReceipt();
    return { features, adopted: this.kdamonds, restarted };
  }

  async #start(desired: readonly DesiredKdamond[]): Promise<Started> {
    await refuseForeignKdamonds(this.#admin, new Set());
    await refuseExclusiveModules(this.#sysfs, this.#options.mayStopDamonStat ?? true);
    this.#directories = desired.length + (this.#options.spareSlots ?? (await this.#nodesToCome(desired.length)));
    this.#slots.clear();
    await this.#saveReceipt('durably');
    await this.#stopDamonStat();
    await this.#admin.write('nr_kdamonds', String(this.#directories));
    const failed: { readonly nodeId: number; readonly error: unknown }[] = [];
    for (const [index, kdamond] of desired.entries()) {
      try {
        await this.#fill(index, kdamond);
      } catch (error) {
        failed.push({ nodeId: kdamond.nodeId, error });
      }
    }
    const [first] = failed;
    if (first !== undefined && this.#slots.size === 0) throw first.error;
    return { running: this.kdamonds, failed };
  }

  /** Each node that may ever come needs a directory, and none can be made while a kdamond runs. */
  async #nodesToCome(nodes: number): Promise<number> {
    const path = '/sys/devices/system/node/possible';
    try {
      const possible = parseList((await this.#sysfs.readIfPresent(path)) ?? '', path).length;
      return Math.min(MOST_SPARE_SLOTS, Math.max(LEAST_SPARE_SLOTS, possible - nodes));
    } catch {
      return LEAST_SPARE_SLOTS;
    }
  }

  async #startOne(desired: DesiredKdamond): Promise<RunningKdamond> {
    await this.#remakeDirectories();
    for (let index = 0; index < this.#directories; index += 1) {
      const slot = this.#slots.get(index);
      if (slot !== undefined && !slot.dead) continue;
      // Nothing in the kernel reserves a spare directory for us.
      if ((await this.#admin.state(index)).on) continue;
      return this.#fill(index, desired);
    }
    throw new NoSpareKdamondError(this.#directories);
  }

  /** Whoever switched all of ours off may have made the directories anew since: other ones, or none. */
  async #remakeDirectories(): Promise<void> {
    if (this.kdamonds.length > 0) return;
    const states = await this.#admin.states();
    if (states.length >= this.#directories || states.some((state) => state.on)) return;
    await this.#admin.write('nr_kdamonds', String(this.#directories));
  }

  /** Writes a kdamond's whole tree into a directory that is off and switches it on. */
  async #fill(index: number, desired: DesiredKdamond): Promise<RunningKdamond> {
    const slot: Slot = {
      index,
      pid: 0,
      desired,
      written: new Map(),
      passes: [],
      renewedAt: [],
      uncommitted: false,
      dead: false,
    };
    const begun = {
      ...desired,
      ranges: initialRegions(watchedRanges(desired), desired.minRegions),
      comparedRanges: [],
    };
    for (const write of this.#writes(index, begun)) await this.#write(slot, write);
    this.#slots.set(index, slot);
    await this.#saveReceipt();
    try {
      await this.#admin.write(`${index}/state`, 'on');
      slot.pid = await this.#pidOf(slot);
    } catch (error) {
      this.#slots.delete(index);
      await this.#saveReceipt();
      throw error instanceof SysFsError ? new DamonRejectedError(index, 'on', error.errno, error) : error;
    }
    // From now on the files say what later commits shall hold: the ranges, within which regions keep their history.
    for (const write of pendingWrites(slot.written, this.#writes(index, desired))) await this.#write(slot, write);
    slot.uncommitted = false;
    await this.#saveReceipt();
    return { index, pid: slot.pid, desired };
  }

  async #pidOf(slot: Slot): Promise<number> {
    const limitMs = this.#admin.clock.nowMs() + PID_LIMIT_MS;
    for (;;) {
      const { on, pid } = await this.#admin.state(slot.index);
      if (pid !== undefined) return pid;
      if (!on || this.#admin.clock.nowMs() > limitMs) {
        throw new KdamondDiedError(slot.index, slot.desired.nodeId, 'start');
      }
      await this.#admin.clock.sleep(PID_POLL_MS);
    }
  }

  async #apply(index: number, desired: DesiredKdamond): Promise<ApplyResult> {
    const slot = this.#slot(index, 'commit');
    // What did not move until now may not have been asked for long.
    const isNew = desired.schemes.some((scheme, at) => startsLease(slot.desired.schemes[at], scheme));
    if (isNew && this.#features?.maxPasses === true) await this.#stats(slot);
    slot.renewedAt = renewals(slot, desired);
    const writes = pendingWrites(slot.written, this.#writes(index, desired, slot.renewedAt));
    if (writes.length === 0 && !slot.uncommitted) {
      slot.desired = desired;
      return { writes: 0, restarted: false };
    }
    await this.#requireOwn(slot, 'commit');
    if (this.#needsRestart(slot.desired, desired)) {
      await this.#switchOff(index);
      await this.#fill(index, desired);
      return { writes: writes.length, restarted: true };
    }
    const before = slot.desired;
    for (const write of writes) await this.#write(slot, write);
    try {
      await this.#command(slot, 'commit');
    } catch (error) {
      if (error instanceof DamonRejectedError) await this.#putBack(slot, before);
      throw error;
    }
    // Linux 6.12 says success even when the commit made the kdamond give up.
    if (!(await this.#admin.state(index)).on) {
      slot.dead = true;
      throw new KdamondDiedError(index, desired.nodeId, 'commit');
    }
    slot.desired = desired;
    slot.uncommitted = false;
    if (writes.some(({ path }) => isInReceipt(path))) await this.#saveReceipt();
    return { writes: writes.length, restarted: false };
  }

  /** After a refused commit the kdamond runs as before: let its files say so too. */
  async #putBack(slot: Slot, desired: DesiredKdamond): Promise<void> {
    for (const write of pendingWrites(slot.written, this.#writes(slot.index, desired, slot.renewedAt)))
      await this.#write(slot, write);
    slot.uncommitted = false;
  }

  /** Can this kernel's commit not do the change? See ProbedFeatures.commitsTargetNid. */
  #needsRestart(from: DesiredKdamond, to: DesiredKdamond): boolean {
    if (this.#features?.commitsTargetNid === true) return false;
    return to.schemes.some((scheme, position) => scheme.targetNid !== from.schemes[position]?.targetNid);
  }

  async #stop(): Promise<readonly RestoreFailure[]> {
    if (this.#originalTree === undefined) return [];
    const failures: RestoreFailure[] = [];
    // All at once: one that hangs keeps no other from it.
    await Promise.all(
      [...this.#slots.keys()].map(async (index) => {
        try {
          await this.#switchOff(index);
        } catch (error) {
          failures.push({ path: `${index}/state`, value: 'off', reason: messageOf(error) });
        }
      }),
    );
    this.#slots.clear();
    failures.push(...(await this.#restore(this.#originalTree)));
    // Only now: DAMON_STAT cannot start while any kdamond runs.
    const failure = await this.#restoreDamonStat();
    if (failure !== undefined) failures.push(failure);
    this.#originalTree = undefined;
    this.#directories = 0;
    await this.#options.saveReceipt(undefined);
    return failures;
  }

  /** What another tool runs meanwhile stands in the same folders: then they stay as they are. */
  async #restore(tree: TreeRecord): Promise<readonly RestoreFailure[]> {
    const foreign = (await this.#admin.states()).find((state) => state.on);
    if (foreign === undefined) return restoreTree(this.#admin, tree);
    const reason = `kdamond ${foreign.index} (pid ${foreign.pid ?? -1}), which tierd did not start, runs there now`;
    return [{ path: 'nr_kdamonds', value: tree.nr_kdamonds ?? '', reason }];
  }

  async #stopDamonStat(): Promise<void> {
    if ((await this.#sysfs.readIfPresent(DAMON_STAT_ENABLED)) === 'Y') await this.#sysfs.write(DAMON_STAT_ENABLED, 'N');
  }

  async #restoreDamonStat(): Promise<RestoreFailure | undefined> {
    const value = this.#originalDamonStat;
    try {
      if (value === undefined || (await this.#sysfs.readIfPresent(DAMON_STAT_ENABLED)) === value) return undefined;
      await this.#sysfs.write(DAMON_STAT_ENABLED, value);
      return undefined;
    } catch (error) {
      return { path: DAMON_STAT_ENABLED, value: value ?? '', reason: messageOf(error) };
    }
  }

  async #switchOff(index: number): Promise<void> {
    // Pid 0: it is being switched on. Another pid is another's kdamond, in a directory that was ours.
    const ownPid = this.#slots.get(index)?.pid ?? 0;
    const { pid } = await this.#admin.state(index);
    if (ownPid !== 0 && pid !== undefined && pid !== ownPid) return;
    try {
      await this.#admin.write(`${index}/state`, 'off');
    } catch (error) {
      // EPERM or EINVAL on 6.12: it was off already.
      if (!(error instanceof SysFsError)) throw error;
      if (isGone(error)) return;
    }
    const limitMs = this.#admin.clock.nowMs() + OFF_LIMIT_MS;
    while ((await this.#admin.state(index)).on) {
      if (this.#admin.clock.nowMs() > limitMs) throw new DamonRejectedError(index, 'off', 'ETIMEDOUT', undefined);
      await this.#admin.clock.sleep(PID_POLL_MS);
    }
  }

  /** A command of a running kdamond; it waits until the kdamond has done it. */
  async #command(slot: Slot, command: string): Promise<void> {
    try {
      await this.#admin.write(`${slot.index}/state`, command);
    } catch (error) {
      if (!(error instanceof SysFsError)) throw error;
      // ECANCELED (7.3) and EINVAL (6.12) when it is off; but EINVAL also when it does not like what it reads.
      if ((await this.#admin.state(slot.index)).pid === slot.pid) {
        throw new DamonRejectedError(slot.index, command, error.errno, error);
      }
      slot.dead = true;
      throw new KdamondDiedError(slot.index, slot.desired.nodeId, command, error);
    }
  }

  async #write(slot: Slot, write: FileWrite): Promise<void> {
    slot.uncommitted = true;
    // Until it has succeeded nobody knows what such a write left.
    if (makesChildren(write.path)) noteWritten(slot.written, { path: write.path, value: '' });
    await this.#admin.write(write.path, write.value);
    noteWritten(slot.written, write);
  }

  #writes(index: number, desired: DesiredKdamond, passes: readonly number[] = []): readonly FileWrite[] {
    if (this.#features === undefined) throw new Error('DamonDriver: prepare() comes first');
    return kdamondWrites(index, desired, this.#features, passes);
  }

  #slot(index: number, during: string): Slot {
    const slot = this.#slots.get(index);
    if (slot === undefined || slot.dead) throw new KdamondDiedError(index, slot?.desired.nodeId ?? -1, during);
    return slot;
  }

  /** Whoever switched it off may have made another kdamond of its directory since, which is not to be written to. */
  async #requireOwn(slot: Slot, during: string): Promise<void> {
    if ((await this.#admin.state(slot.index)).pid === slot.pid) return;
    slot.dead = true;
    throw new KdamondDiedError(slot.index, slot.desired.nodeId, during);
  }

  async #saveReceipt(urgency: SaveUrgency = 'soon'): Promise<void> {
    if (this.#originalTree === undefined) return;
    const kdamonds: ReceiptKdamond[] = [...this.#slots.values()].map(({ index, pid, desired, dead }) => ({
      index,
      pid: dead ? 0 : pid,
      desired,
    }));
    const receipt: Receipt = {
      version: 1,
      bootId: this.#bootId,
      directories: this.#directories,
      kdamonds,
      originalTree: this.#originalTree,
      ...(this.#originalDamonStat === undefined ? {} : { originalDamonStat: this.#originalDamonStat }),
      ...(this.#features === undefined ? {} : { features: this.#features }),
    };
    await this.#options.saveReceipt(receipt, urgency);
  }
}

function startsLease(from: DesiredScheme | undefined, to: DesiredScheme): boolean {
  return to.maxPasses !== undefined && from?.maxPasses === undefined;
}

/** A commit costs something: with more than half of its passes left an order holds as it is. */
function renewals({ desired: from, passes, renewedAt }: Slot, to: DesiredKdamond): readonly number[] {
  return to.schemes.map((scheme, at) => {
    const [made = 0, before = 0] = [passes[at], renewedAt[at]];
    const isSpent = made < before || made - before >= (scheme.maxPasses ?? 0) / 2;
    return isSpent || startsLease(from.schemes[at], scheme) ? made : before;
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
