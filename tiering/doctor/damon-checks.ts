import type { Fact, HostFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { evidenceOf, unseen } from './reading.ts';

/** From here on DAMON's schemes can migrate. Distributions backport, so that it is a hint; the daemon tries. */
const MIGRATE_SINCE = { major: 6, minor: 11 };

/** Whether DAMON is there, what it can do, and who else uses it. */
export function damonChecks(facts: HostFacts): readonly Finding[] {
  return [kernelFinding(facts.files.kernelRelease), adminFinding(facts), traceFinding(facts.files.damonEvents)]
    .concat(kdamondFindings(facts))
    .concat(moduleFindings(facts));
}

function kernelFinding(release: Fact): Finding {
  const evidence = [evidenceOf(release)];
  if (release.state !== 'value') return unseen('kernel', 'which kernel this is', [release]);
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(release.text) ?? [];
  const isNewer =
    Number(major) > MIGRATE_SINCE.major ||
    (Number(major) === MIGRATE_SINCE.major && Number(minor) >= MIGRATE_SINCE.minor);
  return isNewer
    ? { id: 'kernel', severity: 'ok', title: "DAMON's schemes can migrate on this kernel", evidence }
    : {
        id: 'kernel',
        severity: 'info',
        title: "DAMON's schemes migrate from Linux 6.11 on; here tierd moves memory itself (engine move_pages)",
        evidence,
      };
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
  const foreign = kdamonds.filter(({ pid }) => !ownKdamondPids.includes(pid));
  if (foreign.length === 0) {
    return [{ id: 'kdamonds', severity: 'ok', title: 'Nothing else runs DAMON', evidence: [] }];
  }
  const folder = '/sys/kernel/mm/damon/admin/kdamonds';
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
  return [...acting, ...stat];
}
