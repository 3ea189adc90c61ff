import type { Reach } from './reach.ts';

/** Budget of one node's promotion or demotion scheme for the next pass. 0 means off. */
export interface Order {
  readonly budgetBytes: number;
  /** For a person: why. */
  readonly reason: string;
}

export interface DemotionOrder extends Order {
  readonly reach: Reach;
  /** How far this demand could have reached. */
  readonly furthest: Reach;
}

/** What a node's schemes shall do until the next tick. */
export interface NodeOrders {
  readonly nodeId: number;
  readonly promotion?: Order;
  readonly demotion?: DemotionOrder;
}
