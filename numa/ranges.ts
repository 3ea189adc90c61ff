import type { AddressRange } from './topology.ts';

/** The same addresses as few ranges: sorted, overlapping and touching ones joined, empty ones dropped. */
export function mergeRanges(ranges: readonly AddressRange[]): readonly AddressRange[] {
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    if (end <= start) continue;
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}

/** Addresses that are in both lists, merged. Linear after sorting, since a terabyte host has thousands of blocks. */
export function intersectRanges(a: readonly AddressRange[], b: readonly AddressRange[]): readonly AddressRange[] {
  const left = mergeRanges(a);
  const right = mergeRanges(b);
  const common: AddressRange[] = [];
  let i = 0;
  let j = 0;
  while (true) {
    const x = left[i];
    const y = right[j];
    if (x === undefined || y === undefined) return common;
    const start = Math.max(x.start, y.start);
    const end = Math.min(x.end, y.end);
    if (start < end) common.push({ start, end });
    if (x.end < y.end) i++;
    else j++;
  }
}

/** Bytes covered by ranges that do not overlap. */
export function rangesBytes(ranges: readonly AddressRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + (end - start), 0);
}
