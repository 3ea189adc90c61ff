import type { MigrationPath, Topology } from '../../../numa/topology.ts';
import type { TieringEvent } from '../../../tiering/events/event.ts';
import { HeatMap } from '../../../tiering/heat/heat-map.ts';
import type { Watched } from '../../../tiering/loop/decision-clock.ts';
import { idleKdamonds } from '../../../tiering/loop/desired-kdamonds.ts';
import type { LoopEvent } from '../../../tiering/loop/event.ts';
import type { LoopState } from '../../../tiering/loop/state.ts';
import { initialState } from '../../../tiering/loop/state.ts';
import type { Step } from '../../../tiering/loop/step.ts';
import { step } from '../../../tiering/loop/step.ts';
import { NodeTroubles } from '../../../tiering/node-troubles.ts';
import type { NodeObservation, Observation } from '../../../tiering/observation.ts';
import type { Policy } from '../../../tiering/policy.ts';
import { DEFAULT_POLICY } from '../../../tiering/policy.ts';
import type { ResolvedScope } from '../../../tiering/resolved-scope.ts';
import type { DamonFeatures, DesiredKdamond, DesiredScheme, SchemeDirection } from '../../../tiering/scheme.ts';
import { directionOf } from '../../../tiering/scheme.ts';
import { schemeOff } from '../../../tiering/scheme-off.ts';
import type { NodeSnapshot, Region } from '../../../tiering/snapshot.ts';
import type { NodeOrders } from '../../../tiering/tuner/order.ts';
import type { Tuning } from '../../../tiering/tuner/tune.ts';
import { ALL_FEATURES, machine } from './machines.ts';
import type { Random } from './random.ts';
import { binomial, seededRandom } from './random.ts';

/**
 * A model of a host with memory tiers, small and deterministic, driven by the very loop that `tierd run` runs (tiering/loop/step.ts).
 *
 * Memory is chunks of 256 KiB, or of what `chunkBytes` says; a page of a chunk is accessed at random, so many times a second. Each node has a kdamond that follows the kernel's algorithm (mm/damon/core.c): one random page a sample,
 * regions merged by similar rates and split at random, ages, quotas charged by what was tried, priorities by a histogram of scores, and passes
 * that resume where the budget ended. Passes take time, in which the kdamond does not watch; a snapshot shows memory as it was before the pass.
 */

export const MIB = 1024 * 1024;
const DEFAULT_CHUNK_BYTES = MIB / 4;
/** By which a buffer's share of samples is told: what a sample of this length sees. */
const RATE_SAMPLE_SECONDS = 0.05;
/** Accessed at every moment. */
const ALWAYS = 1e6;
const FREE = -1;
/** Kernel memory and pinned pages: used, never moves, never looks accessed. */
const UNMOVABLE = -2;
const MAX_SCORE = 99;
/** How often the daemon looks for new snapshots. */
const POLL_MS = 50;
/** How long it waits for a kdamond to answer. */
const PATIENCE_MS = 2_000;
const EVERYBODY: ResolvedScope = { include: 'all', exclude: [], unmatched: [], isSupported: true };
const SEES_ALL = { problem: undefined, aside: undefined, blindNodeIds: [], isScopeDue: false };

/** Share of samples of 50 ms in which a page of a buffer was accessed; may depend on where the buffer is and on the time. */
export type AccessRate = number | ((nodeId: number, nowMs: number) => number);

export interface HostNode {
  readonly nodeId: number;
  readonly totalMiB: number;
  /** 0 is the fastest. */
  readonly tier: number;
  readonly highWatermarkMiB?: number;
  /** Kernel memory, strewn over the node. */
  readonly kernelMiB?: number;
}

export interface HostOptions {
  readonly nodes: readonly HostNode[];
  /** Default: all nodes of other tiers, the next tier and the lower id first. */
  readonly paths?: readonly MigrationPath[];
  readonly policy?: Policy;
  readonly seed?: number;
  /** The grain of memory: what moves together. Default 256 KiB; large hosts take more. */
  readonly chunkBytes?: number;
  /** Decide this often instead of when snapshots are due, as the controller does. */
  readonly tickMs?: number;
  readonly migrationMiBPerSecond?: number;
  /** Where migrated memory lands: `scattered` over the free slots (default) or `packed` from the lowest address. */
  readonly placement?: 'scattered' | 'packed';
  /** Orders take effect so many passes late. */
  readonly commitLatePasses?: number;
  /** The first pass of a new scheme knows no quota, as on Linux 6.12. */
  readonly firstPassUnlimited?: boolean;
  /** A commit is taken at the end of an aggregation, until which it keeps the daemon waiting, and puts the pass off to the next, as on Linux 6.12. */
  readonly commitPostponesPass?: boolean;
  /** Share of accesses that sampling misses (DAMON does not flush the TLB). */
  readonly missedShare?: number;
  /** Share of snapshots that never reach the daemon. */
  readonly lostSnapshotShare?: number;
  /** Snapshots reach the daemon before the pass that follows their aggregation, or after it as `damon_aggregated` does (default). */
  readonly snapshotBeforePass?: boolean;
  readonly features?: DamonFeatures;
  /** What becomes of a command to a node's kdamond: it fails, or keeps the daemon waiting for as long as this says so. */
  readonly command?: (nodeId: number, nowMs: number) => 'taken' | 'fails' | 'hangs';
  /** Last word on what the daemon sees. */
  readonly observe?: (observation: Observation) => Observation;
}

