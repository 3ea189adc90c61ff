import type { ProbedFeatures } from '../damon/features.ts';
import type { HostFacts } from './facts.ts';
import type { Evidence, Finding } from './finding.ts';
import { evidenceOf, unseen } from './reading.ts';

const ID = 'kernel';
const SCHEME = '/sys/kernel/mm/damon/admin/kdamonds/N/contexts/0/schemes/N';

/** What this kernel's DAMON can do: as somebody has tried, or as its files show. Distributions backport: its version tells nothing. */
export function featureFindings({ files: { kernelRelease, nrKdamonds }, features }: HostFacts): readonly Finding[] {
  // That it has no DAMON at all is told elsewhere.
  if (nrKdamonds.state === 'absent') return [];
  if (features === undefined) {
    const what = "what this kernel's DAMON can do";
    if (nrKdamonds.state === 'unreadable') return [unseen(ID, what, [kernelRelease, nrKdamonds])];
    return [
      {
        id: ID,
        severity: 'unseen',
        title: `Not known until tierd runs: ${what}`,
        evidence: [evidenceOf(kernelRelease), { file: SCHEME, value: '(there is no scheme to look at)' }],
        remedy: 'systemctl start tierd, which tries its files; the doctor writes nothing',
      },
    ];
  }
  const evidence = [evidenceOf(kernelRelease), ...featureEvidence(features)];
  return features.migrateActions
    ? [{ id: ID, severity: 'ok', title: "DAMON's schemes can migrate on this kernel", evidence }]
    : [
        {
          id: ID,
          severity: 'info',
          title:
            "This kernel's DAMON has no migrate actions (mainline has them from Linux 6.11 on): tierd moves memory itself (engine move_pages)",
          evidence,
        },
      ];
}

function featureEvidence(features: ProbedFeatures): readonly Evidence[] {
  const { complete, actions, filterTypes, goalMetrics, triedRegions, effectiveBytes, maxPasses, traceEvents } =
    features;
  const names = (all: readonly string[]) => (all.length === 0 ? '(none)' : all.join(', '));
  const tried = (all: readonly string[]) => (complete ? names(all) : '(not known until tierd runs)');
  const there = (isThere: boolean) => (isThere ? '(there)' : '(not there)');
  return [
    { file: `${SCHEME}/action`, value: names(actions) },
    { file: `${SCHEME}/filters`, value: names(filterTypes) },
    { file: `${SCHEME}/quotas/goals/N/target_metric`, value: tried(goalMetrics) },
    { file: `${SCHEME}/quotas/effective_bytes`, value: there(effectiveBytes) },
    { file: `${SCHEME}/stats/max_nr_snapshots`, value: there(maxPasses) },
    { file: `${SCHEME}/tried_regions`, value: there(triedRegions) },
    { file: '/sys/kernel/tracing/events/damon', value: names(traceEvents) },
  ];
}
