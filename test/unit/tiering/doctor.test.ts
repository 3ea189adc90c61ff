import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { diagnosisText } from '../../../api/text/diagnosis-text.ts';
import { HostSysFs } from '../../../numa/sysfs.ts';
import type { ProbedFeatures } from '../../../tiering/damon/features.ts';
import { conflictsOf, diagnose } from '../../../tiering/doctor/diagnose.ts';
import type { UnusedCxlDevice } from '../../../tiering/doctor/facts.ts';
import type { Finding } from '../../../tiering/doctor/finding.ts';
import { worstFirst, worstOf } from '../../../tiering/doctor/finding.ts';
import { gatherFacts } from '../../../tiering/doctor/gather.ts';
import { knownFromReceipt } from '../../../tiering/doctor/known-damon.ts';
import { ALL_FEATURES, machine } from './machines.ts';

const recorded = (name: string) => new HostSysFs(fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url)));

/** As a daemon has found them on Linux 7.3, or there about. */
const features: ProbedFeatures = {
  ...ALL_FEATURES,
  complete: true,
  actions: ['migrate_hot', 'migrate_cold', 'stat'],
  filterTypes: ['memcg', 'young'],
  goalMetrics: ['user_input', 'node_mem_used_bp'],
  goalTuners: ['consist'],
  commitsTargetNid: true,
  triedRegions: true,
};
const withoutMigration = { ...features, migrateActions: false, actions: ['pageout', 'stat'] };
const nothingKnown = { ownKdamondPids: [], features: undefined };

const healthy = {
  files: {
    kernelRelease: '6.12.1',
    nrKdamonds: '0',
    damonStat: 'N',
    damonReclaim: 'N',
    damonLruSort: 'N',
    numaBalancing: '0',
    demotionEnabled: 'false',
    zoneReclaimMode: '0',
    transparentHugePages: 'always [madvise] never',
    hugePages: '0',
    autoOnline: 'online_movable',
    cgroupControllers: 'cpu memory',
    damonEvents: '0',
    ownStatus: 'Name:\tnode\nCapEff:\t000001ffffffffff',
  },
} as const;
type FileName = keyof typeof healthy.files;
type Facts = Parameters<typeof diagnose>[0];

/** Facts of a host on which all is well, but for these files: a text, or undefined for one that is not there. */
function facts(files: Partial<Record<FileName, string | undefined>> = {}, others: Partial<Facts> = {}): Facts {
  const texts: Record<FileName, string | undefined> = { ...healthy.files, ...files };
  const fact = (name: FileName) => {
    const text = texts[name];
    return text === undefined
      ? ({ state: 'absent', file: `/${name}` } as const)
      : ({ state: 'value', file: `/${name}`, text } as const);
  };
  return {
    files: {
      kernelRelease: fact('kernelRelease'),
      nrKdamonds: fact('nrKdamonds'),
      damonStat: fact('damonStat'),
      damonReclaim: fact('damonReclaim'),
      damonLruSort: fact('damonLruSort'),
      numaBalancing: fact('numaBalancing'),
      demotionEnabled: fact('demotionEnabled'),
      zoneReclaimMode: fact('zoneReclaimMode'),
      transparentHugePages: fact('transparentHugePages'),
      hugePages: fact('hugePages'),
      autoOnline: fact('autoOnline'),
      cgroupControllers: fact('cgroupControllers'),
      damonEvents: fact('damonEvents'),
      ownStatus: fact('ownStatus'),
    },
    kdamonds: [],
    looker: 'command',
    ownKdamondPids: [],
    features,
    topology: machine([
      { nodeId: 0, tier: 0, totalMiB: 1024 },
      { nodeId: 1, tier: 1, totalMiB: 1024 },
    ]),
    zones: [],
    unusedCxlDevices: [],
    uncommittedRegions: [],
    daxDevices: [],
    offlineBlocks: new Map(),
    ...others,
  };
}

const withoutRegion = (name: string, setUpBy: UnusedCxlDevice['setUpBy'] = 'none'): UnusedCxlDevice => ({
  name,
  setUpBy,
  evidence: { file: '/proc/iomem', value: '0 bytes' },
});
const found = (findings: readonly Finding[], id: string) => findings.find((finding) => finding.id === id);
const bad = (findings: readonly Finding[]) =>
  findings.filter(({ severity }) => severity === 'warning' || severity === 'error');

