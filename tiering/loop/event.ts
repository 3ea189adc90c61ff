import type { Topology } from '../../numa/topology.ts';
import type { EngineName } from '../engine.ts';
import type { Observation } from '../observation.ts';
import type { Policy } from '../policy.ts';
import type { ResolvedScope } from '../resolved-scope.ts';
import type { DamonFeatures } from '../scheme.ts';
import type { Watched } from './decision-clock.ts';

/** What the loop is told, one at a time. Each is a plain value. */
export type LoopEvent =
  /** The daemon begins. */
  | { readonly type: 'started' }
  /** Which memory there is, before anything is watched. */
  | { readonly type: 'discovered'; readonly topology: Topology }
  /** Something else has DAMON; `holder` in a few words, `message` in full. */
  | { readonly type: 'damonHeld'; readonly holder: string; readonly message: string }
  /** DAMON is ours. */
  | { readonly type: 'damonTaken' }
  | {
      readonly type: 'engineChosen';
      readonly engine: EngineName;
      readonly features: DamonFeatures;
    }
  /** How many regions of one kdamond can be traced on this host. */
  | { readonly type: 'regionsLimited'; readonly mostRegions: number }
  /** What the trace gave was taken in, and kdamonds were looked after. */
  | {
      readonly type: 'looked';
      /** All nodes that have a kdamond. */
      readonly watched: Watched;
      /** What keeps kdamonds from being started again, or that they have just been, for people. */
      readonly problem: string | undefined;
      /** Why DAMON has been left to others. */
      readonly aside: string | undefined;
      readonly blindNodeIds: readonly number[];
      /** Cgroups are to be looked at again, when the policy names some. */
      readonly isScopeDue: boolean;
      /** When it ended; it began at the time of the event. */
      readonly endedAtMs: number;
    }
  /** What a decision needs is known. */
  | {
      readonly type: 'observed';
      readonly observation: Observation;
      readonly snapshots: Watched['snapshots'];
      /** When gathering it began, after migrations had been waited for. */
      readonly sinceMs: number;
    }
  /** A kdamond has taken a change. */
  | { readonly type: 'kdamondApplied'; readonly nodeId: number }
  /** All that the last decision asked for is done. */
  | { readonly type: 'carriedOut' }
  /** What is wrong with single nodes or with the trace has changed; undefined: nothing is. */
  | { readonly type: 'nodesTroubled'; readonly problem: string | undefined }
  | { readonly type: 'tickFailed'; readonly error: unknown }
  /** Schemes could not be switched off. */
  | { readonly type: 'quietenFailed'; readonly error: unknown }
  /** A look, with all that followed from it, is over. */
  | { readonly type: 'ticked'; readonly hasFailed: boolean }
  | { readonly type: 'policyChanged'; readonly policy: Policy; readonly scope: ResolvedScope }
  | { readonly type: 'scopeChanged'; readonly scope: ResolvedScope }
  | { readonly type: 'topologyChanged'; readonly topology: Topology; readonly description: string }
  | { readonly type: 'paused'; readonly since: Date }
  | { readonly type: 'resumed' }
  /** DAMON, which had been left to others, is ours again. */
  | { readonly type: 'takenBack' }
  /** Memory is about to be measured: nothing else may move. */
  | { readonly type: 'measuring' }
  | { readonly type: 'stopped' };
