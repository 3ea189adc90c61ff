/** A process, with what is known of it. */
export interface Candidate {
  readonly pid: number;
  readonly residentPages: number;
  /** Undefined when it has never been read. `unreadPages`: resident pages that have not been come to yet. */
  readonly known:
    | { readonly wantedPages: number; readonly scannedPages: number; readonly unreadPages: number }
    | undefined;
}

export interface RankedProcess extends Candidate {
  /** Wanted pages expected for each page scanned. */
  readonly expectedYield: number;
}

/** What a process costs whatever its size (stat, maps, opening files), in pages that could be scanned meanwhile. */
const FIXED_COST_PAGES = 4096;

/**
 * By how many wanted pages reading it gives for each page scanned, most first. Resident pages not read yet are taken to be
 * wanted as often as pages of the processes that are known, more often the fewer are known: a process of which only the cold
 * beginning has been read is not worth nothing.
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
      const unreadPages = known?.unreadPages ?? residentPages;
      const expectedPages = (known?.wantedPages ?? 0) + unreadPages * share;
      const pagesToScan = (known?.scannedPages ?? 0) + unreadPages;
      return { ...candidate, expectedYield: expectedPages / (pagesToScan + FIXED_COST_PAGES) };
    })
    .sort((a, b) => b.expectedYield - a.expectedYield || b.residentPages - a.residentPages);
}
