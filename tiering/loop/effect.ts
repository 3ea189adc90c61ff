import type { TieringEvent } from '../events/event.ts';
import type { NodeSample } from '../history/history.ts';
import type { PlanInput } from '../plan.ts';
import type { Policy } from '../policy.ts';

/** What the loop wants done, in this order, before kdamonds are brought to what it desires. */
export type Effect =
  | {
      readonly type: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly message: string;
      readonly error?: unknown;
    }
  /** Logged, and published. */
  | { readonly type: 'tell'; readonly event: TieringEvent }
  /** No line in the log. */
  | { readonly type: 'publish'; readonly event: TieringEvent }
  | { readonly type: 'recordHistory'; readonly samples: readonly NodeSample[] }
  /** Every node has been seen once. */
  | { readonly type: 'becomeReady' }
  /** Resolve the cgroups; `scopeChanged` follows. */
  | { readonly type: 'resolveScope'; readonly cgroups: Policy['cgroups'] }
  /** A decision is due: settle what the last one moved and observe; `observed` follows, then `carriedOut`. */
  | { readonly type: 'observe' }
  /** The engine carries out these orders. */
  | { readonly type: 'serve'; readonly input: PlanInput }
  /** What the engine has under way ends: it was decided for something else. */
  | { readonly type: 'interrupt' }
  /** Whatever moves memory ends, on every kdamond that answers. */
  | { readonly type: 'quieten' }
  /** Own memory goes where the topology now says. */
  | { readonly type: 'keepOwnMemory' };
