import type { DamonDriver, RunningKdamond } from './damon/driver.ts';
import { DamonRejectedError } from './damon/errors.ts';

/** What one pass of a scheme may try as the kernel has it, in bytes, by the scheme's name. */
export type QuotasByScheme = ReadonlyMap<string, number>;

interface Reading {
  readonly pid: number;
  /** The quotas that were asked for then. */
  readonly asked: string;
  readonly atMs: number;
  /** Empty: this kernel does not tell. */
  readonly quotas: QuotasByScheme;
}

const EVERY_MS = 5_000;
/** Asking waits for the kdamond: long, on Linux 6.12, while it migrates. */
const MOST_SHARE_OF_TIME = 0.05;

/**
 * The effective quotas of all schemes, as last read. Each look asks one kdamond at most, whose reading is the oldest, and only when that may have changed: it
 * moves memory, or was asked for other quotas since.
 */
export class EffectiveQuotas {
  readonly #driver: Pick<DamonDriver, 'effectiveBytes'>;
  readonly #readings = new Map<number, Reading>();
  #restUntilMs = Number.NEGATIVE_INFINITY;

  constructor(driver: Pick<DamonDriver, 'effectiveBytes'>) {
    this.#driver = driver;
  }

  /** Of a node's schemes; undefined before the first reading. */
  get(nodeId: number): QuotasByScheme | undefined {
    return this.#readings.get(nodeId)?.quotas;
  }

  forget(nodeId: number): void {
    this.#readings.delete(nodeId);
  }

  /** @param moving those whose schemes may move memory. Throws KdamondDiedError, SysFsError. */
  async look(
    kdamonds: readonly RunningKdamond[],
    moving: ReadonlySet<RunningKdamond>,
    nowMs: () => number,
  ): Promise<void> {
    const startMs = nowMs();
    if (startMs < this.#restUntilMs) return;
    const readAtMs = ({ desired }: RunningKdamond) =>
      this.#readings.get(desired.nodeId)?.atMs ?? Number.NEGATIVE_INFINITY;
    const [next] = kdamonds
      .filter((kdamond) => this.#isDue(kdamond, moving.has(kdamond), startMs))
      .sort((a, b) => readAtMs(a) - readAtMs(b));
    if (next === undefined) return;
    const quotas = await this.#read(next);
    const { pid, desired } = next;
    const endMs = nowMs();
    this.#readings.set(desired.nodeId, { pid, asked: askedOf(next), atMs: endMs, quotas });
    this.#restUntilMs = startMs + (endMs - startMs) / MOST_SHARE_OF_TIME;
  }

  #isDue(kdamond: RunningKdamond, isMoving: boolean, nowMs: number): boolean {
    const reading = this.#readings.get(kdamond.desired.nodeId);
    if (reading?.pid !== kdamond.pid) return true;
    return nowMs - reading.atMs >= EVERY_MS && (isMoving || reading.asked !== askedOf(kdamond));
  }

  async #read({ index, desired }: RunningKdamond): Promise<QuotasByScheme> {
    try {
      const bytes = (await this.#driver.effectiveBytes(index)) ?? [];
      return new Map(bytes.flatMap((quota, at) => desired.schemes.slice(at, at + 1).map(({ name }) => [name, quota])));
    } catch (error) {
      // Nothing depends on it: a kernel that refuses does not tell.
      if (error instanceof DamonRejectedError) return new Map();
      throw error;
    }
  }
}

function askedOf({ desired }: RunningKdamond): string {
  return desired.schemes.map(({ name, quota }) => `${name} ${quota.bytes}`).join();
}
