import type { Policy } from '../tiering/policy.ts';
import { Serial } from '../tiering/serial.ts';
import type { TieringService } from '../tiering/service.ts';
import { InvalidPolicyError } from './errors.ts';
import { checkPolicy } from './policy-check.ts';
import { isDeeperThan, mergePatch } from './schema/merge-patch.ts';
import { wrongValue } from './schema/violation.ts';

/** The policy has two levels of objects and lists in it; a patch nested deeper is wrong wherever it is. */
const MAX_PATCH_DEPTH = 8;

/** Changes the policy, one change at a time: each patch merges into what the one before it left. */
export class PolicyEditor {
  readonly #service: Pick<TieringService, 'policy' | 'setPolicy'>;
  readonly #edits = new Serial();

  constructor(service: Pick<TieringService, 'policy' | 'setPolicy'>) {
    this.#service = service;
  }

  /**
   * Applies a JSON merge patch (RFC 7396) and resolves with the policy then in force; null sets a key to its default.
   * Throws InvalidPolicyError, with nothing applied, when any part of the result is wrong.
   */
  patch(patch: unknown): Promise<Policy> {
    return this.#edits.run(() => this.#apply(patch));
  }

  async #apply(patch: unknown): Promise<Policy> {
    if (isDeeperThan(patch, MAX_PATCH_DEPTH)) {
      throw new InvalidPolicyError([wrongValue([], 'the patch', `nested at most ${MAX_PATCH_DEPTH} levels deep`)]);
    }
    const checked = checkPolicy(mergePatch(this.#service.policy(), patch));
    if (!checked.ok) throw new InvalidPolicyError(checked.violations);
    await this.#service.setPolicy(checked.value);
    return this.#service.policy();
  }
}
