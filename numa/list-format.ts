import { KernelFormatError } from './errors.ts';

/** Guards against a garbled "0-99999999999" filling the heap; far above any count of CPUs or nodes. */
const maximumMembers = 1 << 20;

/**
 * The numbers of a kernel list such as "0-3,5", ascending and without repeats; an empty text is an empty list.
 * Throws KernelFormatError naming `path`. Kernel document: admin-guide/cputopology, "list format" of bitmaps.
 */
export function parseList(text: string, path: string): readonly number[] {
  const members = new Set<number>();
  for (const part of text.trim().split(',')) {
    if (part === '') {
      if (text.trim() === '') break;
      throw new KernelFormatError(path, text, 'a list such as "0-3,5"');
    }
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    const first = Number(match?.[1]);
    const last = match?.[2] === undefined ? first : Number(match[2]);
    if (match === null || last < first || last - first + members.size >= maximumMembers) {
      throw new KernelFormatError(path, text, 'a list such as "0-3,5"');
    }
    for (let member = first; member <= last; member++) members.add(member);
  }
  return [...members].sort((a, b) => a - b);
}

/** The kernel's list format of non-negative numbers, runs folded: [0,1,2,5] gives "0-2,5". */
export function formatList(numbers: readonly number[]): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const runs: { first: number; last: number }[] = [];
  for (const number of sorted) {
    const run = runs.at(-1);
    if (run !== undefined && run.last + 1 === number) run.last = number;
    else runs.push({ first: number, last: number });
  }
  return runs.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}
