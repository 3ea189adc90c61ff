import { pino } from 'pino';
import { buildApp } from '../../../api/app.ts';
import type { Api } from '../../../api/routes/context.ts';
import { FakeService } from './fake-service.ts';

const HOST = { hostname: 'cxlhost', kernel: '7.3.0', cpuModel: 'Some CPU', memoryBytes: 2 ** 31 };

export interface Harness {
  readonly api: Api;
  readonly service: FakeService;
  /** Log lines so far. */
  readonly log: string[];
}

/** The API over a fake engine at a fixed time. */
export function harness(): Harness {
  const service = new FakeService();
  const log: string[] = [];
  const logger = pino({}, { write: (line) => log.push(line) });
  return { api: buildApp({ service, logger, version: '1.2.3', host: HOST, nowMs: () => 2000 }), service, log };
}

/** PATCH /v1/policy. */
export function patchPolicy(api: Api, payload: string, contentType = 'application/merge-patch+json') {
  return api.inject({ method: 'PATCH', url: '/v1/policy', headers: { 'content-type': contentType }, payload });
}
