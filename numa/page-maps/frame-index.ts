import { BLOCK_PAGES } from './pagemap-runs.ts';

/** Frames of a bucket: 64 MiB of physical memory where pages have 4 KiB. */
export const BUCKET_FRAMES = 2 ** 14;
/** Where an entry's page lies in its window of virtual pages: this many bits of its low word. */
export const OFFSET_BITS = 13;
/** Slots that an entry can name. */
export const MAX_SLOTS = 2 ** (32 - OFFSET_BITS);
export const GENERATIONS = 256;

const BLOCK_SHIFT = 9;
const FRAME_SHIFT = 18;
/** Frame, length, huge. */
const ORDER_SHIFT = 8;
const GENERATION_MASK = GENERATIONS - 1;

/** Entries that a bucket gets room for at least: as many as it needs when all of it is huge pages. */
const LEAST_GROWTH = 32;

/** Of an empty bucket with its place in the map, by measurement of the heap. */
const BUCKET_BYTES = 240;

/** Tells the index which of its entries still count. */
export interface Liveness {
  /** Of every block of every slot: entries of another generation do not count. */
  readonly generations: Uint16Array;
  /** Changes whenever entries cease to count. */
  readonly voids: number;
  /** An entry of the slot was thrown away. */
  onDropped(slot: number): void;
}

/**
 * From page frames to those who use them: entries of 8 bytes in order of their first frame, in one bucket for each 64 MiB of
 * physical memory. New ones are appended, and a bucket is put in order when it is asked; entries that no longer count are left
 * out then.
 *
 * An entry, from the highest bit: frame in its bucket 14, 512 - pages 9 (longest first), huge 1, generation 8; slot 19, offset 13.
 */
export class FrameIndex {
  readonly #buckets = new Map<number, Bucket>();
  readonly #liveness: Liveness;
  /** The one that was last added to, since pages of a process lie together. */
  #last: Bucket | undefined;
  #bytes = 0;

  constructor(liveness: Liveness) {
    this.#liveness = liveness;
  }

  /** Memory held. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds at most 512 pages, the first one `offset` pages from the start of the slot's window. Returns the number of entries
   * made: two where the frames lie in two buckets.
   */
  insert(startFrame: number, pages: number, slot: number, offset: number, huge: boolean, generation: number): number {
    // Whole numbers of 32 bits all the way: physical addresses have 52 bits at most.
    const number = (startFrame / BUCKET_FRAMES) | 0;
    const first = startFrame & (BUCKET_FRAMES - 1);
    const bucket = this.#withRoom(number);
    const fitting = Math.min(pages, BUCKET_FRAMES - first);
    const at = 2 * bucket.length;
    bucket.words[at] = (slot << OFFSET_BITS) | offset;
    bucket.words[at + 1] = (first << FRAME_SHIFT) | ((BLOCK_PAGES - fitting) << 9) | (huge ? 2 ** 8 : 0) | generation;
    bucket.length++;
    if (fitting === pages) return 1;
    return 1 + this.insert(startFrame + fitting, pages - fitting, slot, offset + fitting, huge, generation);
  }

  /** The bucket with this number in order, or undefined when nothing is known there. */
  inOrder(number: number): OrderedBucket | undefined {
    const bucket = this.#buckets.get(number);
    if (bucket === undefined) return undefined;
    if (bucket.ordered < bucket.length) {
      this.#sweep(bucket);
      bucket.words = sortEntries(bucket.words);
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
        this.#last = undefined;
        this.#bytes -= BUCKET_BYTES;
      }
      yield;
    }
  }

  #withRoom(number: number): Bucket {
    let bucket = this.#last?.number === number ? this.#last : this.#buckets.get(number);
    if (bucket === undefined) {
      const { voids } = this.#liveness;
      bucket = { number, words: new Uint32Array(0), length: 0, ordered: 0, swept: 0, voids, version: 0 };
      this.#buckets.set(number, bucket);
      this.#bytes += BUCKET_BYTES;
    }
    this.#last = bucket;
    if (2 * bucket.length === bucket.words.length) {
      // Often enough that at most half of it can be void, seldom enough that it costs a step an entry.
      if (bucket.length >= 2 * bucket.swept && bucket.voids !== this.#liveness.voids) this.#sweep(bucket);
      this.#resize(bucket, bucket.length + Math.max(LEAST_GROWTH, bucket.length >>> 2));
    }
    return bucket;
  }

  /** Leaves the entries that count, in new memory of their size: who still reads the old is not disturbed. */
  #sweep(bucket: Bucket): void {
    const { words, length } = bucket;
    const { generations, voids } = this.#liveness;
    const kept = new Uint32Array(2 * length);
    let end = 0;
    for (let i = 0; i < 2 * length; i += 2) {
      const low = words[i] ?? 0;
      const high = words[i + 1] ?? 0;
      if (generations[low >>> BLOCK_SHIFT] === (high & GENERATION_MASK)) {
        kept[end] = low;
        kept[end + 1] = high;
        end += 2;
      } else {
        this.#liveness.onDropped(low >>> OFFSET_BITS);
      }
    }
    this.#bytes += end * words.BYTES_PER_ELEMENT - words.byteLength;
    bucket.words = end === 2 * length ? kept : kept.slice(0, end);
    // Throwing away keeps the order.
    bucket.ordered = bucket.ordered === length ? end / 2 : 0;
    bucket.length = end / 2;
    bucket.swept = bucket.length;
    bucket.voids = voids;
    bucket.version++;
  }

  #resize(bucket: Bucket, entries: number): void {
    const words = new Uint32Array(2 * entries);
    words.set(bucket.words.subarray(0, 2 * bucket.length));
    this.#bytes += words.byteLength - bucket.words.byteLength;
    bucket.words = words;
  }
}

