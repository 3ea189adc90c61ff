/** Enough to keep the reading threads busy, far below a process's limit on open files. */
const batchSize = 64;

/** `read` of every item, in order, with a bounded number open at a time: a terabyte host has thousands of memory blocks. */
export async function inBatches<Item, Result>(
  items: readonly Item[],
  read: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (let first = 0; first < items.length; first += batchSize) {
    results.push(...(await Promise.all(items.slice(first, first + batchSize).map(read))));
  }
  return results;
}
