import type { Fact, HostFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { chosen, evidenceOf, unseen } from './reading.ts';

/** What else on this host decides where memory lies, and so works against tierd. */
export function placementChecks({ files, topology, zones }: HostFacts): readonly Finding[] {
  return [
    numaBalancing(files.numaBalancing),
    kernelDemotion(files.demotionEnabled),
    zoneReclaim(files.zoneReclaimMode),
    ...hugePages(files),
    ...headroom(topology, zones.length > 0),
  ];
}

/** Bits of kernel.numa_balancing (admin-guide/sysctl/kernel): 1 balances for locality, 2 promotes to faster tiers. */
function numaBalancing(fact: Fact): Finding {
  const id = 'numa-balancing';
  if (fact.state === 'unreadable') return unseen(id, 'whether NUMA balancing is on', [fact]);
  if (fact.state === 'absent' || fact.text === '0') {
    return { id, severity: 'ok', title: 'NUMA balancing is off', evidence: [evidenceOf(fact)] };
  }
  return {
    id,
    severity: 'warning',
    title: 'NUMA balancing is on and moves memory on its own, whatever the target',
    evidence: [evidenceOf(fact)],
    remedy: 'sysctl kernel.numa_balancing=0',
  };
}

function kernelDemotion(fact: Fact): Finding {
  const id = 'kernel-demotion';
  if (fact.state === 'unreadable') return unseen(id, 'whether reclaim demotes', [fact]);
  const isOn = fact.state === 'value' && ['true', '1', 'Y'].includes(fact.text);
  return isOn
    ? {
        id,
        severity: 'info',
        title:
          "Reclaim demotes under memory pressure, whatever tierd's scope says; with enough headroom it seldom has to",
        evidence: [evidenceOf(fact)],
        remedy: `echo false > ${fact.file}`,
      }
    : { id, severity: 'ok', title: 'Reclaim does not demote on its own', evidence: [evidenceOf(fact)] };
}

function zoneReclaim(fact: Fact): Finding {
  const id = 'zone-reclaim';
  if (fact.state === 'unreadable') return unseen(id, 'whether nodes are reclaimed one by one', [fact]);
  if (fact.state === 'absent' || fact.text === '0') {
    return {
      id,
      severity: 'ok',
      title: 'Nodes are not reclaimed before others are used',
      evidence: [evidenceOf(fact)],
    };
  }
  return {
    id,
    severity: 'warning',
    title: 'A full node is reclaimed before slower ones are used: page cache is dropped rather than demoted',
    evidence: [evidenceOf(fact)],
    remedy: 'sysctl vm.zone_reclaim_mode=0',
  };
}

function hugePages({ transparentHugePages: thp, hugePages: reserved }: HostFacts['files']): readonly Finding[] {
  const findings: Finding[] = [];
  if (reserved.state === 'value' && reserved.text !== '0') {
    findings.push({
      id: 'hugetlb',
      severity: 'info',
      title: 'Reserved huge pages (hugetlbfs) are neither promoted nor demoted',
      evidence: [evidenceOf(reserved)],
    });
  }
  if (thp.state === 'value' && chosen(thp.text) === 'always') {
    findings.push({
      id: 'thp',
      severity: 'info',
      title: 'Transparent huge pages are always used: heat is told by 2 MiB, of which a part may be cold',
      evidence: [evidenceOf(thp)],
      remedy: `echo madvise > ${thp.file}`,
    });
  }
  return findings;
}

/** A fast node that has less free than its high watermark takes no migrations. */
function headroom(topology: HostFacts['topology'], isKnown: boolean): readonly Finding[] {
  if (typeof topology === 'string' || !isKnown) return [];
  return topology.nodes
    .filter(({ freeBytes, highWatermarkBytes }) => freeBytes < highWatermarkBytes)
    .map(({ nodeId, freeBytes, highWatermarkBytes }) => ({
      id: 'headroom',
      severity: 'info',
      title: `Node ${nodeId} is below its high watermark: the kernel migrates nothing into it until some is demoted`,
      evidence: [
        { file: `/sys/devices/system/node/node${nodeId}/meminfo`, value: `${freeBytes} bytes free` },
        { file: '/proc/zoneinfo', value: `high watermark ${highWatermarkBytes} bytes` },
      ],
    }));
}
