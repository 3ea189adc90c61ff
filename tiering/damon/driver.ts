import { bootId } from '../../numa/kernel-identity.ts';
import { parseList } from '../../numa/list-format.ts';
import type { SysFs } from '../../numa/sysfs.ts';
import { isGone, SysFsError } from '../../numa/sysfs.ts';
import { inTime } from '../in-time.ts';
import type { DesiredKdamond, DesiredScheme, SchemeStats } from '../scheme.ts';
import { kdamondOff } from '../scheme-off.ts';
import { Serial } from '../serial.ts';
import type { AdminOptions } from './admin.ts';
import { DamonAdmin } from './admin.ts';
import {
  DamonRejectedError,
  DamonReleasedError,
  DamonUnavailableError,
  KdamondDiedError,
  KdamondSilentError,
  NoSpareKdamondError,
} from './errors.ts';
import type { ProbedFeatures } from './features.ts';
import { maskFeatures, probeFeatures } from './features.ts';
import { KdamondLine } from './kdamond-line.ts';
import { DAMON_STAT_ENABLED, findOwnKdamonds, refuseExclusiveModules, refuseForeignKdamonds } from './ownership.ts';
import type { Receipt, ReceiptKdamond } from './receipt.ts';
import type { SaveReceipt, SaveUrgency } from './receipt-keeper.ts';
import { SLICES } from './stop-budget.ts';
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
  /** How long a kdamond may take to answer, beyond what its aggregations explain. */
  readonly answerMs?: number;
  /** For tests: features to pretend absent. */
  readonly featureMask?: readonly string[];
}

/** A kdamond that the driver runs. */
export interface RunningKdamond {
  /** Its directory: kdamonds/INDEX. */
  readonly index: number;
  readonly pid: number;
  readonly desired: DesiredKdamond;
  /** Not known to do what is desired: files were written, or a command was given, that it has not confirmed. */
  readonly isUnconfirmed: boolean;
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
  /** Why that is what was known before: its files cannot be read. */
  readonly error?: unknown;
}

/** A kdamond that could not be switched off. */
export interface LeftOn {
  readonly index: number;
  readonly nodeId: number;
  readonly reason: string;
}

export interface Stopped {
  /** These may go on; the receipt still tells of them. */
  readonly leftOn: readonly LeftOn[];
  /** Settings that could not be put back. */
  readonly failures: readonly RestoreFailure[];
}

interface Slot {
  readonly index: number;
  readonly line: KdamondLine;
  /** Its files and those of its folder, for as long as somebody waits. */
  readonly admin: DamonAdmin;
  /** 0: it is being switched on. */
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
const DEFAULT_ANSWER_MS = 4_000;
/** A commit waits for the end of an aggregation on Linux 6.12, and for the pass that follows. */
const ANSWER_AGGREGATIONS = 2;
/** While another hangs in the kernel few are answered; newer kernels answer within a sampling interval, or keep everybody out. */
const ANSWER_MS_WHILE_ONE_HANGS = 500;

/**
 * Runs tierd's kdamonds through DAMON's sysfs (Documentation/admin-guide/mm/damon/usage.rst). The only writer of these files.
 *
 *     prepare(receipt)  whose is DAMON? what can it do? what was there?     -> features, adopted kdamonds
 *     start(desired)    make directories, fill them, switch on
 *     apply(index, …)   write what differs, `commit`
 *     stop()            switch off and put everything back
 *
 * All of it runs in one queue, as commands cannot overlap and each may wait for its kdamond (seconds on Linux 6.12 while it
 * migrates, and until the end of the aggregation for a commit). A kdamond that does not answer leaves the queue to the others: until it does, whatever is
 * asked of it throws KdamondSilentError at once.
 */
export class DamonDriver {
  readonly #options: DamonDriverOptions;
  readonly #sysfs: SysFs;
  readonly #admin: DamonAdmin;
  readonly #serial = new Serial();
  readonly #slots = new Map<number, Slot>();
  #isReleased = false;
  #directories = 0;
  #bootId = '';
  #originalTree: TreeRecord | undefined;
  #originalDamonStat: string | undefined;
  #features: ProbedFeatures | undefined;

  constructor(options: DamonDriverOptions) {
    this.#options = options;
    this.#sysfs = options.sysfs;
    this.#admin = new DamonAdmin(options.sysfs, options, () => this.#requireOurs());
  }

