import { request } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import type { Static, TSchema } from 'typebox';
import { compileCheck } from '../../api/schema/check.ts';
import { formatViolation } from '../../api/schema/violation.ts';
import type { HistoryBody } from '../../api/views/history-view.ts';
import { HistorySchema } from '../../api/views/history-view.ts';
import type { MigrationBody } from '../../api/views/migration-view.ts';
import { MigrationSchema } from '../../api/views/migration-view.ts';
import type { SchemesBody } from '../../api/views/schemes-view.ts';
import { SchemesSchema } from '../../api/views/schemes-view.ts';
import { SnapshotSchema } from '../../api/views/snapshot-view.ts';
import type { StatusBody } from '../../api/views/status-view.ts';
import { StatusSchema } from '../../api/views/status-view.ts';
import type { CgroupsBody, ProcessesBody } from '../../api/views/survey-views.ts';
import { CgroupsSchema, ProcessesSchema } from '../../api/views/survey-views.ts';
import type { TopologyBody } from '../../api/views/topology-view.ts';
import { TopologySchema } from '../../api/views/topology-view.ts';
import type { Policy } from '../../tiering/policy.ts';
import { PolicySchema } from '../../tiering/policy.ts';

import { eventually } from './eventually.ts';

export interface ApiAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
  readonly etag?: string;
}

interface SendOptions {
  readonly accept?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export type SnapshotBody = Static<typeof SnapshotSchema>;

const answerTimeoutMs = 60_000;

const asStatus = reader(StatusSchema);
export const asTopology = reader(TopologySchema);
const asPolicy = reader(PolicySchema);
const asSchemes = reader(SchemesSchema);
const asSnapshot = reader(SnapshotSchema);
const asHistory = reader(HistorySchema);
const asMigration = reader(MigrationSchema);
const asProcesses = reader(ProcessesSchema);
const asCgroups = reader(CgroupsSchema);

/** The REST API over its Unix socket, as a program would use it: every answer is checked against its published schema. */
export class ApiClient {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async status(): Promise<StatusBody> {
    return asStatus(await this.send('GET', '/v1/status'));
  }

  async topology(): Promise<TopologyBody> {
    return asTopology(await this.send('GET', '/v1/topology'));
  }

  async policy(): Promise<Policy> {
    return asPolicy(await this.send('GET', '/v1/policy'));
  }

  async schemes(): Promise<SchemesBody> {
    return asSchemes(await this.send('GET', '/v1/schemes'));
  }

  async snapshot(): Promise<SnapshotBody> {
    return asSnapshot(await this.send('GET', '/v1/snapshot'));
  }

  /** `query` such as `sinceSeconds=60&stepSeconds=1`. */
  async history(query: string): Promise<HistoryBody> {
    return asHistory(await this.send('GET', `/v1/history?${query}`));
  }

  /** Changes the policy; a change that is pending, as a busy guest's may be, is waited for. */
  async patchPolicy(patch: object): Promise<Policy> {
    const answer = await this.send('PATCH', '/v1/policy', { body: patch });
    if (answer.status !== 202) return asPolicy(answer);
    await eventually(`${JSON.stringify(patch)} is in force`, answerTimeoutMs, async () =>
      isMatch(await this.policy(), patch),
    );
    return this.policy();
  }

  /** Orders a migration; gives the job. */
  async migrate(order: object): Promise<MigrationBody> {
    return asMigration(await this.send('POST', '/v1/migrations', { body: order }));
  }

  async migration(id: number): Promise<MigrationBody> {
    return asMigration(await this.send('GET', `/v1/migrations/${id}`));
  }

  async processes(): Promise<ProcessesBody> {
    return asProcesses(await this.send('GET', '/v1/processes'));
  }

  async cgroups(): Promise<CgroupsBody> {
    return asCgroups(await this.send('GET', '/v1/cgroups'));
  }

  async cancelMigration(id: number): Promise<MigrationBody> {
    return asMigration(await this.send('DELETE', `/v1/migrations/${id}`));
  }

  /** Opens a stream and takes what comes without looking at it. */
  follow(path: string, headers: Readonly<Record<string, string>> = {}): { status: Promise<number>; leave(): void } {
    const outgoing = request({ socketPath: this.#socketPath, path, headers });
    const status = new Promise<number>((resolve, reject) => {
      outgoing.once('error', reject);
      outgoing.once('response', (incoming) => {
        // Whoever leaves gets an error of its own making.
        incoming.on('error', () => undefined);
        incoming.resume();
        resolve(incoming.statusCode ?? 0);
      });
    });
    outgoing.end();
    return { status, leave: () => outgoing.destroy() };
  }

  /** Any request; an answer of any status resolves. */
  send(
    method: 'GET' | 'PATCH' | 'POST' | 'DELETE',
    path: string,
    { accept, body, headers: given = {} }: SendOptions = {},
  ): Promise<ApiAnswer> {
    const headers = {
      ...given,
      ...(accept === undefined ? {} : { accept }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    return new Promise((resolve, reject) => {
      const outgoing = request({ socketPath: this.#socketPath, method, path, headers }, (incoming) => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          text += chunk;
        });
        incoming.on('error', reject);
        incoming.on('end', () => {
          const { 'content-type': contentType = '', etag } = incoming.headers;
          resolve({ status: incoming.statusCode ?? 0, contentType, text, ...(etag !== undefined && { etag }) });
        });
      });
      outgoing.setTimeout(answerTimeoutMs, () => outgoing.destroy(new Error(`no answer to ${method} ${path}`)));
      outgoing.on('error', reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

/** Whether a value has all that a part of it names. */
function isMatch(value: unknown, part: unknown): boolean {
  if (typeof part !== 'object' || part === null || Array.isArray(part)) return isDeepStrictEqual(value, part);
  if (typeof value !== 'object' || value === null) return false;
  const known = new Map<string, unknown>(Object.entries(value));
  return Object.entries(part).every(([key, wanted]) => isMatch(known.get(key), wanted));
}

function reader<S extends TSchema>(schema: S): (answer: ApiAnswer) => Static<S> {
  const check = compileCheck(schema);
  return ({ status, contentType, text }) => {
    if ((status !== 200 && status !== 201) || !contentType.startsWith('application/json')) {
      throw new Error(`the API answered ${status} (${contentType}): ${text.slice(0, 500)}`);
    }
    const checked = check(JSON.parse(text));
    if (checked.ok) return checked.value;
    throw new Error(`the answer is not what its schema says: ${checked.violations.map(formatViolation).join('; ')}`);
  };
}
