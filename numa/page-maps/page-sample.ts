/** Numbered pages or frames; `end` is the first one after them. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Parts of some spans, and how much of them that is. */
export interface Sample {
  readonly spans: readonly Span[];
  /** 0 to 1; 1: everything, so that counts are exact. */
  readonly share: number;
}

/** What is taken of a span at once: 512 pages, as what one huge page covers is much the same all over. */
const BLOCK = 512;

/**
 * At most about `most` of the spans' pages: of each of equal stretches of the whole one block. Spread, because what lies side by side is alike; each
 * block somewhere else in its stretch, because programs place memory at regular distances, too.
 */
export function samplePages(spans: readonly Span[], most: number): Sample {
  const total = spans.reduce((sum, { start, end }) => sum + end - start, 0);
  if (total <= most) return { spans, share: 1 };
  const blocks = Math.ceil(total / most);
  const stretch = blocks * BLOCK;
  const taken: Span[] = [];
  let before = 0;
  for (const { start, end } of spans) {
    const after = before + end - start;
    for (let i = Math.floor(before / stretch); i * stretch < after; i++) {
      const block = i * stretch + (scatter(i) % blocks) * BLOCK;
      const from = Math.max(before, block);
      const to = Math.min(after, block + BLOCK);
      if (from < to) taken.push({ start: start + from - before, end: start + to - before });
    }
    before = after;
  }
  return { spans: taken, share: taken.reduce((sum, { start, end }) => sum + end - start, 0) / total };
}

/** The same for the same number, so that two surveys compare; 0 for 0, so that there is a first block. */
function scatter(number: number): number {
  const mixed = Math.imul(number, 0x9e37_79b1);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
