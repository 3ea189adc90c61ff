import { join } from 'node:path';
import { buildProgram } from '../c-program.ts';
import type { Guest } from '../guest.ts';
import type { GuestProcess } from '../guest-process.ts';
import { shellQuote } from '../host-process.ts';
import type { Report } from './reporting-process.ts';
import { numbersByNode, parseObject, ReportingProcess } from './reporting-process.ts';

/** So many MiB on a node. */
export interface Placement {
  readonly mib: number;
  readonly node: number;
}

/** What a workload does; `workload --help` in a guest says it too. */
export interface WorkloadOptions {
  readonly name?: string;
  /** Buffers that are touched all the time, and the nodes they start on. */
  readonly hot?: readonly Placement[];
  /** Buffers that are written once. */
  readonly cold?: readonly Placement[];
  /** Cold buffers that leave only so much of a node free. */
  readonly fillFreeBut?: readonly Placement[];
  /** Pages of the kernel's own on a node, which cannot be moved. */
  readonly pin?: Placement;
  /** Passes a second over the hot memory (default 20), or as many as go. */
  readonly rate?: number | 'full';
  readonly write?: boolean;
  readonly swapAfterSeconds?: number;
  readonly swapEverySeconds?: number;
  /** How fast a scan reads, MiB a second (default 100). */
  readonly scanMibPerSecond?: number;
  readonly reportSeconds?: number;
  readonly hugePages?: boolean;
  /** Shared memory, which a second process maps, too. */
  readonly shared?: boolean;
  /** Leave out the TLB flush after each pass, see workload.c. */
  readonly noFlush?: boolean;
  /** A shell prefix such as `systemd-run --scope --slice=x.slice`. */
  readonly prefix?: string;
}

type BytesByNode = ReadonlyMap<number, number>;

/** Where a workload's memory is at a moment. */
export interface WorkloadReport extends Report {
  readonly event: 'ready' | 'report' | 'swap' | 'scan' | 'end';
  readonly name: string;
  readonly hotSize: number;
  readonly coldSize: number;
  readonly hotBytes: BytesByNode;
  readonly coldBytes: BytesByNode;
  readonly passes: number;
  readonly passesPerSecond: number;
}

/** Share of the hot memory that is on one of the nodes, from 0 to 1. */
export function hotShare(report: WorkloadReport, nodes: readonly number[]): number {
  const there = nodes.reduce((sum, node) => sum + (report.hotBytes.get(node) ?? 0), 0);
  return report.hotSize === 0 ? 0 : there / report.hotSize;
}

const guestPath = '/usr/local/bin/workload';

/** Puts the tool into a guest, as `workload` on its path. */
export async function installWorkload(guest: Guest): Promise<void> {
  await guest.copyIn(await buildProgram(join(import.meta.dirname, 'workload.c')), guestPath);
}

/** The command line of a workload. */
export function workloadCommand(options: WorkloadOptions): string {
  const args: string[] = options.prefix === undefined ? [] : [options.prefix];
  args.push(guestPath);
  const placements: readonly [string, readonly Placement[] | undefined][] = [
    ['--hot', options.hot],
    ['--cold', options.cold],
    ['--fill-free-but', options.fillFreeBut],
  ];
  for (const [option, list] of placements) {
    for (const { mib, node } of list ?? []) args.push(option, `${mib}@${node}`);
  }
  const settings: readonly [string, string | number | undefined][] = [
    ['--pin', options.pin === undefined ? undefined : `${options.pin.mib}@${options.pin.node}`],
    ['--name', options.name === undefined ? undefined : shellQuote(options.name)],
    ['--rate', options.rate],
    ['--swap-after', options.swapAfterSeconds],
    ['--swap-every', options.swapEverySeconds],
    ['--scan-rate', options.scanMibPerSecond],
    ['--report', options.reportSeconds],
  ];
  for (const [option, value] of settings) {
    if (value !== undefined) args.push(option, `${value}`);
  }
  if (options.write === true) args.push('--write');
  if (options.hugePages === true) args.push('--huge');
  if (options.shared === true) args.push('--shared');
  if (options.noFlush === true) args.push('--no-flush');
  return args.join(' ');
}

/** A fast node of 14 GiB is filled in some two minutes. */
const placingTimeoutMs = 600_000;

/** Starts a workload in the guest (installing the tool when needed) and waits until its memory is in place. */
export async function startWorkload(
  guest: Guest,
  options: WorkloadOptions,
  timeoutMs = placingTimeoutMs,
): Promise<Workload> {
  if ((await guest.run(`test -x ${guestPath}`)).exitCode !== 0) await installWorkload(guest);
  const child = guest.spawn(`exec ${workloadCommand(options)} --until-stdin-closes`);
  const workload = new Workload(child);
  await workload.waitFor((report) => report.event === 'ready', timeoutMs);
  return workload;
}

/** A workload running in a guest. */
export class Workload extends ReportingProcess<WorkloadReport> {
  constructor(child: GuestProcess) {
    super(child, parseReport);
  }

  /** Swaps the roles of hot and cold memory; gives the first report of it. */
  swap(timeoutMs = 60_000): Promise<WorkloadReport> {
    return this.ask('USR1', 'swap', timeoutMs);
  }

  /** Reads all its cold memory once, from end to end; gives the report of its end. */
  scan(timeoutMs = 120_000): Promise<WorkloadReport> {
    return this.ask('USR2', 'scan', timeoutMs);
  }
}

const events = ['ready', 'report', 'swap', 'scan', 'end'] as const;

/** Parses a line of the tool's output; undefined when it is no report. */
export function parseReport(line: string): WorkloadReport | undefined {
  const value = parseObject(line);
  const event = events.find((known) => known === value?.event);
  if (value === undefined || event === undefined) return undefined;
  const number = (key: string): number => Number(value[key]);
  return {
    event,
    name: typeof value.name === 'string' ? value.name : '',
    time: number('time'),
    elapsed: number('elapsed'),
    pid: number('pid'),
    hotSize: number('hotSize'),
    coldSize: number('coldSize'),
    hotBytes: numbersByNode(value.hotBytes),
    coldBytes: numbersByNode(value.coldBytes),
    passes: number('passes'),
    passesPerSecond: number('passesPerSecond'),
  };
}
