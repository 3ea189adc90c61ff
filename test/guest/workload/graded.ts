import { join } from 'node:path';
import { buildProgram } from '../c-program.ts';
import type { Guest } from '../guest.ts';
import type { GuestProcess } from '../guest-process.ts';
import { shellQuote } from '../host-process.ts';
import type { Report } from './reporting-process.ts';
import { isRecord, numbersByNode, parseObject, ReportingProcess } from './reporting-process.ts';
import type { Placement } from './workload.ts';

/** Memory of graded heat; `graded --help` in a guest says it too. */
export interface GradedOptions {
  readonly name: string;
  /** How much of it lies on which nodes at first; which blocks is drawn. */
  readonly memory: readonly Placement[];
  /** Pages of one block are equally hot; 4: each page by itself. Default 2048. */
  readonly blockKib?: number;
  /** Zipf's (default 0.99). */
  readonly exponent?: number;
  readonly accessesPerSecond?: number;
  readonly seed?: number;
}

/** What the memory would serve, the hottest first: entry i is of the hottest i percent. */
export interface Hottest {
  /** Of all accesses. */
  readonly shares: readonly number[];
  /** Bytes of it on each node when this was reported. */
  readonly bytes: ReadonlyMap<number, readonly number[]>;
}

/** Where the memory is, and what share of the accesses each node serves because of that. */
export interface GradedReport extends Report {
  readonly event: 'ready' | 'report' | 'redraw' | 'end';
  readonly sizeBytes: number;
  readonly shares: ReadonlyMap<number, number>;
  readonly bytes: ReadonlyMap<number, number>;
  readonly accessesPerSecond: number;
  /** Share of the accesses so far that went to the hottest tenth. */
  readonly countedToTenth: number;
  /** With `ready` and `redraw`. */
  readonly hottest?: Hottest;
}

const guestPath = '/usr/local/bin/graded';
const events = ['ready', 'report', 'redraw', 'end'] as const;

/** Puts the tool into a guest, as `graded` on its path. */
export async function installGraded(guest: Guest): Promise<void> {
  await guest.copyIn(await buildProgram(join(import.meta.dirname, 'graded.c')), guestPath);
}

/** The command line of a workload. */
export function gradedCommand(options: GradedOptions): string {
  const args = [guestPath, '--name', shellQuote(options.name)];
  for (const { mib, node } of options.memory) args.push('--place', `${mib}@${node}`);
  const settings: readonly [string, number | undefined][] = [
    ['--block', options.blockKib],
    ['--exponent', options.exponent],
    ['--rate', options.accessesPerSecond],
    ['--seed', options.seed],
  ];
  for (const [option, value] of settings) {
    if (value !== undefined) args.push(option, `${value}`);
  }
  return args.join(' ');
}

/** Starts a workload in the guest (installing the tool when needed) and waits until its memory is in place. */
export async function startGraded(guest: Guest, options: GradedOptions, timeoutMs = 120_000): Promise<GradedWorkload> {
  if ((await guest.run(`test -x ${guestPath}`)).exitCode !== 0) await installGraded(guest);
  const workload = new GradedWorkload(guest.spawn(`exec ${gradedCommand(options)} --until-stdin-closes`));
  await workload.waitFor((report) => report.event === 'ready', timeoutMs);
  return workload;
}

/** Memory of graded heat in a guest. */
export class GradedWorkload extends ReportingProcess<GradedReport> {
  constructor(child: GuestProcess) {
    super(child, parseGradedReport);
  }

  /** Draws anew which block is how hot; gives the first report of it. */
  redraw(): Promise<GradedReport> {
    return this.ask('USR1', 'redraw');
  }
}

/** Parses a line of the tool's output; undefined when it is no report. */
export function parseGradedReport(line: string): GradedReport | undefined {
  const value = parseObject(line);
  const event = events.find((known) => known === value?.event);
  if (value === undefined || event === undefined) return undefined;
  const number = (key: string): number => Number(value[key]);
  const hottest = parseHottest(value.hottest);
  return {
    event,
    time: number('time'),
    elapsed: number('elapsed'),
    pid: number('pid'),
    sizeBytes: number('size'),
    shares: numbersByNode(value.shares),
    bytes: numbersByNode(value.bytes),
    accessesPerSecond: number('accessesPerSecond'),
    countedToTenth: number('countedToTenth'),
    ...(hottest !== undefined && { hottest }),
  };
}

function parseHottest(value: unknown): Hottest | undefined {
  if (!isRecord(value) || !isRecord(value.bytes)) return undefined;
  const numbers = (list: unknown): number[] => (Array.isArray(list) ? list.map(Number) : []);
  return {
    shares: numbers(value.shares),
    bytes: new Map(Object.entries(value.bytes).map(([node, list]) => [Number(node), numbers(list)])),
  };
}
