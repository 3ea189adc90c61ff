import { PAGE_BYTES } from './page-bytes.ts';
import type { PageSpan } from './page-memory.ts';

/** Pages of one process, to be moved by one call. */
export interface PageBatch {
  readonly pid: number;
  /** Virtual page numbers to name; a huge page moves whole when its first page is named. */
  readonly pages: Float64Array;
  /** For each of them how many pages move with it. */
  readonly weights: Float64Array;
}

export const NO_PAGES: PageBatch = { pid: 0, pages: new Float64Array(), weights: new Float64Array() };

/** Those pages of a batch that a query found on a node: mostly all of them. */
export function onNode(batch: PageBatch, placement: Int32Array, nodeId: number): PageBatch {
  if (placement.every((node) => node === nodeId)) return batch;
  const { pid, pages, weights } = batch;
  return {
    pid,
    pages: pages.filter((_, index) => placement[index] === nodeId),
    weights: weights.filter((_, index) => placement[index] === nodeId),
  };
}

export function bytesOf({ weights }: PageBatch): number {
  return weights.reduce((sum, weight) => sum + weight, 0) * PAGE_BYTES;
}

/** Pages that follow each other, together. */
export function* spans({ pages: named, weights }: PageBatch): Generator<PageSpan> {
  let startPage = 0;
  let pages = 0;
  for (let index = 0; index < named.length; index += 1) {
    const page = named[index] ?? 0;
    const weight = weights[index] ?? 1;
    if (pages > 0 && page === startPage + pages) {
      pages += weight;
      continue;
    }
    if (pages > 0) yield { startPage, pages };
    startPage = page;
    pages = weight;
  }
  if (pages > 0) yield { startPage, pages };
}