  /** Kdamonds that run as far as known, by index. */
  get kdamonds(): readonly RunningKdamond[] {
    return [...this.#slots.values()]
      .filter((slot) => !slot.dead && slot.pid !== 0)
      .map(({ index, pid, desired, uncommitted }) => ({ index, pid, desired, isUnconfirmed: uncommitted }))
      .sort((a, b) => a.index - b.index);
  }

  /** Nodes whose kdamond a command, or alive(), has found gone. */
  get lostNodeIds(): readonly number[] {
    return [...this.#slots.values()].flatMap(({ dead, desired }) => (dead ? [desired.nodeId] : []));
  }

  /** Whether DAMON is ours, or was taken and is to be given back. */
  get isPrepared(): boolean {
    return this.#originalTree !== undefined;
  }

  /** Nodes whose kdamond has been asked something and has not answered, though it should have. */
  get silentNodeIds(): readonly number[] {
    return [...this.#slots.values()].flatMap(({ line, desired }) =>
      line.silentMs === undefined ? [] : [desired.nodeId],
    );
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
   * KdamondDiedError when it went off meanwhile, DamonRejectedError when the kernel refused (the old state then goes on), KdamondSilentError.
   */
  apply(index: number, desired: DesiredKdamond): Promise<ApplyResult> {
    return this.#ask(index, 'commit', (slot) => this.#apply(slot, desired));
  }

  /** Starts one more kdamond in a spare or dead directory while others run. Throws NoSpareKdamondError and as start(). */
  startOne(desired: DesiredKdamond): Promise<RunningKdamond> {
    return this.#run(() => this.#startOne(desired));
  }

  /** Stops one kdamond; its directory becomes a spare one. */
  stopOne(index: number): Promise<void> {
    return this.#ask(index, 'switching off', async (slot) => {
      await this.#switchOff(slot, slot.admin);
      this.#slots.delete(index);
      await this.#saveReceipt();
    });
  }

  /** Statistics of a kdamond's schemes since it started, by scheme index. Throws KdamondDiedError, KdamondSilentError. */
  stats(index: number): Promise<readonly SchemeStats[]> {
    return this.#ask(index, 'reading statistics', (slot) => this.#stats(slot));
  }

  async #stats(slot: Slot): Promise<readonly SchemeStats[]> {
    const { index, admin } = slot;
    await this.#requireOwn(slot, 'reading statistics');
    await this.#command(slot, 'update_schemes_stats');
    const { maxPasses = false, filterPassedBytes = false } = this.#features ?? {};
    const stats: SchemeStats[] = [];
    for (const scheme of slot.desired.schemes.keys()) {
      const folder = `${index}/contexts/0/schemes/${scheme}/stats`;
      stats.push({
        nrTried: Number(await admin.read(`${folder}/nr_tried`)),
        triedBytes: Number(await admin.read(`${folder}/sz_tried`)),
        nrApplied: Number(await admin.read(`${folder}/nr_applied`)),
        appliedBytes: Number(await admin.read(`${folder}/sz_applied`)),
        quotaExceeds: Number(await admin.read(`${folder}/qt_exceeds`)),
        ...(filterPassedBytes && {
          filterPassedBytes: Number(await admin.read(`${folder}/sz_ops_filter_passed`)),
        }),
        ...(maxPasses && { passes: Number(await admin.read(`${folder}/nr_snapshots`)) }),
      });
    }
    slot.passes = stats.map(({ passes = 0 }) => passes);
    return stats;
  }

