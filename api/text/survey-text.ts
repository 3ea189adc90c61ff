import type { CgroupsBody, ProcessesBody } from '../views/survey-views.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatColumns } from './columns.ts';
import { formatBytes, formatSeconds } from './units.ts';
import { wrapped } from './wrap.ts';

type Placement = ProcessesBody['processes'][number] | CgroupsBody['cgroups'][number];

const MAX_NAME_LENGTH = 15;
const MIN_PATH_LENGTH = 24;
/** More never fit. */
const MAX_NODES_SHOWN = 6;

/** Who has memory where, to read in a terminal. */
export function processesText(body: ProcessesBody, columns = DEFAULT_COLUMNS): string {
  const { processes, nrProcesses, unread, secondsOld } = body;
  const rows = processes.map((process) => ({
    placement: process,
    cells: [String(process.pid), printable(process.name).slice(0, MAX_NAME_LENGTH)],
    path: process.cgroup ?? '-',
  }));
  const notes = [
    ...moreOf(nrProcesses - processes.length),
    ...(unread.processes === 0 ? [] : [`not looked at: ${unread.processes}, ${formatBytes(unread.residentBytes)}`]),
  ];
  const heading = `processes with memory: ${nrProcesses}, ${formatSeconds(secondsOld)} old`;
  return text([heading, ...table(['PID', 'NAME'], rows, columns), ...notes]);
}

/** Which cgroups are charged with memory where, to read in a terminal. */
export function cgroupsText(body: CgroupsBody, columns = DEFAULT_COLUMNS): string {
  const { cgroups, nrCgroups, isPartial, problem, unchargedHotBytes = 0, secondsOld } = body;
  if (problem !== undefined) return wrapped([`no cgroups: ${problem}`], columns);
  const rows = cgroups.map((cgroup) => ({ placement: cgroup, cells: [], path: cgroup.path }));
  const notes = [
    ...moreOf(nrCgroups - cgroups.length),
    ...(isPartial ? ['the host has more cgroups than were looked at'] : []),
    ...(unchargedHotBytes === 0
      ? []
      : [`${formatBytes(unchargedHotBytes)} hot on slow nodes are charged to no cgroup`]),
  ];
  const heading = `cgroups, each with all below it: ${nrCgroups}, ${formatSeconds(secondsOld)} old`;
  return text([heading, ...table([], rows, columns), ...notes]);
}

interface Row {
  readonly placement: Placement;
  readonly cells: readonly string[];
  readonly path: string;
}

/** Titled cells, a column for each node, what is hot in the wrong place, and at the end a path in the room that is left. */
function table(titles: readonly string[], rows: readonly Row[], columns: number): string[] {
  const nodeIds = [...new Set(rows.flatMap(({ placement }) => placement.nodes.map(({ nodeId }) => nodeId)))];
  const first = nodeIds.sort((a, b) => a - b).slice(0, MAX_NODES_SHOWN);
  const { lines, width } = fitting(titles, rows, first, columns);
  const paths = ['CGROUP', ...rows.map(({ path }) => endOf(printable(path), columns - width - 2))];
  return paths.map((path, index) => `${(lines[index] ?? '').padEnd(width)}  ${path}`);
}

/** The lines without their paths, for which room is left: with too many nodes the last ones are in the total only. */
function fitting(
  titles: readonly string[],
  rows: readonly Row[],
  nodeIds: readonly number[],
  most: number,
): { readonly lines: readonly string[]; readonly width: number } {
  const right = ['TOTAL', ...nodeIds.map((nodeId) => `NODE ${nodeId}`), 'HOT ON SLOW'];
  const columns = [
    ...titles.map((title): Column => ({ title, align: title === 'PID' ? 'right' : 'left' })),
    ...right.map((title): Column => ({ title, align: 'right' })),
  ];
  const cells = rows.map(({ cells, placement: { sizeBytes, nodes, hotOnSlowBytes } }) => [
    ...cells,
    formatBytes(sizeBytes),
    ...nodeIds.map((id) => formatBytes(nodes.find(({ nodeId }) => nodeId === id)?.sizeBytes ?? 0)),
    hotOnSlowBytes === undefined ? '-' : formatBytes(hotOnSlowBytes),
  ]);
  const lines = formatColumns(columns, cells, most);
  const width = lines.reduce((longest, line) => Math.max(longest, line.length), 0);
  if (nodeIds.length === 0 || width + 2 + MIN_PATH_LENGTH <= most) return { lines, width };
  return fitting(titles, rows, nodeIds.slice(0, -1), most);
}

function text(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}

function moreOf(count: number): readonly string[] {
  return count > 0 ? [`${count} more: a larger limit shows them`] : [];
}

/** Names are what their owners make them; they must not steer the terminal. */
function printable(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '?');
}

/** The end of a path tells it from its neighbours. */
function endOf(path: string, room: number): string {
  return path.length <= room ? path : `...${path.slice(3 - room)}`;
}
