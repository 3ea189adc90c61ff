import { spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';

/** Puts pages into a mapping that is reserved and otherwise empty, as databases and sanitizers reserve them. */
const PROGRAM = `
const koffi = require('koffi');
const [size, ...offsets] = process.argv.slice(1).map(Number);
const libc = koffi.load(null);
const mmap = libc.func('mmap', 'long', ['long', 'ulong', 'int', 'int', 'int', 'long']);
const address = Number(mmap(0, size, 3, 0x4022, -1, 0));
if (address <= 0) throw new Error('cannot map so much');
for (const offset of offsets) new Uint8Array(koffi.view(BigInt(address + offset), 1))[0] = 1;
console.log(address);
setInterval(() => undefined, 1e6);
`;

/** A process with a mapping of so many bytes in which only the pages at the offsets are in use. */
export async function startSparseProcess(
  bytes: number,
  offsets: readonly number[],
): Promise<{ readonly pid: number; readonly startPage: number; readonly kill: () => void }> {
  const child = spawn(process.execPath, ['-e', PROGRAM, String(bytes), ...offsets.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const address = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (text) => resolve(Number(text)));
    child.once('exit', () => reject(new Error('the process ended')));
  });
  if (child.pid === undefined) throw new Error('no pid');
  return { pid: child.pid, startPage: address / 4096, kill: () => void child.kill('SIGKILL') };
}
