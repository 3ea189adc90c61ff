import type { SchemesBody } from '../views/schemes-view.ts';
import type { Column } from './columns.ts';
import { DEFAULT_COLUMNS, formatColumns } from './columns.ts';
import { formatBytes } from './units.ts';
import { wrapped } from './wrap.ts';

const COLUMNS: readonly Column[] = [
  { title: 'NODE', align: 'right' },
  { title: 'SCHEME', align: 'left' },
  { title: 'ACTION', align: 'left' },
  { title: 'ACCESSES', align: 'left' },
  { title: 'AGE', align: 'left' },
  { title: 'QUOTA', align: 'right' },
  { title: 'TRIED', align: 'right' },
  { title: 'APPLIED', align: 'right' },
  { title: 'FULL', align: 'right' },
];

/** "No bound" where the kernel keeps an unsigned int. */
const KERNEL_UINT_MAX = 2 ** 32 - 1;
const MAX_NAME_LENGTH = 24;

type Kdamond = SchemesBody['kdamonds'][number];
type Scheme = Kdamond['schemes'][number];

/** The kdamonds and their schemes to read in a terminal; FULL: how often a quota was used up. */
export function schemesText({ kdamonds }: SchemesBody, columns = DEFAULT_COLUMNS): string {
  if (kdamonds.length === 0) return 'no kdamonds\n';
  const lines = [
    ...kdamonds.map(kdamondLine),
    '',
    ...formatColumns(
      COLUMNS,
      kdamonds.flatMap(({ nodeId, schemes }) => schemes.map((scheme) => cells(nodeId, scheme))),
      columns,
    ),
    '',
    ...goalLines(kdamonds),
    ...effectiveLines(kdamonds),
  ];
  return wrapped(lines, columns);
}

function kdamondLine(kdamond: Kdamond): string {
  const { index, pid, nodeId, samplingIntervalUs, aggregationIntervalUs, nrRegions, minRegions, maxRegions } = kdamond;
  const intervals = `every ${samplingIntervalUs / 1000} ms, ${aggregationIntervalUs / 1000} ms an aggregation`;
  return `kdamond ${index} (pid ${pid}) watches node ${nodeId}: ${intervals}, ${nrRegions} regions (${minRegions} to ${maxRegions})`;
}

/** Where the kernel itself ends migrations. */
function goalLines(kdamonds: readonly Kdamond[]): string[] {
  return kdamonds.flatMap(({ nodeId, schemes }) =>
    schemes.flatMap(({ name, quota: { goal } }) =>
      goal === undefined
        ? []
        : `goal of node ${nodeId}, ${name}: nothing moves once ${goal.targetBp / 100} % of what matches is on node ${goal.nodeId}`,
    ),
  );
}

/** Where the kernel has another quota than it was asked for; a column for it would not fit. */
function effectiveLines(kdamonds: readonly Kdamond[]): string[] {
  const told = kdamonds.flatMap(({ nodeId, schemes }) =>
    schemes.flatMap(({ name, quota, effectiveQuotaBytes: bytes }) =>
      bytes === undefined ? [] : [{ nodeId, name, isAsAsked: bytes === quota.bytes, bytes }],
    ),
  );
  if (told.length === 0) return ['effective quotas: not told by the kernel (Linux 6.9), or not yet'];
  const others = told.filter(({ isAsAsked }) => !isAsAsked);
  if (others.length === 0) return ['effective quotas: as in the table'];
  return others.map(({ nodeId, name, bytes }) => `effective quota of node ${nodeId}, ${name}: ${formatBytes(bytes)}`);
}

function cells(nodeId: number, { name, action, pattern, quota, stats }: Scheme): string[] {
  const bounds = ({ min, max }: { readonly min: number; readonly max: number | null }) =>
    max === null || max >= KERNEL_UINT_MAX ? `from ${min}` : `${min} to ${max}`;
  // The driver's word for a scheme that matches nothing.
  const isOff = quota.bytes === 1;
  return [
    String(nodeId),
    name.length <= MAX_NAME_LENGTH ? name : `${name.slice(0, MAX_NAME_LENGTH - 3)}...`,
    action,
    bounds(pattern.nrAccesses),
    isOff ? '-' : bounds(pattern.age),
    isOff ? 'off' : quota.bytes === 0 ? 'none' : formatBytes(quota.bytes),
    stats === undefined ? '-' : formatBytes(stats.triedBytes),
    stats === undefined ? '-' : formatBytes(stats.appliedBytes),
    stats === undefined ? '-' : String(stats.quotaExceeds),
  ];
}
