import type { AddressRange } from '../../numa/topology.ts';
import type {
  AccessPattern,
  Bounds,
  DesiredKdamond,
  DesiredScheme,
  Quota,
  QuotaGoal,
  SchemeAction,
  SchemeFilter,
} from '../scheme.ts';
import { ReceiptError } from './errors.ts';
import type { ProbedFeatures } from './features.ts';
import type { TreeRecord } from './tree-record.ts';

/** A kdamond that tierd started. */
export interface ReceiptKdamond {
  readonly index: number;
  /** 0: was about to be switched on when the receipt was written. */
  readonly pid: number;
  readonly desired: DesiredKdamond;
}

/** A daemon, for good: pids are used again, and start times (clock ticks since boot) mean nothing after a reboot. */
export interface ReceiptOwner {
  readonly pid: number;
  readonly startTime: number;
}

/**
 * What tierd changed in DAMON and how it was before. Saved before the first change, so that after a crash the next start knows
 * its own kdamonds from others' and can put everything back. Plain JSON.
 */
export interface Receipt {
  readonly version: 1;
  /** Kdamonds and their pids mean nothing after a reboot. */
  readonly bootId: string;
  /** Who wrote it; absent in those of older versions. */
  readonly owner?: ReceiptOwner;
  /** Kdamond directories made (spares included); 0 before the first start. */
  readonly directories: number;
  readonly kdamonds: readonly ReceiptKdamond[];
  /** The kdamonds folder before the first change. */
  readonly originalTree: TreeRecord;
  /** damon_stat's `enabled` before it was switched off. */
  readonly originalDamonStat?: string;
  /** Absent until probed. */
  readonly features?: ProbedFeatures;
}

/** The receipt as JSON text. Unbounded maxima become null, as JSON knows no infinity. */
export function serializeReceipt(receipt: Receipt): string {
  return JSON.stringify(receipt, null, 2);
}