interface Bucket {
  readonly number: number;
  words: Uint32Array;
  length: number;
  /** Entries in order; all when equal to length. */
  ordered: number;
  /** Entries that were left when it was last swept. */
  swept: number;
  /** Of Liveness, when it was last swept. */
  voids: number;
  /** Changes when the words are replaced. */
  version: number;
}

/** A bucket whose entries are in order of their first frame, the longer first. */
export type OrderedBucket = Readonly<Bucket>;

/** Of an entry's low word: slot * blocks of a window + block, the key to the generations. */
export const blockOf = (low: number): number => low >>> BLOCK_SHIFT;
export const slotOf = (low: number): number => low >>> OFFSET_BITS;
export const offsetOf = (low: number): number => low & (2 ** OFFSET_BITS - 1);
/** Of an entry's high word. */
export const frameOf = (high: number): number => high >>> FRAME_SHIFT;
export const pagesOf = (high: number): number => BLOCK_PAGES - ((high >>> 9) & 511);
export const isHuge = (high: number): boolean => (high & (2 ** 8)) !== 0;
export const generationOf = (high: number): number => high & GENERATION_MASK;

/** Index of the first entry that may reach the frame (of the bucket) or starts after it. */
export function firstReaching({ words, length }: OrderedBucket, frame: number): number {
  const from = frame - BLOCK_PAGES + 1;
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((words[2 * middle + 1] ?? 0) >>> FRAME_SHIFT < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Sorts by frame, the longer first; linear, since a bucket has as many frames as it may have entries. */
function sortEntries(words: Uint32Array): Uint32Array {
  if (isSorted(words)) return words;
  const starts = new Uint32Array(BUCKET_FRAMES + 1);
  for (let i = 1; i < words.length; i += 2) {
    const next = ((words[i] ?? 0) >>> FRAME_SHIFT) + 1;
    starts[next] = (starts[next] ?? 0) + 1;
  }
  for (let frame = 1; frame <= BUCKET_FRAMES; frame++) starts[frame] = (starts[frame] ?? 0) + (starts[frame - 1] ?? 0);
  const sorted = new Uint32Array(words.length);
  for (let i = 0; i < words.length; i += 2) {
    const high = words[i + 1] ?? 0;
    const frame = high >>> FRAME_SHIFT;
    const at = starts[frame] ?? 0;
    starts[frame] = at + 1;
    sorted[2 * at] = words[i] ?? 0;
    sorted[2 * at + 1] = high;
  }
  sortTies(sorted);
  return sorted;
}

/** By insertion: few runs of different length start at the same frame. */
function sortTies(words: Uint32Array): void {
  for (let i = 2; i < words.length; i += 2) {
    const low = words[i] ?? 0;
    const high = words[i + 1] ?? 0;
    let at = i;
    while (at > 0 && (words[at - 1] ?? 0) >>> ORDER_SHIFT > high >>> ORDER_SHIFT) {
      words[at] = words[at - 2] ?? 0;
      words[at + 1] = words[at - 1] ?? 0;
      at -= 2;
    }
    words[at] = low;
    words[at + 1] = high;
  }
}

function isSorted(words: Uint32Array): boolean {
  for (let i = 3; i < words.length; i += 2) {
    if ((words[i] ?? 0) >>> ORDER_SHIFT < (words[i - 2] ?? 0) >>> ORDER_SHIFT) return false;
  }
  return true;
}
