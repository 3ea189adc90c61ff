import { setTimeout as sleep } from 'node:timers/promises';
import type { Guest } from '../guest/guest.ts';
import type { GuestProcess } from '../guest/guest-process.ts';
import { runHost } from '../guest/host-process.ts';
import type { Progress } from '../guest/progress.ts';
import { scenarios } from '../guest/scenarios.ts';
import type { Stage } from '../guest/stage.ts';
import type { TierdProcess } from '../guest/tierd-in-guest.ts';
import { cpuOf, kdamondPids } from './guest-cpu.ts';
import { IDLE_NODE } from './native-cost.ts';
import { kibOf, NO_TIME } from './proc-text.ts';
import type { DaemonCostResult, SnapshotResult } from './results.ts';
import { timeGuestSnapshots } from './snapshot-time.ts';

const SECONDS = 60;
const SETTLE_LIMIT_MS = 90_000;

interface Monitoring {
  readonly samplingIntervalMs: number;
  readonly aggregationIntervalMs: number;
  readonly minRegions: number;
  readonly maxRegions: number;
}

/** On each of two nodes. DAMON keeps somewhat more than the fewest. */
const THOUSAND: Monitoring = { samplingIntervalMs: 50, aggregationIntervalMs: 500, minRegions: 400, maxRegions: 800 };
/** An emulated CPU cannot look at so many regions as often. */
const TEN_THOUSAND: Monitoring = {
  samplingIntervalMs: 200,
  aggregationIntervalMs: 2000,
  minRegions: 5000,
  maxRegions: 10_000,
};

interface GuestCost {
  readonly cost: DaemonCostResult;
  readonly snapshots: readonly SnapshotResult[];
}

/** What the daemon takes at rest over about 1,000 regions, and how long snapshots of 1,000 and 10,000 take. */
export async function measureInGuest(stage: Stage, progress: Progress): Promise<GuestCost> {
  try {
    // Hot and cold memory, all of it where it belongs.
    await stage.place(scenarios.target);
    const small = await startWith(stage, THOUSAND, progress);
    progress(`${stage.guest.kernel}: the daemon at rest over ${await regionsOf(small)} regions, ${SECONDS} s`);
    const cost = await costOf(stage.guest, small);
    const snapshots = [...(await timeGuestSnapshots(stage.guest, await regionsOf(small)))];
    await small.stop();
    const large = await startWith(stage, TEN_THOUSAND, progress);
    snapshots.push(...(await timeGuestSnapshots(stage.guest, await regionsOf(large))));
    return { cost, snapshots };
  } finally {
    if (stage.guest.running) await stage.clear();
  }
}

/** Starts a daemon and waits until it has nothing to move and as many regions as asked for. */
async function startWith(stage: Stage, monitoring: Monitoring, progress: Progress): Promise<TierdProcess> {
  const tierd = await stage.startTierd({ monitoring });
  const wanted = 2 * monitoring.minRegions * 0.95;
  for (const deadline = Date.now() + SETTLE_LIMIT_MS; ; await sleep(2_000)) {
    const { state } = await tierd.api.status();
    const regions = await regionsOf(tierd);
    if (state === 'settled' && regions >= wanted) break;
    if (Date.now() > deadline) {
      progress(`${stage.guest.kernel}: going on although the daemon is ${state} with ${regions} regions`);
      break;
    }
  }
  return tierd;
}

async function regionsOf(tierd: TierdProcess): Promise<number> {
  return (await tierd.api.schemes()).kdamonds.reduce((sum, { nrRegions }) => sum + nrRegions, 0);
}

async function costOf(guest: Guest, tierd: TierdProcess): Promise<DaemonCostResult> {
  const pid = String(tierd.pid);
  const kdamonds = await kdamondPids(guest);
  const idle = guest.spawn(`echo $$; exec node -e '${IDLE_NODE}'`);
  try {
    const idlePid = await idle.waitForLine((line) => /^\d+$/.test(line), 30_000);
    // Its start is not part of being idle.
    await sleep(5_000);
    const before = await cpuOf(guest, [pid, idlePid, ...kdamonds]);
    await sleep(SECONDS * 1000);
    const after = await cpuOf(guest, [pid, idlePid, ...kdamonds]);
    const elapsed = after.uptime - before.uptime;
    const shares = after.times.map(({ user, system }, index) => ({
      user: (user - (before.times[index]?.user ?? 0)) / elapsed,
      system: (system - (before.times[index]?.system ?? 0)) / elapsed,
    }));
    const [daemon = NO_TIME, bareNode = NO_TIME, ...kdamondShares] = shares;
    const own = await memoryOf(guest, pid);
    const bare = await memoryOf(guest, idlePid);
    return {
      kernel: guest.kernel,
      regions: await regionsOf(tierd),
      samplingIntervalMs: THOUSAND.samplingIntervalMs,
      aggregationIntervalMs: THOUSAND.aggregationIntervalMs,
      seconds: Math.round(elapsed),
      nodeVersion: (await guest.check('node --version')).trim(),
      residentMiB: own.residentMiB,
      privateMiB: own.privateMiB,
      idleNodeResidentMiB: bare.residentMiB,
      idleNodePrivateMiB: bare.privateMiB,
      daemonCpu: daemon.user + daemon.system,
      daemonKernelCpu: daemon.system,
      idleNodeCpu: bareNode.user + bareNode.system,
      kdamondCpu: kdamondShares.reduce((sum, { user, system }) => sum + user + system, 0),
      emulationFactor: await emulationFactor(guest),
    };
  } finally {
    await stopQuietly(idle);
  }
}

/** Parsing made-up lines, as the daemon does most; prints milliseconds of CPU. */
const YARDSTICK = `const text = Array.from({ length: 2000 }, (_, i) => i * 4096 + "-" + i * 8192 + ": " + i % 20).join("\\n");
let sum = 0;
for (let round = 0; round < 60; round++)
  for (const line of text.split("\\n")) for (const part of line.split(/[-: ]+/)) sum += Number(part);
const { user, system } = process.cpuUsage();
console.log((user + system) / 1000, sum);`;

/** How much slower a short-lived Node program is in the guest than here: a rough measure for what shares would be on hardware. */
async function emulationFactor(guest: Guest): Promise<number> {
  const there = Number.parseFloat(await guest.check('node -', { stdin: YARDSTICK, timeoutMs: 180_000 }));
  const here = Number.parseFloat((await runHost(process.execPath, ['-e', YARDSTICK])).stdout);
  return there / here;
}

async function stopQuietly(child: GuestProcess): Promise<void> {
  await child.stop().catch(() => undefined);
}

async function memoryOf(guest: Guest, pid: string) {
  const text = await guest.check(`cat /proc/${pid}/status /proc/${pid}/smaps_rollup`);
  return {
    residentMiB: kibOf(text, 'VmRSS') / 1024,
    privateMiB: (kibOf(text, 'Private_Clean') + kibOf(text, 'Private_Dirty')) / 1024,
  };
}
