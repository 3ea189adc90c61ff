import type { DemotionReach, Reach, ReachBounds } from './reach.ts';

/** Budget of one node's promotion or demotion scheme for the next pass. 0 means off. */
export interface Order {
  readonly budgetBytes: number;
  /** Which regions. */
  readonly bounds: ReachBounds;
  /** For a person: why. */
  readonly reason: string;
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
}

/** Whether an order lets anything move. */
export function isOn(order: NodeOrders): boolean {
  return (order.promotion?.budgetBytes ?? 0) > 0 || (order.demotion?.budgetBytes ?? 0) > 0;
}
