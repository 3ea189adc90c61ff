/** Pages of a block: what one entry of the page middle directory maps, and a huge page where pages have 4 KiB. */
export const BLOCK_PAGES = 512;

/** Runs of pages that follow one another both virtually and physically, in typed arrays that are used again and again. */
export class RunBuffer {
  startPage = new Float64Array(1024);
  startFrame = new Float64Array(1024);
  pages = new Uint16Array(1024);
  huge = new Uint8Array(1024);
  length = 0;

  clear(): void {
    this.length = 0;
  }

  push(startPage: number, startFrame: number, pages: number): void {
    if (this.length === this.pages.length) this.#grow();
    this.startPage[this.length] = startPage;
    this.startFrame[this.length] = startFrame;
    this.pages[this.length] = pages;
    this.huge[this.length] = 0;
    this.length++;
  }

  #grow(): void {
    const capacity = this.pages.length * 2;
    const { startPage, startFrame, pages, huge } = this;
    this.startPage = new Float64Array(capacity);
    this.startFrame = new Float64Array(capacity);
    this.pages = new Uint16Array(capacity);
    this.huge = new Uint8Array(capacity);
    this.startPage.set(startPage);
    this.startFrame.set(startFrame);
    this.pages.set(pages);
    this.huge.set(huge);
  }
}

/** What a decoded part of a pagemap holds beside its runs. */
export interface DecodedPages {
  /** Pages in the runs. */
  readonly pages: number;
  /** Pages in memory whose frame the kernel hides, as it does without CAP_SYS_ADMIN. */
  readonly hiddenPages: number;
  /** Of the runs: the same pages in the same frames give the same. */
  readonly hash: number;
}

const PRESENT = 0x8000_0000;
const FRAME_HIGH = 0x7f_ffff;
const HIGH_WORD = 2 ** 32;

/**
 * Appends the runs of `count` pages from virtual page `startPage` on. `words` are the entries of /proc/PID/pagemap as 32-bit
 * halves, low one first, from `firstEntry` on (Documentation/admin-guide/mm/pagemap.rst: frame in bits 0-54, present in bit
 * 63). A frame that comes several times in a row is the zero page or one of KSM's, and is taken once. `seed` is the hash of
 * what comes before.
 */
export function decodeRuns(
  words: Uint32Array,
  firstEntry: number,
  count: number,
  startPage: number,
  runs: RunBuffer,
  seed = 0,
): DecodedPages {
  let pages = 0;
  let hiddenPages = 0;
  let hash = seed | 0;
  let previous = 0;
  // Whole numbers of 32 bits, of which the compiler is sure even where the page numbers that they come from have more.
  const endWord = (2 * (firstEntry + count)) | 0;
  for (let word = (2 * firstEntry) | 0; word < endWord; ) {
    const high = words[word + 1] ?? 0;
    if (high < PRESENT) {
      previous = 0;
      word += 2;
      continue;
    }
    const low = words[word] ?? 0;
    const frame = (high & FRAME_HIGH) * HIGH_WORD + low;
    const firstWord = word;
    word += 2;
    if (frame === 0 || frame === previous) {
      if (frame === 0) hiddenPages++;
      previous = frame;
      continue;
    }
    // As long as only the low half counts up; where it overflows (at a multiple of 16 TiB) the run is cut. As signed integers:
    // present is the sign then.
    let next = (low + 1) | 0;
    while (word < endWord && ((words[word] ?? 0) | 0) === next) {
      const nextHigh = (words[word + 1] ?? 0) | 0;
      if (nextHigh >= 0 || (nextHigh ^ high) << 9 !== 0) break;
      next = (next + 1) | 0;
      word += 2;
    }
    const length = (word - firstWord) >>> 1;
    const runPage = startPage + (firstWord >>> 1) - firstEntry;
    runs.push(runPage, frame, length);
    pages += length;
    previous = frame + length - 1;
    hash = mix(hash, low ^ (high & FRAME_HIGH), ((runPage & (BLOCK_PAGES - 1)) << 10) + length);
  }
  return { pages, hiddenPages, hash: hash >>> 0 };
}

function mix(hash: number, frame: number, place: number): number {
  const mixed = Math.imul(Math.imul(hash ^ frame, 0x9e37_79b1) ^ place, 0x85eb_ca6b);
  return mixed ^ (mixed >>> 15);
}
