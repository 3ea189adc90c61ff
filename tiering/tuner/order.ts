import type { DemotionReach, Reach } from './reach.ts';

/** Budget of one node's promotion or demotion scheme for the next pass. 0 means off. */
export interface Order {
  readonly budgetBytes: number;
  /** For a person: why. */
  readonly reason: string;
}

export interface DemotionOrder extends Order {
  readonly reach: DemotionReach;
  /** How far this demand could have reached. */
  readonly furthest: Reach;
}

/** What shall move out of a node until the next tick. */
export interface NodeOrders {
  readonly nodeId: number;
  readonly promotion?: Order;
  readonly demotion?: DemotionOrder;
}

/** Whether an order lets anything move. */
export function isOn(order: NodeOrders): boolean {
  return (order.promotion?.budgetBytes ?? 0) > 0 || (order.demotion?.budgetBytes ?? 0) > 0;
}
