import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { referencePages } from '../../../scripts/reference/pages.ts';

const root = new URL('../../../', import.meta.url);
const pages = [...(await referencePages())];

test.each(pages)('%s is what the code says (npm run docs writes it)', (path, text) => {
  expect(readFileSync(new URL(path, root), 'utf8')).toBe(text);
});

test('every page of the reference is generated', () => {
  const files = readdirSync(new URL('docs/reference/', root)).map((name) => `docs/reference/${name}`);
  expect(files.sort()).toEqual(pages.map(([path]) => path).sort());
});

test('no cell of a table is wider or narrower than its title row', () => {
  for (const [path, text] of pages) {
    const cells = (row: string): number => row.replaceAll('\\|', '').split('|').length;
    for (const [table] of text.matchAll(/^\|.*\n(?:\|.*\n)+/gm)) {
      const widths = table.trimEnd().split('\n').map(cells);
      expect(new Set(widths).size, `${path}: ${table.slice(0, 80)}`).toBe(1);
    }
  }
});
