import { TraceUnavailableError } from './errors.ts';

/** How the kernel lays out a page of its ring buffer (events/header_page), in bytes. */
export interface PageLayout {
  readonly pageBytes: number;
  /** Where the events begin. */
  readonly dataOffset: number;
  readonly timestampOffset: number;
  /** How many bytes of events there are, and what was lost before them. */
  readonly commitOffset: number;
}

/** The kinds of entries that are no data (events/header_event). */
export interface EntryTypes {
  readonly padding: number;
  readonly timeExtend: number;
  readonly timeStamp: number;
}

/** Where an event has the figures of one region, in words of four bytes from its begin. */
export interface RegionEventLayout {
  readonly id: number;
  /** Of the event without the entry's header, in bytes. */
  readonly sizeBytes: number;
  readonly pid: number;
  readonly target: number;
  /** Only in events of schemes. */
  readonly scheme: number | undefined;
  readonly nrRegions: number;
  readonly start: number;
  readonly end: number;
  readonly nrAccesses: number;
  readonly age: number;
}

/** All that is needed to read the ring buffer of DAMON's events. */
export interface TraceLayout {
  readonly page: PageLayout;
  readonly entries: EntryTypes;
  /** damon:damon_aggregated. */
  readonly aggregated: RegionEventLayout;
  /** damon:damos_before_apply (Linux 6.7), where it is traced. */
  readonly applied: RegionEventLayout | undefined;
}

const WORD_BYTES = 4;
const TYPE_BITS = 5;
const DELTA_BITS = 27;
const FIELD = /^\s*field:.*?(\w+)(?:\[\d*\])?;\s*offset:(\d+);\s*size:(\d+);/gm;

/** Throws TraceUnavailableError. */
export function parsePageLayout(text: string): PageLayout {
  const fields = new Fields(text, 'events/header_page');
  const data = fields.get('data');
  const timestamp = fields.get('timestamp', 8);
  const commit = fields.get('commit');
  return {
    pageBytes: data.offset + data.size,
    dataOffset: data.offset,
    timestampOffset: timestamp.offset,
    commitOffset: commit.offset,
  };
}

/** Throws TraceUnavailableError. */
export function parseEntryTypes(text: string): EntryTypes {
  const number = (pattern: RegExp): number => {
    const found = pattern.exec(text)?.[1];
    if (found === undefined)
      throw new TraceUnavailableError(`events/header_event does not have ${pattern.source}: ${text}`);
    return Number(found);
  };
  const typeBits = number(/type_len\s*:\s*(\d+) bits/);
  const deltaBits = number(/time_delta\s*:\s*(\d+) bits/);
  if (typeBits !== TYPE_BITS || deltaBits !== DELTA_BITS) {
    throw new TraceUnavailableError(
      `events/header_event has ${typeBits} bits of type and ${deltaBits} of time, not ${TYPE_BITS} and ${DELTA_BITS}`,
    );
  }
  return {
    padding: number(/padding\s*:\s*type == (\d+)/),
    timeExtend: number(/time_extend\s*:\s*type == (\d+)/),
    timeStamp: number(/time_stamp\s*:\s*type == (\d+)/),
  };
}

/** Of damon_aggregated or damos_before_apply. Throws TraceUnavailableError. */
export function parseRegionEvent(text: string, name: string): RegionEventLayout {
  const path = `events/damon/${name}/format`;
  const id = /^ID:\s*(\d+)/m.exec(text)?.[1];
  const fields = new Fields(text, path);
  if (id === undefined || fields.get('common_type', 2).offset !== 0) {
    throw new TraceUnavailableError(`${path} has no ID, or no common_type of two bytes at its begin: ${text}`);
  }
  const applied = fields.has('scheme_idx');
  return {
    id: Number(id),
    sizeBytes: fields.endBytes,
    pid: fields.word('common_pid', 4),
    target: fields.word(applied ? 'target_idx' : 'target_id', 8),
    scheme: applied ? fields.word('scheme_idx', 4) : undefined,
    nrRegions: fields.word('nr_regions', 4),
    start: fields.word('start', 8),
    end: fields.word('end', 8),
    nrAccesses: fields.word('nr_accesses', 4),
    age: fields.word('age', 4),
  };
}

interface Place {
  readonly offset: number;
  readonly size: number;
}

/** The fields of a format file by name. */
class Fields {
  readonly #places: ReadonlyMap<string, Place>;
  readonly #path: string;

  constructor(text: string, path: string) {
    this.#path = path;
    this.#places = new Map(
      [...text.matchAll(FIELD)].map(([, name = '', offset, size]) => [
        name,
        { offset: Number(offset), size: Number(size) },
      ]),
    );
  }

  get endBytes(): number {
    return Math.max(0, ...[...this.#places.values()].map(({ offset, size }) => offset + size));
  }

  has(name: string): boolean {
    return this.#places.has(name);
  }

  get(name: string, size?: number): Place {
    const place = this.#places.get(name);
    if (
      place === undefined ||
      (size !== undefined && place.size !== size) ||
      place.offset % Math.min(4, place.size) !== 0
    ) {
      const found = place === undefined ? 'not there' : `of ${place.size} bytes at ${place.offset}`;
      throw new TraceUnavailableError(`${this.#path}: the field ${name} is ${found}, which tierd cannot read`);
    }
    return place;
  }

  word(name: string, size: number): number {
    const { offset } = this.get(name, size);
    if (offset % WORD_BYTES !== 0) throw new TraceUnavailableError(`${this.#path}: ${name} does not begin at a word`);
    return offset / WORD_BYTES;
  }
}
