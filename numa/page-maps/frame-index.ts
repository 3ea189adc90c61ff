import { BLOCK_PAGES } from './pagemap-runs.ts';

/** Frames of a bucket: 64 MiB of physical memory where pages have 4 KiB. */
export const BUCKET_FRAMES = 2 ** 14;
/** Where an entry's page lies in its window of virtual pages: this many bits of its low word. */
export const OFFSET_BITS = 13;
/** Slots that an entry can name. */
export const MAX_SLOTS = 2 ** (32 - OFFSET_BITS);
export const GENERATIONS = 256;

const ENTRY_BYTES = 8;
/** Of an empty bucket with its place in the map, by measurement of the heap. */
const BUCKET_BYTES = 240;

/** Who uses a run of frames, as the index keeps it. */
export interface Entry {
  readonly slot: number;
  /** First page, counted from the start of the slot's window. */
  readonly offset: number;
  /** At most 512. */
  readonly pages: number;
  readonly huge: boolean;
  readonly generation: number;
}

/** Tells the index which of its entries still count. */
export interface Liveness {
  isLive(slot: number, offset: number, generation: number): boolean;
  /** An entry of the slot was thrown away. */
  onDropped(slot: number): void;
}

/**
 * From page frames to those who use them: entries of 8 bytes in order of their first frame, in one bucket for each 64 MiB of
 * physical memory. New ones are appended, and a bucket is put in order when it is asked; entries that no longer count are left
 * out then. (Buckets are read as 64-bit numbers too, so this is for little-endian machines: every one that can have CXL memory.)
 *
 * An entry, from the highest bit: frame in its bucket 14, 512 - pages 9 (longest first), huge 1, generation 8; slot 19, offset 13.
 */
export class FrameIndex {
  readonly #buckets = new Map<number, Bucket>();
  readonly #liveness: Liveness;
  #bytes = 0;

  constructor(liveness: Liveness) {
    this.#liveness = liveness;
  }

  /** Memory held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns the number of entries made: two where the frames lie in two buckets. */
  insert(startFrame: number, entry: Entry): number {
    const number = Math.floor(startFrame / BUCKET_FRAMES);
    const first = startFrame - number * BUCKET_FRAMES;
    const fitting = Math.min(entry.pages, BUCKET_FRAMES - first);
    this.#append(number, first, { ...entry, pages: fitting });
    if (fitting === entry.pages) return 1;
    const rest = { ...entry, offset: entry.offset + fitting, pages: entry.pages - fitting };
    return 1 + this.insert(startFrame + fitting, rest);
  }

  /** The bucket with this number in order, or undefined when nothing is known there. */
  inOrder(number: number): OrderedBucket | undefined {
    const bucket = this.#buckets.get(number);
    if (bucket === undefined) return undefined;
    if (bucket.ordered < bucket.length) {
      this.#sweep(bucket);
      sortEntries(bucket.words);
      bucket.ordered = bucket.length;
    }
    return bucket;
  }

  /** Throws away what no longer counts, bucket by bucket: after each one the caller may pause. */
  *sweep(): Generator<void> {
    for (const [number, bucket] of this.#buckets) {
      this.#sweep(bucket);
      if (bucket.length === 0) {
        this.#buckets.delete(number);
        this.#bytes -= BUCKET_BYTES;
      }
      yield;
    }
  }

  #append(number: number, first: number, { slot, offset, pages, huge, generation }: Entry): void {
    let bucket = this.#buckets.get(number);
    if (bucket === undefined) {
      bucket = { words: new Uint32Array(0), length: 0, ordered: 0, version: 0 };
      this.#buckets.set(number, bucket);
      this.#bytes += BUCKET_BYTES;
    }
    if (2 * bucket.length === bucket.words.length) {
      this.#sweep(bucket);
      this.#resize(bucket, bucket.length + Math.max(4, bucket.length >>> 2));
    }
    bucket.words[2 * bucket.length] = slot * 2 ** OFFSET_BITS + offset;
    bucket.words[2 * bucket.length + 1] =
      first * 2 ** 18 + (BLOCK_PAGES - pages) * 2 ** 9 + (huge ? 2 ** 8 : 0) + generation;
    bucket.length++;
  }

  /** Leaves the entries that count, in new memory of their size: who still reads the old is not disturbed. */
  #sweep(bucket: Bucket): void {
    const { words, length } = bucket;
    const kept = new Uint32Array(2 * length);
    let count = 0;
    for (let i = 0; i < length; i++) {
      const low = words[2 * i] ?? 0;
      const high = words[2 * i + 1] ?? 0;
      if (this.#liveness.isLive(slotOf(low), offsetOf(low), generationOf(high))) {
        kept[2 * count] = low;
        kept[2 * count + 1] = high;
        count++;
      } else {
        this.#liveness.onDropped(slotOf(low));
      }
    }
    this.#bytes += (count - words.length / 2) * ENTRY_BYTES;
    bucket.words = count === length ? kept : kept.slice(0, 2 * count);
    // Throwing away keeps the order.
    bucket.ordered = bucket.ordered === length ? count : 0;
    bucket.length = count;
    bucket.version++;
  }

  #resize(bucket: Bucket, entries: number): void {
    const words = new Uint32Array(2 * entries);
    words.set(bucket.words.subarray(0, 2 * bucket.length));
    this.#bytes += (entries - bucket.words.length / 2) * ENTRY_BYTES;
    bucket.words = words;
  }
}

interface Bucket {
  words: Uint32Array;
  length: number;
  /** Entries in order; all when equal to length. */
  ordered: number;
  /** Changes when the words are replaced. */
  version: number;
}

/** A bucket whose entries are in order of their first frame, the longer first. */
export type OrderedBucket = Readonly<Bucket>;

export const slotOf = (low: number): number => low >>> OFFSET_BITS;
export const offsetOf = (low: number): number => low & (2 ** OFFSET_BITS - 1);
export const frameOf = (high: number): number => high >>> 18;
export const pagesOf = (high: number): number => BLOCK_PAGES - ((high >>> 9) & 511);
export const isHuge = (high: number): boolean => (high & (2 ** 8)) !== 0;
export const generationOf = (high: number): number => high & 255;

/** Index of the first entry that may reach the frame (of the bucket) or starts after it. */
export function firstReaching({ words, length }: OrderedBucket, frame: number): number {
  const from = frame - BLOCK_PAGES + 1;
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (frameOf(words[2 * middle + 1] ?? 0) < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

function sortEntries(words: Uint32Array): void {
  for (let i = 3; i < words.length; i += 2) {
    if ((words[i] ?? 0) < (words[i - 2] ?? 0)) {
      new BigUint64Array(words.buffer, words.byteOffset, words.length / 2).sort();
      return;
    }
  }
}
