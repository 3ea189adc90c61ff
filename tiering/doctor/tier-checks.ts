import { nodesLeftAlone } from '../../numa/left-alone.ts';
import { isSlowByKind } from '../../numa/memory-kind.ts';
import { compareFigures } from '../../numa/speed.ts';
import type { MemoryNode, NodePerformance, Topology } from '../../numa/topology.ts';
import type { HostFacts } from './facts.ts';
import type { Evidence, Finding, Severity } from './finding.ts';

/** Whether there are tiers, in an order that everything known bears out. */
export function tierChecks({ topology }: HostFacts): readonly Finding[] {
  const order = tiers(topology);
  if (typeof topology === 'string') return order;
  return [...order, ...leftAlone(topology), ...contradictions(topology), ...oddValues(topology)];
}

function tiers(topology: HostFacts['topology']): readonly Finding[] {
  const id = 'tiers';
  if (typeof topology === 'string') {
    return [{ id, severity: 'error', title: `The memory nodes cannot be made out: ${topology}`, evidence: [] }];
  }
  const evidence = [
    { file: '/sys/devices/virtual/memory_tiering', value: `${topology.tiers.length} tier(s), ${topology.tierSource}` },
  ];
  if (topology.tiers.length < 2) {
    return [
      {
        id,
        severity: 'error',
        title: `All memory is in one tier (${topology.nodes.length} node(s)): there is nothing to move between`,
        evidence,
        remedy: 'bring CXL memory online, or name the tiers in the configuration file: tiers: [[0], [1]]',
      },
    ];
  }
  const told = topology.nodes.filter(({ performance }) => performance !== undefined);
  const ordered: Finding = { id, severity: 'ok', title: `${topology.tiers.length} memory tiers`, evidence };
  if (told.length > 0 || topology.nodes.some(({ kind }) => kind === 'cxl')) return [ordered];
  return [
    ordered,
    {
      id: 'speeds',
      severity: 'info',
      title: 'Firmware tells no speeds of the memory nodes: distances decide which is faster',
      evidence: [{ file: '/sys/devices/system/node/node*/access0', value: '(no figures)' }],
      remedy: 'tierd probe (for a look), or POST /v1/probe (for the daemon to use)',
    },
  ];
}

function leftAlone(topology: Topology): readonly Finding[] {
  return nodesLeftAlone(topology).map(({ nodeId, reason, message, tiersLine }) => ({
    id: 'left-alone',
    // A GPU's memory is left alone for good reason.
    severity: reason === 'device' ? 'info' : 'warning',
    title: `${message[0]?.toUpperCase()}${message.slice(1)}`,
    evidence: [{ file: `/sys/devices/system/node/node${nodeId}`, value: '(in no tier)' }],
    remedy:
      reason === 'device'
        ? `${tiersLine} in the configuration file`
        : `tierd probe, or ${tiersLine} in the configuration file`,
  }));
}

/** Facts that contradict the order of the tiers, or each other. An operator who named the tiers may know better. */
function contradictions(topology: Topology): readonly Finding[] {
  const severity: Severity = topology.tierSource === 'configured' ? 'info' : 'warning';
  const remedy = 'name the tiers in the configuration file, from fast to slow, such as tiers: [[0], [1]]';
  return [
    ...slowKindOnTop(topology).map((finding) => ({ ...finding, severity, remedy })),
    ...wrongOrder(topology).map((finding) => ({ ...finding, severity, remedy })),
    ...sourcesAtOdds(topology),
  ];
}

function slowKindOnTop({ nodes, tiers: [fastest, ...slower], tierSource }: Topology) {
  if (slower.length === 0) return [];
  return nodes
    .filter((node) => isSlowByKind(node) && fastest?.nodeIds.includes(node.nodeId))
    .map(({ nodeId, kind, cxl }) => ({
      id: 'slow-kind-on-top',
      title: `Node ${nodeId} is ${kind === 'cxl' ? 'CXL memory' : 'memory of a dax device'} and in the fastest tier: hot memory is promoted to it`,
      evidence: [
        { file: '/sys/devices/virtual/memory_tiering', value: `tier 0 has node ${nodeId} (${tierSource})` },
        ...(cxl === undefined ? [] : [{ file: `/sys/bus/cxl/devices/${cxl.region}`, value: `node ${nodeId}` }]),
      ],
    }));
}

