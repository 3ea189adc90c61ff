import type { MigrationPath } from '../../numa/topology.ts';
import type { NodeObservation } from '../observation.ts';
import type { HeatLevels } from './levels.ts';
import type { NodeTuning } from './node-tuning.ts';
import type { Directed } from './order.ts';

/** Less room than this share of a node, or than one pass fills, is as good as none where another node has more. */
const SOME_ROOM_SHARE = 0.01;
/** To go to another node, or back to a nearer one, takes so many times as much: targets shall not change with every allocation. */
const PLENTY = 2;
/** Less of a node is not worth an exchange there. */
const LEAST_COLDER_SHARE = 0.01;

/** The node that an order goes to. */
export interface Target {
  readonly nodeId: number;
  /** For a person, where it is not the preferred one: why. */
  readonly why?: string;
}

/** Where what leaves a node goes now; undefined: there is no node of a faster, or slower, tier. */
export interface Targets {
  readonly promotion: Target | undefined;
  readonly demotion: Target | undefined;
}

export interface TargetInput {
  readonly nowMs: number;
  readonly paths: readonly MigrationPath[];
  readonly observed: ReadonlyMap<number, NodeObservation>;
  readonly learned: ReadonlyMap<number, NodeTuning>;
  /** By node: what is hot on it, and waits where there are faster nodes. */
  readonly hotBytes: ReadonlyMap<number, number>;
  /** By node that others may promote into: what counts as hot and cold, and what would trade places. */
  readonly levels: ReadonlyMap<number, HeatLevels>;
  readonly keepFreeBytes: (node: NodeObservation) => number;
  /** Hot memory is shared out between each slow node and the fast one it prefers, which ends where it may go elsewhere. */
  readonly keepsPairs: boolean;
}

/**
 * The target of each node's orders: the first of its list with room. The present one counts as having room longer than another does, and room that others
 * wait for is not plenty. Where no target has room, the first that can make some: by an exchange for what is promoted, by passing on for what is demoted.
 * Pure.
 */
export function chooseTargets(input: TargetInput): ReadonlyMap<number, Targets> {
  return new Map(
    input.paths.map((path) => [
      path.nodeId,
      { promotion: promotionOf(input, path), demotion: demotionOf(input, path) },
    ]),
  );
}

function promotionOf(input: TargetInput, { nodeId, promotionTargets }: MigrationPath): Target | undefined {
  const tuning = input.learned.get(nodeId);
  const list = input.keepsPairs ? promotionTargets.slice(0, 1) : promotionTargets;
  const present = presentOf(list, tuning?.lastOrders.promotion);
  const waitingBytes = input.hotBytes.get(nodeId) ?? 0;
  // To change it would be a commit for nothing.
  if (present === undefined || waitingBytes === 0) return present === undefined ? undefined : { nodeId: present };
  // A few bytes need no more room than they take.
  const enoughBytes = Math.min(tuning?.promotionPace.stepBytes ?? 0, waitingBytes);
  const chosen =
    firstWithRoom(input, { list, present, enoughBytes }, (target) => claimedBytes(input, target, nodeId)) ??
    list.find((target) => canExchange(input, target)) ??
    list.find((target) => has(input, target, enoughBytes));
  return explained(chosen, list);
}

function demotionOf(input: TargetInput, { nodeId, demotionTargets: list }: MigrationPath): Target | undefined {
  const tuning = input.learned.get(nodeId);
  const present = presentOf(list, tuning?.lastOrders.demotion);
  const enoughBytes = tuning?.demotionPace.stepBytes ?? 0;
  const chosen =
    firstWithRoom(input, { list, present, enoughBytes }, () => 0) ??
    list.find((target) => has(input, target, enoughBytes)) ??
    list.find((target) => hasRoomBelow(input, target));
  return explained(chosen, list);
}

interface Choice {
  readonly list: readonly number[];
  /** Where the last order went, or without one the preferred target. */
  readonly present: number | undefined;
  readonly enoughBytes: number;
}

function presentOf(list: readonly number[], last: Directed | undefined): number | undefined {
  return last !== undefined && list.includes(last.targetNodeId) ? last.targetNodeId : list[0];
}

function firstWithRoom(
  input: TargetInput,
  { list, present, enoughBytes }: Choice,
  claimed: (target: number) => number,
): number | undefined {
  return list.find((target) =>
    target === present
      ? has(input, target, enoughBytes)
      : has(input, target, enoughBytes, { times: PLENTY, claimedBytes: claimed(target) }),
  );
}

function has(
  input: TargetInput,
  target: number,
  enoughBytes: number,
  { times = 1, claimedBytes: claimed = 0 } = {},
): boolean {
  const node = input.observed.get(target);
  if (node === undefined) return false;
  return roomOn(input, target) - claimed >= times * Math.min(enoughBytes, SOME_ROOM_SHARE * node.totalBytes);
}