test('a healthy host has nothing to mend', () => {
  expect(bad(diagnose(facts()))).toEqual([]);
});

test.each<[string, Facts, string, string, string]>([
  ['a kernel without DAMON', facts({ nrKdamonds: undefined }), 'damon', 'error', 'use a kernel from 5.18'],
  ['no tracepoints', facts({ damonEvents: undefined }), 'trace', 'error', 'mount -t tracefs'],
  ['DAMON_RECLAIM', facts({ damonReclaim: 'Y' }), 'damon-reclaim', 'error', 'echo N > /damonReclaim'],
  ['DAMON_LRU_SORT', facts({ damonLruSort: 'Y' }), 'damon-lru-sort', 'error', 'echo N > /damonLruSort'],
  ['DAMON_STAT', facts({ damonStat: 'Y' }), 'damon-stat', 'info', 'echo N > /damonStat'],
  ['no migrate actions', facts({}, { features: withoutMigration }), 'kernel', 'info', ''],
  ['features that nobody tried', facts({}, { features: undefined }), 'kernel', 'unseen', 'systemctl start tierd'],
  [
    'a daemon without capabilities',
    facts({ ownStatus: 'CapEff:\t0000000000800000' }, { looker: 'daemon' }),
    'capabilities',
    'error',
    'CapabilityBoundingSet=CAP_SYS_ADMIN',
  ],
  [
    'a kdamond of somebody else',
    facts({}, { kdamonds: [{ index: 3, pid: 77, operations: 'vaddr', actions: ['pageout'] }] }),
    'kdamonds',
    'error',
    'echo off > /sys/kernel/mm/damon/admin/kdamonds/3/state',
  ],
  ['NUMA balancing', facts({ numaBalancing: '2' }), 'numa-balancing', 'warning', 'sysctl kernel.numa_balancing=0'],
  [
    'demotion by reclaim',
    facts({ demotionEnabled: 'true' }),
    'kernel-demotion',
    'info',
    'echo false > /demotionEnabled',
  ],
  ['zone reclaim', facts({ zoneReclaimMode: '1' }), 'zone-reclaim', 'warning', 'sysctl vm.zone_reclaim_mode=0'],
  ['huge pages always', facts({ transparentHugePages: '[always] madvise never' }), 'thp', 'info', 'echo madvise'],
  ['reserved huge pages', facts({ hugePages: '128' }), 'hugetlb', 'info', ''],
  [
    'one tier',
    facts({}, { topology: machine([{ nodeId: 0, tier: 0, totalMiB: 64 }]) }),
    'tiers',
    'error',
    'tiers: [[0], [1]]',
  ],
  ['odd files of the nodes', facts({}, { topology: 'meminfo is odd' }), 'tiers', 'error', ''],
  [
    'an unused CXL device',
    facts({}, { unusedCxlDevices: [withoutRegion('mem0')] }),
    'cxl-no-region',
    'warning',
    'cxl create-region',
  ],
  [
    'a region not committed',
    facts({}, { uncommittedRegions: ['region0'] }),
    'cxl-uncommitted',
    'warning',
    'cxl enable-region region0',
  ],
  [
    'devdax mode',
    facts({}, { daxDevices: [{ name: 'dax0.0', driver: 'device_dax' }] }),
    'dax-mode',
    'warning',
    'daxctl reconfigure-device --mode=system-ram --no-online --force dax0.0',
  ],
  [
    'devdax mode where new memory waits to be brought online',
    facts({ autoOnline: 'offline' }, { daxDevices: [{ name: 'dax0.0', driver: 'device_dax' }] }),
    'dax-mode',
    'warning',
    'daxctl reconfigure-device --mode=system-ram dax0.0',
  ],
  [
    'a dax device without a driver',
    facts({}, { daxDevices: [{ name: 'dax1.0' }] }),
    'dax-mode',
    'warning',
    'modprobe kmem',
  ],
  [
    'offline blocks',
    facts({}, { offlineBlocks: new Map([[1, [32, 33]]]) }),
    'offline-blocks',
    'warning',
    'grep -lx offline /sys/devices/system/node/node1/memory*/state',
  ],
  ['cgroups of version 1', facts({ cgroupControllers: undefined }), 'cgroups', 'info', 'unified_cgroup_hierarchy'],
  ['cgroups without the memory controller', facts({ cgroupControllers: 'cpu io' }), 'cgroups', 'info', 'cgroup_enable'],
])('%s is found, with evidence and the way out', (_what, seen, id, severity, remedy) => {
  const finding = found(diagnose(seen), id);
  expect(finding?.severity).toBe(severity);
  expect(finding?.remedy ?? '').toContain(remedy);
  expect(found(diagnose(facts()), id)?.severity ?? 'ok').toBe('ok');
});

