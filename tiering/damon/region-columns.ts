import type { Region } from '../snapshot.ts';

const FIRST_CAPACITY = 1024;

/** Regions as they are traced, in columns that grow: no object is made for a region that nobody needs. */
export class RegionColumns {
  count = 0;
  timeNs = new Float64Array(FIRST_CAPACITY);
  start = new Float64Array(FIRST_CAPACITY);
  end = new Float64Array(FIRST_CAPACITY);
  nrRegions = new Uint32Array(FIRST_CAPACITY);
  nrAccesses = new Uint32Array(FIRST_CAPACITY);
  age = new Uint32Array(FIRST_CAPACITY);
  /** The sweep over the buffers in which each was read. */
  sweep = new Uint32Array(FIRST_CAPACITY);

  push(
    timeNs: number,
    nrRegions: number,
    start: number,
    end: number,
    nrAccesses: number,
    age: number,
    sweep: number,
  ): void {
    const at = this.count;
    if (at === this.timeNs.length) this.#grow();
    this.timeNs[at] = timeNs;
    this.nrRegions[at] = nrRegions;
    this.start[at] = start;
    this.end[at] = end;
    this.nrAccesses[at] = nrAccesses;
    this.age[at] = age;
    this.sweep[at] = sweep;
    this.count = at + 1;
  }

  /** Adds one of another's. */
  take(from: RegionColumns, at: number): void {
    this.push(
      from.timeNs[at] ?? 0,
      from.nrRegions[at] ?? 0,
      from.start[at] ?? 0,
      from.end[at] ?? 0,
      from.nrAccesses[at] ?? 0,
      from.age[at] ?? 0,
      from.sweep[at] ?? 0,
    );
  }

  clear(): void {
    this.count = 0;
  }

  regions(): readonly Region[] {
    const { start, end, nrAccesses, age } = this;
    const regions: Region[] = [];
    for (let at = 0; at < this.count; at += 1) {
      regions.push({ start: start[at] ?? 0, end: end[at] ?? 0, nrAccesses: nrAccesses[at] ?? 0, age: age[at] ?? 0 });
    }
    return regions;
  }

  #grow(): void {
    const capacity = this.timeNs.length * 2;
    const floats = (old: Float64Array) => {
      const grown = new Float64Array(capacity);
      grown.set(old);
      return grown;
    };
    const integers = (old: Uint32Array) => {
      const grown = new Uint32Array(capacity);
      grown.set(old);
      return grown;
    };
    this.timeNs = floats(this.timeNs);
    this.start = floats(this.start);
    this.end = floats(this.end);
    this.nrRegions = integers(this.nrRegions);
    this.nrAccesses = integers(this.nrAccesses);
    this.age = integers(this.age);
    this.sweep = integers(this.sweep);
  }
}
