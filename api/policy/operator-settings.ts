import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { inTime } from '../../tiering/in-time.ts';
import type { Logger } from '../../tiering/logger.ts';
import type { Policy } from '../../tiering/policy.ts';
import { Serial } from '../../tiering/serial.ts';
import type { TieringService } from '../../tiering/service.ts';
import { ChangedMeanwhileError, InvalidPolicyError, OverruledError, UnchangedError } from '../errors.ts';
import { checkPolicy, policyPatchViolations } from '../policy-check.ts';
import type { JsonObject } from '../schema/json-schema.ts';
import { isJsonObject } from '../schema/json-schema.ts';
import { isDeeperThan, mergePatch } from '../schema/merge-patch.ts';
import { wrongValue } from '../schema/violation.ts';
import type { PolicyLayers, PolicySource } from './layers.ts';
import { overruledKeys, policyOfLayers, sourcesOf } from './layers.ts';
import type { PlanChange } from './plan-changes.ts';
import { planChanges } from './plan-changes.ts';
import type { Preconditions } from './preconditions.ts';
import { failedPrecondition } from './preconditions.ts';

/** What the operator has set over REST, and what must survive a restart of the daemon. */
export interface SavedSettings {
  /** The keys of the policy that were set. */
  readonly policy: JsonObject;
  /** ISO 8601: since when nothing may move. */
  readonly pausedSince?: string;
}

export interface OperatorSettingsOptions {
  readonly service: Pick<
    TieringService,
    'policy' | 'setPolicy' | 'preview' | 'pausedSince' | 'pause' | 'resume' | 'pendingNodeIds'
  >;
  readonly layers: PolicyLayers;
  /** Durable once it resolves. */
  readonly save: (settings: SavedSettings) => Promise<void>;
  /** Makes the next start take what was saved before for outdated; durable once it resolves. */
  readonly invalidate: () => Promise<void>;
  /** Why it is paused from the start, when no operator asked for it. */
  readonly pauseReason?: string | undefined;
  readonly logger: Logger;
}

/** The policy has two levels of objects and lists in it; what is nested deeper is wrong wherever it is. */
export const MAX_DEPTH = 8;
const SAVE_AGAIN_MS = 30_000;
/** Whoever asks for a change is answered within 2 s: it is in force, or pending. */
const ANSWER_MS = 1_400;
/** A disk that hangs must not keep others waiting. */
const SAVE_LIMIT_MS = 1_000;

interface Edit {
  /** The keys that it sets; null: takes back. */
  readonly asked: JsonObject;
  /** Makes what REST says from what it said. */
  readonly apply: (rest: JsonObject) => JsonObject;
}

/**
 * The policy as the operator steers it: command line, REST, file and defaults in layers; one change at a time, each checked as a whole, applied online and
 * then saved. What cannot be saved is in force all the same, and is saved as soon as that is possible.
 */
