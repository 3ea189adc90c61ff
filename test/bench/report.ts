import { shareAfter } from '../guest/graded-scenarios.ts';
import { P99_LIMIT_MS } from './rest-latency.ts';
import type {
  BenchResults,
  DaemonCostResult,
  EngineCostResult,
  GradedResult,
  NativeCostResult,
  PageWorkResult,
  PlacementResult,
  RestLatencyResult,
  SnapshotResult,
  SnapshotWayResult,
} from './results.ts';

type Row = readonly string[];

/** All results as tables in Markdown, so that they can be pasted; parts that were not measured are left out. */
export function report(results: BenchResults): string {
  const parts = [
    section(
      'Placement: seconds from when tiering was at work (shift: from the swap) until 50/90/99 % of the hot bytes were fast',
      placementTable(results.placement),
    ),
    section(
      'Memory of graded heat: share of its accesses that fast memory serves, at the start, after so many seconds, and at best',
      gradedTable(results.graded),
    ),
    section('The daemon at rest, in the guest (emulated CPU)', daemonCostTable(results.daemonCost)),
    section("The daemon's code on this machine, kernel simulated", nativeCostTable(results.nativeCost)),
    section('GET /v1/snapshot', snapshotTable(results.snapshots)),
    section('The same work by tierd (on Node) and by a C program, medians', pageWorkTable(results.pageWork)),
    section(
      'CPU seconds for a GiB migrated, until all that is hot has moved; monitoring included; medians',
      engineCostTable(results.engineCost),
    ),
    section(
      'One snapshot of all regions of a kdamond, CPU beyond that without snapshots; medians',
      snapshotWayTable(results.snapshotWays),
    ),
    section(
      'Answers of the REST API while memory moves, asked where the daemon runs',
      restLatencyTable(results.restLatency),
    ),
    section('Conditions', list(results.conditions)),
    section('Failed', list(results.failures)),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

/** A table with as wide columns as they need; the first column is text, the others are numbers. */
export function table(head: Row, rows: readonly Row[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: Row): string =>
    `| ${widths.map((width, column) => pad(row[column] ?? '', width, column > 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column > 0 ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width))).join(' | ')} |`;
  return `${[line(head), rule, ...rows.map(line)].join('\n')}\n`;
}

function pad(text: string, width: number, right: boolean): string {
  return right ? text.padStart(width) : text.padEnd(width);
}

function section(title: string, body: string): string {
  return body === '' ? '' : `${title}\n\n${body}`;
}

function list(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}\n`).join('');
}

function restLatencyTable(results: readonly RestLatencyResult[]): string {
  if (results.length === 0) return '';
  const rows = results.map((result) => [
    `${result.path}, ${result.engine}, ${result.kernel}`,
    `${result.requests}`,
    result.medianMs.toFixed(1),
    result.p99Ms.toFixed(1),
    result.maxMs.toFixed(1),
    (result.migratedBytes / 2 ** 20 / result.seconds).toFixed(1),
  ]);
  const head = ['resource, engine, kernel', 'requests', 'median ms', 'p99 ms', 'max ms', 'MiB/s moved'];
  return `${table(head, rows)}
Simulated: this machine's CPU, over a kernel in memory that moves all it is told to; slower than ${P99_LIMIT_MS} ms there fails the benchmark. Other kernels
are guests whose CPU is emulated (QEMU TCG) and busy with the workload: no such limit.
`;
}

function placementTable(results: readonly PlacementResult[]): string {
  if (results.length === 0) return '';
  const rows = results.map((result) => [
    `${result.scenario}, ${result.kernel}, ${result.mode}`,
    result.startSeconds.toFixed(1),
    seconds(result.secondsTo[50]),
    seconds(result.secondsTo[90]),
    seconds(result.secondsTo[99]),
    result.hotShareEnd.toFixed(2),
    mib(result.migratedBytes),
    mib(result.leastBytes),
    `${result.seconds}`,
  ]);
  const head = [
    'workload, kernel, mode',
    'start s',
    '50 %',
    '90 %',
    '99 %',
    'hot share',
    'MiB moved',
    'least MiB',
    'watched s',
  ];
  return table(head, rows);
}

function gradedTable(results: readonly GradedResult[]): string {
  if (results.length === 0) return '';
  const times = [15, 30, 60, 120];
  const rows = results.map((result) => [
    `${result.scenario}, ${result.kernel}, ${result.mode}`,
    result.startShare.toFixed(2),
    ...times.map((seconds) => shareAfter(result, seconds).toFixed(2)),
    result.possibleShare.toFixed(2),
    mib(result.migratedBytes),
    mib(result.leastBytes),
  ]);
  const head = [
    'workload, kernel, mode',
    'start',
    ...times.map((seconds) => `${seconds} s`),
    'possible',
    'MiB moved',
    'least MiB',
  ];
  return table(head, rows);
}

function daemonCostTable(results: readonly DaemonCostResult[]): string {
  if (results.length === 0) return '';
  const rows = results.flatMap((result) => {
    const { kernel, emulationFactor } = result;
    const shares = (share: number): string[] => [percent(share), percent(share / emulationFactor)];
    return [
      [
        `tierd, ${result.regions} regions, ${kernel}`,
        result.residentMiB.toFixed(0),
        result.privateMiB.toFixed(0),
        ...shares(result.daemonCpu),
      ],
      [`  of it in the kernel, ${kernel}`, '', '', ...shares(result.daemonKernelCpu)],
      [
        `idle node ${result.nodeVersion}, ${kernel}`,
        result.idleNodeResidentMiB.toFixed(0),
        result.idleNodePrivateMiB.toFixed(0),
        ...shares(result.idleNodeCpu),
      ],
      [`kdamonds, ${kernel}`, '', '', ...shares(result.kdamondCpu)],
    ];
  });
  const factors = results.map(({ kernel, emulationFactor }) => `${kernel} ${emulationFactor.toFixed(0)}`).join(', ');
  return `${table(['process', 'resident MiB', 'private MiB', '% of a core', '% / slowness'], rows)}
Slowness: a Node program's CPU time in the guest over that on this machine (${factors}).
`;
}

function nativeCostTable(results: readonly NativeCostResult[]): string {
  return results
    .map((result) => {
      const { regions, nodeVersion } = result;
      const shares = table(
        ['process', '% of a core'],
        [
          [`engine, ${regions} regions, settled`, percent(result.settledCpu)],
          [`engine, ${regions} regions, orders all the time`, percent(result.movingCpu)],
          [`engine, ${8 * regions} regions on 16 nodes, orders all the time`, percent(result.manyNodesCpu)],
          ...Object.entries(result.traceCpu).map(([size, cpu]) => [`the trace alone, ${size} regions`, percent(cpu)]),
          [`idle node ${nodeVersion}`, percent(result.idleNodeCpu)],
        ],
      );
      const rows = Object.entries(result.stepsMs).map(([step, ms]) => [step, ms.toFixed(3)]);
      return `${shares}\n${table([`one decision over ${regions} regions`, 'ms'], rows)}`;
    })
    .join('\n');
}

function snapshotTable(results: readonly SnapshotResult[]): string {
  if (results.length === 0) return '';
  const rows = results.map((result) => [
    `${result.where}, ${result.format}`,
    `${result.regions}`,
    result.medianMs.toFixed(1),
    result.slowestMs.toFixed(1),
    (result.bytes / 1024).toFixed(0),
  ]);
  return table(['where, format', 'regions', 'median ms', 'slowest ms', 'KiB'], rows);
}

function pageWorkTable(results: readonly PageWorkResult[]): string {
  if (results.length === 0) return '';
  const rows = results.map((result) => [
    `${result.work} ${result.mib} MiB, ${result.layout}, ${result.where}`,
    milliseconds(result.tierdSeconds),
    milliseconds(result.peerSeconds),
    (result.peerSeconds / result.tierdSeconds).toFixed(2),
    milliseconds(result.tierdCpuSeconds),
    milliseconds(result.peerCpuSeconds),
    result.tierdLoopDelayMs.toFixed(1),
  ]);
  return table(['work', 'tierd ms', 'C ms', 'speed of C', 'tierd CPU ms', 'C CPU ms', 'event loop p99 ms'], rows);
}

function engineCostTable(results: readonly EngineCostResult[]): string {
  if (results.length === 0) return '';
  const rows = results.map((result) => [
    `${result.scenario}, ${result.kernel}, ${result.engine}`,
    seconds(result.secondsTo99),
    mib(result.migratedBytes),
    result.daemonCpuSecondsPerGib.toFixed(1),
    result.kdamondCpuSecondsPerGib.toFixed(1),
    result.cpuSecondsPerGib.toFixed(1),
  ]);
  return table(['workload, kernel, engine', '99 % s', 'MiB moved', 'daemon', 'kdamonds', 'together'], rows);
}

function snapshotWayTable(results: readonly SnapshotWayResult[]): string {
  if (results.length === 0) return '';
  const rows = results.map((result) => [
    `${result.way}, ${result.kernel}`,
    `${result.regions}`,
    result.wallMs.toFixed(1),
    result.nodeCpuMs.toFixed(1),
    result.kdamondCpuMs.toFixed(1),
  ]);
  return table(['way, kernel', 'regions', 'wall ms', 'reader CPU ms', 'kdamond CPU ms'], rows);
}

function milliseconds(value: number): string {
  return (value * 1000).toFixed(1);
}

function seconds(value: number | null): string {
  return value === null ? 'never' : value.toFixed(1);
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}

function percent(share: number): string {
  return (share * 100).toFixed(2);
}
