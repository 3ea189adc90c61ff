import type { Clock } from '../../../tiering/damon/busy.ts';

/** Sleeping takes no time, but the clock says it did. */
export class FakeClock implements Clock {
  #nowMs = 0;
  sleeps = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  async sleep(ms: number): Promise<void> {
    this.sleeps += 1;
    this.#nowMs += ms;
  }

  random(): number {
    return 0.5;
  }
}