/** Reads a receipt from JSON text. Throws ReceiptError. */
export function parseReceipt(text: string): Receipt {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ReceiptError(`not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  return validateReceipt(value);
}

/** Checks a parsed receipt field by field. Throws ReceiptError naming the field. */
export function validateReceipt(value: unknown): Receipt {
  const fields = new Fields(value, 'receipt');
  if (fields.number('version') !== 1) throw new ReceiptError(`version ${fields.number('version')} is not known`);
  const features = fields.optional('features', readFeatures);
  const originalDamonStat = fields.optional('originalDamonStat', asText);
  const owner = fields.optional('owner', readOwner);
  return {
    version: 1,
    bootId: fields.text('bootId'),
    ...(owner === undefined ? {} : { owner }),
    directories: fields.number('directories'),
    kdamonds: fields.list('kdamonds', readKdamond),
    originalTree: fields.required('originalTree', readTree),
    ...(originalDamonStat === undefined ? {} : { originalDamonStat }),
    ...(features === undefined ? {} : { features }),
  };
}

function readOwner(value: unknown, where: string): ReceiptOwner {
  const fields = new Fields(value, where);
  return { pid: fields.number('pid'), startTime: fields.number('startTime') };
}

function readKdamond(value: unknown, where: string): ReceiptKdamond {
  const fields = new Fields(value, where);
  return { index: fields.number('index'), pid: fields.number('pid'), desired: fields.required('desired', readDesired) };
}

function readDesired(value: unknown, where: string): DesiredKdamond {
  const fields = new Fields(value, where);
  const comparedRanges = fields.optional('comparedRanges', (found, at) => asList(found, at, readRange));
  return {
    nodeId: fields.number('nodeId'),
    samplingIntervalUs: fields.number('samplingIntervalUs'),
    aggregationIntervalUs: fields.number('aggregationIntervalUs'),
    updateIntervalUs: fields.number('updateIntervalUs'),
    minRegions: fields.number('minRegions'),
    maxRegions: fields.number('maxRegions'),
    ranges: fields.list('ranges', readRange),
    ...(comparedRanges === undefined ? {} : { comparedRanges }),
    schemes: fields.list('schemes', readScheme),
  };
}

function readRange(value: unknown, where: string): AddressRange {
  const fields = new Fields(value, where);
  return { start: fields.number('start'), end: fields.number('end') };
}

function readScheme(value: unknown, where: string): DesiredScheme {
  const fields = new Fields(value, where);
  const targetNid = fields.optional('targetNid', asNumber);
  const applyIntervalUs = fields.optional('applyIntervalUs', asNumber);
  const maxPasses = fields.optional('maxPasses', asNumber);
  return {
    name: fields.text('name'),
    action: fields.required('action', readAction),
    ...(targetNid === undefined ? {} : { targetNid }),
    pattern: fields.required('pattern', readPattern),
    ...(applyIntervalUs === undefined ? {} : { applyIntervalUs }),
    quota: fields.required('quota', readQuota),
    ...(maxPasses === undefined ? {} : { maxPasses }),
    filters: fields.list('filters', readFilter),
  };
}

function readAction(value: unknown, where: string): SchemeAction {
  if (value === 'migrate_hot' || value === 'migrate_cold' || value === 'stat') return value;
  throw new ReceiptError(`${where} is not an action`);
}

function readPattern(value: unknown, where: string): AccessPattern {
  const fields = new Fields(value, where);
  return {
    sizeBytes: fields.required('sizeBytes', readBounds),
    nrAccesses: fields.required('nrAccesses', readBounds),
    age: fields.required('age', readBounds),
  };
}

function readBounds(value: unknown, where: string): Bounds {
  const fields = new Fields(value, where);
  const max = fields.required('max', (found, at) => (found === null ? Number.POSITIVE_INFINITY : asNumber(found, at)));
  return { min: fields.number('min'), max };
}

function readQuota(value: unknown, where: string): Quota {
  const fields = new Fields(value, where);
  const weights = fields.required('weights', (found, at) => new Fields(found, at));
  const goal = fields.optional('goal', readGoal);
  return {
    bytes: fields.number('bytes'),
    resetIntervalMs: fields.number('resetIntervalMs'),
    weights: { size: weights.number('size'), nrAccesses: weights.number('nrAccesses'), age: weights.number('age') },
    ...(goal === undefined ? {} : { goal }),
  };
}

function readGoal(value: unknown, where: string): QuotaGoal {
  const fields = new Fields(value, where);
  const metric = fields.text('metric');
  if (metric !== 'node_eligible_mem_bp') throw new ReceiptError(`${where}.metric is not a metric of tierd's`);
  return { metric, nodeId: fields.number('nodeId'), targetBp: fields.number('targetBp') };
}

function readFilter(value: unknown, where: string): SchemeFilter {
  const fields = new Fields(value, where);
  const type = fields.text('type');
  const matching = fields.flag('matching');
  const allow = fields.flag('allow');
  if (type === 'young') return { type, matching, allow };
  if (type === 'memcg') return { type, memcgPath: fields.text('memcgPath'), matching, allow };
  if (type === 'addr') return { type, range: fields.required('range', readRange), matching, allow };
  throw new ReceiptError(`${where}.type is not a filter type`);
}

function readFeatures(value: unknown, where: string): ProbedFeatures {
  const fields = new Fields(value, where);
  return {
    complete: fields.flag('complete'),
    actions: fields.list('actions', asText),
    filterTypes: fields.list('filterTypes', asText),
    goalTuners: fields.list('goalTuners', asText),
    goalMetrics: fields.list('goalMetrics', asText),
    traceEvents: fields.list('traceEvents', asText),
    migrateActions: fields.flag('migrateActions'),
    youngFilter: fields.flag('youngFilter'),
    memcgFilter: fields.flag('memcgFilter'),
    // A tierd that did not ask ran on no kernel without them.
    filters: fields.optional('filters', asFlag) ?? true,
    applyInterval: fields.optional('applyInterval', asFlag) ?? true,
    allowFilters: fields.flag('allowFilters'),
    splitFilters: fields.flag('splitFilters'),
    addrUnit: fields.flag('addrUnit'),
    maxPasses: fields.optional('maxPasses', asFlag) ?? false,
    filterPassedBytes: fields.optional('filterPassedBytes', asFlag) ?? false,
    effectiveBytes: fields.flag('effectiveBytes'),
    commitsTargetNid: fields.flag('commitsTargetNid'),
    // Nor do older receipts say of these.
    triedRegions: fields.optional('triedRegions', asFlag) ?? true,
    damonStat: fields.flag('damonStat'),
  };
}

function readTree(value: unknown, where: string): TreeRecord {
  if (!isObject(value)) throw new ReceiptError(`${where} is not an object`);
  return Object.fromEntries(Object.entries(value).map(([path, text]) => [path, asText(text, `${where}["${path}"]`)]));
}

type Read<T> = (value: unknown, where: string) => T;

/** Fields of an object that must be there, with the place named when they are not. */
class Fields {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #where: string;

  constructor(value: unknown, where: string) {
    if (!isObject(value)) throw new ReceiptError(`${where} is not an object`);
    this.#values = new Map(Object.entries(value));
    this.#where = where;
  }

  required<T>(name: string, read: Read<T>): T {
    return read(this.#values.get(name), `${this.#where}.${name}`);
  }

  optional<T>(name: string, read: Read<T>): T | undefined {
    return this.#values.has(name) ? this.required(name, read) : undefined;
  }

  number(name: string): number {
    return this.required(name, asNumber);
  }

  text(name: string): string {
    return this.required(name, asText);
  }

  flag(name: string): boolean {
    return this.required(name, asFlag);
  }

  list<T>(name: string, read: Read<T>): readonly T[] {
    return this.required(name, (value, where) => asList(value, where, read));
  }
}

function asList<T>(value: unknown, where: string, read: Read<T>): readonly T[] {
  if (!Array.isArray(value)) throw new ReceiptError(`${where} is not a list`);
  return value.map((item: unknown, position) => read(item, `${where}[${position}]`));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asFlag(value: unknown, where: string): boolean {
  if (typeof value !== 'boolean') throw new ReceiptError(`${where} is not true or false`);
  return value;
}

function asNumber(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new ReceiptError(`${where} is not a number`);
  return value;
}

function asText(value: unknown, where: string): string {
  if (typeof value !== 'string') throw new ReceiptError(`${where} is not a text`);
  return value;
}