export class OperatorSettings {
  readonly #options: OperatorSettingsOptions;
  readonly #edits = new Serial();
  readonly #saves = new Serial();
  #pauses = 0;
  #layers: PolicyLayers;
  #saveProblem: string | undefined;
  #pauseReason: string | undefined;
  #saveAgain: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: OperatorSettingsOptions) {
    this.#options = options;
    this.#layers = options.layers;
    this.#pauseReason = options.pauseReason;
  }

  policy(): Policy {
    return this.#options.service.policy();
  }

  /** By key, such as `promotion.minAccessRate`. */
  sources(): Readonly<Record<string, PolicySource>> {
    return sourcesOf(this.#layers);
  }

  /** Strong entity tag of the policy in force (RFC 9110, 8.8.3). */
  etag(): string {
    const hash = createHash('sha256').update(JSON.stringify(this.policy())).update(JSON.stringify(this.sources()));
    return `"${hash.digest('base64url').slice(0, 22)}"`;
  }

  /** Why what is in force has not been saved; undefined: it has. */
  get saveProblem(): string | undefined {
    return this.#saveProblem;
  }

  /** Why nothing moves although nobody asked for a pause, and the way out; undefined: somebody did, or it was resumed. */
  get pauseReason(): string | undefined {
    return this.#pauseReason === undefined
      ? undefined
      : `what was set over REST is not known any more, so tierd started paused (${this.#pauseReason}): look at the policy, then tierd resume`;
  }

  /**
   * Applies a JSON merge patch (RFC 7396) and resolves with the policy then in force; null takes back what was set over REST, so that the file or the default
   * counts again. Throws InvalidPolicyError, OverruledError, ChangedMeanwhileError or UnchangedError with nothing applied.
   */
  patch(patch: unknown, preconditions: Preconditions = {}): Promise<Policy> {
    return this.#edit(patched(patch), preconditions);
  }

  /** Replaces all that was set over REST. Throws as patch() does. */
  put(policy: unknown, preconditions: Preconditions = {}): Promise<Policy> {
    return this.#edit(replaced(policy), preconditions);
  }

  /** What patch() would change in the kernel. Applies nothing; throws as patch() does. */
  previewPatch(patch: unknown, preconditions: Preconditions = {}): Promise<PolicyPreview> {
    return this.#preview(patched(patch), preconditions);
  }

  /** What put() would change in the kernel. Applies nothing; throws as put() does. */
  previewPut(policy: unknown, preconditions: Preconditions = {}): Promise<PolicyPreview> {
    return this.#preview(replaced(policy), preconditions);
  }

  /** The file says something else now. Throws InvalidPolicyError with nothing applied. */
  setFile(file: JsonObject): Promise<void> {
    return this.#edits.run(async () => {
      await this.#apply({ ...this.#layers, file });
    });
  }

  /** The policy that a patch asks for, on top of what is in force. Throws InvalidPolicyError or OverruledError. */
  patched(patch: unknown): Policy {
    return this.#wanted(patched(patch));
  }

  /** The same for all that REST shall say. */
  replaced(policy: unknown): Policy {
    return this.#wanted(replaced(policy));
  }

  /** What comes of a change within the time in which it is to be answered; undefined: it is pending, and a failure of it is logged. */
  async soon<T>(change: Promise<T>): Promise<T | undefined> {
    const { logger } = this.#options;
    const isLate = Symbol('late');
    const late = pause(ANSWER_MS, isLate, { ref: false });
    if ((await Promise.race([change, late])) !== isLate) return change;
    change.catch((error: unknown) => {
      logger.error({ err: error }, 'a change that was pending is not in force: it was refused');
    });
    return undefined;
  }

  /** Nodes that what was asked for last is not in force on yet. */
  get pendingNodeIds(): readonly number[] {
    return this.#options.service.pendingNodeIds();
  }

  /** From this call on nothing is promoted or demoted, whatever else is under way. Already paused: stays as it is. Resolves when kdamonds were told. */
  async pause(now = new Date()): Promise<void> {
    // A resume that waits was asked for before.
    this.#pauses += 1;
    if (this.#options.service.pausedSince() !== undefined) return;
    const told = this.#options.service.pause(now);
    await Promise.all([told, this.#save()]);
  }

  /** Throws what TieringService.resume() throws, with nothing changed. */
  resume(): Promise<void> {
    const pausesBefore = this.#pauses;
    return this.#edits.run(async () => {
      if (this.#pauses !== pausesBefore) return;
      const wasPaused = this.#options.service.pausedSince() !== undefined;
      await this.#options.service.resume();
      this.#pauseReason = undefined;
      if (wasPaused) await this.#save();
    });
  }

  /** Saves what is in force; what fails is tried again. */
  save(): Promise<void> {
    return this.#save();
  }

  /** Ends the tries to save what could not be saved, with a last one. */
  async close(): Promise<void> {
    if (this.#saveProblem !== undefined) await this.save();
    clearTimeout(this.#saveAgain);
  }

  #edit(edit: Edit, preconditions: Preconditions): Promise<Policy> {
    return this.#edits.run(async () => {
      this.#checkTag(preconditions);
      await this.#apply(this.#edited(edit), edit.asked);
      await this.#save();
      return this.policy();
    });
  }

  #preview(edit: Edit, preconditions: Preconditions): Promise<PolicyPreview> {
    return this.#edits.run(async () => {
      this.#checkTag(preconditions);
      const policy = this.#checked(this.#edited(edit), edit.asked);
      const { before, after, scopeProblem } = await this.#options.service.preview(policy);
      return { policy, changes: planChanges(before, after), ...(scopeProblem !== undefined && { scopeProblem }) };
    });
  }

  #edited({ asked, apply }: Edit): PolicyLayers {
    const overruled = overruledKeys(this.#layers.commandLine, asked);
    if (overruled.length > 0) throw new OverruledError(overruled);
    return { ...this.#layers, rest: apply(this.#layers.rest) };
  }

  #checked(layers: PolicyLayers, asked: JsonObject = {}): Policy {
    const checked = policyOfLayers(layers);
    const violations = checked.ok ? policyPatchViolations(asked) : checked.violations;
    if (!checked.ok || violations.length > 0) throw new InvalidPolicyError(violations);
    return checked.value;
  }

  async #apply(layers: PolicyLayers, asked?: JsonObject): Promise<void> {
    await this.#options.service.setPolicy(this.#checked(layers, asked));
    this.#layers = layers;
  }

  #checkTag(preconditions: Preconditions): void {
    const failed = failedPrecondition(preconditions, this.etag());
    if (failed === 'ifMatch') throw new ChangedMeanwhileError();
    if (failed === 'ifNoneMatch') throw new UnchangedError();
  }

  #wanted(edit: Edit): Policy {
    return this.#checked(this.#edited(edit), edit.asked);
  }

  /** The newest, whole: a disk that does not answer is waited for by later ones only. */
  #save(): Promise<void> {
    return this.#saves.run(() => this.#saveNow());
  }

  /** Whether it is saved; it may be yet. */
  async #saveInTime(settings: SavedSettings): Promise<boolean> {
    const writing = this.#writing.then(() => this.#options.save(settings));
    this.#writing = writing.catch(() => undefined);
    const isSaved = await inTime(
      writing.then(() => true),
      SAVE_LIMIT_MS,
    );
    return isSaved === true;
  }

  /** Once the disk answers: what is under way may be an older state by then. */
  #saveLater(): void {
    const reason = 'the state directory does not answer';
    if (this.#saveProblem === undefined)
      this.#options.logger.warn({ reason }, 'what was set over REST is in force but not saved yet');
    this.#saveProblem = reason;
    void this.#writing.then(() => this.save());
  }

  async #saveNow(): Promise<void> {
    const { service, logger } = this.#options;
    const pausedSince = service.pausedSince();
    clearTimeout(this.#saveAgain);
    try {
      const isSaved = await this.#saveInTime({
        policy: this.#layers.rest,
        ...(pausedSince && { pausedSince: pausedSince.toISOString() }),
      });
      if (!isSaved) return this.#saveLater();
      if (this.#saveProblem !== undefined) logger.info({}, 'what was set over REST is saved again');
      this.#saveProblem = undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#saveProblem === undefined) {
        logger.warn({ reason }, 'what was set over REST is in force but not saved: it is tried again');
      }
      this.#saveProblem = reason;
      const invalidated = this.#options.invalidate().catch((failure: unknown) => {
        const why = failure instanceof Error ? failure.message : String(failure);
        logger.error({ reason: why }, 'nor can the next start be told: it would go on with what was saved before');
        this.#saveProblem = `${reason}; a restart before that would go on with what was saved earlier`;
      });
      await inTime(invalidated, SAVE_LIMIT_MS);
      this.#saveAgain = setTimeout(() => void this.save(), SAVE_AGAIN_MS);
      this.#saveAgain.unref();
    }
  }
}

export interface PolicyPreview {
  readonly policy: Policy;
  readonly changes: readonly PlanChange[];
  /** Which of its cgroups match nothing, and what that would mean. */
  readonly scopeProblem?: string;
}

function patched(patch: unknown): Edit {
  const asked = asDocument(patch);
  return { asked, apply: (rest) => asDocument(mergePatch(rest, asked)) };
}

/** Null says nothing there either. */
function replaced(policy: unknown): Edit {
  const asked = asDocument(policy);
  return { asked, apply: () => asDocument(mergePatch({}, asked)) };
}

/** Of what is no object the check of the policy says what is wrong. */
function asDocument(value: unknown): JsonObject {
  if (isDeeperThan(value, MAX_DEPTH)) {
    throw new InvalidPolicyError([wrongValue([], 'the document', `nested at most ${MAX_DEPTH} levels deep`)]);
  }
  if (isJsonObject(value)) return value;
  const checked = checkPolicy(value);
  throw new InvalidPolicyError(checked.ok ? [] : checked.violations);
}
