import type { StatusBody } from '../../../api/views/status-view.ts';
import type { WorkloadReport } from '../workload/workload.ts';
import { hotShare } from '../workload/workload.ts';

/** What a live line shows: tierd's word for the nodes and flows, the workload's own for where its memory is. */
export interface Sample {
  /** Seconds since the demo began to watch. */
  readonly seconds: number;
  readonly state: string;
  readonly fastUsedShare: number;
  readonly slowUsedShare: number;
  readonly targetShare: number;
  readonly hotBytes: number;
  /** Hot bytes that the kernel says (move_pages) are in the slow tier. */
  readonly misplacedBytes: number;
  readonly hotShare: number;
  readonly promotedBytes: number;
  readonly demotedBytes: number;
}

/** A sample of both; undefined when tierd has no nodes to show yet. */
export function takeSample(seconds: number, status: StatusBody, report: WorkloadReport): Sample | undefined {
  const fast = status.nodes.find(({ tier }) => tier === 0);
  const slow = status.nodes.find(({ tier }) => tier > 0);
  if (fast === undefined || slow === undefined) return undefined;
  const share = hotShare(report, [fast.nodeId]);
  return {
    seconds,
    state: status.dryRun ? 'dry run' : status.state,
    fastUsedShare: fast.usedShare,
    slowUsedShare: slow.usedShare,
    targetShare: fast.targetShare ?? 1,
    hotBytes: report.hotSize,
    misplacedBytes: report.hotSize * (1 - share),
    hotShare: share,
    promotedBytes: status.promotedBytes,
    demotedBytes: status.demotedBytes,
  };
}
