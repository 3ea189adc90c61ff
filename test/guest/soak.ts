import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { messageOf } from './errors.ts';
import type { Guest } from './guest.ts';
import { mib, slowNode } from './scenarios.ts';
import type { SoakSample } from './soak-verdict.ts';
import { judge } from './soak-verdict.ts';
import type { TierdProcess } from './tierd-in-guest.ts';
import { bootWithTierd, TierdProcess as Daemon } from './tierd-in-guest.ts';
import { startWorkload } from './workload/workload.ts';

const usage = `Lets the daemon work for long under changes of policy and processes that come and go, in a guest.

  npm run soak -- [--minutes 60] [--kernel 6.12] [--engine damos|move_pages]

Ends with 0 when its memory and its descriptors stayed flat and no change of the policy was lost.
`;

const sampleEveryMs = 10_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '60' },
      kernel: { type: 'string', default: '6.12' },
      engine: { type: 'string', default: 'auto' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const endMs = Number(values.minutes) * 60_000;
  const guest = await bootWithTierd({ kernel: values.kernel, topology: 'numa2' });
  try {
    const tierd = await Daemon.start(guest, { engine: values.engine });
    const stop = new AbortController();
    const churning = Promise.all([churn(guest, stop.signal), changePolicy(tierd, stop.signal)]);
    const samples: SoakSample[] = [];
    for (const startMs = Date.now(); Date.now() - startMs < endMs; await sleep(sampleEveryMs)) {
      samples.push(await sampleOf(tierd, (Date.now() - startMs) / 1000));
      const { seconds, residentBytes, openFds } = samples.at(-1) ?? { seconds: 0, residentBytes: 0, openFds: 0 };
      process.stdout.write(
        `${Math.round(seconds)} s: ${(residentBytes / mib).toFixed(1)} MiB resident, ${openFds} descriptors\n`,
      );
    }
    stop.abort();
    const [processes, changes] = await churning;
    const verdict = judge(samples);
    process.stdout.write(`${processes} processes came and went, ${changes} changes of the policy, none lost\n`);
    process.stdout.write(`${verdict.text}\n`);
    await tierd.stop();
    return verdict.isFlat ? 0 : 1;
  } finally {
    await guest.shutdown();
  }
}

/** Processes with hot memory come and go. Gives how many. */
async function churn(guest: Guest, signal: AbortSignal): Promise<number> {
  let count = 0;
  for (; !signal.aborted; count += 1) {
    const size = 20 + ((count * 37) % 80);
    const workload = await startWorkload(guest, { name: `churn-${count}`, hot: [{ mib: size, node: slowNode }] });
    await sleep(5_000 + ((count * 1_300) % 7_000));
    await workload.stop();
  }
  return count;
}

/** Sets a policy every second and looks whether it holds. Gives how many times; throws when one was lost. */
async function changePolicy({ api }: TierdProcess, signal: AbortSignal): Promise<number> {
  let count = 0;
  for (; !signal.aborted; count += 1) {
    const fastUtilization = Math.round((0.85 + (count % 10) / 100) * 100) / 100;
    await api.patchPolicy({ fastUtilization, dryRun: count % 30 === 29 });
    const held = await api.policy();
    if (held.fastUtilization !== fastUtilization)
      throw new Error(`${fastUtilization} was set, ${held.fastUtilization} holds`);
    await sleep(1_000);
  }
  return count;
}

async function sampleOf({ api }: TierdProcess, seconds: number): Promise<SoakSample> {
  const { text } = await api.send('GET', '/metrics');
  const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  return { seconds, residentBytes: value('process_resident_memory_bytes'), openFds: value('process_open_fds') };
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`soak: ${messageOf(error)}\n`);
    process.exitCode = 1;
  },
);
