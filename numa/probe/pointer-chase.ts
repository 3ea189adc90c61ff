/** Of a cache line: each holds one link of the chain. */
export const LINE_BYTES = 64;
const WORDS_PER_LINE = LINE_BYTES / Uint32Array.BYTES_PER_ELEMENT;

/** A random whole number from 0 up to, and not with, `bound`. */
export type RandomBelow = (bound: number) => number;

/**
 * Links all cache lines of a buffer to one cycle in random order (Sattolo's shuffle): the first word of each line holds the
 * index of the next line's first word. No prefetcher can guess it, and every line is visited before one is visited twice.
 */
export function linkInRandomCycle(words: Uint32Array, randomBelow: RandomBelow): void {
  for (let index = 0; index < words.length; index += WORDS_PER_LINE) words[index] = index;
  for (let line = Math.floor(words.length / WORDS_PER_LINE) - 1; line > 0; line--) {
    const index = line * WORDS_PER_LINE;
    const other = randomBelow(line) * WORDS_PER_LINE;
    const link = words[index] ?? 0;
    words[index] = words[other] ?? 0;
    words[other] = link;
  }
}

/** Follows the chain for so many links; gives where it ends. Each load needs the one before: nothing overlaps. */
export function follow(words: Uint32Array, start: number, links: number): number {
  let index = start;
  for (let link = 0; link < links; link++) index = words[index] ?? 0;
  return index;
}
