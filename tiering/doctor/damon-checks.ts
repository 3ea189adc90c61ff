import type { Fact, HostFacts } from './facts.ts';
import { featureFindings } from './feature-check.ts';
import type { Finding } from './finding.ts';
import { evidenceOf, unseen } from './reading.ts';

/** Whether DAMON is there, what it can do, and who else uses it. */
export function damonChecks(facts: HostFacts): readonly Finding[] {
  return [
    ...featureFindings(facts),
    adminFinding(facts),
    traceFinding(facts.files.damonEvents),
    ...kdamondFindings(facts),
    ...moduleFindings(facts),
  ];
}

function adminFinding({ files: { nrKdamonds } }: HostFacts): Finding {
  if (nrKdamonds.state === 'unreadable') return unseen('damon', 'whether DAMON is in use', [nrKdamonds]);
  const evidence = [evidenceOf(nrKdamonds)];
  if (nrKdamonds.state === 'value') {
    return { id: 'damon', severity: 'ok', title: 'This kernel has DAMON', evidence };
  }
  return {
    id: 'damon',
    severity: 'error',
    title: 'This kernel has no DAMON that can be set up through sysfs',
    evidence,
    remedy: 'use a kernel from 5.18 on with CONFIG_DAMON_PADDR and CONFIG_DAMON_SYSFS; Debian has them from 6.12 on',
  };
}

function traceFinding(events: Fact): Finding {
  if (events.state === 'unreadable') return unseen('trace', "whether DAMON's tracepoints are there", [events]);
  const evidence = [evidenceOf(events)];
  if (events.state === 'value')
    return { id: 'trace', severity: 'ok', title: "DAMON's tracepoints are there", evidence };
  return {
    id: 'trace',
    severity: 'error',
    title: "DAMON's tracepoints are not there: tierd sees through them",
    evidence,
    remedy: 'mount -t tracefs tracefs /sys/kernel/tracing (the kernel needs CONFIG_TRACING)',
  };
}

function kdamondFindings({ kdamonds, ownKdamondPids, files }: HostFacts): readonly Finding[] {
  if (kdamonds === undefined) {
    return files.nrKdamonds.state === 'absent' ? [] : [unseen('kdamonds', 'who runs DAMON', [files.nrKdamonds])];
  }
  const folder = '/sys/kernel/mm/damon/admin/kdamonds';
  const foreign = kdamonds.filter(({ pid }) => !ownKdamondPids.includes(pid));
  if (foreign.length === 0) {
    const evidence = kdamonds.map(({ index, pid }) => ({ file: `${folder}/${index}/pid`, value: `${pid}, of tierd` }));
    return [{ id: 'kdamonds', severity: 'ok', title: 'Nothing else runs DAMON', evidence }];
  }
  return foreign.map(({ index, pid, operations, actions }) => ({
    id: 'kdamonds',
    severity: 'error',
    title: `Something else runs DAMON: kdamond ${index} (pid ${pid}, ${operations}, ${actions.join(', ') || 'no scheme'})`,
    evidence: [{ file: `${folder}/${index}/state`, value: 'on' }],
    remedy: `echo off > ${folder}/${index}/state (or end the tool that set it up)`,
  }));
}

function moduleFindings({ files }: HostFacts): readonly Finding[] {
  const acting = [
    { id: 'damon-reclaim', name: 'DAMON_RECLAIM', fact: files.damonReclaim },
    { id: 'damon-lru-sort', name: 'DAMON_LRU_SORT', fact: files.damonLruSort },
  ].flatMap(({ id, name, fact }): Finding[] =>
    fact.state === 'value' && fact.text === 'Y'
      ? [
          {
            id,
            severity: 'error',
            title: `${name} holds DAMON exclusively, and acts on memory by itself`,
            evidence: [evidenceOf(fact)],
            remedy: `echo N > ${fact.file}`,
          },
        ]
      : [],
  );
  const stat: Finding[] =
    files.damonStat.state === 'value' && files.damonStat.text === 'Y'
      ? [
          {
            id: 'damon-stat',
            severity: 'info',
            title: 'DAMON_STAT is on; tierd switches it off while it runs (switchOffDamonStat)',
            evidence: [evidenceOf(files.damonStat)],
            remedy: `echo N > ${files.damonStat.file}, or boot with damon_stat.enabled=N`,
          },
        ]
      : [];
  const hidden = [files.damonReclaim, files.damonLruSort, files.damonStat].filter(
    ({ state }) => state === 'unreadable',
  );
  const unknown =
    hidden.length === 0 ? [] : [unseen('damon-modules', 'whether a part of the kernel runs DAMON', hidden)];
  return [...acting, ...stat, ...unknown];
}