test("tierd's own kdamonds are not somebody else's", () => {
  const kdamonds = [{ index: 0, pid: 77, operations: 'paddr', actions: ['migrate_hot'] }];
  expect(found(diagnose(facts({}, { kdamonds, ownKdamondPids: [77] })), 'kdamonds')?.severity).toBe('ok');
});

test.each(['4.19.0', '6.12.1', '7.3.0'])('the version %s says nothing of what DAMON can do', (kernelRelease) => {
  const severity = (others: Partial<Facts>) => found(diagnose(facts({ kernelRelease }, others)), 'kernel')?.severity;
  expect(severity({})).toBe('ok');
  expect(severity({ features: withoutMigration })).toBe('info');
  expect(severity({ features: undefined })).toBe('unseen');
  expect(found(diagnose(facts({ kernelRelease, nrKdamonds: undefined })), 'kernel')).toBeUndefined();
});

test('what DAMON can do is listed', () => {
  const listed = new Map(found(diagnose(facts()), 'kernel')?.evidence.map(({ file, value }) => [file, value]));
  const scheme = '/sys/kernel/mm/damon/admin/kdamonds/N/contexts/0/schemes/N';
  expect(Object.fromEntries(listed)).toEqual({
    '/kernelRelease': '6.12.1',
    [`${scheme}/action`]: 'migrate_hot, migrate_cold, stat',
    [`${scheme}/filters`]: 'memcg, young',
    [`${scheme}/quotas/goals/N/target_metric`]: 'user_input, node_mem_used_bp',
    [`${scheme}/quotas/effective_bytes`]: '(there)',
    [`${scheme}/stats/max_nr_snapshots`]: '(there)',
    [`${scheme}/tried_regions`]: '(there)',
    '/sys/kernel/tracing/events/damon': 'damon_aggregated, damos_before_apply',
  });
});

test('the daemon lacks what it lacks, by name', () => {
  const lacking = facts({ ownStatus: 'CapEff:\t0000000000a00000' }, { looker: 'daemon' });
  expect(found(diagnose(lacking), 'capabilities')?.title).toBe(
    'The daemon lacks CAP_SYS_PTRACE (to see the memory of other processes), CAP_DAC_READ_SEARCH (to read the page maps of other users)',
  );
});

test('CXL memory that the kernel may use for itself', () => {
  const topology = machine([
    { nodeId: 0, tier: 0, totalMiB: 1024 },
    { nodeId: 1, tier: 1, totalMiB: 1024 },
  ]);
  const cxl = {
    ...topology,
    nodes: topology.nodes.map((node) => ({ ...node, kind: node.nodeId === 1 ? 'cxl' : 'dram' }) as const),
  };
  const zones = [
    { nodeId: 0, movableBytes: 0, otherBytes: 2 ** 30 },
    { nodeId: 1, movableBytes: 0, otherBytes: 2 ** 29 },
  ];
  expect(found(diagnose(facts({}, { topology: cxl, zones })), 'not-movable')?.title).toContain('512 MiB of node 1');
  const movable = [{ nodeId: 1, movableBytes: 2 ** 29, otherBytes: 0 }];
  expect(found(diagnose(facts({}, { topology: cxl, zones: movable })), 'not-movable')).toBeUndefined();
});

test('what a user may not see is not called well', () => {
  const denied = (file: string) => ({ state: 'unreadable', file, errno: 'EACCES' }) as const;
  const seen = facts({ ownStatus: 'CapEff:\t0000000000000000' }, { kdamonds: undefined });
  const hidden = { nrKdamonds: denied('/n'), damonEvents: denied('/e'), damonReclaim: denied('/r') };
  const findings = diagnose({ ...seen, files: { ...seen.files, ...hidden } });
  for (const id of ['damon', 'kdamonds', 'trace', 'damon-modules', 'capabilities']) {
    expect(found(findings, id)).toMatchObject({
      severity: 'unseen',
      remedy: expect.stringContaining('sudo tierd doctor'),
    });
  }
});

