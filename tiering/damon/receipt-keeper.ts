import { inTime } from '../in-time.ts';
import type { Logger } from '../logger.ts';
import { Serial } from '../serial.ts';
import { SaveTimeoutError } from './errors.ts';
import type { Receipt } from './receipt.ts';

/** `durably`: rejects when it cannot be saved. `soon` (the default): what cannot be saved is no error, and is tried again. */
export type SaveUrgency = 'durably' | 'soon';

/** Saves a receipt; undefined: nothing of ours is left in the kernel, forget it. */
export type SaveReceipt = (receipt: Receipt | undefined, urgency?: SaveUrgency) => Promise<void>;

const SAVE_AGAIN_MS = 30_000;
const WRITE_LIMIT_MS = 2_000;

/** Brings the newest receipt to disk, also when the disk is full or read-only for a while: a daemon at work does not stop for that. */
export class ReceiptKeeper {
  readonly #write: (receipt: Receipt | undefined) => Promise<void>;
  readonly #logger: Logger;
  readonly #saves = new Serial();
  readonly #limitMs: number;
  #writing: Promise<void> = Promise.resolve();
  #problem: string | undefined;
  #again: NodeJS.Timeout | undefined;

  /**
   * @param write durable once it resolves
   * @param limitMs how long it may take
   */
  constructor(write: (receipt: Receipt | undefined) => Promise<void>, logger: Logger, limitMs = WRITE_LIMIT_MS) {
    this.#limitMs = limitMs;
    this.#write = write;
    this.#logger = logger;
  }

  /** Why the newest receipt is not on disk, and what that puts at risk; undefined: it is. */
  get problem(): string | undefined {
    return this.#problem;
  }

  save(receipt: Receipt | undefined, urgency: SaveUrgency = 'soon'): Promise<void> {
    return this.#saves.run(async () => {
      clearTimeout(this.#again);
      try {
        await this.#writeInTime(receipt);
      } catch (error) {
        if (urgency === 'durably') throw error;
        this.#failed(receipt, error instanceof Error ? error.message : String(error));
        return;
      }
      if (this.#problem !== undefined) this.#logger.info({}, 'the receipt of what runs in DAMON is saved again');
      this.#problem = undefined;
    });
  }

  /** A disk that hangs must not stand in the way for longer. While a write is under way, the next one waits for it. */
  async #writeInTime(receipt: Receipt | undefined): Promise<void> {
    const writing = this.#writing.then(() => this.#write(receipt));
    this.#writing = writing.catch(() => undefined);
    const isDone = await inTime(
      writing.then(() => true),
      this.#limitMs,
    );
    if (isDone !== true) throw new SaveTimeoutError();
  }

  #failed(receipt: Receipt | undefined, reason: string): void {
    if (receipt === undefined) {
      // Of kdamonds that are gone it does no harm: the next start sees that none of them runs.
      this.#logger.warn({ reason }, 'the receipt of what ran in DAMON could not be removed');
      this.#problem = undefined;
    } else {
      const risk = "if tierd crashed now, its next start would take its own kdamonds for somebody else's";
      if (this.#problem === undefined) {
        this.#logger.warn({ reason }, `the receipt of what runs in DAMON is not saved and is tried again: ${risk}`);
      }
      this.#problem = `${reason}; until it is saved: ${risk}`;
    }
    this.#again = setTimeout(() => void this.save(receipt), SAVE_AGAIN_MS);
    this.#again.unref();
  }
}
