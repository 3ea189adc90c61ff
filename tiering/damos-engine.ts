import type { DamonDriver } from './damon/driver.ts';
import type { ProbedFeatures } from './damon/features.ts';
import { requireMigration } from './damon/features.ts';
import type { EffectiveQuotas } from './effective-quotas.ts';
import type { Engine } from './engine.ts';
import { describeLeftOut } from './filter-limit.ts';
import type { Flow } from './flow-ledger.ts';
import type { KdamondFleet } from './kdamond-fleet.ts';
import type { Logger } from './logger.ts';
import type { Observer } from './observer.ts';
import type { PlanInput } from './plan.ts';
import { isOn } from './tuner/order.ts';

/** Statistics are read this long after the last order, to catch a pass that was under way. */
const MOVING_FOR_MS = 15_000;

export interface DamosEngineOptions {
  readonly driver: Pick<DamonDriver, 'kdamonds'>;
  readonly observer: Pick<Observer, 'schemeFlows'> & { readonly effectiveQuotas: Pick<EffectiveQuotas, 'look'> };
  readonly fleet: Pick<KdamondFleet, 'failed'>;
  readonly logger: Logger;
  readonly nowMs: () => number;
}

/** Migration by DAMON's own schemes, migrate_hot and migrate_cold (Linux 6.11): an order is the budget of a scheme, which the loop brings to the kdamond. */
export class DamosEngine implements Engine {
  readonly name = 'damos';
  readonly #options: DamosEngineOptions;
  /** By node: the last order that let something move. */
  readonly #orderedAtMs = new Map<number, number>();
  #toldLeftOut: string | undefined;

  constructor(options: DamosEngineOptions) {
    this.#options = options;
  }

  async prepare(features: ProbedFeatures): Promise<void> {
    requireMigration(features);
  }

  /** Reading statistics asks the kdamond, so settled ones are left in peace. */
  async settle(nowMs: number): Promise<ReadonlyMap<number, Flow>> {
    const { driver, observer, fleet } = this.#options;
    const { kdamonds } = driver;
    const moving = kdamonds.filter(
      ({ desired }) => nowMs - (this.#orderedAtMs.get(desired.nodeId) ?? 0) < MOVING_FOR_MS,
    );
    const flows = await observer.schemeFlows(moving, nowMs, (nodeId, error) => fleet.failed(nodeId, error));
    // Nothing depends on it.
    await observer.effectiveQuotas.look(kdamonds, new Set(moving), this.#options.nowMs).catch(() => undefined);
    return flows;
  }

  async serve(input: PlanInput): Promise<void> {
    const nowMs = this.#options.nowMs();
    this.#tellLeftOut(input);
    for (const order of input.orders) {
      if (isOn(order) || order.lookBytes !== undefined) this.#orderedAtMs.set(order.nodeId, nowMs);
    }
  }

  /** Once for each change of it. */
  #tellLeftOut({ scope }: PlanInput): void {
    const leftOut = describeLeftOut(scope);
    if (leftOut !== undefined && leftOut !== this.#toldLeftOut) this.#options.logger.warn({}, leftOut);
    this.#toldLeftOut = leftOut;
  }

  policyChanged(): void {
    // Budgets end with their pass: there is nothing to forget.
  }

  accounts(): undefined {
    return undefined;
  }

  async stop(): Promise<void> {
    // The schemes go with the kdamonds.
  }
}