test('the worst comes first', () => {
  const findings = diagnose(facts({ numaBalancing: '1', damonReclaim: 'Y', hugePages: '1' }));
  expect(findings.slice(0, 3).map(({ severity }) => severity)).toEqual(['error', 'warning', 'info']);
  expect(worstOf(findings)).toBe('error');
  expect(worstOf([])).toBe('ok');
  expect(worstFirst(findings)).toEqual(findings);
});

test('what works against tierd while it runs is told in its log', () => {
  expect(conflictsOf(facts())).toEqual([]);
  expect(conflictsOf(facts({ numaBalancing: '1' }))).toEqual([
    'NUMA balancing is on and moves memory on its own, whatever the target (/numaBalancing is 1): sysctl kernel.numa_balancing=0',
  ]);
});

describe('recorded hosts', () => {
  test('6.12 with a CXL expander: DAMON, two tiers', async () => {
    const findings = diagnose(await gatherFacts(recorded('6.12-cxl'), nothingKnown, 'command', {}));
    expect(found(findings, 'tiers')).toMatchObject({ severity: 'ok' });
    expect(found(findings, 'cxl-no-region')).toBeUndefined();
    expect(found(findings, 'offline-blocks')).toBeUndefined();
  });

  test('6.1 without DAMON', async () => {
    const findings = diagnose(await gatherFacts(recorded('6.1-numa2'), nothingKnown, 'command', {}));
    expect(found(findings, 'damon')).toMatchObject({ severity: 'error' });
  });
});

describe('without a daemon', () => {
  const none = undefined;

  test('schemes that are there tell what DAMON can do', async () => {
    const known = await knownFromReceipt(recorded('7.3-damon'), none);
    expect(known).toMatchObject({ ownKdamondPids: [], features: { complete: false, migrateActions: true } });
  });

  test('without any scheme nothing is known', async () => {
    expect(await knownFromReceipt(recorded('7.3-cxl'), none)).toEqual(nothingKnown);
    expect(await knownFromReceipt(recorded('6.1-numa2'), none)).toEqual(nothingKnown);
  });
});

describe('a host with CXL memory that is not used', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'tierd-doctor-'));
  });
  afterEach(() => rm(root, { recursive: true }));
  const file = async (path: string, text: string) => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  };

  test('is seen from its files', async () => {
    await file('/sys/bus/cxl/devices/mem0/ram/size', '0x40000000\n');
    await file('/sys/bus/cxl/devices/region0/commit', '0\n');
    await file('/sys/devices/system/node/online', '0\n');
    await file('/sys/devices/system/node/node0/memory7/x', '');
    await file('/sys/devices/system/memory/memory7/state', 'offline\n');
    await mkdir(join(root, '/sys/bus/dax/drivers/device_dax'), { recursive: true });
    await mkdir(join(root, '/sys/bus/dax/devices/dax0.0'), { recursive: true });
    await symlink('../../drivers/device_dax', join(root, '/sys/bus/dax/devices/dax0.0/driver'));
    const seen = await gatherFacts(new HostSysFs(root), nothingKnown, 'command', {});
    expect(seen).toMatchObject({
      unusedCxlDevices: [{ name: 'mem0', setUpBy: 'unknown' }],
      uncommittedRegions: ['region0'],
      daxDevices: [{ name: 'dax0.0', driver: 'device_dax' }],
      offlineBlocks: new Map([[0, [7]]]),
      topology: expect.any(String),
    });
  });
});

test('the text is no wider than a terminal, and ends with a count', () => {
  const findings = diagnose(
    facts(
      { numaBalancing: '2', ownStatus: 'CapEff:\t0' },
      { unusedCxlDevices: [withoutRegion('mem0'), withoutRegion('mem1')] },
    ),
  );
  const text = diagnosisText({ worst: worstOf(findings), findings });
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(text).toContain('-> sysctl kernel.numa_balancing=0');
  expect(text.trimEnd()).toMatch(/\n0 errors, 3 warnings, 1 hint, 1 thing not seen$/);
});
