import { describe, expect, test } from 'vitest';
import { SyscallError } from '../../../../numa/syscalls/errors.ts';
import { mapMemory } from '../../../../numa/syscalls/mapped-memory.ts';
import { hostMemoryPolicies } from '../../../../numa/syscalls/memory-policy.ts';
import { hostMovePages } from '../../../../numa/syscalls/move-pages.ts';
import { refusedCalls } from './refused-calls.ts';

const MIB = 2 ** 20;

/** Not on this host: it has far fewer. */
const NO_SUCH_NODE = 1000;

const refused = await refusedCalls();
const policies = await hostMemoryPolicies();

test.each([-1, 1024, 0.5])('%d is no node id', (nodeId) => {
  expect(() => policies.setForThread({ mode: 'bind', nodeIds: [nodeId] })).toThrow(RangeError);
});

describe.skipIf(refused.length > 0)('memory policies of the running kernel', () => {
  test.each([
    { mode: 'preferred', nodeIds: [0] },
    { mode: 'bind', nodeIds: [0] },
    { mode: 'interleave', nodeIds: [0] },
    { mode: 'preferred-many', nodeIds: [0] },
    { mode: 'local', nodeIds: [] },
  ] as const)("a thread's policy is $mode until it is the default again", (policy) => {
    policies.setForThread(policy);
    expect(policies.ofThread()).toEqual(policy);
    policies.setForThread({ mode: 'default', nodeIds: [] });
    expect(policies.ofThread()).toEqual({ mode: 'default', nodeIds: [] });
  });

  test('a node that is not there is an error that names call, arguments and errno, and changes nothing', () => {
    const set = () => policies.setForThread({ mode: 'bind', nodeIds: [NO_SUCH_NODE] });
    expect(set).toThrow(SyscallError);
    expect(set).toThrow('set_mempolicy(bind of nodes 1000): EINVAL');
    expect(policies.ofThread().mode).toBe('default');
  });

  test('memory bound to a node comes from that node', async () => {
    const memory = await mapMemory(4 * MIB);
    await policies.setForArea(memory, { mode: 'bind', nodeIds: [0] });
    new Uint8Array(memory.buffer).fill(1);
    const movePages = await hostMovePages();
    const pages = Float64Array.from({ length: memory.bytes / 4096 }, (_, index) => memory.address / 4096 + index);
    expect(new Set(await movePages({ pid: process.pid, pages }))).toEqual(new Set([0]));
  });

  test('memory in use can be bound and moved', async () => {
    const memory = await mapMemory(4 * MIB);
    const bytes = new Uint8Array(memory.buffer).fill(7);
    await policies.setForArea(memory, { mode: 'preferred-many', nodeIds: [0] }, true);
    expect(bytes.every((byte) => byte === 7)).toBe(true);
  });

  test('an area with a node that is not there, or that is not mapped, is such an error too', async () => {
    const memory = await mapMemory(MIB);
    const toNowhere = policies.setForArea(memory, { mode: 'bind', nodeIds: [NO_SUCH_NODE] });
    await expect(toNowhere).rejects.toMatchObject({ code: 'TIERD_SYSCALL', call: 'mbind', errno: 'EINVAL' });
    await expect(toNowhere).rejects.toThrow(
      `mbind(1048576 bytes at ${memory.address.toString(16)}, bind of nodes 1000): EINVAL`,
    );
    const unmapped = policies.setForArea({ address: 0, bytes: 4096 }, { mode: 'bind', nodeIds: [0] });
    await expect(unmapped).rejects.toMatchObject({ call: 'mbind', errno: 'EFAULT' });
  });
});
