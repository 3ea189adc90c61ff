/** No line of a text answer is wider, unless asked. */
export const DEFAULT_COLUMNS = 100;

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

const GAP = '  ';

/** Lines of a table, titles first, each column as wide as its widest cell; cut at `most` columns of the terminal. */
export function formatColumns(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  most: number,
): string[] {
  const widths = columns.map(({ title }, index) =>
    rows.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), title.length),
  );
  const titles = columns.map(({ title }) => title);
  return [titles, ...rows].map((cells) => formatLine(columns, widths, cells, most));
}

/** One line of a table whose widths are known; without trailing blanks, cut at `most` columns of the terminal. */
export function formatLine(
  columns: readonly Column[],
  widths: readonly number[],
  cells: readonly string[],
  most: number,
): string {
  const padded = columns.map(({ align }, index) => {
    const cell = cells[index] ?? '';
    const width = widths[index] ?? 0;
    return align === 'left' ? cell.padEnd(width) : cell.padStart(width);
  });
  return padded.join(GAP).trimEnd().slice(0, most);
}
