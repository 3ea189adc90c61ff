import type { Policy } from '../policy.ts';

const MIB = 1024 * 1024;

/** Free memory above the high watermark that allocations and migrations in flight may use up, so that none fails. */
const MARGIN_OF_WATERMARK = 1 / 8;
const MIN_MARGIN_BYTES = 4 * MIB;

/**
 * Free bytes to keep on a node. On the fastest tier what `fastUtilization` and `headroomMiB` leave free, on every node at least its
 * high watermark and a margin: below the watermark migrations into it fail without a word and kswapd wakes up.
 */
export function keepFreeBytes(
  node: { readonly totalBytes: number; readonly highWatermarkBytes: number },
  isFastest: boolean,
  policy: Pick<Policy, 'fastUtilization' | 'headroomMiB'>,
): number {
  const margin = Math.max(MIN_MARGIN_BYTES, node.highWatermarkBytes * MARGIN_OF_WATERMARK);
  const floor = node.highWatermarkBytes + margin;
  if (!isFastest) return Math.min(node.totalBytes, floor);
  const headroom = policy.headroomMiB === 'auto' ? 0 : policy.headroomMiB * MIB;
  return Math.min(node.totalBytes, Math.max(floor, headroom, (1 - policy.fastUtilization) * node.totalBytes));
}