  /** Effective quotas of a kdamond's schemes in bytes, by scheme index; undefined where the kernel does not tell (before 6.9). */
  effectiveBytes(index: number): Promise<readonly number[] | undefined> {
    return this.#ask(index, 'reading effective quotas', async (slot) => {
      if (this.#features?.effectiveBytes !== true) return undefined;
      await this.#requireOwn(slot, 'reading effective quotas');
      await this.#command(slot, 'update_schemes_effective_quotas');
      const bytes: number[] = [];
      for (const scheme of slot.desired.schemes.keys()) {
        bytes.push(Number(await slot.admin.read(`${index}/contexts/0/schemes/${scheme}/quotas/effective_bytes`)));
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
      // All at once: those that do not answer are waited for only once.
      const slots = [...this.#slots.values()].filter(({ pid, dead }) => dead || pid !== 0);
      return Promise.all(slots.map((slot) => this.#health(slot)));
    });
  }

  async #health(slot: Slot): Promise<KdamondHealth> {
    const health = () => ({ index: slot.index, nodeId: slot.desired.nodeId, pid: slot.pid, alive: !slot.dead });
    try {
      await slot.line.run(async () => {
        if ((await slot.admin.state(slot.index)).pid !== slot.pid) slot.dead = true;
      }, this.#patienceMs(slot.desired));
      return health();
    } catch (error) {
      if (error instanceof DamonReleasedError) throw error;
      return error instanceof KdamondSilentError ? health() : { ...health(), error };
    }
  }

  /**
   * Switches our kdamonds off, those that answer first and all at once, and puts the kdamonds folder and DAMON_STAT back as they were found; all within the
   * budget, and past whatever is under way, which ends with DamonReleasedError. Does nothing when nothing was changed.
   */
  async stop(budgetMs: number): Promise<Stopped> {
    const deadlineMs = performance.now() + budgetMs;
    this.#isReleased = true;
    try {
      return await this.#stop(deadlineMs, budgetMs);
    } finally {
      // What hangs still must not go on once its call has ended.
      void this.#serial
        .run(async () => undefined)
        .then(() => {
          this.#isReleased = false;
        });
    }
  }

  #run<T>(task: () => Promise<T>): Promise<T> {
    return this.#serial.run(async () => {
      this.#requireOurs();
      return task();
    });
  }

  /** Asks a running kdamond, for as long as it should take to answer. */
  #ask<T>(index: number, what: string, task: (slot: Slot) => Promise<T>): Promise<T> {
    return this.#run(async () => {
      const slot = this.#slot(index, what);
      return slot.line.run(async () => task(this.#slot(index, what)), this.#patienceMs(slot.desired));
    });
  }

