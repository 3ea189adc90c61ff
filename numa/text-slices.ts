import { setImmediate } from 'node:timers/promises';

/** Parsed in some 2 ms. */
const SLICE_CHARS = 2 ** 17;

/**
 * What a parser of lines makes of a long text, slice by slice: some programs have tens of thousands of mapped areas, and the event loop has its turn
 * between two slices. Throws what the parser throws.
 */
export async function parseInSlices<Item>(
  text: string,
  parse: (lines: string) => readonly Item[],
): Promise<readonly Item[]> {
  const items: Item[] = [];
  for (let start = 0; start < text.length; ) {
    if (start > 0) await setImmediate();
    const lineEnd = text.indexOf('\n', start + SLICE_CHARS);
    const end = lineEnd === -1 ? text.length : lineEnd + 1;
    items.push(...parse(text.slice(start, end)));
    start = end;
  }
  return items;
}
