import { setTimeout as sleep } from 'node:timers/promises';

export interface TurnsOptions {
  /** Each has so much time to itself; then the next begins beside it. */
  readonly aloneMs: number;
  /** Under way at the same time, at most. */
  readonly mostAtOnce: number;
}

/** Lets tasks begin one after another, such that a short one ends before the next begins, and a long one holds up none for long. */
export class Turns {
  readonly #options: TurnsOptions;
  /** The last one asked for has begun, and has had its time. */
  #lastHadTime: Promise<unknown> = Promise.resolve();
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** Runs the task when it is its turn, and resolves when it has ended. Tasks must not reject. */
  run(task: () => Promise<void>): Promise<void> {
    const begun = this.#lastHadTime.then(async () => {
      while (this.#underWay.size >= this.#options.mostAtOnce) await Promise.race(this.#underWay);
      const done = task();
      this.#underWay.add(done);
      void done.finally(() => this.#underWay.delete(done));
      return { done };
    });
    this.#lastHadTime = begun.then(({ done }) => this.#timeOf(done));
    return begun.then(({ done }) => done);
  }

  async #timeOf(done: Promise<void>): Promise<void> {
    const ended = new AbortController();
    const alone = sleep(this.#options.aloneMs, undefined, { signal: ended.signal, ref: false }).catch(() => undefined);
    await Promise.race([done, alone]);
    ended.abort();
  }
}
