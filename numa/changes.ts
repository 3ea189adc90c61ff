import { formatList } from './list-format.ts';
import { intersectRanges, rangesBytes } from './ranges.ts';
import type { CxlBacking, MemoryNode, MemoryTier, MigrationPath, Topology } from './topology.ts';

/** A total that moved by less is no news: memory balloons move it all the time. */
const notableShare = 0.1;

/**
 * What differs between two topologies, one readable sentence each; empty when nothing a plan depends on did. Free memory
 * and watermarks are left out: they are read each tick.
 */
export function describeChanges(before: Topology, after: Topology): readonly string[] {
  const ids = [...new Set([...before.nodes, ...after.nodes].map(({ nodeId }) => nodeId))].sort((a, b) => a - b);
  const ofNodes = ids.flatMap((nodeId) => {
    const old = before.nodes.find((node) => node.nodeId === nodeId);
    const now = after.nodes.find((node) => node.nodeId === nodeId);
    return [...describeMemory(nodeId, old, now), ...(old && now ? describeAttributes(old, now) : [])];
  });
  const tiers = [tiersText(before.tiers), tiersText(after.tiers)];
  const paths = [pathsText(before.paths), pathsText(after.paths)];
  return [
    ...ofNodes,
    ...(tiers[0] === tiers[1] ? [] : [`tiers changed from ${tiers[0]} to ${tiers[1]}`]),
    // With the tiers the paths change as a matter of course.
    ...(tiers[0] === tiers[1] && paths[0] !== paths[1]
      ? [`migration paths changed from ${paths[0]} to ${paths[1]}`]
      : []),
    ...(before.rangeSource === after.rangeSource
      ? []
      : [`physical ranges now come from ${after.rangeSource === 'iomem' ? '/proc/iomem' : 'memory blocks alone'}`]),
  ];
}

function describeMemory(nodeId: number, before: MemoryNode | undefined, after: MemoryNode | undefined): string[] {
  const old = before?.ranges ?? [];
  const now = after?.ranges ?? [];
  const oldBytes = rangesBytes(old);
  const nowBytes = rangesBytes(now);
  const keptBytes = rangesBytes(intersectRanges(old, now));
  const gone = oldBytes - keptBytes;
  const come = nowBytes - keptBytes;
  const changes: string[] = [];
  if (gone > 0) changes.push(`node ${nodeId}: ${mebibytes(gone)} of ${mebibytes(oldBytes)} went offline`);
  if (come > 0) changes.push(`node ${nodeId}: ${mebibytes(come)} came online, ${mebibytes(nowBytes)} now`);
  // A node whose physical ranges are not known can still come and go.
  if (changes.length === 0 && before === undefined) changes.push(`node ${nodeId}: appeared`);
  if (changes.length === 0 && after === undefined) changes.push(`node ${nodeId}: disappeared`);
  return changes;
}

function describeAttributes(before: MemoryNode, after: MemoryNode): string[] {
  const { nodeId } = after;
  const changes: string[] = [];
  const sameRanges = describeMemory(nodeId, before, after).length === 0;
  if (sameRanges && Math.abs(after.totalBytes - before.totalBytes) > before.totalBytes * notableShare) {
    const totals = `from ${mebibytes(before.totalBytes)} to ${mebibytes(after.totalBytes)}`;
    changes.push(`node ${nodeId}: memory total changed ${totals}`);
  }
  const cpus = [formatList(before.cpus) || 'none', formatList(after.cpus) || 'none'];
  if (cpus[0] !== cpus[1]) changes.push(`node ${nodeId}: CPUs changed from ${cpus[0]} to ${cpus[1]}`);
  if (before.kind !== after.kind) changes.push(`node ${nodeId}: was ${before.kind}, is ${after.kind}`);
  const cxl = [cxlText(before), cxlText(after)];
  if (cxl[0] !== cxl[1]) changes.push(`node ${nodeId}: CXL backing changed from ${cxl[0]} to ${cxl[1]}`);
  const measured = measuredText(after);
  if (measured !== undefined && measured !== measuredText(before)) changes.push(`node ${nodeId}: ${measured}`);
  return changes;
}

function cxlText({ cxl, furtherCxl = [] }: MemoryNode): string {
  const backings: readonly CxlBacking[] = cxl === undefined ? [] : [cxl, ...furtherCxl];
  const texts = backings.map(({ region, sizeBytes, devices }) =>
    [region, `(${mebibytes(sizeBytes)}`, `on ${devices.map(({ name }) => name).join(', ') || 'unknown devices'})`].join(
      ' ',
    ),
  );
  return texts.join(' and ') || 'none';
}

function measuredText({ measured }: MemoryNode): string | undefined {
  if (measured === undefined) return undefined;
  return `measured ${measured.readLatencyNs} ns, ${measured.readBandwidthMiBps} MiB/s read, ${measured.writeBandwidthMiBps} MiB/s written`;
}

function tiersText(tiers: readonly MemoryTier[]): string {
  return tiers.map(({ nodeIds }) => `[${formatList(nodeIds)}]`).join(' > ') || 'none';
}

function pathsText(paths: readonly MigrationPath[]): string {
  const texts = paths.flatMap(({ nodeId, promotionTargets, demotionTargets }) => [
    ...(promotionTargets.length === 0 ? [] : [`${nodeId} up to ${promotionTargets.join(' or ')}`]),
    ...(demotionTargets.length === 0 ? [] : [`${nodeId} down to ${demotionTargets.join(' or ')}`]),
  ]);
  return texts.join(', ') || 'none';
}

/** Rounded, for people. */
function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
