import { SysFsError } from '../../numa/sysfs.ts';
import { KdamondSilentError } from './errors.ts';

/**
 * What is asked of one kdamond, one thing after another. What is not answered in time is given up: nobody can take back the call that hangs in the kernel, so until
 * that has ended the kdamond is silent, which whoever asks for more is told at once.
 */
export class KdamondLine {
  readonly #index: number;
  readonly #nodeId: number;
  #tail: Promise<unknown> = Promise.resolve();
  #startedAtMs: number | undefined;
  #isSilent = false;

  constructor(index: number, nodeId: number) {
    this.#index = index;
    this.#nodeId = nodeId;
  }

  /** For how long it has not answered; undefined: it answers, as far as anybody knows. */
  get silentMs(): number | undefined {
    return this.#isSilent && this.#startedAtMs !== undefined ? performance.now() - this.#startedAtMs : undefined;
  }

  /** Whether something is asked of it now. */
  get isBusy(): boolean {
    return this.#startedAtMs !== undefined;
  }

  /** Whether what is under way is still waited for. What is not must go no further once its call has ended. */
  get isWanted(): boolean {
    return !this.#isSilent;
  }

  /** Nobody waits any longer for what is under way. */
  giveUp(): void {
    if (this.#startedAtMs !== undefined) this.#isSilent = true;
  }

  get silence(): KdamondSilentError {
    return new KdamondSilentError(this.#index, this.#nodeId, this.silentMs ?? 0);
  }

  /** Throws KdamondSilentError, and what the task throws. */
  async run<T>(task: () => Promise<T>, limitMs: number): Promise<T> {
    if (this.#isSilent) throw this.silence;
    let isCancelled = false;
    const answer = this.#tail.then(async () => {
      if (isCancelled || this.#isSilent) throw this.silence;
      this.#startedAtMs = performance.now();
      try {
        return await task();
      } catch (error) {
        throw error instanceof SysFsError && error.errno === 'ETIMEDOUT' ? this.silence : error;
      } finally {
        this.#startedAtMs = undefined;
        this.#isSilent = false;
      }
    });
    this.#tail = answer.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        isCancelled = true;
        this.giveUp();
        reject(this.silence);
      }, limitMs);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
