import type { styleText } from 'node:util';
import type { Sample } from './sample.ts';

type Colour = Parameters<typeof styleText>[0];

/** Puts a colour (or bold, dim) on a text, or leaves it alone where the output is no terminal. */
export type Paint = (format: Colour, text: string) => string;

const barLength = 16;
const mib = 1024 * 1024;
const megabyte = 1_000_000;

interface Column {
  readonly titles: readonly [string, string];
  readonly width: number;
  readonly isText?: boolean;
}

/** Together with the gaps 95 columns. */
const columns: readonly Column[] = [
  { titles: ['', 'time'], width: 6 },
  { titles: ['DRAM', 'used'], width: 6 },
  { titles: ['', 'target'], width: 6 },
  { titles: ['CXL', 'used'], width: 6 },
  { titles: ['hot memory in the', 'wrong tier (CXL)'], width: barLength + 9, isText: true },
  { titles: ['promoted', 'MB/s'], width: 8 },
  { titles: ['demoted', 'MB/s'], width: 8 },
  { titles: ['', 'tierd'], width: 8, isText: true },
];

/** The two lines above the live lines. */
export function liveTitles(paint: Paint): string[] {
  const lines = [0, 1].map((row) => line(columns.map(({ titles }) => titles[row] ?? '')));
  return lines.map((text) => paint('bold', text));
}

/** One live line; speeds are those since the line before. */
export function liveLine(sample: Sample, before: Sample | undefined, paint: Paint): string {
  const seconds = sample.seconds - (before?.seconds ?? sample.seconds);
  const speed = (now: number, then: number | undefined): string =>
    seconds > 0 ? Math.max(0, (now - (then ?? now)) / megabyte / seconds).toFixed(1) : '0.0';
  const promoted = speed(sample.promotedBytes, before?.promotedBytes);
  const demoted = speed(sample.demotedBytes, before?.demotedBytes);
  const length = sample.hotBytes === 0 ? 0 : Math.ceil((sample.misplacedBytes / sample.hotBytes) * barLength - 0.01);
  const bar = '█'.repeat(length) + '·'.repeat(barLength - length);
  const misplaced = `${Math.round(sample.misplacedBytes / mib)} MiB`.padStart(8);
  return line(
    [
      formatTime(sample.seconds),
      formatShare(sample.fastUsedShare),
      formatShare(sample.targetShare),
      formatShare(sample.slowUsedShare),
      `${bar} ${misplaced}`,
      promoted,
      demoted,
      sample.state,
    ],
    [
      undefined,
      undefined,
      undefined,
      undefined,
      length === 0 ? 'green' : 'red',
      promoted === '0.0' ? 'dim' : 'green',
      demoted === '0.0' ? 'dim' : 'cyan',
      sample.state === 'degraded' ? 'red' : 'dim',
    ],
    paint,
  );
}

/** `1:05`: minutes and seconds. */
function formatTime(seconds: number): string {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${`${whole % 60}`.padStart(2, '0')}`;
}

/** `94.7 %`. */
export function formatShare(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** Numbers to the right, texts to the left; painted after padding, because escapes have no width. */
function line(
  cells: readonly string[],
  colours: readonly (Colour | undefined)[] = [],
  paint: Paint = (_format, text) => text,
): string {
  const padded = columns.map(({ width, isText }, index) => {
    const cell = cells[index] ?? '';
    const text = isText ? cell.padEnd(width) : cell.padStart(width);
    const colour = colours[index];
    return colour === undefined || cell === '' ? text : paint(colour, text);
  });
  return `  ${padded.join('  ')}`.trimEnd();
}
