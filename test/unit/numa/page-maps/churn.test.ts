import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { RefreshReport } from '../../../../numa/page-maps/page-maps.ts';
import { PageMaps } from '../../../../numa/page-maps/page-maps.ts';
import { HostSysFs } from '../../../../numa/sysfs.ts';

const CHURN_MS = 4_000;
/** Above all memory of a machine on which this runs. */
const everywhere = [{ start: 0, end: 2 ** 40 }];

/** CAP_SYS_ADMIN (bit 21) shows page frames. */
const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0';
const seesFrames = (Number.parseInt(capabilities.slice(-8), 16) & (1 << 21)) !== 0;

/** Maps and unmaps memory all the time, until it is told to hold still. */
const MAPPER = `
  const held = [];
  const change = setInterval(() => {
    held.push(Buffer.alloc(4 * 2 ** 20, held.length + 1));
    if (held.length > 8) held.splice(Math.floor(Math.random() * 8), 4);
    global.gc();
  }, 1);
  process.stdin.once('data', () => clearInterval(change));
  console.log('ready');
`;

/** Becomes another program hundreds of times a second, until there is a file named stop; and starts one that ends soon each time. */
const BECOMER = 'sleep 0.05 & [ -e stop ] && exec sleep 600; exec sh "$0"\n';

/** A leader of a process group that ends with the test. */
function start(command: string, args: readonly string[], cwd: string) {
  const child = spawn(command, args, { cwd, detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
  const { pid } = child;
  if (pid === undefined) throw new Error('no pid');
  onTestFinished(() => void process.kill(-pid, 'SIGKILL'));
  return { child, pid };
}

/** Processes of these groups at a moment; some will have ended by the time they are looked at. */
async function membersOf(groups: ReadonlySet<number>): Promise<ReadonlySet<number>> {
  const found = new Set<number>();
  for (const name of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    const [, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (groups.has(Number(group))) found.add(Number(name));
  }
  return found;
}

test.runIf(seesFrames)(
  'processes that exec, map, unmap and exit while page maps are read are tried again, and no error',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tierd-churn-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    await writeFile(join(folder, 'again.sh'), BECOMER);
    const mapper = start(process.execPath, ['--expose-gc', '-e', MAPPER], folder);
    await once(mapper.child.stdout, 'data');
    const becomer = start('sh', ['again.sh'], folder);
    const groups = new Set([mapper.pid, becomer.pid]);

    const pageMaps = new PageMaps({ sysfs: new HostSysFs(), pageBytes: 4096 });
    const refresh = async (): Promise<RefreshReport> =>
      pageMaps.refresh({
        wanted: everywhere,
        pids: await membersOf(groups),
        nowMs: performance.now(),
        maxAgeMs: 0,
        budgetMs: 10_000,
      });
    const known = () =>
      new Set(
        [...pageMaps.find(everywhere, { maxBytes: 2 ** 40 })].flatMap((run) => (run === undefined ? [] : [run.pid])),
      );
    const reasons = new Map<string, number>();
    const seen = new Set<number>();
    let rounds = 0;
    for (const untilMs = performance.now() + CHURN_MS; performance.now() < untilMs; rounds += 1) {
      for (const { reason } of (await refresh()).skipped) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      for (const pid of known()) seen.add(pid);
    }
    console.log(`${rounds} rounds, ${seen.size} processes seen, skipped ${JSON.stringify([...reasons])}`);
    expect(rounds).toBeGreaterThan(3);
    expect(reasons.get('exited')).toBeGreaterThan(0);
    expect([...reasons.keys()].filter((reason) => reason !== 'exited')).toEqual([]);

    // When they hold still, all of them is known.
    mapper.child.stdin.write('stop\n');
    await writeFile(join(folder, 'stop'), '');
    await expect
      .poll(async () => {
        const { skipped, isComplete } = await refresh();
        const now = known();
        return isComplete && skipped.length === 0 && now.has(mapper.pid) && now.has(becomer.pid);
      })
      .toBe(true);
  },
);