/** What other nodes want to promote to a target: the room there may have been made for it. */
function claimedBytes({ paths, learned, hotBytes }: TargetInput, target: number, exceptNodeId: number): number {
  let bytes = 0;
  for (const { nodeId, promotionTargets } of paths) {
    const tuning = learned.get(nodeId);
    if (nodeId === exceptNodeId || tuning === undefined) continue;
    if (presentOf(promotionTargets, tuning.lastOrders.promotion) === target) bytes += hotBytes.get(nodeId) ?? 0;
  }
  return bytes;
}

function explained(chosen: number | undefined, list: readonly number[]): Target | undefined {
  const nodeId = chosen ?? list[0];
  if (nodeId === undefined) return undefined;
  const passedOver = list.slice(0, list.indexOf(nodeId));
  if (passedOver.length === 0) return { nodeId };
  const [nodes, have] = passedOver.length === 1 ? ['node', 'has'] : ['nodes', 'have'];
  return { nodeId, why: `to node ${nodeId}, as ${nodes} ${passedOver.join(', ')} ${have} no room` };
}

/** What a node could take, 0 for one that is not seen. */
function roomOn({ observed, keepFreeBytes }: TargetInput, nodeId: number): number {
  const node = observed.get(nodeId);
  return node === undefined ? 0 : Math.max(0, node.freeBytes - keepFreeBytes(node));
}

/** What was tried in vain on a node lately is tried on the next one meanwhile. */
function canExchange(input: TargetInput, nodeId: number): boolean {
  const tuning = input.learned.get(nodeId);
  if (tuning === undefined) return false;
  const isWaiting = input.nowMs < Math.max(tuning.effort.restUntilMs, tuning.pingPong.holdUntilMs);
  return !isWaiting && hasColder(input, nodeId) && hasRoomBelow(input, nodeId);
}

/** Whether something on a node that is full of touched memory is surely colder than what may come. */
function hasColder({ levels, observed }: TargetInput, nodeId: number): boolean {
  const around = levels.get(nodeId);
  const totalBytes = observed.get(nodeId)?.totalBytes ?? 0;
  return around?.isCrowded !== true || around.exchange.bytes >= LEAST_COLDER_SHARE * totalBytes;
}

function hasRoomBelow(input: TargetInput, nodeId: number): boolean {
  const path = input.paths.find((candidate) => candidate.nodeId === nodeId);
  return path?.demotionTargets.some((below) => roomOn(input, below) > 0) ?? false;
}

/** How the nodes that demote into one target share its room: in proportion to what they want to be rid of, and never more than what is left. */
export class SharedRoom {
  readonly #input: TargetInput;
  readonly #targets: ReadonlyMap<number, Targets>;
  /** By target. */
  readonly #wanted = new Map<number, number>();
  readonly #ordered = new Map<number, number>();

  constructor(input: TargetInput, targets: ReadonlyMap<number, Targets>) {
    this.#input = input;
    this.#targets = targets;
    for (const [nodeId, { demotion }] of targets) {
      if (demotion !== undefined) add(this.#wanted, demotion.nodeId, this.#wantedBy(nodeId));
    }
  }

  /** A node's share of its target's room, for itself and what others want to push down through it. */
  shareOf(nodeId: number, pushedDownBytes: number): number {
    const target = this.#targets.get(nodeId)?.demotion;
    if (target === undefined) return 0;
    const room = roomOn(this.#input, target.nodeId);
    const allWanted = this.#wanted.get(target.nodeId) ?? 0;
    const share = allWanted > 0 ? Math.min(1, (this.#wantedBy(nodeId) + pushedDownBytes) / allWanted) : 1;
    return Math.max(0, Math.min(room * share, room - (this.#ordered.get(target.nodeId) ?? 0)));
  }

  ordered(targetNodeId: number, bytes: number): void {
    add(this.#ordered, targetNodeId, bytes);
  }

  /** What it has too much, and what wants to come up to it. */
  #wantedBy(nodeId: number): number {
    const { observed, hotBytes, keepFreeBytes } = this.#input;
    const node = observed.get(nodeId);
    if (node === undefined) return 0;
    let bytes = Math.max(0, keepFreeBytes(node) - node.freeBytes);
    for (const [source, { promotion }] of this.#targets) {
      if (promotion?.nodeId === nodeId) bytes += hotBytes.get(source) ?? 0;
    }
    return bytes;
  }
}

function add(totals: Map<number, number>, key: number, bytes: number): void {
  totals.set(key, (totals.get(key) ?? 0) + bytes);
}
