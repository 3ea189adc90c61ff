const PAGES_PER_CHUNK = 512;
const WORDS_PER_CHUNK = PAGES_PER_CHUNK / 32;
/** A generation is closed after this part of the span: so much longer than asked may a page be remembered. */
const GENERATIONS_PER_SPAN = 20;

interface Generation {
  readonly sinceMs: number;
  lastAddedMs: number;
  readonly processes: Map<number, Map<number, Uint32Array>>;
}

export interface PageMemoryOptions {
  /** How long pages are remembered, at least. */
  readonly spanMs: number;
  /** Most areas of 2 MiB that are remembered, about 150 bytes each: beyond, the oldest pages are forgotten early. */
  readonly maxChunks: number;
}

/** Part of a process's memory, in pages. */
export interface PageSpan {
  readonly startPage: number;
  readonly pages: number;
}

/**
 * Which virtual pages something happened to lately: a bit a page, in generations, so that forgetting costs nothing. All times are CLOCK_MONOTONIC, in
 * milliseconds.
 */
export class PageMemory {
  readonly #maxChunks: number;
  #spanMs: number;
  /** Newest first. */
  #generations: Generation[] = [];
  #chunks = 0;

  constructor(options: PageMemoryOptions) {
    this.#spanMs = options.spanMs;
    this.#maxChunks = options.maxChunks;
  }

  /** Areas of 2 MiB that are remembered. */
  get chunks(): number {
    return this.#chunks;
  }

  /** Remembers pages from now on. */
  add(pid: number, { startPage, pages }: PageSpan, nowMs: number): void {
    const generation = this.#current(nowMs);
    generation.lastAddedMs = nowMs;
    const process = this.#process(generation, pid);
    for (let page = startPage; page < startPage + pages; page += 1) {
      const index = Math.floor(page / PAGES_PER_CHUNK);
      let chunk = process.get(index);
      if (chunk === undefined) {
        chunk = new Uint32Array(WORDS_PER_CHUNK);
        process.set(index, chunk);
        this.#chunks += 1;
      }
      const bit = page % PAGES_PER_CHUNK;
      const word = bit >>> 5;
      chunk[word] = (chunk[word] ?? 0) | (1 << (bit & 31));
    }
    while (this.#chunks > this.#maxChunks && this.#generations.length > 1) this.#forgetOldest();
  }

  /** Whether a page was added within the last `withinMs`, or a little before. */
  has(pid: number, page: number, nowMs: number, withinMs = this.#spanMs): boolean {
    const index = Math.floor(page / PAGES_PER_CHUNK);
    const bit = page % PAGES_PER_CHUNK;
    for (const { lastAddedMs, processes } of this.#generations) {
      if (lastAddedMs <= nowMs - withinMs) return false;
      const chunk = processes.get(pid)?.get(index);
      if (chunk !== undefined && ((chunk[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0) return true;
    }
    return false;
  }

  /** Whether nothing is remembered that could matter. */
  isEmpty(nowMs: number): boolean {
    this.#current(nowMs);
    return this.#chunks === 0;
  }

  /** From here on pages are remembered apart from those before, so that `withinMs` can tell them from each other. */
  divide(nowMs: number): void {
    this.#begin(nowMs);
  }

  /** Pages are remembered for so long from now on, those of before too unless they are forgotten already. */
  respan(spanMs: number): void {
    this.#spanMs = spanMs;
  }

  #current(nowMs: number): Generation {
    const newest = this.#generations[0];
    if (newest !== undefined && nowMs < newest.sinceMs + this.#spanMs / GENERATIONS_PER_SPAN) return newest;
    return this.#begin(nowMs);
  }

  #begin(nowMs: number): Generation {
    const generation = { sinceMs: nowMs, lastAddedMs: nowMs, processes: new Map() };
    this.#generations.unshift(generation);
    while ((this.#generations.at(-1)?.lastAddedMs ?? nowMs) < nowMs - this.#spanMs) this.#forgetOldest();
    return generation;
  }

  #process(generation: Generation, pid: number): Map<number, Uint32Array> {
    let process = generation.processes.get(pid);
    if (process === undefined) {
      process = new Map();
      generation.processes.set(pid, process);
    }
    return process;
  }

  #forgetOldest(): void {
    const oldest = this.#generations.pop();
    for (const process of oldest?.processes.values() ?? []) this.#chunks -= process.size;
  }
}
