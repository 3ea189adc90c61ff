import { stayedErrno } from '../../numa/syscalls/try-move.ts';
import type { PageBatch } from './page-batches.ts';

/** What became of pages that were on a node to leave. */
export interface BatchOutcome {
  readonly movedPages: number;
  /** No longer mapped in: freed, swapped out, or moved by somebody else to a third node. */
  readonly gonePages: number;
  readonly stayed: PageBatch;
  /** Of each page that stayed, by its position: the errno name. */
  readonly stayedErrnos: readonly string[];
}

/**
 * Compares where pages are after a call of move_pages(2) with where they should be. The call's own statuses are no proof:
 * it gives up at the first page that does not move, says EBUSY of every page of a huge page but the first, and leaves statuses
 * unset. So they only say why a page stayed.
 *
 * @param statuses of the moving call
 * @param placement statuses of the query after it
 */
export function batchOutcome(
  batch: PageBatch,
  statuses: Int32Array,
  placement: Int32Array,
  { from, to }: { readonly from: ReadonlySet<number>; readonly to: number },
): BatchOutcome {
  let movedPages = 0;
  let gonePages = 0;
  const stayed: number[] = [];
  const stayedErrnos: string[] = [];
  for (const [index, page] of batch.pages.entries()) {
    const node = placement[index];
    if (node === to) movedPages++;
    else if (node === undefined || !from.has(node)) gonePages++;
    else {
      stayed.push(page);
      stayedErrnos.push(stayedErrno(statuses[index]));
    }
  }
  return {
    movedPages,
    gonePages,
    stayed: { ...batch, pages: Float64Array.from(stayed) },
    stayedErrnos,
  };
}

/** The pages of a batch that are on one of the nodes, by the statuses of a query. */
export function pagesOn(nodes: ReadonlySet<number>, batch: PageBatch, placement: Int32Array): PageBatch {
  const pages = batch.pages.filter((_, index) => nodes.has(placement[index] ?? -1));
  return { ...batch, pages };
}
