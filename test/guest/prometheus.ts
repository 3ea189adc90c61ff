import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Type from 'typebox';
import { compileCheck } from '../../api/schema/check.ts';
import { debianPackage } from './debian-tools.ts';
import { eventually } from './eventually.ts';
import type { CommandResult } from './guest-process.ts';
import { runHost } from './host-process.ts';

const SeriesSchema = Type.Object({ metric: Type.Record(Type.String(), Type.String()) });
/** Of instant vectors, which all expressions here give. */
const checkAnswer = compileCheck(Type.Object({ data: Type.Object({ result: Type.Array(SeriesSchema) }) }));

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
}

/** Runs Debian's promtool on this machine. */
export async function promtool(args: readonly string[], input?: string): Promise<CommandResult> {
  return runHost(join(await programs(), 'promtool'), args, input === undefined ? {} : { input });
}

/** Debian's Prometheus on this machine, scraping one port of the loopback every second as the job "tierd". */
export class Prometheus {
  readonly #port: number;
  readonly #stop: () => Promise<void>;

  private constructor(port: number, stop: () => Promise<void>) {
    this.#port = port;
    this.#stop = stop;
  }

  /** Starts it and waits until it has scraped. */
  static async scraping(targetPort: number): Promise<Prometheus> {
    const directory = await mkdtemp(join(tmpdir(), 'tierd-prometheus-'));
    const config = join(directory, 'prometheus.yml');
    const scrape = { job_name: 'tierd', static_configs: [{ targets: [`127.0.0.1:${targetPort}`] }] };
    await writeFile(config, JSON.stringify({ global: { scrape_interval: '1s' }, scrape_configs: [scrape] }));
    const port = await freePort();
    const child = spawn(
      join(await programs(), 'prometheus'),
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: 'ignore' },
    );
    const exit = once(child, 'exit');
    const prometheus = new Prometheus(port, async () => {
      child.kill();
      await exit;
      await rm(directory, { recursive: true, force: true });
    });
    try {
      await eventually('the target is up', 60_000, async () => {
        const up = await prometheus.query('up{job="tierd"} == 1').catch(() => []);
        return up.length === 1;
      });
    } catch (error) {
      await prometheus.stop();
      throw error;
    }
    return prometheus;
  }

  /** The series of an expression now. Throws what Prometheus has against it. */
  async query(expression: string): Promise<readonly Series[]> {
    const url = `http://127.0.0.1:${this.#port}/api/v1/query?query=${encodeURIComponent(expression)}`;
    const answer = await fetch(url);
    const text = await answer.text();
    const checked = answer.ok ? checkAnswer(JSON.parse(text)) : undefined;
    if (checked?.ok !== true) throw new Error(`${expression}: ${text.slice(0, 500)}`);
    return checked.value.data.result;
  }

  /** Names of all metrics that it has from the job. */
  async names(): Promise<ReadonlySet<string>> {
    return new Set((await this.query('{job="tierd"}')).flatMap(({ metric }) => metric.__name__ ?? []));
  }

  stop(): Promise<void> {
    return this.#stop();
  }
}

async function programs(): Promise<string> {
  return join(await debianPackage('prometheus', (line) => console.log(line)), 'usr/bin');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server.address());
  server.close();
  await once(server, 'close');
  return port;
}

/** Of a server that listens on TCP. */
export function portOf(address: ReturnType<ReturnType<typeof createServer>['address']>): number {
  if (address === null || typeof address === 'string') throw new Error('not a TCP port');
  return address.port;
}