  #patienceMs({ samplingIntervalUs, aggregationIntervalUs }: DesiredKdamond): number {
    const answerMs = this.#options.answerMs ?? DEFAULT_ANSWER_MS;
    return this.silentNodeIds.length > 0
      ? Math.min(answerMs, ANSWER_MS_WHILE_ONE_HANGS) + (2 * samplingIntervalUs) / 1000
      : answerMs + (ANSWER_AGGREGATIONS * aggregationIntervalUs) / 1000;
  }

  #requireOurs(): void {
    if (this.#isReleased) throw new DamonReleasedError();
  }

  #newSlot(index: number, desired: DesiredKdamond, line = new KdamondLine(index, desired.nodeId)): Slot {
    const check = () => {
      this.#requireOurs();
      if (!line.isWanted) throw line.silence;
    };
    return {
      index,
      line,
      admin: new DamonAdmin(this.#sysfs, this.#options, check),
      pid: 0,
      desired,
      written: new Map(),
      passes: [],
      renewedAt: [],
      uncommitted: false,
      dead: false,
    };
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
        ...this.#newSlot(entry.index, entry.desired),
        pid: pid ?? 0,
        written: new Map(files),
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
    const starting = [...this.#slots.values()].find(
      (slot) => !slot.dead && slot.pid === 0 && slot.desired.nodeId === desired.nodeId,
    );
    if (starting !== undefined) throw starting.line.silence;
    await this.#remakeDirectories();
    for (let index = 0; index < this.#directories; index += 1) {
      const slot = this.#slots.get(index);
      if (slot !== undefined && (!slot.dead || slot.line.silentMs !== undefined)) continue;
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

  /** Writes a kdamond's whole tree into a directory that is off and switches it on. Throws KdamondSilentError. */
  #fill(index: number, desired: DesiredKdamond): Promise<RunningKdamond> {
    const slot = this.#newSlot(index, desired);
    return slot.line.run(() => this.#switchOn(slot), this.#patienceMs(desired) + PID_LIMIT_MS);
  }

  async #switchOn(slot: Slot): Promise<RunningKdamond> {
    const { index, desired } = slot;
    const begun = {
      ...desired,
      ranges: initialRegions(watchedRanges(desired), desired.minRegions),
      comparedRanges: [],
    };
    this.#slots.set(index, slot);
    let mayBeOn = false;
    try {
      for (const write of this.#writes(index, begun)) await this.#write(slot, write);
      await this.#saveReceipt();
      mayBeOn = true;
      await this.#turnOn(slot);
      slot.pid = await this.#pidOf(slot);
    } catch (error) {
      // It must not run unseen.
      if (mayBeOn && !(error instanceof DamonRejectedError)) await this.#tryOff(slot);
      if (this.#slots.get(index) === slot) this.#slots.delete(index);
      if (!this.#isReleased) await this.#saveReceipt();
      throw error;
    }
    // From now on the files say what later commits shall hold: the ranges, within which regions keep their history.
    for (const write of pendingWrites(slot.written, this.#writes(index, desired))) await this.#write(slot, write);
    slot.uncommitted = false;
    await this.#saveReceipt();
    return { index, pid: slot.pid, desired, isUnconfirmed: false };
  }

  async #turnOn({ index, admin }: Slot): Promise<void> {
    try {
      await admin.write(`${index}/state`, 'on');
    } catch (error) {
      throw error instanceof SysFsError ? new DamonRejectedError(index, 'on', error.errno, error) : error;
    }
  }

  /** Also for what nobody waits for any more, and for the end. */
  #ownAdmin(): DamonAdmin {
    return new DamonAdmin(this.#sysfs, this.#options);
  }

  async #pidOf(slot: Slot): Promise<number> {
    const limitMs = this.#admin.clock.nowMs() + PID_LIMIT_MS;
    for (;;) {
      const { on, pid } = await slot.admin.state(slot.index);
      if (pid !== undefined) return pid;
      if (!on || this.#admin.clock.nowMs() > limitMs) {
        throw new KdamondDiedError(slot.index, slot.desired.nodeId, 'start');
      }
      await this.#admin.clock.sleep(PID_POLL_MS);
    }
  }

  async #apply(slot: Slot, desired: DesiredKdamond): Promise<ApplyResult> {
    const { index, admin } = slot;
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
      await this.#switchOff(slot, admin);
      // What does not start again is gone: others are to notice.
      slot.dead = true;
      await this.#switchOn(this.#newSlot(index, desired, slot.line));
      return { writes: writes.length, restarted: true };
    }
    const before = slot.desired;
    for (const write of writes) await this.#write(slot, write);
    // Also when nobody waits any more for what comes of it.
    slot.desired = desired;
    try {
      await this.#command(slot, 'commit');
    } catch (error) {
      if (error instanceof DamonRejectedError) await this.#putBack(slot, before);
      throw error;
    }
    // Linux 6.12 says success even when the commit made the kdamond give up.
    if (!(await admin.state(index)).on) {
      slot.dead = true;
      throw new KdamondDiedError(index, desired.nodeId, 'commit');
    }
    slot.uncommitted = false;
    if (writes.some(({ path }) => isInReceipt(path))) await this.#saveReceipt();
    return { writes: writes.length, restarted: false };
  }

  /** After a refused commit the kdamond runs as before: let its files say so too. */
  async #putBack(slot: Slot, desired: DesiredKdamond): Promise<void> {
    slot.desired = desired;
    for (const write of pendingWrites(slot.written, this.#writes(slot.index, desired, slot.renewedAt)))
      await this.#write(slot, write);
    slot.uncommitted = false;
  }

  /** Can this kernel's commit not do the change? See ProbedFeatures.commitsTargetNid. */
  #needsRestart(from: DesiredKdamond, to: DesiredKdamond): boolean {
    if (this.#features?.commitsTargetNid === true) return false;
    return to.schemes.some((scheme, position) => scheme.targetNid !== from.schemes[position]?.targetNid);
  }

  async #stop(deadlineMs: number, budgetMs: number): Promise<Stopped> {
    const leftMs = () => deadlineMs - performance.now();
    const idle = this.#serial.run(async () => undefined);
    const slots = [...this.#slots.values()];
    // Switching off one that hangs would keep everybody out of DAMON's files.
    const [busy, free] = [slots.filter(({ line }) => line.isBusy), slots.filter(({ line }) => !line.isBusy)];
    for (const { line } of slots) line.giveUp();
    const reasons = new Map<Slot, string>();
    const switchOff = async (some: readonly Slot[], share: number) => {
      const tries = some.map(async (slot) => {
        reasons.set(slot, 'it does not answer');
        const reason = await this.#tryOff(slot);
        if (reason === undefined) reasons.delete(slot);
        else reasons.set(slot, reason);
      });
      await inTime(Promise.all(tries), Math.min(leftMs(), share * budgetMs));
    };
    await switchOff(free, SLICES.free);
    await switchOff(busy, SLICES.busy);
    await inTime(idle, Math.min(leftMs(), SLICES.underWay * budgetMs));
    // What was being switched on meanwhile.
    const late = [...this.#slots.values()].filter((slot) => !slots.includes(slot));
    await switchOff(late, SLICES.busy);
    if (this.#originalTree === undefined) return { leftOn: [], failures: [] };
    if (reasons.size > 0) {
      const leftOn = [...reasons].map(([{ index, desired }, reason]) => ({ index, nodeId: desired.nodeId, reason }));
      for (const slot of [...this.#slots.values()]) if (!reasons.has(slot)) this.#slots.delete(slot.index);
      await inTime(this.#saveReceipt(), leftMs());
      return { leftOn, failures: [] };
    }
    this.#slots.clear();
    const tree = this.#originalTree;
    const failures = await inTime(this.#giveBack(tree), leftMs());
    return { leftOn: [], failures: failures ?? [notInTime('nr_kdamonds', tree.nr_kdamonds ?? '')] };
  }

  async #giveBack(tree: TreeRecord): Promise<readonly RestoreFailure[]> {
    const failures = [...(await this.#restore(tree))];
    // Only now: DAMON_STAT cannot start while any kdamond runs.
    const failure = await this.#restoreDamonStat();
    if (failure !== undefined) failures.push(failure);
    this.#originalTree = undefined;
    this.#directories = 0;
    await this.#options.saveReceipt(undefined);
    return failures;
  }

  /** Why it is not off; undefined: it is. */
  async #tryOff(slot: Slot): Promise<string | undefined> {
    try {
      await this.#switchOff(slot, this.#ownAdmin());
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** What another tool runs meanwhile stands in the same folders: then they stay as they are. */
  async #restore(tree: TreeRecord): Promise<readonly RestoreFailure[]> {
    const path = 'nr_kdamonds';
    const value = tree.nr_kdamonds ?? '';
    const admin = this.#ownAdmin();
    try {
      const foreign = (await admin.states()).find((state) => state.on);
      if (foreign === undefined) return await restoreTree(admin, tree);
      const reason = `kdamond ${foreign.index} (pid ${foreign.pid ?? -1}), which tierd did not start, runs there now`;
      return [{ path, value, reason }];
    } catch (error) {
      return [{ path, value, reason: messageOf(error) }];
    }
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

  async #switchOff({ index, pid: ownPid }: Slot, admin: DamonAdmin): Promise<void> {
    // Pid 0: it is being switched on. Another pid is another's kdamond, in a directory that was ours.
    const { pid } = await admin.state(index);
    if (ownPid !== 0 && pid !== undefined && pid !== ownPid) return;
    try {
      await admin.write(`${index}/state`, 'off');
    } catch (error) {
      // EPERM or EINVAL on 6.12: it was off already.
      if (!(error instanceof SysFsError)) throw error;
      if (isGone(error)) return;
    }
    const limitMs = admin.clock.nowMs() + OFF_LIMIT_MS;
    while ((await admin.state(index)).on) {
      if (admin.clock.nowMs() > limitMs) throw new DamonRejectedError(index, 'off', 'ETIMEDOUT', undefined);
      await admin.clock.sleep(PID_POLL_MS);
    }
  }

  /** A command of a running kdamond; it waits until the kdamond has done it. */
  async #command(slot: Slot, command: string): Promise<void> {
    try {
      await slot.admin.write(`${slot.index}/state`, command);
    } catch (error) {
      if (!(error instanceof SysFsError)) throw error;
      // ECANCELED (7.3) and EINVAL (6.12) when it is off; but EINVAL also when it does not like what it reads.
      if ((await slot.admin.state(slot.index)).pid === slot.pid) {
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
    await slot.admin.write(write.path, write.value);
    noteWritten(slot.written, write);
  }

  #writes(index: number, desired: DesiredKdamond, passes: readonly number[] = []): readonly FileWrite[] {
    if (this.#features === undefined) throw new Error('DamonDriver: prepare() comes first');
    return kdamondWrites(index, desired, this.#features, passes);
  }

  #slot(index: number, during: string): Slot {
    const slot = this.#slots.get(index);
    if (slot === undefined || slot.dead || slot.pid === 0)
      throw new KdamondDiedError(index, slot?.desired.nodeId ?? -1, during);
    return slot;
  }

  /** Whoever switched it off may have made another kdamond of its directory since, which is not to be written to. */
  async #requireOwn(slot: Slot, during: string): Promise<void> {
    if ((await slot.admin.state(slot.index)).pid === slot.pid) return;
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

function notInTime(path: string, value: string): RestoreFailure {
  return { path, value, reason: 'it took too long' };
}
