import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Asks the daemon one resource after the other at a steady rate, and prints how long each answer took; a program of its own, for guests. */

const [socketPath = '', seconds = '60', everyMs = '100', ...paths] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Milliseconds until the whole answer was there. Throws when it is not 200. */
async function timeOf(path: string): Promise<number> {
  const since = performance.now();
  await new Promise<void>((resolve, reject) => {
    const asking = request({ agent, socketPath, path, headers: { host: 'tierd' } }, (response) => {
      response.on('data', () => undefined);
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`${path}: status ${response.statusCode}`));
      });
    });
    asking.on('error', reject);
    asking.end();
  });
  return performance.now() - since;
}

const times = new Map<string, number[]>(paths.map((path) => [path, []]));
const began = performance.now();
for (let turn = 0; performance.now() - began < Number(seconds) * 1000; turn++) {
  const path = paths[turn % paths.length] ?? '';
  const ms = await timeOf(path);
  // The first answer of each is compiled while it is made.
  if (turn >= paths.length) times.get(path)?.push(ms);
  await sleep(Math.max(0, began + (turn + 1) * Number(everyMs) - performance.now()));
}
process.stdout.write(`${JSON.stringify(Object.fromEntries(times))}\n`);
