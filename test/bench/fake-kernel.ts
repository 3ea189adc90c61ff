import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SysFs } from '../../numa/sysfs.ts';
import { HostSysFs, SysFsError } from '../../numa/sysfs.ts';
import { FakeDamon } from '../unit/damon/fake-damon.ts';
import { addNodes } from './more-nodes.ts';
import { removeScratch, scratchDirectory } from './scratch.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/7.3-numa2');
const TRACING = '/sys/kernel/tracing';
/** Of weighted interleaving, as this kernel has them at its start; the recorded guest has no folder of them. */
const WEIGHTS = { auto: 'true', node0: '1', node1: '1' };
const WEIGHTS_FOLDER = '/sys/kernel/mm/mempolicy/weighted_interleave';
const DAMON_FOLDERS = ['/sys/kernel/mm/damon', '/sys/module/damon_stat', '/proc/sys/kernel/random'];
const KDAMOND_NAME = /^\/proc\/\d+\/comm$/;
const UPDATE_STATS = 'update_schemes_stats';

/**
 * A kernel for the engine to run over on a machine without any: the topology of a recorded guest, a DAMON in memory, and a tracefs of plain files in a
 * scratch directory, whose only ring buffer is a file that grows: what is read of it comes once, too. Nothing of this machine's /sys is touched: every path goes to one of the three.
 */
export class FakeKernel implements SysFs {
  readonly root: string;
  readonly damon = new FakeDamon('7.3');
  readonly #scratch: HostSysFs;

  /** A machine of so many nodes. */
  constructor(nodes = 2) {
    this.root = scratchDirectory();
    cpSync(FIXTURE, this.root, { recursive: true, verbatimSymlinks: true });
    addNodes(this.root, nodes);
    mkdirSync(join(this.root, TRACING, 'instances'), { recursive: true });
    mkdirSync(join(this.root, WEIGHTS_FOLDER), { recursive: true });
    for (const [name, text] of Object.entries(WEIGHTS)) {
      writeFileSync(join(this.root, WEIGHTS_FOLDER, name), `${text}\n`);
    }
    this.#scratch = new HostSysFs(this.root);
  }

  /** The ring buffers of the only CPU in all traces that the engine has made, the newest last: pages are appended. */
  readonly traceBuffers: string[] = [];
  /** Errno of a write of the engine's, or of a read (no value), that is to fail; a promise: it hangs until then; undefined: it goes through. */
  fault: (path: string, value?: string) => string | Promise<void> | undefined = () => undefined;

  /** The newest of them, once the engine traces. */
  get tracePages(): string {
    return this.traceBuffers.at(-1) ?? '';
  }

  remove(): void {
    removeScratch(this.root);
  }

  async read(path: string): Promise<string> {
    await this.#mayFail('read', path);
    return this.#of(path).read(path);
  }

  readNow(path: string): string {
    return this.#of(path).readNow(path);
  }

  async readIfPresent(path: string): Promise<string | undefined> {
    await this.#mayFail('read', path);
    return this.#of(path).readIfPresent(path);
  }

  async list(path: string): Promise<readonly string[]> {
    await this.#mayFail('list', path);
    return this.#of(path).list(path);
  }

  async directories(path: string): Promise<readonly string[]> {
    await this.#mayFail('list', path);
    return this.#of(path).directories(path);
  }

  inode(path: string): Promise<number | undefined> {
    return this.#of(path).inode(path);
  }

  folderStamp(path: string): string | undefined {
    return this.#of(path).folderStamp(path);
  }

  link(path: string): Promise<string | undefined> {
    return this.#of(path).link(path);
  }

  async write(path: string, value: string): Promise<void> {
    await this.#mayFail('write', path, value);
    if (value === UPDATE_STATS) this.#migrate(path.slice(0, path.lastIndexOf('/')));
    if (path.startsWith(`${WEIGHTS_FOLDER}/`)) this.#setWeight(path, value);
    else await this.#of(path).write(path, value);
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#mayFail('write', path, '');
    const folder = join(this.root, path);
    mkdirSync(join(folder, 'events/damon/damon_aggregated'), { recursive: true });
    mkdirSync(join(folder, 'per_cpu/cpu0'), { recursive: true });
    const files = ['trace_clock', 'buffer_size_kb', 'set_event_pid'];
    for (const file of [...files, 'events/damon/damon_aggregated/enable']) writeFileSync(join(folder, file), '');
    const buffer = join(folder, 'per_cpu/cpu0/trace_pipe_raw');
    writeFileSync(buffer, '');
    this.traceBuffers.push(buffer);
  }

  /** mm/mempolicy.c: what is written replaces the value, a weight ends what is automatic, and that is told as a word. */
  #setWeight(path: string, value: string): void {
    const auto = join(this.root, WEIGHTS_FOLDER, 'auto');
    const isAuto = /^(?:1|y|true|on)$/i.test(value);
    if (path.endsWith('/auto')) writeFileSync(auto, `${isAuto}\n`);
    else {
      writeFileSync(join(this.root, path), `${Number(value) || 1}\n`);
      writeFileSync(auto, 'false\n');
    }
  }

  async #mayFail(operation: 'read' | 'list' | 'write', path: string, value?: string): Promise<void> {
    const errno = await this.fault(path, value);
    if (typeof errno === 'string')
      throw new SysFsError(operation, path, Object.assign(new Error(errno), { code: errno }), value);
  }

  #of(path: string): SysFs {
    const isDamon = DAMON_FOLDERS.some((folder) => path.startsWith(folder)) || KDAMOND_NAME.test(path);
    return isDamon ? this.damon : this.#scratch;
  }

  /** As if each pass had moved all that its quota allows. */
  #migrate(kdamond: string): void {
    const { files } = this.damon;
    for (let scheme = 0; ; scheme += 1) {
      const folder = `${kdamond}/contexts/0/schemes/${scheme}`;
      const bytes = files.get(`${folder}/quotas/bytes`);
      if (bytes === undefined) return;
      for (const name of ['sz_tried', 'sz_applied']) {
        const path = `${folder}/stats/${name}`;
        files.set(path, `${Number(files.get(path) ?? 0) + (bytes === '1' ? 0 : Number(bytes))}`);
      }
    }
  }
}
