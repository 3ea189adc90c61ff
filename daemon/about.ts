import { VERSION } from './version.ts';

/**
 * What a bug report needs to know of the machine, as JSON. A command of its own: systeminformation asks a dozen programs and
 * takes 11 MiB, which is nothing for a resident daemon.
 */
export async function about(): Promise<string> {
  const { cpu, mem, osInfo } = await import('systeminformation');
  const [processor, memory, system] = await Promise.all([cpu(), mem(), osInfo()]);
  const facts = {
    tierd: VERSION,
    node: process.version,
    distribution: `${system.distro} ${system.release}`.trim(),
    kernel: system.kernel,
    architecture: system.arch,
    cpu: `${processor.manufacturer} ${processor.brand}`.trim(),
    sockets: processor.processors,
    cores: processor.cores,
    memoryBytes: memory.total,
    swapBytes: memory.swaptotal,
  };
  return `${JSON.stringify(facts, undefined, 2)}\n`;
}
