/** A process, with what is known of it. */
export interface Candidate {
  readonly pid: number;
  readonly residentPages: number;
  /** Undefined when it has never been read. */
  readonly known: { readonly wantedPages: number; readonly scannedPages: number } | undefined;
}

export interface RankedProcess {
  readonly pid: number;
  /** Wanted pages expected for each page scanned. */
  readonly expectedYield: number;
}

/** What a process costs whatever its size (stat, maps, opening files), in pages that could be scanned meanwhile. */
const FIXED_COST_PAGES = 4096;

/**
 * By how many wanted pages reading it gives for each page scanned, most first. A process never read is taken to be like those
 * that are known: its resident pages hold the same share of wanted ones (all, while nothing is known).
 */
export function rankByYield(candidates: readonly Candidate[]): readonly RankedProcess[] {
  let wantedPages = 0;
  let scannedPages = 0;
  for (const { known } of candidates) {
    wantedPages += known?.wantedPages ?? 0;
    scannedPages += known?.scannedPages ?? 0;
  }
  const wantedShare = scannedPages === 0 ? 1 : wantedPages / scannedPages;
  return candidates
    .map(({ pid, residentPages, known }) => {
      const expected = known ?? { wantedPages: residentPages * wantedShare, scannedPages: residentPages };
      const expectedYield = expected.wantedPages / (expected.scannedPages + FIXED_COST_PAGES);
      return { pid, expectedYield, residentPages };
    })
    .sort((a, b) => b.expectedYield - a.expectedYield || b.residentPages - a.residentPages)
    .map(({ pid, expectedYield }) => ({ pid, expectedYield }));
}
