/** Sums of what was recorded within one step, field by field. */
export type StepSums = Float64Array;

/**
 * A ring of steps of equal length, each holding the sums of some fields: memory is taken once and never grows. Pure: it is told the
 * time, on a clock that never goes back.
 */
export class HistoryRing {
  readonly stepMs: number;
  readonly #slots: number;
  readonly #fields: number;
  /** Number of the step that a slot holds, counted from the clock's zero; -1: none. */
  readonly #steps: Float64Array;
  readonly #sums: Float64Array;

  constructor(stepMs: number, slots: number, fields: number) {
    this.stepMs = stepMs;
    this.#slots = slots;
    this.#fields = fields;
    this.#steps = new Float64Array(slots).fill(-1);
    this.#sums = new Float64Array(slots * fields);
  }

  /** Memory of its arrays. */
  get sizeBytes(): number {
    return this.#steps.byteLength + this.#sums.byteLength;
  }

  /** Adds to the step that this time lies in; the step that was in its place a whole ring ago is forgotten. */
  add(atMs: number, values: readonly number[]): void {
    const step = Math.floor(atMs / this.stepMs);
    const slot = step % this.#slots;
    const sums = this.#sumsOf(slot);
    if (this.#steps[slot] !== step) {
      this.#steps[slot] = step;
      sums.fill(0);
    }
    addTo(sums, values);
  }

  /**
   * The steps from one time to another, oldest first, taken together `stepMs` at a time, which must be a multiple of the ring's own
   * step. Steps in which nothing was recorded are left out, and those that are not kept whole any more.
   */
  between(fromMs: number, toMs: number, stepMs: number): { readonly startMs: number; readonly sums: StepSums }[] {
    const together = stepMs / this.stepMs;
    const last = Math.floor(toMs / this.stepMs);
    // What lies half before the oldest step that is kept would have half of its sums.
    const oldest = Math.ceil(Math.max(last - this.#slots + 1, 0) / together) * together;
    const first = Math.max(Math.floor(fromMs / stepMs) * together, oldest);
    const found: { startMs: number; sums: StepSums }[] = [];
    for (let step = first; step <= last; step++) {
      const slot = step % this.#slots;
      if (this.#steps[slot] !== step) continue;
      const startMs = Math.floor(step / together) * stepMs;
      const own = this.#sumsOf(slot);
      const before = found.at(-1);
      if (before?.startMs !== startMs) found.push({ startMs, sums: own.slice() });
      else addTo(before.sums, own);
    }
    return found;
  }

  #sumsOf(slot: number): StepSums {
    return this.#sums.subarray(slot * this.#fields, (slot + 1) * this.#fields);
  }
}

function addTo(sums: StepSums, values: ArrayLike<number>): void {
  for (let field = 0; field < sums.length; field++) sums[field] = (sums[field] ?? 0) + (values[field] ?? 0);
}