/** Memory of a program, with one access rate. */
export interface Buffer {
  readonly name: string;
  rate: AccessRate;
}

/** Memory whose blocks differ in heat; block `i` is accessed `ratesPerSecond[i]` times a second and page. */
export interface GradedMemory {
  readonly firstOwner: number;
  readonly ratesPerSecond: Float64Array;
}

/** One pass of one scheme. */
export interface PassRecord {
  readonly atMs: number;
  readonly nodeId: number;
  readonly direction: SchemeDirection;
  readonly budgetBytes: number;
  readonly triedBytes: number;
  readonly movedBytes: number;
}

export interface TickRecord {
  readonly observation: Observation;
  readonly tuning: Omit<Tuning, 'state'>;
}

interface SimRegion {
  start: number;
  end: number;
  nrAccesses: number;
  lastNrAccesses: number;
  age: number;
}

interface Counters {
  promotedBytes: number;
  demotedBytes: number;
  promotionTriedBytes: number;
  demotionTriedBytes: number;
  lookedBytes: number;
  youngBytes: number;
}

interface SimNode {
  readonly nodeId: number;
  readonly baseAddress: number;
  readonly totalBytes: number;
  readonly highWatermarkBytes: number;
  readonly kernelBytes: number;
  readonly heat: HeatMap;
  readonly owner: Int32Array;
  /** Accessed bit left from before anybody looked. */
  readonly staleYoung: Uint8Array;
  readonly lastLookMs: Float64Array;
  readonly freeSlots: Slots;
  readonly sinceTick: Counters;
  snapshot: NodeSnapshot | undefined;
  minFreeBytes: number;
}

/** Charge state that a scheme keeps across commits. */
interface RunningScheme {
  desired: DesiredScheme;
  readonly direction: SchemeDirection;
  /** What this pass may try. */
  budgetChunks: number;
  isNew: boolean;
  chargedChunks: number;
  resumeAt: number;
  minScore: number;
  triedBytes: number;
  movedBytes: number;
}

interface Kdamond {
  readonly node: SimNode;
  desired: DesiredKdamond;
  regions: SimRegion[];
  lastRegionCount: number;
  passes: number;
  schemes: RunningScheme[];
  publishedAtMs: number | undefined;
  isMigrating: boolean;
  skipsPass: boolean;
  committed: string;
  readonly commits: { readonly sincePass: number; readonly kdamond: DesiredKdamond }[];
}

export class SimulatedHost {
  readonly topology: Topology;
  policy: Policy;
  readonly passes: PassRecord[] = [];
  readonly ticks: TickRecord[] = [];
  /** What the daemon told of. */
  readonly told: TieringEvent[] = [];
  nowMs = 0;
  promotedBytes = 0;
  demotedBytes = 0;

