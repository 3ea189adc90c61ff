import type { DemotionReach, Reach, ReachBounds } from './reach.ts';

/** Budget of one node's promotion or demotion scheme for the next pass. 0 means off. */
export interface Order {
  readonly budgetBytes: number;
  /** Which regions. */
  readonly bounds: ReachBounds;
  /** For a person: why. */
  readonly reason: string;
  /** From the lowest address up, whatever a region's heat: what is tried next lies behind what was tried before. */
  readonly isSweep?: boolean;
  /** A promotion of what is only warm, into room that nothing hotter needs. */
  readonly isFill?: boolean;
}

export interface DemotionOrder extends Order {
  readonly reach: DemotionReach;
  /** How far this demand could have reached. */
  readonly furthest: Reach;
}

/** To which of a node's targets an order goes. */
export interface Directed {
  readonly targetNodeId: number;
}

/** What shall move out of a node until the next tick. */
export interface NodeOrders {
  readonly nodeId: number;
  readonly promotion?: Order & Directed;
  readonly demotion?: DemotionOrder & Directed;
  /** So many bytes are looked at page by page, and their accessed bits cleared; nothing moves. */
  readonly lookBytes?: number;
}

/** Whether an order lets anything move. */
export function isOn(order: NodeOrders): boolean {
  return (order.promotion?.budgetBytes ?? 0) > 0 || (order.demotion?.budgetBytes ?? 0) > 0;
}
