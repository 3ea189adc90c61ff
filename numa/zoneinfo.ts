import { KernelFormatError } from './errors.ts';
import type { AddressRange } from './topology.ts';

/** One zone of /proc/zoneinfo; counts are pages. */
export interface Zone {
  readonly nodeId: number;
  readonly name: string;
  readonly highPages: number;
  readonly spannedPages: number;
  readonly managedPages: number;
  readonly startPfn: number;
}

/**
 * Zones of every node. Lines this program does not need are skipped, so that new kernels may add some.
 * Throws KernelFormatError when there is no zone at all or a zone lacks its `high` line. Kernel document: filesystems/proc.
 */
export function parseZoneinfo(text: string, path: string): readonly Zone[] {
  const zones = text
    .split(/^(?=Node \d+, zone )/m)
    .filter((section) => section.startsWith('Node '))
    .map((section) => parseZone(section, path));
  if (zones.length === 0) throw new KernelFormatError(path, text, 'sections "Node N, zone NAME"');
  return zones;
}

function parseZone(section: string, path: string): Zone {
  const heading = /^Node (\d+), zone +(\S+)/.exec(section);
  const high = number(section, 'high');
  if (heading === null || high === undefined) {
    throw new KernelFormatError(path, section.split('\n')[0] ?? '', 'a zone with its "high" watermark');
  }
  return {
    nodeId: Number(heading[1]),
    name: heading[2] ?? '',
    highPages: high,
    spannedPages: number(section, 'spanned') ?? 0,
    managedPages: number(section, 'managed') ?? 0,
    startPfn: number(section, 'start_pfn:') ?? 0,
  };
}

/** Per-CPU page sets have a `high:` of their own: the colon tells them apart. */
function number(section: string, name: string): number | undefined {
  const digits = new RegExp(`^ +${name} +(\\d+)$`, 'm').exec(section)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Sum of the zones' `high` watermarks of each node, in bytes. */
export function highWatermarks(zones: readonly Zone[], pageSizeBytes: number): ReadonlyMap<number, number> {
  const bytes = new Map<number, number>();
  for (const zone of zones) {
    bytes.set(zone.nodeId, (bytes.get(zone.nodeId) ?? 0) + zone.highPages * pageSizeBytes);
  }
  return bytes;
}

/** Physical addresses each node's zones span; a span may have holes and may reach over another node's memory. */
export function zoneSpans(zones: readonly Zone[], nodeId: number, pageSizeBytes: number): readonly AddressRange[] {
  return zones
    .filter((zone) => zone.nodeId === nodeId && zone.spannedPages > 0)
    .map(({ startPfn, spannedPages }) => ({
      start: startPfn * pageSizeBytes,
      end: (startPfn + spannedPages) * pageSizeBytes,
    }));
}
