/** No line of a text answer is wider. */
export const MAX_COLUMNS = 100;

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

const GAP = '  ';

/** Lines of a table, titles first, each column as wide as its widest cell. */
export function formatColumns(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map(({ title }, index) =>
    rows.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), title.length),
  );
  const titles = columns.map(({ title }) => title);
  return [titles, ...rows].map((cells) => formatLine(columns, widths, cells));
}

/** One line of a table whose widths are known; without trailing blanks. */
export function formatLine(columns: readonly Column[], widths: readonly number[], cells: readonly string[]): string {
  const padded = columns.map(({ align }, index) => {
    const cell = cells[index] ?? '';
    const width = widths[index] ?? 0;
    return align === 'left' ? cell.padEnd(width) : cell.padStart(width);
  });
  return padded.join(GAP).trimEnd().slice(0, MAX_COLUMNS);
}
