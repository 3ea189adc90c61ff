import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import type { TopologyBody } from '../../api/views/topology-view.ts';
import { bundleInto, ROOT } from '../../scripts/bundle.ts';
import { ApiClient, asTopology } from './api-client.ts';
import { messageOf } from './errors.ts';
import { eventually } from './eventually.ts';
import type { BootOptions, ForwardedSocket, Guest } from './guest.ts';
import { bootGuest } from './guest.ts';
import type { GuestProcess } from './guest-process.ts';
import { tail } from './host-process.ts';
import { installWorkload } from './workload/workload.ts';

const socket = '/run/tierd/tierd.sock';
const dropIns = '/etc/systemd/system/tierd.service.d';

/** As the unit starts it: the environment and Node with its options. */
export const NODE_COMMAND = 'MALLOC_ARENA_MAX=1 node --max-semi-space-size=1 --v8-pool-size=1';

/** Pino's level of a warning. */
const warning = 40;

/** Boots a guest that has what `npm run build` leaves in dist/ as /opt/tierd, and the workload tool. */
export async function bootWithTierd(options: Omit<BootOptions, 'buildDir'>): Promise<Guest> {
  const directory = mkdtempSync(join(tmpdir(), 'tierd-build-'));
  try {
    await bundleInto(directory);
    const guest = await bootGuest({ ...options, buildDir: directory });
    try {
      await installWorkload(guest);
    } catch (error) {
      await guest.shutdown();
      throw error;
    }
    return guest;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The topology as tierd's discovery finds it in a guest, without a daemon (which needs a kernel that it can work on). */
export async function discoverInGuest(guest: Guest): Promise<TopologyBody> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    stdin: {
      resolveDir: ROOT,
      loader: 'ts',
      contents: `
        import { discoverTopology } from './numa/discover.ts';
        import { HostSysFs } from './numa/sysfs.ts';
        import { topologyView } from './api/views/topology-view.ts';
        console.log(JSON.stringify(topologyView(await discoverTopology(new HostSysFs()))));`,
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    logLevel: 'warning',
  });
  const script = outputFiles[0]?.text ?? '';
  const answer = await guest.check('cat >/root/discover.mjs && node /root/discover.mjs', { stdin: script });
  return asTopology({ status: 200, contentType: 'application/json', text: answer });
}

/** One line of the daemon's log. */
export interface LogEntry {
  /** Seconds since 1970, by the guest's clock. */
  readonly time: number;
  /** Pino's: 30 info, 40 warning, 50 error. */
  readonly level: number;
  readonly message: string;
  readonly text: string;
}

/** A daemon in a guest, however it was started. */
export abstract class Tierd {
  readonly guest: Guest;
  readonly api: ApiClient;
  /** By the guest's clock, when the daemon said that it is ready; 0 before. */
  readyTime = 0;

  protected constructor(guest: Guest, api: ApiClient) {
    this.guest = guest;
    this.api = api;
  }

  /** Its log so far. */
  abstract log(): Promise<readonly LogEntry[]>;

  /** Ends it as an operator would, and waits until DAMON has been put back. */
  abstract stop(): Promise<void>;

  /** Waits for a log line. */
  abstract waitForLog(matches: (entry: LogEntry) => boolean, timeoutMs: number): Promise<LogEntry>;

  async waitForReady(timeoutMs = 120_000): Promise<this> {
    this.readyTime = (await this.waitForLog(({ message }) => /^ready\b/.test(message), timeoutMs)).time;
    return this;
  }

  /** Log lines that warn or worse. */
  async complaints(): Promise<readonly string[]> {
    return (await this.log()).filter(({ level }) => level >= warning).map(({ text }) => text);
  }

  /** What a person wants to see when a test fails: state, decisions and the end of the log. */
  async describe(): Promise<string> {
    const status = await this.api
      .send('GET', '/v1/status?format=text')
      .then(({ text }) => text)
      .catch((error: unknown) => `no status: ${messageOf(error)}`);
    const log = (await this.log()).map(({ time, text }) => `${(time - this.readyTime).toFixed(1)} ${text}`);
    return `--- status of tierd\n${status}\n--- its log, seconds since it was ready\n${tail(log.join('\n'), 60)}`;
  }
}

export interface LaunchOptions {
  /** What an earlier daemon was told over REST still holds. */
  readonly keepsSettings?: boolean;
}

