import { setTimeout as sleep } from 'node:timers/promises';
import { GuestError } from './errors.ts';
import type { CommandRunner } from './guest-process.ts';
import { tail } from './host-process.ts';

const modules = 'cxl_acpi cxl_pci cxl_mem cxl_port dax_cxl kmem device_dax';

/** Makes a region of the guest's CXL memory device and waits until node 1 has its memory. */
export async function bringUpCxlMemory(guest: CommandRunner, onlineMovable: boolean): Promise<void> {
  if (onlineMovable) await guest.check('echo online_movable >/sys/devices/system/memory/auto_online_blocks');
  await guest.check(`modprobe -a ${modules}`, { timeoutMs: 120_000 });
  await waitFor(guest, 'test -e /sys/bus/cxl/devices/mem0 && test -e /sys/bus/cxl/devices/decoder0.0', 'the device');
  const created = await guest.run('cxl create-region -m -t ram -d decoder0.0 -w 1 mem0', { timeoutMs: 120_000 });
  if (created.exitCode !== 0) {
    const kernelLog = await guest.run('dmesg | tail -n 15');
    throw new GuestError('CXL_FAILED', `cxl create-region failed: ${tail(created.stderr, 8)}\n${kernelLog.stdout}`);
  }
  await waitFor(
    guest,
    '! grep -lx offline /sys/devices/system/node/node1/memory*/state && test -e /sys/devices/system/node/node1',
    'its memory',
  );
}

async function waitFor(guest: CommandRunner, condition: string, what: string): Promise<void> {
  const deadline = Date.now() + 120_000;
  while ((await guest.run(condition)).exitCode !== 0) {
    if (Date.now() > deadline) {
      const kernelLog = await guest.run('dmesg | tail -n 15');
      throw new GuestError(
        'CXL_FAILED',
        `The guest's kernel did not bring up ${what} of the CXL expander:\n${kernelLog.stdout}`,
      );
    }
    await sleep(250);
  }
}
