/** A process, with what is known of it. */
export interface Candidate {
  readonly pid: number;
  readonly residentPages: number;
  /** Undefined when it has never been read. */
  readonly known: { readonly wantedPages: number; readonly scannedPages: number } | undefined;
}

export interface RankedProcess extends Candidate {
  /** Wanted pages expected for each page scanned. */
  readonly expectedYield: number;
}

/** What a process costs whatever its size (stat, maps, opening files), in pages that could be scanned meanwhile. */
const FIXED_COST_PAGES = 4096;

/**
 * By how many wanted pages reading it gives for each page scanned, most first. Of a process never read nothing but its resident
 * pages count: they are taken to be wanted as often as pages of the processes that are known, more often the fewer are known.
 */
export function rankByYield(candidates: readonly Candidate[]): readonly RankedProcess[] {
  let wantedPages = 0;
  let scannedPages = 0;
  for (const { known } of candidates) {
    wantedPages += known?.wantedPages ?? 0;
    scannedPages += known?.scannedPages ?? 0;
  }
  return candidates
    .map((candidate) => {
      const { residentPages, known } = candidate;
      const share = (wantedPages + residentPages) / (scannedPages + residentPages);
      const expected = known ?? { wantedPages: residentPages * share, scannedPages: residentPages };
      return { ...candidate, expectedYield: expected.wantedPages / (expected.scannedPages + FIXED_COST_PAGES) };
    })
    .sort((a, b) => b.expectedYield - a.expectedYield || b.residentPages - a.residentPages);
}