/** The daemon as a process of its own, with a configuration file of its own. */
export class TierdProcess extends Tierd {
  readonly #process: GuestProcess;
  readonly #socket: ForwardedSocket;

  private constructor(guest: Guest, child: GuestProcess, forwarded: ForwardedSocket) {
    super(guest, new ApiClient(forwarded.socketPath));
    this.#process = child;
    this.#socket = forwarded;
  }

  /** Starts it; `config` is what the configuration file has, `environment` assignments as in a shell. It is not ready yet. */
  static async launch(
    guest: Guest,
    config: object = {},
    environment = '',
    { keepsSettings = false }: LaunchOptions = {},
  ): Promise<TierdProcess> {
    const file = '/etc/tierd/tierd.yaml';
    // JSON is YAML too. What an earlier test has set over REST would go before it.
    const forget = keepsSettings ? 'true' : 'rm -f /var/lib/tierd/settings.json';
    await guest.check(`mkdir -p /etc/tierd && cat >${file} && ${forget}`, { stdin: JSON.stringify(config) });
    const forwarded = await guest.forwardSocket(socket);
    return new TierdProcess(
      guest,
      guest.spawn(`${environment} ${NODE_COMMAND} /opt/tierd/tierd.js run --config ${file}`),
      forwarded,
    );
  }

  /** Starts it and waits until it is ready. */
  static async start(guest: Guest, config: object = {}): Promise<TierdProcess> {
    const tierd = await TierdProcess.launch(guest, config);
    return tierd.waitForReady();
  }

  async log(): Promise<readonly LogEntry[]> {
    return this.#process.lines.map(parseEntry).filter((entry) => entry !== undefined);
  }