  readonly #options: HostOptions;
  readonly #random: Random;
  readonly #nodes = new Map<number, SimNode>();
  readonly #kdamonds = new Map<number, Kdamond>();
  readonly #chunkBytes: number;
  /** Accesses a second of each page, by owner. */
  #heat = new Float64Array(64);
  #owners = 0;
  /** Owners whose heat depends on place and time. */
  readonly #changing = new Map<number, Buffer>();
  readonly #processes: { dueMs: number; readonly steps: Iterator<number, void> }[] = [];
  readonly #troubles = new NodeTroubles();
  readonly #silent = new Set<number>();
  #loop: LoopState;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#chunkBytes = options.chunkBytes ?? DEFAULT_CHUNK_BYTES;
    this.policy = options.policy ?? DEFAULT_POLICY;
    this.#random = seededRandom(options.seed ?? 1);
    this.topology = machine(options.nodes, options.paths);
    for (const node of options.nodes) this.#nodes.set(node.nodeId, this.#createNode(node));
    this.#loop = initialState(this.policy, undefined);
    this.#take({ type: 'started' });
    this.#take({ type: 'discovered', topology: this.topology });
    this.#take({ type: 'engineChosen', engine: 'damos', features: this.#features });
    this.#take({ type: 'scopeChanged', scope: EVERYBODY });
    for (const desired of idleKdamonds(this.#loop)) {
      const node = this.#node(desired.nodeId);
      const kdamond: Kdamond = {
        node,
        desired,
        regions: initialRegions(node.owner.length, desired.minRegions),
        lastRegionCount: 0,
        passes: 0,
        schemes: desired.schemes.map((scheme) => this.#start(scheme)),
        publishedAtMs: undefined,
        isMigrating: false,
        skipsPass: false,
        committed: '',
        commits: [],
      };
      this.#kdamonds.set(desired.nodeId, kdamond);
      this.#processes.push({ dueMs: this.#random() * 100, steps: this.#watch(kdamond) });
    }
    this.#processes.push({ dueMs: 0, steps: this.#daemon() });
  }

  /** A buffer on one node, in the lowest free addresses. */
  allocate(name: string, nodeId: number, mib: number, rate: AccessRate): Buffer {
    const buffer = this.#createBuffer(name, rate);
    this.grow(buffer, nodeId, mib);
    return buffer;
  }

  /** Memory of graded heat, block by block on the nodes that `nodeOf` says; blocks lie in a random order. */
  allocateGraded(ratesPerSecond: Float64Array, blockBytes: number, nodeOf: (block: number) => number): GradedMemory {
    const firstOwner = this.#owners;
    for (const rate of ratesPerSecond) this.#addOwner(rate);
    const order = Array.from(ratesPerSecond, (_, block) => block);
    for (let i = order.length - 1; i > 0; i -= 1) {
      const j = Math.floor(this.#random() * (i + 1));
      [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
    }
    for (const block of order) {
      const node = this.#node(nodeOf(block));
      for (let chunk = 0; chunk < blockBytes / this.#chunkBytes; chunk += 1) {
        this.#occupy(node, node.freeSlots.takeLowest(), firstOwner + block, true);
      }
    }
    return { firstOwner, ratesPerSecond };
  }

  /** Another heat for each block of graded memory. */
  regrade({ firstOwner }: GradedMemory, ratesPerSecond: Float64Array): void {
    this.#heat.set(ratesPerSecond, firstOwner);
  }

  /** Share of all accesses that a node serves. */
  servedShare(nodeId: number): number {
    let [there, all] = [0, 0];
    for (const node of this.#nodes.values()) {
      const rates = this.#ratesOn(node.nodeId);
      let served = 0;
      for (const owner of node.owner) if (owner >= 0) served += rates[owner] ?? 0;
      all += served;
      if (node.nodeId === nodeId) there += served;
    }
    return there / all;
  }

  /** The best that servedShare() could be: the hottest memory first, as much as the node may hold beside the kernel's own. */
  possibleShare(nodeId: number, keepFreeBytes: number): number {
    const heats: number[] = [];
    let unmovable = 0;
    for (const node of this.#nodes.values()) {
      const rates = this.#ratesOn(node.nodeId);
      for (const owner of node.owner) {
        if (owner >= 0) heats.push(rates[owner] ?? 0);
        else if (owner === UNMOVABLE && node.nodeId === nodeId) unmovable += 1;
      }
    }
    const sorted = Float64Array.from(heats).sort().reverse();
    const room = Math.floor((this.#node(nodeId).totalBytes - keepFreeBytes) / this.#chunkBytes) - unmovable;
    const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0);
    return sum(sorted.subarray(0, room)) / sum(sorted);
  }

  grow(buffer: Buffer, nodeId: number, mib: number): void {
    const node = this.#node(nodeId);
    const owner = this.#ownerOf(buffer);
    for (let chunk = 0; chunk < (mib * MIB) / this.#chunkBytes; chunk += 1) {
      this.#occupy(node, node.freeSlots.takeLowest(), owner, true);
    }
  }

  free(buffer: Buffer): void {
    const owner = this.#ownerOf(buffer);
    for (const node of this.#nodes.values()) {
      node.owner.forEach((who, slot) => {
        if (who === owner) release(node, slot);
      });
    }
  }

  /** Lets the host and the daemon live for some time. */
  run(seconds: number): void {
    const untilMs = this.nowMs + seconds * 1000;
    for (;;) {
      const [first, ...rest] = this.#processes;
      if (first === undefined) return;
      const next = rest.reduce((earliest, process) => (process.dueMs < earliest.dueMs ? process : earliest), first);
      if (next.dueMs > untilMs) break;
      this.nowMs = next.dueMs;
      const step = next.steps.next();
      if (step.done === true) this.#processes.splice(this.#processes.indexOf(next), 1);
      else next.dueMs += step.value;
    }
    this.nowMs = untilMs;
  }

  /** Runs until a condition holds, looked at ten times a second; returns the seconds it took, Infinity when it never did. */
  runUntil(condition: () => boolean, maxSeconds: number): number {
    const startedAtMs = this.nowMs;
    while (!condition()) {
      if (this.nowMs - startedAtMs >= maxSeconds * 1000) return Number.POSITIVE_INFINITY;
      this.run(0.1);
    }
    return (this.nowMs - startedAtMs) / 1000;
  }

  mibOn(buffer: Buffer, nodeId: number): number {
    const owner = this.#ownerOf(buffer);
    let chunks = 0;
    for (const who of this.#node(nodeId).owner) if (who === owner) chunks += 1;
    return (chunks * this.#chunkBytes) / MIB;
  }

  freeMiB(nodeId: number): number {
    return (this.#node(nodeId).freeSlots.size * this.#chunkBytes) / MIB;
  }

  /** The least that was ever free. */
  minFreeMiB(nodeId: number): number {
    return this.#node(nodeId).minFreeBytes / MIB;
  }

  usedShare(nodeId: number): number {
    const node = this.#node(nodeId);
    return 1 - (node.freeSlots.size * this.#chunkBytes) / node.totalBytes;
  }

  get movedMiB(): number {
    return (this.promotedBytes + this.demotedBytes) / MIB;
  }

  get promotedMiB(): number {
    return this.promotedBytes / MIB;
  }

  get demotedMiB(): number {
    return this.demotedBytes / MIB;
  }

  /** Every order the tuner gave since a time. */
  ordersSince(sinceMs: number): readonly NodeOrders[] {
    return this.ticks.filter((tick) => tick.observation.nowMs >= sinceMs).flatMap((tick) => tick.tuning.orders);
  }

  passesSince(sinceMs: number): readonly PassRecord[] {
    return this.passes.filter((pass) => pass.atMs >= sinceMs);
  }

  // The daemon: the loop in virtual time.

  /** What the loop knows now. */
  get loop(): LoopState {
    return this.#loop;
  }

  *#daemon(): Generator<number, void> {
    for (;;) {
      yield this.#options.tickMs ?? POLL_MS;
      yield* this.#tick();
      this.#take({ type: 'ticked', hasFailed: false });
    }
  }

  *#tick(): Generator<number, void> {
    if (this.policy !== this.#loop.policy) {
      const change = { type: 'policyChanged', policy: this.policy, scope: EVERYBODY } as const;
      yield* this.#bring(step(this.#loop, change, this.nowMs).kdamonds);
      this.#take(change);
    }
    const looked = this.#take({ type: 'looked', watched: this.#watched(), ...SEES_ALL, endedAtMs: this.nowMs });
    const isDue = looked.effects.some(({ type }) => type === 'observe');
    if (this.#options.tickMs === undefined && !isDue) return;
    const { snapshots } = this.#watched();
    const observation = this.#observe();
    const { state, kdamonds } = this.#take({ type: 'observed', observation, snapshots, sinceMs: this.nowMs });
    if (state.tuning !== undefined) this.ticks.push({ observation, tuning: state.tuning });
    yield* this.#bring(kdamonds);
    this.#take({ type: 'carriedOut' });
  }

  #take(event: LoopEvent): Step {
    const taken = step(this.#loop, event, this.nowMs);
    this.#loop = taken.state;
    for (const effect of taken.effects) {
      if (effect.type === 'tell' || effect.type === 'publish') this.told.push(effect.event);
    }
    return taken;
  }

  /**
   * One after another, as KdamondFleet does; a node whose kdamond fails moves nothing, and is tried again later and later. One that hangs is waited for once, and goes
   * on as it was told last.
   */
  *#bring(kdamonds: readonly DesiredKdamond[] = []): Generator<number, void> {
    for (const desired of kdamonds) {
      const kdamond = this.#kdamonds.get(desired.nodeId);
      const committed = JSON.stringify(desired);
      if (kdamond === undefined || committed === kdamond.committed) continue;
      if (!this.#troubles.mayTry(desired.nodeId, this.nowMs)) continue;
      const outcome = () => this.#options.command?.(desired.nodeId, this.nowMs) ?? 'taken';
      if (this.#silent.has(desired.nodeId) && outcome() === 'hangs') continue;
      for (let waitedMs = 0; outcome() === 'hangs' && waitedMs < PATIENCE_MS; waitedMs += POLL_MS) yield POLL_MS;
      if (outcome() === 'hangs') {
        this.#silent.add(desired.nodeId);
        this.#troubles.failed(desired.nodeId, 'its kdamond does not answer', this.nowMs);
        this.#noteTroubles();
        continue;
      }
      this.#silent.delete(desired.nodeId);
      if (outcome() === 'fails') {
        this.#fail(kdamond);
        continue;
      }
      if (this.#troubles.mended(desired.nodeId)) this.#noteTroubles();
      kdamond.committed = committed;
      while (kdamond.isMigrating) yield kdamond.desired.samplingIntervalUs / 1000;
      kdamond.commits.push({ sincePass: kdamond.passes, kdamond: desired });
      if (this.#options.commitPostponesPass === true) {
        while (kdamond.commits.length > 0) yield 10;
      }
      this.#take({ type: 'kdamondApplied', nodeId: desired.nodeId });
    }
  }

  #fail(kdamond: Kdamond): void {
    kdamond.committed = '';
    kdamond.commits.length = 0;
    for (const scheme of kdamond.schemes) scheme.desired = schemeOff(scheme.desired);
    this.#troubles.failed(kdamond.node.nodeId, 'its kdamond takes no change', this.nowMs);
    this.#noteTroubles();
  }

  #noteTroubles(): void {
    this.#take({ type: 'nodesTroubled', problem: this.#troubles.problem });
  }

  #watched(): Watched {
    const snapshots = [...this.#kdamonds.values()].flatMap(({ node }) => node.snapshot ?? []);
    const byNode = new Map(snapshots.map((snapshot) => [snapshot.nodeId, snapshot]));
    return { nodeIds: [...this.#kdamonds.keys()], snapshots: byNode };
  }

  get #features(): DamonFeatures {
    return this.#options.features ?? ALL_FEATURES;
  }

  #observe(): Observation {
    const nodes: NodeObservation[] = [];
    for (const node of this.#nodes.values()) {
      nodes.push({
        nodeId: node.nodeId,
        totalBytes: node.totalBytes,
        freeBytes: node.freeSlots.size * this.#chunkBytes,
        movableBytes: node.totalBytes - node.freeSlots.size * this.#chunkBytes - node.kernelBytes,
        highWatermarkBytes: node.highWatermarkBytes,
        ...(node.snapshot === undefined ? {} : { snapshot: node.snapshot, heat: node.heat.histogram() }),
        ...node.sinceTick,
      });
      Object.assign(node.sinceTick, noCounters());
    }
    const observation = { nowMs: this.nowMs, nodes };
    return this.#options.observe?.(observation) ?? observation;
  }

  // The kernel: one kdamond a node.

  *#watch(kdamond: Kdamond): Generator<number, void> {
    for (;;) {
      yield kdamond.desired.aggregationIntervalUs / 1000;
      this.#sample(kdamond);
      merge(kdamond, samplesOf(kdamond));
      this.#takeCommit(kdamond);
      if (this.#options.snapshotBeforePass === true) this.#publish(kdamond);
      if (!kdamond.skipsPass) yield* this.#applySchemes(kdamond);
      kdamond.skipsPass = false;
      kdamond.passes += 1;
      if (this.#options.snapshotBeforePass !== true) this.#publish(kdamond);
      this.#split(kdamond);
    }
  }

  /** The region counts the samples that found a random page of it accessed. */
  #sample(kdamond: Kdamond): void {
    const { node, regions, desired } = kdamond;
    const rates = this.#ratesOn(node.nodeId);
    const seenShare = 1 - (this.#options.missedShare ?? 0);
    const seconds = desired.samplingIntervalUs / 1e6;
    const chances = new Float64Array(this.#owners);
    for (let owner = 0; owner < chances.length; owner += 1)
      chances[owner] = 1 - Math.exp(-(rates[owner] ?? 0) * seconds);
    const { owner } = node;
    const samples = samplesOf(kdamond);
    for (const region of regions) {
      let total = 0;
      for (let slot = region.start; slot < region.end; slot += 1) {
        const who = owner[slot] ?? FREE;
        if (who >= 0) total += chances[who] ?? 0;
      }
      region.lastNrAccesses = region.nrAccesses;
      const share = (total / (region.end - region.start)) * seenShare;
      region.nrAccesses = binomial(samples, share, this.#random);
    }
  }

  /** Heat of each owner's pages on a node now. */
  #ratesOn(nodeId: number): Float64Array {
    for (const [owner, buffer] of this.#changing) {
      const share = typeof buffer.rate === 'number' ? buffer.rate : buffer.rate(nodeId, this.nowMs);
      this.#heat[owner] = share >= 1 ? ALWAYS : -Math.log(1 - share) / RATE_SAMPLE_SECONDS;
    }
    return this.#heat;
  }

  #createBuffer(name: string, rate: AccessRate): Buffer {
    const buffer: Buffer = { name, rate };
    this.#changing.set(this.#addOwner(0), buffer);
    return buffer;
  }

  #addOwner(ratePerSecond: number): number {
    if (this.#owners === this.#heat.length) {
      const larger = new Float64Array(2 * this.#owners);
      larger.set(this.#heat);
      this.#heat = larger;
    }
    this.#heat[this.#owners] = ratePerSecond;
    this.#owners += 1;
    return this.#owners - 1;
  }

  #ownerOf(buffer: Buffer): number {
    for (const [owner, candidate] of this.#changing) if (candidate === buffer) return owner;
    throw new Error(`the host has no memory of ${buffer.name}`);
  }

  #takeCommit(kdamond: Kdamond): void {
    const late = this.#options.commitLatePasses ?? 0;
    let commit = kdamond.commits[0];
    while (commit !== undefined && kdamond.passes - commit.sincePass >= late) {
      changeIntervals(kdamond, commit.kdamond);
      kdamond.schemes = commit.kdamond.schemes.map((desired, index) => {
        const running = kdamond.schemes[index];
        return running === undefined
          ? this.#start(desired)
          : { ...running, desired: this.#committed(running, desired) };
      });
      kdamond.commits.shift();
      kdamond.skipsPass = this.#options.commitPostponesPass ?? false;
      commit = kdamond.commits[0];
    }
  }

  /** Kernels before 6.17 do not pass on the target. */
  #committed(running: RunningScheme, desired: DesiredScheme): DesiredScheme {
    const { targetNid } = running.desired;
    return this.#features.commitsTargetNid || targetNid === undefined ? desired : { ...desired, targetNid };
  }

  #start(desired: DesiredScheme): RunningScheme {
    return {
      desired,
      direction: directionOf(desired),
      budgetChunks: 0,
      isNew: true,
      chargedChunks: 0,
      resumeAt: 0,
      minScore: 0,
      triedBytes: 0,
      movedBytes: 0,
    };
  }

  #publish(kdamond: Kdamond): void {
    const { node, regions } = kdamond;
    const previousAtMs = kdamond.publishedAtMs;
    kdamond.publishedAtMs = this.nowMs;
    if (this.#random() < (this.#options.lostSnapshotShare ?? 0)) return;
    const address = (slot: number) => node.baseAddress + slot * this.#chunkBytes;
    node.snapshot = {
      nodeId: node.nodeId,
      takenAtMs: this.nowMs,
      ...(previousAtMs !== undefined && { previousAtMs }),
      maxNrAccesses: samplesOf(kdamond),
      aggregationIntervalMs: kdamond.desired.aggregationIntervalUs / 1000,
      regions: regions.map(
        ({ start, end, nrAccesses, age }): Region => ({ start: address(start), end: address(end), nrAccesses, age }),
      ),
    };
    node.heat.add(node.snapshot);
  }

  *#applySchemes(kdamond: Kdamond): Generator<number, void> {
    const { schemes, node } = kdamond;
    const atMs = this.nowMs;
    kdamond.isMigrating = true;
    for (const scheme of schemes) this.#openChargeWindow(kdamond, scheme);
    for (let index = 0; index < kdamond.regions.length; index += 1) {
      for (const scheme of schemes) yield* this.#tryRegion(kdamond, scheme, index);
    }
    kdamond.isMigrating = false;
    for (const { desired, direction, triedBytes, movedBytes } of schemes) {
      const budgetBytes = desired.quota.bytes;
      this.passes.push({ atMs, nodeId: node.nodeId, direction, budgetBytes, triedBytes, movedBytes });
    }
  }

  /** The reset interval is shorter than a pass: every pass starts with the whole budget, and with the score that just uses it up. */
  #openChargeWindow(kdamond: Kdamond, scheme: RunningScheme): void {
    const isUnlimited = scheme.isNew && (this.#options.firstPassUnlimited ?? false);
    const budgetChunks = isUnlimited
      ? Number.POSITIVE_INFINITY
      : Math.floor(scheme.desired.quota.bytes / this.#chunkBytes);
    Object.assign(scheme, { budgetChunks, isNew: false, chargedChunks: 0, minScore: 0, triedBytes: 0, movedBytes: 0 });
    if (isUnlimited) return;
    const chunksByScore = new Array<number>(MAX_SCORE + 1).fill(0);
    for (const region of kdamond.regions) {
      if (!matches(scheme.desired, region)) continue;
      const score = scoreOf(kdamond, scheme, region);
      chunksByScore[score] = (chunksByScore[score] ?? 0) + region.end - region.start;
    }
    let score = MAX_SCORE;
    let chunks = chunksByScore[score] ?? 0;
    while (score > 0 && chunks * this.#chunkBytes < scheme.desired.quota.bytes) {
      score -= 1;
      chunks += chunksByScore[score] ?? 0;
    }
    scheme.minScore = score;
  }

  *#tryRegion(kdamond: Kdamond, scheme: RunningScheme, index: number): Generator<number, void> {
    const { regions, node } = kdamond;
    const { budgetChunks } = scheme;
    const region = regions[index];
    if (region === undefined || scheme.chargedChunks >= budgetChunks) return;
    if (scheme.resumeAt > 0) {
      if (index === regions.length - 1) scheme.resumeAt = 0;
      if (scheme.resumeAt === 0 || region.end <= scheme.resumeAt) return;
      scheme.resumeAt = 0;
    }
    if (!matches(scheme.desired, region) || scoreOf(kdamond, scheme, region) < scheme.minScore) return;

    const chunks = Math.min(region.end - region.start, budgetChunks - scheme.chargedChunks);
    if (chunks < region.end - region.start) {
      regions.splice(index + 1, 0, cut(region, region.start + chunks));
    }
    scheme.chargedChunks += chunks;
    scheme.triedBytes += chunks * this.#chunkBytes;
    const counters = node.sinceTick;
    if (scheme.direction === 'promotion') counters.promotionTriedBytes += chunks * this.#chunkBytes;
    else if (scheme.direction === 'demotion') counters.demotionTriedBytes += chunks * this.#chunkBytes;
    else counters.lookedBytes += chunks * this.#chunkBytes;
    if (scheme.chargedChunks >= budgetChunks) scheme.resumeAt = region.end;
    if (scheme.desired.action === 'stat') return this.#countPassed(node, region, scheme);
    region.age = 0;
    const msPerChunk = (1000 * this.#chunkBytes) / MIB / (this.#options.migrationMiBPerSecond ?? 100);
    for (let slot = region.start; slot < region.end; slot += 1) {
      if (this.#migrate(node, slot, scheme)) yield msPerChunk;
    }
  }

  #migrate(node: SimNode, slot: number, scheme: RunningScheme): boolean {
    const owner = node.owner[slot] ?? FREE;
    if (owner < 0) return false;
    if (this.#rejects(node, slot, owner, scheme) || scheme.desired.targetNid === node.nodeId) return false;
    const target = this.#node(scheme.desired.targetNid ?? node.nodeId);
    if (target.freeSlots.size * this.#chunkBytes - this.#chunkBytes < target.highWatermarkBytes) return false;
    const place =
      this.#options.placement === 'packed' ? target.freeSlots.takeLowest() : target.freeSlots.takeRandom(this.#random);
    const stale = node.staleYoung[slot] === 1;
    release(node, slot);
    this.#occupy(target, place, owner, stale);
    scheme.movedBytes += this.#chunkBytes;
    if (scheme.direction === 'promotion') {
      node.sinceTick.promotedBytes += this.#chunkBytes;
      this.promotedBytes += this.#chunkBytes;
    } else {
      node.sinceTick.demotedBytes += this.#chunkBytes;
      this.demotedBytes += this.#chunkBytes;
    }
    return true;
  }

  /** As damon_pa_stat(), since Linux 6.14. */
  #countPassed(node: SimNode, region: SimRegion, scheme: RunningScheme): void {
    const { filters } = scheme.desired;
    if (!this.#features.filterPassedBytes || filters.length === 0) return;
    for (let slot = region.start; slot < region.end; slot += 1) {
      const owner = node.owner[slot] ?? FREE;
      if (owner >= 0 && !this.#rejects(node, slot, owner, scheme)) node.sinceTick.youngBytes += this.#chunkBytes;
    }
  }

  #rejects(node: SimNode, slot: number, owner: number, { desired }: RunningScheme): boolean {
    return desired.filters.some(
      (filter) => filter.type === 'young' && this.#isYoung(node, slot, owner) === filter.matching,
    );
  }

  /** The young filter's look, which clears the accessed bit. */
  #isYoung(node: SimNode, slot: number, owner: number): boolean {
    const heat = this.#ratesOn(node.nodeId)[owner] ?? 0;
    const seconds = (this.nowMs - (node.lastLookMs[slot] ?? 0)) / 1000;
    const young = node.staleYoung[slot] === 1 || this.#random() < 1 - Math.exp(-heat * seconds);
    node.staleYoung[slot] = 0;
    node.lastLookMs[slot] = this.nowMs;
    return young;
  }

  /** As kdamond_split_regions(): while regions are few enough, each becomes two, or three when that has changed nothing lately. */
  #split(kdamond: Kdamond): void {
    const { regions, lastRegionCount } = kdamond;
    const { maxRegions } = kdamond.desired;
    kdamond.lastRegionCount = regions.length;
    if (regions.length > maxRegions / 2) return;
    const parts = regions.length === lastRegionCount && regions.length < maxRegions / 3 ? 3 : 2;
    const split: SimRegion[] = [];
    for (const region of regions) {
      split.push(region);
      let rest = region;
      for (let part = 1; part < parts && rest.end - rest.start > 2; part += 1) {
        const chunks = Math.floor(((1 + Math.floor(this.#random() * 9)) * (rest.end - rest.start)) / 10);
        if (chunks === 0) continue;
        rest = cut(rest, rest.start + chunks);
        split.push(rest);
      }
    }
    kdamond.regions = split;
  }

  #createNode({ nodeId, totalMiB, highWatermarkMiB = 0, kernelMiB = 0 }: HostNode): SimNode {
    const chunks = Math.floor((totalMiB * MIB) / this.#chunkBytes);
    const node: SimNode = {
      nodeId,
      baseAddress: this.topology.nodes.find((candidate) => candidate.nodeId === nodeId)?.ranges[0]?.start ?? 0,
      totalBytes: totalMiB * MIB,
      highWatermarkBytes: highWatermarkMiB * MIB,
      kernelBytes: kernelMiB * MIB,
      heat: new HeatMap(this.topology.nodes.find((candidate) => candidate.nodeId === nodeId)?.ranges ?? []),
      owner: new Int32Array(chunks).fill(FREE),
      staleYoung: new Uint8Array(chunks),
      lastLookMs: new Float64Array(chunks),
      freeSlots: new Slots(chunks),
      sinceTick: noCounters(),
      snapshot: undefined,
      minFreeBytes: totalMiB * MIB,
    };
    for (let chunk = 0; chunk < (kernelMiB * MIB) / this.#chunkBytes; chunk += 1) {
      this.#occupy(node, node.freeSlots.takeRandom(this.#random), UNMOVABLE, false);
    }
    return node;
  }

  #occupy(node: SimNode, slot: number, owner: number, stale: boolean): void {
    node.owner[slot] = owner;
    node.staleYoung[slot] = stale ? 1 : 0;
    node.lastLookMs[slot] = this.nowMs;
    node.minFreeBytes = Math.min(node.minFreeBytes, node.freeSlots.size * this.#chunkBytes);
  }

  #node(nodeId: number): SimNode {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) throw new Error(`the host has no node ${nodeId}`);
    return node;
  }
}

/** As damon_hot_score() and damon_cold_score(). */
function scoreOf(kdamond: Kdamond, { desired }: RunningScheme, region: SimRegion): number {
  const { nrAccesses, age } = desired.quota.weights;
  const frequency = Math.floor((region.nrAccesses * MAX_SCORE) / samplesOf(kdamond));
  const ageSeconds = Math.floor((region.age * kdamond.desired.aggregationIntervalUs) / 1e6);
  const ageLog = ageSeconds === 0 ? 0 : Math.min(32, Math.floor(Math.log2(ageSeconds)) + 1);
  const ageScore = Math.floor((((frequency === 0 ? -ageLog : ageLog) + 32) * MAX_SCORE) / 64);
  const hotness = (nrAccesses * frequency + age * ageScore) / Math.max(1, nrAccesses + age);
  const hot = Math.min(MAX_SCORE, Math.max(0, Math.floor(hotness)));
  return desired.action === 'migrate_hot' ? hot : MAX_SCORE - hot;
}

/** Samples in an aggregation: the largest possible nr_accesses. */
function samplesOf({ desired }: Kdamond): number {
  return Math.max(1, Math.floor(desired.aggregationIntervalUs / desired.samplingIntervalUs));
}

/** As damon_update_monitoring_results(): counts and ages are told in the new intervals. */
function changeIntervals(kdamond: Kdamond, desired: DesiredKdamond): void {
  const before = kdamond.desired;
  const samples = samplesOf(kdamond);
  kdamond.desired = desired;
  if (
    before.samplingIntervalUs === desired.samplingIntervalUs &&
    before.aggregationIntervalUs === desired.aggregationIntervalUs
  )
    return;
  for (const region of kdamond.regions) {
    region.nrAccesses = Math.floor((region.nrAccesses / samples) * samplesOf(kdamond));
    region.age = Math.floor((region.age * before.aggregationIntervalUs) / desired.aggregationIntervalUs);
  }
}

function release(node: SimNode, slot: number): void {
  node.owner[slot] = FREE;
  node.freeSlots.put(slot);
}

/** Ends a region at a slot and returns what follows. */
function cut(region: SimRegion, at: number): SimRegion {
  const { end, nrAccesses, lastNrAccesses, age } = region;
  region.end = at;
  return { start: at, end, nrAccesses, lastNrAccesses, age };
}

function noCounters(): Counters {
  return {
    promotedBytes: 0,
    demotedBytes: 0,
    promotionTriedBytes: 0,
    demotionTriedBytes: 0,
    lookedBytes: 0,
    youngBytes: 0,
  };
}

function initialRegions(chunks: number, count: number): SimRegion[] {
  const regions: SimRegion[] = [];
  const size = Math.max(1, Math.floor(chunks / count));
  for (let start = 0; start < chunks; start += size) {
    const end = Math.min(chunks, start + size);
    regions.push({ start, end, nrAccesses: 0, lastNrAccesses: 0, age: 0 });
  }
  return regions;
}

/** As kdamond_merge_regions(): neighbours of similar rates become one region, with a coarser threshold while they are too many. */
function merge(kdamond: Kdamond, maxAccesses: number): void {
  const highest = kdamond.regions.reduce((most, region) => Math.max(most, region.nrAccesses), 0);
  let threshold = Math.floor(highest / 10);
  for (const region of kdamond.regions) {
    const changed =
      Math.abs(region.nrAccesses - region.lastNrAccesses) > threshold ||
      (region.nrAccesses === 0) !== (region.lastNrAccesses === 0);
    region.age = changed ? 0 : region.age + 1;
  }
  const chunks = kdamond.node.owner.length;
  const largest = Math.max(1, Math.floor(chunks / kdamond.desired.minRegions));
  for (;;) {
    kdamond.regions = mergeOnce(kdamond.regions, threshold, largest);
    if (kdamond.regions.length <= kdamond.desired.maxRegions || threshold >= maxAccesses) return;
    threshold = Math.max(1, threshold * 2);
  }
}

function mergeOnce(regions: readonly SimRegion[], threshold: number, largest: number): SimRegion[] {
  const merged: SimRegion[] = [];
  let previous: SimRegion | undefined;
  for (const region of regions) {
    const chunks = region.end - region.start;
    if (
      previous !== undefined &&
      Math.abs(previous.nrAccesses - region.nrAccesses) <= threshold &&
      previous.end - previous.start + chunks <= largest
    ) {
      const before = previous.end - previous.start;
      const mean = (a: number, b: number) => Math.floor((a * before + b * chunks) / (before + chunks));
      previous.nrAccesses = mean(previous.nrAccesses, region.nrAccesses);
      previous.age = mean(previous.age, region.age);
      previous.end = region.end;
    } else {
      merged.push(region);
      previous = region;
    }
  }
  return merged;
}

function matches({ pattern }: DesiredScheme, { nrAccesses, age }: SimRegion): boolean {
  return (
    nrAccesses >= pattern.nrAccesses.min &&
    nrAccesses <= pattern.nrAccesses.max &&
    age >= pattern.age.min &&
    age <= pattern.age.max
  );
}

/** Free slots of a node: any in constant time, the lowest by a hint that moves up. */
class Slots {
  readonly #slots: Int32Array;
  readonly #place: Int32Array;
  #lowestHint = 0;
  size: number;

  constructor(count: number) {
    this.#slots = Int32Array.from({ length: count }, (_, slot) => slot);
    this.#place = Int32Array.from({ length: count }, (_, slot) => slot);
    this.size = count;
  }

  put(slot: number): void {
    this.#slots[this.size] = slot;
    this.#place[slot] = this.size;
    this.size += 1;
    this.#lowestHint = Math.min(this.#lowestHint, slot);
  }

  takeRandom(random: Random): number {
    return this.#take(Math.floor(random() * this.size));
  }

  takeLowest(): number {
    if (this.size === 0) throw new Error('no free memory left on the node');
    while ((this.#place[this.#lowestHint] ?? -1) < 0) this.#lowestHint += 1;
    return this.#take(this.#place[this.#lowestHint] ?? 0);
  }

  #take(place: number): number {
    const slot = this.#slots[place];
    if (slot === undefined || this.size === 0) throw new Error('no free memory left on the node');
    this.size -= 1;
    const last = this.#slots[this.size] ?? slot;
    this.#slots[place] = last;
    this.#place[last] = place;
    this.#place[slot] = -1;
    return slot;
  }
}
