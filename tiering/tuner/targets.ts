import type { MigrationPath } from '../../numa/topology.ts';
import type { NodeObservation } from '../observation.ts';
import type { NodeTuning } from './node-tuning.ts';

/** Less room than this share of a node, or than one pass fills, is as good as none where another node has more. */
const SOME_ROOM_SHARE = 0.01;
/** To go to another node, or back to a nearer one, takes so many times as much: targets shall not change with every allocation. */
const PLENTY = 2;

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
  readonly keepFreeBytes: (node: NodeObservation) => number;
  /** Hot memory is shared out between each slow node and the fast one it prefers, which ends where it may go elsewhere. */
  readonly keepsPairs: boolean;
}

/**
 * The target of each node's orders: the first of its list with room. The present one counts as having room longer than another does. Where no target has
 * room, the first that can make some: by an exchange for what is promoted, by passing on for what is demoted. Pure.
 */
export function chooseTargets(input: TargetInput): ReadonlyMap<number, Targets> {
  return new Map(
    input.paths.map((path) => {
      const tuning = input.learned.get(path.nodeId);
      const lastOrders = tuning?.lastOrders;
      const promotion = choose(input, input.keepsPairs ? path.promotionTargets.slice(0, 1) : path.promotionTargets, {
        present: lastOrders?.promotion?.targetNodeId,
        passBytes: tuning?.promotionPace.stepBytes ?? Number.POSITIVE_INFINITY,
        // A few bytes need no more room than they take.
        wantedBytes: tuning?.lastHotBytes ?? 0,
        canMakeRoom: (nodeId) => canExchange(input, nodeId),
      });
      const demotion = choose(input, path.demotionTargets, {
        present: lastOrders?.demotion?.targetNodeId,
        passBytes: tuning?.demotionPace.stepBytes ?? Number.POSITIVE_INFINITY,
        wantedBytes: Number.POSITIVE_INFINITY,
        canMakeRoom: (nodeId) => hasRoomBelow(input, nodeId),
      });
      return [path.nodeId, { promotion, demotion }];
    }),
  );
}

interface Choice {
  /** Where the last order went. */
  readonly present: number | undefined;
  readonly passBytes: number;
  readonly wantedBytes: number;
  canMakeRoom(nodeId: number): boolean;
}

function choose(input: TargetInput, list: readonly number[], choice: Choice): Target | undefined {
  const [preferred] = list;
  if (preferred === undefined) return undefined;
  const present = choice.present !== undefined && list.includes(choice.present) ? choice.present : preferred;
  // To change it would be a commit for nothing.
  if (choice.wantedBytes === 0) return { nodeId: present };
  const has = (nodeId: number, times: number) => {
    const node = input.observed.get(nodeId);
    if (node === undefined) return false;
    const enoughBytes = Math.min(SOME_ROOM_SHARE * node.totalBytes, choice.passBytes, choice.wantedBytes);
    return roomOn(input, nodeId) >= times * enoughBytes;
  };
  const chosen =
    list.find((nodeId) => has(nodeId, nodeId === present ? 1 : PLENTY)) ??
    list.find((nodeId) => has(nodeId, 1)) ??
    list.find((nodeId) => choice.canMakeRoom(nodeId)) ??
    preferred;
  if (chosen === preferred) return { nodeId: chosen };
  const passedOver = list.slice(0, list.indexOf(chosen));
  const nodes = `node${passedOver.length === 1 ? '' : 's'} ${passedOver.join(', ')}`;
  return { nodeId: chosen, why: `to node ${chosen}, as ${nodes} ${passedOver.length === 1 ? 'has' : 'have'} no room` };
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
  return !isWaiting && hasRoomBelow(input, nodeId);
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
    const { observed, learned, keepFreeBytes } = this.#input;
    const node = observed.get(nodeId);
    if (node === undefined) return 0;
    let bytes = Math.max(0, keepFreeBytes(node) - node.freeBytes);
    for (const [source, { promotion }] of this.#targets) {
      if (promotion?.nodeId === nodeId) bytes += learned.get(source)?.lastHotBytes ?? 0;
    }
    return bytes;
  }
}

function add(totals: Map<number, number>, key: number, bytes: number): void {
  totals.set(key, (totals.get(key) ?? 0) + bytes);
}