  async waitForLog(matches: (entry: LogEntry) => boolean, timeoutMs: number): Promise<LogEntry> {
    let found: LogEntry | undefined;
    await this.#process.waitForLine((line) => {
      const entry = parseEntry(line);
      if (entry === undefined || !matches(entry)) return false;
      found = entry;
      return true;
    }, timeoutMs);
    if (found === undefined) throw new Error('the line waited for is none of the log');
    return found;
  }

  /** What it wrote to its standard error. */
  get stderr(): string {
    return this.#process.stderr;
  }

  get exited(): boolean {
    return this.#process.exited;
  }

  /** In the guest, as its first log line tells. */
  get pid(): number {
    const start: unknown = JSON.parse(this.#process.lines[0] ?? '{}');
    if (typeof start !== 'object' || start === null || !('pid' in start)) throw new Error('tierd has not told its pid');
    return Number(start.pid);
  }

  /** Waits for its end; gives the exit code. */
  async exitCode(timeoutMs = 60_000): Promise<number> {
    const late = sleep(timeoutMs, undefined, { ref: false });
    const code = await Promise.race([this.#process.exitCode, late]);
    if (code === undefined) throw new Error(`tierd still runs after ${timeoutMs / 1000} s\n${await this.describe()}`);
    await this.#socket.close();
    return code;
  }

  async signal(name: 'TERM' | 'KILL' | 'STOP' | 'CONT'): Promise<void> {
    await this.guest.check(`kill -${name} ${this.pid}`);
  }

  async stop(): Promise<void> {
    if (this.exited) return;
    // A test may have failed while it stood still.
    await this.guest.check(`kill -TERM ${this.pid}; kill -CONT ${this.pid}`);
    const code = await this.exitCode().catch(async (error: unknown) => {
      // Else it would be in the way of each test after this one.
      await this.kill();
      throw error;
    });
    if (code !== 0) throw new Error(`tierd ended with ${code}: ${this.stderr}\n${await this.describe()}`);
  }

  /** Ends it in a way that it cannot notice. */
  async kill(): Promise<void> {
    await this.signal('KILL');
    await this.exitCode();
  }
}

function parseEntry(line: string): LogEntry | undefined {
  if (!line.startsWith('{')) return undefined;
  const entry: Record<string, unknown> = JSON.parse(line);
  const { time, level, msg, ...fields } = entry;
  const details = Object.keys(fields).length === 0 ? '' : ` ${JSON.stringify(fields)}`;
  const name = Number(level) >= 50 ? 'ERROR ' : Number(level) >= warning ? 'WARN ' : '';
  const message = `${msg}`;
  return { time: Number(time) / 1000, level: Number(level), message, text: `${name}${message}${details}` };
}

/** The daemon as the project's own systemd service. */
export class TierdService extends Tierd {
  readonly #socket: ForwardedSocket;

  private constructor(guest: Guest, forwarded: ForwardedSocket) {
    super(guest, new ApiClient(forwarded.socketPath));
    this.#socket = forwarded;
  }

  /** Installs it with its own script, unless that was done, as on a host that the build was copied to. */
  static async install(guest: Guest): Promise<TierdService> {
    await guest.check(
      'if mountpoint -q /opt/tierd; then cp -r /opt/tierd /root/tierd-dist && umount /opt/tierd && sh /root/tierd-dist/systemd/install.sh && systemctl enable tierd; fi',
    );
    return new TierdService(guest, await guest.forwardSocket(socket));
  }

  /** Installs it and starts it. systemd waits until it is ready. */
  static async start(guest: Guest): Promise<TierdService> {
    return (await TierdService.install(guest)).start();
  }

  /** Starts what is installed. systemd waits until it is ready. */
  async start(): Promise<this> {
    try {
      await this.guest.check('systemctl start tierd', { timeoutMs: 120_000 });
    } catch (error) {
      throw new Error(`${messageOf(error)}\n${await this.describe()}`);
    }
    return this.waitForReady(10_000);
  }

  /** What the newest process of the daemon has logged. */
  async log(): Promise<readonly LogEntry[]> {
    const log = await this.#journal();
    return log.slice(log.findLastIndex(({ message }) => message.startsWith('tierd starts')));
  }

  /** What the daemon itself has logged, without systemd's words about it. */
  async #journal(): Promise<readonly LogEntry[]> {
    const journal = await this.guest.check('journalctl --no-pager -o json _SYSTEMD_UNIT=tierd.service');
    return journal
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const entry: Record<string, unknown> = JSON.parse(line);
        const message = `${entry.MESSAGE}`;
        // Syslog's priorities fall with severity: 4 is a warning.
        const level = Number(entry.PRIORITY) <= 3 ? 50 : Number(entry.PRIORITY) === 4 ? warning : 30;
        return { time: Number(entry.__REALTIME_TIMESTAMP) / 1e6, level, message, text: message };
      });
  }

  async waitForLog(matches: (entry: LogEntry) => boolean, timeoutMs: number): Promise<LogEntry> {
    for (const deadline = Date.now() + timeoutMs; ; await sleep(500)) {
      const found = (await this.log()).find(matches);
      if (found !== undefined) return found;
      if (Date.now() > deadline) throw new Error(`no such line in the journal\n${await this.describe()}`);
    }
  }

  /** Replaces its configuration file, and forgets what was set over REST. */
  async configure(config: object): Promise<void> {
    // JSON is YAML too.
    const command = 'mkdir -p /etc/tierd && cat >/etc/tierd/tierd.yaml && rm -f /var/lib/tierd/settings.json';
    await this.guest.check(command, { stdin: `${JSON.stringify(config)}\n` });
  }

  /** Adds settings to the unit. */
  async dropIn(name: string, text: string): Promise<void> {
    const command = `mkdir -p ${dropIns} && cat >${dropIns}/${name}.conf && systemctl daemon-reload`;
    await this.guest.check(command, { stdin: text });
  }

  async removeDropIn(name: string): Promise<void> {
    await this.guest.check(`rm -f ${dropIns}/${name}.conf && systemctl daemon-reload`);
  }

  /** Waits until systemd has started another process in place of this one, and that is ready. */
  async waitForSuccessor(pid: string): Promise<void> {
    await eventually('another process is at work', 120_000, async () => {
      const now = await this.property('MainPID');
      return now !== pid && now !== '0' && (await this.property('ActiveState')) === 'active';
    });
  }

  /** A property of the unit, as `systemctl show` says. */
  async property(name: string): Promise<string> {
    return (await this.guest.check(`systemctl show -P ${name} tierd`)).trim();
  }

  async stop(): Promise<void> {
    await this.guest.check('systemctl stop tierd');
    await this.close();
  }

  /** Ends the way to its API; the daemon goes on. */
  async close(): Promise<void> {
    await this.#socket.close();
  }
}
