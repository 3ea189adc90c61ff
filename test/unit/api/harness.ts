import { pino } from 'pino';
import type { AppOptions } from '../../../api/app.ts';
import { buildApp } from '../../../api/app.ts';
import type { PolicyLayers } from '../../../api/policy/layers.ts';
import type { SavedSettings } from '../../../api/policy/operator-settings.ts';
import { OperatorSettings } from '../../../api/policy/operator-settings.ts';
import type { Api } from '../../../api/routes/context.ts';
import { FakeService } from './fake-service.ts';

const HOST = { hostname: 'cxlhost', kernel: '7.3.0', cpuModel: 'Some CPU', memoryBytes: 2 ** 31 };

export interface Harness {
  readonly api: Api;
  readonly service: FakeService;
  readonly settings: OperatorSettings;
  /** What was saved, one after the other. */
  readonly saved: SavedSettings[];
  /** What the next saves reject with. */
  readonly disk: { failure?: Error; invalidateFailure?: Error; hangs?: boolean };
  /** Log lines so far. */
  readonly log: string[];
}

/** The API over a fake engine at a fixed time. */
export function harness(
  layers: Partial<PolicyLayers> = {},
  {
    pauseReason,
    ...options
  }: Pick<AppOptions, 'token' | 'isReadOnly' | 'maxWritesPerMinute'> & { readonly pauseReason?: string } = {
    maxWritesPerMinute: 1_000_000,
  },
): Harness {
  const service = new FakeService();
  const log: string[] = [];
  const saved: SavedSettings[] = [];
  const disk: Harness['disk'] = {};
  const logger = pino({}, { write: (line) => log.push(line) });
  const settings = new OperatorSettings({
    service,
    layers: { commandLine: {}, rest: {}, file: {}, ...layers },
    pauseReason,
    save: async (value) => {
      if (disk.hangs === true) await new Promise(() => undefined);
      if (disk.failure !== undefined) throw disk.failure;
      saved.push(value);
    },
    invalidate: async () => {
      if (disk.invalidateFailure !== undefined) throw disk.invalidateFailure;
    },
    logger,
  });
  const api = buildApp({
    service,
    settings,
    logger,
    version: '1.2.3',
    host: HOST,
    nowMs: () => service.nowMs,
    ...options,
  });
  return { api, service, settings, saved, disk, log };
}

/** PATCH /v1/policy. */
export function patchPolicy(api: Api, payload: string, contentType = 'application/merge-patch+json') {
  return api.inject({ method: 'PATCH', url: '/v1/policy', headers: { 'content-type': contentType }, payload });
}
