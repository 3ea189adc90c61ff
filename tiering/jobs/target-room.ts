import { readHighWatermarks, readNodeMemory } from '../../numa/node-memory.ts';
import type { SysFs } from '../../numa/sysfs.ts';

/** How much still fits on a node: below its high watermark the kernel would reclaim, or migrate nothing into it. */
export class TargetRoom {
  readonly #sysfs: SysFs;
  readonly #nodeId: number;
  #watermarkBytes: number | undefined;

  constructor(sysfs: SysFs, nodeId: number) {
    this.#sysfs = sysfs;
    this.#nodeId = nodeId;
  }

  /** Bytes that fit now; 0 when the node is gone. Throws SysFsError, KernelFormatError. */
  async bytes(): Promise<number> {
    // Once a migration: the watermarks' file is long, and they change with hot-plug only.
    this.#watermarkBytes ??= (await readHighWatermarks(this.#sysfs)).get(this.#nodeId) ?? 0;
    const free = (await readNodeMemory(this.#sysfs, [this.#nodeId])).get(this.#nodeId)?.freeBytes ?? 0;
    return Math.max(0, free - this.#watermarkBytes);
  }
}
