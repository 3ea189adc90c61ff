import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../../scripts/bundle.ts';
import { kdamondPids, makeKdamondByHand, removeKdamonds, switchKdamond } from './damon-by-hand.ts';
import { eventually } from './eventually.ts';
import { anonymousPages } from './guest-memory.ts';
import { ONCE } from './safety.ts';
import { fastNode, slowNode } from './scenarios.ts';
import type { Stage } from './stage.ts';
import { TierdService } from './tierd-in-guest.ts';

const aggregationSeconds = 5;
/** An emulated machine may stall for some seconds. */
const watchdogSeconds = 10;
const tokenFile = '/etc/tierd/token';

/** What systemd knows of the daemon, and what it does with it. The daemon stays installed: these tests come last in a guest. */
export function serviceLifeTests(stage: () => Stage): void {
  it('tells what it waits for, and is ready only when all memory was seen once', async () => {
    const { guest } = stage();
    const service = await TierdService.install(guest);
    await service.configure({
      waitForDamon: true,
      ownMemory: 'slow',
      monitoring: { samplingIntervalMs: 50, aggregationIntervalMs: aggregationSeconds * 1000 },
    });
    await makeKdamondByHand(guest);
    await switchKdamond(guest, 'on');
    const [foreignPid] = await kdamondPids(guest);
    try {
      await guest.check('systemctl start --no-block tierd');
      await stage().explain(async () => {
        await eventually('systemd knows what it waits for', 60_000, async () =>
          (await service.property('StatusText')).startsWith(`waiting for DAMON: kdamond 0 (pid ${foreignPid}, paddr`),
        );
        expect(await service.property('ActiveState')).toBe('activating');
        const pages = await anonymousPages(guest, Number(await service.property('MainPID')));
        expect(pages(slowNode)).toBeGreaterThan(pages(fastNode));

        await switchKdamond(guest, 'off');
        const texts = new Set<string>();
        await eventually('it is ready', 90_000, async () => {
          texts.add(await service.property('StatusText'));
          const state = await service.property('ActiveState');
          expect(['activating', 'active']).toContain(state);
          return state === 'active';
        });
        expect([...texts]).toContain('starting: waiting for the first snapshot');
        const log = await service.log();
        const timeOf = (start: string) => log.find(({ message }) => message.startsWith(start))?.time ?? Number.NaN;
        // The engine is chosen before the first kdamond is started.
        expect(timeOf('ready') - timeOf('engine damos')).toBeGreaterThanOrEqual(aggregationSeconds);
        expect((await kdamondPids(guest)).length).toBe(2);
        const complaints = log.filter(({ level }) => level >= 40).map(({ message }) => message);
        expect(complaints).toEqual([expect.stringMatching(/^waiting for DAMON: /)]);
      });
    } finally {
      await guest.run('systemctl stop tierd');
      await service.close();
      if ((await kdamondPids(guest)).length > 0) await switchKdamond(guest, 'off');
      await removeKdamonds(guest);
    }
  }, 240_000);

  it('when it hangs it is killed by the watchdog and started again, and goes on with its kdamonds', {
    ...ONCE,
    timeout: 240_000,
  }, async () => {
    const { guest } = stage();
    const service = await TierdService.install(guest);
    await service.configure({});
    await service.dropIn('watchdog', `[Service]\nWatchdogSec=${watchdogSeconds}\n`);
    try {
      await guest.check('systemctl start tierd', { timeoutMs: 120_000 });
      await stage().explain(async () => {
        const pids = await kdamondPids(guest);
        expect(pids).toHaveLength(2);
        const pid = await service.property('MainPID');
        const stoppedTime = Number(await guest.check(`kill -STOP ${pid}; date +%s.%N`));
        await service.waitForSuccessor(pid);
        expect(await service.property('NRestarts')).toBe('1');
        expect(await kdamondPids(guest)).toEqual(pids);
        const journal = await guest.check('journalctl --no-pager -o short-unix -u tierd');
        const [timeout = ''] = journal
          .split('\n')
          .filter((line) => line.includes('Watchdog timeout'))
          .slice(-1);
        const seconds = Number.parseFloat(timeout) - stoppedTime;
        expect(seconds).toBeGreaterThan(0);
        expect(seconds).toBeLessThanOrEqual(watchdogSeconds + 5);
        const { kdamonds } = await service.api.schemes();
        expect(kdamonds.map((kdamond) => kdamond.pid)).toEqual(pids);
      });
    } finally {
      await guest.run('systemctl stop tierd');
      await service.close();
      await service.removeDropIn('watchdog');
    }
  });

  it('answers on a loopback port to whoever has the token, with the drop-in of the examples', {
    ...ONCE,
    timeout: 180_000,
  }, async () => {
    const { guest } = stage();
    const port = 8642;
    const token = 'b7'.repeat(20);
    const service = await TierdService.install(guest);
    await guest.check(`umask 077; cat >${tokenFile}`, { stdin: `${token}\n` });
    await service.configure({ api: { tcpPort: port } });
    await service.dropIn('tcp', await readFile(join(ROOT, 'examples/systemd/tcp.conf'), 'utf8'));
    try {
      await guest.check('systemctl start tierd', { timeoutMs: 120_000 });
      await stage().explain(async () => {
        const url = `http://127.0.0.1:${port}/v1/status`;
        const answer = async (...headers: readonly string[]) => {
          const given = headers.map((header) => `-H '${header}'`).join(' ');
          return guest.check(`curl -sS -m 20 -o /dev/null -w '%{http_code}' ${given} ${url}`);
        };
        const authorization = `Authorization: Bearer ${token}`;
        expect(await answer(authorization)).toBe('200');
        expect(await answer()).toBe('401');
        expect(await answer(authorization, 'Host: tierd.example')).toBe('421');
      });
    } finally {
      await guest.run(`systemctl stop tierd; rm -f ${tokenFile}`);
      await service.close();
      await service.removeDropIn('tcp');
    }
  });
}
