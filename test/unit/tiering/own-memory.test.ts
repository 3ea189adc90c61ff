import { expect, test } from 'vitest';
import { SyscallError, SyscallsUnavailableError } from '../../../numa/syscalls/errors.ts';
import type { AddressArea, MemoryPolicies, MemoryPolicy } from '../../../numa/syscalls/memory-policy.ts';
import { hostMemoryPolicies } from '../../../numa/syscalls/memory-policy.ts';
import { HostSysFs } from '../../../numa/sysfs.ts';
import type { Topology } from '../../../numa/topology.ts';
import { keepOffFastTier } from '../../../tiering/own-memory.ts';
import { refusedCalls } from '../numa/syscalls/refused-calls.ts';
import { buildTree } from '../numa/tree.ts';

const EINVAL = 22;
const EFAULT = 14;

const refused = await refusedCalls();

/** A kernel that remembers policies; before 5.15 it does not know preferred-many. */
class FakePolicies implements MemoryPolicies {
  thread: MemoryPolicy = { mode: 'default', nodeIds: [] };
  readonly areas: (AddressArea & MemoryPolicy & { readonly move: boolean })[] = [];
  knowsMany = true;
  gone = 0;

  setForThread(policy: MemoryPolicy): void {
    if (policy.mode === 'preferred-many' && !this.knowsMany) throw new SyscallError('set_mempolicy', '', EINVAL);
    this.thread = policy;
  }

  ofThread(): MemoryPolicy {
    return this.thread;
  }

  async setForArea(area: AddressArea, policy: MemoryPolicy, move = false): Promise<void> {
    if (area.address === this.gone) throw new SyscallError('mbind', '', EFAULT);
    this.areas.push({ ...area, ...policy, move });
  }
}

const topology: Topology = {
  nodes: [],
  tierSource: 'kernel',
  paths: [],
  tiers: [
    { rank: 0, nodeIds: [0, 1] },
    { rank: 1, nodeIds: [2, 3] },
    { rank: 2, nodeIds: [4] },
  ],
};

async function keep(policies: FakePolicies | Error, of: Topology = topology): Promise<string[]> {
  const tree = await buildTree({ nodes: [{ id: 0, cpus: '0', blocks: [0] }] });
  await tree.write(
    '/proc/self/maps',
    '00001000-00002000 rw-p 00000000 00:00 0 [heap]\n00004000-00007000 rw-p 00000000 00:00 0',
  );
  const log: string[] = [];
  const note = (_: object, message: string) => void log.push(message);
  await keepOffFastTier(of, {
    sysfs: tree.sysfs,
    logger: { debug: note, info: note, warn: note, error: note },
    loadPolicies: async () => {
      if (policies instanceof Error) throw policies;
      return policies;
    },
  });
  return log;
}

test('the thread prefers all slower nodes, and so does all the memory there is, which is moved', async () => {
  const policies = new FakePolicies();
  const log = await keep(policies);
  const policy = { mode: 'preferred-many', nodeIds: [2, 3, 4] };
  expect(policies.thread).toEqual(policy);
  expect(policies.areas).toEqual([
    { address: 0x1000, bytes: 0x1000, ...policy, move: true },
    { address: 0x4000, bytes: 0x3000, ...policy, move: true },
  ]);
  expect(log).toEqual(['own memory goes to nodes 2-4 as long as there is room']);
});

test('before Linux 5.15 it is the first node of the next tier', async () => {
  const policies = new FakePolicies();
  policies.knowsMany = false;
  await keep(policies);
  expect(policies.thread).toEqual({ mode: 'preferred', nodeIds: [2] });
  expect(policies.areas.every(({ mode }) => mode === 'preferred')).toBe(true);
});

test('memory that was given back meanwhile is passed over', async () => {
  const policies = new FakePolicies();
  policies.gone = 0x1000;
  await keep(policies);
  expect(policies.areas.map(({ address }) => address)).toEqual([0x4000]);
});

test('what cannot be done is a warning, not the end', async () => {
  expect(await keep(new SyscallsUnavailableError('koffi is not there'))).toEqual([
    'own memory cannot be kept off the fast tier: koffi is not there',
  ]);
  const fails = new FakePolicies();
  fails.setForThread = () => {
    throw new SyscallError('set_mempolicy', 'bind', 1);
  };
  expect(await keep(fails)).toEqual(['own memory cannot be kept off the fast tier: set_mempolicy(bind): EPERM']);
});

test.skipIf(refused.length > 0)('on the running kernel this thread prefers the slow nodes', async () => {
  const policies = await hostMemoryPolicies();
  const log: string[] = [];
  const note = (_: object, message: string) => void log.push(message);
  const onlyNodeIsSlow = { ...topology, tiers: [{ rank: 1, nodeIds: [0] }] };
  try {
    const logger = { debug: note, info: note, warn: note, error: note };
    await keepOffFastTier(onlyNodeIsSlow, { sysfs: new HostSysFs(), logger });
    expect(log).toEqual(['own memory goes to node 0 as long as there is room']);
    expect(policies.ofThread()).toEqual({ mode: 'preferred-many', nodeIds: [0] });
  } finally {
    policies.setForThread({ mode: 'default', nodeIds: [] });
  }
});

test('without a slower tier nothing is done', async () => {
  const policies = new FakePolicies();
  await keep(policies, { ...topology, tiers: topology.tiers.slice(0, 1) });
  expect(policies.thread.mode).toBe('default');
});