/** One finding for two tiers and a source, whatever the number of nodes. */
function wrongOrder({ nodes, tiers: all, tierSource }: Topology) {
  const nodesOf = (nodeIds: readonly number[]) => nodes.filter(({ nodeId }) => nodeIds.includes(nodeId));
  return all.flatMap((upper) =>
    all
      .filter((lower) => lower.rank > upper.rank)
      .flatMap((lower) =>
        (['hmat', 'probe'] as const).flatMap((source) => {
          const pairs = nodesOf(upper.nodeIds).flatMap((a) => nodesOf(lower.nodeIds).map((b) => [a, b] as const));
          const wrong = pairs.find(([a, b]) => compareFigures(figuresOf(a, source), figuresOf(b, source)) === 'slower');
          if (wrong === undefined) return [];
          const [a, b] = wrong;
          const tierFile = '/sys/devices/virtual/memory_tiering';
          return [
            {
              id: 'tier-order',
              title: `Node ${a.nodeId} is in a faster tier than node ${b.nodeId}, and ${source === 'hmat' ? 'firmware says' : 'tierd measured'} that it is slower`,
              evidence: [
                {
                  file: tierFile,
                  value: `tier ${upper.rank} has node ${a.nodeId}, tier ${lower.rank} node ${b.nodeId} (${tierSource})`,
                },
                figureEvidence(a, source),
                figureEvidence(b, source),
              ],
            },
          ];
        }),
      ),
  );
}

/** Firmware's figures say the opposite of what was measured. */
function sourcesAtOdds({ nodes }: Topology): readonly Finding[] {
  const pairs = nodes.flatMap((a, index) => nodes.slice(index + 1).map((b) => [a, b] as const));
  const odd = pairs.find(([a, b]) => {
    const [told, measured] = [
      compareFigures(figuresOf(a, 'hmat'), figuresOf(b, 'hmat')),
      compareFigures(a.measured, b.measured),
    ];
    return (told === 'faster' && measured === 'slower') || (told === 'slower' && measured === 'faster');
  });
  if (odd === undefined) return [];
  const [a, b] = odd;
  return [
    {
      id: 'figures-at-odds',
      severity: 'warning',
      title: `Firmware says of nodes ${a.nodeId} and ${b.nodeId} the opposite of what tierd measured`,
      evidence: (['hmat', 'probe'] as const).flatMap((source) => [
        figureEvidence(a, source),
        figureEvidence(b, source),
      ]),
      remedy: 'tierd probe measures again; a firmware update may mend its tables (HMAT)',
    },
  ];
}

function figuresOf({ performance, measured }: MemoryNode, source: 'hmat' | 'probe'): NodePerformance | undefined {
  if (source === 'probe') return measured;
  return performance?.source === 'hmat' ? performance : undefined;
}

function figureEvidence(node: MemoryNode, source: 'hmat' | 'probe'): Evidence {
  const { readLatencyNs, readBandwidthMiBps } = figuresOf(node, source) ?? {};
  const figures = [
    ...(readLatencyNs === undefined ? [] : [`${readLatencyNs} ns`]),
    ...(readBandwidthMiBps === undefined ? [] : [`${readBandwidthMiBps} MiB/s read`]),
  ].join(', ');
  return source === 'hmat'
    ? { file: `/sys/devices/system/node/node${node.nodeId}/access1/initiators`, value: figures }
    : { file: `POST /v1/probe, node ${node.nodeId}`, value: `${figures} (measured)` };
}

function oddValues({ warnings = [] }: Topology): readonly Finding[] {
  return warnings.map((warning) => ({ id: 'odd-value', severity: 'warning', title: warning, evidence: [] }));
}
